"""Trajectories against torch.nn, against equations written out in NumPy, and by their laws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch import Tensor, nn

from memgate.errors import InputError
from memgate.models.cells import EQUATIONS, READINGS, Quantity, Recurrence, cell_of
from memgate.models.trajectory import Trajectory, replay, trajectories, unroll

KINDS: tuple[type[Recurrence], ...] = (nn.RNN, nn.GRU, nn.LSTM)
WAYS = (replay, unroll, trajectories)

# An example takes milliseconds, on busy cores now and then more.
unhurried = settings(deadline=None)
every_kind = pytest.mark.parametrize("kind", KINDS)


def assert_equal(found: Tensor, expected: Tensor) -> None:
    """Equal to 1e-12, in double."""
    assert found.dtype == expected.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def build(kind: type[Recurrence], features: int = 3, units: int = 4, **options: Any) -> Recurrence:
    """A recurrence in double whose gates use their whole range."""
    net = kind(features, units, batch_first=True, dtype=torch.float64, **options)
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_(std=1.5)
    return net


@st.composite
def cases(draw: st.DrawFn, *kinds: type[Recurrence]) -> tuple[Recurrence, Tensor]:
    size = st.integers(1, 4)
    torch.manual_seed(draw(st.integers(0, 2**32)))
    net = build(
        draw(st.sampled_from(kinds or KINDS)),
        features=(features := draw(size)),
        units=draw(size),
        num_layers=draw(st.integers(1, 3)),
        bias=draw(st.booleans()),
    )
    return net, torch.randn(draw(size), draw(st.integers(1, 6)), features, dtype=torch.float64)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values)))


def by_hand(net: Recurrence, inputs: Tensor) -> list[dict[str, np.ndarray]]:
    """Every quantity of every layer, from the equations in torch.nn's documentation."""
    weights = {name: value.detach().numpy() for name, value in net.named_parameters()}
    below = inputs.numpy()
    layers = []
    for layer in range(net.num_layers):

        def affine(x: np.ndarray, side: str, layer: int = layer) -> list[np.ndarray]:
            bias = weights[f"bias_{side}_l{layer}"] if net.bias else 0.0
            product = np.asarray(x @ weights[f"weight_{side}_l{layer}"].T + bias)
            return np.split(product, product.shape[1] // net.hidden_size, axis=1)

        h = c = np.zeros((len(below), net.hidden_size))
        steps: list[dict[str, np.ndarray]] = []
        for t in range(below.shape[1]):
            x, w = affine(below[:, t], "ih"), affine(h, "hh")
            if net.mode == "RNN_TANH":
                h = np.tanh(x[0] + w[0])
                steps.append({"candidate": h, "hidden": h})
            elif net.mode == "GRU":
                r, z = sigmoid(x[0] + w[0]), sigmoid(x[1] + w[1])
                n = np.tanh(x[2] + r * w[2])
                h = (1 - z) * n + z * h
                steps.append({"reset": r, "update": z, "candidate": n, "hidden": h})
            else:
                i, f, o = (sigmoid(x[part] + w[part]) for part in (0, 1, 3))
                g = np.tanh(x[2] + w[2])
                c = f * c + i * g
                h = o * np.tanh(c)
                gates = {"input": i, "forget": f, "output": o}
                steps.append({**gates, "candidate": g, "cell": c, "hidden": h})
        layers.append({name: np.stack([s[name] for s in steps], axis=1) for name in steps[0]})
        below = layers[-1]["hidden"]
    return layers


def quantities(trajectory: Trajectory) -> dict[str, Tensor]:
    cell = {} if trajectory.cell is None else {"cell": trajectory.cell}
    return {
        **trajectory.gates,
        "candidate": trajectory.candidate,
        **cell,
        "hidden": trajectory.hidden,
    }


def before(states: Tensor) -> Tensor:
    """What each word finds: the state after the word before, zero at first."""
    return torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], dim=1)


# Independent truth


@unhurried
@given(cases())
def test_states_are_those_of_torch(case: tuple[Recurrence, Tensor]) -> None:
    net, inputs = case
    for way in WAYS:
        layers = way(net, inputs)
        assert_equal(layers[-1].hidden, net(inputs)[0])
        for time in range(
            inputs.shape[1]
        ):  # h_n and c_n after each prefix: every layer, every word
            _, last = net(inputs[:, : time + 1])
            hidden, cell = last if net.mode == "LSTM" else (last, None)
            for layer, trajectory in enumerate(layers):
                assert_equal(trajectory.hidden[:, time], hidden[layer])
                if cell is None:
                    assert trajectory.cell is None
                else:
                    assert trajectory.cell is not None
                    assert_equal(trajectory.cell[:, time], cell[layer])


@unhurried
@given(cases())
def test_every_quantity_is_that_of_the_equations(case: tuple[Recurrence, Tensor]) -> None:
    net, inputs = case
    truth = by_hand(net, inputs)
    for way in WAYS:
        layers = way(net, inputs)
        assert len(layers) == len(truth) == net.num_layers
        for trajectory, expected in zip(layers, truth, strict=True):
            found = quantities(trajectory)
            assert list(found) == list(expected)
            for name, values in expected.items():
                assert_equal(found[name], torch.from_numpy(values))


