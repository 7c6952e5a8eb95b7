"""Sets of units: in which order they are lost, and when agreement is lost with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from memgate.gates.units.ablation import Ablation, Score
from memgate.gates.units.unit import Unit

CHANCE = 0.5
"""Balanced accuracy of answers that know nothing of the number, whatever the share of plurals."""

NEAR = 0.6
"""Below this the 95% interval of what is at chance has to end: it is not enough that few items
can't tell 62% from 50%, as 100 can't (48 to 76%). Of 500 items, half of them plural, the interval
is 8.8 points wide, and answers up to 54% right are called chance."""

TRIED = 24
"""Units that are tried at each step of a greedy set; the rest must wait for their turn."""

STRIDE = 5
"""A greedy set grows by a fifth of its size at a step, by one unit up to 9."""

SETS = {
    "order": "string",
    "draw": "int64",
    "size": "int64",
    "layer": "Int64",
    "unit": "Int64",
    **{name: "int64" if name == "n" else "float64" for name in Score._fields},
}
"""The columns of the table of sets."""


def is_chance(low: Any, high: Any) -> Any:
    """Say whether an accuracy can't be told from 0.5 though it is known well enough.

    Args:
        low: Lower end of its 95% interval, or a column of them.
        high: Upper end.

    Returns:
        A truth value, or a column of them.

    >>> is_chance(0.48, 0.58), is_chance(0.48, 0.76), is_chance(0.51, 0.55)
    (True, False, False)
    """
    return (low <= CHANCE) & (high < NEAR)


def units_of(frame: pd.DataFrame) -> list[Unit]:
    """Return the units that the rows of a table name."""
    return [
        Unit(int(layer), int(unit))
        for layer, unit in zip(frame["layer"], frame["unit"], strict=True)
    ]


def by_weight(unit_table: pd.DataFrame, column: str) -> list[Unit]:
    """Order units by falling weight of either sign; those without one are left out."""
    known = unit_table[unit_table[column].notna()]
    return units_of(
        known.loc[known[column].abs().sort_values(ascending=False, kind="stable").index]
    )


def waiting_list(unit_table: pd.DataFrame) -> list[Unit]:
    """Order units for a greedy set: 8 by probe, 8 by readout, then by what their own loss costs."""
    third = TRIED // 3
    named = [*by_weight(unit_table, "probe")[:third], *by_weight(unit_table, "readout")[:third]]
    cost = units_of(unit_table.sort_values("margin", kind="stable"))
    return list(dict.fromkeys([*named, *cost]))


def grow(
    chosen_on: Ablation, judged_on: Ablation, waiting: Sequence[Unit], max_size: int
) -> list[Unit]:
    """Add units to a set, always those whose loss costs most.

    That is the one with the lowest balanced accuracy; among those within one standard error of it
    (where number is carried several times over, no loss may cost anything yet) the one with the
    lowest margin. Growth ends where `is_chance` says so of `judged_on`.

    Args:
        chosen_on: The items on which units are chosen.
        judged_on: Other items, on which it is judged whether agreement is lost; choosing on these
            would find losses that are luck.
        waiting: Units to choose from; the first 24 left are tried at each step.
        max_size: The largest set.

    Returns:
        Units in the order in which they were added.
    """
    grown: list[Unit] = []
    left = list(waiting)
    while left and len(grown) < max_size:
        tried = left[:TRIED]
        scores = chosen_on.scores([[*grown, unit] for unit in tried])
        best = min(scores, key=lambda each: each.accuracy)
        limit = best.accuracy + (best.high - best.low) / 4  # 95% are four standard errors wide
        order = sorted(
            range(len(tried)),
            key=lambda place: (max(scores[place].accuracy, limit), scores[place].margin),
        )
        several = min(max(1, len(grown) // STRIDE), max_size - len(grown))
        added = [tried[place] for place in order[:several]]
        grown += added
        left = [unit for unit in left if unit not in added]
        judged = judged_on.scores([grown])[0]
        if is_chance(judged.low, judged.high):
            break
    return grown


def random_orders(units: Sequence[Unit], draws: int, size: int, seed: int) -> list[list[Unit]]:
    """Draw `size` of the units, in an order by lot, so many times."""
    rng = np.random.default_rng([seed, 1])
    return [[units[place] for place in rng.permutation(len(units))[:size]] for _ in range(draws)]


def set_table(ablation: Ablation, orders: Mapping[tuple[str, int], Sequence[Unit]]) -> pd.DataFrame:
    """Score the loss of the first units of each order: of the first, the first two, and so on.

    Args:
        ablation: Over the items that score.
        orders: Units by the order's name and draw.

    Returns:
        First a row of the whole network, order ``none``, size 0; then one a set: order, draw, size,
        layer and unit (the one added last: a set is this unit and those of the smaller sets of the
        same order and draw) and a `Score`.
    """
    sets: list[Sequence[Unit]] = [()]
    rows: list[tuple[Any, ...]] = [("none", 0, 0, None, None)]
    for (order, draw), units in orders.items():
        for size, (layer, unit) in enumerate(units, 1):
            sets.append(units[:size])
            rows.append((order, draw, size, layer, unit))
    scored = [(*row, *its) for row, its in zip(rows, ablation.scores(sets), strict=True)]
    return pd.DataFrame(scored, columns=list(SETS)).astype(SETS)


def named(sets: pd.DataFrame) -> pd.DataFrame:
    """Return the row of the smallest set whose loss brings agreement to chance, if there is one.

    That is where `is_chance` says so of the balanced accuracy. Sets drawn by lot are not named, and
    of a network whose answers can't be told from chance without any loss none is.

    Args:
        sets: As from `set_table`.
    """
    by_choice = sets["order"] != "random"
    lost: pd.DataFrame = sets[is_chance(sets["low"], sets["high"]) & by_choice]
    if (sets.loc[sets["size"] == 0, "low"] <= CHANCE).any():
        return lost.iloc[:0]
    return lost.sort_values("size", kind="stable").iloc[:1]


def smallest(sets: pd.DataFrame) -> tuple[Unit, ...]:
    """Return the units of the set that `named` names, or none."""
    found = named(sets)
    if found.empty:
        return ()
    order, size = found[["order", "size"]].iloc[0]
    return tuple(units_of(sets[(sets["order"] == order) & (sets["size"] <= size)]))
