"""Scoring models of every task, on items and on suites: worked by hand."""

from __future__ import annotations

import math
from typing import Any

import datasets
import numpy as np
import pytest
import torch

from memgate.data.items.tasks import GRAMMATICALITY, INFLECTION, NOUNS, NUMBER, Task
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.evaluation import (
    accuracy,
    count_left_out,
    predictions,
    suite_accuracy,
    suite_predictions,
)
from memgate.evaluation.suites.loading import SUITE_FEATURES
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor

NOUN_WEIGHTS = {"keys": 0.9, "key": -0.7, "cats": 0.4, "cat": -0.3}
VERB_WEIGHTS = {"is": -0.5, "are": 0.6, "runs": -0.4, "run": 0.2}
WEIGHTS = {"the": 0.0, "near": 0.1, "here": 0.3, **NOUN_WEIGHTS, **VERB_WEIGHTS}


def predictor(task: Task) -> Predictor:
    """An RNN of one unit that adds up its words, about: h' = tanh(weight + h), P = σ(4 h)."""
    vocabulary = Vocabulary.from_words(list(WEIGHTS))
    classifier = Classifier(len(vocabulary), "rnn", embedding_size=1, hidden_size=1)
    entries = vocabulary.tokenizer.get_vocab()
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.zero_()
        for word, value in WEIGHTS.items():
            classifier.embedding.weight[entries[word]] = value
        for name in ("ih_l0", "hh_l0"):
            classifier.recurrence.get_parameter(f"weight_{name}").fill_(1.0)
        classifier.readout.weight.fill_(4.0)
    return Predictor(classifier.eval(), vocabulary, task)


def p(text: str) -> float:
    state = 0.0
    for word in text.split():
        state = math.tanh(WEIGHTS.get(word, 0.0) + state)
    return 1 / (1 + math.exp(-4 * state))


def items(*rows: dict[str, Any]) -> datasets.Dataset:
    nothing = dict.fromkeys(SUITE_FEATURES)
    return datasets.Dataset.from_list([{**nothing, **row} for row in rows], features=SUITE_FEATURES)


BE = {"verb": "are", "verb_alt": "is", "label": "pl", "verb_idx": 2}
ITEMS = items(
    {**BE, "id": "a", "text": "the keys are here", "subj_idx": 1, "n_attractors": 0},
    {"id": "b", "text": "the keys near the cat", "label": "pl", "verb_idx": 5, "subj_idx": 1},
    {**BE, "id": "c", "text": "the cats are near"},
    {"id": "d", "text": "the key", "label": "sg", "verb_idx": 2, "good": "runs", "bad": "run"},
    {**BE, "id": "e", "text": "xyz zyx are", "tags": "DT NN VBP"},
)


def test_inflection_of_items() -> None:
    found = predictions(predictor(INFLECTION), ITEMS)
    assert found["id"].tolist() == ["a", "c", "d", "e"]  # the form of b isn't known
    texts = ["the keys is", "the cats is", "the key runs", "xyz zyx is"]
    plural = np.array([p(text) for text in texts])
    assert found["answer"].tolist() == found["label"].tolist() == ["pl", "pl", "sg", "pl"]
    assert found["predicted"].tolist() == ["pl" if each > 0.5 else "sg" for each in plural]
    right = np.where(found["label"] == "pl", plural, 1 - plural)
    np.testing.assert_allclose(found["p_right"], right, rtol=0, atol=1e-6)
    assert found["correct"].tolist() == (right > 0.5).tolist() == [True, False, True, False]
    assert found["unknown"].tolist() == pytest.approx([0, 0, 0, 2 / 3])
    assert found["intervening"].isna().tolist() == [False, True, True, True]
    assert count_left_out(found)["attractors"] == 3
    overall = accuracy(found.assign(model="m", data="d")).iloc[0]
    assert (overall["n"], overall["correct"]) == (4, 2)


def test_grammaticality_of_items() -> None:
    nouns = [("keys", "are", "is"), ("cats", "are", "is"), ("key", "runs", "run")]
    sentences = [(f"the {noun}" + " near" * n, a, b) for noun, a, b in nouns for n in range(4)]
    rows = [
        {
            "text": f"{text} {verb} here",
            "verb_idx": len(text.split()),
            "verb": verb,
            "verb_alt": alt,
        }
        | {"label": "sg" if verb == "runs" else "pl", "id": text}
        for text, verb, alt in sentences
    ]
    data = items(rows[0], {**rows[1], "verb_alt": None}, *rows[2:])
    found = predictions(predictor(GRAMMATICALITY), data)
    del sentences[1]
    assert found["id"].tolist() == [text for text, *_ in sentences]
    flipped = GRAMMATICALITY.make_inputs(data.with_format("arrow")[:], 0).targets == 1
    assert 0 < flipped.sum() < 11  # else this shows little
    bad = np.array(
        [
            p(f"{text} {verbs[int(other)]} here")
            for (text, *verbs), other in zip(sentences, flipped, strict=True)
        ]
    )
    names = ["grammatical", "ungrammatical"]
    assert found["answer"].tolist() == [names[int(each)] for each in flipped]
    assert found["predicted"].tolist() == [names[int(each)] for each in bad > 0.5]
    assert found["label"].tolist() == ["pl"] * 7 + ["sg"] * 4  # of the subject, as ever
    right = np.where(flipped, bad, 1 - bad)
    np.testing.assert_allclose(found["p_right"], right, rtol=0, atol=1e-6)
    assert found["correct"].tolist() == ((bad > 0.5) == flipped).tolist()
    assert 0 < found["correct"].sum() < 11


