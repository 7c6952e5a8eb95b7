"""The six sentences of every run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from memgate.data.items.numbers import Label
from memgate.data.items.roles import roles
from memgate.data.items.tasks import TASKS, TaskName
from memgate.data.sources.grammar import Grammar
from memgate.data.vocabulary import Vocabulary
from memgate.fitting.example_sentences import SENTENCES, explain_sentences, sentences
from memgate.gates.units.unit import Unit
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor

WORDS = [word for text, _ in SENTENCES for word in text.split()]


@pytest.fixture
def predictor() -> Predictor:
    """A GRU that knows the words of the sentences; its weights are drawn by lot."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.from_words(sorted(set(WORDS)), [])
    return Predictor(Classifier(len(vocabulary), "gru", 4, 5).eval(), vocabulary)


def test_they_are_items_with_an_attractor_each_way() -> None:
    items = sentences()
    assert items["n_attractors"].to_pylist() == [0, 2, 1, 1, 2, 3]
    assert items["label"].to_pylist() == [0, 1, 0, 1, 0, 1]
    for text, tags in SENTENCES:
        assert len(text.split()) == len(tags.split())


def test_the_grammar_knows_every_word() -> None:
    texts = Grammar(train=20_000, validation=10, test=10).load()["train"]["text"]
    assert set(WORDS) <= {word for text in texts for word in text.split()}


@pytest.mark.parametrize("task", ["number", "inflection", "grammaticality"])
def test_each_is_read_as_the_task_poses_it(predictor: Predictor, task: TaskName) -> None:
    task_inputs = replace(predictor, task=TASKS[task])
    found = explain_sentences(task_inputs, [Unit(0, 3), Unit(0, 1)], "mine", "as requested")
    assert len(found) == 6
    for each, (text, tags) in zip(found, SENTENCES, strict=True):
        *before, _ = text.split()
        assert [word.text for word in each.words][: len(before)] == before
        label: Label = "sg" if tags.endswith("VBZ") else "pl"
        expected = roles(tags.split(), 1, len(before), label)
        assert [word.role for word in each.words][: len(before)] == expected
        assert len(each.words) == len(before) + (task != "number")
        assert sorted(str(unit.unit) for unit in each.units) == ["0:1", "0:3"]
        read = " ".join(word.text for word in each.words)
        assert each.p[-1] == pytest.approx(task_inputs.predict([read])[0], abs=1e-6)
        assert (np.diff(each.p) != 0).any()


def test_a_sentence_without_a_known_word_is_left_out(predictor: Predictor) -> None:
    few = Vocabulary.from_words(["cats", "boy"], [])
    torch.manual_seed(0)
    foreign = Predictor(Classifier(len(few), "lstm", 4, 5).eval(), few)
    found = explain_sentences(foreign, [], "foreign", "as requested")
    assert [each.sentence.split()[1] for each in found] == ["cats", "boy"]
