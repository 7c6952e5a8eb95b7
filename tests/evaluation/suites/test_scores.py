"""Scoring a predictor on a suite: a case counted by hand, and real suites."""

from __future__ import annotations

import os
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binomtest

from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.evaluation import suite_accuracy, suite_predictions
from memgate.evaluation.suites import loading
from memgate.evaluation.suites.loading import SUITE_FEATURES
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor

DATA = os.environ.get("MEMGATE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")


def last_word(weights: dict[str, float]) -> Predictor:
    """An RNN of one unit set by hand: P(plural) = σ(4 tanh(weight of the last word))."""
    vocabulary = Vocabulary.from_words(list(weights))
    classifier = Classifier(len(vocabulary), "rnn", embedding_size=1, hidden_size=1)
    entries = vocabulary.tokenizer.get_vocab()
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.zero_()
        for word, value in weights.items():
            classifier.embedding.weight[entries[word]] = value
        classifier.recurrence.get_parameter("weight_ih_l0").fill_(1.0)
        classifier.readout.weight.fill_(4.0)
    return Predictor(classifier.eval(), vocabulary)


NOUNS = last_word({"the": 0.0, "keys": 0.9, "dogs": 0.3, "key": 0.2, "cat": -0.5, "cats": -0.1})


def items(*rows: tuple[str, str, str, str | None]) -> datasets.Dataset:
    """Items of condition, prefix, label and second prefix."""
    nothing: dict[str, Any] = dict.fromkeys(SUITE_FEATURES)
    made = [
        {
            **nothing,
            "condition": condition,
            "text": f"{prefix} x y",
            "verb_idx": len(prefix.split()),
            "label": label,
            "prefix_bad": bad,
        }
        for condition, prefix, label, bad in rows
    ]
    return datasets.Dataset.from_list(made, features=SUITE_FEATURES)


BY_HAND = items(
    ("two", "the cats", "pl", "the cat"),  # -0.1 above -0.5: right, though both say singular
    ("one", "the cats", "pl", None),  # says singular: wrong
    ("two", "the key", "sg", "the keys"),  # 0.2 below 0.9: right, though both say plural
    ("one", "the key", "sg", None),  # wrong
    ("two", "the dogs", "pl", "the keys"),  # 0.3 below 0.9: wrong
    ("two", "the wolves", "pl", "the wolf"),  # both are <unk>: a tie, and the first is right
    ("one", "the keys", "pl", None),  # right
    ("one", "the keys", "pl", None),  # the same question again
)


def test_a_case_by_hand() -> None:
    found = suite_predictions(NOUNS, BY_HAND)
    assert found["correct"].tolist() == [True, False, True, False, False, True, True, True]

    def p(weight: float) -> float:
        return float(1 / (1 + np.exp(-4 * np.tanh(weight))))

    nan = float("nan")
    bad = [p(-0.5), nan, p(0.9), nan, p(0.9), p(0), nan, nan]
    plural = found["label"] == "pl"
    right_bad = np.where(plural, bad, 1 - np.array(bad))
    np.testing.assert_allclose(found["p_right_second"], right_bad, rtol=0, atol=1e-6)
    good = np.array([p(w) for w in (-0.1, -0.1, 0.2, 0.2, 0.3, 0, 0.9, 0.9)])
    right = np.where(plural, good, 1 - good)
    np.testing.assert_allclose(found["p_right"], right, rtol=0, atol=1e-6)
    assert found["question"].tolist() == [0, 1, 2, 3, 4, 5, 6, 6]

    table = suite_accuracy(found.assign(model="m", suite="s"))
    assert list(table.columns) == [
        *("model", "suite", "system", "condition", "n", "correct", "accuracy", "low", "high"),
        *("chance", "questions"),
    ]
    counts = table[["model", "suite", "condition", "n", "correct", "accuracy"]]
    assert counts.to_numpy().tolist() == [
        ["m", "s", "two", 4, 3, 0.75],
        ["m", "s", "one", 4, 2, 0.5],
    ]
    assert table["chance"].tolist() == [0.5, 0.5]
    assert table["questions"].tolist() == [4, 3]
    for row, n, right_ones in ((table.iloc[0], 4, 3), (table.iloc[1], 3, 2)):
        interval = binomtest(right_ones, n).proportion_ci(0.95, "wilson")
        assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


