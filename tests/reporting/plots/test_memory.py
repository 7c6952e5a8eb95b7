"""Figures of memory show the numbers of their table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memgate.errors import InputError
from memgate.reporting.plots import gradient_figure, save, timescale_figure


def timescales(*gates: str, layers: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        (layer, gate, unit, rng.lognormal())
        for gate in gates
        for layer in range(layers)
        for unit in range(5)
    ]
    return pd.DataFrame(rows, columns=["layer", "gate", "unit", "timescale"])


def norms(layers: int = 1, bottom: float = 1e-4) -> pd.DataFrame:
    rows = []
    for cell, states in {"rnn": ["hidden"], "lstm": ["hidden", "cell"]}.items():
        for trained in (True, False):
            for state in states:
                for layer in range(layers):
                    for distance in range(4):
                        middle = bottom ** (distance / 3) * (1 + layer + trained)
                        row = (
                            cell,
                            trained,
                            state,
                            layer,
                            distance,
                            middle / 2,
                            middle,
                            middle * 3,
                        )
                        rows.append(row)
    columns = ["cell", "trained", "state", "layer", "distance", "q10", "median", "q90"]
    return pd.DataFrame(rows, columns=columns)


def names(figure: object) -> list[str]:
    (legend,) = figure.legends  # type: ignore[attr-defined]
    return [text.get_text() for text in legend.get_texts()]


def test_each_step_of_the_timescales_is_a_unit(tmp_path: Path) -> None:
    table = timescales("forget", "update")
    figure = timescale_figure(table)
    (axes,) = figure.axes
    for patch, gate in zip(axes.patches, ["forget", "update"], strict=True):
        words = np.sort(table.loc[table["gate"] == gate, "timescale"])
        steps = patch.get_data()  # type: ignore[attr-defined]
        np.testing.assert_allclose(steps.edges[1:-1], words)
        np.testing.assert_allclose(steps.values, [1, 0.8, 0.6, 0.4, 0.2, 0], atol=1e-12)
    assert names(figure) == ["LSTM, keep = forget", "GRU, keep = z"]
    save(figure, tmp_path / "timescales.png")


def test_layers_are_named_where_there_are_several() -> None:
    assert names(timescale_figure(timescales("update", layers=2))) == [
        "GRU, keep = z, layer 1",
        "GRU, keep = z, layer 2",
    ]
    assert len(names(gradient_figure(norms(layers=2)))) == 8


def test_units_that_keep_all_or_nothing_stand_at_the_ends(tmp_path: Path) -> None:
    table = timescales("forget").assign(timescale=[0.0, 1.0, 2.0, np.inf, np.inf])
    (axes,) = timescale_figure(table).axes
    edges = axes.patches[0].get_data().edges  # type: ignore[attr-defined]
    assert edges[1:-1].tolist() == [0.1, 1, 2, 100, 100]
    save(timescale_figure(table.assign(timescale=np.inf)), tmp_path / "infinite.png")


def test_an_rnn_gets_a_figure_that_says_it_has_no_timescale() -> None:
    figure = timescale_figure(timescales("forget")[:0])
    assert [text.get_text()[:16] for text in figure.texts] == ["An RNN has no ga"]


def test_each_line_of_the_gradients_is_a_network(tmp_path: Path) -> None:
    table = norms()
    figure = gradient_figure(table)
    hidden, cell = figure.axes
    assert [axes.get_title(loc="left") for axes in (hidden, cell)] == [
        "hidden state",
        "cell (LSTM)",
    ]
    expected = ["LSTM, trained", "LSTM, untrained", "RNN, trained", "RNN, untrained"]
    assert sorted(names(figure)) == expected
    assert [len(axes.lines) for axes in (hidden, cell)] == [4, 2]
    for line in hidden.lines:
        name, training = str(line.get_label()).split(", ")
        own = table[
            (table["cell"] == name.lower())
            & (table["trained"] == (training == "trained"))
            & (table["state"] == "hidden")
        ]
        np.testing.assert_array_equal(line.get_xdata(), own["distance"])
        np.testing.assert_array_equal(line.get_ydata(), own["median"])
        assert line.get_linestyle() == ("-" if training == "trained" else "--")
    assert len(hidden.collections) == 2, "a band behind each trained network"
    assert hidden.get_xlim()[0] > hidden.get_xlim()[1], "the verb is on the right"
    assert hidden.get_ylim()[0] < table["median"].min()
    save(figure, tmp_path / "gradients.png")


def test_what_vanishes_altogether_does_not_press_the_rest_together() -> None:
    figure = gradient_figure(norms(bottom=1e-30))
    assert figure.axes[0].get_ylim()[0] > 1e-13
    assert "not below 1e-12" in figure.get_supxlabel()


def test_tables_of_something_else_are_refused() -> None:
    with pytest.raises(InputError, match=r"timescale table: expected a column 'timescale', got"):
        timescale_figure(timescales("forget").drop(columns="timescale"))
    with pytest.raises(InputError, match=r"expected gate forget or update, got 'reset'"):
        timescale_figure(timescales("reset"))
    with pytest.raises(InputError, match=r"gradient table: expected a column 'median', got"):
        gradient_figure(norms().drop(columns="median"))
    with pytest.raises(InputError, match="expected at least one row, got none"):
        gradient_figure(norms()[:0])