@every_kind
def test_gradients_of_replay_are_those_of_torch(kind: type[Recurrence]) -> None:
    torch.manual_seed(0)
    net = build(kind, num_layers=2)
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)
    direction = torch.randn(2, 5, 4, dtype=torch.float64)
    expected = torch.autograd.grad((net(inputs)[0] * direction).sum(), list(net.parameters()))
    hidden = replay(net, inputs)[-1].hidden
    found = torch.autograd.grad((hidden * direction).sum(), list(net.parameters()))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@every_kind
def test_gradients_of_every_quantity_are_those_of_finite_differences(
    kind: type[Recurrence],
) -> None:
    torch.manual_seed(0)
    net = build(kind, num_layers=2)
    inputs = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)

    def everything(inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(value for layer in replay(net, inputs) for value in quantities(layer).values())

    assert torch.autograd.gradcheck(everything, inputs)


# Laws


@unhurried
@given(cases())
def test_gates_are_numbers_between_0_and_1(case: tuple[Recurrence, Tensor]) -> None:
    for way in WAYS:
        for trajectory in way(*case):
            for values in [*trajectory.gates.values(), *trajectory.readings.values()]:
                assert ((values > 0) & (values < 1)).all()


@unhurried
@given(cases(nn.GRU))
def test_a_gru_mixes_its_candidate_with_what_it_keeps(case: tuple[Recurrence, Tensor]) -> None:
    for layer in replay(*case):
        keep, write = layer.readings["keep"], layer.readings["write"]
        assert keep is layer.gates["update"]
        mixed = write * layer.candidate + keep * before(layer.hidden)
        assert_equal(layer.hidden, mixed)


@unhurried
@given(cases(nn.LSTM))
def test_an_lstm_adds_its_candidate_to_what_it_keeps(case: tuple[Recurrence, Tensor]) -> None:
    for layer in replay(*case):
        keep, write = layer.readings["keep"], layer.readings["write"]
        assert keep is layer.gates["forget"]
        assert write is layer.gates["input"]
        assert layer.cell is not None
        added = write * layer.candidate + keep * before(layer.cell)
        assert_equal(layer.cell, added)
        assert_equal(layer.hidden, layer.gates["output"] * torch.tanh(layer.cell))


def test_an_rnn_has_no_gates_and_no_readings() -> None:
    for way in WAYS:
        (layer,) = way(build(nn.RNN), torch.randn(2, 3, 3, dtype=torch.float64))
        assert layer.gates == {}
        assert layer.readings == {}


def test_every_gate_of_every_cell_says_how_it_reads() -> None:
    assert set(READINGS) == {gate for cell in EQUATIONS.values() for gate in cell.gates}


@every_kind
@pytest.mark.parametrize("way", WAYS)
def test_dropout_between_layers_is_never_applied(kind: type[Recurrence], way: Any) -> None:
    torch.manual_seed(0)
    net = build(kind, num_layers=3, dropout=0.5).train()
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)
    hidden = way(net, inputs)[-1].hidden
    assert net.training
    assert_equal(hidden, net.eval()(inputs)[0])


@every_kind
@pytest.mark.parametrize("way", WAYS)
def test_works_in_inference_mode_and_in_float32(kind: type[Recurrence], way: Any) -> None:
    torch.manual_seed(0)
    net = kind(3, 4, num_layers=2, batch_first=True)
    with torch.inference_mode():
        inputs = torch.randn(2, 5, 3)
        hidden = way(net, inputs)[-1].hidden
        assert hidden.dtype == torch.float32
        torch.testing.assert_close(hidden, net(inputs)[0])


# The equations alone, which take any leading shape


@every_kind
def test_a_step_over_a_block_is_the_step_of_each_word(kind: type[Recurrence]) -> None:
    torch.manual_seed(0)
    net = build(kind)
    cell = cell_of(net)
    offered, recurrent, *sums = torch.randn(2 + len(cell.gates), 5, 2, 4, dtype=torch.float64)
    memory = torch.randn(5, 2, 4, dtype=torch.float64)

    def compute(name: Quantity, function: Callable[..., Tensor], /, *operands: Tensor) -> Tensor:
        return function(*operands)

    block = cell.read(sums, offered, recurrent, compute)
    after = cell.remember(block, memory, compute)
    for word in range(5):
        step = cell.read([each[word] for each in sums], offered[word], recurrent[word], compute)
        for name, value in step.items():
            assert_equal(block[name][word], value)
        alone = cell.remember(step, memory[word], compute)
        assert_equal(after[word], alone)
        exposed = cell.expose(block, after, compute)[word]
        assert_equal(exposed, cell.expose(step, alone, compute))


# Refusals


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(5, 3), (2, 0, 3), (2, 5, 4), (1, 2, 5, 3)])
def test_refuses_inputs_that_do_not_fit(way: Any, shape: tuple[int, ...]) -> None:
    # Where the tests check annotations, they refuse another number of dimensions first.
    message = r"^inputs: expected shape \(batch, time, 3\) .*got \(.*\)$|^Type-check error"
    with pytest.raises((InputError, TypeCheckError), match=message):
        way(nn.GRU(3, 4, batch_first=True), torch.zeros(shape))
