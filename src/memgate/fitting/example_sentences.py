"""Six sentences that every run explains, so that runs can be compared word by word."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from memgate.data.batches import Prefixes
from memgate.data.items.numbers import LABELS
from memgate.data.items.roles import NO_ROLE, ROLES
from memgate.data.items.schema import FEATURES, parse_item
from memgate.errors import InputError
from memgate.gates.explain.explanation import Explanation, explain
from memgate.gates.units.unit import Unit
from memgate.predictor import Predictor

SENTENCES = (
    # The lecture's sentence, and the same with several cats.
    (
        "the cat , which already ate a bunch of food , sleeps",
        "DT NN , WDT RB VBD DT NN IN NN , VBZ",
    ),
    (
        "the cats , which already ate a bunch of food , sleep",
        "DT NNS , WDT RB VBD DT NN IN NN , VBP",
    ),
    # An attractor, once each way (Bock and Miller 1991: "the key to the cabinets").
    ("the key near the cabinets sleeps", "DT NN IN DT NNS VBZ"),
    ("the keys near the old cabinet sleep", "DT NNS IN DT JJ NN VBP"),
    # A clause with a subject and a verb of its own.
    (
        "the boy that the doctors near the gardens admire sleeps",
        "DT NN IN DT NNS IN DT NNS VBP VBZ",
    ),
    (
        "the doctors who trust the driver of the old car near the church sleep",
        "DT NNS WP VBP DT NN IN DT JJ NN IN DT NN VBP",
    ),
)
"""Each with its PTB tags; the subject is the second word, the verb the last. The grammar has all of
their words; a model of real text may read some of them as their tag."""

SUBJECT_IDX = 1


def explain_sentences(
    predictor: Predictor,
    units: Sequence[Unit],
    model: str,
    chosen: str,
    probe: npt.NDArray[np.float64] | None = None,
) -> list[Explanation]:
    """Explain the six sentences as inputs of the model's task, with the roles of their words.

    Returns:
        One explanation a sentence, without sentences of which the model knows no word.
    """
    table = sentences()
    task_inputs = predictor.task.make_inputs(table, 0)
    prefixes = Prefixes.from_table(predictor.vocabulary, table.take(task_inputs.rows), task_inputs)
    ends = np.cumsum(task_inputs.lengths)
    codes = np.split(prefixes.roles.cpu().numpy(), ends[:-1])
    words, tags = ([text.as_py().split(" ") for text in column] for column in task_inputs[1:3])
    explanations = []
    for row, length in enumerate(task_inputs.lengths.tolist()):
        with suppress(InputError):  # not one word is known
            explained = explain(
                predictor,
                " ".join(words[row][:length]),
                units,
                model=model,
                chosen=chosen,
                roles=[None if code == NO_ROLE else ROLES[code] for code in codes[row]],
                tags=tags[row][:length],
                probe=probe,
                by_subject=True,
            )
            explanations.append(explained)
    return explanations


def sentences() -> pa.Table:
    """Return the six sentences as items with the columns of `schema.FEATURES`."""
    other = {"sleeps": "sleep", "sleep": "sleeps"}
    rows = []
    for text, tags in SENTENCES:
        *_, verb = text.split()
        row = {
            "text": text,
            "verb_idx": len(text.split()) - 1,
            "subj_idx": SUBJECT_IDX,
            "tags": tags,
        }
        number = "sg" if verb == "sleeps" else "pl"
        item = parse_item({**row, "label": number, "verb": verb, "verb_alt": other[verb]})
        rows.append({**item, "label": LABELS.index(number)})
    return pa.Table.from_pylist(rows, FEATURES.arrow_schema)
