"""Sums of the values of units over the words of each kind: in their own type, then in float64."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn import functional

RUN = 64
"""Words that are added up in the values' own type.

A float32 sum is off by at most 64 steps of 6e-8 then, 4e-6 of the size of what is added; these
errors are of either sign, and a corpus has many runs.
"""

PIVOT = 16
"""A unit's pivot is the mean of every 16th word: it need only be near the values."""

Columns = Float[Tensor, "columns words units"]
Totals = Float64[Tensor, "columns kinds units"]


class Kinds(NamedTuple):
    """The words of a block sorted by kind, and cut into runs of at most `RUN` of one kind."""

    order: Int[Tensor, " words"]
    """The words, those of one kind behind one another."""
    sorted: Int[Tensor, " words"]
    """Their kinds in that order."""
    starts: Int[Tensor, " runs"]
    """Where in that order each run starts."""
    of_run: Int[Tensor, " runs"]
    """Its kind."""
    n: Int[Tensor, " kinds"]
    """Words of each kind."""

    def add(self, columns: Columns) -> Totals:
        """Add up the values of each column and unit by kind.

        `embedding_bag` adds rows about as fast as they can be read: 0.11 to 0.15 ns a value,
        whatever the number of kinds, where a product with a one-hot matrix of 20 kinds takes 0.27
        in float32 (one thread).

        Args:
            columns: Contiguous.
        """
        count, words, units = columns.shape
        column = torch.arange(count, device=columns.device).unsqueeze(1)
        sums = functional.embedding_bag(
            (self.order + words * column).flatten(),
            columns.view(-1, units),
            (self.starts + words * column).flatten(),
            mode="sum",
        )
        result = sums.new_zeros(count * len(self.n), units, dtype=torch.float64)
        places = (self.of_run + len(self.n) * column).flatten()
        return result.index_add_(0, places, sums.double()).view(count, -1, units)


def by_kind(kinds: Int[Tensor, " words"], count: int) -> Kinds:
    """Sort words by kind.

    Args:
        kinds: From 0 to `count` - 1; on a CPU others are refused.
        count: How many kinds there are.
    """
    n = torch.bincount(kinds, minlength=count)
    ordered, order = kinds.sort()
    place = torch.arange(len(kinds), device=kinds.device) - (n.cumsum(0) - n)[ordered]
    starts = (place % RUN == 0).nonzero().squeeze(1)
    return Kinds(order, ordered, starts, ordered[starts], n)


class Pivot:
    """A number near the values of each unit; squares are summed of the distance from it.

    A float32 square of the value itself would be off by 6e-8, and so the spread of a unit that
    never moves would be 2e-4.

    Args:
        values: What is summed.
        out: Gets their distance from the pivot, and the square of that.
    """

    def __init__(
        self, values: Float[Tensor, "words units"], out: Float[Tensor, "2 words units"]
    ) -> None:
        pivot = values[::PIVOT].mean(0)
        torch.sub(values, pivot, out=out[0])
        torch.mul(out[0], out[0], out=out[1])
        self._pivot = pivot.double()

    def moments(
        self, near: Float64[Tensor, "2 kinds units"], n: Int[Tensor, " kinds"]
    ) -> Float64[Tensor, "2 kinds units"]:
        """Return the sums of the values and of their squares.

        Args:
            near: The sums of the two that were written.
            n: Words of each kind.
        """
        plain = torch.addcmul(near[0], n.double().unsqueeze(1), self._pivot)
        # Σx² = Σ(x-p)² + p·(Σ(x-p) + Σx)
        return torch.stack([plain, torch.addcmul(near[1], near[0] + plain, self._pivot)])
