"""Gates of the user's own recurrence changed at some words: `intervene`, and its `Change`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor, nn

from memgate.errors import InputError
from memgate.gates.interventions.targets import AtWords, Values, donors, observed, quantity_of
from memgate.gates.trace import (
    InitialStates,
    Inputs,
    Lengths,
    Sequences,
    Trace,
    sequences_of,
    trace_of,
)
from memgate.models.cells import READINGS, Quantity
from memgate.models.trajectory import Edit, unrolled

if TYPE_CHECKING:
    from memgate.predictor import Predictor

At: TypeAlias = Tensor | slice | None


@dataclass(frozen=True, eq=False)
class Change:
    """A change of a gate, a state or a path, as a value: what, to what, and where.

    Attributes:
        quantity: ``write`` or ``keep``, of whichever gate reads as that; or torch's name of a gate,
            ``candidate``, ``cell`` (LSTM), ``hidden``, or ``recurrent_input``, the candidate's
            recurrent part (GRU: r·(W_hn·h + b_hn); LSTM: W_hg·h + b_hg; RNN: W_hh·h + b_hh).
        to: A number, in [0, 1] for a gate; a tensor of values that broadcasts to
            (layers·directions, batch, time, units), such as ``trace.write`` of other inputs;
            ``"mean"``, the mean of each unit over the words `at` without a change (zero isn't
            neutral: Lu et al. 2020); or ``"resample"``, the value of another sequence at the same
            position, without a change.
        at: A mask of the words, (batch, time) or (time), whichever the layout of the inputs is; a
            slice of positions, the same in all sequences; None for every word.
        units: Indices of units, from 0; None for all.
        layer: From 0; None for all.
        direction: ``forward`` or ``reverse``; None for what there is.

    >>> import memgate
    >>> shut = memgate.Change("write", 0.0, at=slice(2, 5), units=[3, 7], layer=0)
    >>> shut.quantity, shut.to
    ('write', 0.0)
    """

    quantity: str
    to: float | Tensor | str
    at: At = None
    units: Sequence[int] | None = None
    layer: int | None = None
    direction: Literal["forward", "reverse"] | None = None


def intervene(
    module: nn.Module | Predictor,
    inputs: Inputs | Sequence[str],
    *changes: Change,
    clamp: Mapping[str, float | Tensor] | None = None,
    mean: Sequence[str] = (),
    resample: Sequence[str] = (),
    cut: Sequence[str] = (),
    at: At = None,
    units: Sequence[int] | None = None,
    layer: int | None = None,
    direction: Literal["forward", "reverse"] | None = None,
    lengths: Lengths | None = None,
    hx: InitialStates | None = None,
    seed: int = 0,
) -> Trace:
    """Run a recurrence with gates clamped, replaced or resampled, and read it as `trace` does.

    A change acts on everything that depends on the quantity: the rest of the step, later words,
    layers above, the outputs. Whatever no change concerns is computed as without it: on a CPU an
    edit that changes nothing gives the outputs of `trace` bit for bit. The module stays as it is.
    No gradients flow.

    Args:
        module: As for `trace`.
        inputs: As for `trace`.
        changes: Any number, each with a place of its own. They act in their order, after them
            those of the keywords: `clamp`, `mean`, `resample`, `cut`.
        clamp: Quantities, and what each is held at: a number or a tensor, as `Change.to`.
        mean: Quantities that are replaced by their mean.
        resample: Quantities that are replaced by those of another sequence of the batch.
        cut: Paths that are cut: replaced by their mean, such as ``recurrent_input``.
        at: The words that the keywords concern, as `Change.at`.
        units: Their units, as `Change.units`.
        layer: Their layer, as `Change.layer`.
        direction: Their direction, as `Change.direction`.
        lengths: As for `trace`. Beyond a length nothing is changed.
        hx: As for `trace`.
        seed: Of the choice of other sequences. A sequence keeps its value at a word where no other
            is as long.

    Returns:
        The `Trace` under the changes, with the outputs.

    Raises:
        InputError: As `trace`; or there is no such quantity, unit, layer or direction, a mask
            doesn't fit, or a gate would leave [0, 1].

    >>> import torch, memgate
    >>> gru = torch.nn.GRU(3, 8, batch_first=True)
    >>> inputs = torch.randn(5, 7, 3)
    >>> shut = memgate.intervene(gru, inputs, clamp={"write": 0.0}, at=slice(2, None), units=[3])
    >>> bool((shut.states[0, :, 2:, 3] == shut.states[0, :, 1:2, 3]).all())  # nothing is written
    True
    """
    place = (at, units, layer, direction)
    named: list[tuple[str, float | Tensor | str]] = [
        *(clamp or {}).items(),
        *((name, "mean") for name in _names("mean", mean)),
        *((name, "resample") for name in _names("resample", resample)),
        *((name, "mean") for name in _names("cut", cut)),
    ]
    every = [*changes, *(Change(name, to, *place) for name, to in named)]
    sequences = sequences_of(module, inputs, lengths, hx)
    edit = _edit(sequences, every, seed) if every else None
    quantities = unrolled(
        sequences.levels, sequences.below, sequences.start, sequences.lengths, edit
    )
    return trace_of(sequences, quantities)


def _names(option: str, names: Sequence[str]) -> Sequence[str]:
    if isinstance(names, str):
        raise InputError(f"{option}: expected a list of quantities, got the string {names!r}")
    return names


def _edit(sequences: Sequences, changes: Iterable[Change], seed: int) -> Edit:
    """Return one edit that makes all changes, each after the one before it."""
    targets = [(change, *quantity_of(sequences.net, change.quantity)) for change in changes]
    wanted = {name for change, name, _ in targets if isinstance(change.to, str)}
    levels, below, start, lengths = sequences[:4]
    clean = observed(levels, below, wanted, start, lengths) if wanted else {}
    edits = [
        _at_words(sequences, change, name, clean.get(name), seed, complement=complement)
        for change, name, complement in targets
    ]

    def chained(name: Quantity, value: Values, /, *, layer: int, time: int) -> Values:
        for edit in edits:
            value = edit(name, value, layer=layer, time=time)
        return value

    return chained


def _at_words(
    sequences: Sequences,
    change: Change,
    name: Quantity,
    clean: Tensor | None,
    seed: int,
    *,
    complement: bool,
) -> AtWords:
    words = sequences.real & _mask(change.at, sequences)
    first = sequences.levels[0][0]
    width = first.size if name == "hidden" else first.units
    units = _units(change, sequences, width)
    if clean is None:
        make = _values(change, name, sequences, width, complement=complement)
    elif change.to == "mean":
        make = _mean(clean, words)
    elif change.to == "resample":
        make = _other(clean, sequences.real, seed)
    else:
        raise InputError(
            f"{change.quantity}: expected a number, a tensor, 'mean' or 'resample', got "
            f"{change.to!r}"
        )
    return AtWords(name, words, units, make)


def _mask(at: At, sequences: Sequences) -> Tensor:
    """Return the words of a change, (batch, time)."""
    time, batch, _ = sequences.below.shape
    device = sequences.below.device
    if at is None or isinstance(at, slice):
        mask = torch.zeros(time, dtype=torch.bool, device=device)
        mask[at or slice(None)] = True
        return mask.expand(batch, time)
    mask = torch.as_tensor(at, device=device)
    if mask.dtype != torch.bool or mask.shape not in {(batch, time), (time,)}:
        raise InputError(
            f"at: expected a mask of torch.bool of shape (batch, time), {(batch, time)}, or "
            f"({time},), got {mask.dtype} of shape {tuple(mask.shape)}"
        )
    return mask.expand(batch, time)


def _units(change: Change, sequences: Sequences, width: int) -> Tensor:
    """Return the units of a change, (layers·directions, units)."""
    levels = sequences.levels
    directions = ("forward", "reverse")[: len(levels[0])]
    mask = torch.zeros(len(levels), len(directions), width, dtype=torch.bool)
    if change.layer is not None and not 0 <= change.layer < len(levels):
        raise InputError(f"layer: expected from 0 to {len(levels) - 1}, got {change.layer}")
    if change.direction not in (None, *directions):
        expected = " or ".join(directions)
        raise InputError(f"direction: expected {expected}, got {change.direction!r}")
    for unit in change.units or ():
        if not 0 <= unit < width:
            raise InputError(f"units: expected from 0 to {width - 1}, got {unit}")
    layers = range(len(levels)) if change.layer is None else [change.layer]
    chosen = range(width) if change.units is None else list(change.units)
    for index, direction in enumerate(directions):
        if change.direction in (None, direction):
            for layer in layers:
                mask[layer, index, chosen] = True
    return mask.flatten(0, 1)


def _values(
    change: Change, name: Quantity, sequences: Sequences, width: int, *, complement: bool
) -> Callable[[Tensor, int, int], Tensor]:
    """Return what holds a quantity at numbers."""
    time, batch, _ = sequences.below.shape
    shape = (sum(map(len, sequences.levels)), batch, time, width)
    values = torch.as_tensor(change.to).to(sequences.below.device, sequences.below.dtype)
    try:
        values = values.detach().expand(shape)
    except RuntimeError as error:
        raise InputError(
            f"{change.quantity}: expected values that broadcast to {shape}, got shape "
            f"{tuple(values.shape)}"
        ) from error
    if name in READINGS and ((values < 0) | (values > 1)).any():
        low, high = values.min().item(), values.max().item()
        raise InputError(f"{change.quantity}: expected from 0 to 1, got {low:g} to {high:g}")

    def make(value: Tensor, layer: int, step: int) -> Tensor:
        to = values[layer, :, step]
        if not complement:
            return to
        # 1 - (1 - gate) isn't always the gate: a value that is already there stays, bit for bit
        return torch.where(1 - value == to, value, 1 - to)

    return make


def _mean(clean: Tensor, words: Tensor) -> Callable[[Tensor, int, int], Tensor]:
    if not words.any():
        raise InputError("at: expected words to take the mean of, got none")
    mean = clean.transpose(1, 2)[:, words].double().mean(1).to(clean.dtype)
    return lambda _value, layer, _step: mean[layer]


def _other(clean: Tensor, real: Tensor, seed: int) -> Callable[[Tensor, int, int], Tensor]:
    other = donors(real.to(torch.int8), seed)
    return lambda _value, layer, step: clean[layer, step][other[:, step]]
