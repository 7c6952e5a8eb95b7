"""Interventions: a gate or a path changed in chosen units, at words of chosen roles.

An intervention is a value that says what is changed; its `edit` makes of it what `unroll` takes for
one batch. So nothing is left behind: no hook, no changed weight. Zeroing a gate is not neutral;
what is taken away is replaced by its mean (Lu et al. 2020) or by that of another item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.items.roles import Role
from memgate.errors import InputError
from memgate.gates.interventions.targets import (
    BETWEEN,
    AtTarget,
    InterventionTarget,
    Name,
    RoleCodes,
    Values,
    quantity_of,
    words_at,
)
from memgate.models.cells import READINGS, Quantity, Recurrence
from memgate.models.classifier import Classifier
from memgate.models.trajectory import Edit, Inputs, unroll

Mean: TypeAlias = tuple[tuple[float, ...], ...]
"""A number for each unit of each layer."""


@runtime_checkable
class Intervention(Protocol):
    """A change of what a recurrence does."""

    def edit(self, net: Recurrence, inputs: Inputs, roles: RoleCodes, /) -> Edit:
        """Return the edit that makes the change in a batch.

        Args:
            net: Any layers.
            inputs: Word vectors.
            roles: Of each word, its place in `memgate.data.items.roles.ROLES`, as
            `Prefixes.roles_of`.

        Raises:
            InputError: The recurrence has no such gate or unit.
        """
        ...


@dataclass(frozen=True)
class Clamp:
    """Holds a quantity at a number.

    Attributes:
        site: Where.
        to: The number, in [0, 1] for a gate or a reading.
    """

    site: InterventionTarget
    to: float

    def edit(self, net: Recurrence, _inputs: Inputs, roles: RoleCodes) -> Edit:
        """As `Intervention.edit`; also refuses to clamp a gate outside [0, 1]."""
        name, complement = quantity_of(net, self.site.quantity)
        if name in READINGS and not 0 <= self.to <= 1:
            raise InputError(f"{self.site.quantity}: expected from 0 to 1, got {self.to}")
        number = 1 - self.to if complement else self.to
        return AtTarget(
            self.site, net, roles, lambda value, _layer, _time: value.new_tensor(number)
        )


@dataclass(frozen=True)
class OwnValue:
    """Clamps a quantity to what it is without any edit, which changes nothing: the control."""

    site: InterventionTarget

    def edit(self, net: Recurrence, inputs: Inputs, roles: RoleCodes) -> Edit:
        """As `Intervention.edit`."""
        own = observe(net, inputs, self.site.quantity)
        return AtTarget(self.site, net, roles, lambda _value, layer, time: own[layer, time])


@dataclass(frozen=True)
class ReplaceByMean:
    """Replaces a quantity by one number a unit, so that it can tell nothing of the sentence.

    Attributes:
        site: Where.
        mean: As `means` returns it.
    """

    site: InterventionTarget
    mean: Mean

    def edit(self, net: Recurrence, inputs: Inputs, roles: RoleCodes) -> Edit:
        """As `Intervention.edit`; also refuses means of another size."""
        mean = inputs.new_tensor(self.mean)
        expected = (net.num_layers, net.hidden_size)
        if mean.shape != expected:
            raise InputError(f"mean: expected shape {expected}, got {tuple(mean.shape)}")
        return AtTarget(self.site, net, roles, lambda _value, layer, _time: mean[layer])


@dataclass(frozen=True)
class Resample:
    """Replaces a quantity by what it is in another item, at the same word place and role.

    The other item is of the same batch, so of the same length, and is read without any edit. An
    item that no other of the batch matches at a word keeps its own value there.

    Attributes:
        site: Where.
        seed: Seed of the choice.
    """

    site: InterventionTarget
    seed: int

    def edit(self, net: Recurrence, inputs: Inputs, roles: RoleCodes) -> Edit:
        """As `Intervention.edit`."""
        clean = observe(net, inputs, self.site.quantity)
        other = donors(roles, self.seed)
        return AtTarget(
            self.site, net, roles, lambda _value, layer, time: clean[layer, time][other[:, time]]
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
    """Return a quantity at every word, without any edit; of a reading, the gate behind it."""
    wanted, _ = quantity_of(net, quantity)
    seen: list[Tensor] = []

    def look(name: Quantity, value: Values, /, *, layer: int, time: int) -> Values:  # noqa: ARG001
        if name == wanted:
            seen.append(value.clone())
        return value

    unroll(net, inputs, look)
    return torch.stack(seen).view(net.num_layers, -1, *seen[0].shape)


def donors(roles: RoleCodes, seed: int) -> RoleCodes:
    """Choose another item for each word of a batch: one with the same role at the same place.

    Args:
        roles: Of each word.
        seed: Seed of the choice.

    Returns:
        Rows of the batch: at each place a permutation within each role that leaves no row in its
        place, unless it is alone.
    """
    rng = np.random.default_rng([seed, *roles.shape])
    codes = roles.cpu().numpy()
    chosen = np.tile(np.arange(len(codes))[:, None], codes.shape[1])
    for time, at_place in enumerate(codes.T):
        for role in np.unique(at_place):
            order = rng.permutation(np.flatnonzero(at_place == role))
            chosen[order, time] = np.roll(order, 1)
    return torch.from_numpy(chosen).to(roles.device)


@torch.no_grad()
def means(
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
        roles: The words that count; None for every word.
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
    found = {name: (total / words).tolist() for name, total in sums.items()}
    return {
        name: tuple(map(tuple, found[quantity_of(net, name)[0]]))
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
