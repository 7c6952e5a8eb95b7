"""Interventions: what an edit of `unroll` changes, what it leaves alone, and what it may not do."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from memgate.errors import InputError
from memgate.models.cells import Recurrence
from memgate.models.trajectory import Edit, Trajectory, unroll

every_kind = pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])


def build(kind: type[Recurrence], num_layers: int = 1) -> Recurrence:
    """Three features, four units, in double, with gates that use their whole range."""
    net = kind(3, 4, num_layers, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_(std=1.5)
    return net


def quantities(trajectory: Trajectory) -> dict[str, Tensor]:
    """Every quantity by name, in the order in which a step makes them."""
    cell = {} if trajectory.cell is None else {"cell": trajectory.cell}
    return {
        **trajectory.gates,
        "candidate": trajectory.candidate,
        **cell,
        "hidden": trajectory.hidden,
    }


CONSEQUENCES: list[tuple[type[Recurrence], str, set[str]]] = [
    (nn.RNN, "candidate", {"hidden"}),
    (nn.RNN, "hidden", set()),
    (nn.GRU, "reset", {"candidate", "hidden"}),
    (nn.GRU, "update", {"hidden"}),
    (nn.GRU, "candidate", {"hidden"}),
    (nn.GRU, "hidden", set()),
    (nn.LSTM, "input", {"cell", "hidden"}),
    (nn.LSTM, "forget", {"cell", "hidden"}),
    (nn.LSTM, "output", {"hidden"}),
    (nn.LSTM, "candidate", {"cell", "hidden"}),
    (nn.LSTM, "cell", {"hidden"}),
    (nn.LSTM, "hidden", set()),
]
"""What an edit of a quantity changes in the same step, besides the quantity."""


@pytest.mark.parametrize(("kind", "edited", "also"), CONSEQUENCES)
def test_an_edit_changes_what_follows_and_nothing_else(
    kind: type[Recurrence], edited: str, also: set[str]
) -> None:
    torch.manual_seed(0)
    net = build(kind, num_layers=3)
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)

    def halve(name: str, value: Tensor, layer: int, time: int) -> Tensor:
        return value / 2 if (name, layer, time) == (edited, 1, 2) else value

    plain, changed = unroll(net, inputs), unroll(net, inputs, halve)
    for name, values in quantities(plain[0]).items():
        assert torch.equal(quantities(changed[0])[name], values), "the layer below is untouched"
    for name, values in quantities(plain[1]).items():
        found = quantities(changed[1])[name]
        assert torch.equal(found[:, :2], values[:, :2]), "earlier words are untouched"
        assert torch.equal(found[:, 2], values[:, 2]) == (name not in {edited, *also})
        assert not torch.equal(found[:, 3], values[:, 3]), "later words remember"
    assert torch.equal(quantities(changed[1])[edited][:, 2], quantities(plain[1])[edited][:, 2] / 2)
    for name, values in quantities(plain[2]).items():
        found = quantities(changed[2])[name]
        assert torch.equal(found[:, :2], values[:, :2])
        assert not torch.equal(found[:, 2], values[:, 2]), "the layer above hears of it"


@every_kind
def test_an_edit_sees_every_quantity_once_in_the_order_of_its_making(
    kind: type[Recurrence],
) -> None:
    net = build(kind, num_layers=2)
    seen: list[tuple[int, int, str]] = []
    made: dict[tuple[int, int, str], Tensor] = {}

    def look(name: str, value: Tensor, layer: int, time: int) -> Tensor:
        seen.append((layer, time, name))
        made[layer, time, name] = value.clone()
        return value

    layers = unroll(net, torch.randn(2, 3, 3, dtype=torch.float64), look)
    order = list(quantities(layers[0]))
    order.insert(order.index("candidate"), "recurrent_input")  # which no trajectory keeps
    assert seen == list(itertools.product(range(2), range(3), order))
    for (layer, time, name), value in made.items():
        if name != "recurrent_input":
            assert torch.equal(quantities(layers[layer])[name][:, time], value)


def same(name: str, value: Tensor, layer: int, time: int) -> Tensor:
    return value


def copy(name: str, value: Tensor, layer: int, time: int) -> Tensor:
    return value.clone()


@every_kind
@pytest.mark.parametrize("edit", [same, copy])
def test_an_edit_that_changes_nothing_changes_nothing(kind: type[Recurrence], edit: Edit) -> None:
    torch.manual_seed(0)
    net = build(kind, num_layers=3)
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)
    for plain, edited in zip(unroll(net, inputs), unroll(net, inputs, edit), strict=True):
        for name, values in quantities(plain).items():
            assert torch.equal(quantities(edited)[name], values)


@every_kind
def test_an_edit_in_place_is_the_same_edit_and_leaves_nothing_behind(
    kind: type[Recurrence],
) -> None:
    torch.manual_seed(0)
    net = build(kind, num_layers=2)
    inputs = torch.randn(2, 4, 3, dtype=torch.float64)
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    given_inputs, plain = inputs.clone(), unroll(net, inputs)

    def returned(name: str, value: Tensor, layer: int, time: int) -> Tensor:
        return torch.full_like(value, 0.3) if name == "candidate" else value

    def in_place(name: str, value: Tensor, layer: int, time: int) -> Tensor:
        return value.fill_(0.3) if name == "candidate" else value

    for one, other in zip(
        unroll(net, inputs, returned), unroll(net, inputs, in_place), strict=True
    ):
        for name, values in quantities(one).items():
            assert torch.equal(quantities(other)[name], values)
    assert torch.equal(inputs, given_inputs)
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    assert torch.equal(unroll(net, inputs)[-1].hidden, plain[-1].hidden)


@pytest.mark.parametrize("start", [1, 3])
def test_a_gru_that_keeps_all_stands_still(start: int) -> None:
    torch.manual_seed(0)
    net = build(nn.GRU)
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)

    def keep(name: str, value: Tensor, layer: int, time: int) -> Tensor:
        return torch.ones_like(value) if name == "update" and time >= start else value

    plain = unroll(net, inputs)[0].hidden
    frozen = unroll(net, inputs, keep)[0].hidden
    assert torch.equal(frozen[:, :start], plain[:, :start])
    assert torch.equal(frozen[:, start:], frozen[:, start - 1 : -1])


@pytest.mark.parametrize("start", [1, 3])
def test_an_lstm_that_keeps_all_and_writes_nothing_stands_still(start: int) -> None:
    torch.manual_seed(0)
    net = build(nn.LSTM)
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)
    clamped = {"input": 0.0, "forget": 1.0}

    def hold(name: str, value: Tensor, layer: int, time: int) -> Tensor:
        return value.fill_(clamped[name]) if name in clamped and time >= start else value

    plain, frozen = unroll(net, inputs)[0].cell, unroll(net, inputs, hold)[0].cell
    assert plain is not None
    assert frozen is not None
    assert torch.equal(frozen[:, :start], plain[:, :start])
    assert torch.equal(frozen[:, start:], frozen[:, start - 1 : -1])


def test_refuses_an_edit_that_returns_another_shape() -> None:
    def shrink(name: str, value: Tensor, layer: int, time: int) -> Tensor:
        return value[:, :1] if (name, layer, time) == ("update", 1, 2) else value

    message = r"edit of 'update' \(layer 1, time 2\): expected shape \(2, 4\), got \(2, 1\)"
    with pytest.raises(InputError, match=message):
        unroll(nn.GRU(3, 4, num_layers=2, batch_first=True), torch.zeros(2, 5, 3), shrink)
