"""BLiMP as published, in a local folder of the Hub's layout."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import datasets
import pytest

from memgate.errors import InputError
from memgate.evaluation.suites import loading
from memgate.evaluation.suites.blimp import ONE_PREFIX, TWO_PREFIX, minimal_pairs

DATA = os.environ.get("MEMGATE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")

Pairs = list[tuple[str, str]]

ONE: Pairs = [
    ("The cats that see the dog haven't left.", "The cats that see the dog hasn't left."),
    ("Tina wasn't smiling.", "Tina aren't smiling."),
    ("A dog looks like the cat.", "A dog look like the cat."),
]
TWO: Pairs = [("The women meet.", "The woman meet.")]


def repository(folder: Path, changed: dict[str, Pairs] | None = None) -> str:
    """Write a repository such as nyu-mll/blimp: a configuration and a Parquet file a paradigm."""
    card = ["---", "configs:"]
    pairs = {**dict.fromkeys(ONE_PREFIX, ONE), **dict.fromkeys(TWO_PREFIX, TWO)}
    for paradigm, sentences in {**pairs, **(changed or {})}.items():
        rows = [
            {"sentence_good": good, "sentence_bad": bad, "UID": paradigm, "pair_id": number}
            for number, (good, bad) in enumerate(sentences)
        ]
        (folder / paradigm).mkdir(parents=True)
        path = folder / paradigm / "train-00000-of-00001.parquet"
        datasets.Dataset.from_list(rows).to_parquet(path)
        card += [f"- config_name: {paradigm}", "  data_files:", "  - split: train"]
        card += [f"    path: {paradigm}/train-*"]
    (folder / "README.md").write_text("\n".join([*card, "---", ""]), encoding="utf-8")
    return str(folder)


def test_sentences_become_prefixes(tmp_path: Path) -> None:
    rows = minimal_pairs(repository(tmp_path / "blimp"))
    assert len(rows) == 4 * 3 + 2
    paradigm = ONE_PREFIX[0]
    known = {"condition": paradigm}
    assert rows[:3] == [
        {
            "id": f"blimp:{paradigm}:0",
            **known,
            "prefix": "The cats that see the dog",
            "label": "pl",
            "good": "haven't",
            "bad": "hasn't",
        },
        {
            "id": f"blimp:{paradigm}:1",
            **known,
            "prefix": "Tina",
            "label": "sg",
            "good": "wasn't",
            "bad": "aren't",
        },
        {
            "id": f"blimp:{paradigm}:2",
            **known,
            "prefix": "A dog",
            "label": "sg",
            "good": "looks",
            "bad": "look",
        },
    ]
    assert rows[-1] == {
        "id": f"blimp:{TWO_PREFIX[1]}:0",
        "condition": TWO_PREFIX[1],
        "prefix": "The women",
        "prefix_bad": "The woman",
        "label": "pl",
        "good": "meet",
    }


def refused(name: str) -> str:
    with pytest.raises(InputError) as error:
        minimal_pairs(name)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize(
    ("paradigm", "pair", "message"),
    [
        (ONE_PREFIX[0], ("A dog runs.", "A dog runs."), "expected sentences that differ in a word"),
        (
            ONE_PREFIX[0],
            ("A dog runs.", "A dog was."),
            "expected sentences that differ in the verb",
        ),
        (ONE_PREFIX[0], ("Runs it.", "Run it."), "expected sentences that differ in the verb"),
        (
            TWO_PREFIX[0],
            ("The men ran.", "The man runs."),
            "expected sentences that differ in the ",
        ),
        (TWO_PREFIX[0], ("The men.", "The man."), "expected sentences that differ in the word "),
    ],
)
def test_pairs_that_are_not_minimal(
    tmp_path: Path, paradigm: str, pair: tuple[str, str], message: str
) -> None:
    valid = ONE if paradigm in ONE_PREFIX else TWO
    name = repository(tmp_path / "blimp", {paradigm: [*valid, pair]})
    assert refused(name).startswith(f"{name} ({paradigm}), row {len(valid)}: {message}")


def test_another_folder_of_the_same_name_is_not_taken_from_the_cache(tmp_path: Path) -> None:
    first = minimal_pairs(repository(tmp_path / "first" / "blimp"))
    more = {TWO_PREFIX[1]: TWO * 2}
    second = minimal_pairs(repository(tmp_path / "second" / "blimp", more))
    assert (len(first), len(second)) == (14, 15)


def test_repositories_that_are_not_blimp(tmp_path: Path) -> None:
    name = repository(tmp_path / "other")
    path = tmp_path / "other" / ONE_PREFIX[0] / "train-00000-of-00001.parquet"
    datasets.Dataset.from_dict({"text": ["a"]}).to_parquet(path)
    missing = "expected also the columns sentence_bad, sentence_good"
    assert refused(name) == f"{name} ({ONE_PREFIX[0]}): {missing}"
    empty = tmp_path / "empty"
    empty.mkdir()
    assert refused(str(empty)).startswith(f"{empty}, {ONE_PREFIX[0]}, train: can't be loaded: ")


@needs_data
def test_the_published_pairs_give_the_local_files(tmp_path: Path) -> None:
    """The local files were made of the same pairs by someone else."""
    local: dict[str, list[dict[str, Any]]] = {}
    for paradigm in (*ONE_PREFIX, *TWO_PREFIX):
        path = Path(f"{DATA}/eval/blimp_{paradigm}.jsonl.gz")
        if path.exists():
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                local[paradigm] = [json.loads(line) for line in lines]
    assert sum(map(len, local.values())) == 5000
    pairs = {
        paradigm: [(row["sentence_good"], row["sentence_bad"]) for row in rows]
        for paradigm, rows in local.items()
    }
    made = minimal_pairs(repository(tmp_path / "blimp", pairs))
    expected = {row["id"]: row for rows in local.values() for row in rows}
    found = {row["id"]: row for row in made if row["condition"] in local}
    assert found.keys() == expected.keys()
    for key, row in found.items():
        for field in ("condition", "prefix", "label"):
            assert row[field] == expected[key][field]
        assert row.get("prefix_bad") == expected[key].get("prefix_bad")


def test_a_folder_without_blimp_takes_it_from_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "REPOSITORY", repository(tmp_path / "blimp"))
    monkeypatch.delenv("MEMGATE_DATA", raising=False)
    for folder in (str(tmp_path), "$MEMGATE_DATA"):
        items = loading.load("blimp", folder)
        assert items.features == loading.SUITE_FEATURES
        assert len(items) == 14
        assert items["prefix_bad"][-1] == "The woman"
        assert items["text"][-1] == "The women"
