"""What `memgate evaluate --suite` shows: accuracy by condition, printed and written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from memgate.metrics.systems import (
    NETWORK,
    SYSTEM_NAMES,
    BaselineResult,
    baseline_results,
    best_baseline,
)
from memgate.reporting import plots
from memgate.reporting.accuracy import AccuracyRow, percent, with_interval
from memgate.reporting.console import DASH, console, rich_table
from memgate.reporting.files import write_all

CONDITION = 22
"""Letters that a condition has in a line at least; longer ones take two or three."""

HEAD = 10
"""Letters that the name of a network or a baseline has in a line: as many as ``99.1–100.0``."""


def print_suites(table: pd.DataFrame) -> None:
    """Print one table a suite: conditions down, networks and baselines across, in percent.

    Networks have their 95% intervals. Where not all columns fit, the table goes on below, each part
    with the best baseline; the other baselines fill the remaining width, better ones first.

    Args:
        table: Columns model, suite, system, condition, n, correct, accuracy, low, high, chance and
            questions.
    """
    out = console()
    for suite, rows in table.groupby("suite", sort=False):
        networks = rows[rows["system"] == NETWORK]
        best = best_baseline(rows)
        others = [b for b in baseline_results(rows) if not best or b.name != best.name]
        others.sort(key=lambda each: -each.accuracy)
        out.print(f"\n{suite}: accuracy in %, and its 95% interval", markup=False)
        if best:
            accuracy = f"{100 * best.accuracy:.1f}% of all items right"
            out.print(f"[dim]* best baseline: {escape(best.name)}, {accuracy}[/dim]")
        _print_parts(out, networks, best, others)
        if (networks["questions"] < networks["n"]).any():
            out.print("[dim](n): items that a model reads alike count once in its interval[/dim]")


def write_suites(table: pd.DataFrame, out: Path, predicted: pd.DataFrame) -> None:
    """Write ``suites.csv``, ``suites.png`` and ``suite_predictions.parquet``: all files or none.

    Args:
        table: As for `print_suites`.
        out: Folder, created if it is missing.
        predicted: A row an item, model and suite.

    Raises:
        InputError: The folder can't be written.
    """
    write_all(
        out,
        {
            "suites.csv": partial(table.to_csv, index=False),
            "suites.png": partial(plots.save, plots.suite_figure(table)),
            "suite_predictions.parquet": partial(predicted.to_parquet, index=False),
        },
    )


def _print_parts(
    out: Console,
    networks: pd.DataFrame,
    best: BaselineResult | None,
    others: Sequence[BaselineResult],
) -> None:
    """Print as few tables as the networks need, and name the baselines that have no room."""
    # conditions shrink to no less than CONDITION, and nothing else does
    longest = max(map(len, networks["condition"]))
    width = out.width + max(0, longest - CONDITION)
    endless = out.options.update(width=10_000)
    waiting: list[str | BaselineResult] = [*networks["model"].unique(), *others]
    while waiting and isinstance(waiting[0], str):
        for size in range(len(waiting), 0, -1):
            part = _part(networks, waiting[:size], best)
            if out.measure(part, options=endless).maximum <= width:
                break
        out.print(part)
        waiting = waiting[size:]
    names = [column.name for column in waiting if not isinstance(column, str)]
    if names:
        many = f"{len(names)} other baselines, which suites.csv has"
        listed = many if len(names) > len(SYSTEM_NAMES) else ", ".join(names)
        out.print(f"[dim]no room for: {escape(listed)}[/dim]")


def _part(
    networks: pd.DataFrame, columns: Sequence[str | BaselineResult], best: BaselineResult | None
) -> Table:
    """Tabulate some networks and baselines; the best baseline is always among them."""
    models = [column for column in columns if isinstance(column, str)]
    shown = [best] if best else []
    shown += [column for column in columns if not isinstance(column, str)]
    by_model = [_by_condition(networks[networks["model"] == model]) for model in models]
    by_baseline = [_by_condition(baseline.rows) for baseline in shown]
    cells = []
    for condition, rows in networks.groupby("condition", sort=False):
        n, fewest, most = rows["n"].max(), rows["questions"].min(), rows["questions"].max()
        questions = f"{fewest}" if fewest == most else f"{fewest}–{most}"
        name = str(condition)
        cells.append(
            [
                name,
                f"{n}\n({questions})" if fewest < n else f"{n}",
                *(with_interval(rows[name]) if name in rows else DASH for rows in by_model),
                f"{100 * rows['chance'].iloc[0]:.1f}",
                *(percent(rows[name]) if name in rows else DASH for rows in by_baseline),
            ]
        )
    names = [f"* {b.name}" if b is best else b.name for b in shown]
    header = ["condition", *map(_folded, ("n", *models, "chance", *names))]
    first_dim = 2 + len(models)  # chance and the baselines
    return rich_table(
        pd.DataFrame(cells, columns=header),
        dim_columns=range(first_dim, len(header)),
        narrowest=CONDITION,
    )


def _by_condition(rows: pd.DataFrame) -> dict[str, AccuracyRow]:
    return {str(row["condition"]): row for row in rows.to_dict("records")}


def _folded(name: str) -> str:
    """Break a name into lines of `HEAD` letters, after a hyphen, an @, a slash or a space."""
    lines = [""]
    for piece in re.findall(rf"[^-@/ ]{{1,{HEAD - 1}}}[-@/ ]?|[-@/ ]", name):
        if len((lines[-1] + piece).rstrip()) > HEAD:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)
