"""Every state and gate of a recurrence over sentences: `replay`, or `unroll` under an edit.

Both agree with `torch.nn` and with each other to 1e-12 in double; states start at zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from memgate.errors import InputError
from memgate.models.cells import READINGS, Cell, Quantity, Reading, Recurrence, cell_of

Inputs = Float[Tensor, "batch time features"]
States = Float[Tensor, "batch time units"]


@dataclass(frozen=True)
class Trajectory:
    """The states, the gates and the candidate of one layer at each word.

    Args:
        hidden: The hidden state after each word, in (-1, 1).
        cell: The LSTM's cell after each word; None for the others.
        candidate: The candidate, in (-1, 1).
        gates: Each in (0, 1), by torch's name: ``input``, ``forget``, ``output`` (LSTM); ``reset``,
            ``update`` (GRU); none (RNN).
    """

    hidden: States
    cell: States | None
    candidate: States
    gates: dict[str, States]

    @property
    def readings(self) -> dict[Reading, States]:
        """The comparable readings ``keep`` and ``write``, in (0, 1); none for the RNN.

        LSTM: keep = forget, write = input. GRU: keep = update, write = 1 - update.
        """
        return {
            reading: 1 - values if complement else values
            for gate, values in self.gates.items()
            for reading, complement in READINGS[gate].items()
        }


@runtime_checkable
class Edit(Protocol):
    """Changes a quantity before anything that depends on it is computed."""

    def __call__(
        self, name: Quantity, value: Float[Tensor, "batch units"], /, *, layer: int, time: int
    ) -> Float[Tensor, "batch units"]:
        """Return the quantity to go on with: `value`, changed in place or not, or another tensor.

        Layers come in order, and within a layer the words in order.

        Args:
            name: A gate, ``recurrent_input``, ``candidate``, ``cell`` or ``hidden``.
            value: The quantity for each sentence of the batch.
            layer: From 0.
            time: Index of the word, from 0.
        """
        ...


class _Weights(NamedTuple):
    """The parameters of one layer, not copies, in torch's order."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None
    b_hh: Tensor | None


def trajectories(net: Recurrence, inputs: Inputs) -> list[Trajectory]:
    """Return one trajectory a layer, by `unroll` on a CPU and `replay` on a GPU.

    The step of `unroll` stays in the cache of a CPU: it takes 1.3 to 1.5 times the fused forward
    for an LSTM and 1.0 to 1.1 for a GRU (B 256, H 128, one thread), `replay` 3.5 and 2.5. On a GPU
    many small launches should cost more than `replay`; that hasn't been measured.

    Raises:
        InputError: As `replay`.
    """
    return replay(net, inputs) if inputs.is_cuda else unroll(net, inputs)


def replay(net: Recurrence, inputs: Inputs) -> list[Trajectory]:
    """Return one trajectory a layer, from the states of the fused kernel.

    The gates at word t need only x_t and h_{t-1}. With every h known, one matrix product over all
    words gives every gate, and an elementwise scan the cell of an LSTM. Gradients flow.

    Args:
        net: Any layers, one direction, ``batch_first``.
        inputs: Word vectors, every sentence of the same length.

    Raises:
        InputError: The recurrence is of another kind, or the inputs don't fit it.
    """
    cell = cell_of(net)
    check(net, inputs)
    below = inputs.transpose(0, 1)
    result = []
    for layer in range(net.num_layers):
        weights = _weights(net, layer)
        hidden = _fused(net, weights, below)
        before = torch.cat([torch.zeros_like(hidden[:1]), hidden[:-1]])
        *offered, of_candidate = _parts(cell, functional.linear(below, weights.w_ih, weights.b_ih))
        *recurrent, recurrent_input = _parts(
            cell, functional.linear(before, weights.w_hh, weights.b_hh)
        )
        sums = [x + h for x, h in zip(offered, recurrent, strict=True)]
        step = cell.read(sums, of_candidate, recurrent_input, _plain)
        memory = hidden if cell.memory == "hidden" else _scan(cell, step)
        result.append(_trajectory(cell, {**step, "hidden": hidden, cell.memory: memory}))
        below = hidden
    return result


