"""Several batches of training to one call of Lightning, which costs as much as a small step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from memgate.data.batches import Batch, ExactLengthBatches

STEPS = 16
"""Batches of a stretch; Keras calls this ``steps_per_execution``.

Lightning's loop takes 0.8 ms round each call of ``training_step``, where a step of an RNN of 50
units takes 2.1 ms and one of an LSTM of 50 3.1.
"""


class Stretches:
    """A loader of runs of consecutive batches, each an iterator that gathers them one by one.

    The batches are those of the loader within, in its order. The first stretches of an epoch end
    behind 1, 2, 4, 8 and 16 batches, all later ones have `STEPS`: so what is measured between
    stretches can be measured behind every number of batches that is a power of two.

    Args:
        batches: The loader within.
        steps: Batches of a stretch, a power of two; 1 where something is counted in Lightning's
            calls and shall be counted in batches.

    Attributes:
        sampler: The loader within, which Lightning tells the epoch.
    """

    def __init__(self, batches: ExactLengthBatches, steps: int = STEPS) -> None:
        self.batches = batches
        self.sampler = batches
        self.batch_sampler = None  # Lightning looks here too
        n = len(batches)
        early = [2**power for power in range(steps.bit_length()) if 2**power < min(steps, n)]
        self._ends = [*early, *range(steps, n, steps), n]
        self._begun = 0
        self._resume_at = 0
        self._cut = False

    def __len__(self) -> int:
        return len(self._ends)

    def batches_of(self, stretches: int) -> int:
        """Return how many batches the first stretches of an epoch have together."""
        return self._ends[stretches - 1] if stretches > 0 else 0

    def cut(self) -> None:
        """End the stretch at hand, and all later ones, behind one batch; but for an epoch's last.

        What was left out of a stretch comes first in the next pass that goes on from here.
        """
        self._cut = True

    def state_dict(self) -> dict[str, Any]:
        """Return how many stretches of this pass were begun, and how many batches taken."""
        return {**self.batches.state_dict(), "begun": self._begun}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Begin the next pass behind the batches that were taken, with the next stretch."""
        self.batches.load_state_dict(state)
        self._begun = self._resume_at = state["begun"] % len(self)

    def __iter__(self) -> Iterator[Iterator[Batch]]:
        first, self._resume_at = self._resume_at, 0
        taken = self.batches.start
        batches = iter(self.batches)
        for number, end in enumerate(self._ends[first:], start=first + 1):
            self._begun = number
            yield self._stretch(batches, end - taken, last=number == len(self))
            taken = self.batches.state_dict()["taken"]

    def _stretch(self, batches: Iterator[Batch], n: int, last: bool) -> Iterator[Batch]:
        for batch in islice(batches, n):
            yield batch
            if self._cut and not last:
                return
