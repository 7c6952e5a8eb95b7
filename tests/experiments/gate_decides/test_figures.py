"""The figures of the study, from tables as small as can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.gate_decides.figures import (
    FIGURES,
    clamp_figure,
    cut_figure,
    gradient_figure,
    role_figure,
)
from memgate.errors import InputError
from memgate.reporting.plots.canvas import save

SIZES = (2, 8, 100)


def tables() -> dict[str, pd.DataFrame]:
    networks = [
        {"cell": cell, "data": data, "units": units, "seed": seed}
        for data in ("synthetic", "corpus")
        for cell in ("rnn", "gru", "lstm")
        for units in SIZES
        for seed in (0, 1)
    ]
    roles: list[dict[str, object]] = []
    changes: list[dict[str, object]] = []
    gradients: list[dict[str, object]] = []
    for own in networks:
        gated, seed = own["cell"] != "rnn", int(str(own["seed"]))
        for reading in ["state_update", *(["write", "keep"] if gated else [])]:
            for place, role in enumerate(("before", "subject", "attractor", "noun", "other")):
                mean = (place + seed) / 10
                roles.append({**own, "of": "all", "reading": reading, "role": role, "mean": mean})
        edits: list[tuple[str, str | None, float | None, float]] = [
            ("none", None, None, 0.9 + 0.1 * seed),
            ("cut", "recurrent_input", None, 0.6),
        ]
        if gated:
            edits += [("clamp", "write", value, 0.9 - value / 4) for value in (0.0, 0.5, 1.0)]
            edits += [("clamp", "keep", 0.0, 0.1)]
        if own["cell"] == "lstm":
            edits += [("hold", "write", None, 0.8), ("cut", "output", None, 0.7)]
        for edit, quantity, to, accuracy in edits:
            change = {"edit": edit, "quantity": quantity, "to": to, "accuracy": accuracy}
            changes += [{**own, **change, "of": "all"}, {**own, **change, "of": "random"}]
        for trained in (True, False):
            for state in ("hidden", "cell") if own["cell"] == "lstm" else ("hidden",):
                for distance in range(4):
                    norm = {"median": 10.0**-distance, "min": 0.5 * 10.0**-distance, "max": 2.0}
                    about = {"trained": trained, "state": state, "distance": distance}
                    gradients.append({**own, **about, **norm})
    nouns = [
        {"data": data, "system": "first_noun", "by": "overall", "accuracy": accuracy}
        for data, accuracy in (("synthetic", 0.7), ("corpus", 0.8))
    ]
    made = {"roles": roles, "interventions": changes, "gradients": gradients, "baselines": nouns}
    frames = {name: pd.DataFrame(rows) for name, rows in made.items()}
    frames["gradients"] = frames["gradients"].query("seed == 0").drop(columns="seed")
    return frames


def x(line: Line2D) -> list[float]:
    return [float(value) for value in np.asarray(line.get_xdata())]


def y(line: Line2D) -> list[float]:
    return [float(value) for value in np.asarray(line.get_ydata())]


def panel(figure: Figure, title: str) -> Axes:
    (found,) = [axes for axes in figure.axes if axes.get_title(loc="left") == title]
    return found


def test_a_line_of_roles_is_the_mean_over_seeds() -> None:
    figure = role_figure(tables())
    axes = panel(figure, "LSTM: keep, corpus")
    lines = [line for line in axes.lines if line.get_linestyle() == "-"]
    assert len(lines) == len(SIZES)
    for line in lines:
        np.testing.assert_allclose(y(line), [0.05, 0.15, 0.25, 0.35, 0.45])
    dots = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert len(dots) == 2 * len(SIZES)
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names == ["before", "subject", "attractor", "matching\nnoun", "other\nbetween"]
    titles = {axes.get_title(loc="left") for axes in figure.axes}
    assert titles == {
        f"{gate}, {data}"
        for gate in ("GRU: write (1 − keep)", "LSTM: write", "LSTM: keep")
        for data in ("synthetic", "corpus")
    }


def test_clamp_values_show_chance_the_first_noun_and_the_trained_network() -> None:
    figure = clamp_figure(tables())
    assert len(figure.axes) == 4  # an RNN has no write
    axes = panel(figure, "GRU, corpus")
    curves = [line for line in axes.lines if len(x(line)) == 3]
    assert len(curves) == len(SIZES)
    np.testing.assert_allclose(x(curves[0]), [0, 0.5, 1])
    np.testing.assert_allclose(y(curves[0]), [0.9, 0.775, 0.65])
    level = [y(line) for line in axes.lines]
    assert [0.5, 0.5] in level
    assert [0.8, 0.8] in level
    assert [line for line in level if len(line) == 1] == [[pytest.approx(0.95)]] * len(SIZES)
    assert "trained" in [text.get_text() for text in axes.get_xticklabels()]


def test_cuts_show_what_each_cell_has() -> None:
    figure = cut_figure(tables())
    expected = {"RNN": [0.95, 0.6], "GRU": [0.95, 0.9, 0.6], "LSTM": [0.95, 0.8, 0.6, 0.7]}
    for cell, accuracies in expected.items():
        axes = panel(figure, f"{cell}, synthetic")
        means = [line for line in axes.lines if len(x(line)) == 3]
        drawn = [y(line)[0] for line in means]
        np.testing.assert_allclose(drawn, accuracies)
        assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "8", "100"]


def test_gradients_are_of_the_memory() -> None:
    made = tables()
    own = made["gradients"]
    own.loc[(own["cell"] == "lstm") & (own["state"] == "hidden"), "median"] = 7.0
    figure = gradient_figure(made)
    axes = panel(figure, "8 units, synthetic")
    assert axes.get_yscale() == "log"
    assert len(axes.lines) == 6
    for line in axes.lines:
        np.testing.assert_allclose(y(line), [1, 0.1, 0.01, 0.001])
    assert len(figure.axes) == 2 * 3


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_saved_and_wants_its_table(name: str, tmp_path: Path) -> None:
    made = tables()
    save(FIGURES[name](made), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 20_000
    table = {"clamp_values": "interventions", "cuts": "interventions"}.get(name, name)
    with pytest.raises(InputError, match=f"{table} table: expected at least one row"):
        FIGURES[name]({**made, table: made[table][:0]})
    with pytest.raises(InputError, match=f"{table} table: expected a column 'data'"):
        FIGURES[name]({**made, table: made[table].drop(columns="data")})