def test_nouns_of_items() -> None:
    data = items(
        {"text": "the keys near", "tags": "DT NNS IN", "label": "pl", "verb_idx": 3},
        {"text": "the cat near", "label": "sg", "verb_idx": 3},
        {"text": "keys near cat run", "tags": "NNS IN NN VBP", "label": "pl", "verb_idx": 3},
    )
    found = predictions(predictor(NOUNS), data)
    assert found["p_right"].tolist() == pytest.approx([p("keys"), p("keys cat")], abs=1e-6)


@pytest.mark.parametrize(
    ("task", "needs"),
    [(INFLECTION, r"both forms of their verb \(verb and verb_alt\)"), (NOUNS, "tags and a noun")],
    ids=["inflection", "nouns"],
)
def test_items_on_which_nothing_can_be_asked_are_refused(task: Task, needs: str) -> None:
    told = rf"^expected items with {needs} \(a model of {task.name} reads it\), got none of 1$"
    with pytest.raises(InputError, match=told):
        predictions(predictor(task), ITEMS.select([1]))
    with pytest.raises(InputError, match=told):
        suite_predictions(predictor(task), ITEMS.select([1]))


RUN = {"verb_idx": 2, "good": "run", "label": "pl", "condition": "two"}
SUITE = items(
    {"id": "a", "text": "the author", "label": "sg", "verb_idx": 2, "condition": "none"},
    {**RUN, "id": "b", "text": "the cats", "bad": "runs", "condition": "one"},
    {**RUN, "id": "c", "text": "the cats", "prefix_bad": "the keys near"},
    {**RUN, "id": "d", "text": "the keys", "bad": "runs", "prefix_bad": "the cat"},
    {**RUN, "id": "e", "text": "the cats", "bad": "runs", "condition": "one"},
    {**RUN, "id": "f", "text": "the cats", "bad": "is", "condition": "one"},
)

CATS = ["cats", "cats", "keys", "cats", "cats"]
PAIRED = ["the cats runs", "the keys near run", "the cat run", "the cats runs", "the cats is"]

SG = 1.0
"""P(singular) = 1 - P(plural), and P(grammatical) = 1 - P(ungrammatical)."""


@pytest.mark.parametrize(
    ("task", "ids", "right", "second", "correct", "questions"),
    [
        (
            NUMBER,
            "abcdef",
            [SG - p("the author"), *[p(f"the {noun}") for noun in CATS]],
            [None, None, p("the keys near"), p("the cat"), None, None],
            [False, True, False, True, True, True],
            [0, 1, 2, 3, 1, 1],
        ),
        (
            INFLECTION,
            "bdef",
            [p("the cats runs"), p("the keys runs"), p("the cats runs"), p("the cats is")],
            [None, p("the cat runs"), None, None],
            [False, True, False, False],
            [0, 1, 0, 2],
        ),
        (
            GRAMMATICALITY,
            "bcdef",
            [SG - p(f"the {noun} run") for noun in CATS],
            [SG - p(text) for text in PAIRED],
            [False, True, False, False, False],
            [0, 1, 2, 0, 3],
        ),
    ],
    ids=["number", "inflection", "grammaticality"],
)
def test_suites_by_hand(
    task: Task,
    ids: str,
    right: list[float],
    second: list[float | None],
    correct: list[bool],
    questions: list[int],
) -> None:
    found = suite_predictions(predictor(task), SUITE)
    assert found["id"].tolist() == list(ids)
    assert found["p_right"].tolist() == pytest.approx(right, abs=1e-6)
    expected = [float("nan") if each is None else each for each in second]
    assert found["p_right_second"].tolist() == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert found["correct"].tolist() == correct
    assert found["question"].tolist() == questions
    table = suite_accuracy(found.assign(model="m", suite="s"))
    of = {"one": "bef", "two": "cd", "none": "a"}
    by_condition = dict(zip(ids, correct, strict=True))
    for row in table.to_dict("records"):
        answered = [by_condition[each] for each in of[str(row["condition"])] if each in ids]
        assert (row["n"], row["correct"]) == (len(answered), sum(answered))
    assert table["n"].sum() == len(ids)


def test_of_ties_of_two_sentences_every_other_is_right() -> None:
    tie = {**RUN, "text": "the xyz", "prefix_bad": "the zyx", "bad": "runs"}
    data = items(tie, tie)
    for task in (NUMBER, INFLECTION, GRAMMATICALITY):
        assert suite_predictions(predictor(task), data)["correct"].tolist() == [True, False]
