"""Predictions and their accuracy, against a case counted by hand and against pandas."""

from __future__ import annotations

import math
import random
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binomtest

from memgate.data.items.schema import FEATURES
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.evaluation import accuracy, count_left_out, predictions
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor

PLURAL, SINGULAR = ["keys", "cabinets", "NNS"], ["key", "cabinet", "NN"]


def last_noun(sign: float = 1.0) -> Predictor:
    """An RNN of one unit that is set by hand to hold the number of the last noun.

    h' = tanh(2 x + 2 h) with x = 4 for a plural, -4 for a singular noun and 0 for other words:
    from any state a noun wins, and other words leave the sign as it is. P(plural) = σ(4 sign h).
    """
    vocabulary = Vocabulary.from_words(["the", "near", *PLURAL[:2], *SINGULAR[:2]], ["NNS", "NN"])
    classifier = Classifier(len(vocabulary), "rnn", embedding_size=1, hidden_size=1)
    entries = vocabulary.tokenizer.get_vocab()
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.zero_()
        for noun in PLURAL:
            classifier.embedding.weight[entries[noun]] = 4.0
        for noun in SINGULAR:
            classifier.embedding.weight[entries[noun]] = -4.0
        for name, value in {"ih_l0": 2.0, "hh_l0": 2.0}.items():
            classifier.recurrence.get_parameter(f"weight_{name}").fill_(value)
        classifier.readout.weight.fill_(4.0 * sign)
    return Predictor(classifier.eval(), vocabulary)


def items(*rows: dict[str, Any]) -> datasets.Dataset:
    nothing = dict.fromkeys(FEATURES)
    return datasets.Dataset.from_list([{**nothing, **row} for row in rows], features=FEATURES)


BY_HAND = items(
    {
        "id": "a",
        "text": "the keys are",
        "verb_idx": 2,
        "subj_idx": 1,
        "label": "pl",
        "n_attractors": 0,
        "condition": "bare",
    },
    {
        "id": "b",
        "text": "the keys near the cabinet are",
        "verb_idx": 5,
        "subj_idx": 1,
        "label": "pl",
        "n_attractors": 1,
        "condition": "pp",
    },
    {
        "id": "c",
        "text": "the gnu near the ox",  # the words are rare, the tags are known
        "tags": "DT NN IN DT NN",
        "verb_idx": 5,
        "subj_idx": 1,
        "label": "sg",
        "n_attractors": 0,
        "condition": "pp",
    },
    {"text": "the cabinet", "verb_idx": 2, "label": "sg"},
    {"id": "e", "text": "gnus", "verb_idx": 1, "subj_idx": 0, "label": "pl", "condition": "bare"},
)


def test_predictions_of_a_case_by_hand() -> None:
    found = predictions(last_noun(), BY_HAND)
    assert list(found.columns) == [
        "item",
        "id",
        "label",
        "answer",
        "predicted",
        "p_right",
        "correct",
        "known_word",
        "unknown",
        "unknown_noun",
        "intervening",
        "attractors",
        "condition",
    ]
    assert found["id"].isna().tolist() == [False, False, False, True, False]
    assert found["id"].dropna().tolist() == ["a", "b", "c", "e"]
    assert found["label"].tolist() == ["pl", "pl", "sg", "sg", "pl"]
    assert found["predicted"].tolist() == ["pl", "sg", "sg", "sg", "sg"]  # 0.5 is not above 0.5
    assert found["correct"].tolist() == [True, False, True, True, False]
    assert found["known_word"].tolist() == [True, True, True, True, False]
    assert (found["unknown"] == 1).tolist() == [False, False, False, False, True]
    assert found["intervening"].astype(object).tolist() == [0, 3, 3, pd.NA, 0]
    assert found["attractors"].astype(object).tolist() == [0, 1, 0, pd.NA, pd.NA]
    assert found["condition"].dropna().tolist() == ["bare", "pp", "pp", "bare"]

    def sigma(words: list[float]) -> float:
        state = 0.0
        for x in words:
            state = math.tanh(2 * x + 2 * state)
        return 1 / (1 + math.exp(-4 * state))

    expected = [[0, 4], [0, 4, 0, 0, -4], [0, -4, 0, 0, -4], [0, -4], [0]]
    plural = np.array([sigma(list(map(float, words))) for words in expected])
    by_hand = np.where(found["label"] == "pl", plural, 1 - plural)
    np.testing.assert_allclose(found["p_right"], by_hand, rtol=0, atol=1e-6)
    assert found["answer"].tolist() == found["label"].tolist()


