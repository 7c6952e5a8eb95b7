"""Every state and gate of a recurrence over sentences: `replay`, or `unroll` under an edit.

Both agree with `torch.nn` and with each other to 1e-12 in double. `replayed`, `unrolled` and
`recurrent_quantities` do the same for any options of the recurrence, and for initial states.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from memgate.errors import InputError
from memgate.models.cells import READINGS, Cell, Quantity, Reading, Recurrence
from memgate.models.layers import Layer, Levels, layers_of

Inputs = Float[Tensor, "batch time features"]
States = Float[Tensor, "batch time units"]
Steps = Float[Tensor, "time batch features"]
Lengths = Int[Tensor, " batch"]
Quantities: TypeAlias = dict[Quantity, Float[Tensor, "layers time batch _"]]
"""Each gate, the candidate, the cell of an LSTM and the hidden state, of every layer and direction.

The order of the layers is that of `memgate.models.layers.Levels`. The memory is contiguous.
"""


@dataclass(frozen=True)
class Trajectory:
    """The states, the gates and the candidate of one layer, in one direction, at each word.

    Args:
        hidden: The hidden state after each word, in (-1, 1) but for ReLU and projections.
        cell: The LSTM's cell after each word; None for the others.
        candidate: The candidate, in (-1, 1); at least 0 for ReLU.
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


class Start(NamedTuple):
    """The states before the first word, a row a layer and direction."""

    hidden: Float[Tensor, "layers batch size"]
    memory: Float[Tensor, "layers batch units"]
    """The cell of an LSTM, else the hidden state again."""


@runtime_checkable
class Edit(Protocol):
    """Changes a quantity before anything that depends on it is computed."""

    def __call__(
        self, name: Quantity, value: Float[Tensor, "batch units"], /, *, layer: int, time: int
    ) -> Float[Tensor, "batch units"]:
        """Return the quantity to go on with: `value`, changed in place or not, or another tensor.

        Layers and directions come in the order of `memgate.models.layers.Levels`, and within one
        the words in the order in which it reads them. `value` is valid during the call.

        Args:
            name: A gate, ``recurrent_input``, ``candidate``, ``cell`` or ``hidden``.
            value: The quantity for each sentence of the batch.
            layer: From 0.
            time: Index of the word, from 0.
        """
        ...


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
    """Return one trajectory a layer and direction, from the states of the fused kernel.

    The gates at word t need only x_t and h_{t-1}. With every h known, one matrix product over all
    words gives every gate, and an elementwise scan the cell of an LSTM. Gradients flow.

    Args:
        net: Any recurrence; its dropout is not applied, and its ``batch_first`` doesn't matter.
        inputs: Word vectors, every sentence of the same length.

    Raises:
        InputError: The inputs don't fit the recurrence.
    """
    check(net, inputs)
    levels = layers_of(net)
    return _trajectories(levels, replayed(levels, inputs.transpose(0, 1)))


@torch.no_grad()
def unroll(net: Recurrence, inputs: Inputs, edit: Edit | None = None) -> list[Trajectory]:
    """Return one trajectory a layer and direction, word by word, under an edit.

    An edit acts on everything that depends on the quantity: the rest of the step, later words,
    layers above. Quantities are written in place, so no gradients flow.

    Args:
        net: As for `replay`; it stays unchanged.
        inputs: Word vectors, every sentence of the same length.
        edit: Gets each quantity when it is computed and returns the one to go on with.

    Raises:
        InputError: As `replay`; or the edit returned another shape.
    """
    check(net, inputs)
    levels = layers_of(net)
    return _trajectories(levels, unrolled(levels, inputs.transpose(0, 1), edit=edit))


