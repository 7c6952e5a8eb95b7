"""The bootstrap over seeds and items, against hand-worked cases, statsmodels, and plain loops."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from memgate.metrics.bootstrap import two_level

Bools = npt.NDArray[np.bool_]


def everything(n: int) -> Bools:
    return np.ones((1, n), dtype=bool)


def table(*rows: str) -> Bools:
    return np.array([[mark == "1" for mark in row] for row in rows])


def frequencies(resamples: npt.NDArray[np.float32]) -> dict[float, float]:
    values, counts = np.unique(resamples.round(6), return_counts=True)
    return dict(zip(values.tolist(), (counts / counts.sum()).tolist(), strict=True))


def test_two_seeds_and_two_items_as_worked_by_hand() -> None:
    # One of two seeds is drawn. The second has both right: 1 in any case, ½. The first has the
    # first item only: twice that item 1 (¼), both ½ (½), twice the other 0 (¼).
    found = two_level({"a": table("10", "11")}, everything(2), resamples=40_000)
    assert found.measured.tolist() == [[0.75]]
    shares = frequencies(found.resamples)
    assert shares == pytest.approx({0.0: 1 / 8, 0.5: 1 / 4, 1.0: 5 / 8}, abs=0.01)


def test_of_three_seeds_two_are_drawn() -> None:
    # one seed all right, two all wrong: the right one comes up Binomial(2, 1/3) times of two
    found = two_level({"a": table("1111", "0000", "0000")}, everything(4), resamples=40_000)
    shares = frequencies(found.resamples)
    assert shares == pytest.approx({0.0: 4 / 9, 0.5: 4 / 9, 1.0: 1 / 9}, abs=0.01)


def test_the_variance_between_seeds_is_unbiased() -> None:
    # seeds that differ, all items alike within one: s² / S, and not s² (S − 1) / S²
    right = np.array([3, 5, 6, 9, 7])
    found = two_level({"a": np.arange(100)[None] < 10 * right[:, None]}, everything(100), 20_000)
    between = np.var(right / 10, ddof=1) / 5
    items = found.measured[0, 0] * (1 - found.measured[0, 0]) / 100
    assert np.var(found.resamples) > between
    assert np.var(found.resamples) == pytest.approx(between + items, rel=0.15)


@settings(max_examples=40)
@given(st.integers(100, 1900))
def test_with_one_seed_it_is_the_interval_of_a_proportion(right: int) -> None:
    n = 2000
    found = two_level({"a": np.arange(n)[None] < right}, everything(n), resamples=1000)
    (low,), (high,) = (side[0] for side in found.intervals())
    half = 1.96 * np.sqrt(right / n * (1 - right / n) / n)
    tolerance = 0.25 * half  # of 1,000 resamples a limit has an error of 4%
    for expected in (
        proportion_confint(right, n, method="normal"),
        stats.binom.ppf([0.025, 0.975], n, right / n) / n,  # what the resamples tend to
    ):
        assert (low, high) == pytest.approx(tuple(np.asarray(expected)), abs=tolerance)


@settings(max_examples=40)
@given(st.integers(0, 1000))
def test_a_difference_with_one_seed_is_that_of_paired_items(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, easy = 1500, rng.random(1500) * 0.6
    a, b = (rng.random((1, n)) < easy + more for more in (0.35, 0.3))
    found = two_level({"a": a, "b": b}, everything(n), resamples=1000, seed=seed)
    (difference,), (low,), (high,) = found.difference("a", "b")
    d = DescrStatsW(a[0].astype(float) - b[0])
    assert difference == pytest.approx(d.mean)
    tolerance = 0.25 * 1.96 * d.std_mean
    assert (low, high) == pytest.approx(d.zconfint_mean(), abs=tolerance)


def test_equal_answers_differ_by_nothing() -> None:
    answers = np.random.default_rng(0).random((1, 300)) < 0.8
    found = two_level({"a": answers, "b": answers.copy()}, everything(300), resamples=200)
    assert [float(each[0]) for each in found.difference("a", "b")] == [0, 0, 0]


def slowly(
    correct: Mapping[str, Bools], strata: Bools, resamples: int, seed: int
) -> npt.NDArray[np.float64]:
    """The same draws, and every mean taken one by one over the drawn items and networks."""
    rng = np.random.default_rng(seed)
    n = strata.shape[1]
    items = rng.integers(n, size=(resamples, n))
    result = np.full((resamples, len(correct), len(strata)), np.nan)
    for g, answers in enumerate(correct.values()):
        networks = len(answers)
        draws = max(1, networks - 1)
        seeds = rng.multinomial(draws, np.full(networks, 1 / networks), size=resamples)
        for b in range(resamples):
            for k, members in enumerate(strata):
                drawn = [item for item in items[b] if members[item]]
                if drawn:
                    shares = answers[:, drawn].mean(axis=1)
                    result[b, g, k] = (shares * seeds[b]).sum() / draws
    return result


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4), st.integers(3, 12))
def test_patterns_and_matrices_give_what_loops_give(seed: int, s: int, t: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    correct = {"a": rng.random((s, n)) < 0.6, "b": rng.random((t, n)) < 0.4}
    strata = np.stack([np.ones(n, bool), rng.random(n) < 0.5, rng.random(n) < 0.3])
    found = two_level(correct, strata, resamples=6, seed=seed)
    np.testing.assert_allclose(found.resamples, slowly(correct, strata, 6, seed), atol=1e-6)
    for g, answers in enumerate(correct.values()):
        for k, members in enumerate(strata):
            if members.any():
                assert found.measured[g, k] == pytest.approx(answers[:, members].mean())
            else:
                assert np.isnan(found.measured[g, k])
    assert found.n.tolist() == strata.sum(axis=1).tolist()


def test_where_all_is_right_the_interval_is_wilsons() -> None:
    found = two_level({"a": np.ones((3, 20), bool), "b": np.zeros((2, 20), bool)}, everything(20))
    low, high = found.intervals()
    assert (low[0, 0], high[0, 0]) == pytest.approx(proportion_confint(20, 20, method="wilson"))
    assert (low[1, 0], high[1, 0]) == pytest.approx(proportion_confint(0, 20, method="wilson"))


def test_where_both_are_all_right_the_difference_is_newcombes() -> None:
    found = two_level({"a": np.ones((3, 20), bool), "b": np.ones((2, 20), bool)}, everything(20))
    difference, low, high = (float(each[0]) for each in found.difference("a", "b"))
    expected = confint_proportions_2indep(20, 20, 20, 20, compare="diff", method="newcomb")
    assert difference == 0
    assert (low, high) == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [1, 2, 9, 10])
def test_of_few_wrong_answers_the_interval_reaches_as_far_as_wilsons(wrong: int) -> None:
    found = two_level({"a": np.arange(200)[None] >= wrong}, everything(200))
    low, high = (float(side[0, 0]) for side in found.intervals())
    quantiles = np.quantile(found.resamples, [0.025, 0.975])
    expected = proportion_confint(200 - wrong, 200, method="wilson")
    if wrong < 10:
        assert low == pytest.approx(min(quantiles[0], expected[0]))
        assert high == pytest.approx(max(quantiles[1], expected[1]))
    else:
        assert (low, high) == pytest.approx(tuple(quantiles))


def test_of_few_wrong_answers_a_difference_reaches_as_far_as_newcombes() -> None:
    answers = {"a": np.arange(200)[None] >= 3, "b": np.arange(200)[None] >= 30}
    found = two_level(answers, everything(200))
    difference, low, high = (float(each[0]) for each in found.difference("a", "b"))
    limits = [side[:, 0] for side in found.intervals()]
    one, other = 197 / 200, 170 / 200
    quantiles = np.quantile(found.resamples[:, 0] - found.resamples[:, 1], [0.025, 0.975])
    down = np.hypot(one - limits[0][0], limits[1][1] - other)
    up = np.hypot(limits[1][0] - one, other - limits[0][1])
    assert difference == pytest.approx(27 / 200)
    assert low == pytest.approx(min(quantiles[0], difference - down))
    assert high == pytest.approx(max(quantiles[1], difference + up))


def test_a_stratum_of_one_item_has_an_interval_though_many_resamples_lack_it() -> None:
    answers = np.arange(40)[None] < np.array([[20], [40]])  # of the last item one seed is right
    strata = np.arange(40)[None] == 39
    found = two_level({"a": answers}, strata, resamples=500)
    assert np.isnan(found.resamples).mean() == pytest.approx(np.exp(-1), abs=0.1)
    low, high = found.intervals()
    assert (low[0, 0], high[0, 0]) == (0, 1)


def test_the_same_seed_gives_the_same_interval() -> None:
    answers = {"a": np.random.default_rng(0).random((3, 100)) < 0.7}
    one, same, other = (two_level(answers, everything(100), 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(one.resamples, same.resamples)
    assert not np.array_equal(one.resamples, other.resamples)


@pytest.mark.parametrize(
    "correct", [{}, {"a": np.ones((1, 3), bool)}, {"a": np.ones((0, 4), bool)}]
)
def test_what_does_not_fit_is_refused(correct: dict[str, Bools]) -> None:
    with pytest.raises(ValueError, match="expected groups of networks × 4 items"):
        two_level(correct, everything(4))


def test_limits_are_the_quantiles_of_the_resamples_that_have_the_stratum() -> None:
    rng = np.random.default_rng(0)
    answers = {"a": rng.random((4, 900)) < rng.random((4, 1)), "b": rng.random((2, 900)) < 0.4}
    strata = np.stack([np.ones(900, bool), np.arange(900) < 300, np.arange(900) < 3])
    found = two_level(answers, strata, resamples=150)
    assert 0 < np.isnan(found.resamples[:, :, 2]).mean() < 0.2
    expected = np.nanquantile(found.resamples.astype(float), [0.025, 0.975], axis=0)
    for limit, side in zip(found.intervals(), expected, strict=True):
        np.testing.assert_allclose(limit[:, :2], side[:, :2], rtol=1e-12)
