"""Figures of a study show the numbers of their tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from memgate.errors import InputError
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.reporting.plots import save
from memgate.reporting.plots.study import (
    cross_figure,
    curves_figure,
    difference_figure,
    paper_figure,
)


def accuracies(*datasets: str) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for data in datasets:
        for model, system in (("rnn", "network"), ("lstm", "network"), ("lstm", "majority")):
            strata = [("overall", "all")] + [
                ("intervening_x_attractors", f"{i} × {a}")
                for i in INTERVENING.names
                for a in ATTRACTORS.names[:3]
            ]
            for by, stratum in strata:
                share = rng.uniform(0.6, 0.9)
                figures = (100, 50, 100, share, share - 0.05, share + 0.05)
                rows.append((data, model, system, by, stratum, *figures))
    columns = ["data", "model", "system", "by", "stratum", "n", "correct", "items"]
    return pd.DataFrame(rows, columns=[*columns, "accuracy", "low", "high"])


def differences() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        ("x", a, b, by, stratum, d := rng.normal(0, 0.05), d - 0.02, d + 0.02)
        for a, b in (("rnn", "gru"), ("rnn", "lstm"))
        for by, names in (("intervening", INTERVENING.names), ("attractors", ATTRACTORS.names))
        for stratum in names
    ]
    columns = ["data", "a", "b", "by", "stratum", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def curves() -> pd.DataFrame:
    rows = [
        ("x", "gru", f"seed{seed}", metric, step, seed + step)
        for metric in ("train/loss", "val/loss", "val/accuracy")
        for seed, steps in ((0, 4), (1, 3))
        for step in range(steps)
    ]
    return pd.DataFrame(rows, columns=["data", "model", "run", "metric", "step", "value"])


def beside() -> pd.DataFrame:
    rows = [
        ("x", model, whose, k, error := 0.05 * (k + shift), error - 0.01, error + 0.01)
        for shift, (model, whose, most) in enumerate(
            [("gru", "ours", 5), ("LSTM (Linzen et al. 2016)", "paper", 4)]
        )
        for k in range(most + 1)
    ]
    columns = ["data", "model", "whose", "attractors", "error", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def legend(figure: Figure) -> list[str]:
    (shown,) = figure.legends
    return [text.get_text() for text in shown.get_texts()]


def test_accuracy_has_a_panel_a_number_of_attractors_and_a_row_a_data_set() -> None:
    table = accuracies("synthetic", "corpus")
    figure = cross_figure(table)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["0 attractors", "1 attractor", "2 attractors"] * 2
    assert [each for each in legend(figure) if "baseline" in each] == [
        "best baseline: majority (lstm)"
    ]
    own = table[(table["data"] == "corpus") & (table["stratum"].str.endswith(" × 1"))]
    lines = figure.axes[4].lines[1:]  # the first is chance
    for line, (model, system) in zip(
        lines, [("rnn", "network"), ("lstm", "network"), ("lstm", "majority")], strict=True
    ):
        drawn = own[(own["model"] == model) & (own["system"] == system)]
        assert np.asarray(line.get_ydata()).tolist() == drawn["accuracy"].to_list()


def test_differences_are_drawn_by_words_and_by_attractors() -> None:
    table = differences()
    figure = difference_figure(table)
    assert legend(figure) == ["rnn less gru", "rnn less lstm"]
    for axes, by in zip(figure.axes, ("intervening", "attractors"), strict=True):
        for line, b in zip(axes.lines[1:], ("gru", "lstm"), strict=True):
            drawn = table[(table["b"] == b) & (table["by"] == by)]["difference"]
            assert np.asarray(line.get_ydata()).tolist() == drawn.to_list()


def test_curves_have_a_line_a_seed_and_a_mean_as_far_as_all_went() -> None:
    figure = curves_figure(curves())
    one, other, mean = figure.axes[0].lines
    assert np.asarray(one.get_ydata()).tolist() == [0, 1, 2, 3]
    assert np.asarray(other.get_ydata()).tolist() == [1, 2, 3]
    assert np.asarray(mean.get_ydata()).tolist() == [0.5, 1.5, 2.5]


def test_the_papers_errors_are_dashed() -> None:
    figure = paper_figure(beside())
    ours, theirs = figure.axes[0].lines
    assert np.asarray(ours.get_ydata()).tolist() == pytest.approx([0, 0.05, 0.1, 0.15, 0.2, 0.25])
    assert np.asarray(theirs.get_ydata()).tolist() == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.25])
    assert (ours.get_linestyle(), theirs.get_linestyle()) == ("-", "--")
    assert legend(figure) == ["gru", "LSTM (Linzen et al. 2016)"]


@pytest.mark.parametrize(
    ("draw", "table"),
    [
        (cross_figure, accuracies("x")),
        (difference_figure, differences()),
        (curves_figure, curves()),
        (paper_figure, beside()),
    ],
)
def test_each_can_be_saved_and_refuses_what_it_can_not_draw(
    draw: type, table: pd.DataFrame, tmp_path: Path
) -> None:
    save(draw(table), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    with pytest.raises(InputError, match="expected a column 'data'"):
        draw(table.drop(columns="data"))
    with pytest.raises(InputError, match="expected"):
        draw(table.iloc[:0])
