"""Figures of gates show the numbers of their table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from memgate.errors import InputError
from memgate.reporting.plots import gate_figure, save


def gates(cell: str, layers: int = 1, units: int = 4) -> pd.DataFrame:
    kinds: dict[str, list[tuple[str, str | None]]] = {
        "lstm": [("input", "write"), ("forget", "keep"), ("output", None)],
        "gru": [("reset", None), ("update", "write"), ("update", "keep")],
    }
    rng = np.random.default_rng(3)
    rows = [
        (layer, gate, reading, unit, 90, 0.5, 0.1, *(rng.random(2) / 2))
        for layer in range(layers)
        for gate, reading in kinds[cell]
        for unit in range(units)
    ]
    columns = ["layer", "gate", "reading", "unit", "n", "mean", "sd", "below_0.1", "above_0.9"]
    return pd.DataFrame(rows, columns=columns).astype({"reading": "string"})


GATE_PANELS = {
    "lstm": [("keep (forget)", "forget"), ("write (input)", "input"), ("output", "output")],
    "gru": [("keep (update, z)", "keep"), ("write (1 − z)", "write"), ("reset", "reset")],
}


@pytest.mark.parametrize(("cell", "column"), [("lstm", "gate"), ("gru", "reading")])
def test_each_gate_panel_shows_its_own_units(cell: str, column: str) -> None:
    table = gates(cell, layers=2)
    axes = gate_figure(table).axes
    assert [each.get_title(loc="left") for each in axes] == [name for name, _ in GATE_PANELS[cell]]
    for each, (_, value) in zip(axes, GATE_PANELS[cell], strict=True):
        own = table[table[column].fillna("reset") == value]
        dots = [layer for layer in each.collections if isinstance(layer, PathCollection)]
        assert [layer.get_label() for layer in dots] == ["layer 1", "layer 2"]
        for place, layer in enumerate(dots):
            shares = own.loc[own["layer"] == place, ["below_0.1", "above_0.9"]]
            np.testing.assert_array_equal(np.asarray(layer.get_offsets()), shares)
        assert each.get_xlabel() == "words with the gate below 0.1"
    assert axes[0].get_ylabel() == "words with the gate above 0.9"


def test_layers_are_named_only_where_there_are_several() -> None:
    assert not gate_figure(gates("gru")).legends
    (legend,) = gate_figure(gates("gru", layers=3)).legends
    assert [text.get_text() for text in legend.get_texts()] == ["layer 1", "layer 2", "layer 3"]


def test_a_reading_without_a_title_of_its_own_gets_its_own_panel() -> None:
    table = pd.concat([gates("gru"), gates("gru").assign(reading="state_update")])
    titles = [axes.get_title(loc="left") for axes in gate_figure(table).axes]
    assert titles[2:] == ["reset", "state_update (reset)", "state_update (update)"]


def test_an_rnn_gets_a_figure_that_says_it_has_no_gates(tmp_path: Path) -> None:
    for table in (pd.DataFrame(), gates("gru")[:0]):
        figure = gate_figure(table)
        assert [text.get_text()[:19] for text in figure.texts] == ["An RNN has no gates"]
    save(figure, tmp_path / "gates.png")


def test_a_gate_table_without_a_column_is_refused() -> None:
    with pytest.raises(InputError, match=r"gate table: expected a column 'above_0.9', got"):
        gate_figure(gates("lstm").drop(columns="above_0.9"))
