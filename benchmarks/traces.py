"""Rows: every gate and state of one batch, by `memgate.trace`."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

import memgate
from benchmarks.gates import operations
from benchmarks.loops import stacked
from benchmarks.setting import Setting
from benchmarks.table import Row, at_least
from benchmarks.timing import in_turns, ratio
from memgate.models.cells import Recurrence
from memgate.models.classifier import RECURRENCE, CellName

WORDS = 25
"""Words of each sequence of the batch."""

SHARE = 32
"""Sequences of the batch are one in so many of the prefixes whose gates are read elsewhere."""


QUANTITIES = ("reset", "update", "input", "forget", "output", "candidate", "cell", "hidden")
"""What a trace has, of a GRU or of an LSTM."""


def rows(setting: Setting) -> Iterator[Row]:
    """Yield two rows a cell and size: against the fused forward, and against a loop that stacks.

    Args:
        setting: Device and sizes.
    """
    for units, items in setting.sizes.gates:
        inputs = torch.randn(items // SHARE, WORDS, units, device=setting.device)
        cells: tuple[CellName, ...] = ("lstm", "gru")
        for cell in cells:
            yield from _compared(setting, cell, inputs)


def _compared(setting: Setting, cell: CellName, inputs: Tensor) -> Iterator[Row]:
    torch.manual_seed(0)
    batch, words, units = inputs.shape
    net = RECURRENCE[cell](units, units, batch_first=True).to(setting.device).eval()
    fused, ours, loop = in_turns(
        [partial(action, net, inputs) for action in (forward, read, stack)],
        4 * setting.sizes.repeats,  # a round takes milliseconds
        setting.device,
    )
    own = statistics.median(ours)
    what = f"`memgate.trace` of {batch} × {words} words, {cell.upper()} {units}"
    floor = setting.machine.floor(batch * words * operations(cell, units, units))
    for name, against, times, over, target in (
        ("fused", "the fused forward", fused, ratio(ours, fused), None),
        ("loop", "a loop that stacks them", loop, ratio(loop, ours), at_least(setting.device, 1)),
    ):
        yield Row(
            f"trace-{cell}-{units}/{name}",
            what,
            against,
            "s",
            own,
            statistics.median(times),
            over,
            target,
            floor,
        )


@torch.no_grad()
def read(net: Recurrence, inputs: Tensor) -> None:
    """Read every gate and state."""
    memgate.trace(net, inputs)


@torch.no_grad()
def forward(net: Recurrence, inputs: Tensor) -> None:
    """Compute the outputs alone."""
    net(inputs)


@torch.no_grad()
def stack(net: Recurrence, inputs: Tensor) -> None:
    """Loop over the words and stack what a trace has."""
    stacked(net, inputs, QUANTITIES)
