"""Copies of items with nouns in the other number."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgate.data.items.numbers import LABELS
from memgate.data.items.roles import roles
from memgate.data.items.schema import FEATURES, SPLITS
from memgate.data.sources.counterfactual import Counterfactual, counterfactuals
from memgate.data.sources.grammar import Grammar
from memgate.data.sources.jsonl import JsonLines

DATA = os.environ.get("MEMGATE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")


def item(text: str, tags: str, subj_idx: int | None = 1, label: int = 0) -> dict[str, Any]:
    """An item whose verb is the last word."""
    verb_idx = text.count(" ")
    row = {"text": text, "tags": tags, "subj_idx": subj_idx, "verb_idx": verb_idx, "label": label}
    return {**dict.fromkeys(FEATURES), **row, "id": "i"}


def texts(*arguments: Any) -> list[tuple[str, str, int]]:
    copies = counterfactuals(item(*arguments))
    return [(copy["text"], LABELS[copy["label"]], copy["n_attractors"]) for copy in copies]


def test_nouns_become_attractors_and_the_subject_changes_with_the_label() -> None:
    assert texts("the key to the cabinet is", "DT NN TO DT NN VBZ") == [
        ("the key to the cabinets", "sg", 1),
        ("the keys to the cabinet", "pl", 1),
    ]
    assert texts("the keys to the cabinet are", "DT NNS TO DT NN VBP", 1, 1) == [
        ("the key to the cabinet", "sg", 0),
        ("the key to the cabinets", "sg", 1),
    ]


@pytest.mark.parametrize(
    ("text", "tags", "label"),
    [
        ("the key to a cabinet is", "DT NN TO DT NN VBZ", 0),
        ("the key in every old cabinet is", "DT NN IN DT JJ NN VBZ", 0),
        ("the keys of these cabinets are", "DT NNS IN DT NNS VBP", 1),
        ("the keys of 12 cabinets are", "DT NNS IN CD NNS VBP", 1),
    ],
)
def test_a_noun_whose_determiner_would_clash_stays(text: str, tags: str, label: int) -> None:
    copies = [words for words, _, _ in texts(text, tags, 1, label)]
    noun = text.split(" ")[4]
    assert all(words.split(" ")[4] == noun for words in copies)


def test_a_noun_that_modifies_another_stays() -> None:
    copies = texts("the key of kitchen table is", "DT NN IN NN NN VBZ")
    assert [words for words, *_ in copies] == [
        "the key of kitchen tables",
        "the keys of kitchen table",
    ]


@pytest.mark.parametrize(
    ("text", "tags", "subject"),
    [
        ("the key is", "DT NN VBZ", 1),  # no noun between
        ("the key that opens the door is", "DT NN WDT VBZ DT NN VBZ", 1),
        ("the key to the door is", None, 1),
        ("the key to the door is", "DT NN TO DT NN VBZ", None),
        ("The Clintons of the town are", "DT NNPS IN DT NN VBP", 1),
    ],
)
def test_an_item_that_may_agree_with_more_has_no_copy(
    text: str, tags: str | None, subject: int | None
) -> None:
    assert texts(text, tags, subject) == []


def test_a_subject_without_another_form_stays() -> None:
    assert texts("the sheep near the house is", "DT NN IN DT NN VBZ") == [
        ("the sheep near the houses", "sg", 1)
    ]
    assert texts("a key to the house is", "DT NN TO DT NN VBZ") == [
        ("a key to the houses", "sg", 1)
    ]


@dataclass(frozen=True)
class Given:
    splits: datasets.DatasetDict

    def load(self) -> datasets.DatasetDict:
        return self.splits


@given(st.integers(0, 2**20))
def test_copies_differ_from_their_item_in_nouns_only(seed: int) -> None:
    rows = Grammar(train=20, validation=1, test=1, seed=seed).load()["train"]
    for row in rows:
        copies = [*counterfactuals(row)]
        prefix = row["text"].split(" ")[: row["verb_idx"]]
        for copy in copies:
            changed = [a != b for a, b in zip(copy["text"].split(" "), prefix, strict=True)]
            tags = row["tags"].split(" ")
            assert {tag for tag, differs in zip(tags, changed, strict=False) if differs} <= {
                "NN",
                "NNS",
            }
            assert (copy["label"] != row["label"]) == changed[row["subj_idx"]]
            assert not any(changed[: row["subj_idx"]])
            label = LABELS[copy["label"]]
            found = roles(copy["tags"].split(" "), copy["subj_idx"], copy["verb_idx"], label)
            assert found.count("attractor") == copy["n_attractors"]
        assert len(copies) <= 3
        assert len({copy["text"] for copy in copies}) == len(copies)


def test_only_training_gets_copies() -> None:
    splits = Grammar(train=50, validation=20, test=20).load()
    loaded = Counterfactual(Given(splits)).load()
    assert set(loaded) == set(SPLITS)
    for split in ("validation", "test"):
        assert loaded[split]["text"] == splits[split]["text"]
    assert loaded["train"]["text"][:50] == splits["train"]["text"][:]
    assert len(loaded["train"]) > 60
    assert loaded["train"].features == splits["train"].features


@needs_data
def test_most_copies_of_real_items_have_attractors() -> None:
    source = JsonLines(
        [f"{DATA}/ud/*_train.jsonl.gz"],
        [f"{DATA}/ud/*_dev.jsonl.gz"],
        [f"{DATA}/ud/*_test.jsonl.gz"],
    )
    before, after = source.load()["train"], Counterfactual(source).load()["train"]
    copies = after.select(range(len(before), len(after)))
    with_attractors = Counter(count > 0 for count in copies["n_attractors"])
    assert len(copies) > 500
    assert with_attractors[True] / len(copies) > 0.6
