"""Interventions: a gate or a path changed in chosen units, at words of chosen roles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, get_args, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.items.roles import ROLES, Role
from memgate.errors import InputError
from memgate.gates.units.unit import unit_mask
from memgate.models.cells import READINGS, Quantity, Reading, Recurrence, cell_of
from memgate.models.classifier import Classifier
from memgate.models.trajectory import Edit, Inputs, unroll

Name: TypeAlias = Quantity | Reading

RoleCodes = Int[Tensor, "batch time"]
Values = Float[Tensor, "batch units"]

BETWEEN: tuple[Role, ...] = ("attractor", "noun", "other")
"""The roles of the words between subject and verb."""


@dataclass(frozen=True)
class InterventionTarget:
    """The quantity that is changed, the words and the units.

    Attributes:
        quantity: ``keep`` or ``write``, of whichever gate reads as that; or torch's name of a gate,
            ``candidate``, ``cell``, ``hidden``, or ``recurrent_input``, the candidate's recurrent
            part (GRU: r·(W_hn·h + b_hn); LSTM: W_hg·h + b_hg; RNN: W_hh·h + b_hh).
        roles: The roles of the words; None for every word. Words of unknown role have none.
        units: The units, each as (layer, unit); None for all.
    """

    quantity: Name
    roles: tuple[Role, ...] | None = BETWEEN
    units: tuple[tuple[int, int], ...] | None = None


class AtTarget:
    """An `Edit` at a target; everything else passes unchanged, bit by bit.

    Args:
        target: Where to change something.
        net: Any layers.
        roles: Of each word, as `memgate.data.batches.Prefixes.roles_of`.
        make: Returns what replaces the quantity, given it (batch, units), the layer and the time;
            its shape has to broadcast.

    Raises:
        InputError: The recurrence has no such quantity or unit, or there is no such role.
    """

    def __init__(
        self,
        target: InterventionTarget,
        net: Recurrence,
        roles: RoleCodes,
        make: Callable[[Tensor, int, int], Tensor],
    ) -> None:
        self._name, _ = quantity_of(net, target.quantity)
        self._words = words_at(roles, target.roles).T.unsqueeze(-1)
        self._units = unit_mask(net, target.units).to(roles.device)
        self._any_word = self._words.flatten(1).any(1).tolist()
        self._any_unit = self._units.any(1).tolist()
        self._make = make

    def __call__(self, name: Quantity, value: Values, /, *, layer: int, time: int) -> Values:
        """As `Edit`."""
        if name != self._name or not (self._any_word[time] and self._any_unit[layer]):
            return value
        where = self._words[time] & self._units[layer]
        return torch.where(where, self._make(value, layer, time), value)


def quantity_of(net: Recurrence, name: Name) -> tuple[Quantity, bool]:
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
        raise InputError(f"quantity: expected one of {expected} for {net.mode}, got {name!r}")
    return name, False


def words_at(roles: RoleCodes, wanted: tuple[Role, ...] | None) -> Bool[Tensor, "batch time"]:
    """Mark the words of some roles, all words for None.

    Raises:
        InputError: There is no such role.
    """
    if wanted is None:
        return torch.ones_like(roles, dtype=torch.bool)
    for role in wanted:
        if role not in ROLES:
            raise InputError(f"roles: expected among {', '.join(ROLES)}, got {role!r}")
    codes = torch.tensor([ROLES.index(role) for role in wanted], device=roles.device)
    return torch.isin(roles, codes.to(roles.dtype))


Mean: TypeAlias = tuple[tuple[float, ...], ...]
"""A number for each unit of each layer."""


@runtime_checkable
class Intervention(Protocol):
    """A change of a quantity of a recurrence, as a value: neither hook nor changed weight remains.

    Zero is not a neutral value, so a quantity is replaced by its mean (Lu et al. 2020) or by its
    value in another item.
    """

    def edit(self, net: Recurrence, inputs: Inputs, roles: RoleCodes, /) -> Edit:
        """Return the edit that makes the change in a batch.

        Args:
            net: Any layers.
            inputs: Word vectors.
            roles: Of each word, its index in `memgate.data.items.roles.ROLES`, as
                `Prefixes.roles_of`.

        Raises:
            InputError: The recurrence has no such gate or unit.
        """
        ...


@dataclass(frozen=True)
class Clamp:
    """Holds a quantity at a number.

    Attributes:
        target: Where.
        to: The number, in [0, 1] for a gate or a reading.
    """

    target: InterventionTarget
    to: float

    def edit(self, net: Recurrence, _inputs: Inputs, roles: RoleCodes) -> Edit:
        """As `Intervention.edit`; also refuses to clamp a gate outside [0, 1]."""
        name, complement = quantity_of(net, self.target.quantity)
        if name in READINGS and not 0 <= self.to <= 1:
            raise InputError(f"{self.target.quantity}: expected from 0 to 1, got {self.to}")
        number = 1 - self.to if complement else self.to
        return AtTarget(
            self.target, net, roles, lambda value, _layer, _time: value.new_tensor(number)
        )


@dataclass(frozen=True)
class ControlClamp:
    """Clamps a quantity to the value it has without an edit: the control, which changes nothing."""

    target: InterventionTarget

    def edit(self, net: Recurrence, inputs: Inputs, roles: RoleCodes) -> Edit:
        """As `Intervention.edit`."""
        clean = observe(net, inputs, self.target.quantity)
        return AtTarget(self.target, net, roles, lambda _value, layer, time: clean[layer, time])


@dataclass(frozen=True)
class ReplaceByMean:
    """Replaces a quantity by one number a unit, whatever the sentence is.

    Attributes:
        target: Where.
        mean: As `mean_values` returns it.
    """

    target: InterventionTarget
    mean: Mean

    def edit(self, net: Recurrence, inputs: Inputs, roles: RoleCodes) -> Edit:
        """As `Intervention.edit`; also refuses means of another size."""
        mean = inputs.new_tensor(self.mean)
        expected = (net.num_layers, net.hidden_size)
        if mean.shape != expected:
            raise InputError(f"mean: expected shape {expected}, got {tuple(mean.shape)}")
        return AtTarget(self.target, net, roles, lambda _value, layer, _time: mean[layer])


@dataclass(frozen=True)
class Resample:
    """Replaces a quantity by its value in another item, at a word of the same position and role.

    The other item is of the same batch, so of the same length, and is read without an edit. An item
    keeps its value at a word where no other item of the batch matches.

    Attributes:
        target: Where.
        seed: Seed of the choice.
    """

    target: InterventionTarget
    seed: int

    def edit(self, net: Recurrence, inputs: Inputs, roles: RoleCodes) -> Edit:
        """As `Intervention.edit`."""
        clean = observe(net, inputs, self.target.quantity)
        other = donors(roles, self.seed)
        return AtTarget(
            self.target, net, roles, lambda _value, layer, time: clean[layer, time][other[:, time]]
        )


@dataclass(frozen=True)
class Together:
    """Several interventions at once, each after the one before it."""

    parts: tuple[Intervention, ...]

    def edit(self, net: Recurrence, inputs: Inputs, roles: RoleCodes) -> Edit:
        """As `Intervention.edit`."""
        edits = [part.edit(net, inputs, roles) for part in self.parts]

        def chained(name: Quantity, value: Values, /, *, layer: int, time: int) -> Values:
            for edit in edits:
                value = edit(name, value, layer=layer, time=time)
            return value

        return chained


def observe(
    net: Recurrence, inputs: Inputs, quantity: Name
) -> Float[Tensor, "layers time batch units"]:
    """Return a quantity at every word without an edit; for a reading, its gate."""
    wanted, _ = quantity_of(net, quantity)
    values: list[Tensor] = []

    def look(name: Quantity, value: Values, /, *, layer: int, time: int) -> Values:  # noqa: ARG001
        if name == wanted:
            values.append(value.clone())
        return value

    unroll(net, inputs, look)
    return torch.stack(values).view(net.num_layers, -1, *values[0].shape)


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


@torch.no_grad()
def mean_values(
    classifier: Classifier,
    prefixes: Prefixes,
    quantities: Sequence[Name],
    roles: tuple[Role, ...] | None = BETWEEN,
    batch_size: int = 256,
) -> dict[Name, Mean]:
    """Return the mean of quantities in each unit, over all words of some roles, in one pass.

    Args:
        classifier: Its dropout is not applied.
        prefixes: On the classifier's device.
        quantities: Names as in `InterventionTarget.quantity`; of a reading, its gate is averaged.
        roles: The roles of the words that count; None for every word.
        batch_size: Rows computed at once; the sums are in float64.

    Raises:
        InputError: No word has such a role, or the recurrence lacks a quantity.
    """
    net = classifier.recurrence
    wanted = {quantity_of(net, name)[0] for name in quantities}
    zeros = torch.zeros(net.num_layers, net.hidden_size, dtype=torch.float64)
    sums = {name: zeros.to(prefixes.ids.device, copy=True) for name in wanted}
    words = 0
    for batch in ExactLengthBatches(prefixes, batch_size):
        chosen = words_at(prefixes.roles_of(batch), roles)
        words += int(chosen.sum())
        _add(net, classifier.embedding(batch.inputs), chosen, sums)
    if not words:
        raise InputError(f"means: expected words of the roles {', '.join(roles or ())}, got none")
    by_gate = {name: (total / words).tolist() for name, total in sums.items()}
    return {
        name: tuple(map(tuple, by_gate[quantity_of(net, name)[0]]))
        for name in dict.fromkeys(quantities)
    }


def _add(
    net: Recurrence,
    inputs: Inputs,
    chosen: Bool[Tensor, "batch time"],
    sums: dict[Quantity, Float[Tensor, "layers units"]],
) -> None:
    def look(name: Quantity, value: Values, /, *, layer: int, time: int) -> Values:
        if name in sums:
            sums[name][layer] += chosen[:, time].double() @ value.double()
        return value

    unroll(net, inputs, look)
