"""Baselines beside a model: their columns, their rows, and how suites compare what they say."""

from __future__ import annotations

import random
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from memgate.baselines.fitted import Baselines
from memgate.baselines.last_words import LastWords
from memgate.data.tagger import Tagger
from memgate.data.vocabulary import Vocabulary
from memgate.evaluation import (
    accuracy,
    baseline_accuracy,
    predictions,
    suite_accuracy,
    suite_predictions,
)
from memgate.evaluation.suites.loading import SUITE_FEATURES
from memgate.metrics.systems import SYSTEM_NAMES
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor

RULES = ["majority", "first_noun", "last_noun", "noun_majority", "last_words"]

# The last words say plural but after "cabinet".
BASELINES = Baselines(
    majority_label="pl",
    tagger=Tagger(pa.array(["key", "keys", "cabinet"]), pa.array(["NN", "NNS", "NN"])),
    last_words=LastWords(pa.array(["word-1=cabinet"]), np.array([-3.0]), 1.0),
    nouns_only=None,
)
UNTAGGED = Baselines("sg", Tagger(*[pa.array([], pa.string())] * 2), BASELINES.last_words, None)


def always(plural: bool) -> Predictor:
    """A network that gives the same answer whatever it reads."""
    vocabulary = Vocabulary.from_words(["the", "key", "keys", "near", "cabinet"])
    classifier = Classifier(len(vocabulary), "rnn", embedding_size=1, hidden_size=1)
    with torch.no_grad():
        classifier.readout.weight.zero_()
        classifier.readout.bias.fill_(2.0 if plural else -2.0)
    return Predictor(classifier.eval(), vocabulary)


def items(*rows: dict[str, Any]) -> datasets.Dataset:
    nothing = dict.fromkeys(SUITE_FEATURES)
    made = [{**nothing, "verb_idx": len(row["text"].split()), **row} for row in rows]
    return datasets.Dataset.from_list(made, features=SUITE_FEATURES)


BY_HAND = items(
    {"text": "the keys", "label": "pl", "subj_idx": 1, "condition": "near"},
    {"text": "the keys near the cabinet", "label": "pl", "subj_idx": 1, "condition": "far"},
    {"text": "the key near the cabinet", "label": "sg", "subj_idx": 1},
    {"text": "it is a key", "tags": "PRP VBZ DT NN", "label": "sg", "verb_idx": 1},
)


def test_columns_by_hand() -> None:
    found = predictions(always(plural=True), BY_HAND, BASELINES)
    alone = predictions(always(plural=True), BY_HAND)
    assert list(found.columns) == [*alone.columns, *RULES]
    pd.testing.assert_frame_equal(found[alone.columns], alone)
    right = {name: found[name].tolist() for name in RULES}
    assert right == {
        "majority": [True, True, False, False],
        "first_noun": [True, True, True, False],  # without a noun: the majority label
        "last_noun": [True, False, True, False],
        "noun_majority": [True, True, True, False],  # a tie: the majority label
        "last_words": [True, False, True, False],
    }
    assert all(found[name].dtype == bool for name in RULES)


def test_rows_by_hand() -> None:
    found = accuracy(
        predictions(always(plural=False), BY_HAND, BASELINES).assign(model="m", data="d")
    )
    overall = found[found["by"] == "overall"]
    assert overall[["system", "n", "correct"]].to_numpy().tolist() == [
        ["network", 4, 2],
        ["majority", 4, 2],
        ["first_noun", 4, 3],
        ["last_noun", 4, 2],
        ["noun_majority", 4, 3],
        ["last_words", 4, 2],
    ]
    last = found[found["system"] == "last_noun"]
    assert last[["model", "data", "by", "stratum", "n", "correct"]].to_numpy().tolist() == [
        ["m", "d", "overall", "all", 4, 2],
        ["m", "d", "label", "sg", 2, 1],
        ["m", "d", "label", "pl", 2, 1],
        ["m", "d", "intervening", "0", 1, 1],
        ["m", "d", "intervening", "3–5", 2, 1],
        ["m", "d", "condition", "far", 1, 0],
        ["m", "d", "condition", "near", 1, 1],
    ]


def made_up(count: int, seed: int) -> datasets.Dataset:
    draw = random.Random(seed)
    tag = {"the": "DT", "near": "IN", "key": "NN", "keys": "NNS", "cabinet": "NN", "wug": "NNS"}
    rows: list[dict[str, Any]] = []
    for _ in range(count):
        words = draw.choices(list(tag), k=draw.randint(1, 9))
        known = draw.random() < 0.5
        rows.append(
            {
                "text": " ".join(words),
                "tags": " ".join(tag[word] for word in words) if known else None,
                "verb_idx": draw.randint(1, len(words)),
                "label": draw.choice(["sg", "pl"]),
                "n_attractors": draw.choice([None, 0, 1, 5]),
                "condition": draw.choice([None, "a", "b"]),
            }
        )
        if draw.random() < 0.7:
            rows[-1]["subj_idx"] = draw.randrange(rows[-1]["verb_idx"])
    return items(*rows)


