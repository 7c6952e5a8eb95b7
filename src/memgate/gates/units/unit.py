"""A unit of a recurrence, its name, and the number units saved alongside a model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from memgate.arrays import Floats
from memgate.errors import InputError
from memgate.models.cells import Recurrence
from memgate.predictor import Predictor

NUMBER_UNITS = "number_units.json"
"""File of the number units in a model's folder: {"units": [[layer, unit], …], …}."""


class Unit(NamedTuple):
    """A unit of the recurrence; both count from 0."""

    layer: int
    unit: int

    def __str__(self) -> str:
        return f"{self.layer}:{self.unit}"

    @classmethod
    def parse(cls, text: str) -> Unit:
        """Read ``layer:unit``.

        Raises:
            InputError: The text is something else.
        """
        layer, colon, unit = text.strip().partition(":")
        if not (colon and layer.isdecimal() and unit.isdecimal()):
            raise InputError(f"units: expected layer:unit, such as 0:3, got {text!r}")
        return cls(int(layer), int(unit))


def layer_name(layer: int, layers: int) -> str:
    """Write what stands before a name where there are several layers; people count from 1.

    >>> layer_name(1, 2), layer_name(0, 1)
    ('layer 2, ', '')
    """
    return f"layer {layer + 1}, " if layers > 1 else ""


def unit_name(unit: tuple[int, int], layers: int) -> str:
    """Name a unit as people count, the first is unit 1; files and ``--units`` count from 0.

    >>> unit_name(Unit(0, 6), 1), unit_name(Unit(1, 0), 2)
    ('unit 7', 'unit 1 of layer 2')
    """
    layer, index = unit
    return f"unit {index + 1}" + (f" of layer {layer + 1}" if layers > 1 else "")


def check_units(net: Recurrence, units: Iterable[tuple[int, int]], whose: str = "") -> None:
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


def unit_mask(
    net: Recurrence, units: tuple[tuple[int, int], ...] | None
) -> Bool[Tensor, "layers units"]:
    """Mark units, all of them for None.

    Raises:
        InputError: The recurrence lacks one.
    """
    mask = torch.full((net.num_layers, net.hidden_size), units is None)
    check_units(net, units or ())
    for layer, unit in units or ():
        mask[layer, unit] = True
    return mask


def check_model_units(
    units: Sequence[Unit], predictor: Predictor, model: str, probe: Floats | None = None
) -> None:
    """Refuse units, and a direction of a probe, that a model doesn't have.

    Raises:
        InputError: A layer or a unit is out of range, or the direction isn't of layers × units; the
            message names the model.
    """
    net, whose = predictor.classifier.recurrence, f" of {model or 'the model'}"
    check_units(net, units, whose)
    size = (net.num_layers, net.hidden_size)
    if probe is not None and probe.shape != size:
        raise InputError(f"probe: expected layers × units{whose}, {size}, got {probe.shape}")


class SavedUnits(NamedTuple):
    """The number units of a model, and its probe; empty if its folder has none."""

    units: list[Unit]
    """The number units."""
    probe: Floats | None
    """The direction of the linear probe at the last word, layers × units, if there is one."""


def saved_units(folder: Path) -> SavedUnits:
    """Read the number units in the folder of a model.

    Raises:
        InputError: The file is damaged.
    """
    path = folder / NUMBER_UNITS
    if not path.is_file():
        return SavedUnits([], None)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        units = [Unit.parse(f"{layer}:{unit}") for layer, unit in content["units"]]
        probe = np.array(content["probe"], dtype=np.float64) if "probe" in content else None
        return SavedUnits(units, probe)
    except (OSError, ValueError, TypeError, KeyError, InputError) as error:
        raise InputError(f"{path}: expected pairs of layer and unit, got: {error}") from error