def test_repeating_all_items_changes_no_accuracy_and_no_interval() -> None:
    untied = BY_HAND.filter(lambda row: row["prefix_bad"] != "the wolf")
    once = suite_accuracy(suite_predictions(NOUNS, untied).assign(model="m", suite="s"))
    many = datasets.concatenate_datasets([untied] * 5)
    found = suite_accuracy(suite_predictions(NOUNS, many).assign(model="m", suite="s"))
    assert found["n"].tolist() == (once["n"] * 5).tolist()
    same = ["condition", "accuracy", "low", "high", "questions"]
    pd.testing.assert_frame_equal(found[same], once[same])


def test_the_interval_holds_the_accuracy() -> None:
    rows = [("a", "the keys", "pl", None)] * 199 + [("a", "the cats", "pl", None)]
    found = suite_accuracy(suite_predictions(NOUNS, items(*rows)).assign(model="m", suite="s"))
    row = found.iloc[0]
    assert (row["n"], row["correct"], row["questions"]) == (200, 199, 2)
    assert row["low"] < row["accuracy"] <= row["high"]


def test_models_and_suites_keep_their_order() -> None:
    other = last_word({"the": 0.0, "keys": -0.9})
    parts = [
        suite_predictions(predictor, BY_HAND).assign(model=model, suite=suite)
        for model, predictor in (("z", NOUNS), ("a", other))
        for suite in ("y", "b")
    ]
    found = suite_accuracy(pd.concat(parts, ignore_index=True))
    names = [[m, s, c] for m in "za" for s in "yb" for c in ("two", "one")]
    assert found[["model", "suite", "condition"]].to_numpy().tolist() == names
    assert found["correct"].tolist()[:4] == [3, 2, 3, 2]
    assert found["correct"].tolist()[4:] != [3, 2, 3, 2]


def test_probabilities_do_not_depend_on_the_batch_size() -> None:
    whole = suite_predictions(NOUNS, BY_HAND)
    found = suite_predictions(NOUNS, BY_HAND, batch_size=1)
    np.testing.assert_allclose(found["p_right_second"], whole["p_right_second"], rtol=0, atol=1e-6)
    assert found["correct"].tolist() == whole["correct"].tolist()


def test_refuses_a_suite_without_any_known_word() -> None:
    with pytest.raises(InputError, match="got 1 items without any"):
        suite_predictions(NOUNS, items(("c", "qrs", "pl", None)))


@needs_data
def test_the_last_noun_on_constructed_suites() -> None:
    """A rule that answers with the last noun is right, or wrong, by construction."""
    data = loading.load("lakretz").filter(lambda row: row["condition"][:6] in ("simple", "nounpp"))
    nouns = {text.split(" ")[-1].lower(): 1.0 for text in data["text"]}
    one = {noun: -1.0 for noun in nouns if not noun.endswith("s") and noun not in ("men", "women")}
    found = suite_predictions(last_word({**nouns, **one}), data)
    table = suite_accuracy(found.assign(model="last noun", suite="lakretz"))
    conditions = ["simple S", "simple P", "nounpp SS", "nounpp SP", "nounpp PS", "nounpp PP"]
    assert table["condition"].tolist() == conditions
    assert table["accuracy"].tolist() == [1, 1, 1, 0, 0, 1]
    assert table["n"].tolist() == [300, 300, 600, 600, 600, 600]
    assert table["questions"].tolist()[:2] == [20, 20]
