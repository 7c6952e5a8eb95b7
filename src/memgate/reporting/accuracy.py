"""Tables of accuracy, printed and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from memgate.data.items.tasks import GRAMMATICALITY, Task
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.metrics.systems import NETWORK, baseline_results, best_baseline
from memgate.reporting import plots
from memgate.reporting.console import DASH, console, markdown_table, print_table
from memgate.reporting.files import write_all

AccuracyRow = Mapping[Any, Any]

FIELDS = {"intervening": "subj_idx", "attractors": "n_attractors", "condition": "condition"}
"""The field that an item needs for a breakdown."""

WIDE_TABLE_WIDTH = 110
"""Width of the terminal at which the names of model and data fit next to six figures."""

PRINTED_BREAKDOWNS = {
    "intervening": (INTERVENING.names, "words between subject and verb"),
    "attractors": (ATTRACTORS.names, "attractors between subject and verb"),
    "label": (("sg", "pl"), "number of the subject"),
}
"""The breakdowns that are printed: their strata, and what readers call them."""


def print_accuracy(table: pd.DataFrame) -> None:
    """Print accuracy in percent: networks with 95% intervals, below them their baselines.

    Args:
        table: Columns model, data, system, by, stratum, n, correct, accuracy, low, high.
    """
    out = console()
    for by, (strata, title) in PRINTED_BREAKDOWNS.items():
        out.print(f"\nAccuracy in %, and its 95% interval, by {title}")
        if (table["system"] != NETWORK).any():
            out.print("[dim]Below each: its baselines, * the best of them on all items[/dim]")
        if out.width >= WIDE_TABLE_WIDTH:
            _print_wide(table, by, strata)
        else:
            _print_narrow(table, by, strata, out)


def _print_wide(table: pd.DataFrame, by: str, strata: Sequence[str]) -> None:
    """Print one table: of each data set the networks, then the baselines."""
    cells: list[list[str]] = []
    dim: list[int] = []
    ends: list[int] = []
    for data, rows in table.groupby("data", sort=False):
        for model, network in _networks(rows):
            cells.append([model, str(data), *_figures(network, by, strata, with_interval)])
        for name, baseline in _baselines(rows):
            dim.append(len(cells))
            cells.append([name, "", *_figures(baseline, by, strata, percent)])
        ends.append(len(cells) - 1)
    columns = ["model", "data", "all", *strata]
    print_table(pd.DataFrame(cells, columns=columns), names=2, sections=ends, dim_rows=dim)


def _print_narrow(table: pd.DataFrame, by: str, strata: Sequence[str], out: Console) -> None:
    """Print a table for each network and data set, and one for the baselines of each data set."""
    for data, rows in table.groupby("data", sort=False):
        for model, network in _networks(rows):
            out.print(f"{model} on {data}", markup=False)
            figures = _figures(network, by, strata, with_interval)
            print_table(pd.DataFrame([figures], columns=["all", *strata]), names=0)
        cells = [
            [name, *_figures(baseline, by, strata, percent)] for name, baseline in _baselines(rows)
        ]
        if cells:
            columns = ["baselines", "all", *strata]
            print_table(pd.DataFrame(cells, columns=columns), dim_rows=range(len(cells)))


def _networks(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    networks = rows[rows["system"] == NETWORK].groupby("model", sort=False)
    return [(str(model), network) for model, network in networks]


def _baselines(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    best = best_baseline(rows)
    return [
        (f"{'*' if best and baseline.name == best.name else ' '} {baseline.name}", baseline.rows)
        for baseline in baseline_results(rows)
    ]


def _figures(
    rows: pd.DataFrame, by: str, strata: Sequence[str], written: Callable[[AccuracyRow], str]
) -> list[str]:
    """Write one system's accuracy on all items and on each stratum, a dash for none."""
    shown = rows[rows["by"].isin(["overall", by])]
    by_stratum = {row["stratum"]: row for row in shown.to_dict("records")}
    return [
        written(by_stratum[stratum]) if stratum in by_stratum else DASH
        for stratum in ("all", *strata)
    ]


def percent(row: AccuracyRow) -> str:
    """Write the accuracy of a row in percent.

    >>> percent({"accuracy": 0.9312})
    '93.1'
    """
    return f"{100 * row['accuracy']:.1f}"


def interval(row: AccuracyRow) -> str:
    """Write the interval of a row in percent, without a negative zero.

    >>> interval({"low": 0.92, "high": 0.942}), interval({"low": -1e-17, "high": 0.434})
    ('92.0–94.2', '0.0–43.4')
    """
    return f"{100 * row['low']:z.1f}–{100 * row['high']:.1f}"


def with_interval(row: AccuracyRow) -> str:
    r"""Write the accuracy of a row in percent, and in a second line its interval.

    >>> with_interval({"accuracy": 0.9312, "low": 0.92, "high": 0.942})
    '93.1\n92.0–94.2'
    """
    return f"{percent(row)}\n{interval(row)}"


def in_line(row: AccuracyRow, unit: str = "") -> str:
    """Write the accuracy of a row in percent, and in brackets its interval.

    >>> in_line({"accuracy": 0.9312, "low": 0.92, "high": 0.942}, "%")
    '93.1% (92.0–94.2)'
    """
    return f"{percent(row)}{unit} ({interval(row)})"


def write_accuracy(table: pd.DataFrame, out: Path, predicted: pd.DataFrame | None = None) -> None:
    """Write ``accuracy.csv``, ``accuracy.png`` and what was predicted: all files or none.

    Args:
        table: Columns model, data, system, by, stratum, n, correct, accuracy, low, high.
        out: Folder, created if it is missing.
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
    """Return a line for each breakdown that omits items: how many, and why.

    Args:
        data: Name of the data.
        counts: Omitted items by breakdown, as `memgate.metrics.accuracy.left_out` returns them.
        n: Number of items. If none has a condition, that breakdown has no line.
    """
    return [
        f"{data}: {count} of {n} items left out of {by} (no {FIELDS[by]})"
        for by, count in counts.items()
        if count and (by != "condition" or count < n)
    ]


def notes(task: Task) -> list[str]:
    """Return what distinguishes the accuracies of a task from those of its baselines."""
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
    best = best_baseline(table)
    bys = ["overall", "label", "intervening", "attractors"]
    shown = table[(table["system"] == NETWORK) & table["by"].isin(bys)]
    cells = {
        "test items by": shown["by"],
        "": shown["stratum"],
        "n": shown["n"].astype(str),
        "accuracy in %": [percent(row) for row in shown.to_dict("records")],
        "95% interval": [interval(row) for row in shown.to_dict("records")],
    }
    if best:
        points = {(row["by"], row["stratum"]): percent(row) for row in best.rows.to_dict("records")}
        keys = zip(shown["by"], shown["stratum"], strict=True)
        cells[f"best baseline: {best.name}"] = [points.get(key, DASH) for key in keys]
    spaced = pd.DataFrame(cells)
    # The UI draws cells without space between them, so spaces stand before the numbers.
    spaced.iloc[:, 2:] = "&nbsp;&nbsp;" + spaced.iloc[:, 2:]
    return "\n".join([markdown_table(spaced, names=2), "", *left_out])
