"""Probes equal scikit-learn's own, and controls tell what can only be learnt by heart."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from memgate.arrays import Ints
from memgate.data.batches import Prefixes
from memgate.data.vocabulary import Vocabulary
from memgate.gates.units.probe import PROBED_WORDS, linear_probe, probes, subject_states
from memgate.metrics.accuracy import wilson
from memgate.models.classifier import Classifier
from memgate.models.trajectory import replay

NOUNS = [f"{number}{place}" for number in ("cat", "cats") for place in range(4)]
WORDS = [*NOUNS, "and", "often"]


def test_a_probe_is_scikit_learns_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    states = rng.normal(size=(300, 4)) * [1, 5, 0.1, 0] + [0, 3, 0, 2]  # the last one is constant
    labels = (states[:, 0] + 20 * states[:, 2] + rng.normal(size=300) > 0).astype(np.int64)
    found = linear_probe(states[:200], labels[:200], states[200:], labels[200:])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(states[:200], labels[:200])
    np.testing.assert_array_equal(found.right, model.predict(states[200:]) == labels[200:])
    np.testing.assert_allclose(found.weights, model[-1].coef_[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.sd[:3], states[:200, :3].std(axis=0))
    assert (found.weights[3], found.sd[3]) == (0, 1)
    direction = found.weights / found.sd
    np.testing.assert_allclose(
        np.diff(model.decision_function(states[200:202])), np.diff(states[200:202] @ direction)
    )


def build(hidden: str) -> Classifier:
    """An RNN whose state after a word is a code of that word (``word``), or of its number."""
    classifier = Classifier(len(WORDS) + 1, "rnn", 11, 11).double()
    code = torch.eye(11, dtype=torch.float64)
    if hidden == "number":
        code[:, 1:] = 0
        code[1:5, 0], code[5:9, 0], code[0, 0] = -1, 1, 0
    with torch.no_grad():
        for weight in classifier.recurrence.parameters():
            weight.zero_()
        classifier.embedding.weight.copy_(code)
        classifier.state_dict()["recurrence.weight_ih_l0"].copy_(torch.eye(11))
    return classifier.eval()


def draw(seed: int, n: int = 200, before: int = 0) -> tuple[Prefixes, Ints]:
    """Prefixes of a noun and 0 to 3 other words, and which noun it is."""
    rng = np.random.default_rng(seed)
    nouns = rng.integers(8, size=n)
    rest = rng.integers(4, size=n)
    texts = [
        " ".join(["and"] * before + [NOUNS[noun]] + ["often"] * more)
        for noun, more in zip(nouns, rest, strict=True)
    ]
    prefixes = Prefixes.encode(Vocabulary.from_words(WORDS), pa.array(texts))
    known = {
        "labels": torch.from_numpy((nouns >= 4).astype(np.int64)),
        "subjects": torch.full((n,), before),
    }
    return Prefixes(**{**vars(prefixes), **known}), nouns


def draw_halves(n: int = 200) -> tuple[tuple[Prefixes, Prefixes], tuple[Ints, Ints]]:
    (first, its), (second, others) = draw(0, n), draw(1, n)
    return (first, second), (its, others)


def test_states_are_those_from_the_subject_on() -> None:
    classifier = Classifier(len(WORDS) + 1, "gru", 3, 4, 2).double()
    prefixes, _ = draw(0, 20, before=2)
    words = subject_states(classifier, prefixes)
    assert len(words.item) == sum(prefixes.lengths - 2)
    for place, (item, after) in enumerate(zip(words.item, words.after, strict=True)):
        start, length = int(prefixes.starts[item]), int(prefixes.lengths[item])
        inputs = classifier.embedding(prefixes.ids[start : start + length].long()[None])
        layers = replay(classifier.recurrence, inputs)
        expected = torch.stack([layer.hidden[0, after + 2] for layer in layers])
        np.testing.assert_allclose(words.hidden[place], expected.detach(), rtol=0, atol=1e-12)
        assert words.last[place] == (after + 2 == length - 1)


def test_far_words_are_read_only_where_they_are_the_last() -> None:
    vocabulary = Vocabulary.from_words(WORDS)
    prefixes = Prefixes.encode(vocabulary, pa.array([" ".join(["often"] * (PROBED_WORDS + 6))]))
    prefixes = Prefixes(**{**vars(prefixes), "subjects": torch.tensor([1])})
    words = subject_states(build("word"), prefixes)
    assert words.after.tolist() == [*range(PROBED_WORDS + 1), PROBED_WORDS + 4]
    assert words.at("last").tolist() == [False] * (PROBED_WORDS + 1) + [True]
    assert words.at("3").nonzero()[0].tolist() == [3]


def test_what_is_learnt_by_heart_is_not_selective() -> None:
    halves, types = draw_halves()
    table, _ = probes(build("word"), halves, types)
    subject = table.set_index("position").loc["0"]
    assert (subject["accuracy"], subject["control"], subject["selectivity"]) == (1, 1, 0)
    table, weights = probes(build("number"), halves, types)
    subject = table.set_index("position").loc["0"]
    assert subject["accuracy"] == 1
    assert subject["control"] < 0.85, "four words of a number have two labels"
    assert subject["selectivity"] == pytest.approx(1 - subject["control"])
    first = weights[weights["position"] == "0"].set_index("unit")["weight"]
    assert first[0] > 1
    assert (first[1:] == 0).all()


def test_a_row_says_how_many_and_how_sure() -> None:
    halves, types = draw_halves()
    table, weights = probes(build("number"), halves, types)
    assert table["position"].tolist() == ["0", "1", "2", "3", "last"]
    assert weights["position"].unique().tolist() == ["0", "1", "2", "3", "last"]
    lengths, labels = halves[1].lengths, halves[1].labels.numpy()
    for row in table.to_dict("records"):
        longer = lengths > (0 if row["position"] == "last" else int(row["position"]))
        assert row["n"] == longer.sum() == row["n_control"]
        assert row["majority"] == np.bincount(labels[longer]).max() / row["n"]
        assert (row["low"], row["high"]) == wilson(round(row["accuracy"] * row["n"]), row["n"])
    forgotten = table.set_index("position").loc["1"]
    assert forgotten["low"] < forgotten["majority"], "'often' says nothing of the number"


def test_places_with_few_items_are_left_out() -> None:
    halves, types = draw_halves(100)
    table, _ = probes(build("number"), halves, types)
    assert table["position"].tolist() == ["0", "1", "2", "last"]


def test_controls_are_scored_on_words_they_were_fitted_to_and_repeat() -> None:
    halves, types = draw_halves()
    unseen = types[1].copy()
    unseen[unseen == 3] = 8
    table, _ = probes(build("word"), halves, (types[0], unseen))
    row = table.set_index("position").loc["0"]
    assert row["n_control"] == (types[1] != 3).sum()
    again, _ = probes(build("number"), halves, types, seed=4)
    same, _ = probes(build("number"), halves, types, seed=4)
    other, _ = probes(build("number"), halves, types, seed=5)
    assert again.equals(same)
    assert not again.equals(other)
    none, _ = probes(build("word"), halves, (types[0], types[1] + 8))
    assert none["control"].isna().all()
