"""State updates: what a word changes in the memory of each unit, which gates alone do not show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from memgate.models.trajectory import Trajectory

STATE_UPDATES: Mapping[str, tuple[str, ...]] = {
    "RNN_TANH": ("change",),
    "GRU": ("change",),
    "LSTM": ("gained", "lost", "change", "hidden"),
}
"""The state updates of each mode of `torch.nn`; the last is the change of the hidden state.

The memory m is the LSTM's cell c, for GRU and RNN the hidden state h; before the first word it is
0. ``change`` is m_t - m_{t-1}: for a GRU write · (candidate - h_{t-1}), for an LSTM ``gained``,
write · candidate, less ``lost``, (1 - keep) · c_{t-1}. ``hidden`` (LSTM) is h_t - h_{t-1}.

Tables have two more, in log-odds: ``contribution_change`` is w · (h_t - h_{t-1}) with the readout's
weight w, + towards the right answer; over the units of the last layer and the words of a prefix it
adds up to the logit less the readout's bias. ``probe`` is p · (h_t - h_{t-1}) with the direction p
of the linear probe at the last word, in every layer, + towards the number of the subject.
"""

Flat = Float[Tensor, "words units"]


def flat(values: Float[Tensor, "batch time units"]) -> Flat:
    """Flatten prefixes and words, first words first: the order in memory, so nothing is copied."""
    return values.transpose(0, 1).flatten(0, 1)


def state_updates(trajectory: Trajectory) -> Iterator[Flat]:
    """Yield the `STATE_UPDATES` of one layer in their order; words as in `flat`."""
    if trajectory.cell is not None:
        yield flat(trajectory.gates["input"]) * flat(trajectory.candidate)
        lost = 1 - flat(trajectory.gates["forget"])
        batch = len(trajectory.cell)
        lost[:batch] = 0
        lost[batch:] *= flat(trajectory.cell)[:-batch]
        yield lost
        yield _change(trajectory.cell)
    yield _change(trajectory.hidden)


@torch.no_grad()  # which `out=` wants
def _change(states: Float[Tensor, "batch time units"]) -> Flat:
    batch, memory = len(states), flat(states)
    change = torch.empty_like(memory)
    change[:batch] = memory[:batch]
    torch.sub(memory[batch:], memory[:-batch], out=change[batch:])
    return change
