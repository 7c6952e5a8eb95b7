"""Tests of two models, or of two groups of networks, on the same items, and Holm's correction."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, signal, stats

from memgate.arrays import Bools, Floats

Z = float(stats.norm.ppf(0.975))
"""Standard errors to either side in a 95% interval."""

FAR = 1e9
"""Standard errors, where a finite number has to stand for infinitely many."""

SMALLEST_P = 1e-10
"""Smallest p-value of `items_test`, whose sums of rounding errors are some 1e-12."""

EXCHANGES = 20_000
"""Exchanges of networks up to which all are counted; of more, as many are sampled."""

TIE = 1e-9
"""Differences of mean accuracies that are closer than this count as equal.

Rounding moves equal ones some 1e-16 apart, and `scipy.stats.permutation_test` counts as equal only
what is within 2e-14 times the observed difference: it missed half of the ties, and its p was too
small (0.008 for 0.024 with five networks each). Unequal differences of S and T networks on N items
are at least 1 / (N lcm(S, T)) apart: 5e-8 for 20 and 20 on a million.
"""


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided p of McNemar's (1947) exact test: items that one model alone gets right.

    >>> mcnemar(5, 0)  # 2 / 2^5
    0.0625
    """
    discordant = only_a + only_b
    return float(stats.binomtest(only_a, discordant).pvalue) if discordant else 1.0


def mcnemar_worse(only_a: int, only_b: int) -> float:
    """Return the one-sided p of that test; it is small if B is worse.

    >>> mcnemar_worse(5, 0), mcnemar_worse(0, 5)
    (0.03125, 1.0)
    """
    return float(stats.binom.sf(only_a - 1, only_a + only_b, 0.5))


def difference_interval(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """Return the 95% interval of B's accuracy less A's on n items, in [-1, 1].

    It is Tango's (1998) score interval: all differences that a score test doesn't reject. Unlike
    difference ± 1.96 standard errors it has a width where both models get the same items right,
    and it keeps its level in small strata.

    >>> [round(end, 4) for end in difference_interval(0, 0, 100)]  # z² / (n + z²) to either side
    [-0.037, 0.037]
    """
    observed = (only_b - only_a) / n

    def end(limit: float) -> float:
        if observed == limit:
            return limit
        target = math.copysign(Z, -limit)
        return float(
            optimize.brentq(
                lambda delta: _score(only_a, only_b, n, delta) - target, observed, limit
            )
        )

    return end(-1.0), end(1.0)


def _score(only_a: int, only_b: int, n: int, delta: float) -> float:
    """Return Tango's statistic: how many standard errors `delta` lies below the difference.

    The standard error is that of the likeliest table whose difference is `delta`. In that table q,
    the probability of an item that only the first model gets right, is the root of
    2n q² + (2nδ - (b - a)δ - (a + b)) q - aδ(1-δ) = 0.
    """
    linear = (2 * n - only_b + only_a) * delta - only_a - only_b
    constant = -only_a * delta * (1 - delta)
    root = math.sqrt(max(linear**2 - 8 * n * constant, 0.0))
    q = (root - linear) / (4 * n)
    variance = n * (2 * q + delta * (1 - delta))
    excess = only_b - only_a - n * delta
    if variance <= 0:  # every item of such a table is alike
        return math.copysign(FAR, excess) if excess else 0.0
    return excess / math.sqrt(variance)


def items_test(a: Bools, b: Bools) -> float:
    """Test whether two groups of networks would also differ on other items.

    It is the exact paired permutation test. Under the null hypothesis the two groups' predictions
    of an item may be exchanged, independently of all other items; the predictions of one item may
    depend on each other in any way. The statistic is the mean over items of the difference between
    the groups' proportions of networks that are right. The test is about these networks; for other
    seeds there is `seeds_test`. With one network a group it is McNemar's exact test.

    Monte Carlo isn't needed: the statistic is a sum of ±|d| over items, |d| has few values, and the
    sum over m items with one value is |d| (2 Binomial(m, ½) - m).

    Args:
        a: Whether each of S networks is right about each item, (S, N).
        b: The same of T networks, (T, N).

    Returns:
        The two-sided p-value, exact to 1e-11 and at least `SMALLEST_P`.

    >>> better = np.array([[True, True, True, True, True, False]])
    >>> round(items_test(better, np.zeros_like(better)), 6)  # 2 / 2^5
    0.0625
    """
    common = math.lcm(len(a), len(b))
    steps = a.sum(axis=0) * (common // len(a)) - b.sum(axis=0) * (common // len(b))
    observed = abs(int(steps.sum()))
    if not observed:
        return 1.0
    probabilities = np.ones(1)  # of the sums -reach, -reach + 2, …, reach
    sizes, counts = np.unique(np.abs(steps[steps != 0]), return_counts=True)
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        of_size = np.zeros(size * count + 1)
        of_size[::size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
        probabilities = signal.fftconvolve(probabilities, of_size)
    reach = len(probabilities) - 1
    p = 2 * probabilities[(observed + reach) // 2 :].sum()
    return float(np.clip(p, SMALLEST_P, 1))


def seeds_test(a: Floats, b: Floats, seed: int = 0) -> Floats:
    """Test whether two groups of networks would also differ with other seeds.

    Under the null hypothesis whole networks may be exchanged between the groups. The statistic is
    the difference between the mean accuracies. The test is about other networks that are trained
    the same way and evaluated on these items. Its smallest p-value is 2 / C(S + T, S) where S = T:
    0.1 with 3 seeds each, 0.008 with 5. All exchanges are counted up to `EXCHANGES`.

    Args:
        a: Accuracies of S networks in K strata, (S, K); S at least 2. They are proportions of at
            most a million items.
        b: The same of T networks, (T, K).
        seed: Of the exchanges, where they are sampled.

    Returns:
        Two-sided p-values, (K,): twice the smaller tail, at most 1. Where exchanges are sampled,
        the observed one counts as one of them (Phipson & Smyth 2010).

    >>> seeds_test(np.array([[0.9], [0.8]]), np.array([[0.8], [0.7]])).round(4).tolist()  # 4 of 6
    [0.6667]
    """
    test = stats.permutation_test(
        (a, b),
        lambda one, other, axis: one.mean(axis=axis) - other.mean(axis=axis),
        vectorized=True,
        n_resamples=EXCHANGES,
        axis=0,
        rng=np.random.default_rng(seed),
    )
    beyond = np.asarray(test.null_distribution - test.statistic, dtype=np.float64)
    observed = int(math.comb(len(a) + len(b), len(a)) > EXCHANGES)
    tails = [(side * beyond > -TIE).sum(axis=0) + observed for side in (1, -1)]
    p = 2 * np.minimum(*tails) / (len(beyond) + observed)
    return np.asarray(np.minimum(1, p), np.float64)


def holm(p: Floats) -> Floats:
    """Correct p-values by Holm's (1979) step-down procedure, for any dependence between them.

    Args:
        p: M p-values of one family; NaN where nothing was tested, which stays and doesn't count.

    >>> holm(np.array([0.01, np.nan, 0.04, 0.03])).tolist()
    [0.03, nan, 0.06, 0.06]
    """
    result = np.full_like(p, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    result[order] = steps.clip(max=1)
    return result


def format_p(p: float) -> str:
    """Write a p-value; a dash where nothing was tested.

    >>> format_p(0.0312), format_p(1e-9), format_p(math.nan)
    ('0.031', '<0.001', '–')
    """
    if math.isnan(p):
        return "–"
    return f"{p:.3f}" if p >= 0.001 else "<0.001"
