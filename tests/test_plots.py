"""Figures show the numbers of their table, and are the same bytes each time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection, LineCollection, PathCollection
from matplotlib.colors import same_color, to_hex
from matplotlib.lines import Line2D

from memgate.errors import InputError
from memgate.metrics.accuracy import accuracy_table
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.plots import CELLS, OTHER, accuracy_figure, gate_figure, save

RNN, GRU, LSTM = (f"models:/memgate-{cell}-corpus@champion" for cell in ("rnn", "gru", "lstm"))


def accuracies(model: str, data: str, strata: list[tuple[str | None, str | None]]) -> pd.DataFrame:
    """Made-up accuracies, other ones for every model, data set and stratum."""
    rng = np.random.default_rng([len(model), len(data), len(strata)])
    n = rng.integers(20, 3000, size=len(strata))
    frame = pd.DataFrame(strata, columns=["intervening", "attractors"])
    frame = frame.assign(label="sg", n=n, correct=rng.binomial(n, rng.uniform(0.3, 1, len(n))))
    return accuracy_table(frame).assign(model=model, data=data)


EVERY: list[tuple[str | None, str | None]] = [
    (words, attractors) for words in INTERVENING.names for attractors in ATTRACTORS.names
]
GAP: list[tuple[str | None, str | None]] = [("0", "0"), ("3–5", "1"), ("11+", "1")]


def bar_ends(axes: Axes, place: int) -> npt.NDArray[np.float64]:
    """Low and high, a row a bar, of the model drawn at that place."""
    bars = [each for each in axes.collections if isinstance(each, LineCollection)][place]
    corners = [np.reshape(segment, (-1, 2)) for segment in bars.get_segments()]
    return np.concatenate(corners)[:, 1].reshape(-1, 2)


def drawn_dashes(line: Line2D) -> str:
    """The dashes as matplotlib keeps them; `get_linestyle` calls every dashed line '--'."""
    return str(vars(line)["_unscaled_dash_pattern"])


@pytest.fixture
def table() -> pd.DataFrame:
    parts = [
        accuracies(model, data, EVERY) for data in ("wiki", "ud_test") for model in (LSTM, RNN)
    ]
    return pd.concat([*parts, accuracies(GRU, "ud_test", GAP)], ignore_index=True)


def model_line(axes: Axes, model: str) -> Line2D:
    (line,) = (line for line in axes.lines if line.get_label() == model)
    return line


def points(line: Line2D) -> npt.NDArray[np.float64]:
    """Two columns, x and y."""
    return np.asarray(line.get_xydata(), dtype=np.float64)


def expected(
    table: pd.DataFrame, model: str, data: str, by: str, column: str
) -> npt.NDArray[np.float64]:
    """The column's number for each stratum in its order; NaN for one without items."""
    part = table[(table["model"] == model) & (table["data"] == data) & (table["by"] == by)]
    found = dict(zip(part["stratum"], part[column], strict=True))
    names = INTERVENING.names if by == "intervening" else ATTRACTORS.names
    return np.array([found.get(name, np.nan) for name in names], dtype=np.float64)


@pytest.mark.parametrize("model", [RNN, GRU, LSTM])
def test_lines_and_bars_are_the_numbers_of_the_table(table: pd.DataFrame, model: str) -> None:
    figure = accuracy_figure(table)
    place = [LSTM, RNN, GRU].index(model)
    keys = [(data, by) for data in ("wiki", "ud_test") for by in ("intervening", "attractors")]
    for axes, (data, by) in zip(figure.axes, keys, strict=True):
        x, y = points(model_line(axes, model)).T
        assert np.rint(x).tolist() == [0, 1, 2, 3, 4]  # beside its own stratum
        np.testing.assert_array_equal(y, expected(table, model, data, by, "accuracy"))
        ends = np.stack([expected(table, model, data, by, end) for end in ("low", "high")], axis=1)
        np.testing.assert_array_equal(bar_ends(axes, place), ends[~np.isnan(ends[:, 0])])


