"""`intervene`: what a change does, what it leaves alone bit for bit, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import memgate
from memgate import Change
from memgate.errors import InputError
from memgate.gates.trace import Trace
from memgate.models.cells import Recurrence

KINDS: tuple[type[Recurrence], ...] = (nn.RNN, nn.GRU, nn.LSTM)
every_kind = pytest.mark.parametrize("kind", KINDS)
gated = pytest.mark.parametrize("kind", KINDS[1:])
LENGTHS = [6, 4, 6]


def build(kind: type[Recurrence], **options: Any) -> Recurrence:
    torch.manual_seed(0)
    net = kind(3, 5, 2, batch_first=True, bidirectional=True, **options)
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_(std=0.8)
    return net


X = torch.randn(3, 6, 3, generator=torch.Generator().manual_seed(1))
MASK = torch.zeros(3, 6, dtype=torch.bool)
MASK[0, 1:3] = MASK[1, 2:] = True


def same(one: Tensor, other: Tensor) -> bool:
    """Whether all are equal, bit for bit, and NaN in the same places."""
    return bool(((one == other) | (one.isnan() & other.isnan())).all())


# Changes that change nothing


@every_kind
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_no_change_and_changes_of_nothing_are_the_trace(
    kind: type[Recurrence], lengths: list[int] | None
) -> None:
    """With or without a graph for gradients."""
    net = build(kind)
    trace = memgate.trace(net, X, lengths)
    none: list[Trace] = [
        memgate.intervene(net, X, lengths=lengths),
        memgate.intervene(net, X, clamp={"candidate": 0.0}, units=[], lengths=lengths),
        memgate.intervene(net, X, clamp={"hidden": 0.0}, at=MASK & False, lengths=lengths),
        memgate.intervene(net, X, clamp={"candidate": trace.candidates}, lengths=lengths),
        memgate.intervene(net, X, clamp={"hidden": trace.states}, lengths=lengths),
    ]
    if trace.gates:
        clamps: dict[str, float | Tensor] = {"write": trace.write, "keep": trace.keep}
        none.append(memgate.intervene(net, X, clamp=clamps, lengths=lengths))
        none.append(memgate.intervene(net, X, clamp={**trace.gates}, lengths=lengths))
    for other in none:
        assert same(trace.outputs, other.outputs)
        assert same(trace.states, other.states)


@every_kind
def test_the_module_and_the_inputs_stay_as_they_were(kind: type[Recurrence]) -> None:
    net = build(kind)
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    inputs, outputs = X.clone(), net(X)[0]
    memgate.intervene(
        net, inputs, clamp={"hidden": 0.5}, mean=["candidate"], cut=["recurrent_input"]
    )
    assert torch.equal(inputs, X)
    assert all(torch.equal(weights[name], value) for name, value in net.state_dict().items())
    assert torch.equal(net(X)[0], outputs)


# What a change does


@gated
@pytest.mark.parametrize("name", ["write", "keep"])
def test_a_clamped_gate_is_the_number_there_and_itself_elsewhere_before(
    kind: type[Recurrence], name: str
) -> None:
    net = build(kind)
    clean = memgate.trace(net, X)
    changed = memgate.intervene(
        net, X, clamp={name: 0.25}, at=MASK, units=[1, 4], layer=1, direction="forward"
    )
    values, before = getattr(changed, name), getattr(clean, name)
    assert torch.allclose(values[2][..., [1, 4]][MASK], torch.tensor(0.25))
    assert same(changed.states[:2], clean.states[:2]), "the layer below"
    assert same(changed.states[3], clean.states[3]), "the other direction"
    first = MASK.int().argmax(1)
    for row in range(3):
        until = int(first[row]) if MASK[row].any() else 6
        assert same(values[2, row, :until], before[2, row, :until])
        assert same(changed.states[2, row, :until], clean.states[2, row, :until])
        if until < 6:
            assert not same(changed.states[2, row, until:], clean.states[2, row, until:])
    assert not same(changed.outputs, clean.outputs)


def test_write_shut_and_keep_open_hold_an_lstm_still() -> None:
    net = build(nn.LSTM)
    shut = memgate.intervene(net, X, clamp={"write": 0.0, "keep": 1.0}, at=slice(2, 5))
    assert shut.cells is not None
    forward, reverse = shut.cells[0::2], shut.cells[1::2]
    assert torch.equal(forward[:, :, 2:5], forward[:, :, 1:2].expand(2, 3, 3, 5))
    assert torch.equal(reverse[:, :, 2:5], reverse[:, :, 5:6].expand(2, 3, 3, 5))
    assert not shut.updates[:, :, 2:5].any()


@every_kind
def test_the_equations_hold_under_a_change(kind: type[Recurrence]) -> None:
    """A clamped candidate: the memory is mixed of it as of any other."""
    changed = memgate.intervene(build(kind), X, clamp={"candidate": 0.5}, lengths=LENGTHS)
    if changed.gates:
        old = changed.memory - changed.updates
        mixed = changed.write * 0.5 + changed.keep * old
        torch.testing.assert_close(changed.memory, mixed, equal_nan=True)
    else:
        assert (changed.states[:, 0] == 0.5).all()


@every_kind
def test_a_mean_is_that_of_the_words_without_a_change(kind: type[Recurrence]) -> None:
    net = build(kind)
    real = MASK & (torch.arange(6) < torch.tensor(LENGTHS).unsqueeze(1))
    clean = memgate.trace(net, X, LENGTHS)
    for changed in (
        memgate.intervene(net, X, mean=["candidate"], at=MASK, lengths=LENGTHS),
        memgate.intervene(net, X, cut=["candidate"], at=MASK, lengths=LENGTHS),
        memgate.intervene(net, X, Change("candidate", "mean", at=MASK), lengths=LENGTHS),
    ):
        mean = clean.candidates[:, real].mean(1, keepdim=True)
        torch.testing.assert_close(
            changed.candidates[:, real], mean.expand(-1, int(real.sum()), -1)
        )


@gated
def test_a_cut_path_no_longer_depends_on_the_words_before(kind: type[Recurrence]) -> None:
    net = kind(3, 5, batch_first=True)
    other = X.clone()
    other[:, :-1] = torch.randn(3, 5, 3)
    zero: dict[str, float | Tensor] = {"recurrent_input": 0.0}
    if kind is nn.LSTM:
        one = memgate.intervene(net, X, clamp=zero).candidates[:, :, -1]
        assert torch.equal(one, memgate.intervene(net, other, clamp=zero).candidates[:, :, -1])
    cut = memgate.intervene(net, X, cut=["recurrent_input"])
    assert not same(cut.candidates, memgate.trace(net, X).candidates)


@gated
def test_a_resampled_gate_is_that_of_another_sequence(kind: type[Recurrence]) -> None:
    net = build(kind)
    clean = memgate.trace(net, X, LENGTHS)
    changed = memgate.intervene(net, X, resample=["keep"], layer=0, lengths=LENGTHS, seed=3)
    for row in range(3):
        for time in range(LENGTHS[row]):
            found = changed.keep[:2, row, time]
            others = [r for r in range(3) if r != row and time < LENGTHS[r]]
            assert any(torch.equal(found, clean.keep[:2, r, time]) for r in others)
    again = memgate.intervene(net, X, resample=["keep"], layer=0, lengths=LENGTHS, seed=3)
    assert same(again.outputs, changed.outputs)


def test_several_changes_act_in_their_order() -> None:
    net = build(nn.LSTM)
    changes = [
        Change("write", 0.1, units=[0], layer=0),
        Change("write", 0.9, units=[0], layer=0, at=slice(3, None)),
        Change("cell", 2.0, units=[2], layer=1, direction="reverse"),
    ]
    changed = memgate.intervene(net, X, *changes, clamp={"keep": 0.5}, units=[4])
    assert torch.allclose(changed.write[:2, :, :3, 0], torch.tensor(0.1))
    assert torch.allclose(changed.write[:2, :, 3:, 0], torch.tensor(0.9))
    assert changed.cells is not None
    assert (changed.cells[3, ..., 2] == 2.0).all()
    assert (changed.keep[..., 4] == 0.5).all()


def test_values_of_another_run_are_patched_in() -> None:
    net = build(nn.GRU)
    other = memgate.trace(net, X.flip(0))
    at = slice(2, 3)
    patched = memgate.intervene(net, X, clamp={"hidden": other.states}, at=at)
    assert torch.equal(patched.states[:, :, 2], other.states[:, :, 2])
    assert torch.equal(patched.states[0, :, 3:], memgate.trace(net, X_AFTER).states[0, :, 3:])


X_AFTER = torch.cat([X.flip(0)[:, :3], X[:, 3:]], 1)
"""The forward direction after a patch at word 2 knows nothing of the words before it."""


def test_a_projected_state_and_a_cell_can_be_clamped() -> None:
    net = build(nn.LSTM, proj_size=2)
    changed = memgate.intervene(net, X, clamp={"hidden": 0.5}, units=[1])
    assert (changed.states[..., 1] == 0.5).all()
    with pytest.raises(InputError, match="units: expected from 0 to 1, got 3"):
        memgate.intervene(net, X, clamp={"hidden": 0.5}, units=[3])


def test_a_loop_over_a_cell_is_changed_too() -> None:
    cell = nn.GRUCell(3, 4)
    changed = memgate.intervene(cell, X.transpose(0, 1), clamp={"write": 0.0})
    assert not changed.outputs.any()
    assert changed.outputs.shape == (6, 3, 4)


# Refusals

GRU = nn.GRU(3, 5, batch_first=True)

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"clamp": {"gate": 0.0}}, "quantity: expected one of .*keep, write, reset.* got 'gate'"),
    ({"clamp": {"cell": 0.0}}, "for GRU, got 'cell'"),
    ({"clamp": {"write": 1.5}}, "write: expected from 0 to 1, got 1.5 to 1.5"),
    ({"clamp": {"write": torch.zeros(7)}}, r"broadcast to \(1, 3, 6, 5\), got shape \(7,\)"),
    ({"mean": "write"}, "mean: expected a list of quantities, got the string 'write'"),
    ({"mean": ["write"], "at": MASK & False}, "at: expected words to take the mean of, got none"),
    ({"clamp": {"write": 0.0}, "units": [5]}, "units: expected from 0 to 4, got 5"),
    ({"clamp": {"write": 0.0}, "layer": 1}, "layer: expected from 0 to 0, got 1"),
    ({"clamp": {"write": 0.0}, "direction": "reverse"}, "direction: expected forward, got"),
    ({"clamp": {"write": 0.0}, "at": MASK.T}, r"at: expected a mask .*got torch.bool of shape"),
    ({"clamp": {"write": 0.0}, "at": MASK.int()}, "at: expected a mask of torch.bool"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_refuses_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        memgate.intervene(GRU, X, **options)
    assert "\n" not in str(raised.value)


def test_an_unknown_word_for_a_change_is_refused() -> None:
    with pytest.raises(InputError, match="'mean' or 'resample', got 'median'"):
        memgate.intervene(GRU, X, Change("write", "median"))


@pytest.mark.parametrize("name", ["write", "keep", "reset"])
def test_an_rnn_has_no_gate_to_change(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: expected a GRU or an LSTM; an RNN has no gates"):
        memgate.intervene(nn.RNN(3, 4), X, clamp={name: 0.0})
