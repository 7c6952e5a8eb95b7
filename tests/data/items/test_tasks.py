"""What each task reads and asks, worked by hand; its laws are in test_task_laws.py."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from memgate.data.items.schema import FEATURES
from memgate.data.items.tasks import (
    GRAMMATICALITY,
    INFLECTION,
    NOUNS,
    NUMBER,
    TASKS,
    Task,
    TaskInputs,
)

Row = dict[str, Any]


def items(*rows: Row) -> pa.Table:
    nothing: Row = dict.fromkeys(FEATURES)
    made = [{**nothing, **row, "label": ["sg", "pl"].index(row["label"])} for row in rows]
    return pa.Table.from_pylist(made, schema=FEATURES.arrow_schema)


def read(task_inputs: TaskInputs) -> list[tuple[int, str, str | None, int]]:
    """Bring task inputs into rows of index, words read, their tags, and target."""
    for part in (task_inputs.texts, task_inputs.tags, task_inputs.lengths, task_inputs.targets):
        assert len(part) == len(task_inputs.rows)
    assert (
        task_inputs.rows.dtype == task_inputs.lengths.dtype == task_inputs.targets.dtype == np.int64
    )
    assert (np.diff(task_inputs.rows) > 0).all()

    def cut(text: str | None, length: int) -> str | None:
        return None if text is None else " ".join(text.split(" ")[:length])

    found = []
    for row, text, tags, length, target in zip(
        task_inputs.rows,
        task_inputs.texts.to_pylist(),
        task_inputs.tags.to_pylist(),
        *task_inputs[3:5],
        strict=True,
    ):
        assert 1 <= length <= len(text.split(" "))
        assert tags is None or len(tags.split(" ")) == len(text.split(" "))
        found.append((int(row), cut(text, length) or "", cut(tags, length), int(target)))
    return found


KEYS = {
    "text": "the keys to the cabinet are here",
    "tags": "DT NNS TO DT NN VBP RB",
    "verb_idx": 5,
    "label": "pl",
    "verb": "are",
    "verb_alt": "is",
}
UNTAGGED = {**KEYS, "tags": None}
CAPITAL = {
    "text": "NNP Barks .",
    "tags": "NNP VBZ .",
    "verb_idx": 1,
    "label": "sg",
    "verb": "Barks",
    "verb_alt": "bark",
}
SHOUT = {"text": "IT IS", "verb_idx": 1, "label": "sg", "verb": "IS", "verb_alt": "are"}
MASKED = {
    "text": "the NN VBZ a bone",
    "tags": "DT NN VBZ DT NN",
    "verb_idx": 2,
    "label": "sg",
    "verb": "gnaws",
    "verb_alt": "gnaw",
}
PREFIX = {"text": "the keys", "verb_idx": 2, "label": "pl", "good": "have", "bad": "has"}
TAGGED_PREFIX = {**PREFIX, "tags": "DT NNS"}
LAST = {"text": "it runs", "tags": "PRP VBZ", "verb_idx": 1, "label": "sg"} | {
    "verb": "runs",
    "verb_alt": "run",
}
LACKING: list[Row] = [
    {**KEYS, "verb_alt": None},
    {**KEYS, "label": "sg", "tags": None, "verb_alt": None},  # the form is known, but of one number
    {**KEYS, "verb": None},
    {**LAST, "verb": "lie", "verb_alt": "Lie"},  # no flip, and no singular
    {"text": "a cat", "verb_idx": 2, "label": "sg"},
    {"text": "a cat", "verb_idx": 2, "label": "sg", "good": "is"},
]


def test_number_reads_the_prefix() -> None:
    rows = [KEYS, UNTAGGED, CAPITAL, PREFIX]
    assert read(NUMBER.make_inputs(items(*rows), 0)) == [
        (0, "the keys to the cabinet", "DT NNS TO DT NN", 1),
        (1, "the keys to the cabinet", None, 1),
        (2, "NNP", "NNP", 0),
        (3, "the keys", None, 1),
    ]


def test_inflection_reads_the_singular_form_too() -> None:
    rows = [KEYS, UNTAGGED, LACKING[0], CAPITAL, *LACKING[1:], MASKED, PREFIX, TAGGED_PREFIX, LAST]
    assert read(INFLECTION.make_inputs(items(*rows), 0)) == [
        (0, "the keys to the cabinet is", "DT NNS TO DT NN VBZ", 1),
        (1, "the keys to the cabinet is", None, 1),
        (3, "NNP barks", "NNP VBZ", 0),
        (9, "the NN gnaws", "DT NN VBZ", 0),
        (10, "the keys has", None, 1),
        (11, "the keys has", "DT NNS VBZ", 1),
        (12, "it runs", "PRP VBZ", 0),
    ]


@pytest.mark.parametrize(
    ("row", "as_it_is", "flipped"),
    [
        (KEYS, (KEYS["text"], KEYS["tags"]), ("the keys to the cabinet is here", "VBZ")),
        (UNTAGGED, (KEYS["text"], None), ("the keys to the cabinet is here", None)),
        (CAPITAL, ("NNP Barks .", "NNP VBZ ."), ("NNP Bark .", "VBP")),
        (SHOUT, ("IT IS", None), ("IT ARE", None)),
        (MASKED, (MASKED["text"], MASKED["tags"]), ("the NN VBP a bone", "VBP")),
        ({**LAST, "text": "it Runs"}, ("it Runs", "PRP VBZ"), ("it Run", "VBP")),
        (PREFIX, ("the keys have", None), ("the keys has", None)),
        (TAGGED_PREFIX, ("the keys have", "DT NNS VBP"), ("the keys has", "VBZ")),
        ({**LAST, "tags": "PRP VBD"}, ("it runs", "PRP VBD"), ("it run", "VBD")),
        (  # the verb of a prefix alone is one of `verb` and `verb_alt`
            {**LAST, "text": "it", "tags": "PRP"},
            ("it runs", "PRP VBZ"),
            ("it run", "VBP"),
        ),
    ],
)
def test_grammaticality_reads_the_sentence_with_either_verb(
    row: Row, as_it_is: tuple[str, str | None], flipped: tuple[str, str | None]
) -> None:
    found: dict[int, tuple[int, str, str | None]] = {}
    for seed in range(40):  # all alike: one in 2^39
        ((place, text, tags, target),) = read(GRAMMATICALITY.make_inputs(items(row), seed))
        assert found.setdefault(target, (place, text, tags)) == (place, text, tags)
    text, tag = flipped
    tags = as_it_is[1]
    if tags is not None and tag is not None:
        symbols = tags.split(" ")
        tags = " ".join([*symbols[: row["verb_idx"]], tag, *symbols[row["verb_idx"] + 1 :]])
    assert found == {0: (0, *as_it_is), 1: (0, text, tags)}


def test_grammaticality_leaves_out_items_without_two_forms() -> None:
    table = items(LACKING[0], KEYS, *LACKING[1:], LAST)
    for seed in range(10):
        assert [row for row, *_ in read(GRAMMATICALITY.make_inputs(table, seed))] == [1, 7]
    assert read(GRAMMATICALITY.make_inputs(items(*LACKING), 0)) == []


def test_nouns_reads_the_common_nouns_before_the_verb() -> None:
    after = {**KEYS, "text": "the keys are a cat", "tags": "DT NNS VBP DT NN", "verb_idx": 2}
    none = {**CAPITAL, "tags": "NNP VBZ NN"}
    assert read(
        NOUNS.make_inputs(items(none, KEYS, UNTAGGED, after, MASKED, TAGGED_PREFIX), 0)
    ) == [
        (1, "keys cabinet", "NNS NN", 1),
        (3, "keys", "NNS", 1),
        (4, "NN", "NN", 0),
        (5, "keys", "NNS", 1),
    ]


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_no_items_and_pieces_of_a_table(task: Task) -> None:
    whole = items(KEYS, *LACKING, CAPITAL, MASKED, TAGGED_PREFIX, LAST)
    pieces = pa.concat_tables([whole[:1], whole[:0], whole[1:8], whole[8:]])
    assert read(task.make_inputs(pieces, 3)) == read(task.make_inputs(whole, 3))
    assert read(task.make_inputs(whole[:0], 3)) == []
    rest = [(row - 4, *more) for row, *more in read(task.make_inputs(whole, 3)) if row >= 4]
    assert read(task.make_inputs(whole[4:], 3)) == rest


def test_tasks_know_their_names_and_no_heavy_import() -> None:
    assert {name: task.name for name, task in TASKS.items()} == {name: name for name in TASKS}
    heavy = "print({'datasets', 'torch'}.intersection(sys.modules))"
    code = f"import sys, memgate.data.items.tasks; {heavy}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


@pytest.mark.parametrize("forms", [{"verb": "has been"}, {"verb_alt": "have been"}, {"verb": " "}])
def test_a_form_of_more_than_one_token_is_not_known(forms: dict[str, str]) -> None:
    known = {"text": "the cat is here", "verb_idx": 2, "label": "sg", "verb": "is"}
    table = items({**known, "verb_alt": "are"}, {**known, "verb_alt": "are", **forms})
    for task in (INFLECTION, GRAMMATICALITY):
        assert task.make_inputs(table, 0).rows.tolist() == [0]
