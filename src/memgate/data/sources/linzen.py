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
from memgate.data.items.schema import FEATURES, SPLITS, Item, item
from memgate.data.splits import cut
from memgate.errors import InputError

ELSEWHERE = (
    "see https://github.com/TalLinzen/rnn_agreement for where the authors keep it now, or name a "
    "local copy"
)

COLUMNS = (
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
    **The simple files**, ``numpred.*``: the verb's tag, a tab, the prefix; nothing is known of the
    subject. In ``numpred.test.k`` every item has k attractors and no other intervening noun. In
    both, words outside the 10,000 commonest are their PTB tag in capitals, and the rest is lower
    case.

    **Shares.** Where `validation` or `test` is a number, that share of the items in the files of
    `train` goes there: an item's place in [0, 1) is a hash of the seed and of its text (the
    sentence, or the prefix where only that is known), and from the bottom come training, validation
    and test. So equal texts stay together, and neither the order of the files nor further files
    move an item. The defaults are the authors' sizes: 90% test, 1% validation, 9% training (their
    rnn_model.py shuffles and trains on a tenth, of which Keras holds out a tenth).

    Args:
        train: Files, gzipped or not: paths or globs (``$NAME`` and ``~`` are replaced) or URLs.
        validation: Files of the validation split, or its share of the files of `train`.
        test: Files of the test split, or its share.
        masked: Whether rare words of the full TSV are read as their tag, or else as they were
            (``orig_sentence``, lower case). The simple files are masked.
        seed: Seed of the shares.

    Raises:
        InputError: A share is out of its range.
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
        self.shares: dict[str, float] = {}
        for name, given in (("validation", validation), ("test", test)):
            if not isinstance(given, int | float):
                self.files[name] = given
            elif 0 < given < 1:
                self.shares[name] = given
            else:
                raise InputError(f"{name}: expected files, or a share between 0 and 1; got {given}")
        if sum(self.shares.values()) >= 1:
            raise InputError(f"validation + test: expected shares below 1, got {self.shares}")
        self.masked = masked
        self.seed = seed

    def load(self) -> datasets.DatasetDict:
        """Return the splits ``train``, ``validation`` and ``test``, each with `FEATURES`.

        Raises:
            InputError: A file is missing, empty or can't be fetched; a row is malformed, or its
                label contradicts the verb's tag, with file and line; or a share is empty.
        """
        splits = {name: read(patterns, self.masked) for name, patterns in self.files.items()}
        if self.shares:
            shares = {"train": 1 - sum(self.shares.values()), **self.shares}
            splits |= cut(splits["train"], shares, self.seed)
        return datasets.DatasetDict({name: splits[name] for name in SPLITS})


def read(patterns: Iterable[str], masked: bool = True) -> datasets.Dataset:
    """Read files of either form into one table with `FEATURES`.

    Args:
        patterns: Paths, globs or URLs.
        masked: Whether rare words of the full TSV are read as their tag.

    Raises:
        InputError: A file is missing, empty or can't be fetched, or a row is malformed.
    """
    if isinstance(patterns, str):
        raise InputError(f"expected a list of files, got one string: {patterns!r}")
    found = files.paths(patterns, "Linzen et al.'s items")
    if not found:
        raise InputError("expected files of Linzen et al.'s items, got none")
    return datasets.concatenate_datasets([_read_one(path, masked) for path in found])


