"""Two models on the same items: McNemar's exact test, and an interval of what it tests."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

Z = float(stats.norm.ppf(0.975))
"""Standard deviations to either side in a 95% interval."""

FAR = 1e9
"""Standard deviations, where a finite number has to stand for infinitely many."""

Numbers = npt.NDArray[np.float64]


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    Of the items that one of two equally good models gets right and the other wrong, each is as
    likely to be the one's as the other's (McNemar 1947; the binomial distribution, exact).

    Args:
        only_a: Items that only the first gets right.
        only_b: Items that only the second gets right.

    >>> mcnemar(5, 0)  # 2 / 2^5
    0.0625
    """
    discordant = only_a + only_b
    return float(stats.binomtest(only_a, discordant).pvalue) if discordant else 1.0


def mcnemar_worse(only_a: int, only_b: int) -> float:
    """Return the one-sided exact p-value of the second model's being no worse than the first.

    Args:
        only_a: Items that only the first gets right.
        only_b: Items that only the second gets right.

    Returns:
        The probability of `only_a` or more of the discordant items, were they as likely the one's
        as the other's: small if the second is worse.

    >>> mcnemar_worse(5, 0), mcnemar_worse(0, 5)
    (0.03125, 1.0)
    """
    return float(stats.binom.sf(only_a - 1, only_a + only_b, 0.5))


def difference_interval(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """Return the 95% interval of the second model's accuracy less the first's.

    Tango's (1998) score interval of the difference of paired proportions: all differences that a
    score test doesn't reject. Unlike difference ± 1.96 standard errors it has a width where
    nothing is discordant, and keeps its level in small strata.

    Args:
        only_a: Items that only the first gets right.
        only_b: Items that only the second gets right.
        n: All items, at least 1.

    Returns:
        Its ends, in [-1, 1].

    >>> [round(end, 4) for end in difference_interval(0, 0, 100)]  # z² / (n + z²) to either side
    [-0.037, 0.037]
    """
    observed = (only_b - only_a) / n

    def end(beyond: float) -> float:
        sign = math.copysign(1.0, beyond)
        if observed == beyond:
            return beyond
        return float(
            optimize.brentq(
                lambda delta: sign * _score(only_a, only_b, n, delta) + Z, observed, beyond
            )
        )

    return end(-1.0), end(1.0)


def _score(only_a: int, only_b: int, n: int, delta: float) -> float:
    """Return Tango's statistic: how many standard errors `delta` lies below the difference.

    The error is that of the likeliest table whose difference is `delta`: with q the share of items
    that only the first gets right, the root of 2n q² + (2nδ - (b - a)δ - (a + b)) q - aδ(1-δ) = 0.
    """
    linear = (2 * n - only_b + only_a) * delta - only_a - only_b
    constant = -only_a * delta * (1 - delta)
    root = math.sqrt(max(linear**2 - 8 * n * constant, 0.0))
    q = (root - linear) / (4 * n)
    variance = n * (2 * q + delta * (1 - delta))
    excess = only_b - only_a - n * delta
    if variance <= 0:  # no table has this difference and any spread
        return math.copysign(FAR, excess) if excess else 0.0
    return excess / math.sqrt(variance)
