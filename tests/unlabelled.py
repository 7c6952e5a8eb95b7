"""Gates of prefixes without roles and labels, read by the same sums as those of items."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import torch
from torch import Tensor

from memgate.gates.statistics import GateStatistics, blocks
from memgate.gates.tables import GateTables
from memgate.gates.words import KINDS, PROFILE_CELLS, WordGroups
from memgate.models.classifier import Classifier
from memgate.models.trajectory import trajectories


def unknown_words(inputs: Tensor) -> WordGroups:
    """The groups of words without roles and labels."""
    nothing = torch.full((inputs.numel(),), -1)
    no_sign, no_cell = torch.zeros_like(nothing), nothing + PROFILE_CELLS
    return WordGroups(nothing + len(KINDS), no_sign, no_sign, no_cell.expand(3, -1))


@torch.inference_mode()
def gate_statistics(classifier: Classifier, batches: Iterable[Tensor]) -> pd.DataFrame:
    """The table of gates over all words of batches of token ids."""
    statistics = GateStatistics(classifier)
    for batch in batches:
        for block in blocks(batch, batch.shape[1] * classifier.recurrence.hidden_size):
            layers = trajectories(classifier.recurrence, classifier.embedding(block))
            statistics.update(layers, unknown_words(block))
    tables: GateTables = statistics.compute()
    return tables.overall
