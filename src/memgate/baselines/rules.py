"""Rules that predict the number of the verb from the tags of the nouns before it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from memgate.arrays import Ints
from memgate.data.items.numbers import LABELS, NOUN_NUMBER, Label
from memgate.data.vocabulary import prefix_words

RULES = ("majority", "first_noun", "last_noun", "noun_majority")
"""The columns of `baseline_predictions`."""


def majority(labels: Sequence[int]) -> Label:
    """Return the more frequent label of a training split; singular for a tie.

    Args:
        labels: 0 singular, 1 plural.

    >>> majority([0, 1, 1]), majority([0, 1])
    ('pl', 'sg')
    """
    return LABELS[int(2 * sum(labels) > len(labels))]


def baseline_predictions(table: pa.Table, majority_label: Label) -> pd.DataFrame:
    """Predict each item by rules that read only the common nouns before the verb.

    ``majority`` predicts the majority label; ``first_noun`` and ``last_noun`` the number of that
    noun (NN or NNS, as in Linzen et al. 2016, section 3; proper nouns don't count);
    ``noun_majority`` that of most of them, the subject included. Without a noun, or with as many
    of each number, they predict the majority label.

    Args:
        table: N items with the columns of `memgate.data.items.schema.FEATURES`;
            `memgate.data.tagger.Tagger.fill` guesses missing tags.
        majority_label: As `majority` returns it for the training split.

    Returns:
        N rows, in the items' order, with the columns `RULES`: ``sg`` or ``pl``; null if the rule
        needs tags and the item has none.
    """
    tagged = table["tags"].is_valid().to_numpy()
    _, tags, lengths = prefix_words(
        table["text"].combine_chunks(),
        table["tags"].combine_chunks(),
        table["verb_idx"].to_numpy().astype(np.int64),
    )
    answers = {"majority": _answers(np.zeros(len(tagged), dtype=np.int64), majority_label)}
    nothing = np.zeros(int(lengths.sum()), dtype=np.int64)
    toward = nothing if tags is None else _toward_plural(tags, nothing)
    for name, votes in _votes(toward, lengths).items():
        answers[name] = _answers(votes, majority_label).where(tagged)
    return pd.DataFrame(answers)


def _toward_plural(tags: object, nothing: Ints) -> Ints:
    """Return 1 for each plural common noun, -1 for each singular one, 0 for other words."""
    toward = nothing
    for tag, number in NOUN_NUMBER.items():
        is_tag = pc.fill_null(pc.equal(tags, tag), False).to_numpy(zero_copy_only=False)
        toward = np.where(is_tag, 1 if number == "pl" else -1, toward)
    return toward


def _votes(toward: Ints, lengths: Ints) -> dict[str, Ints]:
    """Return for each rule and item a number above 0 for plural, below 0 for singular."""
    starts = np.cumsum(lengths) - lengths
    if len(starts) == 0:
        return dict.fromkeys(RULES[1:], toward)
    position = np.arange(len(toward))
    end = len(toward)  # without a noun: the position of the 0 that is appended
    first = np.minimum.reduceat(np.where(toward != 0, position, end), starts)
    last = np.maximum.reduceat(np.where(toward != 0, position, -1), starts)
    padded = np.append(toward, 0)
    return {
        "first_noun": padded[first],
        "last_noun": padded[last],
        "noun_majority": np.add.reduceat(toward, starts),
    }


def _answers(votes: Ints, majority_label: Label) -> pd.Series[str]:
    answers = np.select([votes > 0, votes < 0], ["pl", "sg"], majority_label)
    return pd.Series(answers, dtype="string")
