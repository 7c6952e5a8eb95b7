"""Histograms of gates with fixed bins, and the shares and quantiles that they give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int, Int32, Int64
from torch import Tensor

BINS = 100
"""Bins of a gate, each 0.01 wide: bin k holds [k/100, (k+1)/100), the last one also 1.

Whether a value within a rounding error of an edge falls below or above it is left to rounding.
"""

SATURATED = (0.1, 0.9)
"""A gate is saturated below the first and above the second (Karpathy et al. 2015, section 4.2).

Both are edges of bins, so that shares are exact.
"""

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles that tables show."""

Numbers = npt.NDArray[np.float64]
Places = Int32[Tensor, "words units"]


def first_places(kinds: Int[Tensor, " words"], units: int) -> Places:
    """Return where in a flat histogram the lowest bin of each word's kind and each unit is.

    Args:
        kinds: Of words sorted by kind, as `memgate.gates.sums.Kinds` has them.
        units: How many there are.
    """
    # units in the last place: neighbours in memory then never wait for one another's counter
    lanes = torch.arange(units, dtype=torch.int32, device=kinds.device)
    return (kinds.int() * (BINS * units)).unsqueeze(1) + lanes


def count(
    histogram: Int64[Tensor, "kinds bins units"],
    values: Float[Tensor, "words units"],
    order: Int[Tensor, " words"],
    first: Places,
    scratch: Float[Tensor, "words units"],
) -> None:
    """Add the values of each unit to their kind and bin.

    One `index_add_` over int32 places, in which torch has a plain loop for one dimension. Words
    come sorted by kind, so that its counters stay in the cache: 1.4 ns a value against 3.0 in
    blocks of 2,048 words of 20 kinds and 384 units (one thread); the sorting moves bytes, 0.03 ns.
    The places themselves take 0.8 ns.

    Args:
        histogram: Counts so far; contiguous. Changed in place.
        values: In [0, 1].
        order: The words sorted by kind.
        first: `first_places` of their kinds in that order.
        scratch: Overwritten.
    """
    below = BINS * (1 - torch.finfo(values.dtype).eps)  # so that 1 is in the last bin
    bins = torch.mul(values, below, out=scratch).to(torch.uint8).index_select(0, order)
    places = bins.to(torch.int32).mul_(values.shape[1]).add_(first)
    one = torch.ones(1, dtype=torch.int64, device=values.device)
    histogram.view(-1).index_add_(0, places.flatten(), one.expand(places.numel()))


def shares(
    histogram: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count what is below 0.1, and what is above 0.9.

    Args:
        histogram: Counts, bins in the last dimension but one.

    Returns:
        Two arrays without the dimension of the bins. A value of exactly 0.9, one in 2^24, counts
        as above, or in a histogram of 1 - gate as 0.1, not as below.
    """
    low, high = (round(edge * BINS) for edge in SATURATED)
    return histogram[..., :low, :].sum(-2), histogram[..., high:, :].sum(-2)


def quantiles(histogram: npt.NDArray[np.int64], levels: Sequence[float] = LEVELS) -> Numbers:
    """Read quantiles off histograms, linear within a bin.

    The quantile of level q of n values is the ⌈q·n⌉th smallest. What is returned lies in the same
    bin, so it is off by less than a bin's width, 0.01.

    Args:
        histogram: Counts, bins in the last dimension but one.
        levels: In (0, 1).

    Returns:
        The levels in a new last dimension, in place of that of the bins; NaN where nothing was
        counted.
    """
    below = histogram.cumsum(-2)
    n = below[..., -1:, :]
    result = []
    for level in levels:
        rank = np.ceil(level * n).clip(1).astype(np.int64)  # else all of `below` is turned to float
        place = (below < rank).sum(-2, keepdims=True).clip(max=BINS - 1)
        inside = np.take_along_axis(histogram, place, -2)
        missing = rank - (np.take_along_axis(below, place, -2) - inside)
        with np.errstate(invalid="ignore", divide="ignore"):  # nothing counted: 1 / 0
            found = (place + missing / inside) / BINS
        result.append(np.where(n > 0, found, np.nan)[..., 0, :])
    return np.stack(result, axis=-1)
