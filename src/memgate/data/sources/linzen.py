"""Source: the files of Linzen, Dupoux & Goldberg (2016), the full TSV and the simple files."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import datasets

from memgate.data import files
from memgate.data.items import dependencies, numbers, schema
from memgate.data.items.dependencies import inflections
from memgate.data.items.numbers import VERB_NUMBER
from memgate.data.items.schema import FEATURES, SPLITS, Item, parse_item
from memgate.data.splits import split_by_hash
from memgate.errors import InputError

ELSEWHERE = (
    "see https://github.com/TalLinzen/rnn_agreement for where the authors keep it now, or name a "
    "local copy"
)

TSV_COLUMNS = (
    *("sentence", "orig_sentence", "pos_sentence", "verb", "subj_pos", "verb_pos"),
    *("subj_index", "verb_index", "n_diff_intervening"),
)
"""What is read of the 18 columns of ``agr_50_mostcommon_10K.tsv``."""

MAX_WORDS = 50
"""Longer sentences of the full TSV are left out, as by the authors (`maxlen`, rnn_model.py)."""


class Linzen:
    """Agreement items of Linzen et al. (2016), from either form of their files.

    **The full TSV**, ``agr_50_mostcommon_10K.tsv`` (1.6 million sentences; the authors' repository
    TalLinzen/rnn_agreement links to it): sentence, tags, subject, verb and attractors of each item.
    **The simple files**, ``numpred.*``: the verb's tag, a tab, the prefix; the subject is unknown.
    In ``numpred.test.k`` every item has k attractors and no other intervening noun. In both,
    words outside the 10,000 most frequent ones are written as their PTB tag in capitals, and the
    rest is lower case.

    **Proportions.** Where `validation` or `test` is a number, that proportion of the items in the
    files of `train` goes there, by a hash of the text (see `memgate.data.splits`). The text is the
    sentence, or the prefix where only that is known. The defaults are the authors' sizes: 90% test,
    1% validation, 9% training (their rnn_model.py shuffles and trains on a tenth, of which Keras
    holds out a tenth).

    Args:
        train: Files, compressed or not: paths or globs (``$NAME`` and ``~`` are replaced) or URLs.
        validation: Files of the validation split, or its proportion of the files of `train`.
        test: Files of the test split, or its proportion.
        masked: Whether rare words of the full TSV are read as their tag, or else as they were
            (``orig_sentence``, lower case). The simple files are masked.
        seed: Seed of the split into proportions.

    Raises:
        InputError: A proportion is out of its range.
    """

    def __init__(
        self,
        train: Sequence[str],
        validation: float | Sequence[str] = 0.01,
        test: float | Sequence[str] = 0.9,
        masked: bool = True,
        seed: int = 0,
    ) -> None:
        self.files: dict[str, Sequence[str]] = {"train": train}
        self.proportions: dict[str, float] = {}
        for name, value in (("validation", validation), ("test", test)):
            if not isinstance(value, int | float):
                self.files[name] = value
            elif 0 < value < 1:
                self.proportions[name] = value
            else:
                raise InputError(
                    f"{name}: expected files, or a proportion between 0 and 1; got {value}"
                )
        if sum(self.proportions.values()) >= 1:
            raise InputError(
                f"validation + test: expected proportions below 1, got {self.proportions}"
            )
        self.masked = masked
        self.seed = seed

    def load(self) -> datasets.DatasetDict:
        """Return the splits ``train``, ``validation`` and ``test``, each with `FEATURES`.

        Raises:
            InputError: A file is missing, empty or can't be fetched; a row is malformed, or its
                label contradicts the verb's tag, with file and line; or a split is empty.
        """
        splits = {name: read(patterns, self.masked) for name, patterns in self.files.items()}
        if self.proportions:
            proportions = {"train": 1 - sum(self.proportions.values()), **self.proportions}
            splits |= split_by_hash(splits["train"], proportions, self.seed)
        return datasets.DatasetDict({name: splits[name] for name in SPLITS})


def read(patterns: Iterable[str], masked: bool = True) -> datasets.Dataset:
    """Read files of either form into one table with `FEATURES`.

    Args:
        patterns: Paths, globs or URLs.
        masked: Whether rare words of the full TSV are read as their tag.

    Raises:
        InputError: A file is missing, empty or can't be fetched, or a row is malformed.
    """
    paths = files.paths(patterns, "Linzen et al.'s items")
    if not paths:
        raise InputError("expected files of Linzen et al.'s items, got none")
    return datasets.concatenate_datasets([_read_file(path, masked) for path in paths])


def _read_file(path: str, masked: bool) -> datasets.Dataset:
    try:
        lines = files.lines(path)
        first = lines[0]["text"].split("\t")
        options: dict[str, Any] = {
            "path": path,
            "rules": files.digest(dependencies, schema, numbers, sys.modules[__name__]),
        }
        parse: Any = _parse_simple_batch
        if "verb_pos" in first:
            parse = _parse_full_batch
            options |= {"header": _check_header(first, path), "masked": masked}
        items = lines.map(
            parse,
            batched=True,
            with_indices=True,
            remove_columns=["text"],
            features=FEATURES,
            fn_kwargs=options,
        )
        if len(items) == 0:
            raise InputError(f"{path}: expected Linzen et al.'s items, found none")
    except InputError as error:
        raise InputError(f"{error}; {ELSEWHERE}" if files.is_url(path) else str(error)) from error
    return items


def _check_header(header: list[str], path: str) -> list[str]:
    missing = [column for column in TSV_COLUMNS if column not in header]
    if missing:
        raise InputError(f"{path}, line 1: expected also the columns {', '.join(missing)}")
    return header


def _parse_simple_batch(
    batch: Mapping[str, list[str]],
    indices: Sequence[int],
    path: str,
    rules: str,  # noqa: ARG001  part of the cache's key
) -> dict[str, list[Any]]:
    attractors = re.search(r"numpred\.test\.(\d+)", _name(path))
    of_file = {"n_attractors": int(attractors[1])} if attractors else {}
    items = []
    for line, index in zip(batch["text"], indices, strict=True):
        if not line.strip():
            continue
        try:
            label, prefix = _parse_simple(line)
            row = {**of_file, "id": _id(path, index), "prefix": prefix, "label": label}
            items.append(parse_item(row))
        except InputError as error:
            raise InputError(f"{path}, line {index + 1}: {error}") from error
    return _columns(items)


def _parse_simple(line: str) -> tuple[str, str]:
    """Return label and prefix. A CSV reader would take a word such as "null" for a missing one."""
    tag, tab, prefix = line.partition("\t")
    if tag not in VERB_NUMBER or not tab:
        raise InputError(
            f"expected VBZ or VBP, a tab and a prefix (or the full TSV, with its header), "
            f"got {line[:40]!r}"
        )
    return VERB_NUMBER[tag], prefix


def _parse_full_batch(
    batch: Mapping[str, list[str]],
    indices: Sequence[int],
    path: str,
    rules: str,  # noqa: ARG001  part of the cache's key
    header: Sequence[str],
    masked: bool,
) -> dict[str, list[Any]]:
    items = []
    for line, index in zip(batch["text"], indices, strict=True):
        if index == 0 or not line.strip():
            continue
        try:
            item = _parse_full(_fields(line, header), masked)
        except InputError as error:
            raise InputError(f"{path}, line {index + 1}: {error}") from error
        if item["text"].count(" ") < MAX_WORDS:
            items.append({**item, "id": _id(path, index)})
    return _columns(items)


def _fields(line: str, header: Sequence[str]) -> dict[str, str]:
    """Split a line as the authors' csv module wrote it: a field that has a " is in quotes."""
    try:
        (values,) = csv.reader([line], delimiter="\t", strict=True)
    except csv.Error as error:
        raise InputError(f"expected {len(header)} columns between tabs, got: {error}") from error
    if len(values) != len(header):
        raise InputError(f"expected {len(header)} columns between tabs, got {len(values)}")
    return dict(zip(header, values, strict=True))


