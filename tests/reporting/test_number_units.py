"""What is printed of number units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from memgate.gates.units.ablation import SET_DTYPES
from memgate.gates.units.number_units import UNIT_DTYPES, NumberUnits
from memgate.gates.units.probe import PROBE_DTYPES, WEIGHT_DTYPES
from memgate.gates.units.unit import Unit
from memgate.reporting.number_units import print_units


def made_up(units: int, named: int, layers: int = 1, intact: float = 0.95) -> NumberUnits:
    """Units; the last ones of the last layer are named, the very last one first."""
    every = [Unit(layer, unit) for layer in range(layers) for unit in range(units)]
    number = tuple(reversed(every))[:named]
    table = pd.DataFrame(every).reindex(columns=list(UNIT_DTYPES), fill_value=0)
    table = table.assign(
        probe=np.linspace(-2, 2, len(every)),
        readout=np.where([unit.layer < layers - 1 for unit in every], np.nan, 1.234),
        drop_with=np.arange(len(every)) / 1000,
        drop_without=-0.0004,
    )
    table = table.assign(n=2000, number=[unit in number for unit in every])
    fall = np.linspace(0.9, 0.6, named or 3)
    if named:
        fall[-1] = 0.52
    share = [intact, *fall, 0.4]
    sets = pd.DataFrame(
        {
            "order": ["none", *["greedy"] * (named or 3), "random"],
            "size": [0, *range(1, (named or 3) + 1), 1],
            "accuracy": share,
            "low": np.array(share) - 0.03,
            "high": np.array(share) + 0.03,
        }
    ).reindex(columns=list(SET_DTYPES), fill_value=0)
    probe = pd.DataFrame({"layer": range(layers), "position": "last"}).assign(
        accuracy=[0.7 + 0.1 * layer for layer in range(layers)],
        low=0.6,
        high=0.91,
        control=0.5,
        selectivity=[0.2 + 0.1 * layer for layer in range(layers)],
    )
    return NumberUnits(
        number,
        6,
        table[list(UNIT_DTYPES)].astype(UNIT_DTYPES),
        sets.assign(n=1000).astype(SET_DTYPES),
        probe.reindex(columns=list(PROBE_DTYPES), fill_value=0).astype(PROBE_DTYPES),
        pd.DataFrame(columns=list(WEIGHT_DTYPES)),
    )


def printed(capsys: pytest.CaptureFixture[str], units: NumberUnits) -> tuple[list[list[str]], str]:
    """Return the cells of the table's rows, and the text below as one line."""
    print_units(units)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    rule = next(place for place, line in enumerate(lines) if "───" in line)
    end = next(place for place, line in enumerate(lines) if line.startswith("weights:"))
    return [line.split() for line in lines[rule + 1 : end]], " ".join(" ".join(lines[end:]).split())


def test_number_units_come_first_and_then_those_whose_loss_costs_most(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows, text = printed(capsys, made_up(10, 2))
    assert [row[0] for row in rows] == ["10", "9", "8", "7", "6", "5", "4", "3"]
    assert rows[0] == ["10", "+2.00", "+1.23", "-0.9", "0", "yes"]
    assert [len(row) for row in rows[2:]] == [5] * 6, "the others are not marked"
    assert (
        "number units: 10, 9 (of 10): accuracy 52.0% (49.0–55.0) with these ablated, chance 50%;"
        in text
    )
    assert "chance 50%; 95.0% (92.0–98.0) intact (1,000 of these items)" in text
    assert "(2,000 items with at least 6 words between subject and verb)" in text


def test_layers_are_named_and_the_probe_is_the_last_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows, text = printed(capsys, made_up(2, 1, layers=2))
    names = ["2 of layer 2", "1 of layer 2", "2 of layer 1", "1 of layer 1"]
    assert [" ".join(row[:4]) for row in rows] == names
    assert rows[-1][5] == "–", "the readout sees no lower layer"
    assert "after the last word: accuracy 80.0% (60.0–91.0), 50.0% for labels" in text
    assert text.endswith("words at random: selectivity 30.0 points")


def test_many_number_units_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    rows, text = printed(capsys, made_up(500, 40))
    assert [row[-1] for row in rows] == ["yes"] * 8
    assert "499, 498, 497, 496, 495, 494, 493 and 32 more (of 500): accuracy 52.0%" in text


def test_where_none_are_named_it_is_said_why(capsys: pytest.CaptureFixture[str]) -> None:
    _, text = printed(capsys, made_up(10, 0))
    assert (
        "no number units: the number is distributed over many of the 10 units; accuracy 60.0% "
        "(57.0–63.0) with the 3 ablated that cost most, chance 50%; 95.0%"
    ) in text
    _, text = printed(capsys, made_up(10, 0, intact=0.51))
    assert "no number units: the intact network has an accuracy of only 51.0% (48.0–54.0)" in text


def test_what_has_no_control_has_no_selectivity(capsys: pytest.CaptureFixture[str]) -> None:
    units = made_up(3, 1)
    units.probe[["control", "selectivity"]] = np.nan
    _, text = printed(capsys, units)
    assert text.endswith("after the last word: accuracy 70.0% (60.0–91.0)")
