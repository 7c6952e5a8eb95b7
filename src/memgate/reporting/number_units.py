"""Which units carry the number, as a table in the terminal."""

from __future__ import annotations

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from memgate.gates.units.number_units import NumberUnits
from memgate.gates.units.probe import LAST
from memgate.gates.units.sets import CHANCE, named
from memgate.gates.units.unit import Unit
from memgate.reporting.console import console

SHOWN = 8
"""Units of the table, at most; the figure and the file have all."""

NARROW = 80
"""Columns that nothing is wider than, not in a log either."""


def print_units(found: NumberUnits) -> None:
    """Print the number units, what a probe and the readout make of them, and what their loss costs.

    The table has 8 units: the number units in the order in which they were added, and where there
    is room those of the others whose loss alone costs most.
    """
    out = console()
    out.print("\nWhich units carry the number of the subject")
    out.print(_grid(found))
    carriers, sets = found.carriers, found.sets
    where = f"with at least {found.between} words between subject and verb"
    lines = [
        "weights: log-odds of plural for one standard deviation of the unit",
        "lost alone: change of the share right, in points, where the unit is held at its mean "
        f"({int(carriers['n'].iloc[0]):,} items {where})",
        _loss(found) + f" ({int(sets['n'].iloc[0]):,} of these items)",
        _probe(found),
    ]
    for line in lines:
        out.print(line, markup=False, width=min(out.width, NARROW))


def _name(found: NumberUnits, unit: Unit) -> str:
    """Name the layer too where there are several."""
    return str(unit) if found.carriers["layer"].max() > 0 else str(unit.unit)


def _grid(found: NumberUnits) -> Table:
    """Return the table of the units that are shown."""
    table = found.carriers.set_index(["layer", "unit"], drop=False)
    others = table[~table["number"]]
    cost = others["drop_with"].fillna(others["drop"]).sort_values(ascending=False, kind="stable")
    rows = table.loc[[*found.units, *cost.index][:SHOWN]]
    grid = Table(box=SIMPLE_HEAD, show_edge=False)
    grid.add_column("\nunit")
    for name in (
        "probe\nweight",
        "readout\nweight",
        "lost alone,\nattractors",
        "lost alone,\nwithout",
    ):
        grid.add_column(name, justify="right")
    grid.add_column("number\nunit")
    for row in rows.to_dict("records"):
        weights = [_signed(row[name], 2) for name in ("probe", "readout")]
        drops = [_signed(-100 * row[name], 1) for name in ("drop_with", "drop_without")]
        name = _name(found, Unit(row["layer"], row["unit"]))
        grid.add_row(name, *weights, *drops, "yes" if row["number"] else "")
    return grid


def _signed(value: float, decimals: int) -> str:
    """Write a number with its sign, a dash for none; 0 where it rounds to that.

    >>> _signed(-0.04, 1), _signed(2, 1), _signed(float("nan"), 1)
    ('0', '+2.0', '–')
    """
    if pd.isna(value):
        return "–"
    return f"{value:+.{decimals}f}" if round(value, decimals) else "0"


def _loss(found: NumberUnits) -> str:
    """Say what is right without the number units, or that there are none, and why."""
    sets, n = found.sets, len(found.carriers)
    intact = sets[sets["size"] == 0].iloc[0]
    chosen = sets[(sets["order"] != "random") & (sets["size"] > 0)]
    if found.units:
        names = ", ".join(_name(found, unit) for unit in found.units[:SHOWN])
        size = len(found.units)
        more = f" and {size - SHOWN} more" if size > SHOWN else ""
        lost = named(sets).iloc[0]
        return (
            f"number units: {names}{more} (of {n}): without them {_right(lost)}, chance "
            f"{CHANCE:.0%}; with them {_right(intact)}"
        )
    if intact["low"] <= CHANCE or chosen.empty:
        return f"number units: none named; nothing to lose, the network has {_right(intact)}"
    worst = chosen.sort_values("accuracy", kind="stable").iloc[0]
    return (
        f"number units: none named, for the number is spread over many of the {n}: without the "
        f"{worst['size']} whose loss costs most still {_right(worst)}, chance {CHANCE:.0%}; "
        f"with all {_right(intact)}"
    )


def _right(row: pd.Series) -> str:
    share, low, high = (100 * float(row[name]) for name in ("accuracy", "low", "high"))
    return f"{share:.1f}% right ({low:.1f}–{high:.1f})"


def _probe(found: NumberUnits) -> str:
    """Say how well the number can be read off the last layer's state after the last word."""
    rows = found.probe[found.probe["place"] == LAST]
    last = rows.sort_values("layer").iloc[-1]
    text = f"a linear probe of the state after the last word gets the number {_right(last)}"
    if pd.isna(last["control"]):
        return text
    return (
        f"{text}, labels drawn by lot for the subjects' words {100 * last['control']:.1f}%: "
        f"selectivity {100 * last['selectivity']:.1f} points"
    )