def recurrent_quantities(
    levels: Levels, below: Steps, start: Start | None = None, lengths: Lengths | None = None
) -> Quantities:
    """Return every quantity, the same numbers whether or not a gradient is wanted.

    On a CPU the numbers are those of `unrolled`, and the gradients those of `replayed`, which runs
    again in the backward pass. So the forward pass keeps no graph. A GPU runs `replayed`.

    Args:
        levels: The layers.
        below: The inputs, the time first.
        start: The states before the first word; None for zeros.
        lengths: The words of each row, from 1 to the time; None if all rows are full. Beyond them
            the result is NaN. The inputs there must be finite; they don't count.
    """
    if below.is_cuda:
        return replayed(levels, below, start, lengths)
    states = [] if start is None else [*start]
    tensors = [below, *states, *(weight for layer in _each(levels) for weight in layer.parameters)]
    if not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)):
        return unrolled(levels, below, start, lengths)
    values: tuple[Tensor, ...] = _Unrolled.apply(levels, lengths, *tensors)  # type: ignore[no-untyped-call]
    return dict(zip(_names(levels[0][0].cell), values, strict=True))


class _Unrolled(torch.autograd.Function):
    """`unrolled` with the gradients of `replayed`."""

    @staticmethod
    def forward(
        ctx: Any, levels: Levels, lengths: Lengths | None, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.levels, ctx.lengths = levels, lengths
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return tuple(unrolled(*_arguments(levels, tensors), lengths).values())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[2:]
        tensors = [
            tensor.detach().requires_grad_(needed)
            for tensor, needed in zip(ctx.saved_tensors, wanted, strict=True)
        ]
        with torch.enable_grad():
            values = replayed(*_arguments(ctx.levels, tensors), ctx.lengths).values()
        known = [
            (value, gradient)
            for value, gradient in zip(values, gradients, strict=True)
            if gradient is not None
        ]
        found = iter(
            torch.autograd.grad(
                [value for value, _ in known],
                [tensor for tensor in tensors if tensor.requires_grad],
                [gradient for _, gradient in known],
                allow_unused=True,
            )
        )
        return None, None, *(next(found) if needed else None for needed in wanted)


def _arguments(levels: Levels, tensors: Iterable[Tensor]) -> tuple[Levels, Steps, Start | None]:
    """Return layers, inputs and initial states with the tensors that `_Unrolled` gets."""
    below, *rest = tensors
    parameters = [weight for layer in _each(levels) for weight in layer.parameters]
    start = Start(*rest[:2]) if len(rest) > len(parameters) else None
    weights = iter(rest if start is None else rest[2:])
    return (
        [tuple(layer.with_parameters(weights) for layer in level) for level in levels],
        below,
        start,
    )


def replayed(
    levels: Levels, below: Steps, start: Start | None = None, lengths: Lengths | None = None
) -> Quantities:
    """Return every quantity, from the states of the fused kernel; gradients flow.

    Args:
        levels: As for `recurrent_quantities`.
        below: As for `recurrent_quantities`.
        start: As for `recurrent_quantities`.
        lengths: As for `recurrent_quantities`.
    """
    names = _names(levels[0][0].cell)
    layers: dict[Quantity, list[Tensor]] = {name: [] for name in names}
    for level in levels:
        of_level: list[dict[Quantity, Tensor]] = []
        for layer in level:
            at = len(layers["hidden"]) + len(of_level)
            initial = _initial(layer, below, start, at)
            of_level.append(_replayed_layer(layer, below, initial, lengths))
        hidden = [quantities["hidden"] for quantities in of_level]
        below = hidden[0] if len(hidden) == 1 else torch.cat(hidden, -1)
        for quantities in of_level:
            for name in names:
                layers[name].append(quantities[name])
        del of_level, quantities
    beyond = None if lengths is None else _beyond(lengths, len(below))
    result: Quantities = {}
    for name in names:
        values = layers.pop(name)  # so that each layer's are freed before the next are stacked
        stack = values[0].unsqueeze(0) if len(values) == 1 else torch.stack(values)
        result[name] = stack if beyond is None else stack.masked_fill(beyond, torch.nan)
    return result


def _replayed_layer(
    layer: Layer, below: Steps, start: Start, lengths: Lengths | None
) -> dict[Quantity, Float[Tensor, "time batch _"]]:
    cell = layer.cell
    if layer.reverse:
        below = _turned(below, lengths)
    hidden = _fused(layer, below, start)
    before = torch.cat([start.hidden, hidden[:-1]])
    *offered, of_candidate = _parts(cell, functional.linear(below, layer.w_ih, layer.b_ih))
    *recurrent, recurrent_input = _parts(cell, functional.linear(before, layer.w_hh, layer.b_hh))
    sums = [x + h for x, h in zip(offered, recurrent, strict=True)]
    step = cell.read(sums, of_candidate, recurrent_input, _plain)
    memory = hidden if cell.memory == "hidden" else _scan(cell, step, start.memory[0])
    quantities = {**step, cell.memory: memory, "hidden": hidden}
    if layer.reverse:
        quantities = {name: _turned(values, lengths) for name, values in quantities.items()}
    return quantities


def _turned(
    values: Float[Tensor, "time batch width"], lengths: Lengths | None
) -> Float[Tensor, "time batch width"]:
    """Return the words of each row in the reverse order, and what is beyond them in its place."""
    if lengths is None:
        return values.flip(0)
    times = torch.arange(len(values), device=values.device).unsqueeze(1)
    order = torch.where(times < lengths, lengths - 1 - times, times)
    return values.gather(0, order.unsqueeze(-1).expand_as(values))


def _beyond(lengths: Lengths, time: int) -> Tensor:
    """Mark what is beyond the length of each row."""
    return (torch.arange(time, device=lengths.device).unsqueeze(1) >= lengths).unsqueeze(-1)


@torch.no_grad()
def unrolled(
    levels: Levels,
    below: Steps,
    start: Start | None = None,
    lengths: Lengths | None = None,
    edit: Edit | None = None,
) -> Quantities:
    """Return every quantity, word by word, under an edit; no gradients flow.

    Args:
        levels: As for `recurrent_quantities`; they stay unchanged.
        below: As for `recurrent_quantities`.
        start: As for `recurrent_quantities`.
        lengths: As for `recurrent_quantities`.
        edit: Gets each quantity when it is computed, also beyond the lengths.

    Raises:
        InputError: The edit returned another shape.
    """
    empty = below.new_empty(*below.shape[:2], 0)
    return walk(levels, empty, partial(_offer, below.flatten(0, 1)), start, lengths, edit)


Offer: TypeAlias = Callable[[Layer, list[Float[Tensor, "words units"]]], None]
"""Writes the input products of a layer of the first level into blocks, as `_offer` does."""


def walk(
    levels: Levels,
    like: Float[Tensor, "time batch 0"],
    offer: Offer,
    start: Start | None = None,
    lengths: Lengths | None = None,
    edit: Edit | None = None,
) -> Quantities:
    """Walk through the words, level by level.

    Args:
        levels: The layers.
        like: Has the time, the rows, the dtype and the device.
        offer: Writes the input products of the first level.
        start: As for `recurrent_quantities`.
        lengths: As for `recurrent_quantities`.
        edit: As for `unrolled`.
    """
    first = levels[0][0]
    count, steps = sum(map(len, levels)), like.shape[:2]
    widths = dict.fromkeys(_names(first.cell), first.units) | {"hidden": first.size}
    result: Quantities = {
        name: like.new_empty(count, *steps, width) for name, width in widths.items()
    }
    index = 0
    for level in levels:
        for layer in level:
            rows = {name: values[index] for name, values in result.items()}
            offer(layer, [rows[name].flatten(0, 1) for name in (*layer.cell.gates, "candidate")])
            initial = None if start is None else _initial(layer, like, start, index)
            _walk_layer(layer, rows, initial, lengths, _Record(rows, index, edit))
            index += 1
        hidden = result["hidden"][index - len(level) : index]
        words = hidden[0] if len(level) == 1 else torch.cat([*hidden], -1)
        offer = partial(_offer, words.flatten(0, 1))
    if lengths is not None:
        beyond = _beyond(lengths, len(like))
        for values in result.values():
            values.masked_fill_(beyond, torch.nan)
    return result


def _walk_layer(
    layer: Layer,
    rows: Mapping[Quantity, Float[Tensor, "time batch _"]],
    start: Start | None,
    lengths: Lengths | None,
    record: _Record,
) -> None:
    """Turn the input products in the rows into the quantities of a layer, in place."""
    cell = layer.cell
    *weights, of_candidate = (part.T for part in _parts(cell, layer.w_hh, 0))
    bias = _recurrent_bias(layer)
    like = rows["candidate"][0]
    scratch = torch.empty_like(like)
    recurrent = bias.expand_as(like)
    resting = start is None  # the hidden state before the first word is 0, so it adds nothing
    if start is None:
        start = Start(
            rows["hidden"].new_zeros(1, *rows["hidden"].shape[1:]), like.new_zeros(1, *like.shape)
        )
    hidden, memory = start.hidden[0], start.memory[0]
    parts = [rows[name].unbind() for name in (*cell.gates, "candidate")]
    times = range(len(rows["candidate"]))
    for time in reversed(times) if layer.reverse else times:
        if lengths is not None and layer.reverse:
            begun = (time + 1 < lengths).unsqueeze(1)
            hidden = torch.where(begun, hidden, start.hidden[0])
            memory = torch.where(begun, memory, start.memory[0])
        record.time = time
        *sums, offered = (part[time] for part in parts)
        if not resting:
            for total, weight in zip(sums, weights, strict=True):
                total.addmm_(hidden, weight)
            recurrent = torch.addmm(bias, hidden, of_candidate, out=scratch)
        resting = False
        step = cell.read(sums, offered, recurrent, record)
        memory = cell.remember(step, memory, record)
        hidden = cell.expose(step, memory, record, layer.w_hr)


class _Record:
    """A `Compute` that writes each quantity over the input products, or to its own block."""

    def __init__(
        self, rows: Mapping[Quantity, Float[Tensor, "time batch _"]], layer: int, edit: Edit | None
    ) -> None:
        self.time = 0
        self._rows = {name: values.unbind() for name, values in rows.items()}
        self._recurrent_input = torch.empty_like(rows["candidate"][0])
        self._layer = layer
        self._edit = edit

    def __call__(
        self, name: Quantity, function: Callable[..., Tensor], /, *operands: Tensor
    ) -> Tensor:
        if name == "recurrent_input":  # which isn't kept
            if self._edit is None:
                return function(*operands)
            value = self._recurrent_input
        else:
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


def _each(levels: Levels) -> Iterator[Layer]:
    return itertools.chain.from_iterable(levels)


def _names(cell: Cell) -> tuple[Quantity, ...]:
    """Return the names of what is kept, in the order in which a step makes them."""
    return (*cell.gates, "candidate", *dict.fromkeys((cell.memory, "hidden")))


def _parts(cell: Cell, stacked: Tensor, dim: int = -1) -> list[Tensor]:
    """Return torch's parts in the order of the gates, and that of the candidate last."""
    parts = stacked.chunk(len(cell.parts), dim)
    return [parts[index] for index in cell.parts]


def _offer(
    words: Float[Tensor, "words features"], layer: Layer, blocks: list[Float[Tensor, "words units"]]
) -> None:
    """Write the input products of each gate, and last of the candidate: W_ih·x + b_ih.

    For a gate b_hh is added too; the b_hh of the candidate is in its recurrent input.
    """
    for weight, block in zip(_parts(layer.cell, layer.w_ih, 0), blocks, strict=True):
        torch.mm(words, weight.T, out=block)
    if layer.b_ih is not None and layer.b_hh is not None:
        both = (_parts(layer.cell, bias, 0) for bias in (layer.b_ih, layer.b_hh))
        for index, (block, x_bias, h_bias) in enumerate(zip(blocks, *both, strict=True)):
            block.add_(x_bias + h_bias if index < len(layer.cell.gates) else x_bias)


def _recurrent_bias(layer: Layer) -> Float[Tensor, " units"]:
    """Return the part of b_hh for the candidate; 0 without biases."""
    if layer.b_hh is None:
        return layer.w_hh.new_zeros(layer.units)
    return _parts(layer.cell, layer.b_hh, 0)[-1]


def _initial(
    layer: Layer, like: Float[Tensor, "time batch _"], start: Start | None, index: int
) -> Start:
    """Return the states of one layer and direction before its first word, as blocks of one row."""
    if start is not None:
        one = slice(index, index + 1)
        return Start(start.hidden[one].contiguous(), start.memory[one].contiguous())
    batch = like.shape[1]
    return Start(like.new_zeros(1, batch, layer.size), like.new_zeros(1, batch, layer.units))


def _fused(layer: Layer, below: Steps, start: Start) -> Float[Tensor, "time batch size"]:
    """Run one layer of the recurrence through the kernel that `torch.nn` itself calls."""
    # One layer, no dropout, one direction, time first. "Training" makes cuDNN keep what its
    # backward pass needs, nothing else.
    options = (layer.b_ih is not None, 1, 0.0, torch.is_grad_enabled(), False, False)
    if layer.mode == "LSTM":
        return torch.lstm(below, (start.hidden, start.memory), layer.parameters, *options)[0]
    return KERNELS[layer.mode](below, start.hidden, layer.parameters, *options)[0]


KERNELS: Mapping[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
    "GRU": torch.gru,
}
"""The fused kernels by `torch.nn`'s ``mode``, but for the LSTM's, which takes two states."""


def _scan(
    cell: Cell, step: Mapping[Quantity, Tensor], memory: Float[Tensor, "batch units"]
) -> Float[Tensor, "time batch units"]:
    """Return the memory after each word, by an elementwise scan."""
    memories = []
    for values in zip(*step.values(), strict=True):
        memory = cell.remember(dict(zip(step, values, strict=True)), memory, _plain)
        memories.append(memory)
    return torch.stack(memories)


def _trajectories(levels: Levels, quantities: Quantities) -> list[Trajectory]:
    gates = levels[0][0].cell.gates
    layers = [
        {name: values[index].transpose(0, 1) for name, values in quantities.items()}
        for index in range(len(quantities["hidden"]))
    ]
    return [
        Trajectory(
            hidden=layer["hidden"],
            cell=layer.get("cell"),
            candidate=layer["candidate"],
            gates={gate: layer[gate] for gate in gates},
        )
        for layer in layers
    ]


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
        self._levels = layers_of(net)
        self._vectors = vectors
        check(net, vectors.unsqueeze(1))
        self._tables: list[list[Tensor]] = []  # of each direction
        first = self._levels[0]
        size = sum(len(vectors) * len(layer.w_hh) * vectors.element_size() for layer in first)
        if not vectors.is_cuda and size <= LARGEST_TABLE:
            for layer in first:
                shape = len(layer.cell.parts), len(vectors), layer.units
                self._tables.append([*vectors.new_empty(shape)])
                with torch.no_grad():
                    _offer(vectors, layer, self._tables[-1])

    @torch.no_grad()
    def trajectories(self, forms: Int[Tensor, "batch time"]) -> list[Trajectory]:
        """Return one trajectory a layer.

        Args:
            forms: The row of each word in the vectors.

        Raises:
            InputError: As `replay`.
        """
        if not self._tables:
            return trajectories(self._net, functional.embedding(forms, self._vectors))
        if forms.shape[1] < 1:
            raise InputError(f"inputs: expected a time of at least 1, got {tuple(forms.shape)}")
        words = forms.T.flatten()

        def look_up(layer: Layer, blocks: list[Float[Tensor, "words units"]]) -> None:
            for table, block in zip(self._tables[layer.reverse], blocks, strict=True):
                torch.index_select(table, 0, words, out=block)

        empty = self._vectors.new_empty(*forms.T.shape, 0)
        return _trajectories(self._levels, walk(self._levels, empty, look_up))
