"""Tests of differences, against statsmodels, scipy's enumerations, the likelihood, and by hand."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from memgate.metrics.paired import (
    SMALLEST_P,
    Z,
    difference_interval,
    holm,
    items_test,
    mcnemar,
    mcnemar_worse,
    seeds_test,
)

Bools = npt.NDArray[np.bool_]


def correct(rng: np.random.Generator, networks: int, items: int, right: float) -> Bools:
    return np.asarray(rng.random((networks, items)) < right)


counts = st.integers(0, 60)


@given(counts, counts, counts, counts)
def test_p_is_that_of_statsmodels(both: int, only_a: int, only_b: int, neither: int) -> None:
    expected = statsmodels_mcnemar([[both, only_a], [only_b, neither]], exact=True).pvalue
    if only_a + only_b == 0:
        expected = 1.0  # statsmodels gives nan or 1, by version
    assert mcnemar(only_a, only_b) == pytest.approx(expected, abs=1e-12)


def test_p_worked_by_hand() -> None:
    # 8 of 9 discordant items are the first's: (1 + 9) / 2^9 to one side, twice that to both
    assert mcnemar_worse(8, 1) == pytest.approx(10 / 512)
    assert mcnemar(8, 1) == mcnemar(1, 8) == pytest.approx(20 / 512)
    assert mcnemar_worse(1, 8) == pytest.approx(1 - 1 / 512)
    assert mcnemar(0, 0) == mcnemar_worse(0, 0) == 1.0


@given(counts, counts)
def test_the_one_sided_tests_overlap_in_what_was_seen(only_a: int, only_b: int) -> None:
    seen = stats.binom.pmf(only_a, only_a + only_b, 0.5)
    assert mcnemar_worse(only_a, only_b) + mcnemar_worse(only_b, only_a) == pytest.approx(1 + seen)


def score(only_a: int, only_b: int, n: int, delta: float) -> float:
    """Tango's statistic with the restricted likelihood maximised by a search, no formula."""

    def loss(q: float) -> float:
        proportions = (q, q + delta, 1 - 2 * q - delta)
        parts = zip((only_a, only_b, n - only_a - only_b), proportions, strict=True)
        return -sum(k * math.log(proportion) for k, proportion in parts if k)

    low, high = max(0.0, -delta), (1 - delta) / 2
    found = optimize.minimize_scalar(
        loss, bounds=(low + 1e-12, high - 1e-12), method="bounded", options={"xatol": 1e-12}
    )
    return float((only_b - only_a - n * delta) / math.sqrt(n * (2 * found.x + delta * (1 - delta))))


@pytest.mark.parametrize(
    ("only_a", "only_b", "n"), [(150, 86, 1600), (12, 4, 100), (3, 9, 40), (1, 6, 2000), (2, 2, 10)]
)
def test_the_interval_holds_what_the_score_test_allows(only_a: int, only_b: int, n: int) -> None:
    low, high = difference_interval(only_a, only_b, n)
    assert score(only_a, only_b, n, low) == pytest.approx(Z, abs=1e-4)
    assert score(only_a, only_b, n, high) == pytest.approx(-Z, abs=1e-4)


def test_the_interval_of_nothing_discordant_has_a_width() -> None:
    for n in (1, 3, 100, 10_000):
        half = Z**2 / (n + Z**2)
        assert difference_interval(0, 0, n) == pytest.approx((-half, half))


@given(counts, counts, counts)
def test_the_interval_turns_with_the_models(only_a: int, only_b: int, same: int) -> None:
    n = only_a + only_b + same
    if n:
        low, high = difference_interval(only_a, only_b, n)
        assert -1 <= low <= (only_b - only_a) / n <= high <= 1
        assert difference_interval(only_b, only_a, n) == pytest.approx((-high, -low), abs=1e-9)
        if only_a != only_b:  # a difference of 0 is rejected where McNemar's z passes 1.96
            rejected = abs(only_b - only_a) / math.sqrt(only_a + only_b) > Z
            assert rejected == (low > 0 or high < 0)


def test_the_interval_covers_19_of_20() -> None:
    rng = np.random.default_rng(0)
    proportions = (0.06, 0.02, 0.92)
    draws = rng.multinomial(150, proportions, size=2000)
    ends = [difference_interval(int(a), int(b), 150) for a, b, _ in draws]
    covered = np.mean([low <= 0.02 - 0.06 <= high for low, high in ends])
    assert 0.935 <= covered <= 0.97


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_holm_is_that_of_statsmodels(n: int) -> None:
    p = np.random.default_rng(n).uniform(size=n).round(1) ** 3  # some are equal
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_that_of_statsmodels(only_a: int, only_b: int) -> None:
    expected = statsmodels_mcnemar([[50, only_a], [only_b, 7]], exact=True).pvalue
    assert mcnemar(only_a, only_b) == pytest.approx(min(expected, 1))


@given(st.integers(0, 10_000), st.integers(1, 400), st.floats(0.3, 0.95))
def test_with_one_network_each_the_test_over_items_is_mcnemars(
    seed: int, items: int, right: float
) -> None:
    rng = np.random.default_rng(seed)
    a, b = correct(rng, 1, items, right), correct(rng, 1, items, 0.7)
    expected = mcnemar(int((a & ~b).sum()), int((b & ~a).sum()))
    assert items_test(a, b) == pytest.approx(max(expected, SMALLEST_P), abs=1e-11)


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 4), st.integers(2, 9))
def test_over_items_it_is_scipys_enumeration(seed: int, s: int, t: int, items: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = correct(rng, s, items, 0.8), correct(rng, t, items, 0.5)
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
    a, b = correct(rng, 5, 60_000, 0.9), correct(rng, 4, 60_000, 0.898)
    d = a.mean(axis=0) - b.mean(axis=0)
    z = abs(d.sum()) / np.sqrt((d**2).sum())
    assert items_test(a, b) == pytest.approx(2 * stats.norm.sf(z), rel=0.01)
    assert items_test(a, b) == items_test(b, a)
    assert items_test(a, correct(rng, 4, 60_000, 0.7)) == SMALLEST_P


def test_over_items_the_null_is_kept() -> None:
    """Of tests where nothing differs at most 5% are below 0.05; 400 of them, so at most 8%."""
    rng = np.random.default_rng(0)
    p = [items_test(correct(rng, 3, 200, 0.8), correct(rng, 3, 200, 0.8)) for _ in range(400)]
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
    # scipy's own p-value is 0.0079, a third: sums of the same proportions round differently
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
