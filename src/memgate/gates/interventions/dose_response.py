"""Doses and responses: the accuracy of a network whose gates are clamped and whose paths are cut.

Each `Line` is one change; scored, it becomes rows of a table, an accuracy a stratum. One of them,
write clamped to 0 on the words between subject and verb, is a gate set by hand there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from memgate.data.batches import Prefixes
from memgate.data.items.roles import Role
from memgate.errors import InputError
from memgate.gates.interventions.edits import (
    Clamp,
    Intervention,
    Mean,
    OwnValue,
    ReplaceByMean,
    Resample,
    Together,
    means,
)
from memgate.gates.interventions.predictions import BATCH_SIZE, probability_under
from memgate.gates.interventions.targets import BETWEEN, InterventionTarget, Name, Unit, unit_mask
from memgate.metrics.accuracy import accuracy_table, answer_frame
from memgate.models.cells import Recurrence, cell_of
from memgate.predictor import Predictor

HARD_CODED = "hard-coded"
"""The note of the line that sets the gate by hand: nothing is written between subject and verb."""

PATHS: Mapping[str, tuple[Name, ...]] = {
    "RNN_TANH": ("recurrent_input",),
    "GRU": ("recurrent_input", "reset"),
    "LSTM": ("recurrent_input", "output"),
}
"""What is cut, by `torch.nn`'s ``mode``: the candidate's recurrent part, and the gate that neither
keeps nor writes."""

COLUMNS = {
    "edit": "string",
    "quantity": "string",
    "to": "float64",
    "units": "string",
    "draw": "Int64",
    "note": "string",
    "by": "string",
    "stratum": "string",
    "n": "int64",
    "correct": "int64",
    "accuracy": "float64",
    "low": "float64",
    "high": "float64",
}
"""The columns of the table of `score`."""

Units = tuple[Unit, ...]


class Line(NamedTuple):
    """One change, and how the table names it.

    Attributes:
        edit: ``none``; ``own`` (clamped to its own value, the control); ``clamp``; ``hold`` (an
            LSTM's write clamped to 0 and its keep to 1); ``mean`` (replaced by its mean over the
            words of these roles); ``resample`` (of another item); ``cut`` (a path, replaced by its
            mean).
        quantity: ``write``, ``keep``, ``recurrent_input``, ``reset`` or ``output``; None where none
            is.
        to: The number to which it is clamped, in [0, 1]; else None.
        units: ``all``, ``chosen``, or ``random``: as many as were chosen.
        draw: The random set, from 0; else None.
        intervention: What is done; None for nothing.
    """

    edit: str
    quantity: Name | None
    to: float | None
    units: str
    draw: int | None
    intervention: Intervention | None

    @property
    def note(self) -> str | None:
        """``hard-coded`` where nothing is written between subject and verb, but in random units."""
        where = self.intervention.site.roles if isinstance(self.intervention, Clamp) else None
        by_hand = (self.edit, self.quantity, self.to) == ("clamp", "write", 0)
        there = where is not None and set(where) == set(BETWEEN)
        return HARD_CODED if by_hand and there and self.units != "random" else None


def dose_response(
    predictor: Predictor,
    prefixes: Prefixes,
    units: Units | None = None,
    roles: tuple[Role, ...] = BETWEEN,
    steps: int = 11,
    draws: int = 5,
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
) -> pd.DataFrame:
    """Score a network under every line of `lines`.

    Args:
        predictor: A model of any task that reads the words between subject and verb in their place.
        prefixes: Encoded with its vocabulary; those without known roles are never changed, so leave
            them out (`memgate.gates.interventions.predictions.with_known_roles`).
        units: The chosen units, each (layer, unit); None for all.
        roles: The words at which.
        steps: Doses, evenly from 0 to 1; at least 2.
        draws: Random sets of as many units, at most.
        seed: Of the random sets, and of the resampling.
        batch_size: Rows computed at once; what is resampled is drawn batch by batch.

    Returns:
        The rows of `score`, line by line. For an RNN, which has no gates, only ``none`` and
        ``cut``.

    Raises:
        InputError: The network lacks a unit, there are fewer than 2 steps, or no word has a role.
    """
    here = prefixes.to(predictor.classifier.readout.weight.device)
    mean = replacements(predictor, here, roles, batch_size)
    planned = lines(predictor.classifier.recurrence, mean, units, roles, steps, draws, seed)
    tables = [score(predictor, here, line, batch_size) for line in planned]
    return pd.concat(tables, ignore_index=True)


def replacements(
    predictor: Predictor,
    prefixes: Prefixes,
    roles: tuple[Role, ...] = BETWEEN,
    batch_size: int = BATCH_SIZE,
) -> dict[Name, Mean]:
    """Return the means that `lines` puts in the place of each path and, of a gated cell, of write.

    The arguments are those of `dose_response`, but that the prefixes are on the network's device.
    """
    net = predictor.classifier.recurrence
    wanted: list[Name] = [*PATHS[net.mode]]
    if cell_of(net).gates:
        wanted.append("write")
    return means(predictor.classifier, prefixes, wanted, roles, batch_size)


def lines(
    net: Recurrence,
    mean: Mapping[Name, Mean],
    units: Units | None,
    roles: tuple[Role, ...] = BETWEEN,
    steps: int = 11,
    draws: int = 5,
    seed: int = 0,
) -> list[Line]:
    """List the changes: none and the control, clamps by dose, mean and other items, cut paths.

    Clamps also in random sets of as many units, unless all are chosen; cuts also in all units.

    Args:
        net: The recurrence.
        mean: As from `replacements`, at these words.
        units: This and the rest as for `dose_response`.
        roles: The words at which.
        steps: Doses.
        draws: Random sets.
        seed: Of what is drawn.
    """
    if steps < 2:
        raise InputError(f"steps: expected at least 2, got {steps}")
    chosen = "all" if units is None else "chosen"
    drawn = enumerate([] if units is None else random_sets(net, units, draws, seed))
    sets = [(chosen, None, units), *(("random", draw, members) for draw, members in drawn)]
    planned = [Line("none", None, None, "all", None, None)]
    if cell_of(net).gates:
        write = InterventionTarget("write", roles, units)
        by_mean = ReplaceByMean(write, mean["write"])
        planned.append(Line("own", "write", None, chosen, None, OwnValue(write)))
        planned.append(Line("mean", "write", None, chosen, None, by_mean))
        planned.append(Line("resample", "write", None, chosen, None, Resample(write, seed)))
        for name, draw, members in sets:
            planned += _clamps(net, roles, steps, name, draw, members)
    return [*planned, *_cuts(net, mean, units, roles)]


def _clamps(
    net: Recurrence,
    roles: tuple[Role, ...],
    steps: int,
    name: str,
    draw: int | None,
    units: Units | None,
) -> Iterator[Line]:
    write, keep = (
        InterventionTarget("write", roles, units),
        InterventionTarget("keep", roles, units),
    )
    for dose in np.linspace(0, 1, steps).round(12).tolist():
        yield Line("clamp", "write", dose, name, draw, Clamp(write, dose))
    for end in (0.0, 1.0):
        yield Line("clamp", "keep", end, name, draw, Clamp(keep, end))
    if net.mode == "LSTM":  # a GRU that writes nothing keeps all
        hold = Together((Clamp(write, 0.0), Clamp(keep, 1.0)))
        yield Line("hold", "write", None, name, draw, hold)


def _cuts(
    net: Recurrence, mean: Mapping[Name, Mean], units: Units | None, roles: tuple[Role, ...]
) -> Iterator[Line]:
    for path in PATHS[net.mode]:
        for name, members in {"all": None, "all" if units is None else "chosen": units}.items():
            cut = ReplaceByMean(InterventionTarget(path, roles, members), mean[path])
            yield Line("cut", path, None, name, None, cut)


def random_sets(net: Recurrence, units: Units, draws: int, seed: int) -> list[Units]:
    """Draw sets of as many units of each layer as given ones, each set once.

    Of the other units, as long as there are enough; where all are given there is nothing to draw.
    Where there are few sets, fewer than `draws` are found.
    """
    mask = unit_mask(net, units).numpy()
    if mask.all():
        return []
    rng = np.random.default_rng([seed, 3])
    sets: dict[Units, None] = {}
    for _ in range(10 * draws):  # 10 tries for each; a set that came before doesn't count
        drawn: list[Unit] = []
        for layer, given in enumerate(mask):
            shuffled = rng.permutation(len(given))
            others_first = shuffled[np.argsort(given[shuffled], kind="stable")]
            drawn += [(layer, unit) for unit in sorted(others_first[: given.sum()].tolist())]
        sets[tuple(drawn)] = None
        if len(sets) == draws:
            break
    return list(sets)


def score(
    predictor: Predictor, prefixes: Prefixes, line: Line, batch_size: int = BATCH_SIZE
) -> pd.DataFrame:
    """Tabulate the accuracy under one change.

    Returns:
        One row a stratum, with `COLUMNS`: the change, as in `Line`, and a note; then as
        `memgate.metrics.accuracy.accuracy_table` (Wilson's 95% interval).

    Raises:
        InputError: As `probability_under`.
    """
    p = probability_under(predictor, prefixes, line.intervention, batch_size)
    right = (p > 0.5) == (prefixes.targets.cpu().numpy() == 1)
    columns = prefixes.labels, prefixes.intervening, prefixes.attractors
    frame = answer_frame(right, *(column.cpu().numpy() for column in columns))
    table = accuracy_table(frame).assign(**line._asdict(), note=line.note)
    return table[list(COLUMNS)].astype(COLUMNS)
