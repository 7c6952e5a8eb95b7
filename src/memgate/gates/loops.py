"""Loops over the values of units that numba compiles, for the sums of `memgate.gates.sums`.

They read each value once: 17 ns a word and unit of an LSTM of 128 units, with torch 36.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

TILE = 128
"""Units counted at once: their counters are 100 kB of int64, which fit the second cache."""

Array = npt.NDArray[Any]
Loop = TypeVar("Loop", bound=Callable[..., None])


def compiled(loop: Loop) -> Loop:
    """Compile a loop on its first call: 3 s for all loops, once.

    Compiled code is cached alongside the file or in the user's cache; if neither can be written,
    each process compiles. Sums over units may change their order, which vectorisation needs.
    """
    bare = inspect.unwrap(loop)  # tests wrap it in checks of types, which can't be compiled
    compile_ = partial(numba.njit, nogil=True, fastmath={"reassoc", "contract"})
    try:
        result = compile_(cache=True)(bare)
    except RuntimeError:  # numba found no folder for its cache
        result = compile_()(bare)
    return cast("Loop", result)


# Values are words × units and contiguous, the first words of all prefixes first, so the previous
# word is `back` rows above: the number of prefixes. `order` has the words by kind, `starts` where
# each kind starts in it and the last one ends: so the sums of one kind stay in the cache. `means`
# are sets × units, the weights of the units in the mean of each set. Results are added to the last
# arguments; moments have Σx, Σ|x| and Σx², those of gates and cells Σx and Σx².


@compiled
def sort(kinds: Array, starts: Array, order: Array) -> None:
    """Sort words by kind; words of one kind keep their order."""
    free = starts.copy()
    for word in range(len(kinds)):
        order[free[kinds[word]]] = word
        free[kinds[word]] += 1


@compiled
def _count(word: Array, first: int, bins: Array, counters: Array) -> None:
    """Count the gates of a word, from unit `first` on; bins are computed first, several at once."""
    number = word.dtype.type
    scale, zero, last = number(len(counters)), number(0), number(len(counters) - 1)
    for unit in range(len(word)):
        scaled = word[unit] * scale
        scaled = scaled if scaled > zero else zero  # NaN too; `max` would let it pass
        bins[unit] = np.uint32(scaled if scaled < last else last)
    for unit in range(len(word)):
        counters[bins[unit], np.uint32(first + unit)] += 1


@compiled
def _add_near(word: Array, pivot: Array, near: Array, square: Array) -> None:
    for unit in range(len(word)):
        distance = np.float64(word[unit]) - pivot[unit]
        near[unit] += distance
        square[unit] += distance * distance


@compiled
def _add_averages(word: Array, means: Array, first: int, averages: Array) -> None:
    for number in range(len(means)):
        total, weights = 0.0, means[number, first : first + len(word)]
        for unit in range(len(word)):
            total += weights[unit] * word[unit]
        averages[number] += total


@compiled
def _from_pivot(pivot: Array, n: int, moments: Array) -> None:
    """Turn Σ(x-p) and Σ(x-p)² into Σx and Σx² = Σ(x-p)² + p·(Σ(x-p) + Σx)."""
    for unit in range(len(pivot)):
        near = moments[0, unit]
        moments[0, unit] = near + n * np.float64(pivot[unit])
        moments[1, unit] += pivot[unit] * (near + moments[0, unit])


@compiled
def read_gate(
    values: Array,
    order: Array,
    starts: Array,
    means: Array,
    histogram: Array,
    moments: Array,
    averages: Array,
) -> None:
    """Add up a gate.

    The histogram is kinds × bins × units, moments are kinds × 2 × units and 0 before, averages
    words × sets. Values outside [0, 1], also NaN, fall into the first or the last bin.
    """
    units = values.shape[1]
    bins = np.empty(TILE, np.uint32)
    for kind in range(len(starts) - 1):
        begin, end = starts[kind], starts[kind + 1]
        if begin == end:
            continue
        # without a pivot, 1,000 times 0.7 would have a standard deviation of 1e-7
        pivot = values[order[begin]]
        for first in range(0, units, TILE):
            tile = slice(first, min(first + TILE, units))
            near, square = moments[kind, 0, tile], moments[kind, 1, tile]
            for index in range(begin, end):
                word = values[order[index], tile]
                _count(word, first, bins, histogram[kind])
                _add_near(word, pivot[tile], near, square)
                _add_averages(word, means, first, averages[order[index]])
        _from_pivot(pivot, end - begin, moments[kind])


@compiled
def _add_gained(write: Array, candidate: Array, plain: Array, size: Array, square: Array) -> None:
    for unit in range(len(write)):
        gained = np.float64(write[unit]) * candidate[unit]
        plain[unit] += gained
        size[unit] += abs(gained)
        square[unit] += gained * gained


@compiled
def _add_lost(keep: Array, before: Array, plain: Array, size: Array, square: Array) -> None:
    for unit in range(len(keep)):
        lost = (1.0 - keep[unit]) * before[unit]
        plain[unit] += lost
        size[unit] += abs(lost)
        square[unit] += lost * lost


@compiled
def read_products(
    write: Array,
    keep: Array,
    candidate: Array,
    cell: Array,
    back: int,
    order: Array,
    starts: Array,
    moments: Array,
) -> None:
    """Add up what an LSTM's cell gains, write · candidate, and loses, (1 - keep) · the cell before.

    Moments are 2 × 3 × kinds × units, of gained and of lost.
    """
    for kind in range(len(starts) - 1):
        gained, gained_size, gained_square = (
            moments[0, 0, kind],
            moments[0, 1, kind],
            moments[0, 2, kind],
        )
        lost, lost_size, lost_square = moments[1, 0, kind], moments[1, 1, kind], moments[1, 2, kind]
        for index in range(starts[kind], starts[kind + 1]):
            word = order[index]
            _add_gained(write[word], candidate[word], gained, gained_size, gained_square)
            if word >= back:
                _add_lost(keep[word], cell[word - back], lost, lost_size, lost_square)


@compiled
def _add_change(
    after: Array, before: Array, row: Array, plain: Array, size: Array, square: Array
) -> None:
    for unit in range(len(after)):
        change = np.float64(after[unit]) - before[unit]
        row[unit] = change
        plain[unit] += change
        size[unit] += abs(change)
        square[unit] += change * change


@compiled
def _add_signed(row: Array, sign: int, signed: Array) -> None:
    for unit in range(len(row)):
        signed[unit] += sign * row[unit]


@compiled
def _add_sizes(row: Array, means: Array, sizes: Array) -> None:
    for number in range(len(means)):
        total, weights = 0.0, means[number]
        for unit in range(len(row)):
            total += weights[unit] * abs(row[unit])
        sizes[number] += total


@compiled
def read_change(
    states: Array,
    back: int,
    order: Array,
    starts: Array,
    means: Array,
    signs: Array,
    moments: Array,
    signed: Array,
    sizes: Array,
) -> None:
    """Add up how a state changes at each word; before the first word it is 0.

    Signs are signs × words, moments 3 × kinds × units, signed (Σ sign · x) signs × kinds × units,
    sizes (the mean of |x|) words × sets.
    """
    nothing = np.zeros(states.shape[1], states.dtype)
    row = np.empty(states.shape[1])
    for kind in range(len(starts) - 1):
        plain, size, square = moments[0, kind], moments[1, kind], moments[2, kind]
        for index in range(starts[kind], starts[kind + 1]):
            word = order[index]
            before = states[word - back] if word >= back else nothing
            _add_change(states[word], before, row, plain, size, square)
            for number in range(len(signs)):
                _add_signed(row, signs[number, word], signed[number, kind])
            _add_sizes(row, means, sizes[word])


@compiled
def read_cells(columns: Array, cells: Array, sums: Array) -> None:
    """Add up numbers of words by the cells of the profile that they belong to.

    Columns are readings × words × sets, cells kinds of cells × words, sums readings × sets × 2 ×
    cells.
    """
    for reading in range(len(columns)):
        for word in range(columns.shape[1]):
            for group in range(columns.shape[2]):
                value = columns[reading, word, group]
                for kind in range(len(cells)):
                    sums[reading, group, 0, cells[kind, word]] += value
                    sums[reading, group, 1, cells[kind, word]] += value * value
