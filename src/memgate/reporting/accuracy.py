"""Tables of accuracy, printed and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from memgate.data.items.tasks import GRAMMATICALITY, Task
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.metrics.systems import NETWORK, BaselineResult, baseline_results, best_baseline
from memgate.reporting import plots
from memgate.reporting.console import DASH, fits, markdown_table, note, print_table
from memgate.reporting.files import write_all

AccuracyRow = Mapping[Any, Any]

FIELDS = {"intervening": "subj_idx", "attractors": "n_attractors", "condition": "condition"}
"""The field that an item needs for a breakdown."""

ROWS = (
    ("overall", ("all",), "all items"),
    ("label", ("sg", "pl"), "subject"),
    ("intervening", INTERVENING.names, "between"),
    ("attractors", ATTRACTORS.names, "attractors"),
)
"""The breakdowns that are printed: their strata, and what they are called."""


def print_accuracy(table: pd.DataFrame) -> None:
    """Print accuracy in percent, with 95% intervals: a table a data set, a row a stratum.

    Networks and their best baseline have a column; the other baselines too if all fit, else their
    accuracy on all items is listed.

    Args:
        table: Columns model, data, system, by, stratum, n, correct, accuracy, low, high.
    """
    for data, rows in table.groupby("data", sort=False):
        networks = rows[rows["system"] == NETWORK]
        models = [str(model) for model in networks["model"].unique()]
        best = best_baseline(rows)
        others = [b for b in baseline_results(rows) if not best or b.name != best.name]
        keys = _keys(networks)
        cells = _cells(keys, networks, models, [best, *others] if best else [])
        baselines = range(3 + len(models), len(cells.columns))
        listed = others if not fits(cells, names=2) else []
        if listed:
            cells = cells.iloc[:, : baselines.start + 1]
        print_table(
            cells,
            names=2,
            title=f"{data}: accuracy in %, and its 95% interval",
            sections=[at for at, name in enumerate(cells.iloc[1:, 0]) if name],
            dim_columns=baselines,
            repeated=(2, *baselines[: len(baselines) and 1]),
        )
        note("between: words between subject and verb" + ("; *: the best baseline" if best else ""))
        note_baselines(listed)


def note_baselines(baselines: Sequence[BaselineResult]) -> None:
    """Print the accuracy on all items of baselines that have no column, if there are any."""
    if baselines:
        figures = ", ".join(f"{b.name} {100 * b.accuracy:.1f}" for b in baselines)
        note(f"other baselines, on all items: {figures}")


def _keys(networks: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the breakdowns and strata that have items, in the order of `ROWS`."""
    present = set(zip(networks["by"], networks["stratum"], strict=True))
    return [key for by, strata, _ in ROWS for key in product([by], strata) if key in present]


def _cells(
    keys: Sequence[tuple[str, str]],
    networks: pd.DataFrame,
    models: Sequence[str],
    baselines: Sequence[BaselineResult],
) -> pd.DataFrame:
    """Return a row a stratum: breakdown, stratum, items, networks, baselines; the best is first."""
    names = {by: name for by, _, name in ROWS}
    firsts = [index == 0 or by != keys[index - 1][0] for index, (by, _) in enumerate(keys)]
    groups = [names[by] if first else "" for (by, _), first in zip(keys, firsts, strict=True)]
    strata = ["" if by == "overall" else stratum for by, stratum in keys]
    counts = [
        _count(networks.loc[(networks["by"] == by) & (networks["stratum"] == stratum), "n"])
        for by, stratum in keys
    ]
    columns = [("", groups), ("", strata), ("n", counts)]
    columns += [
        (model, _column(keys, networks[networks["model"] == model], in_line)) for model in models
    ]
    for index, baseline in enumerate(baselines):
        name = baseline.name if index else f"* {baseline.name}"
        columns.append((name, _column(keys, baseline.rows, percent)))
    table = pd.DataFrame(dict(enumerate(column for _, column in columns)))
    return table.set_axis([name for name, _ in columns], axis=1)


def _count(n: pd.Series[int]) -> str:
    """Write the number of items; a range where models read different ones."""
    return f"{n.max()}" if n.min() == n.max() else f"{n.min()}–{n.max()}"


def _column(
    keys: Sequence[tuple[str, str]], rows: pd.DataFrame, written: Callable[[AccuracyRow], str]
) -> list[str]:
    """Write one system's accuracy on each stratum, a dash for none."""
    by_key = {(row["by"], row["stratum"]): row for row in rows.to_dict("records")}
    return [written(by_key[key]) if key in by_key else DASH for key in keys]


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
