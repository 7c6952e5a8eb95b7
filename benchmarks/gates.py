"""Rows: every gate of a corpus read into statistics."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.loops import stacked_gates
from benchmarks.setting import VOCABULARY, Setting, mixed, prefixes
from benchmarks.table import Row, at_least, at_most
from benchmarks.timing import in_turns, ratio
from memgate.arrays import Ints
from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.items.roles import ROLES
from memgate.gates.statistics import gate_tables
from memgate.models.classifier import CellName, Classifier
from memgate.predictor import BATCH_SIZE

LOOPS = {
    "loop": "a loop that stacks them, without statistics",
    "loop-counted": "the loop, and mean, sd and saturation by unit and role",
}
"""The two rows against others' way of reading gates; memgate has quantiles and effects besides."""

PARTS = {"rnn": 1, "gru": 3, "lstm": 4}
"""Matrices side by side in each of W_ih and W_hh."""


def rows(setting: Setting, lengths: Ints) -> Iterator[Row]:
    """Yield three rows a cell and size: against the fused forward, and against a loop.

    Args:
        setting: Device and sizes.
        lengths: Of the prefixes of a corpus.
    """
    for units, items in setting.sizes.gates:
        data = prefixes(mixed(lengths, items)).to(setting.device)
        cells: tuple[CellName, ...] = ("lstm", "gru")
        for cell in cells:
            yield from _compared(setting, cell, units, data)


def _compared(setting: Setting, cell: CellName, units: int, data: Prefixes) -> Iterator[Row]:
    torch.manual_seed(0)
    net = Classifier(VOCABULARY, cell, units, units).to(setting.device).eval()
    actions = (forward, read, stack, stack_and_count)
    fused, ours, *loops = in_turns(
        [partial(action, net, data) for action in actions], setting.sizes.repeats, setting.device
    )
    own = statistics.median(ours)
    what = f"gates of {len(data):,} items into statistics, {cell.upper()} {units}"
    words = int(data.lengths.sum())
    floor = setting.machine.floor(words * operations(cell, units, units))
    key = f"gates-{cell}-{units}"
    yield Row(
        f"{key}/fused",
        what,
        "the fused forward",
        "s",
        own,
        statistics.median(fused),
        ratio(ours, fused),
        at_most(setting.device, 1.6, gpu=1.5),
        floor,
        f"{words:,} words, mean length {words / len(data):.1f}",
    )
    for loop, (name, against) in zip(loops, LOOPS.items(), strict=True):
        yield Row(
            f"{key}/{name}",
            what,
            against,
            "s",
            own,
            statistics.median(loop),
            ratio(loop, ours),
            at_least(setting.device, 2, gpu=15),
            floor,
        )


def operations(cell: CellName, inputs: int, units: int) -> int:
    """Return the floating-point operations of a word's two matrix products."""
    return 2 * PARTS[cell] * units * (inputs + units)


def read(net: Classifier, data: Prefixes) -> None:
    """Read every gate into statistics, as `memgate gates` does."""
    gate_tables(net, ExactLengthBatches(data, BATCH_SIZE))


@torch.inference_mode()
def forward(net: Classifier, data: Prefixes) -> None:
    """Compute the answers alone, as `memgate evaluate` does."""
    for batch in ExactLengthBatches(data, BATCH_SIZE):
        net(batch.inputs)


@torch.inference_mode()
def stack(net: Classifier, data: Prefixes) -> None:
    """Loop over the words and stack the gates."""
    for batch in ExactLengthBatches(data, BATCH_SIZE):
        stacked_gates(net.recurrence, net.embedding(batch.inputs))


@torch.inference_mode()
def stack_and_count(net: Classifier, data: Prefixes) -> None:
    """Loop, stack, and add up what a table of mean, sd and saturation by unit and role needs."""
    sums: dict[tuple[str, int], Tensor] = {}
    for batch in ExactLengthBatches(data, BATCH_SIZE):
        gates = stacked_gates(net.recurrence, net.embedding(batch.inputs))
        del gates["hidden"]
        roles = data.roles_of(batch)
        for gate, values in gates.items():
            for role in range(len(ROLES)):
                chosen = values[roles == role]
                square, low, high = chosen.square(), chosen < 0.1, chosen > 0.9
                found = torch.stack([part.sum(0) for part in (chosen, square, low, high)])
                sums[gate, role] = sums.get((gate, role), 0) + found
