"""Write and keep of units over many sentences, against the explanation of each alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.gates.explain.explanation import explain
from memgate.gates.explain.traces import known_units, traces
from memgate.gates.units.unit import NUMBER_UNITS, Unit
from memgate.models.classifier import CellName, Classifier
from memgate.predictor import Predictor

WORDS = ["the", "a", "key", "keys", "to", "cabinet", "near"]


def predictor(cell: CellName, layers: int = 1) -> Predictor:
    torch.manual_seed(3)
    vocabulary = Vocabulary.from_words(WORDS, ["NNS", "NN"])
    classifier = Classifier(len(vocabulary), cell, 5, 4, layers)
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.mul_(3)
    return Predictor(classifier.eval(), vocabulary)


@settings(max_examples=25)
@given(
    cell=st.sampled_from(["gru", "lstm"]),
    texts=st.lists(
        st.lists(st.sampled_from([*WORDS, "gnus", "The"]), min_size=1, max_size=6).map(
            lambda words: " ".join([*words, "key"])
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_each_sentence_as_it_is_explained_alone(cell: CellName, texts: list[str]) -> None:
    model = predictor(cell, 2)
    units = [Unit(1, 3), Unit(0, 0)]
    tags = [
        " ".join(["NNS"] * len(text.split())) if row % 2 else None for row, text in enumerate(texts)
    ]
    found = traces(model, units, texts, tags)
    assert len(found) == len(texts)
    for text, symbols, trace in zip(texts, tags, found, strict=True):
        alone = explain(model, text, units, tags=(symbols or "").split())
        assert trace["words"] == text.split()
        assert trace["read"] == [word.read for word in alone.words]
        assert list(trace["units"]) == ["1:3", "0:0"]
        for unit, expected in zip(trace["units"].values(), alone.units, strict=True):
            assert list(unit) == ["write", "keep"]
            assert expected.write is not None
            assert expected.keep is not None
            assert np.allclose(unit["write"], expected.write, atol=1e-6)
            assert np.allclose(unit["keep"], expected.keep, atol=1e-6)


def test_a_gru_writes_what_it_does_not_keep() -> None:
    (found,) = traces(predictor("gru"), [Unit(0, 2)], ["the keys to"], [None])
    unit = found["units"]["0:2"]
    assert np.allclose(np.add(unit["write"], unit["keep"]), 1, atol=1e-6)
    (found,) = traces(predictor("lstm"), [Unit(0, 2)], ["the keys to"], [None])
    unit = found["units"]["0:2"]
    assert not np.allclose(np.add(unit["write"], unit["keep"]), 1, atol=1e-2)


def test_units_beside_a_model_and_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NUMBER_UNITS
    with pytest.raises(InputError, match=r"^gates: no number units are known of this model"):
        known_units(predictor("gru"), tmp_path)
    path.write_text('{"units": [[0, 3], [0, 1]]}')
    assert known_units(predictor("gru"), tmp_path) == [Unit(0, 3), Unit(0, 1)]
    with pytest.raises(InputError, match=r"^gates: expected a GRU or an LSTM, got an RNN"):
        known_units(predictor("rnn"), tmp_path)
    path.write_text('{"units": [[1, 0]]}')
    with pytest.raises(InputError, match=r"^units: expected layers 0 to 0 .* got 1:0$"):
        known_units(predictor("gru"), tmp_path)
    path.write_text("{")
    with pytest.raises(InputError, match="expected pairs of layer and unit"):
        known_units(predictor("gru"), tmp_path)
