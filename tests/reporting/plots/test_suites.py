"""Figures of suites show the numbers of their table, a line of dots for each condition."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import same_color, to_hex
from matplotlib.lines import Line2D

from memgate.errors import InputError
from memgate.reporting.plots import save, suite_figure
from memgate.reporting.plots.canvas import CELLS, GREY

GRU, LSTM = "memgate-gru-corpus@champion", "memgate-lstm-corpus@champion"
LONG = "R__VERB_NOUN_CCONJ_VERB original [verb before]"
CONDITIONS = {"lakretz": ["simple S", "nounpp SP", "adv P"], "colorless_green": [LONG]}


def suite(model: str, name: str, system: str = "network", n: int = 600) -> pd.DataFrame:
    """Made-up figures, other ones for every model, suite, system and condition."""
    rng = np.random.default_rng([len(model), len(name), len(system)])
    conditions = CONDITIONS[name]
    accuracy = rng.uniform(0.1, 0.9, len(conditions))
    return pd.DataFrame(
        {
            "model": model,
            "suite": name,
            "system": system,
            "condition": conditions,
            "n": n,
            "correct": np.rint(accuracy * n).astype(int),
            "accuracy": accuracy,
            "low": accuracy - 0.1,
            "high": accuracy + 0.05,
            "chance": 0.5,
            "questions": n,
        }
    )


@pytest.fixture
def table() -> pd.DataFrame:
    names = ("lakretz", "colorless_green")
    parts = [suite(model, name) for model in (GRU, LSTM) for name in names]
    best = [suite(LSTM, name, "first_noun").assign(correct=590) for name in names]
    worse = [suite(LSTM, name, "majority").assign(correct=10) for name in names]
    return pd.concat([*parts, *best, *worse], ignore_index=True)


def dots(axes: Axes, label: str) -> Line2D:
    (line,) = (line for line in axes.lines if str(line.get_label()).replace("\n", " ") == label)
    assert line.get_linestyle() == "None"
    return line


def bars(axes: Axes) -> list[np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """Ends (low, high) of each series, a row a bar."""
    found = [each for each in axes.collections if isinstance(each, LineCollection)]
    ends = [np.array([np.asarray(bar)[:, 0] for bar in each.get_segments()]) for each in found]
    return [each for each in ends if each.size and (each[:, 0] != each[:, 1]).all()]  # not chance


@pytest.mark.parametrize("name", ["lakretz", "colorless_green"])
def test_dots_and_bars_are_the_numbers_of_the_table(table: pd.DataFrame, name: str) -> None:
    axes = suite_figure(table).axes[list(CONDITIONS).index(name)]
    assert axes.get_title(loc="left") == name
    assert [tick.get_text() for tick in axes.get_yticklabels()] == CONDITIONS[name]
    top, bottom = axes.get_ylim()[1], axes.get_ylim()[0]
    assert top < bottom  # the first condition above
    drawn = bars(axes)
    assert len(drawn) == 2  # networks only
    for place, model in enumerate((GRU, LSTM)):
        x, y = np.asarray(dots(axes, model).get_xydata()).T
        np.testing.assert_array_equal(np.rint(y), np.arange(len(CONDITIONS[name])))
        own = suite(model, name)
        np.testing.assert_array_equal(x, own["accuracy"])
        np.testing.assert_array_equal(drawn[place], own[["low", "high"]])
        cell = CELLS["gru" if model == GRU else "lstm"][0]
        assert same_color(dots(axes, model).get_color(), cell)


def test_the_best_baseline_is_open_and_grey_and_no_other_is_drawn(table: pd.DataFrame) -> None:
    figure = suite_figure(table)
    best = f"best baseline: first noun ({LSTM})"
    texts = [text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()]
    assert sorted(texts) == sorted([GRU, LSTM, best, "chance"])
    for axes, name in zip(figure.axes, CONDITIONS, strict=True):
        line = dots(axes, best)
        x = np.asarray(line.get_xydata())[:, 0]
        np.testing.assert_array_equal(x, suite(LSTM, name, "first_noun")["accuracy"])
        assert same_color(line.get_color(), GREY)
        assert line.get_markerfacecolor() == "white"
        assert len(axes.lines) == 3


def test_no_two_dots_of_a_condition_are_on_one_height(table: pd.DataFrame) -> None:
    axes = suite_figure(table).axes[0]
    heights = [np.asarray(line.get_xydata())[0, 1] for line in axes.lines]
    assert len(set(heights)) == 3
    assert max(map(abs, heights)) < 0.5  # within the condition's own stripe


def test_chance_stands_where_the_table_has_it(table: pd.DataFrame) -> None:
    table.loc[table["condition"] == "nounpp SP", "chance"] = 0.25
    axes = suite_figure(table).axes[0]
    (chance,) = (
        each.get_segments()
        for each in axes.collections
        if isinstance(each, LineCollection)
        and same_color(to_hex(np.asarray(each.get_color())[0]), GREY)
        if len(each.get_segments()) == 3
    )
    assert [np.asarray(line)[:, 0].tolist() for line in chance] == [
        [x, x] for x in (0.5, 0.25, 0.5)
    ]


def test_n_stands_beside_and_questions_where_they_are_fewer(table: pd.DataFrame) -> None:
    table.loc[table["condition"] == "simple S", "questions"] = 20
    figure = suite_figure(table)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["n 600 (20)", "n 600", "n 600"]
    assert "count once" in figure.get_supxlabel()
    assert "distinct" not in suite_figure(table[table["suite"] != "lakretz"]).get_supxlabel()


@pytest.mark.parametrize("models", [1, 6])
@pytest.mark.parametrize("conditions", [1, 40])
def test_nothing_overlaps_with_few_and_many_conditions(models: int, conditions: int) -> None:
    one = suite(GRU, "colorless_green")
    parts = [
        one.assign(model=f"model {model}", condition=f"{LONG} {condition}")
        for model in range(models)
        for condition in range(conditions)
    ]
    figure = suite_figure(pd.concat(parts))
    figure.draw_without_rendering()  # lays it out
    (axes,) = figure.axes
    width = figure.get_figwidth() * figure.dpi
    names = [tick.get_window_extent() for tick in axes.get_yticklabels()]
    assert all(upper.y0 > lower.y1 for upper, lower in pairwise(names))
    assert min(name.x0 for name in names) >= 0
    assert axes.get_window_extent().width > 0.4 * width
    assert max(text.get_window_extent().x1 for text in axes.texts) <= width
    assert figure.legends[0].get_window_extent().y0 >= axes.get_window_extent().y1


def test_works_without_baselines_and_with_a_condition_that_a_model_lacks(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    networks = table[table["system"] == "network"]
    gap = networks[~((networks["model"] == LSTM) & (networks["condition"] == "nounpp SP"))]
    axes = suite_figure(gap).axes[0]
    x = np.asarray(dots(axes, LSTM).get_xydata())[:, 0]
    assert np.isnan(x).tolist() == [False, True, False]
    save(suite_figure(gap), tmp_path / "a.png")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[:0], "suite table: expected at least one row, got none"),
        (lambda t: t.drop(columns="chance"), "suite table: expected a column 'chance', got"),
        (lambda t: t.assign(system="x"), "suite table: expected system among network.*, got 'x'"),
        (lambda t: pd.concat([t, t]), "got two for .*gru.* lakretz network simple S"),
    ],
)
def test_a_table_that_cannot_be_drawn_is_refused(
    table: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        suite_figure(change(table))
