"""Statistics of the gates of traces, by unit and group of words: `gate_statistics`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import repeat
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from memgate.errors import InputError
from memgate.gates.histograms import BINS
from memgate.gates.sums import by_kind
from memgate.gates.tables import ALL, group_table
from memgate.gates.trace import Trace

Labels: TypeAlias = Sequence[Sequence[Hashable]] | npt.NDArray[np.generic] | Tensor
"""A label a word: an array (batch, time), or a list of as many labels as words a sequence."""


def gate_statistics(
    traces: Trace | Iterable[Trace],
    groups: Labels | Iterable[Labels] | Callable[[Trace], Labels] | None = None,
) -> pd.DataFrame:
    """Summarise gates over words: the mean, the spread, quantiles and saturation of each unit.

    Everything is added up in sums and histograms, by the code that reads the gates of memgate's own
    runs. So traces may come from a generator, one at a time, memory doesn't grow with their number,
    and the result doesn't depend on how the sequences are batched.

    Args:
        traces: A trace, or any number of traces of one recurrence.
        groups: The group of each word, (batch, time): for one trace its labels, for several the
            labels of each; or a function that returns the labels of a trace, such as
            ``lambda trace: trace.roles``. None for all words together.

    Returns:
        A row for each layer, direction, gate, reading, group and unit. ``gate`` is torch's name;
        ``reading`` is ``keep``, ``write`` or null, and a GRU's update gate has rows for both;
        ``group``, as a string, is a label or ``all``; ``n`` words. Of the reading if there is one,
        else of the gate: ``mean`` and ``sd`` (of the population), exact to 1e-8; the quantiles
        ``q05``, ``q25``, ``q50``, ``q75`` and ``q95``, off by less than 0.01; and saturation, the
        proportions ``below_0.1`` and ``above_0.9`` (Karpathy et al. 2015, section 4.2).

    Raises:
        InputError: There is no trace; one is of an RNN, which has no gates, or of another
            recurrence than the first; there isn't a label for each word, or a label is ``all``; or
            a gate is NaN.

    >>> import torch, memgate
    >>> gru = torch.nn.GRU(3, 2, batch_first=True)
    >>> batches = [torch.randn(4, 6, 3) for _ in range(3)]
    >>> table = memgate.gate_statistics(memgate.trace(gru, batch) for batch in batches)
    >>> table[["gate", "reading", "group", "unit", "n"]].tail(2)
         gate reading group  unit   n
    4  update   write   all     0  72
    5  update   write   all     1  72
    """
    counts: _Counts | None = None
    for trace, labels in _with_labels(traces, groups):
        counts = counts or _Counts(trace)
        counts.add(trace, labels)
    if counts is None:
        raise InputError("traces: expected one at least, got none")
    return counts.table()


def _with_labels(
    traces: Trace | Iterable[Trace],
    groups: Labels | Iterable[Labels] | Callable[[Trace], Labels] | None,
) -> Iterable[tuple[Trace, Labels | None]]:
    single = isinstance(traces, Trace)
    every: Iterable[Trace] = [traces] if isinstance(traces, Trace) else traces
    if groups is None:
        return zip(every, repeat(None), strict=False)
    if callable(groups):
        return ((trace, groups(trace)) for trace in every)
    return zip(every, [groups] if single else groups, strict=True)


class _Counts:
    """Sums and histograms of the gates of one recurrence; groups are added as they occur."""

    def __init__(self, first: Trace) -> None:
        if not first.gates:
            raise InputError("gates: expected traces of a GRU or an LSTM; an RNN has no gates")
        self._gates = tuple(first.gates)
        self._directions = first.directions
        self._layers, _, _, self._units = first.memory.shape
        self._kinds: dict[str, int] = {}
        device, sizes = first.memory.device, (self._layers, len(self._gates))
        self._n = torch.zeros(0, dtype=torch.int64, device=device)
        self._sums = torch.zeros(*sizes, 2, 0, self._units, dtype=torch.float64, device=device)
        self._histogram = torch.zeros(
            *sizes, 0, BINS, self._units, dtype=torch.int64, device=device
        )

    @torch.no_grad()
    def add(self, trace: Trace, labels: Labels | None) -> None:
        """Count the words of a trace."""
        layers, _, time, units = trace.memory.shape
        shape = tuple(trace.gates), trace.directions, layers, units
        expected = self._gates, self._directions, self._layers, self._units
        if shape != expected:
            raise InputError(
                "traces: expected all of one recurrence, with gates, directions, layers·directions "
                f"and units {expected}, got {shape}"
            )
        lengths = trace.lengths.cpu().numpy()
        real = np.arange(time) < lengths[:, None]
        codes = self._codes(labels, real)
        kinds = by_kind(codes, len(self._n))
        self._n += kinds.n
        words = torch.from_numpy(real.T.copy()).to(self._n.device)
        no_sets = self._sums.new_zeros(0, units)
        for row, gate in enumerate(self._gates):
            for layer, values in enumerate(trace.gates[gate]):
                flat = values.transpose(0, 1)[words]
                wide = flat if flat.dtype == torch.float64 else flat.float()
                sums = kinds.gate(wide, no_sets, self._histogram[layer, row])
                self._sums[layer, row] += sums.moments

    def table(self) -> pd.DataFrame:
        """Return the statistics."""
        if self._sums.isnan().any():  # a histogram counts NaN in its first bin
            raise InputError("gates: expected numbers, got NaN: weights or inputs are not finite")
        table = group_table(self._gates, [*self._kinds], self._n, self._sums, self._histogram)
        index = table["layer"]
        table["layer"] = index // self._directions
        reverse = index % self._directions == 1
        table.insert(1, "direction", np.where(reverse, "reverse", "forward"))
        return table

    def _codes(self, labels: Labels | None, real: npt.NDArray[np.bool_]) -> Tensor:
        """Return the kind of each word, first words first, and make room for new groups."""
        codes = np.zeros(real.shape, np.int64)
        if labels is not None:
            names = _names(labels, real)
            codes[real] = [self._kinds.setdefault(name, len(self._kinds)) for name in names]
        new = max(1, len(self._kinds)) - len(self._n)
        self._n = torch.cat([self._n, self._n.new_zeros(new)])
        layers, gates, two, _, units = self._sums.shape
        self._sums = torch.cat(
            [self._sums, self._sums.new_zeros(layers, gates, two, new, units)], 3
        )
        self._histogram = torch.cat(
            [self._histogram, self._histogram.new_zeros(layers, gates, new, BINS, units)], 2
        )
        return torch.from_numpy(codes.T[real.T]).to(self._n.device)


def _names(labels: Labels, real: npt.NDArray[np.bool_]) -> list[str]:
    """Return the name of the group of each word, sequence by sequence."""
    if isinstance(labels, Tensor | np.ndarray):
        table = labels.cpu().numpy() if isinstance(labels, Tensor) else labels
        if table.shape != real.shape:
            raise InputError(f"groups: expected shape {real.shape}, got {table.shape}")
        found = table[real].tolist()
    else:
        lengths = real.sum(1).tolist()
        got = [len(row) for row in labels]
        if got != lengths:
            raise InputError(f"groups: expected a label a word, rows of {lengths}, got {got}")
        found = [label for row in labels for label in row]
    names = [str(label) for label in found]
    if ALL in names:
        raise InputError(f"groups: expected other labels than {ALL!r}, which is all words together")
    return names