def test_band_limits_are_low_and_high(table: pd.DataFrame) -> None:
    axes = accuracy_figure(table).axes[0]
    bands = [each for each in axes.collections if isinstance(each, FillBetweenPolyCollection)]
    for model, band in zip([LSTM, RNN], bands[:2], strict=True):
        line = model_line(axes, model)
        corners = np.asarray(band.get_paths()[0].vertices)
        at = [corners[corners[:, 0] == x, 1] for x in points(line)[:, 0]]
        for end, found in (("low", [y.min() for y in at]), ("high", [y.max() for y in at])):
            limits = expected(table, model, "wiki", "intervening", end)
            np.testing.assert_array_equal(np.array(found), limits)
        assert same_color(to_hex(np.asarray(band.get_facecolor())[0]), line.get_color())


def test_axes_say_strata_items_percent_and_chance(table: pd.DataFrame) -> None:
    figure = accuracy_figure(table[table["model"] == LSTM])
    axes = figure.axes[0]
    n = expected(table, LSTM, "wiki", "intervening", "n")
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert labels == [f"{s}\nn {int(k):,}" for s, k in zip(INTERVENING.names, n, strict=True)]
    assert axes.get_xlabel() == "words between subject and verb"
    assert figure.axes[1].get_xlabel() == "attractors between subject and verb"
    assert axes.yaxis.get_major_formatter()(0.5) == "50%"
    assert [points(line)[:, 1].tolist() for line in axes.lines].count([0.5, 0.5]) == 1


def test_no_interval_is_cut_off(table: pd.DataFrame) -> None:
    for lowest in (0.02, 0.97):
        low = table["low"].where(table["by"] != "attractors", lowest).clip(lower=lowest)
        for axes in accuracy_figure(table.assign(low=low)).axes:
            bottom, top = axes.get_ylim()
            assert bottom < min(lowest, 0.5)
            assert top > 1


def test_strata_with_and_without_items_are_told_apart(table: pd.DataFrame) -> None:
    figure = accuracy_figure(table[(table["model"] == GRU)])
    ticks = [tick.get_text().split("\n")[1] for tick in figure.axes[0].get_xticklabels()]
    assert [tick == "none" for tick in ticks] == [False, True, False, True, False]


def test_models_that_saw_different_items_get_a_range(table: pd.DataFrame) -> None:
    axes = accuracy_figure(table).axes[2]
    n = [expected(table, model, "ud_test", "intervening", "n")[0] for model in (RNN, GRU, LSTM)]
    first = axes.get_xticklabels()[0].get_text()
    assert first == f"0\nn {int(min(n)):,}\nto {int(max(n)):,}"


def test_colours_are_fixed_by_the_cell_and_looks_differ() -> None:
    models = ["runs/lstm/my-gru", "GRU 2", *(f"gru_{i}" for i in range(6)), "x-rnn", "congruence"]
    figure = accuracy_figure(pd.concat([accuracies(model, "d", GAP) for model in models]))
    lines = [model_line(figure.axes[0], model) for model in models]
    cells = [CELLS["gru"]] * 8 + [CELLS["rnn"], OTHER]
    for line, (color, marker) in zip(lines, cells, strict=True):
        assert same_color(line.get_color(), color)
        assert line.get_marker() == marker
    looks = {
        (cell, drawn_dashes(line), str(line.get_markerfacecolor()))
        for line, cell in zip(lines, cells, strict=True)
    }
    assert len(looks) == len(models)


def test_the_legend_names_every_model_beside_its_own_line(table: pd.DataFrame) -> None:
    figure = accuracy_figure(table)
    (legend,) = figure.legends
    named = dict(zip([t.get_text() for t in legend.get_texts()], legend.get_lines(), strict=True))
    assert set(named) == {RNN, GRU, LSTM}
    for model, handle in named.items():
        assert same_color(handle.get_color(), model_line(figure.axes[0], model).get_color())


