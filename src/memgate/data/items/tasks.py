"""Tasks: what is read of an agreement item, and what is asked. Imports no `datasets`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from memgate.data.items.numbers import LABELS, NOUN_NUMBER
from memgate.data.vocabulary import Index, Words, prefix_words

TaskName = Literal["number", "inflection", "grammaticality", "nouns"]

OTHER_TAG: Mapping[str, str] = MappingProxyType({"VBZ": "VBP", "VBP": "VBZ"})
"""The tag of a verb in the other number; also the symbol of a masked verb in Linzen's files."""


class TaskInputs(NamedTuple):
    """Items that a task was posed on: N of them.

    Attributes:
        rows: Their places in the table, rising; the others lack what the task needs.
        texts: What is read: the first `lengths` tokens of each, joined by one space.
        tags: PTB tags of the texts in the same form, null where unknown.
        lengths: Tokens that are read, at least 1.
        targets: The right answer, 0 or 1.
        aligned: Whether word t of a text is in the place of word t of its item.
    """

    rows: Index
    texts: pa.Array
    tags: pa.Array
    lengths: Index
    targets: Index
    aligned: bool = True

    def words(self) -> Words:
        """Split what is read into words."""
        return prefix_words(self.texts, self.tags, self.lengths)


@dataclass(frozen=True)
class Task:
    """What a classifier reads, and what it is asked.

    Attributes:
        name: Its name in configurations.
        reads: What is read, in words.
        asks: What is asked, in a word: names the answer of a served model.
        answers: What the targets 0 and 1 mean, as files write it.
        words: The same in full.
        needs: What an item must have for it, in words.
        pose: From N agreement items (a table with the columns of
        `memgate.data.items.schema.FEATURES`)
            and the seed of what is drawn to what is read and asked.
    """

    name: TaskName
    reads: str
    asks: str
    answers: tuple[str, str]
    words: tuple[str, str]
    needs: str
    make_inputs: Callable[[pa.Table, int], TaskInputs]


class _Row(NamedTuple):
    """An item, as far as tasks need it; `forms` are the verb and its form of the other number.

    They are None unless both are known and differ: else some verbs would come with one label only.
    Of 4,899 items in Linzen et al.'s files 11 have a word such as "lie" as both.
    """

    words: list[str]
    tags: list[str] | None
    verb_idx: int
    label: str
    forms: tuple[str, str] | None


def _rows(table: pa.Table) -> Iterator[_Row]:
    names = ("text", "tags", "verb_idx", "label", "verb", "good", "verb_alt", "bad")
    columns = (table[name].to_pylist() for name in names)
    for text, tags, verb_idx, label, verb, good, alternative, bad in zip(*columns, strict=True):
        forms = verb or good, alternative or bad
        yield _Row(
            text.split(" "),
            None if tags is None else tags.split(" "),
            verb_idx,
            LABELS[label],
            forms if all(map(_is_token, forms)) and forms[0].lower() != forms[1].lower() else None,
        )


def _is_token(form: str | None) -> bool:
    return form is not None and len(form.split()) == 1


def _number(table: pa.Table, seed: int) -> TaskInputs:  # noqa: ARG001  nothing is drawn
    return TaskInputs(
        np.arange(len(table)),
        table["text"].combine_chunks(),
        table["tags"].combine_chunks(),
        _integers(table["verb_idx"]),
        _integers(table["label"]),
    )


def _inflection(table: pa.Table, seed: int) -> TaskInputs:  # noqa: ARG001
    """Append the verb's singular form, always in lower case and tagged VBZ, whatever is asked."""
    made = []
    for place, row in enumerate(_rows(table)):
        if row.forms is not None:
            target = LABELS.index(row.label)
            words = [*row.words[: row.verb_idx], row.forms[target].lower()]
            tags = None if row.tags is None else [*row.tags[: row.verb_idx], "VBZ"]
            made.append(_Made.of(place, words, tags, target))
    return _task_inputs(made)


def _grammaticality(table: pa.Table, seed: int) -> TaskInputs:
    """Flip the verb of half of the sentences: which ones depends on seed and sentence alone."""
    made = []
    for place, row in enumerate(_rows(table)):
        if row.forms is None:
            continue
        verb, other = row.forms
        words = row.words if row.verb_idx < len(row.words) else [*row.words, verb]
        tags = row.tags
        if tags is not None and len(tags) < len(words):
            tags = [*tags, "VBZ" if row.label == "sg" else "VBP"]
        flipped = _sampled(" ".join(words), row.verb_idx, seed)
        if flipped:
            words, tags = _flip(words, tags, row.verb_idx, other)
        made.append(_Made.of(place, words, tags, int(flipped)))
    return _task_inputs(made)


