"""Timescales by hand, and rank correlations against SciPy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from memgate.errors import InputError
from memgate.gates.timescales import (
    half_life_correlation,
    rank_correlation,
    timescale,
    timescale_summary,
    timescale_table,
    with_half_lives,
)
from memgate.models.classifier import CellName, Classifier
from tests.unlabelled import gate_statistics


def test_a_timescale_is_the_time_in_which_memory_falls_to_1_in_e() -> None:
    keep = np.array([0.0, 0.5, np.exp(-1), np.exp(-1 / 7), 1.0])
    np.testing.assert_allclose(timescale(keep), [0, 1 / np.log(2), 1, 7, np.inf], rtol=1e-12)


@given(st.floats(0.01, 0.99))
def test_what_is_kept_so_long_is_1_in_e(keep: float) -> None:
    words = timescale(np.array([keep]))[0]
    assert keep**words == pytest.approx(np.exp(-1))


@pytest.mark.parametrize(("cell", "gate", "part"), [("gru", "update", 1), ("lstm", "forget", 1)])
def test_the_gate_that_keeps_is_read(cell: CellName, gate: str, part: int) -> None:
    classifier = Classifier(5, cell, 2, 3)
    keep = torch.tensor([0.2, 0.5, 0.9])
    with torch.no_grad():
        for weight in classifier.recurrence.parameters():
            weight.zero_()
        bias = classifier.state_dict()["recurrence.bias_ih_l0"]
        bias[3 * part : 3 * part + 3] = torch.logit(keep)
    gates = gate_statistics(classifier, [torch.zeros(2, 4, dtype=torch.int64)])
    table = timescale_table(gates)
    assert table["gate"].tolist() == [gate] * 3
    np.testing.assert_allclose(table["keep"], keep, rtol=1e-6)
    np.testing.assert_allclose(table["timescale"], -1 / np.log([0.2, 0.5, 0.9]), rtol=1e-5)
    (summary,) = timescale_summary(table).to_dict("records")
    assert (summary["layer"], summary["gate"], summary["n"]) == (0, gate, 3)
    expected = table["timescale"].tolist()
    assert [summary[name] for name in ("min", "median", "max")] == expected


def test_an_rnn_has_no_timescale() -> None:
    gates = gate_statistics(Classifier(5, "rnn", 2, 3), [torch.zeros(1, 2, dtype=torch.int64)])
    assert timescale_table(gates).empty
    assert timescale_summary(timescale_table(gates)).empty


def test_infinite_timescales_do_the_summary_no_harm() -> None:
    table = pd.DataFrame(
        {"layer": 0, "gate": "forget", "unit": range(4), "timescale": [1.0, 2.0, 3.0, np.inf]}
    )
    (row,) = timescale_summary(table).to_dict("records")
    assert (row["median"], row["max"]) == (2.0, np.inf)


def test_a_table_of_something_else_is_refused() -> None:
    with pytest.raises(InputError, match=r"gate table: expected also \['reading'\]"):
        timescale_table(pd.DataFrame(columns=["layer", "gate", "unit", "mean"]))


pairs = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=3, max_size=30)


@given(pairs)
def test_rank_correlation_is_that_of_scipy(numbers: list[tuple[int, int]]) -> None:
    first, second = np.array(numbers, dtype=np.float64).T
    found = rank_correlation(first, second, resamples=50)
    assert found.n == len(numbers)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert np.isnan(found.rho)
        return
    assert found.rho == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


def test_its_interval_covers_what_it_should() -> None:
    """Of 100 samples of 60 pairs with a rank correlation of 0.48, about 95 intervals hold it."""
    rng = np.random.default_rng(0)
    true = 6 / np.pi * np.arcsin(0.5 / 2)  # of normal pairs with a correlation of 0.5
    hits = 0
    for seed in range(100):
        first, noise = rng.normal(size=(2, 60))
        found = rank_correlation(first, 0.5 * first + np.sqrt(0.75) * noise, seed, resamples=200)
        hits += found.low <= true <= found.high
    assert 88 <= hits <= 100


def test_infinity_ranks_last_and_seeds_repeat() -> None:
    first, second = np.array([1, 2, 3, np.inf]), np.array([1.0, 2, 3, 4])
    assert rank_correlation(first, second).rho == pytest.approx(1)
    rng = np.random.default_rng(0)
    pair = rng.normal(size=20), rng.normal(size=20)
    assert rank_correlation(*pair, seed=3) == rank_correlation(*pair, seed=3)
    assert rank_correlation(*pair, seed=3) != rank_correlation(*pair, seed=4)
    assert np.isnan(rank_correlation(np.zeros(0), np.zeros(0)).rho)


@pytest.mark.parametrize("second", [[1.0, 2.0], [1.0, np.nan, 2.0]])
def test_what_are_no_pairs_is_refused(second: list[float]) -> None:
    with pytest.raises(InputError, match="expected pairs of numbers"):
        rank_correlation(np.arange(3.0), np.array(second))


def test_whether_timescales_predict_half_lives_is_said_of_the_units_that_have_both() -> None:
    table = pd.DataFrame({"layer": 0, "unit": range(6), "timescale": [1.0, 2, 3, 5, 8, np.inf]})
    decay = pd.DataFrame(
        {"layer": [0] * 5, "unit": [5, 3, 2, 1, 0], "half_life": [9.0, 4, 6, np.nan, 1]}
    )
    both = with_half_lives(table, decay)
    assert both["half_life"].fillna(-1).tolist() == [1, -1, 6, 4, -1, 9]
    found = half_life_correlation(both)
    assert found.n == 4
    assert found.rho == pytest.approx(spearmanr([1, 3, 5, 8e9], [1, 6, 4, 9]).statistic)
    assert found.low <= found.rho <= found.high
    assert half_life_correlation(both[both["unit"] != 0]).n == 0  # three units are too few to say
