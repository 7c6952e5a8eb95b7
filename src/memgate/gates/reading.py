"""One pass over prefixes that reads every gate: `read_gates`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from jaxtyping import Int
from torch import Tensor

from memgate.data.batches import ExactLengthBatches
from memgate.gates.statistics import GateStatistics, blocks
from memgate.gates.tables import GateTables
from memgate.gates.words import words_of
from memgate.models.classifier import Classifier
from memgate.models.lookup import Lookup
from memgate.predictor import BATCH_SIZE, Predictor


def read_gates(
    predictor: Predictor,
    table: pa.Table,
    units: Iterable[tuple[int, int]] = (),
    batch_size: int = BATCH_SIZE,
    probe: npt.NDArray[np.float64] | None = None,
) -> GateTables:
    """Read every gate of a model over agreement items.

    Args:
        predictor: A classifier with its vocabulary and task.
        table: Items with the columns of `memgate.data.items.schema.FEATURES`.
        units: The number units, each as (layer, unit), both from 0; none if they aren't known.
        batch_size: Prefixes read at once; the tables don't depend on it.
        probe: The direction of the number probe in each layer, layers × units, as
            `memgate.gates.units.number_units.NumberUnits.probe_direction`: only with it has the
            table of state updates rows ``probe``, and the profile that reading.

    Raises:
        InputError: As `Predictor.read`; or the model lacks a unit, or the direction doesn't fit it.
    """
    _, prefixes = predictor.read(table)
    batches = ExactLengthBatches(prefixes, batch_size)
    return gate_tables(predictor.classifier, batches, units, probe)


@torch.inference_mode()
def gate_tables(
    classifier: Classifier,
    batches: ExactLengthBatches,
    units: Iterable[tuple[int, int]] = (),
    probe: npt.NDArray[np.float64] | None = None,
) -> GateTables:
    """Read every gate of a classifier over the prefixes of a loader.

    Where several processes have a share of the prefixes each, all of them get the tables of all.

    Args:
        classifier: Its dropout is not applied. The pass runs on its device.
        batches: Prefixes encoded with its vocabulary, whose labels and targets are known.
        units: As for `read_gates`.
        probe: As for `read_gates`.

    Returns:
        Tables that don't depend on how the prefixes are batched: of a network in float64 counts not
        at all and sums to 1e-12. A float32 gate is itself computed to about 1e-7, and that much it
        may differ between batches of other sizes; its sums are off by no more (`gates.sums`).

    Raises:
        InputError: The model lacks a unit, or the direction doesn't fit it.
    """
    device = classifier.embedding.weight.device
    statistics = GateStatistics(classifier, units, probe).to(device)
    prefixes = batches.prefixes.to(device)
    forms, place_of = _forms(prefixes.ids, len(classifier.embedding.weight))
    lookup = Lookup(classifier.recurrence, classifier.embedding(forms))
    for batch in batches:
        length = batch.inputs.shape[1]
        for rows in blocks(batch.rows.to(device), length * classifier.recurrence.hidden_size):
            block = prefixes.batch(rows, length)
            layers = lookup.trajectories(place_of[block.inputs])
            logits = classifier.readout(layers[-1].hidden[:, -1]).squeeze(-1)
            right = (logits > 0) == (block.targets == 1)
            statistics.update(layers, words_of(prefixes, block, right))
    tables: GateTables = statistics.compute()
    return tables


def _forms(
    ids: Int[Tensor, " tokens"], vocabulary: int
) -> tuple[Int[Tensor, " forms"], Int[Tensor, " vocabulary"]]:
    """Return the word forms that occur, and for each of the vocabulary its place among them."""
    occurs = torch.bincount(ids, minlength=vocabulary) > 0
    return occurs.nonzero().squeeze(1), occurs.cumsum(0) - 1
