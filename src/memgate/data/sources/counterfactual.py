"""Source: another source's items, and in training copies with nouns in the other number."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import datasets
import lemminflect
import pyarrow as pa

from memgate.data.items.numbers import LABELS, NOUN_NUMBER
from memgate.data.items.schema import FEATURES, Source

NOUNS = ("NN", "NNS")
"""PTB tags of common nouns, singular and plural: as the labels they belong to."""

SINGULAR_ONLY = frozenset(
    ("a", "an", "this", "that", "each", "every", "another", "one", "either", "neither", "no")
)

PLURAL_ONLY = frozenset(
    ("these", "those", "many", "few", "several", "both", "all", "some", "most", "various")
)
"""Determiners that would clash with the other number."""

DETERMINER_WINDOW = 3
"""Words before a noun among which its determiner is looked for."""

PRESENT = ("VBZ", "VBP")


class Counterfactual:
    """Adds to the training items of a source copies in which nouns have the other number.

    In real text only one item in ten has an attractor. An item with common nouns between subject
    and verb gets up to three copies: one in which all these nouns are attractors ("the key to the
    cabinets" for "the key to the cabinet"); one in which the subject has the other number, and the
    label with it ("the keys to the cabinet"); and that one with its other nouns as attractors too.
    Nothing else changes. This is counterfactual augmentation (Kaushik, Hovy & Lipton 2020,
    "Learning the difference that makes a difference with counterfactually-augmented data"; for
    grammatical features Zmigrod et al. 2019), by rule.

    A noun stays as it is if a determiner within the three words before it would clash ("a
    cabinets"), if it modifies the noun that follows it, or if lemminflect has no other form of it.
    An item has no copies if a verb in the present tense stands between subject and verb, as that
    may agree with a noun, or if the subject or the tags are not known.

    Args:
        source: The source; its validation and test items stay as they are.
    """

    def __init__(self, source: Source) -> None:
        self.source = source

    def load(self) -> datasets.DatasetDict:
        """Return the splits ``train``, ``validation`` and ``test``.

        Raises:
            InputError: As the source.
        """
        splits = self.source.load()
        columns = ["text", "tags", "subj_idx", "verb_idx", "label", "id"]
        rows = splits["train"].with_format("arrow")[:].select(columns).to_pylist()
        copies = [copy for row in rows for copy in counterfactuals(row)]
        nothing = dict.fromkeys(FEATURES)
        table = pa.Table.from_pylist(
            [{**nothing, **copy} for copy in copies], schema=FEATURES.arrow_schema
        )
        train = [splits["train"], datasets.Dataset(table)] if copies else [splits["train"]]
        return datasets.DatasetDict({**splits, "train": datasets.concatenate_datasets(train)})


def counterfactuals(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the copies of an item; they end before the verb.

    Args:
        item: ``text``, ``tags``, ``subj_idx``, ``verb_idx``, ``label`` (0 or 1) and ``id``.

    >>> item = {"text": "the key to the cabinets is here", "tags": "DT NN TO DT NNS VBZ RB"}
    >>> item |= {"subj_idx": 1, "verb_idx": 5, "label": 0, "id": "1"}
    >>> [copy["text"] for copy in counterfactuals(item)]
    ['the keys to the cabinets', 'the keys to the cabinet']
    """
    subject, verb = item["subj_idx"], item["verb_idx"]
    if subject is None or item["tags"] is None:
        return
    words, tags = item["text"].split(" ")[:verb], item["tags"].split(" ")[:verb]
    between = range(subject + 1, verb)
    nouns = [index for index in between if tags[index] in NOUNS]
    if not nouns or tags[subject] != NOUNS[item["label"]] or {*tags[subject + 1 :]} & {*PRESENT}:
        return
    for label in (item["label"], 1 - item["label"]):
        copy = words, tags
        if label != item["label"]:
            copy = _flipped(words, tags, [subject], 0)
            if copy == (words, tags):
                return
            yield _item(item, *copy, label, "subject")
        same = [index for index in nouns if tags[index] == NOUNS[label]]
        with_attractors = _flipped(*copy, same, subject + 1)
        if with_attractors != copy:
            yield _item(item, *with_attractors, label, "nouns" if copy == (words, tags) else "both")


def _item(
    item: dict[str, Any], words: Sequence[str], tags: Sequence[str], label: int, changed: str
) -> dict[str, Any]:
    subject, verb = item["subj_idx"], item["verb_idx"]
    numbers = [NOUN_NUMBER.get(tag) for tag in tags[subject + 1 :]]
    other = LABELS[1 - label]
    return {
        "text": " ".join(words),
        "tags": " ".join(tags),
        "subj_idx": subject,
        "verb_idx": verb,
        "label": label,
        "n_attractors": numbers.count(other),
        "id": f"{item['id']}/{changed}",
    }


def _flipped(
    words: Sequence[str], tags: Sequence[str], indices: Sequence[int], first: int
) -> tuple[list[str], list[str]]:
    """Return words and tags with nouns in the other number, where that fits their determiners."""
    new_words, new_tags = [*words], [*tags]
    for index in indices:
        modifies = index + 1 < len(tags) and tags[index + 1] in NOUNS
        start = max(first, index - DETERMINER_WINDOW)
        before = {word.lower() for word in words[start:index]}
        to_plural = tags[index] == NOUNS[0]
        clashes = before & SINGULAR_ONLY if to_plural else before & PLURAL_ONLY
        counted = not to_plural and "CD" in tags[start:index]
        form = _other_number(words[index].lower(), tags[index])
        if not (modifies or clashes or counted) and form is not None:
            new_words[index], new_tags[index] = form, NOUNS[to_plural]
    return new_words, new_tags


@functools.cache
def _other_number(noun: str, tag: str) -> str | None:
    """Return the noun in the other number, None if it has no other form.

    >>> _other_number("cabinet", "NN"), _other_number("mice", "NNS"), _other_number("sheep", "NN")
    ('cabinets', 'mouse', None)
    """
    forms: tuple[str, ...] = (
        lemminflect.getInflection(noun, "NNS")
        if tag == "NN"
        else lemminflect.getLemma(noun, "NOUN")
    )
    return forms[0] if forms and forms[0] != noun else None
