"""What a command shows when it is done: tables of accuracy, printed and written."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
from lightning.fabric.utilities.rank_zero import rank_zero_only
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from memgate import plots
from memgate.errors import InputError
from memgate.metrics.strata import ATTRACTORS, INTERVENING

WIDTH_OF_A_LOG = 120
"""Columns where the output is no terminal: the widest table fits."""


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
    out.print(_grid(table, "intervening", INTERVENING.names, "words between subject and verb"))
    out.print(_grid(table, "attractors", ATTRACTORS.names, "attractors between subject and verb"))
    out.print(_grid(table, "label", ("sg", "pl"), "number of the subject"))


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


def _grid(table: pd.DataFrame, by: str, strata: tuple[str, ...], what: str) -> Table:
    title = f"Accuracy in %, and its 95% interval, by {what}"
    grid = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False)
    grid.add_column("model", overflow="fold")
    grid.add_column("data", overflow="fold")
    for stratum in ("all", *strata):
        grid.add_column(stratum, justify="right", no_wrap=True)
    for (model, data), rows in table.groupby(["model", "data"], sort=False):
        shown = rows[rows["by"].isin(["overall", by])].set_index("stratum")
        cells = [_cell(shown, stratum) for stratum in ("all", *strata)]
        grid.add_row(str(model), str(data), *cells)
    return grid


def _cell(rows: pd.DataFrame, stratum: str) -> str:
    if stratum not in rows.index:
        return "–"
    accuracy, low, high = (100 * rows.loc[stratum, ["accuracy", "low", "high"]]).astype(float)
    return f"{accuracy:.1f}\n[dim]{low:.1f}–{high:.1f}[/dim]"


def markdown(table: pd.DataFrame) -> str:
    """Write the accuracy of one model as a Markdown table, for descriptions in MLflow."""
    # The UI draws cells without space between them, so an em space stands before the numbers.
    lines = ["| test items by | | n | accuracy in % | 95% interval |", "|---|---|---|---|---|"]
    shown = table[table["by"].isin(["overall", "label", "intervening", "attractors"])]
    for row in shown.to_dict("records"):
        share, low, high = (f"{100 * row[name]:.1f}" for name in ("accuracy", "low", "high"))
        cells = (row["by"], row["stratum"], f"{row['n']}", share, f"{low}–{high}")
        lines.append(
            "| " + " | ".join((*cells[:2], *(f"\u2003{cell}" for cell in cells[2:]))) + " |"
        )
    return "\n".join(lines)
