"""Trajectories of sentences of known words: `Lookup`."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from memgate.errors import InputError
from memgate.models.cells import Recurrence, cell_of
from memgate.models.trajectory import Trajectory, check, offers_of, trajectories, walk

LARGEST_TABLE = 2**28
"""Bytes of what word forms offer that `Lookup` keeps at most: 28,000 forms, LSTM of 600 units."""


class Lookup:
    """Trajectories of sentences of known words, whose first product is made once a word form.

    What a word offers to the first layer depends on nothing but the word. In a corpus a form comes
    many times: to look its product up takes 1.4 ns a unit, to make it 7 (LSTM of 128).

    Args:
        net: As for `unroll`; its weights must not change while this is in use.
        vectors: One for each word form.

    Raises:
        InputError: As `replay`.
    """

    def __init__(self, net: Recurrence, vectors: Float[Tensor, "forms features"]) -> None:
        self._net = net
        self._cell = cell_of(net)
        self._vectors = vectors
        check(net, vectors.unsqueeze(1))
        size = len(vectors) * len(self._cell.parts) * net.hidden_size * vectors.element_size()
        self._offers: list[Tensor] | None = None
        if not vectors.is_cuda and size <= LARGEST_TABLE:
            with torch.no_grad():
                self._offers = offers_of(net, self._cell, 0, vectors)

    @torch.no_grad()
    def trajectories(self, forms: Int[Tensor, "batch time"]) -> list[Trajectory]:
        """Return one trajectory a layer.

        Args:
            forms: Each word's row in the vectors.

        Raises:
            InputError: As `replay`.
        """
        if self._offers is None:
            return trajectories(self._net, functional.embedding(forms, self._vectors))
        if forms.shape[1] < 1:
            raise InputError(f"inputs: expected a time of at least 1, got {tuple(forms.shape)}")
        words = forms.T.flatten()
        offers = [table.index_select(0, words).view(*forms.T.shape, -1) for table in self._offers]
        return walk(self._net, self._cell, offers, None)
