"""McNemar's exact test against statsmodels, Tango's interval against the likelihood itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar as published
from statsmodels.stats.multitest import multipletests

from memgate.metrics.mcnemar import Z, difference_interval, mcnemar, mcnemar_worse
from memgate.metrics.paired import holm

counts = st.integers(0, 60)


@given(counts, counts, counts, counts)
def test_p_is_that_of_statsmodels(both: int, only_a: int, only_b: int, neither: int) -> None:
    expected = published([[both, only_a], [only_b, neither]], exact=True).pvalue
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
        shares = (q, q + delta, 1 - 2 * q - delta)
        parts = zip((only_a, only_b, n - only_a - only_b), shares, strict=True)
        return -sum(k * math.log(share) for k, share in parts if k)

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
    shares = (0.06, 0.02, 0.92)
    draws = rng.multinomial(150, shares, size=2000)
    ends = [difference_interval(int(a), int(b), 150) for a, b, _ in draws]
    covered = np.mean([low <= 0.02 - 0.06 <= high for low, high in ends])
    assert 0.935 <= covered <= 0.97


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_holm_is_that_of_statsmodels(n: int) -> None:
    p = np.random.default_rng(n).uniform(size=n).round(1) ** 3  # some are equal
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)
