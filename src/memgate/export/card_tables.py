"""The tables of a model card, as lines of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from memgate.data.items.roles import ROLES
from memgate.gates.profile import pooled
from memgate.metrics.accuracy import wilson
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.metrics.systems import NETWORK, baselines

SHOWN = {
    "overall": "all",
    "label": "subject {}",
    "intervening": "{} words between",
    "attractors": "attractors: {}",
}
"""The breakdowns that have rows, and how these are called."""


def accuracy_lines(table: pd.DataFrame) -> list[str]:
    """Tabulate accuracy in percent by stratum, the network with its interval, then the baselines.

    Args:
        table: Of one model on one data set: columns model, data, system, by, stratum, n, correct,
            accuracy, low, high.
    """
    others = baselines(table)
    points = [each.rows.set_index(["by", "stratum"])["accuracy"] for each in others]
    rows = []
    for row in _own(table, *SHOWN).to_dict("records"):
        key = (row["by"], row["stratum"])
        cells = (f"{100 * each[key]:.1f}" if key in each.index else "–" for each in points)
        name = SHOWN[row["by"]].format(row["stratum"])
        rows.append([name, f"{row['n']:,}", _with_interval(row), *cells])
    names = [each.name for each in others]
    return _markdown(["test items", "n", "this model", *names], rows)


def both_lines(table: pd.DataFrame) -> list[str]:
    """Tabulate the network's accuracy by intervening words (rows) and attractors (columns)."""
    own = _own(table, "intervening_x_attractors")
    found = {row["stratum"]: row for row in own.to_dict("records")}
    rows = []
    for words in INTERVENING.names:
        cells = [found.get(f"{words} × {attractors}") for attractors in ATTRACTORS.names]
        shown = [f"{_with_interval(row)} [{row['n']:,}]" if row else "–" for row in cells]
        rows.append([words, *shown])
    return _markdown(["words", *ATTRACTORS.names], rows)


def role_lines(profile: pd.DataFrame) -> list[str]:
    """Tabulate the means of each reading of the last layer by role.

    Args:
        profile: A table of `memgate.gates.profile.profile_table`, with rows.
    """
    last = profile[(profile["layer"] == profile["layer"].max()) & (profile["by"] == "role")]
    means = pooled(last, "number", "answer")
    roles = [role for role in ROLES if role in set(means["stratum"])]
    rows = []
    for (units, reading), own in means.groupby(["units", "reading"], sort=False):
        at = own.set_index("stratum")["mean"].round(2) + 0.0  # no −0.00
        cells = (f"{at[role]:.2f}" if role in at else "–" for role in roles)
        rows.append([str(units), str(reading), *cells])
    return _markdown(["units", "reading", *roles], rows)


def limits(table: pd.DataFrame) -> list[str]:
    """Say what is right with and without attractors, and by the subject's number, a line each."""
    lines = []
    own = _own(table, "attractors")
    some = own["stratum"] != ATTRACTORS.names[0]
    if some.any() and not some.all():
        without, with_some = (_pooled(own[rows]) for rows in (~some, some))
        lines.append(f"Right without an attractor: {without}; with one or more: {with_some}.")
    numbers = _own(table, "label").set_index("stratum")
    if len(numbers) == 2:
        singular, plural = (_pooled(numbers.loc[[name]]) for name in ("sg", "pl"))
        lines.append(f"Right where the subject is singular: {singular}; plural: {plural}.")
    return lines


def _pooled(rows: pd.DataFrame) -> str:
    n, correct = int(rows["n"].sum()), int(rows["correct"].sum())
    low, high = wilson(correct, n)
    share = {"accuracy": correct / n, "low": low, "high": high}
    return f"{_with_interval(share)}% of {n:,}"


def _own(table: pd.DataFrame, *by: str) -> pd.DataFrame:
    return table[(table["system"] == NETWORK) & table["by"].isin(by)]


def _with_interval(row: Mapping[Any, Any]) -> str:
    share, low, high = (f"{100 * row[name]:.1f}" for name in ("accuracy", "low", "high"))
    return f"{share} ({low}–{high})"


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