def _parse_full(row: Mapping[str, str], masked: bool) -> Item:
    """Return the item of a row, whose columns must agree; its indices count from 1."""
    label = VERB_NUMBER.get(row["verb_pos"])
    if label is None:
        raise InputError(f"verb_pos: expected VBZ or VBP, got {row['verb_pos']!r}")
    tags = row["pos_sentence"].split(" ")
    subj_idx = _index(row, "subj_index", "subj_pos", tags)
    verb_idx = _index(row, "verb_index", "verb_pos", tags)
    if subj_idx >= verb_idx:
        raise InputError(f"subj_index: expected below verb_index, got {subj_idx + 1}")
    # Their Python 2 split at ASCII spaces only: a token may hold others, such as U+00A0 in "10 km".
    text = re.sub(r"[^\S ]", "_", row["sentence" if masked else "orig_sentence"])
    forms = inflections(row["verb"].lower(), row["verb_pos"])
    item = parse_item(
        {
            "text": text,
            "label": label,
            "tags": tags,
            "subj_idx": subj_idx,
            "verb_idx": verb_idx,
            "verb": row["verb"],
            "verb_alt": None if forms is None else forms[0],  # the file doesn't have it
        }
    )
    if str(item["n_attractors"]) != row["n_diff_intervening"]:
        raise InputError(
            f"n_diff_intervening: expected {item['n_attractors']}, as in pos_sentence, "
            f"got {row['n_diff_intervening']!r}"
        )
    return item


def _index(row: Mapping[str, str], column: str, tag_column: str, tags: Sequence[str]) -> int:
    """Return an index, counted from 0, after a check of the tag at that index."""
    value, tag = row[column], row[tag_column]
    if not value.isdecimal() or not 1 <= int(value) <= len(tags):
        raise InputError(f"{column}: expected 1 to {len(tags)}, got {value!r}")
    index = int(value) - 1
    if tags[index] != tag:
        raise InputError(
            f"{column}: expected the index of a {tag} in pos_sentence, from 1; "
            f"got {value}, a {tags[index]}"
        )
    return index


def _name(path: str) -> str:
    return Path(urlsplit(path).path).name if files.is_url(path) else Path(path).name


def _id(path: str, index: int) -> str:
    stem = re.sub(r"(\.tsv)?(\.gz)?$", "", _name(path))
    return f"{stem}:{index + 1}"


def _columns(items: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [item[name] for item in items] for name in FEATURES}
