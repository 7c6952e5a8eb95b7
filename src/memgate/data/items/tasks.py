"""Tasks: what a classifier reads of an agreement item, and what it predicts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from memgate.arrays import Ints
from memgate.data.items.numbers import LABELS, NOUN_NUMBER
from memgate.data.vocabulary import Words, prefix_words

TaskName = Literal["number", "inflection", "grammaticality", "nouns"]

OTHER_TAG: Mapping[str, str] = MappingProxyType({"VBZ": "VBP", "VBP": "VBZ"})
"""The tag of a verb in the other number; also the symbol of a masked verb in Linzen's files."""


class TaskInputs(NamedTuple):
    """What a task reads of agreement items, and the right answers: N of them.

    Attributes:
        rows: Indices of the items in their table, rising; the others lack what the task needs.
        texts: The text of each; the task reads its first `lengths` tokens.
        tags: PTB tags of the texts in the same form, null where unknown.
        lengths: Number of tokens that are read, at least 1.
        targets: The right answer, 0 or 1.
        aligned: Whether token t of a text is token t of its item.
    """

    rows: Ints
    texts: pa.Array
    tags: pa.Array
    lengths: Ints
    targets: Ints
    aligned: bool = True

    def words(self) -> Words:
        """Split what is read into words."""
        return prefix_words(self.texts, self.tags, self.lengths)


@dataclass(frozen=True)
class Task:
    """What a classifier reads of an item, and what it predicts.

    Attributes:
        name: Its name in configurations.
        reads: What is read, in words.
        predicts: What is predicted, in a word: the column of a served model's predictions.
        answers: What the targets 0 and 1 mean, as files write it.
        words: The same in full.
        needs: What an item must have for it, in words.
        make_inputs: Makes the inputs of a table with the columns of
            `memgate.data.items.schema.FEATURES`, from it and the seed of what is random.
        ends_with_verb: Whether the last word that is read is the verb.
    """

    name: TaskName
    reads: str
    predicts: str
    answers: tuple[str, str]
    words: tuple[str, str]
    needs: str
    make_inputs: Callable[[pa.Table, int], TaskInputs]
    ends_with_verb: bool = False

    @property
    def asks(self) -> str:
        """The old name of `predicts`, in the code of models registered up to November 2026."""
        return self.predicts


class _TaskItem(NamedTuple):
    """An item, as far as tasks need it.

    `forms` are the verb and its form of the other number, or None unless both are known and differ:
    else some verbs would come with one label only. Of 4,899 items in Linzen et al.'s files 11 have
    a word such as "lie" as both.
    """

    words: list[str]
    tags: list[str] | None
    verb_idx: int
    label: str
    forms: tuple[str, str] | None


def _task_items(table: pa.Table) -> Iterator[_TaskItem]:
    names = ("text", "tags", "verb_idx", "label", "verb", "good", "verb_alt", "bad")
    columns = (table[name].to_pylist() for name in names)
    for text, tags, verb_idx, label, verb, good, verb_alt, bad in zip(*columns, strict=True):
        forms = verb or good, verb_alt or bad
        differ = all(map(_is_token, forms)) and forms[0].lower() != forms[1].lower()
        yield _TaskItem(
            text.split(" "),
            None if tags is None else tags.split(" "),
            verb_idx,
            LABELS[label],
            forms if differ else None,
        )


def _is_token(form: str | None) -> bool:
    return form is not None and len(form.split()) == 1


def _number(table: pa.Table, seed: int) -> TaskInputs:  # noqa: ARG001  nothing is random
    return TaskInputs(
        np.arange(len(table)),
        table["text"].combine_chunks(),
        table["tags"].combine_chunks(),
        _integers(table["verb_idx"]),
        _integers(table["label"]),
    )


def _inflection(table: pa.Table, seed: int) -> TaskInputs:  # noqa: ARG001
    """Append the verb's singular form, always in lower case and tagged VBZ, whatever the label."""
    inputs = []
    for row, item in enumerate(_task_items(table)):
        if item.forms is not None:
            target = LABELS.index(item.label)
            words = [*item.words[: item.verb_idx], item.forms[target].lower()]
            tags = None if item.tags is None else [*item.tags[: item.verb_idx], "VBZ"]
            inputs.append(_Input.join(row, words, tags, target))
    return _task_inputs(inputs)


def _grammaticality(table: pa.Table, seed: int) -> TaskInputs:
    """Flip the verb of half of the sentences, chosen by seed and sentence alone."""
    inputs = []
    for row, item in enumerate(_task_items(table)):
        if item.forms is None:
            continue
        verb, other_form = item.forms
        words, tags = item.words, item.tags
        if item.verb_idx == len(words):
            words = [*words, verb]
        if tags is not None and len(tags) < len(words):
            tags = [*tags, "VBZ" if item.label == "sg" else "VBP"]
        flipped = _is_flipped(" ".join(words), item.verb_idx, seed)
        if flipped:
            words, tags = _flip(words, tags, item.verb_idx, other_form)
        inputs.append(_Input.join(row, words, tags, int(flipped)))
    return _task_inputs(inputs)


