"""Sums over the words of each kind: moments, histograms, and means over sets of units."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float64, Int, Int64
from torch import Tensor
from torch.nn import functional

from memgate.gates.histograms import BINS
from memgate.gates.loops import Array, read_cells, read_change, read_gate, read_products, sort
from memgate.gates.state_updates import Flat, flat, state_updates
from memgate.gates.words import PROFILE_CELLS
from memgate.models.trajectory import Trajectory

Means = Float64[Tensor, "sets units"]
Averages = Float64[Tensor, "words sets"]
Histogram = Int64[Tensor, "kinds bins units"]
Signs = Int64[Tensor, "signs words"]


class GateSums(NamedTuple):
    """The sums of one gate."""

    moments: Float64[Tensor, "2 kinds units"]
    """Σx and Σx² over the words of each kind."""
    averages: Averages
    """The mean over each set of units, a row a word."""


class StateUpdateSums(NamedTuple):
    """The sums of the state updates of one layer."""

    moments: Float64[Tensor, "updates 3 kinds units"]
    """Σx, Σ|x| and Σx² of each state update of `memgate.gates.state_updates`, in their order."""
    signed: Float64[Tensor, "signs kinds units"]
    """Σ sign · x of the last of them, the change of the hidden state."""
    sizes: Averages
    """The average of |change| over each set of units."""


class OneHot:
    """`Kinds` as products with a one-hot matrix of the kinds, which is fast on a GPU."""

    def __init__(self, kinds: Int[Tensor, " words"], count: int) -> None:
        self._kinds = kinds
        self._is_kind = functional.one_hot(kinds, count).T.double()
        self.n = torch.bincount(kinds, minlength=count)

    def gate(self, values: Flat, means: Means, histogram: Histogram) -> GateSums:
        """Add up a gate by kind, and its mean over sets of units.

        The histogram is changed in place. Values outside [0, 1] fall into its first or last bin.
        """
        exact, pivot = values.double(), values[0].double()
        near = exact - pivot  # otherwise rounding gives a constant a standard deviation of 1e-7
        units = torch.arange(values.shape[1], device=values.device)
        bins = (values * BINS).clamp(0, BINS - 1).long()
        cells = ((self._kinds * BINS).unsqueeze(1) + bins) * len(units) + units
        one = torch.ones(1, dtype=torch.int64, device=values.device)
        histogram.view(-1).index_add_(0, cells.flatten(), one.expand(cells.numel()))
        few, squares = self._is_kind @ near, self._is_kind @ near.square()
        plain = torch.addcmul(few, self.n.double().unsqueeze(1), pivot)
        # Σx² = Σ(x-p)² + p·(Σ(x-p) + Σx)
        moments = torch.stack([plain, torch.addcmul(squares, few + plain, pivot)])
        return GateSums(moments, exact @ means.T)

    def state_updates(self, trajectory: Trajectory, means: Means, signs: Signs) -> StateUpdateSums:
        """Add up the state updates of a layer, of whole prefixes; signs are -1, 0 or 1."""
        updates = [values.double() for values in state_updates(trajectory)]
        moments = [
            torch.stack([self._is_kind @ x for x in (values, values.abs(), values.square())])
            for values in updates
        ]
        *_, change, hidden = updates[-1], *updates  # without a cell the memory is the hidden state
        signed = (self._is_kind * signs.unsqueeze(1)) @ hidden
        return StateUpdateSums(torch.stack(moments), signed, change.abs() @ means.T)


class Sorted:
    """`Kinds` as compiled loops over the sorted words."""

    def __init__(self, kinds: Int[Tensor, " words"], count: int) -> None:
        self.n = torch.bincount(kinds, minlength=count)
        if len(self.n) > count:
            raise IndexError(f"kinds: expected 0 to {count - 1}, {len(self.n) - 1} is out of range")
        self._starts = np.concatenate([[0], self.n.cumsum(0).numpy()])
        self._order = np.empty(len(kinds), np.int64)
        sort(_array(kinds), self._starts, self._order)

    def gate(self, values: Flat, means: Means, histogram: Histogram) -> GateSums:
        """As `OneHot.gate`."""
        moments = np.zeros((len(self.n), 2, values.shape[1]))
        averages = np.zeros((len(values), len(means)))
        words = self._order, self._starts
        read_gate(_array(values), *words, means.numpy(), histogram.numpy(), moments, averages)
        return GateSums(torch.from_numpy(moments).transpose(0, 1), torch.from_numpy(averages))

    def state_updates(self, trajectory: Trajectory, means: Means, signs: Signs) -> StateUpdateSums:
        """As `OneHot.state_updates`."""
        hidden = _array(flat(trajectory.hidden))
        back, words = len(trajectory.hidden), (self._order, self._starts)
        kinds, units = len(self.n), hidden.shape[1]
        sizes = np.zeros((len(hidden), len(means)))
        signed = np.zeros((len(signs), kinds, units))
        moments = np.zeros((1 if trajectory.cell is None else 4, 3, kinds, units))
        if trajectory.cell is None:
            last = means.numpy(), signs.numpy(), moments[0], signed, sizes
            read_change(hidden, back, *words, *last)
        else:
            write, keep, candidate, cell = (
                _array(flat(states))
                for states in (
                    trajectory.gates["input"],
                    trajectory.gates["forget"],
                    trajectory.candidate,
                    trajectory.cell,
                )
            )
            read_products(write, keep, candidate, cell, back, *words, moments[:2])
            no_signs, no_means = signs[:0].numpy(), means[:0].numpy()
            read_change(cell, back, *words, means.numpy(), no_signs, moments[2], signed[:0], sizes)
            read_change(
                hidden, back, *words, no_means, signs.numpy(), moments[3], signed, sizes[:, :0]
            )
        return StateUpdateSums(*map(torch.from_numpy, (moments, signed, sizes)))


Kinds: TypeAlias = OneHot | Sorted
"""The words of a block by kind, to add up what units do there.

Sums are in float64, so the order of words doesn't matter. The standard deviation of a gate is exact
to 1e-8 of its values, because its sums start at a value nearby, and that of a state update to 1e-7.
"""


def by_kind(kinds: Int[Tensor, " words"], count: int) -> Kinds:
    """Sort words by kind, from 0 to `count` - 1; on a CPU others are refused."""
    return Sorted(kinds, count) if kinds.is_cpu else OneHot(kinds, count)


def cell_sums(
    columns: Float64[Tensor, "readings words sets"], cells: Int[Tensor, "3 words"]
) -> Float64[Tensor, "readings sets 2 cells"]:
    """Add up each column and its square over the words of each cell of the profile."""
    result = columns.new_zeros(len(columns), columns.shape[2], 2, PROFILE_CELLS)
    add = cells_by_loop if columns.is_cpu else cells_by_index
    add(columns, cells, result)
    return result


def cells_by_loop(columns: Tensor, cells: Tensor, result: Tensor) -> None:
    """As `cell_sums`, added to the result: on a CPU."""
    read_cells(_array(columns), _array(cells), result.numpy())


def cells_by_index(columns: Tensor, cells: Tensor, result: Tensor) -> None:
    """As `cell_sums`, added to the result: on a GPU."""
    of_sets = columns.transpose(1, 2)
    both = torch.stack([of_sets, of_sets.square()], dim=2)
    for kind in cells:
        result.index_add_(3, kind, both)


def _array(values: Tensor) -> Array:
    array: Array = values.detach().contiguous().numpy()
    return array
