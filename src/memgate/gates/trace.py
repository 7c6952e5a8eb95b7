"""Every gate and state of any recurrence of `torch.nn` on the user's own sequences: `trace`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from memgate.errors import InputError
from memgate.models.cells import READINGS, Reading, Recurrence, StepModule, cell_of
from memgate.models.layers import Layer, Levels, layers_of
from memgate.models.trajectory import Quantities, Start, recurrent_quantities

if TYPE_CHECKING:
    import pandas as pd

    from memgate.predictor import Predictor

STEP_MODULES = (nn.RNNCell, nn.GRUCell, nn.LSTMCell)
RECURRENCES = (nn.RNN, nn.GRU, nn.LSTM, *STEP_MODULES)

Inputs: TypeAlias = Tensor | PackedSequence
Lengths: TypeAlias = Sequence[int] | Tensor
InitialStates: TypeAlias = Tensor | tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Trace:
    """What a recurrence does at each word of a batch of sequences.

    Most tensors have the shape (layers·directions, batch, time, units). Their first dimension has
    the order of torch's ``h_n``: layer 0 forward, layer 0 reverse, layer 1 forward and so on. A
    word's index is its place in the sequence in both directions. Beyond the length of a sequence
    everything is NaN.

    Attributes:
        outputs: What the module returns first, in the layout of the inputs; the hidden states of
            the topmost layer, its directions side by side.
        states: The hidden state after each word, in (-1, 1) but for ReLU and projections; with
            ``proj_size`` the last dimension has that size.
        cells: The cell of an LSTM after each word; None for the others.
        candidates: What each word offers to the memory: in (-1, 1), for ReLU at least 0.
        gates: Each gate in (0, 1) by torch's name: ``reset`` and ``update`` of a GRU; ``input``,
            ``forget`` and ``output`` of an LSTM; none of an RNN.
        lengths: The number of words of each sequence, (batch).
        directions: 1, or 2 if the module is bidirectional.
        initial: The memory before the first word, (layers·directions, batch, units).
        words: The words of each sequence, if they are known.
        roles: The role of each word for the agreement of subject and verb, where it is known.
    """

    outputs: Tensor
    states: Tensor
    cells: Tensor | None
    candidates: Tensor
    gates: Mapping[str, Tensor]
    lengths: Tensor
    directions: int
    initial: Tensor = field(repr=False)
    words: tuple[tuple[str, ...], ...] | None = None
    roles: tuple[tuple[str | None, ...], ...] | None = None

    @property
    def write(self) -> Tensor:
        """How much of the candidate enters the memory, in (0, 1): LSTM input, GRU 1 - update.

        torch's GRU keeps with its update gate, h' = (1-z)·n + z·h; Ng's Γu writes.

        Raises:
            InputError: The module is an RNN, which has no gates.
        """
        return self._reading("write")

    @property
    def keep(self) -> Tensor:
        """How much of the memory stays, in (0, 1): LSTM forget, GRU update.

        Raises:
            InputError: The module is an RNN, which has no gates.
        """
        return self._reading("keep")

    @property
    def memory(self) -> Tensor:
        """What goes from word to word: the cells of an LSTM, else the hidden states."""
        return self.states if self.cells is None else self.cells

    @property
    def updates(self) -> Tensor:
        """What each word changes in the memory: after it less before it, in reading order.

        GRU: write · (candidate - memory); LSTM: write · candidate - (1 - keep) · memory. A gate can
        stand open and write what is there already.
        """
        memory = self.memory
        before = torch.empty_like(memory)
        before[:, :, 1:] = memory[:, :, :-1]
        before[:, :, 0] = self.initial
        if self.directions == 2:
            last = (self.lengths - 1).to(memory.device)
            before[1::2, :, :-1] = memory[1::2, :, 1:]
            before[1::2, torch.arange(len(last), device=memory.device), last] = self.initial[1::2]
        return memory - before

    def to_frame(self, words: Sequence[str | Sequence[str]] | None = None) -> pd.DataFrame:
        """Return a tidy table: a row for each word, layer, direction and unit.

        Args:
            words: Of each sequence, as a list or as a string of words separated by white space;
                None for the trace's own.

        Returns:
            The columns ``sentence``, ``position``, ``word``, ``role`` (if roles are known),
            ``layer``, ``direction`` (``forward`` or ``reverse``), ``unit``, ``write``, ``keep``
            (NaN for an RNN), ``state`` (the memory after the word: an LSTM's cell, else the hidden
            state) and ``update`` (what the word changes in it). All count from 0.

        Raises:
            InputError: The words aren't as many as the lengths.

        >>> import torch, memgate
        >>> gru = torch.nn.GRU(3, 2, batch_first=True)
        >>> frame = memgate.trace(gru, torch.randn(1, 2, 3)).to_frame(["the cat"])
        >>> frame[["sentence", "position", "word", "layer", "direction", "unit"]]
           sentence  position word  layer direction  unit
        0         0         0  the      0   forward     0
        1         0         0  the      0   forward     1
        2         0         1  cat      0   forward     0
        3         0         1  cat      0   forward     1
        """
        import pandas as pd  # noqa: PLC0415  # only frames need it

        lengths = self.lengths.tolist()
        texts = self.words if words is None else _words(words, lengths)
        layers, _, time, units = self.memory.shape
        real = np.arange(time) < np.array(lengths)[:, None]
        sentence, position = np.nonzero(real)
        rows = len(sentence)
        columns: dict[str, object] = {
            "sentence": np.repeat(sentence, layers * units),
            "position": np.repeat(position, layers * units),
        }
        unknown: list[list[str | None]] = [[None] * length for length in lengths]
        for name, labels in {"word": texts or unknown, "role": self.roles}.items():
            if labels is not None:
                flat = np.array([label for row in labels for label in row], dtype=object)
                columns[name] = np.repeat(flat, layers * units)
        index = np.tile(np.repeat(np.arange(layers), units), rows)
        columns["layer"] = index // self.directions
        columns["direction"] = np.where(index % self.directions, "reverse", "forward")
        columns["unit"] = np.tile(np.arange(units), rows * layers)
        for name, values in {
            "write": self.write if self.gates else None,
            "keep": self.keep if self.gates else None,
            "state": self.memory,
            "update": self.updates,
        }.items():
            columns[name] = np.nan if values is None else _flat(values, real)
        return pd.DataFrame(columns)

    def _reading(self, wanted: Reading) -> Tensor:
        for gate, values in self.gates.items():
            for reading, complement in READINGS[gate].items():
                if reading == wanted:
                    return 1 - values if complement else values
        raise InputError(f"{wanted}: expected a GRU or an LSTM; an RNN has no gates")


def _words(words: Sequence[str | Sequence[str]], lengths: Sequence[int]) -> list[list[str]]:
    """Return the words of each sequence; they must be as many as its length."""
    if isinstance(words, str) or len(words) != len(lengths):
        raise InputError(
            f"words: expected a list of {len(lengths)}, a string or a list of words for each "
            f"sequence, got {len(words)} of {type(words).__name__}"
        )
    split = [row.split() if isinstance(row, str) else list(row) for row in words]
    for index, (row, length) in enumerate(zip(split, lengths, strict=True)):
        if len(row) != length:
            raise InputError(f"words of sequence {index}: expected {length}, got {len(row)}")
    return split


def _flat(values: Tensor, real: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> object:
    """Return the values at the words that are there: words, then layers, then units."""
    values = values.detach().cpu()
    if values.dtype.itemsize < 4:
        values = values.float()  # NumPy has no bfloat16
    return values.permute(1, 2, 0, 3).numpy()[real].ravel()


class Sequences(NamedTuple):
    """What a recurrence reads, checked, the time first."""

    levels: Levels
    below: Tensor
    """The inputs, (time, batch, features); 0 beyond the lengths."""
    start: Start | None
    lengths: Tensor | None
    """None if all are of full length."""
    net: Recurrence | StepModule
    batched: bool
    words: tuple[tuple[str, ...], ...] | None = None
    roles: tuple[tuple[str | None, ...], ...] | None = None

    @property
    def batch_first(self) -> bool:
        """Whether the outputs have the batch first."""
        return not isinstance(self.net, STEP_MODULES) and self.net.batch_first

    @property
    def full_lengths(self) -> Tensor:
        """The length of each sequence."""
        time, batch, _ = self.below.shape
        if self.lengths is None:
            return torch.full((batch,), time, device=self.below.device)
        return self.lengths

    @property
    def real(self) -> Tensor:
        """Whether a sequence has a word at a position, (batch, time)."""
        positions = torch.arange(len(self.below), device=self.below.device)
        return positions < self.full_lengths.unsqueeze(1)


def trace(
    module: nn.Module | Predictor,
    inputs: Inputs | Sequence[str],
    lengths: Lengths | None = None,
    hx: InitialStates | None = None,
) -> Trace:
    """Read every gate and every state of a recurrence at each word.

    The outputs equal those of the module to 1e-12 in double precision, and the gates those of the
    equations in the documentation of `torch.nn`. The module stays unchanged, and its hooks don't
    run. Gradients flow to inputs, initial states and parameters, as from the module itself, also in
    evaluation mode; under ``torch.no_grad()`` nothing is kept for them. They can't be
    differentiated again.

    Args:
        module: An ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM`` of any options, also one inside another
            model; or an ``nn.RNNCell``, ``nn.GRUCell`` or ``nn.LSTMCell``, applied word by word; or
            a `memgate.Predictor`.
        inputs: As the module takes them: (batch, time, features) if it is ``batch_first``, else
            (time, batch, features), as for cells too; without a batch (time, features); or a
            ``PackedSequence``. The device and the dtype are those of the parameters. Of a
            predictor: sentences.
        lengths: The number of words of each padded sequence, from 1 to the time; None if all are
            of full length. What is beyond a length is not read, in either direction.
        hx: The initial states as the module takes them: h_0, and of an LSTM (h_0, c_0); None for
            zeros.

    Returns:
        A `Trace`. For a ``PackedSequence`` its sequences are in the order before packing, padded.
        That of a predictor has the words and, if its model was saved with baselines, their roles,
        for which the subject is the first common noun.

    Raises:
        InputError: The module is no recurrence of `torch.nn`; it has dropout between layers and is
            in training mode, so no two calls agree; or an argument doesn't fit it.

    >>> import torch, memgate
    >>> gru = torch.nn.GRU(3, 4, num_layers=2, bidirectional=True, batch_first=True)
    >>> inputs = torch.randn(5, 7, 3)
    >>> trace = memgate.trace(gru, inputs)
    >>> trace.outputs.shape, trace.write.shape, list(trace.gates)
    (torch.Size([5, 7, 8]), torch.Size([4, 5, 7, 4]), ['reset', 'update'])
    >>> torch.allclose(trace.outputs, gru(inputs)[0], atol=1e-6)
    True
    """
    sequences = sequences_of(module, inputs, lengths, hx)
    quantities = recurrent_quantities(
        sequences.levels, sequences.below, sequences.start, sequences.lengths
    )
    return trace_of(sequences, quantities)


def trace_of(sequences: Sequences, quantities: Quantities) -> Trace:
    """Return the trace of quantities, as views of them."""
    directions, top = len(sequences.levels[0]), quantities["hidden"]
    outputs = torch.cat([*top[-2:]], -1) if directions == 2 else top[-1]
    if not sequences.batched:
        outputs = outputs.squeeze(1)
    elif sequences.batch_first:
        outputs = outputs.transpose(0, 1)
    first = sequences.levels[0][0]
    shown = {name: values.transpose(1, 2) for name, values in quantities.items()}
    states = shown["hidden"]
    layers, batch = states.shape[:2]
    start = sequences.start
    return Trace(
        outputs=outputs,
        states=states,
        cells=shown.get("cell"),
        candidates=shown["candidate"],
        gates={gate: shown[gate] for gate in first.cell.gates},
        lengths=sequences.full_lengths,
        directions=directions,
        initial=states.new_zeros(layers, batch, first.units) if start is None else start.memory,
        words=sequences.words,
        roles=sequences.roles,
    )


def sequences_of(
    module: nn.Module | Predictor,
    inputs: Inputs | Sequence[str],
    lengths: Lengths | None,
    hx: InitialStates | None,
) -> Sequences:
    """Check the arguments of `trace`.

    Raises:
        InputError: As `trace`.
    """
    if not isinstance(module, nn.Module):
        if lengths is not None or isinstance(inputs, Tensor | PackedSequence):
            raise InputError("inputs: expected a list of sentences for a predictor, and no lengths")
        return _sentences(module, inputs, hx)
    net = recurrence_of(module)
    if not isinstance(inputs, Tensor | PackedSequence):
        raise InputError(
            f"inputs: expected a tensor or PackedSequence, got {type(inputs).__name__}"
        )
    levels = layers_of(net)
    batch_first = not isinstance(net, STEP_MODULES) and net.batch_first
    if isinstance(inputs, PackedSequence):
        if lengths is not None:
            raise InputError("lengths: expected None, for a PackedSequence has its own")
        below, lengths = pad_packed_sequence(inputs)
        batched = True
    else:
        batched = inputs.ndim == 3
        below = inputs.unsqueeze(1) if inputs.ndim == 2 else inputs
        if batched and batch_first:
            below = below.transpose(0, 1)
    _check_inputs(net, levels[0][0], below, inputs)
    true_lengths = None if lengths is None else _lengths(lengths, below)
    if true_lengths is not None:
        times = torch.arange(len(below), device=below.device).unsqueeze(1)
        below = below.masked_fill((times >= true_lengths).unsqueeze(-1), 0)
    start = None if hx is None else _start(net, levels, hx, below, batched=batched)
    return Sequences(levels, below, start, true_lengths, net, batched)


def _sentences(
    predictor: Predictor, sentences: Sequence[str], hx: InitialStates | None
) -> Sequences:
    """Return sentences as the recurrence of a predictor reads them."""
    # Vocabularies need more than torch and NumPy.
    from memgate.gates.explain.sentences import read_sentences  # noqa: PLC0415

    read = read_sentences(predictor, sentences)
    sequences = sequences_of(predictor.classifier.recurrence, read.vectors, read.lengths, hx)
    return sequences._replace(words=read.words, roles=read.roles)


def recurrence_of(module: nn.Module) -> Recurrence | StepModule:
    """Return a module that can be read.

    Raises:
        InputError: It is no recurrence of `torch.nn`, or it is in training mode and has dropout
            between its layers.
    """
    if not isinstance(module, RECURRENCES):
        names = [name for name, part in module.named_modules() if isinstance(part, RECURRENCES)]
        inside = f", which has {', '.join(names)}: pass that" if names else ""
        raise InputError(
            "module: expected an nn.RNN, nn.GRU, nn.LSTM or one of their cells, got "
            f"{type(module).__name__}{inside}"
        )
    if isinstance(module, STEP_MODULES):
        return module
    if module.training and module.dropout and module.num_layers > 1:
        raise InputError(
            f"module: expected evaluation mode, got training mode with dropout={module.dropout} "
            "between layers, which is random: call module.eval() first"
        )
    return module


def _check_inputs(
    net: Recurrence | StepModule, layer: Layer, below: Tensor, inputs: Inputs
) -> None:
    width = layer.w_ih.shape[1]
    if below.ndim != 3 or below.shape[2] != width or 0 in below.shape[:2]:
        batched = "(batch, time" if getattr(net, "batch_first", False) else "(time, batch"
        got = tuple(below.shape if isinstance(inputs, PackedSequence) else inputs.shape)
        raise InputError(
            f"inputs: expected shape {batched}, {width}) or (time, {width}), with a word at least, "
            f"got {got}"
        )
    expected = layer.w_ih.dtype, layer.w_ih.device
    if (below.dtype, below.device) != expected:
        raise InputError(
            f"inputs: expected {expected[0]} on {expected[1]}, as the parameters are, got "
            f"{below.dtype} on {below.device}"
        )


def _lengths(lengths: Lengths, below: Tensor) -> Tensor | None:
    """Return the lengths on the device of the inputs, or None if all are full."""
    time, batch, _ = below.shape
    values = torch.as_tensor(lengths)
    whole = not (values.is_floating_point() or values.dtype == torch.bool)
    if values.shape != (batch,) or not whole:
        raise InputError(
            f"lengths: expected {batch} whole numbers, one a sequence, got {values.dtype} of shape "
            f"{tuple(values.shape)}"
        )
    low, high = int(values.min()), int(values.max())
    if low < 1 or high > time:
        raise InputError(f"lengths: expected from 1 to {time}, got {low} to {high}")
    return None if low == time else values.to(below.device, torch.int64)


def _start(
    net: Recurrence | StepModule, levels: Levels, hx: InitialStates, below: Tensor, *, batched: bool
) -> Start:
    """Return the initial states, a row a layer and direction."""
    layer, rows, batch = levels[0][0], sum(map(len, levels)), below.shape[1]
    two = cell_of(net).memory == "cell"
    if isinstance(hx, tuple) != two:
        expected = "a pair (h_0, c_0)" if two else "one tensor h_0"
        raise InputError(f"hx: expected {expected}, got {type(hx).__name__}")
    states = hx if isinstance(hx, tuple) else (hx,)
    blocks = []
    for name, state, width in zip(("h_0", "c_0"), states, (layer.size, layer.units), strict=False):
        shape = (batch, width) if batched else (width,)
        if not isinstance(net, STEP_MODULES):
            shape = (rows, *shape)
        if state.shape != shape or (state.dtype, state.device) != (below.dtype, below.device):
            raise InputError(
                f"hx: {name}: expected shape {shape}, {below.dtype} on {below.device}, got "
                f"{tuple(state.shape)}, {state.dtype} on {state.device}"
            )
        blocks.append(state.reshape(rows, batch, width))
    return Start(blocks[0], blocks[-1])
