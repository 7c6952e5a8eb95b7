"""What a command shows when it is done: tables of accuracy, printed and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from memgate.data.items.tasks import GRAMMATICALITY, Task
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.metrics.systems import NETWORK, Baseline, baselines, best_baseline
from memgate.reporting import plots
from memgate.reporting.console import console
from memgate.reporting.files import write_all

FIELDS = {"intervening": "subj_idx", "attractors": "n_attractors", "condition": "condition"}
"""The field that an item needs for a breakdown."""

WIDE = 110
"""Columns from which on the names of model and data have room beside six figures."""


def print_accuracy(table: pd.DataFrame) -> None:
    """Print accuracy in percent: networks with 95% intervals, below them their baselines.

    Args:
        table: Columns model, data, system, by, stratum, n, correct, accuracy, low, high.
    """
    out = console()
    what = {
        "intervening": (INTERVENING.names, "words between subject and verb"),
        "attractors": (ATTRACTORS.names, "attractors between subject and verb"),
        "label": (("sg", "pl"), "number of the subject"),
    }
    for by, (strata, title) in what.items():
        out.print(f"\nAccuracy in %, and its 95% interval, by {title}")
        if (table["system"] != NETWORK).any():
            out.print("[dim]Below each: its baselines, * the best of them on all items[/dim]")
        if out.width >= WIDE:
            grid = _grid(strata, "model", "data")
            for data, rows in table.groupby("data", sort=False):
                for model, own in _networks(rows):
                    _add_network(grid, own, by, strata, model, str(data))
                _add_baselines(grid, rows, by, strata, "")
                grid.add_section()
            out.print(grid)
            continue
        for data, rows in table.groupby("data", sort=False):
            for model, own in _networks(rows):
                out.print(f"{model} on {data}", markup=False)
                grid = _grid(strata)
                _add_network(grid, own, by, strata)
                out.print(grid)
            grid = _grid(strata, "baselines")
            _add_baselines(grid, rows, by, strata)
            if grid.row_count:
                out.print(grid)


def _grid(strata: Sequence[str], *names: str) -> Table:
    grid = Table(box=SIMPLE_HEAD, show_edge=False)
    for name in names:
        grid.add_column(name, overflow="fold")
    for stratum in ("all", *strata):
        grid.add_column(stratum, justify="right", no_wrap=True)
    return grid


def _networks(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    networks = rows[rows["system"] == NETWORK].groupby("model", sort=False)
    return [(str(model), own) for model, own in networks]


def _add_network(
    grid: Table, rows: pd.DataFrame, by: str, strata: Sequence[str], *names: str
) -> None:
    shown = rows[rows["by"].isin(["overall", by])].set_index("stratum")
    grid.add_row(*map(escape, names), *(with_interval(shown, s) for s in ("all", *strata)))


def _add_baselines(
    grid: Table, rows: pd.DataFrame, by: str, strata: Sequence[str], *blank: str
) -> None:
    best = best_baseline(rows)
    for one in baselines(rows):
        mark = "*" if best and one.name == best.name else " "
        shown = one.rows[one.rows["by"].isin(["overall", by])].set_index("stratum")
        cells = (bare(shown, stratum) for stratum in ("all", *strata))
        grid.add_row(escape(f"{mark} {one.name}"), *blank, *cells, style="dim")


def with_interval(rows: pd.DataFrame, key: str) -> str:
    """Return an accuracy in percent and its interval in a second line, or a dash.

    Args:
        rows: Columns accuracy, low and high.
        key: A value of the index, or one that isn't there.
    """
    if key not in rows.index:
        return "–"
    low, high = (100 * rows.loc[key, ["low", "high"]]).astype(float)
    return f"{bare(rows, key)}\n[dim]{low:.1f}–{high:.1f}[/dim]"


def bare(rows: pd.DataFrame, key: str) -> str:
    """Return an accuracy in percent, or a dash; as for `with_interval`."""
    return f"{100 * float(rows['accuracy'][key]):.1f}" if key in rows.index else "–"


def write_accuracy(table: pd.DataFrame, out: Path, predicted: pd.DataFrame | None = None) -> None:
    """Write ``accuracy.csv``, ``accuracy.png`` and what was predicted: all files or none.

    Args:
        table: Columns model, data, system, by, stratum, n, correct, accuracy, low, high.
        out: Folder, made where it is missing.
        predicted: Rows for ``predictions.parquet``, or None for no such file.

    Raises:
        InputError: The folder can't be written.
    """
    files: dict[str, Callable[[Path], None]] = {
        "accuracy.csv": partial(table.to_csv, index=False),
        "accuracy.png": partial(plots.save, plots.accuracy_figure(table)),
    }
    if predicted is not None:
        files["predictions.parquet"] = partial(predicted.to_parquet, index=False)
    write_all(out, files)


def left_out_notes(data: str, counts: Mapping[str, int], n: int) -> list[str]:
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


def notes(task: Task) -> list[str]:
    """Say what makes a task's accuracies and its baselines' differ in kind."""
    if task is not GRAMMATICALITY:
        return []
    return ["baselines choose the verb's number, and are right about a sentence where that is"]


def markdown(table: pd.DataFrame, left_out: Sequence[str] = ()) -> str:
    """Write the accuracy of one model as a Markdown table, for descriptions in MLflow.

    Args:
        table: Columns model, data, system, by, stratum, n, correct, accuracy, low, high; of one
            model on one data set. Its best baseline, if any, has a column: in every row the same
            one, the best on all items.
        left_out: Lines below the table.
    """
    best: Baseline | None = best_baseline(table)
    header = ["test items by", "", "n", "accuracy in %", "95% interval"]
    points: dict[tuple[str, str], float] = {}
    if best:
        header.append(f"best baseline: {best.name}")
        keys = zip(best.rows["by"], best.rows["stratum"], strict=True)
        points = dict(zip(keys, best.rows["accuracy"], strict=True))
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    bys = ["overall", "label", "intervening", "attractors"]
    shown = table[(table["system"] == NETWORK) & table["by"].isin(bys)]
    for row in shown.to_dict("records"):
        share, low, high = (f"{100 * row[name]:.1f}" for name in ("accuracy", "low", "high"))
        cells = [f"{row['n']}", share, f"{low}–{high}"]
        if best:
            point = points.get((row["by"], row["stratum"]))
            cells.append("–" if point is None else f"{100 * point:.1f}")
        # The UI draws cells without space between them, so spaces stand before the numbers.
        spaced = (f"&nbsp;&nbsp;{cell}" for cell in cells)
        lines.append("| " + " | ".join((row["by"], row["stratum"], *spaced)) + " |")
    return "\n".join([*lines, "", *left_out])
