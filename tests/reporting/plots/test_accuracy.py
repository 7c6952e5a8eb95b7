"""Figures of accuracy show the numbers of their table, and the best baseline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection, LineCollection
from matplotlib.colors import same_color, to_hex
from matplotlib.lines import Line2D

from memgate.errors import InputError
from memgate.metrics.accuracy import accuracy_table
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.reporting.plots import accuracy_figure, save
from memgate.reporting.plots.canvas import CELLS, GREY, OTHER_CELL

RNN, GRU, LSTM = (f"models:/memgate-{cell}-corpus@champion" for cell in ("rnn", "gru", "lstm"))


def accuracies(
    model: str,
    data: str,
    strata: list[tuple[str | None, str | None]],
    system: str = "network",
    seed: int = 0,
) -> pd.DataFrame:
    """Made-up accuracies, other ones for every model, data set, system and stratum."""
    rng = np.random.default_rng([len(model), len(data), len(strata), len(system), seed])
    n = rng.integers(20, 3000, size=len(strata))
    frame = pd.DataFrame(strata, columns=["intervening", "attractors"])
    frame = frame.assign(label="sg", n=n, correct=rng.binomial(n, rng.uniform(0.3, 1, len(n))))
    return accuracy_table(frame).assign(model=model, data=data, system=system)


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
    cells = [CELLS["gru"]] * 8 + [CELLS["rnn"], OTHER_CELL]
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
        (lambda t: t.assign(system="last_noun"), "at least one row of a network, got none"),
        (lambda t: t.assign(system="oracle"), "expected system among network, .*, got 'oracle'"),
        (lambda t: t.drop(columns="system"), "accuracy table: expected a column 'system', got"),
        (lambda t: t.drop(columns="low"), "accuracy table: expected a column 'low', got"),
        (lambda t: t.replace("1–2", "1-2"), "expected intervening among .*, got '1-2'"),
        (
            lambda t: pd.concat([t, t]),
            "one row a point, got two for .*lstm.* wiki network overall all",
        ),
    ],
)
def test_a_table_that_cannot_be_drawn_is_refused(
    table: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        accuracy_figure(change(table))


def with_baseline(accuracy: float, system: str, data: str, n: int = 100) -> pd.DataFrame:
    """A baseline of the LSTM as good everywhere, on n items of every stratum."""
    frame = pd.DataFrame(EVERY, columns=["intervening", "attractors"])
    frame = frame.assign(label="sg", n=n, correct=round(accuracy * n))
    return accuracy_table(frame).assign(model=LSTM, data=data, system=system)


@pytest.fixture
def beside() -> pd.DataFrame:
    """Two data sets of 100 items a stratum; another baseline is best on each."""
    parts = [
        with_baseline(accuracy, system, data)
        for data, accuracies in (("wiki", (0.9, 0.6, 0.7)), ("ud_test", (0.95, 0.8, 0.1)))
        for system, accuracy in zip(
            ("network", "first_noun", "last_words"), accuracies, strict=True
        )
    ]
    return pd.concat(parts, ignore_index=True)


def test_the_best_baseline_of_each_data_set_is_a_grey_line(beside: pd.DataFrame) -> None:
    figure = accuracy_figure(beside)
    names = ["best baseline: last three words", "best baseline: first noun"]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {LSTM, *names}
    for place, (name, accuracy) in enumerate(zip(names, (0.7, 0.8), strict=True)):
        for axes in figure.axes[2 * place : 2 * place + 2]:
            line = model_line(axes, name)
            assert points(line).tolist() == [[x, accuracy] for x in range(5)]
            assert same_color(line.get_color(), GREY)
            assert not [other for other in names if other != name and other in labels(axes)]
    looks = {handle.get_marker() for handle in figure.legends[0].get_lines()}
    assert len(looks) == 3


def labels(axes: Axes) -> list[str]:
    return [str(line.get_label()) for line in axes.lines]


def test_baselines_change_nothing_that_is_drawn_of_the_networks(beside: pd.DataFrame) -> None:
    with_them, without = (
        accuracy_figure(table) for table in (beside, beside[beside["system"] == "network"])
    )
    for one, other in zip(with_them.axes, without.axes, strict=True):
        np.testing.assert_array_equal(
            points(model_line(one, LSTM)), points(model_line(other, LSTM))
        )
        assert len(one.collections) == len(other.collections)
        assert labels(other) == [label for label in labels(one) if "baseline" not in label]
        ticks = [[tick.get_text() for tick in each.get_xticklabels()] for each in (one, other)]
        assert ticks[0] == ticks[1]


def test_a_baseline_far_below_chance_is_not_cut_off(beside: pd.DataFrame) -> None:
    low = pd.concat([beside, with_baseline(0.02, "last_noun", "third")])
    low = pd.concat([low, with_baseline(0.9, "network", "third")])
    assert accuracy_figure(low).axes[0].get_ylim()[0] < 0.02


def test_a_baseline_of_one_of_several_models_is_named_with_it(beside: pd.DataFrame) -> None:
    gru = with_baseline(0.85, "network", "wiki").assign(model=GRU)
    figure = accuracy_figure(pd.concat([beside, gru]))
    texts = {text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()}
    assert texts == {
        LSTM,
        GRU,
        f"best baseline: last three words ({LSTM})",
        "best baseline: first noun",  # on ud_test only the LSTM was scored
    }
