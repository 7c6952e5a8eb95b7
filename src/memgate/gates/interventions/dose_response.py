"""Dose and response: accuracy while gates are clamped and paths are cut.

Each `Condition` is one change; `score_condition` turns it into rows of a table, one a stratum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from memgate.arrays import Bools, Floats
from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.items.roles import NO_ROLE, Role
from memgate.errors import InputError
from memgate.gates.interventions.edits import (
    BETWEEN,
    Clamp,
    ControlClamp,
    Intervention,
    InterventionTarget,
    Mean,
    ReplaceByMean,
    Resample,
    Together,
    mean_values,
)
from memgate.gates.interventions.targets import Name
from memgate.gates.units.unit import unit_mask
from memgate.metrics.accuracy import accuracy_table, answer_frame
from memgate.models.cells import Recurrence, cell_of
from memgate.models.trajectory import unroll
from memgate.predictor import Predictor, refuse_nan

EDIT_BATCH_SIZE = 256
"""Rows computed at once: 256 × 4 parts × 100 units in float32 are 0.4 MB, in cache."""


@torch.no_grad()
def probability_under(
    predictor: Predictor,
    prefixes: Prefixes,
    intervention: Intervention | None = None,
    batch_size: int = EDIT_BATCH_SIZE,
) -> Floats:
    """Return the probability of the task's second answer, such as plural, under an intervention.

    Args:
        predictor: Its network stays unchanged; dropout is not applied.
        prefixes: N of them, encoded with its vocabulary.
        intervention: The change; None for no change.
        batch_size: Rows computed at once.

    Returns:
        N probabilities, in [0, 1], in the order of the prefixes.

    Raises:
        InputError: The network has no such gate, path or unit, or a probability is NaN.
    """
    classifier = predictor.classifier
    net, weight = classifier.recurrence, classifier.readout.weight
    here = prefixes.to(weight.device)
    result = torch.empty(len(prefixes), device=weight.device, dtype=weight.dtype)
    for batch in ExactLengthBatches(here, batch_size):
        words = classifier.embedding(batch.inputs)
        edit = intervention.edit(net, words, here.roles_of(batch)) if intervention else None
        last = unroll(net, words, edit)[-1].hidden[:, -1]
        result[batch.rows] = torch.sigmoid(classifier.readout(last)).squeeze(-1)
    return refuse_nan(result.cpu().double().numpy())


def with_known_roles(prefixes: Prefixes) -> Bools:
    """Mark prefixes with a known subject and known roles of all words between it and the verb."""
    lengths, starts = prefixes.lengths, prefixes.starts.cpu().numpy()
    subjects, between = (
        np.repeat(column.cpu().numpy(), lengths)
        for column in (prefixes.subjects, prefixes.intervening)
    )
    after = np.arange(len(subjects)) - np.repeat(starts, lengths) - subjects
    missing = (prefixes.roles.cpu().numpy() == NO_ROLE) & (after > 0) & (after <= between)
    unknown: Bools = np.logical_or.reduceat(missing, starts)
    return ~unknown & (prefixes.subjects.cpu().numpy() >= 0)


def with_roles(predictor: Predictor, table: pa.Table) -> pa.Table:
    """Return the items that the task can use and whose words all have a known role.

    Untagged items are omitted; otherwise only those of them without words between would remain.

    Args:
        predictor: Its task decides which items can be used.
        table: Items with the columns of `memgate.data.items.schema.FEATURES`.

    Raises:
        InputError: As `Predictor.read`.
    """
    task_inputs, prefixes = predictor.read(table)
    return task_inputs.filter(
        pa.array(with_known_roles(prefixes) & task_inputs["tags"].is_valid().to_numpy())
    )


def sample_items(predictor: Predictor, table: pa.Table, items: int, seed: int = 0) -> Prefixes:
    """Sample items, and return what the predictor reads of them.

    Args:
        predictor: A model of any task.
        table: Items with the columns of `memgate.data.items.schema.FEATURES`.
        items: How many, at most.
        seed: Of the sample; it is the same for every network.

    Raises:
        InputError: As `Predictor.read`.
    """
    rows = np.random.default_rng(seed).permutation(len(table))[:items]
    return predictor.read(table.take(np.sort(rows)))[1]


HARD_CODED = "hard-coded"
"""The note of the condition of the lecture: nothing is written between subject and verb."""

PATHS: Mapping[str, tuple[Name, ...]] = {
    "RNN_TANH": ("recurrent_input",),
    "GRU": ("recurrent_input", "reset"),
    "LSTM": ("recurrent_input", "output"),
}
"""The paths that are cut, by ``mode`` of `torch.nn`: the recurrent input to the candidate, and the
gate that neither keeps nor writes."""

INTERVENTION_DTYPES = {
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
"""The columns of the table of `score_condition`."""

Units = tuple[tuple[int, int], ...]
"""Units, each by its layer and its index in it."""


class Condition(NamedTuple):
    """One change, and its columns in the table.

    Attributes:
        edit: ``none``; ``control`` (clamped to the value it has anyway); ``clamp``; ``hold`` (an
            LSTM's write clamped to 0 and its keep to 1); ``mean`` (replaced by its mean over the
            words of these roles); ``resample`` (of another item); ``cut`` (a path, replaced by its
            mean).
        quantity: ``write``, ``keep``, ``recurrent_input``, ``reset`` or ``output``; None where none
            is.
        to: The number to which it is clamped, in [0, 1]; else None.
        units: ``all``, ``chosen``, or ``random`` (as many as are chosen).
        draw: The number of the random set, from 0; else None.
        intervention: The change; None for no change.
    """

    edit: str
    quantity: Name | None
    to: float | None
    units: str
    draw: int | None
    intervention: Intervention | None

    @property
    def note(self) -> str | None:
        """``hard-coded`` if nothing is written between subject and verb, except in random units."""
        where = self.intervention.target.roles if isinstance(self.intervention, Clamp) else None
        shut = (self.edit, self.quantity, self.to) == ("clamp", "write", 0)
        between = where is not None and set(where) == set(BETWEEN)
        return HARD_CODED if shut and between and self.units != "random" else None


def dose_response(
    predictor: Predictor,
    prefixes: Prefixes,
    units: Units | None = None,
    roles: tuple[Role, ...] = BETWEEN,
    steps: int = 11,
    draws: int = 5,
    seed: int = 0,
    batch_size: int = EDIT_BATCH_SIZE,
) -> pd.DataFrame:
    """Score a network under each of `conditions`.

    Args:
        predictor: A model of any task that reads whole prefixes.
        prefixes: Encoded with its vocabulary. Prefixes without known roles are never changed, so
            leave them out (`memgate.gates.interventions.dose_response.with_known_roles`).
        units: The chosen units, each (layer, unit); None for all.
        roles: The roles of the words to change.
        steps: Clamp values, evenly from 0 to 1; at least 2.
        draws: Random sets of as many units as are chosen, at most.
        seed: Of the random sets, and of the resampling.
        batch_size: Rows computed at once; resampling is within a batch.

    Returns:
        The rows of `score_condition`, line by line. For an RNN, which has no gates, only ``none``
        and ``cut``.

    Raises:
        InputError: The network lacks a unit, there are fewer than 2 steps, or no word has a role.

    >>> import memgate
    >>> from memgate.data.sources.grammar import Grammar
    >>> from memgate.data.vocabulary import Vocabulary
    >>> grammar = Grammar(train=1, validation=1, test=200)
    >>> table = grammar.load()["test"].with_format("arrow")[:]
    >>> words = {word for text in table["text"].to_pylist() for word in text.split()}
    >>> vocabulary = Vocabulary.from_words(sorted(words))
    >>> classifier = memgate.Classifier(len(vocabulary), "gru", 4, 3)  # not trained
    >>> model = memgate.Predictor(classifier.eval(), vocabulary)
    >>> _, prefixes = model.read(table)
    >>> scores = memgate.dose_response(model, prefixes, steps=2)
    >>> scores["quantity"].dropna().unique().tolist()
    ['write', 'keep', 'recurrent_input', 'reset']
    """
    here = prefixes.to(predictor.classifier.readout.weight.device)
    mean = condition_means(predictor, here, roles, batch_size)
    planned = conditions(predictor.classifier.recurrence, mean, units, roles, steps, draws, seed)
    tables = [score_condition(predictor, here, condition, batch_size) for condition in planned]
    return pd.concat(tables, ignore_index=True)


def condition_means(
    predictor: Predictor,
    prefixes: Prefixes,
    roles: tuple[Role, ...] = BETWEEN,
    batch_size: int = EDIT_BATCH_SIZE,
) -> dict[Name, Mean]:
    """Return the means that `conditions` uses: of each path and, in a gated cell, of write.

    The arguments are those of `dose_response`, but that the prefixes are on the network's device.
    """
    net = predictor.classifier.recurrence
    wanted: list[Name] = [*PATHS[net.mode]]
    if cell_of(net).gates:
        wanted.append("write")
    return mean_values(predictor.classifier, prefixes, wanted, roles, batch_size)


def conditions(
    net: Recurrence,
    mean: Mapping[Name, Mean],
    units: Units | None,
    roles: tuple[Role, ...] = BETWEEN,
    steps: int = 11,
    draws: int = 5,
    seed: int = 0,
) -> list[Condition]:
    """List the changes: none, the control, the mean, resampling, clamps and cut paths.

    Clamps are repeated in random sets of as many units unless all are chosen, cuts in all units.

    Args:
        net: The recurrence.
        mean: As from `condition_means`, at these words.
        units: This and the others as for `dose_response`.
        roles: The roles of the words to change.
        steps: Clamp values.
        draws: Random sets.
        seed: Of the random sets and the resampling.
    """
    if steps < 2:
        raise InputError(f"steps: expected at least 2, got {steps}")
    chosen = "all" if units is None else "chosen"
    random_units = enumerate([] if units is None else random_sets(net, units, draws, seed))
    sets = [(chosen, None, units), *(("random", draw, members) for draw, members in random_units)]
    planned = [Condition("none", None, None, "all", None, None)]
    if cell_of(net).gates:
        write = InterventionTarget("write", roles, units)
        by_mean = ReplaceByMean(write, mean["write"])
        planned.append(Condition("control", "write", None, chosen, None, ControlClamp(write)))
        planned.append(Condition("mean", "write", None, chosen, None, by_mean))
        planned.append(Condition("resample", "write", None, chosen, None, Resample(write, seed)))
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
) -> Iterator[Condition]:
    write, keep = (
        InterventionTarget("write", roles, units),
        InterventionTarget("keep", roles, units),
    )
    for value in np.linspace(0, 1, steps).round(12).tolist():
        yield Condition("clamp", "write", value, name, draw, Clamp(write, value))
    for end in (0.0, 1.0):
        yield Condition("clamp", "keep", end, name, draw, Clamp(keep, end))
    if net.mode == "LSTM":  # a GRU that writes nothing keeps all
        hold = Together((Clamp(write, 0.0), Clamp(keep, 1.0)))
        yield Condition("hold", "write", None, name, draw, hold)


def _cuts(
    net: Recurrence, mean: Mapping[Name, Mean], units: Units | None, roles: tuple[Role, ...]
) -> Iterator[Condition]:
    for path in PATHS[net.mode]:
        for name, members in {"all": None, "all" if units is None else "chosen": units}.items():
            cut = ReplaceByMean(InterventionTarget(path, roles, members), mean[path])
            yield Condition("cut", path, None, name, None, cut)


def random_sets(net: Recurrence, units: Units, draws: int, seed: int) -> list[Units]:
    """Sample different sets with as many units of each layer as `units` has.

    They consist of other units as long as there are enough. Returns none if `units` is the whole
    network, and fewer than `draws` if there are fewer sets.
    """
    mask = unit_mask(net, units).numpy()
    if mask.all():
        return []
    rng = np.random.default_rng([seed, 3])
    sets: dict[Units, None] = {}
    for _ in range(10 * draws):  # 10 tries for each set; repeated sets don't count
        members: list[tuple[int, int]] = []
        for layer, chosen in enumerate(mask):
            shuffled = rng.permutation(len(chosen))
            others_first = shuffled[np.argsort(chosen[shuffled], kind="stable")]
            members += [(layer, unit) for unit in sorted(others_first[: chosen.sum()].tolist())]
        sets[tuple(members)] = None
        if len(sets) == draws:
            break
    return list(sets)


def score_condition(
    predictor: Predictor,
    prefixes: Prefixes,
    condition: Condition,
    batch_size: int = EDIT_BATCH_SIZE,
) -> pd.DataFrame:
    """Tabulate the accuracy under one change.

    Returns:
        One row a stratum, with `INTERVENTION_DTYPES`: the change, as in `Condition`, and a note;
        then as `memgate.metrics.accuracy.accuracy_table` (Wilson's 95% interval).

    Raises:
        InputError: As `probability_under`.
    """
    p = probability_under(predictor, prefixes, condition.intervention, batch_size)
    right = (p > 0.5) == (prefixes.targets.cpu().numpy() == 1)
    columns = prefixes.labels, prefixes.intervening, prefixes.attractors
    frame = answer_frame(right, *(column.cpu().numpy() for column in columns))
    table = accuracy_table(frame).assign(**condition._asdict(), note=condition.note)
    return table[list(INTERVENTION_DTYPES)].astype(INTERVENTION_DTYPES)
