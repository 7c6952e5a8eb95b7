"""The classifier: embedding, a recurrence of torch.nn, and a linear readout of the last state."""

from __future__ import annotations

import copy
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from memgate.errors import InputError

CellName = Literal["rnn", "gru", "lstm"]

RECURRENCE: dict[str, type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]] = {
    "rnn": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


class Classifier(nn.Module):
    """Predicts from a prefix whether its verb is plural, or the second answer of another task.

    The number is read from the hidden state after the last word, h_T, by one linear unit, as in
    Linzen et al. (2016, section 4): P(plural) = σ(w·h_T + b). The recurrence is `torch.nn`'s own,
    with its fused kernels and its ``state_dict``.

    Args:
        vocab_size: Number of token ids.
        cell: ``rnn`` (Elman, tanh), ``gru`` or ``lstm``.
        embedding_size: Width of a word's vector.
        hidden_size: Units of each layer.
        num_layers: Layers of the recurrence.
        dropout: Proportion of the units dropped between layers and before the readout while
            training.

    Raises:
        InputError: The cell is unknown, or a size is not positive.
    """

    def __init__(
        self,
        vocab_size: int,
        cell: CellName = "lstm",
        embedding_size: int = 50,
        hidden_size: int = 50,
        num_layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if cell not in RECURRENCE:
            raise InputError(f"cell: expected one of {', '.join(get_args(CellName))}, got {cell!r}")
        sizes = {
            "vocab_size": vocab_size,
            "embedding_size": embedding_size,
            "hidden_size": hidden_size,
            "num_layers": num_layers,
        }
        for name, size in sizes.items():
            if size < 1:
                raise InputError(f"{name}: expected at least 1, got {size}")
        if not 0 <= dropout < 1:
            raise InputError(f"dropout: expected a proportion from 0 to below 1, got {dropout}")
        self.cell: CellName = cell
        self.config: dict[str, Any] = {"cell": cell, **sizes, "dropout": dropout}
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.recurrence = RECURRENCE[cell](
            embedding_size,
            hidden_size,
            num_layers,
            batch_first=True,
            dropout=dropout if num_layers > 1 else 0.0,  # torch warns if there is no layer above
        )
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden_size, 1)

    def forward(self, inputs: Int[Tensor, "batch time"]) -> Float[Tensor, " batch"]:
        """Return the log-odds of plural after the last word of each prefix.

        Args:
            inputs: Token ids, every row a whole prefix of the same length.
        """
        output, _ = self.recurrence(self.embedding(inputs))
        logits: Tensor = self.readout(self.dropout(output[:, -1])).squeeze(-1)
        return logits

    def widened(self) -> Classifier:
        """Return itself, or a copy in single precision if its weights have half precision.

        NumPy has no bfloat16, and the loops over gates that numba compiles have no float16.
        """
        half = self.embedding.weight.dtype.itemsize < 4
        return copy.deepcopy(self).float() if half else self

    @torch.inference_mode()
    def probability(self, inputs: Int[Tensor, "batch time"]) -> Float[Tensor, " batch"]:
        """Return P(plural), in [0, 1], after the last word of each prefix."""
        return torch.sigmoid(self(inputs))
