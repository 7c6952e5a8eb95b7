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
        dropout: Proportion of the units dropped of embeddings, between layers and before the
            readout while training.
        word_dropout: Proportion of the words read as ``<unk>``, id 0, while training.
        keep_bias: Bias with which training starts of the gate that keeps: an LSTM's forget gate
            (Gers et al. 2000; 1 in Jozefowicz et al. 2015), a GRU's update gate, torch's z. An RNN
            has no gate and ignores it. None leaves it as torch does, at random about 0.

    Raises:
        InputError: The cell is unknown, a size is not positive, or a proportion not below 1.

    >>> import memgate, torch
    >>> classifier = memgate.Classifier(vocab_size=10, cell="gru", hidden_size=8)
    >>> classifier(torch.randint(10, (2, 5))).shape  # log-odds, one a prefix
    torch.Size([2])
    """

    def __init__(
        self,
        vocab_size: int,
        cell: CellName = "lstm",
        embedding_size: int = 50,
        hidden_size: int = 50,
        num_layers: int = 1,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
        keep_bias: float | None = None,
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
        proportions = {"dropout": dropout, "word_dropout": word_dropout}
        for name, proportion in proportions.items():
            if not 0 <= proportion < 1:
                raise InputError(
                    f"{name}: expected a proportion from 0 to below 1, got {proportion}"
                )
        self.cell: CellName = cell
        training = {**proportions, "keep_bias": keep_bias}
        self.config: dict[str, Any] = {"cell": cell, **sizes, **training}
        self.word_dropout = word_dropout
        self.embedding = nn.Embedding(vocab_size, embedding_size)
        self.recurrence = RECURRENCE[cell](
            embedding_size,
            hidden_size,
            num_layers,
            batch_first=True,
            dropout=dropout if num_layers > 1 else 0.0,  # torch warns if there is no layer above
        )
        if keep_bias is not None:
            self._set_keep_bias(keep_bias)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(hidden_size, 1)

    def forward(self, inputs: Int[Tensor, "batch time"]) -> Float[Tensor, " batch"]:
        """Return the log-odds of plural after the last word of each prefix.

        Args:
            inputs: Token ids, every row a whole prefix of the same length.
        """
        if self.training and self.word_dropout:
            inputs = inputs.masked_fill(
                torch.rand_like(inputs, dtype=torch.float32) < self.word_dropout, 0
            )
        output, _ = self.recurrence(self.dropout(self.embedding(inputs)))
        logits: Tensor = self.readout(self.dropout(output[:, -1])).squeeze(-1)
        return logits

    @torch.no_grad()
    def _set_keep_bias(self, bias: float) -> None:
        """Set the bias of the second block of rows: torch's f of an LSTM, z of a GRU."""
        if self.cell == "rnn":
            return
        hidden = self.recurrence.hidden_size
        for name, weights in self.recurrence.named_parameters():
            if name.startswith("bias_"):  # torch adds two biases
                weights[hidden : 2 * hidden] = bias if name.startswith("bias_ih") else 0.0

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
