"""Agreement items: their schema, their checks and keys, and what a source of them is."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypedDict

import datasets
import pandas as pd
import pyarrow as pa

from memgate.data.items.numbers import LABELS, SUBJECT_NUMBER, VERB_NUMBER, Label
from memgate.data.items.roles import roles
from memgate.errors import InputError

Split = Literal["train", "validation", "test"]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")

FEATURES = datasets.Features(
    {
        "id": datasets.Value("string"),
        "text": datasets.Value("string"),
        "verb_idx": datasets.Value("int32"),
        "subj_idx": datasets.Value("int32"),
        "label": datasets.ClassLabel(names=list(LABELS)),
        "tags": datasets.Value("string"),
        "n_attractors": datasets.Value("int32"),
        "verb": datasets.Value("string"),
        "verb_alt": datasets.Value("string"),
        "condition": datasets.Value("string"),
        "good": datasets.Value("string"),
        "bad": datasets.Value("string"),
    }
)
"""The columns of every agreement table in memgate; unknown is null.

`text` and `tags` hold one token, one PTB tag, between single spaces; `verb_idx` counts from 0 and
is the length of the prefix. Where only the prefix is known, `text` is the prefix.
"""


class Item(TypedDict):
    """One row of a table with `FEATURES`."""

    id: str | None
    text: str
    verb_idx: int
    subj_idx: int | None
    label: Label
    tags: str | None
    n_attractors: int | None
    verb: str | None
    verb_alt: str | None
    condition: str | None
    good: str | None
    bad: str | None


class Source(Protocol):
    """Where agreement items come from; the `class_path` of a data configuration names one."""

    def load(self) -> datasets.DatasetDict:
        """Return the splits ``train``, ``validation`` and ``test``, each with `FEATURES`.

        Raises:
            InputError: The items are missing, empty or damaged.
        """
        ...


def parse_item(row: Mapping[str, Any]) -> Item:
    """Check one row of agreement JSONL and bring it into the form of `FEATURES`.

    `n_attractors` is counted where a row has tags and the index of the subject; what the row itself
    says must agree. Fields that are not in `FEATURES` are ignored, except ``prefix``.

    Raises:
        InputError: What was expected and what came; the caller adds file and line.
    """
    label = row.get("label")
    if label not in LABELS:
        raise InputError(f"label: expected 'sg' or 'pl', got {label!r}")
    tokens, verb_idx = _tokens_and_verb(row)
    subj_idx = None
    if row.get("subj_idx") is not None:
        subj_idx = _index(row, "subj_idx", below=verb_idx)
    tags = _tags(row, tokens)
    if tags is not None:
        _check_tags(tags, subj_idx, verb_idx, label)
    n_attractors = None
    if row.get("n_attractors") is not None:
        n_attractors = _index(row, "n_attractors", below=verb_idx)
    if tags is not None and subj_idx is not None:
        counted = roles(tags, subj_idx, verb_idx, label).count("attractor")
        if n_attractors not in (None, counted):
            raise InputError(
                f"n_attractors: expected {counted}, as in the tags, got {n_attractors}"
            )
        n_attractors = counted
    return Item(
        id=_text(row, "id"),
        text=" ".join(tokens),
        verb_idx=verb_idx,
        subj_idx=subj_idx,
        label=label,
        tags=None if tags is None else " ".join(tags),
        n_attractors=n_attractors,
        verb=_text(row, "verb"),
        verb_alt=_text(row, "verb_alt"),
        condition=_text(row, "condition"),
        good=_text(row, "good"),
        bad=_text(row, "bad"),
    )


def _tokens_and_verb(row: Mapping[str, Any]) -> tuple[list[str], int]:
    """Return the tokens of a row, and how many of them are the prefix."""
    if row.get("text") is not None and row.get("verb_idx") is not None:
        tokens = _tokens(row, "text")
        verb_idx = _index(row, "verb_idx", below=len(tokens) + 1)
    elif row.get("prefix") is None:
        raise InputError("expected 'text' with 'verb_idx', or 'prefix'; got neither")
    else:
        tokens = _tokens(row, "prefix")
        verb_idx = len(tokens)
        if row.get("verb_idx") not in (None, verb_idx):
            raise InputError(
                f"verb_idx: expected {verb_idx}, the words of 'prefix', got {row['verb_idx']!r}"
            )
    if verb_idx == 0:
        raise InputError("verb_idx: expected at least one word before the verb, got 0")
    return tokens, verb_idx


def _tokens(row: Mapping[str, Any], field: str) -> list[str]:
    text = row[field]
    if not isinstance(text, str):
        raise InputError(f"{field}: expected a string, got {text!r}")
    tokens = text.split()
    if " ".join(tokens) != text or not tokens:
        got = "other white space (two spaces, one at an end, a tab, …)"
        if not tokens:
            got = "an empty string"
        raise InputError(f"{field}: expected tokens joined by one space, got {got}")
    return tokens


def _index(row: Mapping[str, Any], field: str, below: int) -> int:
    value = row[field]
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas writes 3.0 for 3 in a column with nulls
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < below:
        raise InputError(f"{field}: expected an integer from 0 to {below - 1}, got {value!r}")
    return value


def _text(row: Mapping[str, Any], field: str) -> str | None:
    value = row.get(field)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{field}: expected a string or null, got {value!r}")
    return value


def _tags(row: Mapping[str, Any], tokens: Sequence[str]) -> list[str] | None:
    tags = row.get("tags")
    if tags is None:
        return None
    tags = tags.split(" ") if isinstance(tags, str) else tags
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InputError(f"tags: expected a string or a list of strings, got {tags!r}")
    if len(tags) != len(tokens):
        raise InputError(f"tags: expected {len(tokens)}, one a token, got {len(tags)}")
    if " ".join(tags).split() != tags:
        raise InputError(f"tags: expected none empty, none with white space, got {tags!r}")
    return tags


def _check_tags(tags: Sequence[str], subj_idx: int | None, verb_idx: int, label: Label) -> None:
    verb = VERB_NUMBER.get(tags[verb_idx]) if verb_idx < len(tags) else None
    if verb not in (None, label):
        raise InputError(f"label: {label!r} contradicts the verb's tag {tags[verb_idx]!r}")
    subject = SUBJECT_NUMBER.get(tags[subj_idx]) if subj_idx is not None else None
    if subject not in (None, label):
        raise InputError(f"label: {label!r} contradicts the subject's tag {tags[subj_idx or 0]!r}")


def item_keys(table: pa.Table) -> pd.Series[str]:
    """Return a key for each item that is the same in every file and table.

    Args:
        table: N items with the columns of `FEATURES`.

    Returns:
        N different keys: 16 hexadecimal digits of a hash of the sentence and the verb's index. A
        repeated item has ``-2`` after its key the second time, and so on.

    >>> table = pa.table({"text": ["a b", "a b", "a c"], "verb_idx": [1, 1, 1]})
    >>> first, second, other = item_keys(table)
    >>> second == first + "-2", len(first), other == first
    (True, 16, False)
    """
    counts: Counter[str] = Counter()
    keys = []
    pairs = zip(table["text"].to_pylist(), table["verb_idx"].to_pylist(), strict=True)
    for text, verb_idx in pairs:
        key = hashlib.blake2b(f"{verb_idx} {text}".encode(), digest_size=8).hexdigest()
        counts[key] += 1
        keys.append(key if counts[key] == 1 else f"{key}-{counts[key]}")
    return pd.Series(keys, dtype="string")


def repeat_notes(name: str, keys: pd.Series[str]) -> list[str]:
    """Return a line if items repeat earlier ones: intervals take each for independent of the rest.

    >>> repeat_notes("a.jsonl", pd.Series(["6f", "6f-2", "aa"]))
    ['a.jsonl: 1 of 3 items repeats an earlier one, so the intervals are too narrow']
    """
    repeated = int(keys.str.contains("-", regex=False).sum())
    if not repeated:
        return []
    verb = "repeats" if repeated == 1 else "repeat"
    return [
        f"{name}: {repeated} of {len(keys)} items {verb} an earlier one, so the intervals are too "
        "narrow"
    ]
