"""Targeted suites: constructed and selected items, read with their conditions."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import datasets

from memgate.data import files
from memgate.data.items.schema import FEATURES, Item, parse_item
from memgate.data.sources import linzen
from memgate.errors import InputError
from memgate.evaluation.suites.blimp import REPOSITORY, minimal_pairs

SUITE_FEATURES = datasets.Features({**FEATURES, "prefix_bad": datasets.Value("string")})
"""The columns of a suite: an agreement item, its `condition` never null, and `prefix_bad`: a prefix
to which the label does not apply, where the item compares two prefixes, else null."""

VERB_BEFORE = " [verb before]"
"""Marks conditions in which an earlier verb shows the number, so that no subject is needed."""

NOUN_BEFORE = " [noun before]"
"""Marks those whose distractor stands before the subject, which itself is next to the verb."""

SuiteRow = Mapping[str, Any]


def load(name: str, folder: str = "$MEMGATE_DATA") -> datasets.Dataset:
    """Return the items of a suite, with `SUITE_FEATURES`, condition by condition.

    ``blimp`` (Warstadt et al. 2020): a condition a paradigm; from the Hub (nyu-mll/blimp) where the
    folder has none of it. ``marvin_linzen`` (Marvin & Linzen 2018): a condition a construction, an
    item a distinct prefix. ``colorless_green`` (Gulordava et al. 2018): two patterns, original and
    nonce apart. ``lakretz`` (Lakretz et al. 2019): a condition a construction and the numbers of
    its nouns, the subject first, as in ``nounpp SP``. ``linzen`` (Linzen et al. 2016): a condition
    a file.

    Args:
        name: One of `SUITES`.
        folder: Has the folders ``eval`` and ``linzen``; ``$NAME`` and ``~`` are replaced.

    Raises:
        InputError: The suite is unknown, a file is missing or damaged (with file and line), or the
            Hub can't be reached.
    """
    if name not in SUITES:
        raise InputError(f"suite: expected one of {', '.join(SUITES)}, got {name!r}")
    return datasets.concatenate_datasets(list(SUITES[name](folder)))


def _blimp(folder: str) -> Iterable[datasets.Dataset]:
    pattern = f"{folder}/eval/blimp_*.jsonl.gz"
    if glob.glob(str(Path(os.path.expandvars(pattern)).expanduser())):  # noqa: PTH207  may be "/a"
        yield from _jsonl(folder, "eval/blimp_*.jsonl.gz", lambda row: _field(row, "condition"))
        return
    try:
        pairs = minimal_pairs(REPOSITORY)
    except InputError as error:
        raise InputError(f"{pattern}: found none; {error}") from error
    yield _table([_suite_item(pair) for pair in pairs])


def _marvin_linzen(folder: str) -> Iterable[datasets.Dataset]:
    def condition(row: SuiteRow) -> str:
        construction = _field(row, "condition")
        if construction in ("vp_coord", "long_vp_coord"):
            return construction + VERB_BEFORE
        before = construction == "sent_comp" or "_within_" in construction
        return construction + (NOUN_BEFORE if before else "")

    return _jsonl(folder, "eval/marvin_linzen.jsonl.gz", condition)


def _colorless_green(folder: str) -> Iterable[datasets.Dataset]:
    kinds = {"original": "original", "generated": "nonce"}

    def condition(row: SuiteRow) -> str:
        pattern, kind = _field(row, "condition"), _field(row, "type")
        if kind not in kinds:
            raise InputError(f"type: expected original or generated, got {kind!r}")
        coordinated = pattern == "R__VERB_NOUN_CCONJ_VERB"  # agrees with the verb coordinated to it
        return f"{pattern} {kinds[kind]}" + (VERB_BEFORE if coordinated else "")

    return _jsonl(folder, "eval/colorless_green_en.jsonl.gz", condition)


def _lakretz(folder: str) -> Iterable[datasets.Dataset]:
    numbers = {"singular": "S", "plural": "P"}

    def condition(row: SuiteRow) -> str:
        key = _field(row, "key")
        if not set(key.split("_")) <= set(numbers):
            raise InputError(f"key: expected singular and plural joined by _, got {key!r}")
        nouns = "".join(numbers[number] for number in key.split("_"))
        return f"{_field(row, 'condition')} {nouns}"

    for name in ("simple", "adv", "adv_adv", "adv_conjunction", "namepp", "nounpp"):
        yield from _jsonl(folder, f"eval/lakretz_{name}.jsonl.gz", condition)


def _linzen(folder: str) -> Iterable[datasets.Dataset]:
    for name in ("linzen_testset_attr0", "linzen_wiki_test"):
        yield from _jsonl(folder, f"linzen/{name}.jsonl.gz", _always(name))
    for k in range(1, 6):
        name = f"numpred.test.{k}"
        items = linzen.read([f"{folder}/linzen/{name}.tsv.gz"]).remove_columns("condition")
        items = items.add_column("condition", [name] * len(items))
        items = items.add_column("prefix_bad", [None] * len(items))
        yield items.select_columns(list(SUITE_FEATURES)).cast(SUITE_FEATURES)


def _always(name: str) -> Callable[[SuiteRow], str]:
    return lambda _: name


SUITES: Mapping[str, Callable[[str], Iterable[datasets.Dataset]]] = MappingProxyType(
    {
        "blimp": _blimp,
        "marvin_linzen": _marvin_linzen,
        "colorless_green": _colorless_green,
        "lakretz": _lakretz,
        "linzen": _linzen,
    }
)
"""Each suite by its name: from the folder above ``eval`` and ``linzen`` to tables."""


def _jsonl(
    folder: str, pattern: str, condition: Callable[[SuiteRow], str]
) -> Iterable[datasets.Dataset]:
    """Read JSON Lines, a table a file, and name each row's condition."""
    for path in files.paths([f"{folder}/{pattern}"], "a suite's items"):
        rows = []
        for number, line in enumerate(files.lines(path)["text"], 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise InputError(f"expected a JSON object, got {line[:40]!r}")
                rows.append(_suite_item({**row, "condition": condition(row)}))
            except json.JSONDecodeError as error:
                problem = f"expected JSON, got {line[:40]!r} ({error})"
                raise InputError(f"{path}, line {number}: {problem}") from error
            except InputError as error:
                raise InputError(f"{path}, line {number}: {error}") from error
        if not rows:
            raise InputError(f"{path}: expected a suite's items, found none")
        yield _table(rows)


def _suite_item(row: SuiteRow) -> dict[str, Any]:
    """Check a row as an agreement item, and the fields that only suites have."""
    item: Item = parse_item(row)
    bad = row.get("prefix_bad")
    if bad is None and row.get("method") == "two_prefix":
        raise InputError("prefix_bad: expected a second prefix, as method is 'two_prefix'")
    if bad is not None and (not isinstance(bad, str) or not bad or bad.split() != bad.split(" ")):
        raise InputError(f"prefix_bad: expected tokens joined by one space, got {bad!r}")
    if item["good"] is None and row.get("verbs"):  # of several verbs the first stands for all
        item["good"], item["bad"] = _verbs(row["verbs"])
    return {**item, "prefix_bad": bad}


def _verbs(pairs: Any) -> tuple[str, str]:
    """Return the first of a row's pairs of verbs."""
    try:
        good, bad = pairs[0]
    except (TypeError, ValueError, KeyError, IndexError):
        good = bad = None
    if not isinstance(good, str) or not isinstance(bad, str):
        raise InputError(f"verbs: expected pairs of a good and a bad verb, got {pairs!r}")
    return good, bad


def _field(row: SuiteRow, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise InputError(f"{name}: expected a string, got {value!r}")
    return value


def _table(rows: list[dict[str, Any]]) -> datasets.Dataset:
    return datasets.Dataset.from_list(rows, features=SUITE_FEATURES)
