"""Doses and responses on networks whose answers are known, and the laws of the table."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from memgate.data.batches import Prefixes
from memgate.data.items.roles import NO_ROLE, ROLES
from memgate.data.sources.grammar import Grammar
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.gates.interventions.dose_response import (
    HARD_CODED,
    INTERVENTION_DTYPES,
    PATHS,
    conditions,
    dose_response,
    probability_under,
    random_sets,
    with_known_roles,
)
from memgate.gates.interventions.edits import Clamp, ControlClamp, InterventionTarget, mean_values
from memgate.metrics.accuracy import wilson
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.models.classifier import CellName, Classifier
from memgate.predictor import Predictor

every_cell = pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
gated = pytest.mark.parametrize("cell", ["gru", "lstm"])
KEYS = ["edit", "quantity", "to", "units", "draw"]


@pytest.fixture(scope="module")
def items() -> pa.Table:
    """Items of the grammar."""
    grammar = Grammar(train=1, validation=1, test=110, max_intervening=8, seed=3)
    table: pa.Table = grammar.load()["test"].with_format("arrow")[:]
    return table


@pytest.fixture(scope="module")
def few(items: pa.Table) -> pa.Table:
    """Some of them, of few lengths: checked as they run, networks take 2 ms a word."""
    return items.take(np.flatnonzero(np.isin(items["verb_idx"].to_numpy(), [5, 8])))


def predictor(cell: CellName, items: pa.Table, layers: int = 1, units: int = 4) -> Predictor:
    """A network of random weights whose answers differ."""
    torch.manual_seed(1)
    words = sorted({word for text in items["text"].to_pylist() for word in text.split()})
    vocabulary = Vocabulary.from_words(words, ["NN", "NNS"])
    classifier = Classifier(len(vocabulary), cell, 5, units, layers, dropout=0.5)
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.mul_(3)
    return Predictor(classifier.train(), vocabulary)


def encode(model: Predictor, items: pa.Table) -> Prefixes:
    return Prefixes.from_table(model.vocabulary, items, model.task.make_inputs(items, 0))


def last_noun(items: pa.Table) -> Predictor:
    """A GRU of one unit set by hand: it writes the number of every noun, and nothing else.

    z = σ(20 - 40 n) with n = 1 for nouns, the candidate is tanh(±20) from the word alone, so h is
    ±1 for the last noun's number.
    """
    model = predictor("gru", items, units=1)
    vocabulary = model.vocabulary
    tags = {
        word: tag
        for text, tagged in zip(items["text"].to_pylist(), items["tags"].to_pylist(), strict=True)
        for word, tag in zip(text.split(), tagged.split(), strict=False)
    }
    classifier = Classifier(len(vocabulary), "gru", 2, 1)
    entries = vocabulary.tokenizer.get_vocab()
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.zero_()
        for word, tag in tags.items():
            if tag in ("NN", "NNS"):
                sign = 1.0 if tag == "NNS" else -1.0
                classifier.embedding.weight[entries[word]] = torch.tensor([1.0, sign])
        ih = classifier.recurrence.get_parameter("weight_ih_l0")
        ih[1, 0], ih[2, 1] = -40.0, 20.0
        classifier.recurrence.get_parameter("bias_ih_l0")[1] = 20.0
        classifier.readout.weight.fill_(5.0)
    return Predictor(classifier, vocabulary)


def accuracies(table: pd.DataFrame, **where: object) -> pd.Series[float]:
    for name, value in where.items():
        table = table[table[name] == value]
    return table.set_index(["by", "stratum"])["accuracy"]


# Independent truth


def test_a_gate_set_by_hand_makes_the_last_noun_the_first(items: pa.Table) -> None:
    """Its errors are those of the last noun; hard-coded it makes none; writing all, it forgets."""
    model = last_noun(items)
    table = dose_response(model, encode(model, items), steps=3)
    labels = items["label"].to_numpy()
    last = []
    for tags, verb_idx in zip(
        items["tags"].to_pylist(), items["verb_idx"].to_pylist(), strict=True
    ):
        nouns = [tag for tag in tags.split()[:verb_idx] if tag in ("NN", "NNS")]
        last.append(int(nouns[-1] == "NNS"))
    expected = float(np.mean(np.array(last) == labels))
    assert 0.5 < expected < 0.95
    for edit in ("none", "control"):
        assert accuracies(table, edit=edit)["overall", "all"] == expected
    assert accuracies(table, note=HARD_CODED)["overall", "all"] == 1
    assert accuracies(table, quantity="keep", to=1.0)["overall", "all"] == 1
    # a candidate that knows no noun is 0, and P(plural) = 0.5 counts as singular
    written = accuracies(table, edit="clamp", quantity="write", to=1.0)
    between = (items["verb_idx"].to_numpy() - items["subj_idx"].to_numpy() - 1) > 0
    final = [
        tags.split()[verb_idx - 1]
        for tags, verb_idx in zip(
            items["tags"].to_pylist(), items["verb_idx"].to_pylist(), strict=True
        )
    ]
    answers = np.where(between, [int(tag == "NNS") for tag in final], labels)
    assert written["overall", "all"] == np.mean(answers == labels)
    # its candidate and its gate don't look at what they hold: no path to cut
    assert accuracies(table, edit="cut", quantity="recurrent_input")["overall", "all"] == expected
    assert accuracies(table, edit="cut", quantity="reset")["overall", "all"] == expected


@every_cell
def test_without_an_edit_the_answers_are_the_predictors(cell: CellName, few: pa.Table) -> None:
    model = predictor(cell, few, layers=2)
    prefixes = encode(model, few)
    found = [probability_under(model, prefixes, batch_size=size) for size in (1, 3, 256)]
    assert model.classifier.training
    expected = model.probability(prefixes)
    assert np.ptp(expected) > 0.02
    for p in found:
        np.testing.assert_allclose(p, expected, rtol=0, atol=1e-6)


@gated
def test_the_control_is_exactly_the_network_without_an_edit(cell: CellName, few: pa.Table) -> None:
    model = predictor(cell, few, layers=2)
    prefixes = encode(model, few)
    plain = torch.from_numpy(probability_under(model, prefixes))
    for name in ("write", "keep"):
        own = ControlClamp(InterventionTarget(name, None))
        assert torch.equal(torch.from_numpy(probability_under(model, prefixes, own)), plain)
    low, high = (
        probability_under(model, prefixes, Clamp(InterventionTarget("write"), to))
        for to in (0.0, 1.0)
    )
    unchanged = (prefixes.intervening == 0).numpy()
    assert (low[unchanged] == plain.numpy()[unchanged]).all()
    assert (low != high)[~unchanged].any()


# The table


@every_cell
def test_every_line_has_every_stratum_and_adds_up(cell: CellName, few: pa.Table) -> None:
    model = predictor(cell, few)
    units = None if cell == "rnn" else ((0, 1), (0, 2))
    prefixes = encode(model, few)
    table = dose_response(model, prefixes, units, steps=3, draws=2)
    assert table.dtypes.astype(str).to_dict() == INTERVENTION_DTYPES
    strata = []
    for _, line in table.groupby(KEYS, dropna=False, sort=False):
        strata.append(line[["by", "stratum", "n"]].to_numpy().tolist())
        overall = line[line["by"] == "overall"]
        assert overall["n"].tolist() == [len(few)]
        for by in ("label", "intervening", "attractors"):
            parts = line[line["by"] == by]
            assert parts["n"].sum() == len(few)
            assert parts["correct"].sum() == overall["correct"].iloc[0]
        for row in line.to_dict("records"):
            assert row["accuracy"] == row["correct"] / row["n"]
            assert (row["low"], row["high"]) == wilson(row["correct"], row["n"])
    assert all(each == strata[0] for each in strata)
    names = INTERVENING.names_of(prefixes.intervening.numpy())
    counts = table[(table["edit"] == "none") & (table["by"] == "intervening")]
    assert dict(zip(counts["stratum"], counts["n"], strict=True)) == Counter(names)
    assert set(table.loc[table["by"] == "attractors", "stratum"]) <= set(ATTRACTORS.names)


def named(table: pd.DataFrame) -> list[tuple[object, ...]]:
    first = table[table["by"] == "overall"]
    return [
        tuple(None if pd.isna(value) else value for value in row)
        for row in first[KEYS].itertuples(index=False)
    ]


def test_the_lines_of_each_cell(few: pa.Table) -> None:
    def clamps(units: str, draw: int | None, hold: bool) -> list[tuple[object, ...]]:
        clamp_values = [("clamp", "write", to, units, draw) for to in (0.0, 0.5, 1.0)]
        ends = [("clamp", "keep", to, units, draw) for to in (0.0, 1.0)]
        return [*clamp_values, *ends, *([("hold", "write", None, units, draw)] if hold else [])]

    def controls(units: str) -> list[tuple[object, ...]]:
        return [(edit, "write", None, units, None) for edit in ("control", "mean", "resample")]

    def cuts(*names: tuple[str, str]) -> list[tuple[object, ...]]:
        return [("cut", path, None, units, None) for path, units in names]

    none = [("none", None, None, "all", None)]
    model = predictor("rnn", few)
    found = dose_response(model, encode(model, few), steps=3)
    assert named(found) == [*none, *cuts(("recurrent_input", "all"))]
    model = predictor("gru", few)
    found = dose_response(model, encode(model, few), steps=3)
    assert named(found) == [
        *none,
        *controls("all"),
        *clamps("all", None, False),
        *cuts(("recurrent_input", "all"), ("reset", "all")),
    ]
    model = predictor("lstm", few)
    found = dose_response(model, encode(model, few), ((0, 3),), steps=3, draws=2)
    assert named(found) == [
        *none,
        *controls("chosen"),
        *clamps("chosen", None, True),
        *clamps("random", 0, True),
        *clamps("random", 1, True),
        *cuts(
            ("recurrent_input", "all"),
            ("recurrent_input", "chosen"),
            ("output", "all"),
            ("output", "chosen"),
        ),
    ]
    noted = found[found["note"].notna()]
    assert named(noted) == [("clamp", "write", 0.0, "chosen", None)]
    assert set(noted["note"]) == {"hard-coded"}


def test_a_gru_that_keeps_all_writes_nothing(few: pa.Table) -> None:
    model = predictor("gru", few)
    table = dose_response(model, encode(model, few), steps=2)
    for write, keep in [(0.0, 1.0), (1.0, 0.0)]:
        one = accuracies(table, quantity="write", to=write)
        pd.testing.assert_series_equal(one, accuracies(table, quantity="keep", to=keep))


def test_the_table_depends_on_its_seed_alone(few: pa.Table) -> None:
    model = predictor("gru", few, units=9)
    prefixes = encode(model, few)
    first, second = (dose_response(model, prefixes, ((0, 1),), steps=2, draws=2) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    mean = mean_values(model.classifier, prefixes, ["write", "recurrent_input", "reset"])
    planned = [
        conditions(model.classifier.recurrence, mean, ((0, 1),), ("noun",), 2, 2, seed)
        for seed in (0, 0, 1)
    ]
    assert planned[0] == planned[1]  # interventions are values
    changed = [one.edit for one, other in zip(planned[0], planned[2], strict=True) if one != other]
    assert set(changed) == {"resample", "clamp"}


# Random sets


def test_random_sets_are_of_other_units_of_the_same_layers() -> None:
    net = Classifier(9, "gru", 2, 6, num_layers=2).recurrence
    chosen = ((0, 1), (0, 4), (1, 2))
    drawn = random_sets(net, chosen, 40, 0)
    assert drawn == random_sets(net, chosen, 40, 0)
    assert 10 < len(drawn) == len(set(drawn))
    for units in drawn:
        assert [layer for layer, _ in units] == [0, 0, 1]
        assert len(set(units)) == 3
        assert not set(units) & set(chosen)
    assert {unit for units in drawn for unit in units} == {
        (layer, unit) for layer in (0, 1) for unit in range(6)
    } - set(chosen)


def test_a_random_set_of_more_than_the_others_takes_all_of_these() -> None:
    net = Classifier(9, "gru", 2, 4).recurrence
    drawn = random_sets(net, ((0, 0), (0, 1), (0, 2)), 9, 0)
    assert len(drawn) <= 3
    for units in drawn:
        assert (0, 3) in units
        assert len(set(units)) == 3
    assert random_sets(net, tuple((0, unit) for unit in range(4)), 9, 0) == []


# What can be scored


def test_items_without_known_roles_are_marked(items: pa.Table) -> None:
    model = predictor("gru", items)
    prefixes = encode(model, items)
    assert with_known_roles(prefixes).all()
    between = (prefixes.intervening > 1).nonzero().flatten().tolist()
    row, other, third = between[:3]
    prefixes.roles[prefixes.starts[row] + prefixes.subjects[row] + 2] = NO_ROLE
    prefixes.subjects[other] = -1
    prefixes.roles[prefixes.starts[third]] = NO_ROLE  # before the subject: it is not missed
    assert np.flatnonzero(~with_known_roles(prefixes)).tolist() == sorted([row, other])


@pytest.mark.parametrize("steps", [1, 0, -3])
def test_refuses_fewer_than_two_doses(few: pa.Table, steps: int) -> None:
    model = predictor("gru", few)
    with pytest.raises(InputError, match=rf"^steps: expected at least 2, got {steps}$"):
        dose_response(model, encode(model, few), steps=steps)


def test_refuses_units_and_roles_that_are_not_there(few: pa.Table) -> None:
    model = predictor("gru", few)
    prefixes = encode(model, few)
    with pytest.raises(InputError, match="units 0 to 3, got 0:4"):
        dose_response(model, prefixes, ((0, 4),))
    with pytest.raises(InputError, match="expected words of the roles verb, got none"):
        dose_response(model, prefixes, roles=("verb",))
    assert "verb" in ROLES


def test_every_kind_of_recurrence_has_paths() -> None:
    for cell in ("rnn", "gru", "lstm"):
        net = Classifier(3, cell, 2, 2).recurrence
        assert "recurrent_input" in PATHS[net.mode]
    with pytest.raises(KeyError):
        conditions(Classifier(3, "gru", 2, 2).recurrence, {}, None, ("noun",), 2, 1, 0)