@torch.no_grad()
def unroll(net: Recurrence, inputs: Inputs, edit: Edit | None = None) -> list[Trajectory]:
    """Return one trajectory a layer, word by word, under an edit.

    An edit acts on everything that depends on the quantity: the rest of the step, later words,
    layers above. Quantities are written in place, so no gradients flow.

    Args:
        net: Any layers, one direction, ``batch_first``; it stays unchanged.
        inputs: Word vectors, every sentence of the same length.
        edit: Gets each quantity when it is computed and returns the one to go on with.

    Raises:
        InputError: As `replay`; or the edit returned another shape.
    """
    cell = cell_of(net)
    check(net, inputs)
    return walk(net, cell, offers_of(net, cell, 0, inputs.transpose(0, 1)), edit)


def walk(
    net: Recurrence, cell: Cell, offers: list[Float[Tensor, "time batch units"]], edit: Edit | None
) -> list[Trajectory]:
    """Walk through the words, given the input products of the first layer (overwritten)."""
    result: list[Trajectory] = []
    for layer in range(net.num_layers):
        record = _Record(cell, offers, layer, edit)
        *weights, of_candidate = (part.T for part in _parts(cell, _weights(net, layer).w_hh, 0))
        bias = _recurrent_bias(net, cell, layer)
        memory = hidden = record.like.new_zeros(record.like.shape)
        recurrent = bias.expand_as(hidden)  # the hidden state before the first word is 0
        scratch = torch.empty_like(hidden)
        for time, (*sums, offered) in enumerate(zip(*record.parts, strict=True)):
            record.time = time
            if time:
                for total, weight in zip(sums, weights, strict=True):
                    total.addmm_(hidden, weight)
                recurrent = torch.addmm(bias, hidden, of_candidate, out=scratch)
            step = cell.read(sums, offered, recurrent, record)
            memory = cell.remember(step, memory, record)
            hidden = cell.expose(step, memory, record)
        result.append(_trajectory(cell, record.quantities))
        if layer + 1 < net.num_layers:
            offers = offers_of(net, cell, layer + 1, record.quantities["hidden"])
    return result


class _Record:
    """A `Compute` that writes each quantity over the input products, or to a new block."""

    def __init__(self, cell: Cell, offers: list[Tensor], layer: int, edit: Edit | None) -> None:
        names: tuple[Quantity, ...] = (*cell.gates, "candidate")
        self.quantities: dict[Quantity, Tensor] = dict(zip(names, offers, strict=True))
        self.parts = [part.unbind() for part in offers]
        self.like = offers[0][0]
        self.time = 0
        self._rows = dict(zip(names, self.parts, strict=True))
        self._layer = layer
        self._edit = edit

    def __call__(
        self, name: Quantity, function: Callable[..., Tensor], /, *operands: Tensor
    ) -> Tensor:
        if name == "recurrent_input" and self._edit is None:
            return function(*operands)  # trajectories don't keep it
        if name not in self._rows:
            self.quantities[name] = self.like.new_empty(len(self.parts[0]), *self.like.shape)
            self._rows[name] = self.quantities[name].unbind()
        value = self._rows[name][self.time]
        function(*operands, out=value)
        if self._edit is not None:
            edited = self._edit(name, value, layer=self._layer, time=self.time)
            if edited.shape != value.shape:
                raise InputError(
                    f"edit of {name!r} (layer {self._layer}, time {self.time}): expected shape "
                    f"{tuple(value.shape)}, got {tuple(edited.shape)}"
                )
            value.copy_(edited)
        return value


def _plain(_name: Quantity, function: Callable[..., Tensor], /, *operands: Tensor) -> Tensor:
    """A `Compute` that only computes, so that gradients flow."""
    return function(*operands)


def _parts(cell: Cell, stacked: Tensor, dim: int = -1) -> list[Tensor]:
    """Return torch's parts in the order of the gates, and that of the candidate last."""
    parts = stacked.chunk(len(cell.parts), dim)
    return [parts[index] for index in cell.parts]


def offers_of(
    net: Recurrence, cell: Cell, layer: int, below: Float[Tensor, "*words features"]
) -> list[Float[Tensor, "*words units"]]:
    """Return the input products of each gate, and last of the candidate: W_ih·x + b_ih.

    For a gate b_hh is added too; the b_hh of the candidate is in its recurrent input.
    """
    weights = _weights(net, layer)
    result = [below @ weight.T for weight in _parts(cell, weights.w_ih, 0)]
    if weights.b_ih is not None and weights.b_hh is not None:
        both = (_parts(cell, bias, 0) for bias in (weights.b_ih, weights.b_hh))
        for index, (offer, x_bias, h_bias) in enumerate(zip(result, *both, strict=True)):
            offer.add_(x_bias + h_bias if index < len(cell.gates) else x_bias)
    return result


