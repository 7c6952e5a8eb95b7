"""The study: plans of networks in; tables, figures and the page on gates out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from typing import get_args

import datasets

from experiments.gate_decides.figures import FIGURES
from experiments.gate_decides.networks import HandSet, Measurement, Network, clean, make, trained
from experiments.gate_decides.page import TEMPLATE, render
from experiments.gate_decides.tables import answer_tables, to_csv
from memgate.errors import InputError
from memgate.models.classifier import CellName
from memgate.models.hand_set import GatedCell
from memgate.pool import ProcessPool
from memgate.reporting import plots
from memgate.reporting.console import echo
from memgate.reporting.files import write_all
from memgate.studies.jobs import locked, print_failures, process_pool, run_jobs
from memgate.studies.plan import read_study
from memgate.studies.run import run_study

PLANS = Path(__file__).parent / "plans"
"""The folder of the plans of all networks of the page."""

CELLS: tuple[CellName, ...] = get_args(CellName)
UNITS = (2, 4, 8, 32, 100)
DATA = ("synthetic", "corpus")
"""The networks of the page."""

ANSWER_PAGE = "how-the-gate-decides.md"
"""The page, in the folder above that of the tables."""


def answer(
    out: Path = Path("docs/answer"),
    work: Path = Path("out/answer"),
    plans: Sequence[Path] | None = None,
    jobs: int | None = None,
    page: bool = True,
) -> None:
    """Train and measure the networks of the study, then write the tables, the figures and the page.

    Networks that are trained and measured already stay as they are. They are tracked in a separate
    store in `work`, unless ``MLFLOW_TRACKING_URI`` names another.

    Args:
        out: Folder of tables, figures and the page's template; the page is written to its parent.
        work: Folder of the store and of the tables of each network.
        plans: Studies as `memgate study` takes them; None for all of the page.
        jobs: Processes, one thread each; None for the number of cores.
        page: Whether to write the page.

    Raises:
        InputError: An option, a plan or the data can't be used; or networks failed, which are
            listed on stderr; then the tables are not written.
    """
    datasets.disable_progress_bars()
    pool = process_pool(jobs)
    files = sorted(PLANS.glob("*.yaml")) if plans is None else plans
    studies = [read_study(file) for file in files]
    data = {group.data for study in studies for group in study.groups}
    if "corpus" in data and not os.environ.get("MEMGATE_DATA"):
        raise InputError("data corpus: expected MEMGATE_DATA=/path/to/corpora, it is not set")
    if page and not (out / TEMPLATE).is_file():  # before hours of work
        raise InputError(f"{out / TEMPLATE}: expected the page's template, found none")
    with locked(work, "make answer"), _store(work):
        measurements: list[Measurement] = []
        for study in studies:
            run_study(study.file, jobs)
            measurements += trained(study, work / "tables")
        kinds = {(g.data, g.cell) for study in studies for g in study.groups}
        measurements += [
            Measurement(HandSet(cell, name), "", work / "tables")
            for name, cell in product(sorted(data), get_args(GatedCell))
            if (name, cell) in kinds
        ]
        _measure(measurements, pool)
    _write(measurements, out)
    if page:
        _write_page(measurements, out)


@contextmanager
def _store(work: Path) -> Iterator[None]:
    """Track in a separate store, unless the user named one."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        yield
        return
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{(work / 'mlruns/mlflow.db').absolute()}"
    try:
        yield
    finally:
        del os.environ["MLFLOW_TRACKING_URI"]


def _measure(measurements: Sequence[Measurement], pool: ProcessPool) -> None:
    """Make the measurements that are missing."""
    clean(measurements[0].work)
    waiting = {
        measurement.network.name: measurement
        for measurement in measurements
        if not measurement.is_done()
    }
    done = len(measurements) - len(waiting)
    echo(f"{len(measurements)} networks: {done} are measured, {len(waiting)} to do {pool}")
    if not waiting:
        return
    try:
        with pool:
            failed = run_jobs(pool, make, waiting, done)
    except KeyboardInterrupt:
        echo("stopped; the same command goes on with what is missing", err=True)
        raise
    print_failures(failed)
    if failed:
        raise InputError(
            f"{len(failed)} of {len(waiting)} networks failed, see above; "
            "the same command goes on with them"
        )


def _write(measurements: Sequence[Measurement], out: Path) -> None:
    """Write tables and figures."""
    tables = answer_tables([measurement.tables() for measurement in measurements])
    files: dict[str, Callable[[Path], object]] = {
        f"{name}.csv": partial(to_csv, table) for name, table in tables.items()
    }
    files |= {f"{name}.png": partial(plots.save, draw(tables)) for name, draw in FIGURES.items()}
    write_all(out, files)
    echo(f"wrote {', '.join(files)} to {out}")


def _write_page(measurements: Sequence[Measurement], out: Path) -> None:
    try:
        text = render(out / TEMPLATE)
    except InputError as error:
        if _is_whole(measurements):
            raise
        echo(f"{ANSWER_PAGE} is not written, it needs more networks: {error}")
        return
    write_all(out.parent, {ANSWER_PAGE: lambda path: path.write_text(text, encoding="utf-8")})
    echo(f"wrote {out.parent / ANSWER_PAGE}")


def _is_whole(measurements: Sequence[Measurement]) -> bool:
    """Return whether the measurements have every network of the page."""
    kinds = {
        (measurement.network.cell, measurement.network.data, measurement.network.units)
        for measurement in measurements
        if isinstance(measurement.network, Network)
    }
    return kinds >= set(product(CELLS, DATA, UNITS))
