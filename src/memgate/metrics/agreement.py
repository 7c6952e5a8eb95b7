"""Counts of right and wrong predictions by label, intervening words and attractors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torchmetrics import Metric

from memgate.arrays import UNKNOWN_COUNT
from memgate.metrics.strata import ATTRACTORS, INTERVENING, LABEL_NAMES

# A last bin holds the unknown: UNKNOWN_COUNT modulo the number of bins is that bin.
SHAPE = (len(LABEL_NAMES), len(INTERVENING.names) + 1, len(ATTRACTORS.names) + 1, 2)


class AgreementCounts(Metric):
    """A contingency table of predictions.

    Counts add up, so the table doesn't depend on the split into batches. The state is 144 int64
    counts, summed over processes.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(SHAPE, dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        right: Bool[Tensor, " batch"],
        labels: Int[Tensor, " batch"],
        intervening: Int[Tensor, " batch"],
        attractors: Int[Tensor, " batch"],
    ) -> None:
        """Count a batch.

        Args:
            right: Whether the prediction is right.
            labels: The number of the subject, 0 for singular, 1 for plural.
            intervening: Words between subject and verb, at least 0; -1 where unknown.
            attractors: Attractors between subject and verb, at least 0; -1 where unknown.

        Raises:
            ValueError: A label that is neither 0 nor 1, or a number below -1.
        """
        # not +=, which fails once Lightning has reset the metric in inference mode
        self.counts = self.counts + contingency(right, labels, intervening, attractors)

    def compute(self) -> Int[Tensor, "label intervening attractors right"]:
        """Return the counts, int64; the last bin of intervening and of attractors is unknown."""
        return self.counts


def contingency(
    right: Bool[Tensor, " batch"],
    labels: Int[Tensor, " batch"],
    intervening: Int[Tensor, " batch"],
    attractors: Int[Tensor, " batch"],
) -> Int[Tensor, "2 6 6 2"]:
    """Count the predictions of one batch; the arguments are those of `AgreementCounts.update`.

    Raises:
        ValueError: A label that is neither 0 nor 1, or a number below -1.
    """
    # One test for all three, because each makes a GPU wait. Without it they count in a wrong cell.
    if ((labels & ~1 != 0) | (torch.minimum(intervening, attractors) < UNKNOWN_COUNT)).any():
        raise ValueError(
            "expected labels 0 or 1 and numbers of at least -1, got "
            f"labels {_range(labels)}, intervening {_range(intervening)}, "
            f"attractors {_range(attractors)}"
        )
    _, n_intervening, n_attractors, _ = SHAPE
    cell = labels.long() * n_intervening + INTERVENING.of_tensor(intervening) % n_intervening
    cell = cell * n_attractors + ATTRACTORS.of_tensor(attractors) % n_attractors
    cell = cell * 2 + right
    return torch.bincount(cell, minlength=int(np.prod(SHAPE))).view(SHAPE)


def _range(numbers: Int[Tensor, " batch"]) -> str:
    return f"{int(numbers.min())} to {int(numbers.max())}"


def counts_frame(counts: Int[Tensor, "2 6 6 2"]) -> pd.DataFrame:
    """Return the counts of `AgreementCounts` as the frame that `accuracy_table` reads.

    Returns:
        One row a cell that has items: label (``sg``/``pl``), intervening and attractors (names of
        bins, null where unknown), n and correct (int64).
    """
    wrong, right = counts.cpu().numpy().reshape(-1, 2).T
    label, intervening, attractors = np.indices(SHAPE[:-1]).reshape(3, -1)
    frame = pd.DataFrame(
        {
            "label": np.array(LABEL_NAMES, dtype=object)[label],
            "intervening": np.array([*INTERVENING.names, None], dtype=object)[intervening],
            "attractors": np.array([*ATTRACTORS.names, None], dtype=object)[attractors],
            "n": wrong + right,
            "correct": right,
        }
    )
    return frame[frame["n"] > 0].reset_index(drop=True)