@pytest.mark.parametrize("baselines", [BASELINES, UNTAGGED])
@pytest.mark.parametrize("tagged", [True, False])
def test_baselines_alone_count_as_beside_a_model(baselines: Baselines, tagged: bool) -> None:
    data = made_up(200, seed=5)
    if not tagged:
        data = data.filter(lambda row: row["tags"] is None)
    beside = accuracy(predictions(always(True), data, baselines).assign(model="m", data="d"))
    alone = baseline_accuracy(baselines, data.with_format("arrow")[:])
    expected = beside[beside["system"] != "network"].drop(columns=["model", "data"])
    pd.testing.assert_frame_equal(alone, expected.reset_index(drop=True))
    systems = RULES if baselines is BASELINES or tagged else ["majority", "last_words"]
    assert alone["system"].unique().tolist() == systems
    assert set(alone["by"]) >= {"overall", "intervening_x_attractors", "condition"}


def test_a_model_without_baselines_has_only_its_own_rows() -> None:
    parts = [
        predictions(always(True), BY_HAND, baselines).assign(model=name, data="d")
        for name, baselines in (("full", BASELINES), ("none", None), ("two", UNTAGGED))
    ]
    parts[2] = parts[2].drop(columns=["first_noun", "last_noun", "noun_majority"])
    found = accuracy(pd.concat(parts, ignore_index=True))
    systems = {str(model): list(rows["system"].unique()) for model, rows in found.groupby("model")}
    assert systems == {
        "full": ["network", *RULES],
        "none": ["network"],
        "two": ["network", "majority", "last_words"],
    }
    for name, part in zip(["full", "none", "two"], parts, strict=True):
        own = found[found["model"] == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, accuracy(part))


SUITE = items(
    {"condition": "one", "text": "the keys near the cabinet", "label": "pl"},
    {"condition": "one", "text": "the keys near the cabinet", "label": "pl"},
    {"condition": "one", "text": "the wug", "label": "sg"},
    {"condition": "two", "text": "the keys", "label": "pl", "prefix_bad": "the key"},
    {"condition": "two", "text": "the key", "label": "sg", "prefix_bad": "the key near the keys"},
    {"condition": "two", "text": "the cabinet", "label": "sg", "prefix_bad": "the keys"},
)


def test_suites_compare_what_baselines_say_of_two_prefixes() -> None:
    found = suite_predictions(always(True), SUITE, BASELINES)
    assert {name: found[name].tolist() for name in RULES} == {
        # who says the same of both prefixes guesses: the first is right, the second wrong, …
        "majority": [True, True, False, True, False, True],
        "first_noun": [True, True, False, True, True, True],
        "last_noun": [False, False, False, True, True, True],
        "noun_majority": [True, True, False, True, True, True],  # a tie of two is plural
        "last_words": [False, False, False, True, False, True],
    }
    alone = suite_predictions(always(True), SUITE)
    pd.testing.assert_frame_equal(found[alone.columns], alone)
    table = suite_accuracy(found.assign(model="m", suite="s"))
    assert table[["system", "condition", "n", "correct", "questions"]].to_numpy().tolist() == [
        ["network", "one", 3, 2, 2],
        ["network", "two", 3, 2, 3],
        ["majority", "one", 3, 2, 2],
        ["majority", "two", 3, 2, 3],
        ["first_noun", "one", 3, 2, 2],
        ["first_noun", "two", 3, 3, 3],
        ["last_noun", "one", 3, 0, 2],
        ["last_noun", "two", 3, 3, 3],
        ["noun_majority", "one", 3, 2, 2],
        ["noun_majority", "two", 3, 3, 3],
        ["last_words", "one", 3, 0, 2],
        ["last_words", "two", 3, 2, 3],
    ]
    assert (table["chance"] == 0.5).all()


def test_on_a_suite_without_tags_in_training_two_baselines_are_asked() -> None:
    found = suite_predictions(always(True), SUITE, UNTAGGED)
    assert [name for name in SYSTEM_NAMES if name in found] == ["majority", "last_words"]
    assert found["majority"].tolist() == [False, False, True, True, False, True]
    assert found["last_words"].tolist() == [False, False, False, True, False, True]
