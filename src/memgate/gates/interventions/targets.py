"""Where an intervention changes something: which quantity, in which units, at which words."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from memgate.data.items.roles import ROLES, Role
from memgate.errors import InputError
from memgate.models.cells import READINGS, Quantity, Reading, Recurrence, cell_of

Unit: TypeAlias = tuple[int, int]
"""A unit by its layer and its place in it, both from 0."""

Name: TypeAlias = Quantity | Reading

RoleCodes = Int[Tensor, "batch time"]
Values = Float[Tensor, "batch units"]

BETWEEN: tuple[Role, ...] = ("attractor", "noun", "other")
"""The roles of the words between subject and verb."""


@dataclass(frozen=True)
class InterventionTarget:
    """What is changed, and where.

    Attributes:
        quantity: ``keep`` or ``write``, of whichever gate reads as that; or torch's name of a gate,
            ``candidate``, ``cell``, ``hidden``, or ``recurrent_input``, the candidate's recurrent
            part (GRU: r·(W_hn·h + b_hn); LSTM: W_hg·h + b_hg; RNN: W_hh·h + b_hh).
        roles: The words at which; None for every word. A word of unknown role has none of them.
        units: The units in which; None for all.
    """

    quantity: Name
    roles: tuple[Role, ...] | None = BETWEEN
    units: tuple[Unit, ...] | None = None


class AtTarget:
    """An `Edit` at a site: elsewhere every quantity passes, bit by bit as it is.

    Args:
        site: Where.
        net: Any layers.
        roles: Of each word, as `memgate.data.batches.Prefixes.roles_of`.
        make: From the quantity (batch, units), the layer and the time to what replaces it; may be
            of any shape that broadcasts.

    Raises:
        InputError: The recurrence has no such quantity or unit, or there is no such role.
    """

    def __init__(
        self,
        site: InterventionTarget,
        net: Recurrence,
        roles: RoleCodes,
        make: Callable[[Tensor, int, int], Tensor],
    ) -> None:
        self._name, _ = quantity_of(net, site.quantity)
        self._words = words_at(roles, site.roles).T.unsqueeze(-1)
        self._units = unit_mask(net, site.units).to(roles.device)
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
    """Return torch's name of a quantity, and whether the asked one is 1 minus it.

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
    own = [*cell.gates, "recurrent_input", "candidate", *dict.fromkeys((cell.memory, "hidden"))]
    if name not in own:
        known = ", ".join([*readings, *own])
        raise InputError(f"quantity: expected one of {known} for {net.mode}, got {name!r}")
    return name, False


def words_at(roles: RoleCodes, wanted: tuple[Role, ...] | None) -> Bool[Tensor, "batch time"]:
    """Mark the words of some roles; all words for None.

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


def check_units(net: Recurrence, units: Iterable[Unit], whose: str = "") -> None:
    """Refuse units that a recurrence doesn't have.

    Raises:
        InputError: A layer or a unit is out of range; the message ends the range with `whose`.
    """
    for layer, unit in units:
        if not (0 <= layer < net.num_layers and 0 <= unit < net.hidden_size):
            raise InputError(
                f"units: expected layers 0 to {net.num_layers - 1} and units 0 to "
                f"{net.hidden_size - 1}{whose}, got {layer}:{unit}"
            )


def unit_mask(net: Recurrence, units: tuple[Unit, ...] | None) -> Bool[Tensor, "layers units"]:
    """Mark units; all of them for None.

    Raises:
        InputError: The recurrence lacks one.
    """
    mask = torch.full((net.num_layers, net.hidden_size), units is None)
    check_units(net, units or ())
    for layer, unit in units or ():
        mask[layer, unit] = True
    return mask
