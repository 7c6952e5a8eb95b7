"""The tables of a study's report as readers see them: text for the page, Markdown, the terminal."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from memgate.data.items.tasks import NUMBER
from memgate.metrics.accuracy import STRATA
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.metrics.systems import NETWORK, Baseline, baselines, best_baseline
from memgate.reporting.console import format_p, markdown_table
from memgate.reporting.study_page import ShownTable

BREAKDOWNS = {
    "intervening": "words between subject and verb",
    "attractors": "attractors between subject and verb",
    "label": "number of the subject",
}
"""Breakdowns with a table of their own, and what readers call them."""

CROSS = "intervening_x_attractors"

Row = Mapping[Hashable, Any]


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose column data names the task too, where it isn't number prediction.

    Where it has n and correct, these become items and right answers of the average network, so that
    models of more seeds don't look as if they had been asked more.
    """
    plain = table["task"] == NUMBER.name
    found = table.assign(data=table["data"].where(plain, table["data"] + ", " + table["task"]))
    if "correct" in table:
        right = np.rint(table["correct"] / table["seeds"]).astype("int64")
        found = found.assign(n=table["items"], correct=right)
    return found


def accuracy_tables(table: pd.DataFrame, data: str) -> list[ShownTable]:
    """Show the accuracy of networks and baselines on one data set.

    Args:
        table: As from `labelled`.
        data: A value of its column data.
    """
    own = table[table["data"] == data]
    below, best = baselines(own), best_baseline(own)
    shown = [_by(own, data, by, below, best) for by in BREAKDOWNS if (own["by"] == by).any()]
    return [*shown, *([_cross(own, data, best)] if (own["by"] == CROSS).any() else [])]


def _by(
    own: pd.DataFrame, data: str, by: str, below: Sequence[Baseline], best: Baseline | None
) -> ShownTable:
    """Show a breakdown: a row a model, then a row a baseline."""
    strata = [name for name in STRATA[by] if ((own["by"] == by) & (own["stratum"] == name)).any()]
    part = own[own["by"].isin(["overall", by])]
    rows = []
    networks = part[part["system"] == NETWORK]
    for model, some in networks.groupby("model", sort=False):
        cells = _records(some)
        rows.append({"": str(model)} | {name: _share(cells.get(name)) for name in ("all", *strata)})
    for one in below:
        cells = _records(one.rows[one.rows["by"].isin(["overall", by])])
        mark = "* " if best and one.name == best.name else ""
        bare = {name: _share(cells.get(name)) for name in ("all", *strata)}
        rows.append({"": mark + one.name} | bare)
    items = networks.drop_duplicates("stratum").set_index("stratum")["items"]
    counts = {name: f"{items[name]:,}" if name in items.index else "–" for name in strata}
    rows.append({"": "test items", "all": f"{items['all']:,}"} | counts)
    return ShownTable(f"{data}: accuracy in % by {BREAKDOWNS[by]}", pd.DataFrame(rows))


def _cross(own: pd.DataFrame, data: str, best: Baseline | None) -> ShownTable:
    """Show accuracy by both: a row a model and number of words, a column a number of attractors."""
    part = own[own["by"] == CROSS]
    systems = [
        (str(model), some)
        for model, some in part[part["system"] == NETWORK].groupby("model", sort=False)
    ]
    if best:
        systems.append((f"* {best.name}", best.rows[best.rows["by"] == CROSS]))
    rows = []
    for name, some in systems:
        cells = _records(some)
        for words in INTERVENING.names:
            there = {a: cells.get(f"{words} × {a}") for a in ATTRACTORS.names}
            if any(there.values()):
                shown = {a: _share(cell, items=True) for a, cell in there.items()}
                rows.append({"": name, "words": words} | shown)
    title = f"{data}: accuracy in % by words and attractors between subject and verb, and items"
    return ShownTable(title, pd.DataFrame(rows), names=2)


def _records(rows: pd.DataFrame) -> dict[str, Row]:
    return {str(row["stratum"]): row for row in rows.to_dict("records")}


def _share(row: Row | None, items: bool = False) -> str:
    """Write an accuracy in percent, its interval in a second line.

    >>> _share({"accuracy": 0.5, "low": 0.4, "high": 0.612, "items": 1000}, items=True).split()
    ['50.0', '40.0–61.2,', 'n', '1,000']
    """
    if row is None:
        return "–"
    interval = f"{100 * row['low']:.1f}–{100 * row['high']:.1f}"
    count = f", n {row['items']:,}" if items else ""
    return f"{100 * row['accuracy']:.1f}\n{interval}{count}"


def difference_table(table: pd.DataFrame, data: str, by: Sequence[str]) -> ShownTable:
    """Show the differences between models on one data set, with p-values after Holm's correction.

    Args:
        table: Differences, as from `labelled`.
        data: A value of its column data.
        by: Breakdowns.
    """
    own = table[(table["data"] == data) & table["by"].isin(by)]
    rows = [
        {
            "": f"{row['a']} less {row['b']}",
            "stratum": row["stratum"]
            if row["by"] == "overall"
            else f"{row['by']} {row['stratum']}",
            "items": f"{row['items']:,}",
            "points": _points(row["difference"]),
            "95% interval": f"{_points(row['low'])} to {_points(row['high'])}",
            "p, other items": format_p(row["p_items_holm"]),
            "p, other seeds": format_p(row["p_seeds_holm"]),
        }
        for row in own.to_dict("records")
    ]
    return ShownTable(f"{data}: differences in accuracy", pd.DataFrame(rows), names=2)


def _points(share: float) -> str:
    return f"{100 * share:+.2f}".replace("-", "−")


def paper_table(table: pd.DataFrame, data: str) -> ShownTable:
    """Show errors beside the paper's, a row a model, a column a number of attractors."""
    own = table[table["data"] == data]
    rows = []
    for model, some in own.groupby("model", sort=False):
        cells = {int(row["attractors"]): row for row in some.to_dict("records")}
        shown = {str(k): _error(cells.get(k)) for k in range(int(own["attractors"].max()) + 1)}
        rows.append({"": str(model)} | shown)
    ours = own[own["whose"] == "ours"].drop_duplicates("attractors").set_index("attractors")
    counts = {str(k): f"{n:,}" for k, n in ours["items"].items()}
    rows.append({"": "our test items"} | counts)
    cells_of = pd.DataFrame(rows).fillna("–")
    return ShownTable(f"{data}: error in % by attractors", cells_of)


def _error(row: Row | None) -> str:
    if row is None:
        return "–"
    return f"{100 * row['error']:.2f}\n{100 * row['low']:.2f}–{100 * row['high']:.2f}"


def runs_shown(runs: pd.DataFrame) -> ShownTable:
    """Show every run."""
    cells = runs.assign(
        seed=runs["seed"].astype(str),
        train=[_count(n) for n in runs["train"]],
        test=[_count(n) for n in runs["test"]],
        accuracy=["–" if np.isnan(share) else f"{100 * share:.2f}" for share in runs["accuracy"]],
    )
    names = {"train": "training items", "test": "test items", "accuracy": "accuracy in %"}
    return ShownTable("Every run of the study", cells.rename(columns=names), names=5)


def _count(n: Any) -> str:
    return "–" if pd.isna(n) else f"{n:,}"


def titled_markdown(table: ShownTable) -> str:
    """Write a table as Markdown below its title."""
    return f"**{table.title}**\n\n{markdown_table(table.cells, table.names)}\n"
