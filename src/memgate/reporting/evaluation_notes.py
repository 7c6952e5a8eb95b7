"""Notes below the tables of `memgate evaluate`: what they omit, and what weakens an accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from memgate.data.items.schema import repeat_notes
from memgate.data.items.tasks import GRAMMATICALITY
from memgate.evaluation import count_left_out
from memgate.reporting.accuracy import left_out_notes, notes


class EvaluationNote(NamedTuple):
    """A line below the tables; an alarm says that an accuracy is of words that weren't read."""

    text: str
    is_alarm: bool = False


def evaluation_notes(
    predicted: pd.DataFrame, kind: str, sizes: Mapping[str, int]
) -> list[EvaluationNote]:
    """Return one line for each thing that a reader of the tables should know.

    `kind` is the column ``data`` or ``suite``, `sizes` the number of items of each of these.
    """
    lines: list[EvaluationNote] = []
    for (name,), rows in predicted.groupby([kind], sort=False):
        by_model = rows.groupby("model", sort=False)
        if kind == "data":
            for _, of_model in by_model:
                left_out = left_out_notes(str(name), count_left_out(of_model), len(of_model))
                lines += map(EvaluationNote, left_out)
                lines += map(EvaluationNote, repeat_notes(str(name), of_model["item"]))
        for model, of_model in by_model:
            weaknesses = _weaknesses(str(model), of_model, sizes[str(name)])
            lines += [EvaluationNote(f"{name}: {text}", alarm) for text, alarm in weaknesses]
    return list(dict.fromkeys(lines))


def _weaknesses(model: str, predicted: pd.DataFrame, n: int) -> Iterator[EvaluationNote]:
    """Yield what weakens the accuracy of a model on a data set."""
    if len(predicted) < n:
        yield EvaluationNote(f"{n - len(predicted)} of {n} items lack what {model} reads")
    unread = int((~predicted["known_word"]).sum())
    if unread:
        yield EvaluationNote(f"{unread} items without a word that {model} knows, read as <unk>")
    if "p_right_second" in predicted:
        ties = int((predicted["p_right"] == predicted["p_right_second"]).sum())
        if ties:
            yield EvaluationNote(
                f"{ties} pairs that {model} reads alike, half of them counted as right"
            )
    if set(predicted["answer"]) <= set(GRAMMATICALITY.answers):
        yield from map(EvaluationNote, notes(GRAMMATICALITY))
    unknown_words = float(predicted["unknown"].mean())
    if unknown_words:
        nouns = int(predicted["unknown_noun"].sum())
        items = f", nor the subject or a noun after it of {nouns} items" if nouns else ""
        text = f"{model} doesn't know {100 * unknown_words:.2g}% of the words (<unk>){items}"
        yield EvaluationNote(text, nouns > 0 or unknown_words == 1)
