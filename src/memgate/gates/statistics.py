"""Mean, spread and saturation of every gate, from sums that add up over batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64, Int, Int64
from torch import Tensor
from torchmetrics import Metric

from memgate.errors import InputError
from memgate.models.cells import READINGS, Reading, Recurrence, cell_of
from memgate.models.classifier import Classifier
from memgate.models.trajectory import Trajectory, trajectories

SATURATED = (0.1, 0.9)
"""A gate is saturated below the first and above the second (Karpathy et al. 2015, section 4.2)."""

BLOCK = 2**18
"""Values of one gate that are read at a time on a CPU: as float64, 2 MiB, which stay in the cache.

All gates of an LSTM at B 256, T 25, H 128 took 38.8 ms in such blocks, 40.8 ms whole (one thread).
"""

DTYPES = {
    "layer": "int64",
    "gate": "string",
    "reading": "string",
    "unit": "int64",
    "n": "int64",
    "mean": "float64",
    "sd": "float64",
    "below_0.1": "float64",
    "above_0.9": "float64",
}
"""The columns of the table of `gate_table`, also of one without rows."""

Sums = Float64[Tensor, "layers gates units"]
Counts = Int64[Tensor, "layers gates units"]


class GateStatistics(Metric):
    """Sums over all words of every gate, by layer, gate and unit.

    The states are sums alone, in float64 and int64: memory is constant in the corpus, and batches,
    their sizes and their order, or processes, don't change the result.

    Args:
        net: The recurrence whose gates will be counted; only its kind and sizes are used.
        kwargs: As `torchmetrics.Metric`.

    Raises:
        InputError: The recurrence is of a kind that `cell_of` refuses.
    """

    full_state_update = False

    n: Int64[Tensor, ""]
    total: Sums
    squares: Sums
    below: Counts
    above: Counts

    def __init__(self, net: Recurrence, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gates: tuple[str, ...] = cell_of(net).gates
        shape = (net.num_layers, len(self.gates), net.hidden_size)
        self.add_state("n", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        for name in ("total", "squares"):
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("below", "above"):
            self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, layers: Sequence[Trajectory]) -> None:
        """Count the gates of a block of sentences.

        Args:
            layers: One trajectory a layer.

        Raises:
            InputError: There are not as many layers as the recurrence has.
        """
        if len(layers) != len(self.total):
            raise InputError(f"trajectories: expected {len(self.total)} layers, got {len(layers)}")
        low, high = SATURATED
        words = (0, 1)
        self.n += layers[0].hidden.shape[:2].numel()
        for layer, trajectory in enumerate(layers):
            for row, gate in enumerate(self.gates):
                values = trajectory.gates[gate]
                exact = values.double()
                self.total[layer, row] += exact.sum(words)
                self.squares[layer, row] += exact.square().sum(words)
                self.below[layer, row] += (values < low).sum(words)
                self.above[layer, row] += (values > high).sum(words)

    def compute(self) -> pd.DataFrame:
        """Return the table of `gate_table`."""
        return gate_table(self.gates, int(self.n), self.total, self.squares, self.below, self.above)


def gate_table(
    gates: Sequence[str], n: int, total: Sums, squares: Sums, below: Counts, above: Counts
) -> pd.DataFrame:
    """Turn sums over words into one row a layer, gate, reading and unit.

    A reading that is 1 - gate swaps the two ends. As the spread comes from sums alone, it is exact
    to about 1e-8, less than the step of a float32 below 1 (6e-8).

    Args:
        gates: torch's names, in the order of the second dimension of the sums.
        n: Words.
        total: Sum of each gate.
        squares: Sum of its square.
        below: Words at which it is below 0.1.
        above: Words at which it is above 0.9.

    Returns:
        ``layer`` and ``unit`` count from 0; ``gate`` is torch's name; ``reading`` is ``keep``,
        ``write`` or null, and the GRU's update gate has a row for each of the two; ``n`` words.
        Over them, of the reading where there is one, else of the gate: ``mean``; ``sd`` (the
        population's: divided by n); the shares ``below_0.1`` and ``above_0.9``. Empty for an RNN.
    """
    words = n or np.nan  # shares of nothing are null
    mean, square, low, high = (
        sums.cpu().numpy() / words for sums in (total, squares, below, above)
    )
    sd = np.sqrt((square - mean**2).clip(0))  # rounding can leave -1e-17
    of_gate = np.stack([mean, sd, low, high], axis=-1)
    of_complement = np.stack([1 - mean, sd, high, low], axis=-1)
    rows = [
        (layer, gate, reading, unit, n, *values)
        for layer in range(len(mean))
        for row, gate in enumerate(gates)
        for reading, complement in _readings(gate)
        for unit, values in enumerate((of_complement if complement else of_gate)[layer, row])
    ]
    return pd.DataFrame(rows, columns=list(DTYPES)).astype(DTYPES)


def _readings(gate: str) -> list[tuple[Reading | None, bool]]:
    return [*READINGS[gate].items()] or [(None, False)]


@torch.inference_mode()
def gate_statistics(
    classifier: Classifier, batches: Iterable[Int[Tensor, "_batch _time"]]
) -> pd.DataFrame:
    """Read every gate of a classifier over prefixes.

    Args:
        classifier: Its dropout is not applied.
        batches: Token ids, each batch of prefixes of one length.

    Returns:
        The table of `gate_table`; it doesn't depend on how the prefixes are batched.

    Raises:
        InputError: There is no batch.
    """
    net = classifier.recurrence
    device = classifier.embedding.weight.device
    statistics = GateStatistics(net).to(device)
    for batch in batches:
        ids = batch.to(device)
        # A GPU has room for a whole batch, and wants large launches.
        rows = BLOCK // max(1, ids.shape[1] * net.hidden_size)
        for block in [ids] if ids.is_cuda else torch.split(ids, max(1, rows)):
            statistics.update(trajectories(net, classifier.embedding(block)))
    if not statistics.n:
        raise InputError("gate statistics: expected at least one batch of prefixes, got none")
    return statistics.compute()