def test_accuracy_of_a_case_by_hand() -> None:
    predicted = predictions(last_noun(), BY_HAND).assign(model="m", data="d")
    found = accuracy(predicted)
    columns = ["model", "data", "system", "by", "stratum", "n", "correct"]
    columns += ["accuracy", "low", "high"]
    assert list(found.columns) == columns
    assert set(found["system"]) == {"network"}
    counts = found[["model", "data", "by", "stratum", "n", "correct"]]
    assert counts.to_numpy().tolist() == [
        ["m", "d", "overall", "all", 5, 3],
        ["m", "d", "label", "sg", 2, 2],
        ["m", "d", "label", "pl", 3, 1],
        ["m", "d", "intervening", "0", 2, 1],
        ["m", "d", "intervening", "3–5", 2, 1],
        ["m", "d", "attractors", "0", 2, 2],
        ["m", "d", "attractors", "1", 1, 0],
        ["m", "d", "intervening_x_attractors", "0 × 0", 1, 1],
        ["m", "d", "intervening_x_attractors", "3–5 × 0", 1, 1],
        ["m", "d", "intervening_x_attractors", "3–5 × 1", 1, 0],
        ["m", "d", "condition", "bare", 2, 1],
        ["m", "d", "condition", "pp", 2, 1],
    ]
    overall = found.iloc[0]
    assert overall["accuracy"] == 0.6
    z2 = 1.959964**2  # Wilson: (p + z²/2n ± √(z² p(1 - p)/n + z⁴/4n²)) / (1 + z²/n)
    middle, width = 0.6 + z2 / 10, math.sqrt(z2 * 0.24 / 5 + z2**2 / 100)
    limits = ((middle - width) / (1 + z2 / 5), (middle + width) / (1 + z2 / 5))
    assert (overall["low"], overall["high"]) == pytest.approx(limits, abs=1e-6)


def test_items_that_lack_something_are_left_out_and_counted() -> None:
    predicted = predictions(last_noun(), BY_HAND)
    assert count_left_out(predicted) == {"intervening": 1, "attractors": 2, "condition": 1}
    bare = items(*[{"text": "keys", "verb_idx": 1, "label": "pl"}] * 3)
    table = accuracy(predictions(last_noun(), bare).assign(model="m", data="d"))
    assert table["by"].tolist() == ["overall", "label"]
    assert count_left_out(predictions(last_noun(), bare)) == dict.fromkeys(
        ["intervening", "attractors", "condition"], 3
    )


