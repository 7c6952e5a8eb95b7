"""Explanations give the numbers of the network itself, word by word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memgate.data.items.tasks import GRAMMATICALITY, NUMBER, Task
from memgate.data.tagger import Tagger
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.gates.explain.explanation import (
    CONVENTIONS,
    GLOSSARY,
    Explanation,
    explain,
    find_roles,
)
from memgate.gates.units.unit import NUMBER_UNITS, Unit, check_model_units, saved_units
from memgate.models.classifier import CellName, Classifier
from memgate.models.trajectory import replay, unroll
from memgate.predictor import Predictor

WORDS = ["the", "cat", "cats", ",", "which", "ate", "a", "bunch", "of", "food"]
SENTENCE = "the cat , which ate a bunch of food ,"
EVERY = [Unit(layer, unit) for layer in (0, 1) for unit in range(5)]

every_cell = pytest.mark.parametrize("cell", get_args(CellName))


def build(
    cell: CellName, dtype: torch.dtype = torch.float64, task: Task = NUMBER, **sizes: int
) -> Predictor:
    """Two layers of five units with gates that use their whole range; dropout that must not act."""
    torch.manual_seed(0)
    vocabulary = Vocabulary.from_words(WORDS, ["NNS", "VBD"])
    shape = {"embedding_size": 4, "hidden_size": 5, "num_layers": 2, **sizes}
    classifier = Classifier(len(vocabulary), cell, dropout=0.5, **shape).to(dtype)
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.normal_(std=1.2)
    return Predictor(classifier.eval(), vocabulary, task)


def ids(predictor: Predictor, sentence: str) -> torch.Tensor:
    found = predictor.vocabulary.encode(pa.array(sentence.split(" ")))
    return torch.from_numpy(found).long().unsqueeze(0)


@every_cell
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_p_is_that_of_each_prefix(cell: CellName, dtype: torch.dtype, tolerance: float) -> None:
    predictor = build(cell, dtype)
    inputs = ids(predictor, SENTENCE)
    expected = [float(predictor.classifier.probability(inputs[:, :n])) for n in range(1, 11)]
    np.testing.assert_allclose(explain(predictor, SENTENCE).p, expected, atol=tolerance, rtol=0)


@every_cell
@pytest.mark.parametrize("walk", [unroll, replay])
def test_gates_and_memory_are_those_of_the_trajectories(cell: CellName, walk: Any) -> None:
    predictor = build(cell)
    found = explain(predictor, SENTENCE, EVERY)
    inputs = predictor.classifier.embedding(ids(predictor, SENTENCE))
    with torch.no_grad():
        layers = walk(predictor.classifier.recurrence, inputs)
    assert [trace.unit for trace in found.units] == EVERY
    for trace in found.units:
        layer, own = layers[trace.unit.layer], (0, slice(None), trace.unit.unit)
        memory = layer.hidden if layer.cell is None else layer.cell
        np.testing.assert_allclose(trace.memory, memory[own], atol=1e-12)
        for name in ("write", "keep"):
            gate = getattr(trace, name)
            assert (gate is None) == (cell == "rnn")
            if gate is not None:
                np.testing.assert_allclose(gate, layer.readings[name][own], atol=1e-12)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_effect_is_what_the_gates_make_of_candidate_and_memory(cell: CellName) -> None:
    predictor = build(cell)
    inputs = predictor.classifier.embedding(ids(predictor, SENTENCE))
    layers = unroll(predictor.classifier.recurrence, inputs)
    for trace in explain(predictor, SENTENCE, EVERY).units:
        candidate = layers[trace.unit.layer].candidate[0, :, trace.unit.unit].numpy()
        before = np.concatenate([[0.0], trace.memory[:-1]])
        assert trace.write is not None
        assert trace.keep is not None
        if cell == "gru":
            expected = trace.write * (candidate - before)
        else:
            expected = trace.write * candidate - (1 - trace.keep) * before
        np.testing.assert_allclose(trace.state_update, expected, atol=1e-12)


@every_cell
def test_the_top_layer_adds_up_to_the_log_odds_and_lower_ones_have_no_share(cell: CellName) -> None:
    predictor = build(cell)
    found = explain(predictor, SENTENCE, EVERY)
    below, top = found.units[:5], found.units[5:]
    assert all(trace.contribution is None and trace.contribution_change is None for trace in below)
    bias = float(predictor.classifier.readout.bias.detach())
    pulls = np.sum([trace.contribution for trace in top], axis=0)  # type: ignore[arg-type]
    np.testing.assert_allclose(pulls + bias, found.log_odds, atol=1e-12)
    evidence = np.sum([trace.contribution_change for trace in top], axis=0)  # type: ignore[arg-type]
    changes = np.diff(found.log_odds, prepend=bias)
    np.testing.assert_allclose(evidence, changes, atol=1e-12)


@given(st.lists(st.sampled_from(WORDS), min_size=2, max_size=12), st.integers(1, 11))
@settings(max_examples=25, deadline=None)
def test_what_comes_later_changes_nothing(words: list[str], cut: int) -> None:
    predictor = build("lstm")
    n = min(cut, len(words))
    whole = explain(predictor, " ".join(words), EVERY)
    part = explain(predictor, " ".join(words[:n]), EVERY)
    np.testing.assert_allclose(whole.log_odds[:n], part.log_odds, atol=1e-12)
    for a, b in zip(whole.units, part.units, strict=True):
        np.testing.assert_allclose(a.state_update[:n], b.state_update, atol=1e-12)


@every_cell
def test_unnamed_units_are_those_that_pull_most(cell: CellName) -> None:
    predictor = build(cell)
    found = explain(predictor, SENTENCE)
    ends = {
        trace.unit: abs(float(trace.contribution[-1]))
        for trace in explain(predictor, SENTENCE, EVERY).units
        if trace.contribution is not None
    }
    largest = sorted(ends, key=ends.__getitem__, reverse=True)[:3]
    assert [trace.unit for trace in found.units] == largest
    assert found.chosen.startswith("3 with the largest |readout weight × change")
    named = explain(predictor, SENTENCE, [Unit(1, 2)], chosen="as requested")
    assert (named.chosen, [trace.unit for trace in named.units]) == ("as requested", [Unit(1, 2)])


def test_a_network_of_two_units_shows_both() -> None:
    found = explain(build("gru", hidden_size=2, num_layers=1), SENTENCE)
    assert {trace.unit for trace in found.units} == {Unit(0, 0), Unit(0, 1)}
    assert found.size == (1, 2)


def test_an_rnn_shows_state_and_pull_and_the_others_their_gates() -> None:
    def names(cell: CellName, unit: Unit) -> list[str]:
        (trace,) = explain(build(cell), SENTENCE, [unit]).units
        return [name for name, _ in trace.shown]

    assert names("rnn", Unit(1, 0)) == ["state", "contribution"]
    assert names("rnn", Unit(0, 0)) == ["state"]
    assert names("gru", Unit(1, 0)) == ["write", "keep", "state_update", "contribution_change"]
    assert names("lstm", Unit(0, 0)) == ["write", "keep", "state_update"]
    assert set(GLOSSARY) == {
        "write",
        "keep",
        "state_update",
        "contribution_change",
        "probe",
        "state",
        "contribution",
    }
    assert "torch's z keeps" in CONVENTIONS
    assert "Γu" in CONVENTIONS


def test_words_are_shown_as_they_are_read() -> None:
    found = explain(build("gru"), "The zorks  NNS ate", tags=["DT", "NNS", None, "VBD"])
    assert [word.read for word in found.words] == ["the", "NNS", "NNS", "ate"]
    assert [word.known for word in found.words] == [True, False, True, True]
    assert [word.label for word in found.words] == ["The", "zorks (NNS)", "NNS", "ate"]
    assert found.sentence == "The zorks NNS ate"
    assert explain(build("gru"), "the zorks").words[1].label == "zorks (<unk>)"


def test_rows_are_tidy_and_answers_those_of_the_task() -> None:
    found = explain(build("rnn", task=GRAMMATICALITY), "the cat", EVERY, model="m")
    assert found.answers == ("grammatical", "ungrammatical")
    rows = found.rows()
    assert len(rows) == 2 * len(EVERY)
    last = rows[-1]
    assert (last["model"], last["position"], last["text"], last["unit"]) == ("m", 1, "cat", 4)
    assert (last["write"], last["keep"]) == (None, None)
    assert last["p"] == pytest.approx(found.p[-1], abs=0)
    json.dumps(rows, allow_nan=False)


def test_an_extreme_answer_overflows_nothing() -> None:
    predictor = build("gru")
    with torch.no_grad():
        predictor.classifier.readout.bias.fill_(-800)
    found: Explanation = explain(predictor, SENTENCE)
    assert (found.p >= 0).all()
    assert found.p.max() < 1e-300


@pytest.mark.parametrize(
    ("sentence", "options", "told"),
    [
        ("", {}, "sentence: expected words separated by spaces, got none"),
        (" \t", {}, "sentence: expected words"),
        ("zrk frrp", {}, "expected at least one word of the vocabulary"),
        ("the cat", {"units": [Unit(0, 5)]}, "layers 0 to 1 and units 0 to 4 of m, got 0:5"),
        ("the cat", {"units": [Unit(2, 0)]}, "got 2:0"),
        ("the cat", {"tags": ["DT"]}, "tags: expected 2, one a word, got 1"),
        ("the cat", {"roles": ["subject"]}, "roles: expected 2, one a word, got 1"),
    ],
)
def test_wrong_input_is_told(sentence: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=r"^[^\n]*$") as caught:
        explain(build("gru"), sentence, model="m", **options)
    assert told in str(caught.value)


@every_cell
def test_the_probe_reads_the_change_of_the_state_in_every_layer(cell: CellName) -> None:
    predictor = build(cell)
    direction = np.random.default_rng(0).normal(size=(2, 5))
    inputs = predictor.classifier.embedding(ids(predictor, SENTENCE))
    with torch.no_grad():
        layers = unroll(predictor.classifier.recurrence, inputs)
    without = explain(predictor, SENTENCE, EVERY)
    found = explain(predictor, SENTENCE, EVERY, probe=direction)
    for trace, before in zip(found.units, without.units, strict=True):
        layer, unit = trace.unit
        assert before.probe is None
        assert {name for name, _ in before.on_page} >= {name for name, _ in before.shown}
        assert trace.on_page[-1][0] == "probe"
        assert trace.probe is not None
        state = layers[layer].hidden[0, :, unit].numpy()
        np.testing.assert_allclose(trace.probe.cumsum(), direction[layer, unit] * state, atol=1e-12)
    with pytest.raises(InputError, match=r"layers × units of the model, \(2, 5\), got \(1, 5"):
        explain(predictor, SENTENCE, EVERY, probe=direction[:1])


def test_units_have_names() -> None:
    assert Unit.parse(" 0:13 ") == Unit(0, 13)
    assert str(Unit(1, 4)) == "1:4"
    for wrong in ("3", "0:", "-1:2", "a:b", "0:1:2", ""):
        with pytest.raises(InputError, match="expected layer:unit, such as 0:3"):
            Unit.parse(wrong)
    check_model_units([Unit(1, 4)], build("gru"), "m")


def test_saved_units_are_found(tmp_path: Path) -> None:
    assert saved_units(tmp_path).units == []
    file = tmp_path / NUMBER_UNITS
    file.write_text('{"units": [[0, 3], [1, 5]], "tables": {}}')
    assert saved_units(tmp_path).units == [Unit(0, 3), Unit(1, 5)]
    assert saved_units(tmp_path).probe is None
    for wrong in ("", "[]", "{}", '{"units": 3}', '{"units": [[1]]}', '{"units": [["a", "b"]]}'):
        file.write_text(wrong)
        with pytest.raises(InputError, match=r"number_units.json: expected pairs of layer and"):
            saved_units(tmp_path)


TAGS = {"the": "DT", "keys": "NNS", "to": "TO", "cabinet": "NN", "shelves": "NNS", "Rome": "NNP"}


def tagger() -> Tagger:
    return Tagger(pa.array([word.lower() for word in TAGS]), pa.array(list(TAGS.values())))


@pytest.mark.parametrize(
    ("sentence", "subject", "expected"),
    [
        ("the keys to the cabinet", 1, "before subject other other attractor"),
        ("the keys to the cabinet", None, "before subject other other attractor"),
        ("the keys to the shelves", None, "before subject other other noun"),
        ("the cabinet zorks shelves", None, "before subject - attractor"),
        ("Rome to shelves", 0, "subject other attractor"),
        ("zork to the cabinet", 0, "subject other other -"),  # its number isn't known
        ("the zork", None, "- -"),
    ],
)
def test_roles_are_found_as_far_as_tags_tell(
    sentence: str, subject: int | None, expected: str
) -> None:
    found = find_roles(sentence.split(), subject, tagger())
    assert [role or "-" for role in found] == expected.split()


def test_without_a_tagger_only_the_given_subject_is_known() -> None:
    assert find_roles(["the", "keys", "to"], 1) == ["before", "subject", None]
    assert find_roles(["the", "keys", "to"]) == [None] * 3


def test_a_verb_that_is_read_has_its_role() -> None:
    found = find_roles(["the", "keys", "to", "the", "cabinet", "are", "here"], 1, tagger(), verb=5)
    assert found[1:] == ["subject", "other", "other", "attractor", "verb", None]


@pytest.mark.parametrize(("subject", "verb"), [(3, None), (-1, None), (2, 2)])
def test_a_subject_that_is_not_there_is_told(subject: int, verb: int | None) -> None:
    with pytest.raises(InputError, match=r"subject: expected a word from 0 to \d of 'the keys to'"):
        find_roles(["the", "keys", "to"], subject, verb=verb)
