"""Histograms of gates with fixed bins, and their quantiles and saturated counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from memgate.arrays import Floats, Ints
from memgate.gates.loops import Array, compiled

BINS = 100
"""Bins of a gate, each 0.01 wide: bin k holds [k/100, (k+1)/100), the last one also 1.

A value within a rounding error of an edge may fall on either side of it.
"""

SATURATED = (0.1, 0.9)
"""A gate is saturated below the first and above the second (Karpathy et al. 2015, section 4.2).

Both are edges of bins, so the counts are exact.
"""

QUANTILE_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles that tables show."""


def saturated_counts(histogram: Ints) -> tuple[Ints, Ints]:
    """Count what is below 0.1, and what is above 0.9.

    Args:
        histogram: Counts, bins in the last dimension but one.

    Returns:
        Two arrays without the dimension of the bins. A value of exactly 0.9, one in 2^24, counts
        as above, or in a histogram of 1 - gate as 0.1, not as below.
    """
    low, high = (round(edge * BINS) for edge in SATURATED)
    return histogram[..., :low, :].sum(-2), histogram[..., high:, :].sum(-2)


def quantiles(histogram: Ints, levels: Sequence[float] = QUANTILE_LEVELS) -> Floats:
    """Read quantiles off histograms, linear within a bin.

    The quantile of level q of n values is the ⌈q·n⌉th smallest. What is returned lies in the same
    bin, so it is off by less than a bin's width, 0.01.

    Args:
        histogram: Counts, bins in the last dimension but one.
        levels: In (0, 1).

    Returns:
        The levels in a new last dimension, which replaces that of the bins; NaN without counts.
    """
    *groups, _, units = histogram.shape
    flat = np.ascontiguousarray(histogram).reshape(-1, BINS, units)
    result = np.empty((len(levels), len(flat), units))
    _read_quantiles(flat, np.array(levels), result)
    return np.moveaxis(result / BINS, 0, -1).reshape(*groups, units, len(levels))


@compiled
def _read_quantiles(histogram: Array, levels: Array, result: Array) -> None:
    """Read quantiles off histograms, as defined in `quantiles`.

    The histogram is groups × bins × units; the result, levels × groups × units in bins, is NaN
    without counts.
    """
    groups, bins, units = histogram.shape
    ranks = np.empty((len(levels), units))
    for group in range(groups):
        below = np.zeros(units, np.int64)
        for bin_ in range(bins):
            for unit in range(units):
                below[unit] += histogram[group, bin_, unit]
        for unit in range(units):
            for number in range(len(levels)):
                ranks[number, unit] = max(1, np.ceil(levels[number] * below[unit]))
                result[number, group, unit] = np.nan
            below[unit] = 0
        for bin_ in range(bins):
            for unit in range(units):
                inside = histogram[group, bin_, unit]
                if inside:
                    for number in range(len(levels)):
                        missing = ranks[number, unit] - below[unit]
                        if 0 < missing <= inside:
                            result[number, group, unit] = bin_ + missing / inside
                    below[unit] += inside
