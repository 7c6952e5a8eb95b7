"""`memgate answer`: cells × sizes × seeds × data: tables, figures and page of what gates do."""

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
from experiments.gate_decides.networks import ByHand, Network, Part, clean, make
from experiments.gate_decides.page import TEMPLATE, render
from experiments.gate_decides.tables import answer_tables, to_csv
from memgate.errors import InputError
from memgate.fitting.real_text import build_corpus, data_at_hand
from memgate.models.classifier import Cell
from memgate.models.hand_set import GatedCell
from memgate.pool import ProcessPool
from memgate.reporting import plots
from memgate.reporting.files import write_all
from memgate.studies.jobs import locked, print_failures, process_pool, run_jobs

CELLS: tuple[Cell, ...] = get_args(Cell)
UNITS = (2, 4, 8, 32, 100)
DATA = ("synthetic", "corpus")
"""The data of which the page speaks."""

PAGE = "how-the-gate-decides.md"
"""The page, in the folder above that of the tables."""


def answer(
    out: Path = Path("docs/answer"),
    work: Path = Path("out/answer"),
    seeds: int = 5,
    units: Sequence[int] = UNITS,
    cells: Sequence[Cell] = CELLS,
    data: Sequence[str] | None = None,
    jobs: int | None = None,
    configs: Path = Path("configs"),
    page: bool = True,
) -> None:
    """Train and measure every network of the study that isn't kept, and write what came of it.

    Stopped, it goes on where it was; what was made with other settings is made anew.

    Args:
        out: Folder of tables, figures and the page's template; the page is written beside it.
        work: Folder of networks and of what was measured of each.
        seeds: Networks of each kind.
        units: Hidden sizes.
        cells: Among ``rnn``, ``gru`` and ``lstm``.
        data: Names of configurations; None for ``synthetic`` and the real text that can be had.
        jobs: Processes, one thread each; None for as many as there are cores.
        configs: Folder with ``cell/``, ``data/`` and ``trainer/``.
        page: Whether the page is written too.

    Raises:
        InputError: An option or the data can't be used; or networks failed, which stderr tells of;
            tables are then left as they were.
    """
    datasets.disable_progress_bars()
    pool = process_pool(jobs)
    parts = _plan(work, seeds, units, cells, data, configs)
    if page and not (out / TEMPLATE).is_file():  # before half an hour of work
        raise InputError(f"{out / TEMPLATE}: expected the page's template, found none")
    with locked(work, "memgate answer"):
        _run(parts, pool)
    _write(parts, out)
    if page:
        _write_page(parts, out)


def _write(parts: Sequence[Part], out: Path) -> None:
    """Write tables and figures."""
    tables = answer_tables([part.tables() for part in parts])
    files: dict[str, Callable[[Path], object]] = {
        f"{name}.csv": partial(to_csv, table) for name, table in tables.items()
    }
    files |= {f"{name}.png": partial(plots.save, draw(tables)) for name, draw in FIGURES.items()}
    write_all(out, files)
    print(f"wrote {', '.join(files)} to {out}")


def _write_page(parts: Sequence[Part], out: Path) -> None:
    try:
        text = render(out / TEMPLATE)
    except InputError as error:
        if _speaks_of(parts):
            raise
        print(f"{PAGE} left out, it speaks of more networks: {error}")
        return
    write_all(out.parent, {PAGE: lambda path: path.write_text(text, encoding="utf-8")})
    print(f"wrote {out.parent / PAGE}")


def _speaks_of(parts: Sequence[Part]) -> bool:
    """Say whether all that the page speaks of is there."""
    there = {
        (part.network.cell, part.network.data, part.network.units)
        for part in parts
        if isinstance(part.network, Network)
    }
    return there >= set(product(CELLS, DATA, UNITS))


def _plan(
    work: Path,
    seeds: int,
    units: Sequence[int],
    cells: Sequence[Cell],
    data: Sequence[str] | None,
    configs: Path,
) -> list[Part]:
    """List the parts of the study, long ones first, and see that the data are there."""
    if not configs.is_dir():
        raise InputError(f"{configs}: expected memgate's configurations, found no such folder")
    for name, least in (("--seeds", seeds), ("--units", min(units, default=0))):
        if least < 1:
            raise InputError(f"{name}: expected at least 1, got {least}")
    unknown = set(cells) - set(CELLS)
    if unknown or not cells:
        raise InputError(f"--cells: expected among {', '.join(CELLS)}, got {sorted(unknown)}")
    names = [*dict.fromkeys(data or data_at_hand()[0])]
    if "corpus" in names and not os.environ.get("MEMGATE_DATA"):
        raise InputError("--data corpus: expected MEMGATE_DATA=/path/to/corpora, it is not set")
    for name in names:  # before the processes, which would all make it
        build_corpus(name)
    sizes = sorted(set(units), reverse=True)
    networks: list[Network | ByHand] = [
        Network(cell, name, size, seed)
        for size, name, cell, seed in product(sizes, names, dict.fromkeys(cells), range(seeds))
    ]
    gated = [cell for cell in get_args(GatedCell) if cell in cells]
    networks += [ByHand(cell, name) for name, cell in product(names, gated)]
    parts = [Part(network, configs, work) for network in networks]
    for part in parts:
        part.trained_with()  # its configuration can be read
    return parts


def _run(parts: Sequence[Part], pool: ProcessPool) -> None:
    """Make the parts that aren't there."""
    clean(parts[0].work)
    waiting = {part.network.name: part for part in parts if not part.is_done()}
    done = len(parts) - len(waiting)
    print(f"{len(parts)} networks: {done} are done, {len(waiting)} to do {pool}")
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
