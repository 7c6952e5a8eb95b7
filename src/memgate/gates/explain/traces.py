"""Write and keep of a few units at every word of many sentences, as plain lists."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import pyarrow as pa
import torch
from jaxtyping import Int
from torch import Tensor

from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.vocabulary import UNKNOWN_WORD
from memgate.errors import InputError
from memgate.gates.units.unit import NUMBER_UNITS, Unit, check_model_units, saved_units
from memgate.models.cells import Reading, cell_of
from memgate.models.trajectory import trajectories
from memgate.predictor import Predictor

TRACE_BATCH_SIZE = 256
"""Sentences at once: states and gates of 25 words of 100 units in float32 take 16 MB."""

READINGS_SHOWN: tuple[Reading, ...] = ("write", "keep")


class Traces(TypedDict):
    """The gates of some units over a sentence of T words, as plain values for JSON."""

    words: list[str]
    """The T words."""
    read: list[str]
    """What the model reads: entries of the vocabulary, symbols of tags, or ``<unk>``."""
    units: dict[str, dict[str, list[float]]]
    """For each unit, ``layer:unit``, its ``write`` and ``keep`` at each word, in (0, 1)."""


def known_units(predictor: Predictor, folder: Path) -> list[Unit]:
    """Return the number units saved in the folder of a model with gates.

    Raises:
        InputError: It has no gates or no number units, or their file is damaged.
    """
    if not cell_of(predictor.classifier.recurrence).gates:
        raise InputError("gates: expected a GRU or an LSTM, got an RNN, which has none")
    units = saved_units(folder).units
    if not units:
        raise InputError(
            "gates: no number units are known of this model (none were found when it was "
            f"registered, or {NUMBER_UNITS} isn't in its folder)"
        )
    check_model_units(units, predictor, "the model")
    return units


@torch.inference_mode()
def traces(
    predictor: Predictor, units: Sequence[Unit], texts: Sequence[str], tags: Sequence[str | None]
) -> list[Traces]:
    """Read the gates of units of a GRU or an LSTM at every word of sentences, in their order.

    Words and PTB tags are joined by one space; rare words are read as their tag, if it is known.
    """
    symbols = pa.array(tags, pa.string())
    prefixes = Prefixes.encode(predictor.vocabulary, pa.array(texts, pa.string()), symbols)
    device = predictor.classifier.embedding.weight.device
    by_row: dict[int, Traces] = {}
    for batch in ExactLengthBatches(prefixes.to(device), TRACE_BATCH_SIZE):
        gates = _gates(predictor, units, batch.inputs)
        rows = zip(batch.rows.tolist(), batch.inputs.tolist(), strict=True)
        for index, (row, ids) in enumerate(rows):
            entries = map(predictor.vocabulary.tokenizer.id_to_token, ids)
            by_row[row] = {
                "words": texts[row].split(" "),
                "read": [entry or UNKNOWN_WORD for entry in entries],
                "units": {
                    unit: {name: values[index] for name, values in readings.items()}
                    for unit, readings in gates.items()
                },
            }
    return [by_row[row] for row in range(len(texts))]


def _gates(
    predictor: Predictor, units: Sequence[Unit], inputs: Int[Tensor, "batch time"]
) -> dict[str, dict[str, list[list[float]]]]:
    """Return each reading of each unit, a list a sentence."""
    classifier = predictor.classifier
    layers = trajectories(classifier.recurrence, classifier.embedding(inputs))
    return {
        str(unit): {
            name: layers[unit.layer].readings[name][..., unit.unit].tolist()
            for name in READINGS_SHOWN
        }
        for unit in units
    }
