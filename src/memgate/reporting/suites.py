"""What `memgate evaluate --suite` shows: accuracy by condition, printed and written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from memgate.metrics.systems import NAMES, NETWORK, Baseline, baselines, best_baseline
from memgate.reporting import plots
from memgate.reporting.accuracy import bare, with_interval
from memgate.reporting.console import console
from memgate.reporting.files import write_all

CONDITION = 22
"""Letters that a condition has in a line at least; longer ones take two or three."""

HEAD = 10
"""Letters that the name of a network or a baseline has in a line: as many as ``99.1–100.0``."""


def print_suites(table: pd.DataFrame) -> None:
    """Print one table a suite: conditions down, networks and baselines across, in percent.

    Networks have their 95% intervals. Where not all columns fit, the table goes on below, each part
    with the best baseline; the others have what room is left, the better ones first.

    Args:
        table: Columns model, suite, system, condition, n, correct, accuracy, low, high, chance and
            questions.
    """
    out = console()
    for suite, rows in table.groupby("suite", sort=False):
        networks = rows[rows["system"] == NETWORK]
        best = best_baseline(rows)
        others = [one for one in baselines(rows) if not best or one.name != best.name]
        others.sort(key=lambda one: -one.accuracy)
        out.print(f"\n{suite}: accuracy in %, and its 95% interval", markup=False)
        if best:
            share = f"{100 * best.accuracy:.1f}% of all items right"
            out.print(f"[dim]* best baseline: {escape(best.name)}, {share}[/dim]")
        _print_parts(out, networks, best, others)
        if (networks["questions"] < networks["n"]).any():
            out.print("[dim](n): items that a model reads alike count once in its interval[/dim]")


def write_suites(table: pd.DataFrame, out: Path, predicted: pd.DataFrame) -> None:
    """Write ``suites.csv``, ``suites.png`` and ``suite_predictions.parquet``: all files or none.

    Args:
        table: As for `print_suites`.
        out: Folder, made where it is missing.
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
    out: Console, networks: pd.DataFrame, best: Baseline | None, others: Sequence[Baseline]
) -> None:
    """Print as few tables as the networks need, and name the baselines that have no room."""
    # conditions shrink to no less than CONDITION, and nothing else does
    longest = max(map(len, networks["condition"]))
    width = out.width + max(0, longest - CONDITION)
    endless = out.options.update(width=10_000)
    left: list[str | Baseline] = [*networks["model"].unique(), *others]
    while left and isinstance(left[0], str):
        for size in range(len(left), 0, -1):
            grid = _grid(networks, left[:size], best)
            if out.measure(grid, options=endless).maximum <= width:
                break
        out.print(grid)
        left = left[size:]
    if left:
        names = [one.name for one in left if not isinstance(one, str)]
        many = f"{len(names)} other baselines, which suites.csv has"
        shown = many if len(names) > len(NAMES) else ", ".join(names)
        out.print(f"[dim]no room for: {escape(shown)}[/dim]")


def _grid(
    networks: pd.DataFrame, columns: Sequence[str | Baseline], best: Baseline | None
) -> Table:
    """Tabulate some networks, by their names, and baselines, and always the best one."""
    models = [one for one in columns if isinstance(one, str)]
    shown = [best] if best else []
    shown += [one for one in columns if not isinstance(one, str)]
    grid = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
    grid.add_column("condition", overflow="fold", min_width=CONDITION)
    names = [f"* {one.name}" if one is best else one.name for one in shown]
    for name in ("n", *models, "chance", *names):
        grid.add_column(escape(_folded(name)), justify="right", no_wrap=True)
    tables = {model: networks[networks["model"] == model] for model in models}
    by_model = [table.set_index("condition") for table in tables.values()]
    by_baseline = [one.rows.set_index("condition") for one in shown]
    for condition, rows in networks.groupby("condition", sort=False):
        n, fewest, most = rows["n"].max(), rows["questions"].min(), rows["questions"].max()
        spread = f"{fewest}" if fewest == most else f"{fewest}–{most}"
        name = str(condition)
        grid.add_row(
            escape(name),
            f"{n}\n[dim]({spread})[/dim]" if fewest < n else f"{n}",
            *(with_interval(own, name) for own in by_model),
            f"[dim]{100 * rows['chance'].iloc[0]:.1f}[/dim]",
            *(f"[dim]{bare(own, name)}[/dim]" for own in by_baseline),
        )
    return grid


def _folded(name: str) -> str:
    """Break a name into lines of `HEAD` letters, after a hyphen, an @, a slash or a space."""
    lines = [""]
    for piece in re.findall(rf"[^-@/ ]{{1,{HEAD - 1}}}[-@/ ]?|[-@/ ]", name):
        if len((lines[-1] + piece).rstrip()) > HEAD:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)