def _read_one(path: str, masked: bool) -> datasets.Dataset:
    try:
        lines = files.lines(path)
        options: dict[str, Any] = {
            "path": path,
            "rules": files.digest(dependencies, schema, numbers, sys.modules[__name__]),
        }
        check: Any = _simple_rows
        first = lines[0]["text"].split("\t")
        if "verb_pos" in first:
            check = _full_rows
            options |= {"header": _header(first, path), "masked": masked}
        items = lines.map(
            check,
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


def _header(header: list[str], path: str) -> list[str]:
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise InputError(f"{path}, line 1: expected also the columns {', '.join(missing)}")
    return header


def _simple_rows(
    batch: Mapping[str, list[str]],
    places: Sequence[int],
    path: str,
    rules: str,  # noqa: ARG001  part of the cache's key
) -> dict[str, list[Any]]:
    attractors = re.search(r"numpred\.test\.(\d+)", _name(path))
    known = {"n_attractors": int(attractors[1])} if attractors else {}
    rows = []
    for line, place in zip(batch["text"], places, strict=True):
        if not line.strip():
            continue
        try:
            label, prefix = _simple(line)
            rows.append(item({**known, "id": _id(path, place), "prefix": prefix, "label": label}))
        except InputError as error:
            raise InputError(f"{path}, line {place + 1}: {error}") from error
    return _columns(rows)


def _simple(line: str) -> tuple[str, str]:
    """Return label and prefix. No CSV reader: that would take a word such as "null" for nothing."""
    tag, tab, prefix = line.partition("\t")
    if tag not in VERB_NUMBER or not tab:
        raise InputError(
            f"expected VBZ or VBP, a tab and a prefix (or the full TSV, with its header), "
            f"got {line[:40]!r}"
        )
    return VERB_NUMBER[tag], prefix


def _full_rows(
    batch: Mapping[str, list[str]],
    places: Sequence[int],
    path: str,
    rules: str,  # noqa: ARG001  part of the cache's key
    header: Sequence[str],
    masked: bool,
) -> dict[str, list[Any]]:
    rows = []
    for line, place in zip(batch["text"], places, strict=True):
        if place == 0 or not line.strip():
            continue
        try:
            row = _full(_fields(line, header), masked)
        except InputError as error:
            raise InputError(f"{path}, line {place + 1}: {error}") from error
        if row["text"].count(" ") < MAX_WORDS:
            rows.append({**row, "id": _id(path, place)})
    return _columns(rows)


def _fields(line: str, header: Sequence[str]) -> dict[str, str]:
    """Split a line as the authors' csv module wrote it: a field that has a " stands in quotes."""
    try:
        (values,) = csv.reader([line], delimiter="\t", strict=True)
    except csv.Error as error:
        raise InputError(f"expected {len(header)} columns between tabs, got: {error}") from error
    if len(values) != len(header):
        raise InputError(f"expected {len(header)} columns between tabs, got {len(values)}")
    return dict(zip(header, values, strict=True))


def _full(row: Mapping[str, str], masked: bool) -> Item:
    """Make an item of a row whose columns agree with each other; its indices count from 1."""
    label = VERB_NUMBER.get(row["verb_pos"])
    if label is None:
        raise InputError(f"verb_pos: expected VBZ or VBP, got {row['verb_pos']!r}")
    tags = row["pos_sentence"].split(" ")
    subj_idx = _place(row, "subj_index", "subj_pos", tags)
    verb_idx = _place(row, "verb_index", "verb_pos", tags)
    if subj_idx >= verb_idx:
        raise InputError(f"subj_index: expected below verb_index, got {subj_idx + 1}")
    # Their Python 2 split at ASCII spaces only: a token may hold others, such as U+00A0 in "10 km".
    text = re.sub(r"[^\S ]", "_", row["sentence" if masked else "orig_sentence"])
    known = {"tags": tags, "subj_idx": subj_idx, "verb_idx": verb_idx, "verb": row["verb"]}
    forms = inflections(row["verb"].lower(), row["verb_pos"])
    if forms is not None:  # the file has no form of the other number
        known["verb_alt"] = forms[0]
    made = item({**known, "text": text, "label": label})
    if str(made["n_attractors"]) != row["n_diff_intervening"]:
        raise InputError(
            f"n_diff_intervening: expected {made['n_attractors']}, as in pos_sentence, "
            f"got {row['n_diff_intervening']!r}"
        )
    return made


def _place(row: Mapping[str, str], index: str, tag: str, tags: Sequence[str]) -> int:
    """Return an index from 0 on, after a look at the tag that should be there."""
    if not row[index].isdecimal() or not 1 <= int(row[index]) <= len(tags):
        raise InputError(f"{index}: expected 1 to {len(tags)}, got {row[index]!r}")
    place = int(row[index]) - 1
    if tags[place] != row[tag]:
        raise InputError(
            f"{index}: expected the place of a {row[tag]} in pos_sentence, from 1; "
            f"got {row[index]}, a {tags[place]}"
        )
    return place


def _name(path: str) -> str:
    return Path(urlsplit(path).path).name if files.is_url(path) else Path(path).name


def _id(path: str, place: int) -> str:
    stem = re.sub(r"(\.tsv)?(\.gz)?$", "", _name(path))
    return f"{stem}:{place + 1}"


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in FEATURES}
