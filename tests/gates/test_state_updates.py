"""What a word changes: each effect against the equations of the cells."""

from __future__ import annotations

import pytest
import torch

from memgate.gates.state_updates import STATE_UPDATES, flat, state_updates
from memgate.models.classifier import CellName, Classifier
from memgate.models.trajectory import Trajectory, replay, unroll


def read(cell: CellName) -> tuple[Trajectory, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    net = Classifier(13, cell, 3, 4).double().recurrence
    inputs = 3 * torch.randn(5, 7, 3, dtype=torch.float64)
    (layer,) = unroll(net, inputs)
    return layer, dict(zip(STATE_UPDATES[net.mode], state_updates(layer), strict=True))


def before(states: torch.Tensor) -> torch.Tensor:
    return flat(torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], 1))


def test_the_change_of_a_gru_is_write_times_what_is_new() -> None:
    layer, found = read("gru")
    write, new = layer.readings["write"], flat(layer.candidate) - before(layer.hidden)
    torch.testing.assert_close(found["change"], flat(write) * new, rtol=0, atol=1e-15)


def test_the_change_of_an_lstm_is_what_it_gains_less_what_it_loses() -> None:
    layer, found = read("lstm")
    assert layer.cell is not None
    keep, write = layer.readings["keep"], layer.readings["write"]
    torch.testing.assert_close(found["gained"], flat(write * layer.candidate), rtol=0, atol=0)
    lost = (1 - flat(keep)) * before(layer.cell)
    torch.testing.assert_close(found["lost"], lost, rtol=0, atol=1e-15)
    torch.testing.assert_close(found["change"], found["gained"] - lost, rtol=0, atol=1e-15)
    hidden = flat(layer.hidden) - before(layer.hidden)
    torch.testing.assert_close(found["hidden"], hidden, rtol=0, atol=0)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_changes_add_up_to_the_last_state(cell: CellName) -> None:
    layer, found = read(cell)
    memory = layer.hidden if layer.cell is None else layer.cell
    total = found["change"].view(7, 5, 4).sum(0)
    torch.testing.assert_close(total, memory[:, -1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_trajectory_stays_as_it_was(cell: CellName) -> None:
    torch.manual_seed(0)
    net = Classifier(13, cell, 3, 4).recurrence
    (layer,) = replay(net, torch.randn(2, 3, 3))
    kept = [value.clone() for value in (layer.hidden, layer.candidate, *layer.gates.values())]
    for values in state_updates(layer):
        values.add_(1)
    now = (layer.hidden, layer.candidate, *layer.gates.values())
    assert all(torch.equal(old, new) for old, new in zip(kept, now, strict=True))
