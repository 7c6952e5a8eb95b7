"""Units by their names: read, checked, and those that were found to carry the number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from memgate.errors import InputError
from memgate.predictor import Predictor

NUMBER_UNITS = "number_units.json"
"""File of the number units in a model's folder: {"units": [[layer, unit], …]}."""


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
            InputError: It is something else.
        """
        layer, colon, unit = text.strip().partition(":")
        if not (colon and layer.isdecimal() and unit.isdecimal()):
            raise InputError(f"units: expected layer:unit, such as 0:3, got {text!r}")
        return cls(int(layer), int(unit))


def check(units: Sequence[Unit], predictor: Predictor, model: str) -> None:
    """Refuse units that a model doesn't have.

    Raises:
        InputError: A layer or a unit is out of range; the message names the model.
    """
    net = predictor.classifier.recurrence
    for each in units:
        if each.layer >= net.num_layers or each.unit >= net.hidden_size:
            raise InputError(
                f"units: expected layers 0 to {net.num_layers - 1} and units 0 to "
                f"{net.hidden_size - 1} of {model or 'the model'}, got {each}"
            )


def saved_units(folder: Path) -> list[Unit]:
    """Return the number units that were found for the model in a folder; none where none were.

    Raises:
        InputError: The file is damaged.
    """
    path = folder / NUMBER_UNITS
    if not path.is_file():
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["units"]
        return [Unit.parse(f"{layer}:{unit}") for layer, unit in found]
    except (OSError, ValueError, TypeError, KeyError, InputError) as error:
        raise InputError(f"{path}: expected pairs of layer and unit, got: {error}") from error
