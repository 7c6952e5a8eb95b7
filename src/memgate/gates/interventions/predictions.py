"""What a network answers under an intervention, and for which items one can be made."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.items.roles import NO_ROLE
from memgate.gates.interventions.edits import Intervention
from memgate.models.trajectory import unroll
from memgate.predictor import Predictor

BATCH_SIZE = 256
"""Rows computed at once: 256 × 4 parts × 100 units in float32 are 0.4 MB, in cache."""


@torch.no_grad()
def probability_under(
    predictor: Predictor,
    prefixes: Prefixes,
    intervention: Intervention | None = None,
    batch_size: int = BATCH_SIZE,
) -> npt.NDArray[np.float64]:
    """Return the probability of the task's second answer, such as plural, under an intervention.

    Args:
        predictor: Its network is left as it was; dropout is not applied.
        prefixes: N of them, encoded with its vocabulary.
        intervention: What is changed; None for nothing.
        batch_size: Rows computed at once.

    Returns:
        N probabilities, in [0, 1], in the order of the prefixes.

    Raises:
        InputError: The network has no such gate, path or unit.
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
    return result.cpu().double().numpy()


def with_known_roles(prefixes: Prefixes) -> npt.NDArray[np.bool_]:
    """Mark the prefixes whose subject is known, and each word's role between it and the verb."""
    lengths, starts = prefixes.lengths, prefixes.starts.cpu().numpy()
    subjects, between = (
        np.repeat(column.cpu().numpy(), lengths)
        for column in (prefixes.subjects, prefixes.intervening)
    )
    place = np.arange(len(subjects)) - np.repeat(starts, lengths) - subjects
    missing = (prefixes.roles.cpu().numpy() == NO_ROLE) & (place > 0) & (place <= between)
    unknown: npt.NDArray[np.bool_] = np.logical_or.reduceat(missing, starts)
    return ~unknown & (prefixes.subjects.cpu().numpy() >= 0)


def with_roles(predictor: Predictor, table: pa.Table) -> pa.Table:
    """Return the items that the task can be posed on and whose every word has a known role.

    Untagged items are left out whole: else only those without words between would stay.

    Args:
        predictor: Its task is posed.
        table: Items with the columns of `memgate.data.items.schema.FEATURES`.

    Raises:
        InputError: As `Predictor.read`.
    """
    task_inputs, prefixes = predictor.read(table)
    return task_inputs.filter(
        pa.array(with_known_roles(prefixes) & task_inputs["tags"].is_valid().to_numpy())
    )


def drawn(predictor: Predictor, table: pa.Table, items: int, seed: int = 0) -> Prefixes:
    """Draw items, and return what the predictor reads of them.

    Args:
        predictor: Its task is posed on them.
        table: Items with the columns of `memgate.data.items.schema.FEATURES`.
        items: How many, at most.
        seed: Of the draw; the same items in whichever order of networks.

    Raises:
        InputError: As `Predictor.read`.
    """
    places = np.random.default_rng(seed).permutation(len(table))[:items]
    return predictor.read(table.take(np.sort(places)))[1]
