"""Tests of differences, against statsmodels, scipy's enumerations, and cases worked by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from memgate.metrics.mcnemar import mcnemar
from memgate.metrics.paired import SMALLEST, holm, items_test, seeds_test

Bools = npt.NDArray[np.bool_]


def answers(rng: np.random.Generator, networks: int, items: int, right: float) -> Bools:
    return np.asarray(rng.random((networks, items)) < right)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_that_of_statsmodels(only_a: int, only_b: int) -> None:
    expected = statsmodels_mcnemar([[50, only_a], [only_b, 7]], exact=True).pvalue
    assert mcnemar(only_a, only_b) == pytest.approx(min(expected, 1))


@given(st.integers(0, 10_000), st.integers(1, 400), st.floats(0.3, 0.95))
def test_with_one_network_each_the_test_over_items_is_mcnemars(
    seed: int, items: int, right: float
) -> None:
    rng = np.random.default_rng(seed)
    a, b = answers(rng, 1, items, right), answers(rng, 1, items, 0.7)
    expected = mcnemar(int((a & ~b).sum()), int((b & ~a).sum()))
    assert items_test(a, b) == pytest.approx(max(expected, SMALLEST), abs=1e-11)


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4), st.integers(2, 9))
def test_over_items_it_is_scipys_enumeration(seed: int, s: int, t: int, items: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = answers(rng, s, items, 0.8), answers(rng, t, items, 0.5)
    # in whole steps: scipy compares floats, and sums of thirds differ in their last digits
    steps = [each.sum(axis=0) * scale for each, scale in ((a, t), (b, s))]
    expected = stats.permutation_test(
        tuple(steps),
        lambda one, other, axis: (one - other).sum(axis=axis),
        permutation_type="samples",
        n_resamples=10**6,  # all 2^9 at most
        vectorized=True,
    ).pvalue
    assert items_test(a, b) == pytest.approx(expected, abs=1e-11)


def test_over_items_as_worked_by_hand() -> None:
    # differences 1, ½, ½ of two networks each: ±1 ±½ ±½ is 2, 1, 1, 0, 0, −1, −1, −2
    a = np.array([[1, 1, 1], [1, 0, 0]], dtype=bool)
    none = np.zeros((2, 3), dtype=bool)
    assert items_test(a, none) == pytest.approx(2 / 8)
    # 1, ½, −½: their sum is 1, and 6 of the 8 are as far from 0
    less = np.array([[0, 0, 1], [0, 0, 0]], dtype=bool)
    assert items_test(a & ~np.array([False, False, True]), less) == pytest.approx(6 / 8)
    assert items_test(a, a) == 1


def test_over_many_items_it_tends_to_the_normal_distribution() -> None:
    rng = np.random.default_rng(0)
    a, b = answers(rng, 5, 60_000, 0.9), answers(rng, 4, 60_000, 0.898)
    d = a.mean(axis=0) - b.mean(axis=0)
    z = abs(d.sum()) / np.sqrt((d**2).sum())
    assert items_test(a, b) == pytest.approx(2 * stats.norm.sf(z), rel=0.01)
    assert items_test(a, b) == items_test(b, a)
    assert items_test(a, answers(rng, 4, 60_000, 0.7)) == SMALLEST


def test_over_items_the_null_is_kept() -> None:
    """Of tests where nothing differs at most 5% are below 0.05; 400 of them, so at most 8%."""
    rng = np.random.default_rng(0)
    p = [items_test(answers(rng, 3, 200, 0.8), answers(rng, 3, 200, 0.8)) for _ in range(400)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.08


def test_over_seeds_as_worked_by_hand() -> None:
    # of C(4, 2) = 6 ways to choose two networks, two are as far apart: these and their opposite
    p = seeds_test(np.array([[0.9, 0.5], [0.8, 0.6]]), np.array([[0.5, 0.5], [0.4, 0.6]]))
    assert p == pytest.approx([2 / 6, 1])


@pytest.mark.parametrize(("seeds", "ways"), [(3, 20), (5, 252)])
def test_over_seeds_the_smallest_p_is_two_of_all_ways(seeds: int, ways: int) -> None:
    a, b = np.arange(seeds)[:, None] / 100 + 0.8, np.arange(seeds)[:, None] / 100
    assert seeds_test(a, b) == pytest.approx([2 / ways])


def enumerated(a: list[int], b: list[int]) -> float:
    """The p-value over seeds in whole numbers: every way to choose the networks of `a`."""
    networks, whole = [*a, *b], sum(a) + sum(b)
    ways = combinations(range(len(networks)), len(a))
    # (S + T) times the sum of a, less S times all, is S T times the difference of the means
    found = [len(networks) * sum(networks[k] for k in way) - len(a) * whole for way in ways]
    tails = sum(each >= found[0] for each in found), sum(each <= found[0] for each in found)
    return min(1.0, 2 * min(tails) / len(found))


@given(
    st.sampled_from([7, 155, 160, 881, 1024, 4000, 62_381, 10**6]),
    st.lists(st.integers(0, 7), min_size=2, max_size=5),
    st.lists(st.integers(0, 7), min_size=2, max_size=5),
    st.floats(0, 1),
)
def test_over_seeds_it_is_the_enumeration_in_whole_numbers(
    items: int, a: list[int], b: list[int], least: float
) -> None:
    one, other = ([each + round(least * (items - 7)) for each in group] for group in (a, b))
    p = seeds_test(np.array(one)[:, None] / items, np.array(other)[:, None] / items)
    assert p == pytest.approx([enumerated(one, other)])


def test_over_seeds_what_ties_counts() -> None:
    # scipy's own p-value is 0.0079, a third: sums of the same shares round differently
    a, b = np.array([3602, 3601, 3603, 3602, 3601]), np.array([3600, 3599, 3600, 3598, 3601])
    assert seeds_test(a[:, None] / 4000, b[:, None] / 4000) == pytest.approx([6 / 252])


def test_over_many_seeds_exchanges_are_drawn_always_the_same() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.05, 0.1, (20, 1)), rng.normal(0, 0.1, (20, 1))
    p = seeds_test(a, b)
    assert p == pytest.approx(stats.ttest_ind(a, b).pvalue, rel=0.15)
    assert seeds_test(a, b) == p


@settings(max_examples=25)  # statsmodels takes 20 to 70 ms
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 3))
def test_holm_is_that_of_statsmodels_whatever_was_not_tested(p: list[float], gaps: int) -> None:
    expected = multipletests(p, method="holm")[1]
    corrected = holm(np.array([*p, *[np.nan] * gaps]))
    assert corrected[: len(p)] == pytest.approx(expected)
    assert np.isnan(corrected[len(p) :]).all()
