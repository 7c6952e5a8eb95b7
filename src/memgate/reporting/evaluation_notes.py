"""Notes below the tables of `memgate evaluate`: what they omit, and what weakens an accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from memgate.data.items.tasks import GRAMMATICALITY
from memgate.evaluation import count_left_out
from memgate.reporting.accuracy import left_out_notes, notes

MANY_UNKNOWN = 0.1
"""Proportion of unknown words above which a text is unlike the training text: the models of
`make train` don't know 4% of the words of the real test files."""


def evaluation_notes(predicted: pd.DataFrame, kind: str, sizes: Mapping[str, int]) -> list[str]:
    """Return one line for each thing that a reader of the tables should know.

    `kind` is the column ``data`` or ``suite``, `sizes` the number of items of each of these.
    """
    lines = []
    for (name,), rows in predicted.groupby([kind], sort=False):
        by_model = rows.groupby("model", sort=False)
        if kind == "data":
            for _, of_model in by_model:
                lines += left_out_notes(str(name), count_left_out(of_model), len(of_model))
        for model, of_model in by_model:
            weaknesses = _weaknesses(str(model), of_model, sizes[str(name)])
            lines += [f"{name}: {weakness}" for weakness in weaknesses]
    return list(dict.fromkeys(lines))


def _weaknesses(model: str, predicted: pd.DataFrame, n: int) -> Iterator[str]:
    """Yield what weakens the accuracy of a model on a data set."""
    if len(predicted) < n:
        yield f"{n - len(predicted)} of {n} items lack what {model} reads"
    unread = int((~predicted["known_word"]).sum())
    if unread:
        yield f"{unread} items without a word that {model} knows, read as <unk>"
    if "p_right_second" in predicted:
        ties = int((predicted["p_right"] == predicted["p_right_second"]).sum())
        if ties:
            yield f"{ties} pairs that {model} reads alike, half of them counted as right"
    if set(predicted["answer"]) <= set(GRAMMATICALITY.answers):
        yield from notes(GRAMMATICALITY)
    unknown_words = float(predicted["unknown"].mean())
    if unknown_words > MANY_UNKNOWN:
        yield f"{model} doesn't know {100 * unknown_words:.0f}% of the words (<unk>)"
