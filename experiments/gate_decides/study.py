"""The study: cells × sizes × seeds × data in, tables, figures and the page of gates out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import get_args

import datasets

from experiments.gate_decides.figures import FIGURES
from experiments.gate_decides.networks import HandSet, Measurement, Network, clean, make
from experiments.gate_decides.page import TEMPLATE, render
from experiments.gate_decides.tables import answer_tables, to_csv
from memgate.errors import InputError
from memgate.fitting.real_text import build_corpus, data_at_hand
from memgate.models.classifier import CellName
from memgate.models.hand_set import GatedCell
from memgate.pool import ProcessPool
from memgate.reporting import plots
from memgate.reporting.console import echo
from memgate.reporting.files import write_all
from memgate.studies.jobs import locked, print_failures, process_pool, run_jobs

CELLS: tuple[CellName, ...] = get_args(CellName)
UNITS = (2, 4, 8, 32, 100)
DATA = ("synthetic", "corpus")
"""The data of the page."""

PAGE = "how-the-gate-decides.md"
"""The page, in the folder above that of the tables."""


def answer(
    out: Path = Path("docs/answer"),
    work: Path = Path("out/answer"),
    seeds: int = 5,
    units: Sequence[int] = UNITS,
    cells: Sequence[CellName] = CELLS,
    data: Sequence[str] | None = None,
    jobs: int | None = None,
    configs: Path = Path("configs"),
    page: bool = True,
) -> None:
    """Train and measure the networks of the study, then write the tables, the figures and the page.

    Networks that are done with the same settings are not made again.

    Args:
        out: Folder of tables, figures and the page's template; the page is written to its parent.
        work: Folder of the networks and of the tables of each.
        seeds: Networks of each kind.
        units: Hidden sizes.
        cells: Among ``rnn``, ``gru`` and ``lstm``.
        data: Names of configurations; None for ``synthetic`` and the real text that is available.
        jobs: Processes, one thread each; None for the number of cores.
        configs: Folder with ``cell/``, ``data/`` and ``trainer/``.
        page: Whether to write the page.

    Raises:
        InputError: An option or the data can't be used; or networks failed, which are listed on
            stderr; then the tables are not written.
    """
    datasets.disable_progress_bars()
    pool = process_pool(jobs)
    measurements = _plan(work, seeds, units, cells, data, configs)
    if page and not (out / TEMPLATE).is_file():  # before half an hour of work
        raise InputError(f"{out / TEMPLATE}: expected the page's template, found none")
    with locked(work, "make answer"):
        _run(measurements, pool)
    _write(measurements, out)
    if page:
        _write_page(measurements, out)


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
        echo(f"{PAGE} is not written, it needs more networks: {error}")
        return
    write_all(out.parent, {PAGE: lambda path: path.write_text(text, encoding="utf-8")})
    echo(f"wrote {out.parent / PAGE}")


def _is_whole(measurements: Sequence[Measurement]) -> bool:
    """Return whether the measurements have every network of the page."""
    kinds = {
        (measurement.network.cell, measurement.network.data, measurement.network.units)
        for measurement in measurements
        if isinstance(measurement.network, Network)
    }
    return kinds >= set(product(CELLS, DATA, UNITS))


def _plan(
    work: Path,
    seeds: int,
    units: Sequence[int],
    cells: Sequence[CellName],
    data: Sequence[str] | None,
    configs: Path,
) -> list[Measurement]:
    """List the measurements of the study, long ones first, and make sure that the data exist."""
    if not configs.is_dir():
        raise InputError(f"{configs}: expected memgate's configurations, found no such folder")
    for name, smallest in (("--seeds", seeds), ("--units", min(units, default=0))):
        if smallest < 1:
            raise InputError(f"{name}: expected at least 1, got {smallest}")
    unknown = set(cells) - set(CELLS)
    if unknown or not cells:
        raise InputError(f"--cells: expected among {', '.join(CELLS)}, got {sorted(unknown)}")
    names = [*dict.fromkeys(data or data_at_hand()[0])]
    if "corpus" in names and not os.environ.get("MEMGATE_DATA"):
        raise InputError("--data corpus: expected MEMGATE_DATA=/path/to/corpora, it is not set")
    for name in names:  # now, as each process would make it
        build_corpus(name)
    sizes = sorted(set(units), reverse=True)
    networks: list[Network | HandSet] = [
        Network(cell, name, size, seed)
        for size, name, cell, seed in product(sizes, names, dict.fromkeys(cells), range(seeds))
    ]
    gated = [cell for cell in get_args(GatedCell) if cell in cells]
    networks += [HandSet(cell, name) for name, cell in product(names, gated)]
    measurements = [Measurement(network, configs, work) for network in networks]
    for measurement in measurements:
        measurement.training()  # raises if a configuration can't be read
    return measurements


def _run(measurements: Sequence[Measurement], pool: ProcessPool) -> None:
    """Make the measurements that are missing."""
    clean(measurements[0].work)
    waiting = {
        measurement.network.name: measurement
        for measurement in measurements
        if not measurement.is_done()
    }
    done = len(measurements) - len(waiting)
    echo(f"{len(measurements)} networks: {done} are done, {len(waiting)} to do {pool}")
    if not waiting:
        return
    try:
        with pool:
            failed = run_jobs(pool, make, waiting, done)
    except KeyboardInterrupt:
        print("stopped; the same command goes on with what is missing", file=sys.stderr)
        raise
    print_failures(failed)
    if failed:
        raise InputError(
            f"{len(failed)} of {len(waiting)} networks failed, see above; "
            "the same command goes on with them"
        )