def _is_flipped(sentence: str, verb_idx: int, seed: int) -> bool:
    digest = hashlib.blake2b(f"{seed} {verb_idx} {sentence}".encode(), digest_size=1).digest()
    return bool(digest[0] & 1)


def _flip(
    words: list[str], tags: list[str] | None, verb_idx: int, other_form: str
) -> tuple[list[str], list[str] | None]:
    """Put a verb into the other number: the form (in the same case), and its tag."""
    verb = words[verb_idx]
    if verb in OTHER_TAG:
        other_form = OTHER_TAG[verb]
    elif verb[:1].isupper():
        is_capitals = verb.isupper() and len(verb) > 1
        other_form = other_form.upper() if is_capitals else other_form.capitalize()
    words = [*words[:verb_idx], other_form, *words[verb_idx + 1 :]]
    if tags is not None:
        tag = tags[verb_idx]
        tags = [*tags[:verb_idx], OTHER_TAG.get(tag, tag), *tags[verb_idx + 1 :]]
    return words, tags


def _nouns(table: pa.Table, seed: int) -> TaskInputs:  # noqa: ARG001
    inputs = []
    for row, item in enumerate(_task_items(table)):
        if item.tags is None:
            continue
        prefix = zip(item.words[: item.verb_idx], item.tags, strict=False)
        nouns = [(word, tag) for word, tag in prefix if tag in NOUN_NUMBER]
        if nouns:
            words, tags = (list(part) for part in zip(*nouns, strict=True))
            inputs.append(_Input.join(row, words, tags, LABELS.index(item.label)))
    return _task_inputs(inputs)._replace(aligned=False)


class _Input(NamedTuple):
    """The input of one item; its words are joined, as 200,000 lists of words take 0.8 GB."""

    row: int
    text: str
    tags: str | None
    length: int
    target: int

    @classmethod
    def join(
        cls, row: int, words: Sequence[str], tags: Sequence[str] | None, target: int
    ) -> _Input:
        joined_tags = None if tags is None else " ".join(tags)
        return cls(row, " ".join(words), joined_tags, len(words), target)


def _task_inputs(inputs: Sequence[_Input]) -> TaskInputs:
    rows, texts, tags, lengths, targets = zip(*inputs, strict=True) if inputs else ((),) * 5
    return TaskInputs(
        np.array(rows, dtype=np.int64),
        pa.array(texts, pa.string()),
        pa.array(tags, pa.string()),
        np.array(lengths, dtype=np.int64),
        np.array(targets, dtype=np.int64),
    )


def _integers(column: pa.ChunkedArray) -> Ints:
    integers: Ints = column.to_numpy().astype(np.int64)
    return integers


NUMBER_WORDS = ("singular", "plural")

NUMBER = Task(
    name="number",
    reads="the words before the verb",
    predicts="number",
    answers=LABELS,
    words=NUMBER_WORDS,
    needs="a prefix",
    make_inputs=_number,
)
"""Number prediction (Linzen et al. 2016, section 3)."""

INFLECTION = Task(
    name="inflection",
    reads="the words before the verb and the verb's singular form",
    predicts="number",
    answers=LABELS,
    words=NUMBER_WORDS,
    needs="both forms of their verb (verb and verb_alt)",
    make_inputs=_inflection,
    ends_with_verb=True,
)
"""Verb inflection (Linzen et al. 2016, section 5): the verb is known, its number is predicted."""

GRAMMATICALITY = Task(
    name="grammaticality",
    reads="the whole sentence",
    predicts="judgment",
    answers=("grammatical", "ungrammatical"),
    words=("grammatical", "ungrammatical"),
    needs="both forms of their verb (verb and verb_alt)",
    make_inputs=_grammaticality,
)
"""Grammaticality judgment (Linzen et al. 2016, section 5): half of the verbs are flipped."""

NOUNS = Task(
    name="nouns",
    reads="the common nouns before the verb",
    predicts="number",
    answers=LABELS,
    words=NUMBER_WORDS,
    needs="tags and a noun",
    make_inputs=_nouns,
)
"""Number prediction from the common nouns alone, the noun-only baseline (ibid., section 4)."""

TASKS: Mapping[str, Task] = MappingProxyType(
    {task.name: task for task in (NUMBER, INFLECTION, GRAMMATICALITY, NOUNS)}
)
"""The tasks by name."""
