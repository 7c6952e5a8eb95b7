"""What a command shows when it is done: tables of accuracy, printed and written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from lightning.fabric.utilities.rank_zero import rank_zero_only
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from memgate import plots
from memgate.errors import InputError
from memgate.metrics.strata import ATTRACTORS, INTERVENING

WIDTH_OF_A_LOG = 130
"""Columns where the output is no terminal: the widest table fits."""

FIELDS = {"intervening": "subj_idx", "attractors": "n_attractors", "condition": "condition"}
"""The field that an item needs for a breakdown."""

WIDE = 110
"""Columns from which on the names of model and data have room beside six figures."""


def console() -> Console:
    """Return a console that doesn't wrap tables at 80 columns in a log; only rank zero's speaks."""
    quiet = getattr(rank_zero_only, "rank", 0) != 0
    terminal = Console(highlight=False, quiet=quiet)
    if terminal.is_terminal:
        return terminal
    return Console(highlight=False, quiet=quiet, width=WIDTH_OF_A_LOG)


def print_accuracy(table: pd.DataFrame) -> None:
    """Print accuracy in percent with its 95% interval, one line a model and data set.

    Args:
        table: Columns model, data, by, stratum, accuracy, low, high.
    """
    out = console()
    what = {
        "intervening": (INTERVENING.names, "words between subject and verb"),
        "attractors": (ATTRACTORS.names, "attractors between subject and verb"),
        "label": (("sg", "pl"), "number of the subject"),
    }
    for by, (strata, title) in what.items():
        out.print(f"\nAccuracy in %, and its 95% interval, by {title}")
        if out.width >= WIDE:
            out.print(_grid(table, by, strata, named=True))
            continue
        for (model, data), rows in table.groupby(["model", "data"], sort=False):
            out.print(f"{model} on {data}", markup=False)
            out.print(_grid(rows, by, strata, named=False))


def write_accuracy(table: pd.DataFrame, out: Path, predicted: pd.DataFrame | None = None) -> None:
    """Write ``accuracy.csv``, ``accuracy.png`` and what was predicted: all files or none.

    Args:
        table: Columns model, data, by, stratum, n, correct, accuracy, low, high.
        out: Folder, made where it is missing.
        predicted: Rows for ``predictions.parquet``, or None for no such file.

    Raises:
        InputError: The folder can't be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".writing-") as name:
            folder = Path(name)
            table.to_csv(folder / "accuracy.csv", index=False)
            plots.save(plots.accuracy_figure(table), folder / "accuracy.png")
            if predicted is not None:
                predicted.to_parquet(folder / "predictions.parquet", index=False)
            for path in sorted(folder.iterdir()):
                path.replace(out / path.name)
    except OSError as error:
        raise InputError(f"{out}: expected a folder to write to, got: {error}") from error


def _grid(table: pd.DataFrame, by: str, strata: tuple[str, ...], named: bool) -> Table:
    grid = Table(box=SIMPLE_HEAD, show_edge=False)
    names = ("model", "data") if named else ()
    for name in names:
        grid.add_column(name, overflow="fold")
    for stratum in ("all", *strata):
        grid.add_column(stratum, justify="right", no_wrap=True)
    for (model, data), rows in table.groupby(["model", "data"], sort=False):
        shown = rows[rows["by"].isin(["overall", by])].set_index("stratum")
        cells = [_cell(shown, stratum) for stratum in ("all", *strata)]
        grid.add_row(*(escape(str(name)) for name in (model, data)[: len(names)]), *cells)
    return grid


def _cell(rows: pd.DataFrame, stratum: str) -> str:
    if stratum not in rows.index:
        return "–"
    accuracy, low, high = (100 * rows.loc[stratum, ["accuracy", "low", "high"]]).astype(float)
    return f"{accuracy:.1f}\n[dim]{low:.1f}–{high:.1f}[/dim]"


def say_left_out(data: str, counts: Mapping[str, int], n: int) -> list[str]:
    """Say how many items each breakdown leaves out, one line each, and why.

    Args:
        data: Name of the data.
        counts: Items left out by breakdown, as `memgate.metrics.accuracy.left_out` gives them.
        n: Items in all; a breakdown by condition that none of them has isn't missed.
    """
    return [
        f"{data}: {count} of {n} items left out of {by} (no {FIELDS[by]})"
        for by, count in counts.items()
        if count and (by != "condition" or count < n)
    ]


def markdown(table: pd.DataFrame, left_out: Sequence[str] = ()) -> str:
    """Write the accuracy of one model as a Markdown table, for descriptions in MLflow."""
    # The UI draws cells without space between them, so spaces stand before the numbers.
    lines = ["| test items by | | n | accuracy in % | 95% interval |", "|---|---|---|---|---|"]
    shown = table[table["by"].isin(["overall", "label", "intervening", "attractors"])]
    for row in shown.to_dict("records"):
        share, low, high = (f"{100 * row[name]:.1f}" for name in ("accuracy", "low", "high"))
        cells = (row["by"], row["stratum"], f"{row['n']}", share, f"{low}–{high}")
        lines.append(
            "| " + " | ".join((*cells[:2], *(f"&nbsp;&nbsp;{cell}" for cell in cells[2:]))) + " |"
        )
    return "\n".join([*lines, "", *left_out])
