"""Interventions: a gate or a path changed in chosen units, at words of chosen roles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.items.roles import ROLES, Role
from memgate.errors import InputError
from memgate.gates.interventions.targets import (
    AtWords,
    Name,
    RoleCodes,
    Values,
    donors,
    observed,
    quantity_of,
)
from memgate.gates.units.unit import unit_mask
from memgate.models.cells import READINGS, Quantity, Recurrence
from memgate.models.classifier import Classifier
from memgate.models.layers import layers_of
from memgate.models.trajectory import Edit, Inputs, unroll

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


def at_target(
    target: InterventionTarget,
    net: Recurrence,
    roles: RoleCodes,
    make: Callable[[Tensor, int, int], Tensor],
) -> AtWords:
    """Return the edit at a target.

    Args:
        target: Where to change something.
        net: Any layers.
        roles: Of each word, as `memgate.data.batches.Prefixes.roles_of`.
        make: As for `AtWords`.

    Raises:
        InputError: The recurrence has no such quantity or unit, or there is no such role.
    """
    name, _ = quantity_of(net, target.quantity)
    return AtWords(name, words_at(roles, target.roles), unit_mask(net, target.units), make)


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
        return at_target(
            self.target, net, roles, lambda value, _layer, _time: value.new_tensor(number)
        )


@dataclass(frozen=True)
class ControlClamp:
    """Clamps a quantity to the value it has without an edit: the control, which changes nothing."""

    target: InterventionTarget

    def edit(self, net: Recurrence, inputs: Inputs, roles: RoleCodes) -> Edit:
        """As `Intervention.edit`."""
        clean = observe(net, inputs, self.target.quantity)
        return at_target(self.target, net, roles, lambda _value, layer, time: clean[layer, time])


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
        return at_target(self.target, net, roles, lambda _value, layer, _time: mean[layer])


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
        return at_target(
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
    return observed(layers_of(net), inputs.transpose(0, 1), [wanted])[wanted]


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
