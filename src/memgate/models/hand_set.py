"""A GRU and an LSTM with hand-set weights, which write at the first common noun and then keep.

They are the example of Andrew Ng's lecture on the gated recurrent unit (Sequence Models, week 1).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from memgate.errors import InputError
from memgate.models.classifier import Classifier

GatedCell = Literal["gru", "lstm"]

K = 10.0
"""The k of the formulas: σ(10) = 0.99995."""

UNITS = ("number", "seen")
CLASSES = ("other", "singular noun", "plural noun")
"""Word classes, in the order of their 1 in the vector of a word."""

Rows = tuple[tuple[float, ...], tuple[float, ...]]
"""One part of a step as [W, b]: a row for each unit, which reads number, seen; other, singular,
plural; 1."""

# number, seen; other, singular, plural; 1
ALWAYS: Rows = ((0, 0, 0, 0, 0, K), (0, 0, 0, 0, 0, K))
"""A gate that is always open: only its bias isn't 0."""
CANDIDATE: Rows = ((0, 0, 0, -K, K, 0), (0, 0, 0, K, K, 0))
"""The candidate: -1 or +1 for number, 1 for seen, and 0 at words that aren't nouns."""


def oracle(
    cell: GatedCell,
    vocab_size: int,
    singular_ids: Collection[int],
    plural_ids: Collection[int],
    log_odds: float = 0.0,
) -> Classifier:
    """Return a hand-set classifier that predicts the number of the first common noun.

    A word's vector is its class, one-hot (`CLASSES`). Unit 0, number, is +1 for plural and -1 for
    singular; unit 1, seen, is 1 from the first noun on. Both are 0 before it. With
    noun = singular + plural, and the state before the word, both share one write gate:

        Γu = σ(-k + 2k·noun - 2k·seen)

    For k = 10 its input is -10 before the first noun (write 0.00005), +10 at it (0.99995), -30 at
    later words (1e-13) and -10 at later nouns (0.00005). The candidate is
    tanh(k·(plural - singular)) for number and tanh(k·noun) for seen. torch's z keeps, so the GRU
    has the row with its sign turned, keep = z = 1 - Γu. The LSTM's input gate is Γu, and its forget
    gate, σ(k), keeps always. One unit isn't enough: the input of a gate is linear in the state, so
    a gate that is shut at +1 and at -1 is shut at 0.

    σ(-10) = 0.000045 leaks: in the GRU each later noun of the other number takes 0.00009 from
    number, and the prediction changes after 15,000 of them.

    Args:
        cell: ``gru`` or ``lstm``.
        vocab_size: Number of token ids.
        singular_ids: Those of singular nouns.
        plural_ids: Those of plural nouns; other ids have the class other.
        log_odds: Log-odds of plural without a noun; between -9 and 9, so that a noun outweighs
            them.

    Raises:
        InputError: The cell has no gate, or an id doesn't exist or is of both classes; or the
            log-odds are too far from 0.
    """
    if cell not in get_args(GatedCell):
        raise InputError(f"cell: expected gru or lstm, which have a gate to set, got {cell!r}")
    if not abs(log_odds) <= K - 1:
        raise InputError(f"log_odds: expected {1 - K:.0f} to {K - 1:.0f}, got {log_odds}")
    classes = _classes(vocab_size, singular_ids, plural_ids)
    classifier = Classifier(vocab_size, cell, len(CLASSES), len(UNITS))
    # A memory of 1 gives h = 1 in the GRU, and h = o·tanh(1) = 0.76 in the LSTM.
    shown = 1.0 if cell == "gru" else math.tanh(1)
    with torch.no_grad():
        classifier.embedding.weight.copy_(torch.eye(len(CLASSES))[classes])
        _set(classifier, _parts(cell, _write(shown)))
        classifier.readout.weight.copy_(torch.tensor([[K / shown, 0.0]]))
        classifier.readout.bias.fill_(log_odds)
    return classifier.eval()


def _parts(cell: GatedCell, write: Float[Tensor, "units 6"]) -> Float[Tensor, "rows 6"]:
    """Return [W, b] of all parts of a step, in torch's order."""
    always, candidate = torch.tensor(ALWAYS), torch.tensor(CANDIDATE)
    if cell == "gru":  # reset (open, and without use as the candidate reads only the word), update
        return torch.cat([always, -write, candidate])
    return torch.cat([write, always, candidate, always])  # input, forget, candidate, output


def _write(shown: float) -> Float[Tensor, "units 6"]:
    """Return [Wu, bu] of Γu: -k + 2k·noun - 2k·seen, for both units."""
    # number, seen; other, singular, plural; 1
    row = [0, -2 * K / shown, 0, 2 * K, 2 * K, -K]
    return torch.tensor([row, row])


def _set(classifier: Classifier, parts: Float[Tensor, "rows 6"]) -> None:
    """Write [W, b] of all parts into the recurrence; of torch's two biases the second stays 0."""
    units, classes = len(UNITS), len(CLASSES)
    of_h, of_x, bias = torch.split(parts, [units, classes, 1], dim=1)
    weights = {"weight_hh": of_h, "weight_ih": of_x, "bias_ih": bias.squeeze(1)}
    for name, values in weights.items():
        classifier.recurrence.get_parameter(f"{name}_l0").copy_(values)
    classifier.recurrence.get_parameter("bias_hh_l0").zero_()


def _classes(
    vocab_size: int, singular_ids: Collection[int], plural_ids: Collection[int]
) -> Int[Tensor, " ids"]:
    """Return the class of each id, its index in `CLASSES`."""
    both = set(singular_ids) & set(plural_ids)
    if both:
        raise InputError(f"plural_ids: expected none of the singular ids, got {min(both)}")
    classes = torch.zeros(max(0, vocab_size), dtype=torch.long)
    nouns = {"singular_ids": singular_ids, "plural_ids": plural_ids}
    for number, (name, ids) in enumerate(nouns.items(), 1):
        for index in ids:
            if not 0 <= index < vocab_size:
                raise InputError(f"{name}: expected ids from 0 to {vocab_size - 1}, got {index}")
            classes[index] = number
    return classes