def test_one_stratum_is_drawn_with_its_interval() -> None:
    axes = accuracy_figure(accuracies("gru", "attr0", [("0", None)])).axes
    (y,) = (y for _, y in points(model_line(axes[0], "gru")) if np.isfinite(y))
    ((low, high),) = bar_ends(axes[0], place=0)
    assert low < y < high
    assert "not known for any item" not in [text.get_text() for text in axes[0].texts]
    assert "not known for any item" in [text.get_text() for text in axes[1].texts]


def test_items_without_any_stratum_still_give_a_figure(tmp_path: Path) -> None:
    figure = accuracy_figure(accuracies("gru", "prefixes", [(None, None)]))
    for axes in figure.axes:
        assert "not known for any item" in [text.get_text() for text in axes.texts]
    save(figure, tmp_path / "a.png")


def test_odd_names_are_drawn_as_they_are(tmp_path: Path) -> None:
    names = ["_hidden", r"a $\nosuchcommand$ b", "", "/very/long" * 30]
    figure = accuracy_figure(pd.concat([accuracies(name, "$d_1$", GAP) for name in names]))
    save(figure, tmp_path / "a.png")
    assert len(figure.legends[0].get_texts()) == len(names)
    width = figure.get_figwidth() * figure.dpi
    assert figure.legends[0].get_window_extent().width < width


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[:0], "accuracy table: expected at least one row, got none"),
        (lambda t: t.drop(columns="low"), "accuracy table: expected a column 'low', got"),
        (lambda t: t.replace("1–2", "1-2"), "expected intervening among .*, got '1-2'"),
        (lambda t: pd.concat([t, t]), "one row a point, got two for .*lstm.* wiki overall all"),
    ],
)
def test_a_table_that_cannot_be_drawn_is_refused(
    table: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        accuracy_figure(change(table))


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
        assert [layer.get_label() for layer in dots] == ["layer 0", "layer 1"]
        for place, layer in enumerate(dots):
            shares = own.loc[own["layer"] == place, ["below_0.1", "above_0.9"]]
            np.testing.assert_array_equal(np.asarray(layer.get_offsets()), shares)
        assert each.get_xlabel() == "words with the gate below 0.1"
    assert axes[0].get_ylabel() == "words with the gate above 0.9"


def test_layers_are_named_only_where_there_are_several() -> None:
    assert not gate_figure(gates("gru")).legends
    (legend,) = gate_figure(gates("gru", layers=3)).legends
    assert [text.get_text() for text in legend.get_texts()] == ["layer 0", "layer 1", "layer 2"]


def test_a_reading_without_a_title_of_its_own_gets_its_own_panel() -> None:
    table = pd.concat([gates("gru"), gates("gru").assign(reading="effect")])
    titles = [axes.get_title(loc="left") for axes in gate_figure(table).axes]
    assert titles[2:] == ["effect (reset)", "effect (update)", "reset"]


def test_an_rnn_gets_a_figure_that_says_it_has_no_gates(tmp_path: Path) -> None:
    for table in (pd.DataFrame(), gates("gru")[:0]):
        figure = gate_figure(table)
        assert [text.get_text()[:19] for text in figure.texts] == ["An RNN has no gates"]
    save(figure, tmp_path / "gates.png")


def test_a_gate_table_without_a_column_is_refused() -> None:
    with pytest.raises(InputError, match=r"gate table: expected a column 'above_0.9', got"):
        gate_figure(gates("lstm").drop(columns="above_0.9"))


def test_the_same_table_gives_the_same_bytes(table: pd.DataFrame, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save(accuracy_figure(table.copy()), tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    assert first.startswith(b"\x89PNG")
    assert b"matplotlib" not in first.lower()


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    figure = gate_figure(gates("gru"))
    figure.text(0.5, 0.5, r"$\nosuchcommand$")  # fails while it is drawn
    with pytest.raises(ValueError, match="nosuchcommand"):
        save(figure, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        save(gate_figure(pd.DataFrame()), path)
    assert list(tmp_path.iterdir()) == [path]


def test_no_pyplot_and_no_display() -> None:
    code = "import sys, memgate.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
