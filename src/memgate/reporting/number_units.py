"""The number units of a network as a table in the terminal: `print_units`."""

from __future__ import annotations

import pandas as pd

from memgate.gates.units.ablation import smallest_set_row
from memgate.gates.units.number_units import NumberUnits
from memgate.gates.units.probe import LAST_WORD
from memgate.gates.units.unit import Unit, unit_name
from memgate.metrics.accuracy import CHANCE
from memgate.reporting.accuracy import in_line
from memgate.reporting.console import DASH, note, print_table

PRINTED = 8
"""Units of the table, at most; the figure and the file have all."""


def print_units(units: NumberUnits) -> None:
    """Print the number units: their weights in a probe and the readout, and what ablation costs.

    The table has 8 units: first the number units in the order in which they were added, then those
    of the others whose ablation costs most.
    """
    print_table(_cells(units), title="Which units carry the number of the subject")
    items, held_out = int(units.unit_table["n"].iloc[0]), int(units.sets["n"].iloc[0])
    lines = [
        "weights: change of the log-odds of plural for one standard deviation of the unit",
        "ablated: change of accuracy, in points, when this unit alone is held at its mean "
        f"({items:,} items with at least {units.between} words between subject and verb)",
        f"{_ablation(units)} ({held_out:,} of these items)",
        _probe(units),
    ]
    for line in lines:
        note(line)


def _name(units: NumberUnits, unit: Unit) -> str:
    return unit_name(unit, int(units.unit_table["layer"].max()) + 1).removeprefix("unit ")


def _cells(units: NumberUnits) -> pd.DataFrame:
    """Return the texts of the table."""
    table = units.unit_table.set_index(["layer", "unit"], drop=False)
    others = table[~table["number"]]
    cost = others["drop_with"].fillna(others["drop"]).sort_values(ascending=False, kind="stable")
    rows = table.loc[[*units.units, *cost.index][:PRINTED]]
    return pd.DataFrame(
        {
            "\nunit": [_name(units, Unit(*key)) for key in rows.index],
            "probe\nweight": [_signed(value, 2) for value in rows["probe"]],
            "readout\nweight": [_signed(value, 2) for value in rows["readout"]],
            "ablated,\nattractors": [_signed(-100 * drop, 1) for drop in rows["drop_with"]],
            "ablated,\nwithout": [_signed(-100 * drop, 1) for drop in rows["drop_without"]],
            "number\nunit": ["yes" if number else "" for number in rows["number"]],
        }
    )


def _signed(value: float, decimals: int) -> str:
    """Write a number with its sign, a dash for none; 0 where it rounds to that.

    >>> _signed(-0.04, 1), _signed(2, 1), _signed(float("nan"), 1)
    ('0', '+2.0', '–')
    """
    if pd.isna(value):
        return DASH
    return f"{value:+.{decimals}f}" if round(value, decimals) else "0"


def _ablation(units: NumberUnits) -> str:
    """Report the accuracy with the number units ablated, or why there are none."""
    sets, n = units.sets, len(units.unit_table)
    intact = sets[sets["size"] == 0].iloc[0].to_dict()
    intact_accuracy = in_line(intact, "%")
    if units.units:
        names = ", ".join(_name(units, unit) for unit in units.units[:PRINTED])
        more = f" and {len(units.units) - PRINTED} more" if len(units.units) > PRINTED else ""
        without = in_line(smallest_set_row(sets).iloc[0].to_dict(), "%")
        return (
            f"number units: {names}{more} (of {n}): accuracy {without} with "
            f"these ablated, chance {CHANCE:.0%}; {intact_accuracy} intact"
        )
    ablated = sets[(sets["order"] != "random") & (sets["size"] > 0)]
    if intact["low"] <= CHANCE or ablated.empty:
        return f"no number units: the intact network has an accuracy of only {intact_accuracy}"
    worst = ablated.sort_values("accuracy", kind="stable").iloc[0].to_dict()
    return (
        f"no number units: the number is distributed over many of the {n} units; accuracy "
        f"{in_line(worst, '%')} with the {worst['size']} ablated that cost most, "
        f"chance {CHANCE:.0%}; {intact_accuracy} intact"
    )


def _probe(units: NumberUnits) -> str:
    """Report how well a probe reads the number off the last layer's state after the last word."""
    rows = units.probe[units.probe["position"] == LAST_WORD]
    last = rows.sort_values("layer").iloc[-1].to_dict()
    text = f"linear probe of the state after the last word: accuracy {in_line(last, '%')}"
    if pd.isna(last["control"]):
        return text
    return (
        f"{text}, {100 * last['control']:.1f}% for labels assigned to the subjects' words at "
        f"random: selectivity {100 * last['selectivity']:.1f} points"
    )