def _sampled(sentence: str, verb_idx: int, seed: int) -> bool:
    digest = hashlib.blake2b(f"{seed} {verb_idx} {sentence}".encode(), digest_size=1).digest()
    return bool(digest[0] & 1)


def _flip(
    words: list[str], tags: list[str] | None, place: int, other: str
) -> tuple[list[str], list[str] | None]:
    """Put a verb into the other number: the form (in the same case), and its tag."""
    verb = words[place]
    if verb in OTHER_TAG:
        other = OTHER_TAG[verb]
    elif verb[:1].isupper():
        other = other.upper() if verb.isupper() and len(verb) > 1 else other.capitalize()
    words = [*words[:place], other, *words[place + 1 :]]
    if tags is not None:
        tags = [*tags[:place], OTHER_TAG.get(tags[place], tags[place]), *tags[place + 1 :]]
    return words, tags


def _nouns(table: pa.Table, seed: int) -> TaskInputs:  # noqa: ARG001
    made = []
    for place, row in enumerate(_rows(table)):
        if row.tags is None:
            continue
        before = zip(row.words[: row.verb_idx], row.tags, strict=False)
        nouns = [(word, tag) for word, tag in before if tag in NOUN_NUMBER]
        if nouns:
            words, tags = (list(part) for part in zip(*nouns, strict=True))
            made.append(_Made.of(place, words, tags, LABELS.index(row.label)))
    return _task_inputs(made)._replace(aligned=False)


class _Made(NamedTuple):
    """One posed item; its words joined, for 200,000 lists of them would take 0.8 GB."""

    place: int
    text: str
    tags: str | None
    length: int
    target: int

    @classmethod
    def of(cls, place: int, words: Sequence[str], tags: Sequence[str] | None, target: int) -> _Made:
        symbols = None if tags is None else " ".join(tags)
        return cls(place, " ".join(words), symbols, len(words), target)


def _task_inputs(made: Sequence[_Made]) -> TaskInputs:
    places, texts, tags, lengths, targets = zip(*made, strict=True) if made else ((),) * 5
    return TaskInputs(
        np.array(places, dtype=np.int64),
        pa.array(texts, pa.string()),
        pa.array(tags, pa.string()),
        np.array(lengths, dtype=np.int64),
        np.array(targets, dtype=np.int64),
    )


def _integers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    numbers: npt.NDArray[np.int64] = column.to_numpy().astype(np.int64)
    return numbers


WORDS = ("singular", "plural")

NUMBER = Task(
    name="number",
    reads="the words before the verb",
    asks="number",
    answers=LABELS,
    words=WORDS,
    needs="a prefix",
    make_inputs=_number,
)
"""Number prediction (Linzen et al. 2016, section 3)."""

INFLECTION = Task(
    name="inflection",
    reads="the words before the verb and the verb's singular form",
    asks="number",
    answers=LABELS,
    words=WORDS,
    needs="both forms of their verb",
    make_inputs=_inflection,
)
"""Verb inflection (Linzen et al. 2016, section 5): the verb is known, and its number is asked."""

GRAMMATICALITY = Task(
    name="grammaticality",
    reads="the whole sentence",
    asks="judgment",
    answers=("grammatical", "ungrammatical"),
    words=("grammatical", "ungrammatical"),
    needs="both forms of their verb",
    make_inputs=_grammaticality,
)
"""Grammaticality judgment (Linzen et al. 2016, section 5): half of the verbs are flipped."""

NOUNS = Task(
    name="nouns",
    reads="the common nouns before the verb",
    asks="number",
    answers=LABELS,
    words=WORDS,
    needs="tags and a noun",
    make_inputs=_nouns,
)
"""Number prediction from the common nouns alone, the noun-only baseline (ibid., section 4)."""

TASKS: Mapping[str, Task] = MappingProxyType(
    {task.name: task for task in (NUMBER, INFLECTION, GRAMMATICALITY, NOUNS)}
)
"""The tasks by name."""
