"""Bins of intervening words and of attractors: the one definition of their edges and names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int
from torch import Tensor

from memgate.arrays import UNKNOWN_COUNT, Ints

IntArray = npt.NDArray[np.integer[Any]]

LABEL_NAMES = ("sg", "pl")
"""Names of the labels 0 and 1, as in `memgate.data.items.numbers`, which metrics can't import."""


@dataclass(frozen=True)
class Strata:
    """Bins of counts; the last bin is open.

    Args:
        starts: Where each bin starts, rising from 0; a bin ends before the next one starts.
    """

    starts: tuple[int, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The bins in their order: ``4``, ``3–5`` (with an en dash), the last ``11+``."""
        closed = [
            str(start) if following == start + 1 else f"{start}–{following - 1}"
            for start, following in pairwise(self.starts)
        ]
        return (*closed, f"{self.starts[-1]}+")

    def of_tensor(self, numbers: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Return the bin of each number, on its device and without waiting for it.

        Args:
            numbers: At least 0, or `UNKNOWN_COUNT`. Lower numbers aren't checked here, because that
                makes a GPU wait (`agreement.contingency` looks once a batch).

        Returns:
            The index of the bin in `names`, int64, or `UNKNOWN_COUNT`.
        """
        starts = torch.tensor(self.starts, dtype=numbers.dtype, device=numbers.device)
        # bucketize warns of a copy if the numbers are a column of a table
        return torch.bucketize(numbers.contiguous(), starts, right=True) - 1

    def of_array(self, numbers: IntArray) -> Ints:
        """Return the bin of each number; `of_tensor` for NumPy.

        Raises:
            ValueError: A number is below `UNKNOWN_COUNT`, or not an integer (NaN would fall into
                the last bin).
        """
        if not np.issubdtype(numbers.dtype, np.integer):
            raise ValueError(f"numbers: expected integers, got {numbers.dtype}")
        if numbers.size and numbers.min() < UNKNOWN_COUNT:
            raise ValueError(f"numbers: expected at least {UNKNOWN_COUNT}, got {numbers.min()}")
        return np.searchsorted(self.starts, numbers, side="right").astype(np.int64) - 1

    def names_of(self, numbers: IntArray) -> npt.NDArray[np.object_]:
        """Return the name of the bin of each number, None for `UNKNOWN_COUNT`.

        Raises:
            ValueError: As `of_array`.

        >>> INTERVENING.names_of(np.array([0, 5, 80, UNKNOWN_COUNT])).tolist()
        ['0', '3–5', '11+', None]
        """
        # None comes last, at the index -1
        return np.array([*self.names, None], dtype=object)[self.of_array(numbers)]


INTERVENING = Strata((0, 1, 3, 6, 11))
"""Words strictly between the head of the subject and the verb: 0, 1–2, 3–5, 6–10, 11+."""

ATTRACTORS = Strata((0, 1, 2, 3, 4))
"""Attractors between subject and verb: 0, 1, 2, 3, 4+ (Linzen et al. 2016, figure 2c, end at 4)."""
