"""Units by their names: read, checked, and those that were found to carry the number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from memgate.errors import InputError
from memgate.gates.interventions.targets import check_units
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
            InputError: It is something else.
        """
        layer, colon, unit = text.strip().partition(":")
        if not (colon and layer.isdecimal() and unit.isdecimal()):
            raise InputError(f"units: expected layer:unit, such as 0:3, got {text!r}")
        return cls(int(layer), int(unit))


def check(
    units: Sequence[Unit],
    predictor: Predictor,
    model: str,
    probe: npt.NDArray[np.float64] | None = None,
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


class Saved(NamedTuple):
    """What was found for a model about the units that carry the number; empty where nothing was."""

    units: list[Unit]
    """The number units."""
    probe: npt.NDArray[np.float64] | None
    """The direction of the linear probe at the last word, layers × units, if there is one."""


def saved(folder: Path) -> Saved:
    """Return what was found for the model in a folder.

    Raises:
        InputError: The file is damaged.
    """
    path = folder / NUMBER_UNITS
    if not path.is_file():
        return Saved([], None)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        units = [Unit.parse(f"{layer}:{unit}") for layer, unit in content["units"]]
        probe = np.array(content["probe"], dtype=np.float64) if "probe" in content else None
        return Saved(units, probe)
    except (OSError, ValueError, TypeError, KeyError, InputError) as error:
        raise InputError(f"{path}: expected pairs of layer and unit, got: {error}") from error
