"""What the live page carries of networks: weights that can be read back, and what they share."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
import torch

from memgate.data.items.tasks import INFLECTION, NUMBER, Task
from memgate.data.vocabulary import Vocabulary
from memgate.gates.units.unit import Unit
from memgate.models.classifier import CellName, Classifier
from memgate.predictor import Predictor
from memgate.reporting.live_network import LiveNetwork, contents, labels, number_pairs

WORDS = ["the", "cat", "cats", "man", "men", "news", "walks"]


def network(
    name: str, cell: CellName = "gru", words: list[str] = WORDS, task: Task = NUMBER, size: int = 4
) -> LiveNetwork:
    torch.manual_seed(0)
    vocabulary = Vocabulary.from_words(words)
    classifier = Classifier(len(vocabulary), cell, size, 3).eval()
    return LiveNetwork(name, Predictor(classifier, vocabulary, task), [Unit(0, 1)], True)


def numbers(text: str, kind: str) -> Any:
    return np.frombuffer(base64.b64decode(text), kind)


def test_weights_are_those_of_the_state_dict() -> None:
    one = network("one", "lstm")
    (content,) = contents([one])["networks"]
    state = one.predictor.classifier.state_dict()
    assert content["weights"].keys() == state.keys()
    for name, values in state.items():
        np.testing.assert_array_equal(
            numbers(content["weights"][name]["data"], "<f4"), values.flatten().numpy()
        )


def test_a_large_embedding_is_rounded_to_a_65534th_of_the_largest_number_of_each_row() -> None:
    words = [f"w{index}" for index in range(5_000)]
    one = network("one", words=words, size=100)
    with torch.no_grad():
        one.predictor.classifier.embedding.weight[0] = 0.0
        one.predictor.classifier.embedding.weight[1] *= 1000
    (content,) = contents([one])["networks"]
    embedding = content["weights"]["embedding.weight"]
    scales = numbers(embedding["scales"], "<f4")[:, None]
    read = numbers(embedding["data"], "<i2").reshape(-1, 100) * scales
    table = one.predictor.classifier.embedding.weight.detach().numpy()
    bound = np.abs(table).max(axis=1, keepdims=True) / 65534 * 1.01
    assert (np.abs(read - table) <= bound).all()


def test_an_embedding_that_rounding_would_move_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("memgate.reporting.live_network.ROUNDED_FROM", 1)
    monkeypatch.setattr("memgate.reporting.live_network.LARGEST_SHIFT", 1e-12)
    (content,) = contents([network("one")])["networks"]
    assert "scales" not in content["weights"]["embedding.weight"]


def test_networks_with_one_vocabulary_share_it() -> None:
    content = contents([network("a"), network("b", "rnn"), network("c", words=["cat"])])
    assert [one["vocabulary"] for one in content["networks"]] == [0, 0, 1]
    assert [one["entries"] for one in content["vocabularies"]] == [
        " ".join(["<unk>", *WORDS]),
        "<unk> cat",
    ]


def test_nouns_are_paired_with_their_other_number() -> None:
    assert number_pairs(Vocabulary.from_words(WORDS)) == [(2, 3), (4, 5)]


def test_labels_name_the_cell_and_where_cells_repeat_the_network() -> None:
    names = ["memgate-gru-synthetic@champion", "memgate-gru-synthetic-oracle@champion"]
    assert labels([network(name) for name in names]) == ["GRU, trained", "GRU, set by hand"]
    assert labels([network("a"), network("b"), network("c", "rnn")]) == [
        "GRU, trained (a)",
        "GRU, trained (b)",
        "RNN, trained",
    ]


def test_other_tasks_have_their_own_answers() -> None:
    content = contents([network("a"), network("b", task=INFLECTION)])["networks"]
    assert [one["answers"] for one in content] == [("drinks", "drink"), INFLECTION.words]
