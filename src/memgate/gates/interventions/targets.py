"""Where interventions act: `AtWords`, what can be changed, and what is there without a change."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from memgate.errors import InputError
from memgate.models.cells import (
    READINGS,
    Quantity,
    Reading,
    Recurrence,
    StepModule,
    cell_of,
    mode_of,
)
from memgate.models.layers import Levels
from memgate.models.trajectory import Lengths, Start, Steps, unrolled

Name: TypeAlias = Quantity | Reading

RoleCodes = Int[Tensor, "batch time"]
Values = Float[Tensor, "batch units"]


class AtWords:
    """An `Edit` of some words and units; everything else passes unchanged, bit by bit.

    Args:
        name: What is changed.
        words: Where.
        units: In each layer and direction.
        make: Returns what replaces the quantity, given it (batch, units), the layer and the time;
            its shape has to broadcast.
    """

    def __init__(
        self,
        name: Quantity,
        words: Bool[Tensor, "batch time"],
        units: Bool[Tensor, "layers units"],
        make: Callable[[Tensor, int, int], Tensor],
    ) -> None:
        self._name = name
        self._words = words.T.unsqueeze(-1)
        self._units = units.to(words.device)
        self._any_word = self._words.flatten(1).any(1).tolist()
        self._any_unit = self._units.any(1).tolist()
        self._make = make

    def __call__(self, name: Quantity, value: Values, /, *, layer: int, time: int) -> Values:
        """As `memgate.models.trajectory.Edit`."""
        if name != self._name or not (self._any_word[time] and self._any_unit[layer]):
            return value
        where = self._words[time] & self._units[layer]
        return torch.where(where, self._make(value, layer, time), value)


def quantity_of(net: Recurrence | StepModule, name: str) -> tuple[Quantity, bool]:
    """Return torch's name of a quantity, and whether the quantity is 1 minus that.

    Raises:
        InputError: The recurrence has no such quantity.
    """
    cell = cell_of(net)
    readings = {
        reading: (gate, complement)
        for gate in cell.gates
        for reading, complement in READINGS[gate].items()
    }
    if name in readings:
        return readings[name]
    if not cell.gates and name in {*get_args(Reading), *READINGS}:
        raise InputError(f"{name}: expected a GRU or an LSTM; an RNN has no gates to change")
    names = [*cell.gates, "recurrent_input", "candidate", *dict.fromkeys((cell.memory, "hidden"))]
    if name not in names:
        expected = ", ".join([*readings, *names])
        raise InputError(f"quantity: expected one of {expected} for {mode_of(net)}, got {name!r}")
    return name, False


def observed(
    levels: Levels,
    below: Steps,
    names: Collection[Quantity],
    start: Start | None = None,
    lengths: Lengths | None = None,
) -> dict[Quantity, Float[Tensor, "layers time batch _"]]:
    """Return quantities at every word without an edit.

    Args:
        levels: As for `memgate.models.trajectory.unrolled`.
        below: As for `unrolled`.
        names: Quantities.
        start: As for `unrolled`.
        lengths: As for `unrolled`.
    """
    seen: dict[Quantity, dict[tuple[int, ...], Tensor]] = {name: {} for name in names}

    def look(name: Quantity, value: Values, /, *, layer: int, time: int) -> Values:
        if name in seen:
            seen[name][layer, time] = value.clone()
        return value

    unrolled(levels, below, start, lengths, look)
    shape = sum(map(len, levels)), len(below)
    return {
        name: torch.stack([values[index] for index in np.ndindex(shape)]).view(
            *shape, below.shape[1], -1
        )
        for name, values in seen.items()
    }


def donors(roles: RoleCodes, seed: int) -> RoleCodes:
    """Choose another item for each word of a batch, with the same role at the same position.

    Returns:
        Rows of the batch. At each position they are a permutation within each role that moves every
        row, unless it is the only one.
    """
    rng = np.random.default_rng([seed, *roles.shape])
    codes = roles.cpu().numpy()
    chosen = np.tile(np.arange(len(codes))[:, None], codes.shape[1])
    for time, roles_there in enumerate(codes.T):
        for role in np.unique(roles_there):
            order = rng.permutation(np.flatnonzero(roles_there == role))
            chosen[order, time] = np.roll(order, 1)
    return torch.from_numpy(chosen).to(roles.device)