def _recurrent_bias(net: Recurrence, cell: Cell, layer: int) -> Float[Tensor, " units"]:
    """Return the part of b_hh for the candidate; 0 without biases."""
    weights = _weights(net, layer)
    if weights.b_hh is None:
        return weights.w_hh.new_zeros(net.hidden_size)
    return _parts(cell, weights.b_hh, 0)[-1]


def _weights(net: Recurrence, layer: int) -> _Weights:
    return _Weights(
        getattr(net, f"weight_ih_l{layer}"),
        getattr(net, f"weight_hh_l{layer}"),
        getattr(net, f"bias_ih_l{layer}", None),
        getattr(net, f"bias_hh_l{layer}", None),
    )


def _fused(
    net: Recurrence, weights: _Weights, below: Float[Tensor, "time batch features"]
) -> Float[Tensor, "time batch units"]:
    """Run one layer of the recurrence through the kernel that `torch.nn` itself calls."""
    start = below.new_zeros(1, below.shape[1], net.hidden_size)
    parameters = [weight for weight in weights if weight is not None]
    # One layer, no dropout, one direction, time first. "Training" makes cuDNN keep what its
    # backward pass needs, nothing else.
    options = (net.bias, 1, 0.0, torch.is_grad_enabled(), False, False)
    if net.mode == "LSTM":
        return torch.lstm(below, (start, start), parameters, *options)[0]
    kernel = torch.gru if net.mode == "GRU" else torch.rnn_tanh
    return kernel(below, start, parameters, *options)[0]


def _scan(cell: Cell, step: Mapping[Quantity, Tensor]) -> Float[Tensor, "time batch units"]:
    """Return the memory after each word, by an elementwise scan."""
    memory = torch.zeros_like(step["candidate"][0])
    memories = []
    for values in zip(*step.values(), strict=True):
        memory = cell.remember(dict(zip(step, values, strict=True)), memory, _plain)
        memories.append(memory)
    return torch.stack(memories)


def _trajectory(cell: Cell, quantities: Mapping[Quantity, Tensor]) -> Trajectory:
    batch_first = {name: values.transpose(0, 1) for name, values in quantities.items()}
    return Trajectory(
        hidden=batch_first["hidden"],
        cell=batch_first.get("cell"),
        candidate=batch_first["candidate"],
        gates={gate: batch_first[gate] for gate in cell.gates},
    )


def check(net: Recurrence, inputs: Tensor) -> None:
    """Refuse inputs that don't fit a recurrence.

    Raises:
        InputError: They are not (batch, time, features), or have no time.
    """
    if inputs.ndim != 3 or inputs.shape[1] < 1 or inputs.shape[2] != net.input_size:
        raise InputError(
            f"inputs: expected shape (batch, time, {net.input_size}) with a time of at least 1, "
            f"got {tuple(inputs.shape)}"
        )


LARGEST_TABLE = 2**28
"""Bytes of the table of a `Lookup`, at most: 28,000 ids in an LSTM of 600 units."""


class Lookup:
    """Trajectories with the input products of the first layer looked up by word.

    These products depend on the word alone, and words repeat: looking a product up takes 1.4 ns a
    unit, computing it 7 (LSTM of 128).

    Args:
        net: As for `unroll`; its weights must not change meanwhile.
        vectors: The vector of each word.

    Raises:
        InputError: As `replay`.
    """

    def __init__(self, net: Recurrence, vectors: Float[Tensor, "forms features"]) -> None:
        self._net = net
        self._cell = cell_of(net)
        self._vectors = vectors
        check(net, vectors.unsqueeze(1))
        size = len(vectors) * len(self._cell.parts) * net.hidden_size * vectors.element_size()
        self._offers: list[Tensor] | None = None
        if not vectors.is_cuda and size <= LARGEST_TABLE:
            with torch.no_grad():
                self._offers = offers_of(net, self._cell, 0, vectors)

    @torch.no_grad()
    def trajectories(self, forms: Int[Tensor, "batch time"]) -> list[Trajectory]:
        """Return one trajectory a layer.

        Args:
            forms: The row of each word in the vectors.

        Raises:
            InputError: As `replay`.
        """
        if self._offers is None:
            return trajectories(self._net, functional.embedding(forms, self._vectors))
        if forms.shape[1] < 1:
            raise InputError(f"inputs: expected a time of at least 1, got {tuple(forms.shape)}")
        words = forms.T.flatten()
        offers = [table.index_select(0, words).view(*forms.T.shape, -1) for table in self._offers]
        return walk(self._net, self._cell, offers, None)
