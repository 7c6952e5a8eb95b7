"""The table: one row a comparison; as JSON, as Markdown, in the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import Machine
from benchmarks.timing import Ratio
from memgate.errors import InputError
from memgate.reporting.console import markdown_table

COLUMNS = ("what", "against", "ours", "theirs", "ratio", "must reach", "met", "floor")


@dataclass(frozen=True)
class Target:
    """What a ratio must reach.

    Args:
        limit: The ratio to reach.
        at_least: Whether it bounds the ratio from below; else from above.
    """

    limit: float
    at_least: bool

    def met_by(self, ratio: float) -> bool:
        """Return whether a ratio is good enough."""
        return ratio >= self.limit if self.at_least else ratio <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


def at_least(device: torch.device, cpu: float, gpu: float | None = None) -> Target:
    """Return a lower bound, for a CPU or for a GPU (the same if not given)."""
    return Target(cpu if gpu is None or device.type == "cpu" else gpu, at_least=True)


def at_most(device: torch.device, cpu: float, gpu: float | None = None) -> Target:
    """Return an upper bound, for a CPU or for a GPU (the same if not given)."""
    return Target(cpu if gpu is None or device.type == "cpu" else gpu, at_least=False)


@dataclass(frozen=True)
class Row:
    """One comparison.

    Args:
        key: Its name in the JSON file, such as ``fit-lstm-50/bare``.
        what: What is measured.
        against: What it is held against; a dash for nothing.
        unit: Of ours, theirs and the floor: ``items/s``, ``s`` or ``MiB``.
        ours: Median.
        theirs: Median.
        ratio: As the target speaks of it: of rates (ours over theirs), or of times or sizes.
        target: What it must reach, where anything.
        floor: What the machine allows: operations over its rate of matrix products, bytes over its
            rate of copies.
        note: What else was seen.
    """

    key: str
    what: str
    against: str
    unit: str
    ours: float
    theirs: float | None = None
    ratio: Ratio | None = None
    target: Target | None = None
    floor: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median ratio reaches the target; None where there is none."""
        if self.target is None or self.ratio is None:
            return None
        return self.target.met_by(self.ratio.median)

    def cells(self) -> list[str]:
        """Return what the columns show."""
        shown = [_number(value, self.unit) for value in (self.ours, self.theirs, self.floor)]
        spread = "–"
        if self.ratio is not None:
            median, low, high = (f"{value:.2f}" for value in self.ratio)
            spread = f"{median} ({low} to {high})"
        met = {None: "–", True: "yes", False: "no"}[self.met]
        goal = "–" if self.target is None else str(self.target)
        return [self.what, self.against, shown[0], shown[1], spread, goal, met, shown[2]]


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    digits = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{digits} {unit}"


def as_json(rows: Sequence[Row], machine: Machine, made: str, seconds: float) -> str:
    """Return everything as JSON."""
    listed = [
        {
            **asdict(row),
            "ratio": None if row.ratio is None else row.ratio._asdict(),
            "met": row.met,
        }
        for row in rows
    ]
    about = {"made": made, "seconds": round(seconds), "machine": asdict(machine)}
    return json.dumps({**about, "rows": listed}, indent=1, ensure_ascii=False) + "\n"


def as_markdown(rows: Sequence[Row], machine: Machine, made: str, seconds: float) -> str:
    """Return the table, the machine and the notes as Markdown."""
    lines = [
        f"Made on {made} in {seconds:.0f} s. {machine.words}. One thread multiplies matrices at "
        f"{machine.flops / 1e9:.0f} GFLOP/s and copies {machine.copied / 1e9:.1f} GB/s."
        if machine.threads == 1
        else f"Made on {made} in {seconds:.0f} s. {machine.words}. It multiplies matrices at "
        f"{machine.flops / 1e9:,.0f} GFLOP/s and copies {machine.copied / 1e9:,.1f} GB/s.",
        "",
        markdown_table(pd.DataFrame([row.cells() for row in rows], columns=COLUMNS), names=2),
        "",
    ]
    lines += [f"- {row.what} against {row.against}: {row.note}" for row in rows if row.note]
    return "\n".join(lines) + "\n"


def show(rows: Sequence[Row], console: Console) -> None:
    """Print the table."""
    grid = Table(*COLUMNS)
    for row in rows:
        style = {None: "", True: "green", False: "red"}[row.met]
        grid.add_row(*row.cells(), style=style)
    console.print(grid)


def write_docs(page: Path, device: str, table: str) -> None:
    """Put a table into its place on a page.

    Args:
        page: Markdown with the two lines ``<!-- bench DEVICE -->`` and ``<!-- /bench DEVICE -->``.
        device: ``cpu`` or ``cuda``.
        table: What goes between.

    Raises:
        InputError: The page has no such lines.
    """
    start, end = f"<!-- bench {device} -->", f"<!-- /bench {device} -->"
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, opened, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise InputError(f"{page}: expected the lines {start} and {end}, found none")
    page.write_text(f"{before}{start}\n{table}{end}{after}", encoding="utf-8")
