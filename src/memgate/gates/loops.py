"""Loops over the values of units that numba compiles, for the sums of `memgate.gates.sums`.

A value is read once and met with all that is added up of it. torch takes a pass through memory for
each sum and several for a histogram: with torch the statistics of an LSTM of 128 units took 36 ns
a word and unit, with these loops 17 (one thread).

Where nothing else is said, values are words × units, contiguous, the first words of all prefixes
first; so the word before is ``back`` rows, the number of prefixes, above. Words are met by kind, so
that sums and counters of one kind stay in the cache: ``order`` has the words, ``starts`` where in
it each kind starts and the last one ends. What is found is added to the last arguments.
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
"""Units whose counters are met together: 100 kB of int64, which the second cache has room for."""

Array = npt.NDArray[Any]
Loop = TypeVar("Loop", bound=Callable[..., None])


def compiled(loop: Loop) -> Loop:
    """Compile a loop for the types that it meets: 3 s for all of them, once.

    What was compiled is kept beside the file, else in the user's cache; where neither can be
    written, each process compiles. Sums over units may be made in any order, without which they
    couldn't be made several at once.
    """
    bare = inspect.unwrap(loop)  # the tests put checks of types round it, which can't be compiled
    compile_ = partial(numba.njit, nogil=True, fastmath={"reassoc", "contract"})
    try:
        result = compile_(cache=True)(bare)
    except RuntimeError:  # numba found no place for them
        result = compile_()(bare)
    return cast("Loop", result)


@compiled
def sort(kinds: Array, starts: Array, order: Array) -> None:
    """Sort words by kind, those of one kind as they come.

    Args:
        kinds: Of each word.
        starts: See above; it tells how many words are of each kind.
        order: See above.
    """
    free = starts.copy()
    for word in range(len(kinds)):
        order[free[kinds[word]]] = word
        free[kinds[word]] += 1


@compiled
def _count(word: Array, first: int, bins: Array, counters: Array) -> None:
    """Count a word's gates, from unit `first` on. The bins are found apart, several at once."""
    own = word.dtype.type
    scale, zero, last = own(len(counters)), own(0), own(len(counters) - 1)
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

    Args:
        values: In [0, 1]; what isn't, NaN too, has a bin at an end.
        order: See above.
        starts: See above.
        means: Sets × units: the weights of each set's units in its average.
        histogram: Kinds × bins × units.
        moments: Kinds × 2 × units: Σx, Σx²; must be 0.
        averages: Words × sets.
    """
    units = values.shape[1]
    bins = np.empty(TILE, np.uint32)
    for kind in range(len(starts) - 1):
        begin, end = starts[kind], starts[kind + 1]
        if begin == end:
            continue
        pivot = values[order[begin]]  # else 1,000 times 0.7 would have a spread of 1e-7
        for first in range(0, units, TILE):
            tile = slice(first, min(first + TILE, units))
            near, square = moments[kind, 0, tile], moments[kind, 1, tile]
            for place in range(begin, end):
                word = values[order[place], tile]
                _count(word, first, bins, histogram[kind])
                _add_near(word, pivot[tile], near, square)
                _add_averages(word, means, first, averages[order[place]])
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

    Args:
        write: The input gate.
        keep: The forget gate.
        candidate: What is offered.
        cell: The cell after each word; before the first word it is 0.
        back: See above.
        order: See above.
        starts: See above.
        moments: 2 × 3 × kinds × units: Σx, Σ|x|, Σx² of gained and of lost.
    """
    for kind in range(len(starts) - 1):
        gained, gained_size, gained_square = (
            moments[0, 0, kind],
            moments[0, 1, kind],
            moments[0, 2, kind],
        )
        lost, lost_size, lost_square = moments[1, 0, kind], moments[1, 1, kind], moments[1, 2, kind]
        for place in range(starts[kind], starts[kind + 1]):
            word = order[place]
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

    Args:
        states: After each word.
        back: See above.
        order: See above.
        starts: See above.
        means: As for `read_gate`.
        signs: Signs × words.
        moments: 3 × kinds × units: Σx, Σ|x|, Σx².
        signed: Signs × kinds × units: Σ sign · x.
        sizes: Words × sets: the average of |x|.
    """
    nothing = np.zeros(states.shape[1], states.dtype)
    row = np.empty(states.shape[1])
    for kind in range(len(starts) - 1):
        plain, size, square = moments[0, kind], moments[1, kind], moments[2, kind]
        for place in range(starts[kind], starts[kind + 1]):
            word = order[place]
            before = states[word - back] if word >= back else nothing
            _add_change(states[word], before, row, plain, size, square)
            for number in range(len(signs)):
                _add_signed(row, signs[number, word], signed[number, kind])
            _add_sizes(row, means, sizes[word])


@compiled
def read_cells(columns: Array, cells: Array, sums: Array) -> None:
    """Add up numbers of words by the cells of the profile that they belong to.

    Args:
        columns: Readings × words × sets.
        cells: Kinds of cells × words.
        sums: Readings × sets × 2 × cells: Σx, Σx².
    """
    for reading in range(len(columns)):
        for word in range(columns.shape[1]):
            for group in range(columns.shape[2]):
                value = columns[reading, word, group]
                for kind in range(len(cells)):
                    sums[reading, group, 0, cells[kind, word]] += value
                    sums[reading, group, 1, cells[kind, word]] += value * value
