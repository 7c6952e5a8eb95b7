"""The figure of number units shows the numbers of its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from memgate.errors import InputError
from memgate.gates.units.ablation import SET_DTYPES
from memgate.gates.units.number_units import UNIT_DTYPES
from memgate.gates.units.probe import PROBE_DTYPES
from memgate.reporting.plots import save
from memgate.reporting.plots.number_units import (
    NAMED,
    NUMBER_UNIT_COLOR,
    ORDERS,
    number_units_figure,
)

PLACES = ["0", "1", "2", "4", "last"]


def carriers(units: int = 6, layers: int = 1, number: int = 2) -> pd.DataFrame:
    """Made-up units; the first few of the last layer are number units."""
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(
        [(layer, unit) for layer in range(layers) for unit in range(units)],
        columns=["layer", "unit"],
    )
    columns = [name for name in UNIT_DTYPES if name != "unit"]
    table = rows.assign(**{name: rng.normal(size=len(rows)) for name in columns})
    table["layer"], table[["n", "n_without", "n_with"]] = rows["layer"], 100
    table["number"] = (table["layer"] == layers - 1) & (table["unit"] < number)
    table.loc[table["layer"] < layers - 1, "readout"] = np.nan
    return table[list(UNIT_DTYPES)].astype(UNIT_DTYPES)


def sets(largest: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    orders = [("greedy", 0), ("probe", 0), ("readout", 0), *(("random", draw) for draw in range(3))]
    keys = [("none", 0, 0), *((*order, size) for order in orders for size in range(1, largest + 1))]
    table = pd.DataFrame(keys, columns=["order", "draw", "size"])
    share = 0.5 + rng.random(len(table)) / 2
    scores: dict[str, Any] = {
        "accuracy": share,
        "low": share - 0.02,
        "high": share + 0.02,
        "margin": 1,
        "auc": 0.9,
    }
    return table.assign(layer=0, unit=0, n=100, **scores)[list(SET_DTYPES)].astype(SET_DTYPES)


def probe(layers: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        [(layer, place) for place in PLACES for layer in range(layers)],
        columns=["layer", "position"],
    )
    share = 0.7 + rng.random(len(table)) / 4
    shown: dict[str, Any] = {
        "accuracy": share,
        "low": share - 0.03,
        "high": share + 0.03,
        "majority": 0.6,
    }
    control: dict[str, Any] = {"n": 90, "n_control": 80, "control": share - 0.2, "selectivity": 0.2}
    return table.assign(**shown, **control)[list(PROBE_DTYPES)].astype(PROBE_DTYPES)


def panels(figure: Figure) -> list[Axes]:
    assert len(figure.axes) == 4
    return figure.axes


def xy(line: Line2D) -> tuple[list[float], list[float]]:
    x, y = (np.asarray(numbers, dtype=np.float64) for numbers in line.get_data())
    return x.tolist(), y.tolist()


def named(axes: Axes, name: str) -> Line2D:
    (line,) = [line for line in axes.lines if line.get_label() == name]
    return line


@pytest.mark.parametrize("layers", [1, 2])
def test_a_line_a_layer_shows_probe_and_control_by_word(layers: int, tmp_path: Path) -> None:
    table = probe(layers)
    figure = number_units_figure(carriers(layers=layers), sets(), table)
    axes = panels(figure)[0]
    for layer in range(layers):
        own = table[table["layer"] == layer]
        end = f", layer {layer + 1}" if layers > 1 else ""
        for name, column in (("number", "accuracy"), ("control", "control")):
            y = np.asarray(xy(named(axes, name + end))[1])
            shown = np.flatnonzero(~np.isnan(y))
            assert shown.tolist() == [0, 1, 2, 4, 12]
            np.testing.assert_array_equal(y[shown], own[column])
    assert [label.get_text() for label in axes.get_xticklabels()][-1] == "last"
    save(figure, tmp_path / "carriers.png")


def test_intervals_of_probes_are_drawn() -> None:
    table = probe()
    axes = panels(number_units_figure(carriers(), sets(), table))[0]
    bars = axes.collections[0].get_segments()  # type: ignore[attr-defined]
    seen = [tuple(bar[:, 1]) for bar in bars if len(bar)]
    assert seen == list(zip(table["low"], table["high"], strict=True))


def test_each_order_has_a_line_from_the_whole_network_on() -> None:
    table = sets()
    axes = panels(number_units_figure(carriers(), table, probe()))[1]
    whole = table["accuracy"].iloc[0]
    for order, (name, *_) in ORDERS.items():
        line = named(axes, name)
        assert xy(line)[0] == [0, 1, 2, 3, 4]
        own = table.loc[table["order"] == order, "accuracy"]
        assert xy(line)[1] == [whole, *own]
    lots = table[table["order"] == "random"].pivot_table(
        index="size", columns="draw", values="accuracy"
    )
    np.testing.assert_allclose(xy(named(axes, "random (mean)"))[1], [whole, *lots.mean(axis=1)])
    band = np.asarray(axes.collections[-1].get_paths()[0].vertices, dtype=np.float64)
    assert band[:, 1].min() == pytest.approx(min(whole, lots.to_numpy().min()))
    assert band[:, 1].max() == pytest.approx(max(whole, lots.to_numpy().max()))
    assert set(xy(named(axes, "chance"))[1]) == {0.5}


def test_the_size_of_the_number_units_is_marked_or_none_named() -> None:
    axes = panels(number_units_figure(carriers(number=3), sets(), probe()))[1]
    assert [text.get_text().strip() for text in axes.texts] == ["number units: 3"]
    assert xy(axes.lines[-1])[0] == [3, 3]
    axes = panels(number_units_figure(carriers(number=0), sets(), probe()))[1]
    assert [text.get_text().strip() for text in axes.texts] == ["no set brings accuracy to chance"]


@pytest.mark.parametrize("place", [2, 3])
def test_units_stand_at_their_weight_and_drop(place: int) -> None:
    table = carriers(layers=2)
    weight = "probe" if place == 2 else "readout"
    axes = panels(number_units_figure(table, sets(), probe(2)))[place]
    drawn: dict[tuple[bool, bool], set[tuple[float, float]]] = {}
    for line in axes.lines:
        if line.get_linestyle() == "None":
            number = same_color(line.get_color(), NUMBER_UNIT_COLOR)
            filled = not same_color(str(line.get_markerfacecolor()), "white")
            points = {(round(x, 9), round(y, 9)) for x, y in zip(*xy(line), strict=True)}
            drawn.setdefault((number, filled), set()).update(points)
    known = table[table[weight].notna()]
    for (number, filled), seen in drawn.items():
        own = known[known["number"] == number]
        drop = 100 * own["drop_with" if filled else "drop_without"]
        expected = np.round(np.stack([own[weight].abs(), drop], axis=1), 9)
        assert seen == {(x, y) for x, y in expected.tolist()}
    assert len(drawn) == 4


def test_a_thousand_units_leave_few_names(tmp_path: Path) -> None:
    figure = number_units_figure(carriers(500, layers=2, number=40), sets(50), probe(2))
    for axes in panels(figure)[2:]:
        assert 3 <= len(axes.texts) <= NAMED
        assert {text.get_text()[-7:] for text in axes.texts} == {"layer 2"}, (
            "number units come first"
        )
    save(figure, tmp_path / "thousand.png")


@pytest.mark.filterwarnings("error")
def test_two_units_and_what_is_unknown_can_be_drawn(tmp_path: Path) -> None:
    table = carriers(2, number=1).assign(drop_with=np.nan)
    few = probe().iloc[-1:].assign(control=np.nan, selectivity=np.nan)
    figure = number_units_figure(table, sets(1), few)
    assert [text.get_text() for text in panels(figure)[2].texts] == ["1", "2"]
    save(figure, tmp_path / "two.png")


def test_tables_of_something_else_are_refused() -> None:
    with pytest.raises(InputError, match=r"probe table: expected a column 'control', got"):
        number_units_figure(carriers(), sets(), probe().drop(columns="control"))
    with pytest.raises(InputError, match=r"sets table: expected at least one row, got none"):
        number_units_figure(carriers(), sets()[:0], probe())
