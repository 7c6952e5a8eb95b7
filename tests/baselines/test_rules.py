"""Baselines without training, worked by hand and by a plain loop."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgate.baselines.rules import RULES, baseline_predictions
from memgate.data.items.numbers import Label
from memgate.data.items.schema import FEATURES
from memgate.data.sources.grammar import Grammar
from memgate.data.sources.jsonl import read

DATA = os.environ.get("MEMGATE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")


def items(*rows: tuple[str | None, int]) -> pa.Table:
    """Items of tags, with the place of the verb."""
    nothing: dict[str, Any] = dict.fromkeys(FEATURES)
    made = [
        {
            **nothing,
            "text": " ".join("w" * len((tags or "X " * verb_idx).split())),
            "tags": tags,
            "verb_idx": verb_idx,
            "label": 0,
        }
        for tags, verb_idx in rows
    ]
    return pa.Table.from_pylist(made, schema=FEATURES.arrow_schema)


BY_HAND = [
    ("DT NNS TO DT NN VBP NNS", 5),  # keys to the cabinet: what follows the verb is not read
    ("DT NN IN NNS CC NNS VBZ", 6),
    ("IN DT NN , DT NNS IN NNS", 8),
    ("NNP NNPS PRP", 3),  # no common noun: the majority label
    (None, 2),
    ("NN", 1),
]


def test_by_hand() -> None:
    found = baseline_predictions(items(*BY_HAND), "pl")
    assert list(found.columns) == list(RULES)
    assert found["majority"].tolist() == ["pl"] * 6
    assert found["first_noun"].tolist() == ["pl", "sg", "sg", "pl", pd.NA, "sg"]
    assert found["last_noun"].tolist() == ["sg", "pl", "pl", "pl", pd.NA, "sg"]
    # one each is a tie; two to one; two to one; none; unknown; one
    assert found["noun_majority"].tolist() == ["pl", "pl", "pl", "pl", pd.NA, "sg"]
    other = baseline_predictions(items(*BY_HAND), "sg")
    assert other["majority"].tolist() == ["sg"] * 6
    assert other["noun_majority"].tolist() == ["sg", "pl", "pl", "sg", pd.NA, "sg"]
    assert other["last_noun"].tolist()[3] == "sg"


def test_without_any_tags_or_items() -> None:
    found = baseline_predictions(items((None, 1), (None, 3)), "sg")
    assert found["majority"].tolist() == ["sg", "sg"]
    for name in RULES[1:]:
        assert found[name].isna().all()
    assert len(baseline_predictions(items((None, 1))[:0], "sg")) == 0


def test_chunks_and_slices_change_nothing() -> None:
    table = items(*BY_HAND)
    expected = baseline_predictions(table, "sg")
    pieces = pa.concat_tables([table[:1], table[:0], table[1:4], table[4:]])
    pd.testing.assert_frame_equal(baseline_predictions(pieces, "sg"), expected)
    rest = expected[2:].reset_index(drop=True)
    pd.testing.assert_frame_equal(baseline_predictions(table[2:], "sg"), rest)


def test_what_reads_no_corpora_imports_no_datasets() -> None:
    code = (
        "import sys, memgate.baselines.rules, memgate.baselines.last_words, memgate.data.tagger; "
        "print({'datasets', 'lightning', 'mlflow', 'sklearn'}.intersection(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


TAGS = st.lists(st.sampled_from(["NN", "NNS", "NNP", "DT", "VBZ"]), min_size=1, max_size=8)


@settings(max_examples=40)
@given(st.lists(st.tuples(TAGS, st.booleans()), min_size=1, max_size=8), st.sampled_from("sp"))
def test_as_by_a_loop(rows: list[tuple[list[str], bool]], first: str) -> None:
    majority_label: Label = "sg" if first == "s" else "pl"
    made = items(*[(" ".join(tags) if known else None, len(tags)) for tags, known in rows])
    found = baseline_predictions(made, majority_label)
    for (tags, known), row in zip(rows, found.to_dict("records"), strict=True):
        nouns = [{"NN": "sg", "NNS": "pl"}[tag] for tag in tags if tag in ("NN", "NNS")]
        most = nouns.count("pl") - nouns.count("sg")
        expected: dict[str, Any] = {
            "majority": majority_label,
            "first_noun": nouns[0] if nouns else majority_label,
            "last_noun": nouns[-1] if nouns else majority_label,
            "noun_majority": majority_label if most == 0 else ("pl" if most > 0 else "sg"),
        }
        if not known:
            expected |= dict.fromkeys(RULES[1:])
        assert row == expected


def accuracy(data: datasets.Dataset, majority_label: Label = "sg") -> dict[str, float]:
    labels = pd.Series(["sg", "pl"], dtype="string").iloc[data["label"][:]].reset_index(drop=True)
    found = baseline_predictions(data.with_format("arrow")[:], majority_label)
    return {name: float((found[name] == labels).mean()) for name in RULES}


def test_the_grammar_leaves_them_what_it_says() -> None:
    found = accuracy(Grammar(10, 10, 4000).load()["test"])
    expected = {"majority": 0.5, "first_noun": 0.7, "last_noun": 0.66, "noun_majority": 0.75}
    assert found == pytest.approx(expected, abs=0.03)


@needs_data
def test_the_last_noun_of_real_text() -> None:
    data = read([f"{DATA}/corpus/agr_wiki_dev.jsonl.gz"])
    attractors = pd.Series(data["n_attractors"][:])
    without = accuracy(data.select(attractors.index[attractors == 0]))
    assert without["last_noun"] == 1.0  # the README of the data says so
    with_some = accuracy(data.select(attractors.index[attractors > 0]))
    assert with_some["last_noun"] == pytest.approx(0.15, abs=0.05)
    assert accuracy(data)["majority"] == pytest.approx(1 - 0.388, abs=0.001)