def made_up(count: int, seed: int) -> datasets.Dataset:
    """Items with all there is to count, each of it unknown now and then."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        length = draw.randint(1, 30)
        words = draw.choices(["the", "near", *PLURAL, *SINGULAR, "xyz"], k=length)
        known = draw.random() < 0.9
        subj_idx = draw.randrange(length)
        rows.append(
            {
                "id": str(number),
                "text": " ".join(words),
                "verb_idx": length,
                "subj_idx": subj_idx if known else None,
                "label": draw.choice(["sg", "pl"]),
                "n_attractors": draw.choice([None, *range(7)]),
                "condition": draw.choice([None, "a", "b"]),
            }
        )
    return items(*rows)


def strata(items: datasets.Dataset) -> pd.DataFrame:
    """The breakdowns by pandas alone, from the items as they are."""
    frame = items.to_pandas()
    between = frame["verb_idx"] - frame["subj_idx"] - 1
    intervening = pd.cut(
        between, [-1, 0, 2, 5, 10, np.inf], labels=["0", "1–2", "3–5", "6–10", "11+"]
    ).astype(object)
    attractors = pd.cut(
        frame["n_attractors"], [-1, 0, 1, 2, 3, np.inf], labels=["0", "1", "2", "3", "4+"]
    ).astype(object)
    return pd.DataFrame(
        {
            "overall": "all",
            "label": frame["label"].map({0: "sg", 1: "pl"}),
            "intervening": intervening,
            "attractors": attractors,
            "intervening_x_attractors": intervening + " × " + attractors,
            "condition": frame["condition"],
        }
    )


def test_the_table_is_that_of_a_groupby() -> None:
    data = made_up(600, seed=0)
    predicted = predictions(last_noun(), data)
    table = accuracy(predicted.assign(model="m", data="d"))
    rows = {(row["by"], row["stratum"]): row for row in table.to_dict(orient="records")}
    by_hand = strata(data)
    groups = 0
    for by in by_hand:
        grouped = predicted["correct"].groupby(by_hand[by]).agg(["size", "sum"])
        groups += len(grouped)
        for stratum, (n, correct) in grouped.iterrows():
            row = rows[by, stratum]
            assert (row["n"], row["correct"]) == (n, correct)
            assert row["accuracy"] == correct / n
            interval = binomtest(int(correct), int(n)).proportion_ci(0.95, "wilson")
            assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))
    assert groups == len(table)
    left_out = by_hand[["intervening", "attractors", "condition"]].isna().sum()
    assert count_left_out(predicted) == left_out.to_dict()
    assert left_out.min() > 0


def test_rows_come_in_the_order_of_the_items_whatever_the_batch_size() -> None:
    data = made_up(200, seed=1)
    whole = predictions(last_noun(), data)
    assert whole["id"].tolist() == data["id"]
    words = [" ".join(text.split()) for text in data["text"]]
    assert whole["known_word"].tolist() == [set(text.split()) != {"xyz"} for text in words]
    for batch_size in (1, 7, 100):
        found = predictions(last_noun(), data, batch_size=batch_size)
        np.testing.assert_allclose(found["p_right"], whole["p_right"], rtol=0, atol=1e-6)
        pd.testing.assert_frame_equal(found.drop(columns="p_right"), whole.drop(columns="p_right"))


def test_a_selection_of_items_is_predicted_alike() -> None:
    data = made_up(50, seed=2)
    chosen = [40, 3, 3, 17]
    found = predictions(last_noun(), data.select(chosen))
    whole = predictions(last_noun(), data).iloc[chosen].reset_index(drop=True)
    np.testing.assert_allclose(found["p_right"], whole["p_right"], rtol=0, atol=1e-6)
    assert found["id"].tolist() == whole["id"].tolist()


def test_models_and_data_keep_their_order() -> None:
    model, other = last_noun(), last_noun(sign=-1)
    tables = [
        predictions(predictor, data).assign(model=name, data=where)
        for name, predictor, data, where in [
            ("z", model, made_up(30, 3), "y"),
            ("z", model, made_up(20, 4), "b"),
            ("a", other, made_up(30, 3), "y"),
            ("a", other, made_up(20, 4), "b"),
        ]
    ]
    found = accuracy(pd.concat(tables, ignore_index=True))
    overall = found[found["by"] == "overall"]
    assert overall[["model", "data", "n"]].to_numpy().tolist() == [
        ["z", "y", 30],
        ["z", "b", 20],
        ["a", "y", 30],
        ["a", "b", 20],
    ]
    for part, table in zip(found.groupby(["model", "data"], sort=False), tables, strict=True):
        pd.testing.assert_frame_equal(part[1].reset_index(drop=True), accuracy(table))


def test_refuses_items_without_any_known_word() -> None:
    unread = items(*[{"text": "xyz qrs", "verb_idx": 2, "label": "sg"}] * 3)
    message = (
        r"^expected items with words of the model's vocabulary \(9 entries\), "
        r"got 3 items without any$"
    )
    with pytest.raises(InputError, match=message):
        predictions(last_noun(), unread)
    one = items({"text": "the xyz", "verb_idx": 2, "label": "sg"})
    both = datasets.concatenate_datasets([unread, one])
    assert predictions(last_noun(), both)["known_word"].tolist() == [False, False, False, True]


def test_refuses_no_items() -> None:
    with pytest.raises(InputError, match=r"^expected items with a prefix .*, got none of 0$"):
        predictions(last_noun(), BY_HAND.select([]))
