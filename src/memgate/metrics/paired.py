"""Whether two models, or two groups of networks, differ beyond chance on the same items."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft, stats

SMALLEST = 1e-10
"""p-values are not told below this: sums of rounding errors are some 1e-12."""

EXCHANGES = 20_000
"""Exchanges of networks up to which all are made; of more as many are drawn."""

TIE = 1e-9
"""Differences of mean accuracies, shares, that are less apart tie.

Rounding puts ties some 1e-16 apart, and `scipy.stats.permutation_test` lets tie what is within
2e-14 of the observed difference times that difference: half of the ties were lost, and p too small
(0.008 for 0.024 with five networks each). Unequal differences of S and T networks on N items are at
least 1 / (N lcm(S, T)) apart: 5e-8 for 20 and 20 on a million.
"""

Numbers = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def items_test(a: Bools, b: Bools) -> float:
    """Test two groups of networks for a difference beyond what other items would make.

    The paired permutation test. Exchanged under the null: item by item, and independently of all
    other items, the answers of all networks of `a` against those of all networks of `b`, taken
    whole, so that answers to one item may depend on each other in any way. The statistic is the
    mean over items of the difference between the groups' shares of networks that are right. So it
    speaks of these networks on other items of the kind, and not of other seeds: `seeds_test` does.

    All 2^N exchanges count, none is drawn: the statistic is a sum of ±|d| over items, |d| has few
    values on a lattice, and the product of their characteristic functions cos(|d| t)^m is turned
    into probabilities by a Fourier transform. With one network each it is McNemar's exact test.

    Args:
        a: Whether each of S networks is right about each item, (S, N).
        b: The same of T networks, (T, N).

    Returns:
        The two-sided p-value, exact to 1e-11 and at least `SMALLEST`.

    >>> better = np.array([[True, True, True, True, True, False]])
    >>> round(items_test(better, np.zeros_like(better)), 6)  # 2 / 2^5
    0.0625
    """
    networks = (len(a), len(b))
    common = int(np.lcm(*networks))
    steps = a.sum(axis=0) * (common // networks[0]) - b.sum(axis=0) * (common // networks[1])
    seen, times = np.unique(np.abs(steps[steps != 0]), return_counts=True)
    if not len(seen):
        return 1.0
    divisor = int(np.gcd.reduce(seen))
    observed, seen = abs(int(steps.sum())) // divisor, seen // divisor
    reach = int(seen @ times)
    probabilities = _sums_of_signs(seen, times, reach)
    beyond = 2 * probabilities[observed : reach + 1].sum() if observed else 1.0
    return float(np.clip(beyond, SMALLEST, 1))


def _sums_of_signs(
    sizes: npt.NDArray[np.integer[Any]], times: npt.NDArray[np.integer[Any]], reach: int
) -> Numbers:
    """Return the probability of each sum from 0 to `reach` of sizes with random signs.

    Args:
        sizes: Whole numbers, at least 1.
        times: How often each is there.
        reach: Their sum.
    """
    length = fft.next_fast_len(2 * reach + 2, real=True)
    length += length % 2
    turns = np.arange(length // 2 + 1)
    spectrum = np.ones(len(turns))
    for size, count in zip(sizes.tolist(), times.tolist(), strict=True):
        # size × turn as a whole number modulo the length keeps cos exact for long sums
        spectrum *= np.cos(2 * np.pi / length * (size * turns % length)) ** count
    return np.asarray(fft.irfft(spectrum, length))[: reach + 1]


def seeds_test(a: Numbers, b: Numbers, seed: int = 0) -> Numbers:
    """Test two groups of networks for a difference beyond what other seeds would make.

    Exchanged under the null: whole networks between the groups, each with all its answers. The
    statistic is the difference between the mean accuracies; exchanges that give the same one count
    as such (`TIE`). So it speaks of other networks trained the same way, tested on these items. Its
    smallest p-value is 2 / C(S + T, S) where S = T: 0.1 with 3 seeds each, 0.008 with 5. Every
    exchange counts up to `EXCHANGES`, beyond as many are drawn.

    Args:
        a: Accuracies of S networks in K strata, (S, K); S at least 2. Shares of N items, N at most
            a million.
        b: The same of T networks, (T, K).
        seed: Of exchanges that are drawn.

    Returns:
        Two-sided p-values, (K,): twice the smaller tail, at most 1; where exchanges are drawn the
        measured one counts as one of them (Phipson & Smyth 2010).

    >>> seeds_test(np.array([[0.9], [0.8]]), np.array([[0.8], [0.7]])).round(4).tolist()  # 4 of 6
    [0.6667]
    """
    found = stats.permutation_test(
        (a, b),
        lambda one, other, axis: one.mean(axis=axis) - other.mean(axis=axis),
        vectorized=True,
        n_resamples=EXCHANGES,
        axis=0,
        rng=np.random.default_rng(seed),
    )
    beyond = np.asarray(found.null_distribution - found.statistic, dtype=np.float64)
    own = int(comb(len(a) + len(b), len(a)) > EXCHANGES)
    tails = [(side * beyond > -TIE).sum(axis=0) + own for side in (1, -1)]
    return np.asarray(np.minimum(1, 2 * np.minimum(*tails) / (len(beyond) + own)), np.float64)


def holm(p: Numbers) -> Numbers:
    """Correct p-values by Holm's (1979) step-down procedure, for any dependence between them.

    Args:
        p: M p-values of one family; NaN where nothing was tested, which stays and doesn't count.

    >>> holm(np.array([0.01, np.nan, 0.04, 0.03])).tolist()
    [0.03, nan, 0.06, 0.06]
    """
    result = np.full_like(p, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    result[order] = steps.clip(max=1)
    return result
