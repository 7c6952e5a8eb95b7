"""Number units of networks in which it is known which units carry the number."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from memgate.data.items.schema import FEATURES
from memgate.data.items.tasks import NOUNS
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.gates.units.number_units import NumberUnits, number_units
from memgate.gates.units.unit import saved_units
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor

SINGULAR, PLURAL = [f"cat{i}" for i in range(5)], [f"cats{i}" for i in range(5)]
FILLERS = ["often", "now", "really"]
WORDS = [*SINGULAR, *PLURAL, *FILLERS]


def build(carriers: list[int], units: int = 5, seed: int = 0) -> Predictor:
    """An RNN in which the given units hold the number: each is a latch that a noun sets.

    tanh(3·h) has stable points at ±0.995; a noun shifts by ∓8. The other units answer to fillers.
    """
    torch.manual_seed(seed)
    classifier = Classifier(len(WORDS) + 1, "rnn", len(WORDS) + 1, units)
    weights = classifier.state_dict()  # the parameters themselves, not copies
    for weight in weights.values():
        weight.zero_()
    weights["embedding.weight"].copy_(torch.eye(len(WORDS) + 1))
    weights["readout.bias"].fill_(0.05)
    weights["recurrence.weight_ih_l0"][:, 11:].normal_(std=0.5)
    weights["recurrence.weight_ih_l0"][carriers] = 0
    for unit in carriers:
        weights["recurrence.weight_hh_l0"][unit, unit] = 3
        weights["recurrence.weight_ih_l0"][unit, 1:6] = -8
        weights["recurrence.weight_ih_l0"][unit, 6:11] = 8
        weights["readout.weight"][0, unit] = 2
    return Predictor(classifier.eval(), Vocabulary.from_words(WORDS))


@cache
def items(n: int = 400, least: int = 6) -> pa.Table:
    """Sentences of a filler, a noun and `least` to `least` + 2 fillers."""
    rng = np.random.default_rng(0)
    rows = []
    for place in range(n):
        plural = place % 3 == 0
        between = least + place // 3 % 3
        noun = rng.choice(PLURAL if plural else SINGULAR)
        words = [rng.choice(FILLERS), noun, *rng.choice(FILLERS, between), "are"]
        row = dict.fromkeys(FEATURES)
        known = {"text": " ".join(words), "subj_idx": 1, "verb_idx": between + 2}
        known |= {"label": "pl" if plural else "sg", "n_attractors": place % 2}
        rows.append({**row, **known})
    return datasets.Dataset.from_list(rows, features=FEATURES).with_format("arrow")[:]


@cache
def found(*carriers: int) -> NumberUnits:
    return number_units(build(list(carriers)), items())


def test_the_one_unit_that_carries_the_number_is_found() -> None:
    result = found(2)
    assert result.units == ((0, 2),)
    table = result.unit_table.set_index("unit")
    assert table.index[table["number"]].tolist() == [2]
    for column in ("probe", "readout", "drop", "drop_without", "drop_with"):
        assert table[column].abs().idxmax() == 2
    assert table.loc[2, "drop"] == pytest.approx(0.5, abs=0.01)
    assert (table["drop"].drop(2) == 0).all()
    assert table["n"].tolist() == [400] * 5
    assert (table["n_without"] + table["n_with"] == 400).all()


def test_of_two_that_carry_it_both_must_go() -> None:
    result = found(1, 4)
    assert set(result.units) == {(0, 1), (0, 4)}
    assert (result.unit_table["drop"] == 0).all(), "either of them is enough"
    greedy = result.sets[result.sets["order"] == "greedy"].set_index("size")["accuracy"]
    assert greedy[1] == 1
    assert greedy[2] == pytest.approx(0.5, abs=0.01)


def test_no_unit_is_named_where_only_all_carry_it_or_none_does() -> None:
    everything = number_units(build([0, 1, 2], units=3), items())
    assert everything.units == ()
    assert everything.sets["size"].max() == 2, "the whole network's loss would say nothing"
    assert not everything.unit_table["number"].any()
    nothing = number_units(build([]), items())
    assert nothing.units == ()
    start = nothing.sets[nothing.sets["order"] == "none"]
    assert start["accuracy"].item() == pytest.approx(0.5, abs=0.1)


def test_every_order_is_scored_at_every_size() -> None:
    sets = found(1, 4).sets
    sizes = sets.groupby(["order", "draw"])["size"].apply(list)
    assert sizes["none", 0] == [0]
    assert sizes["probe", 0] == sizes["readout", 0] == [1, 2, 3, 4]
    assert all(sizes["random", draw] == [1, 2, 3, 4] for draw in range(5))
    assert sizes["greedy", 0] == [1, 2], "at chance it ends"
    orders = sets[sets["size"] > 0].groupby(["order", "draw"])["unit"]
    assert all(len(set(units)) == len(units) for _, units in orders)
    assert (sets["n"] == 200).all(), "scores are of the half on which nothing was chosen"
    assert set(orders.get_group(("probe", 0))[:2]) == {1, 4}


def test_probes_see_the_number_at_every_word() -> None:
    result = found(2)
    assert result.probe["position"].tolist()[:8] == [*map(str, range(8))]
    assert result.probe["position"].tolist()[-1] == "last"
    assert (result.probe["accuracy"] == 1).all()
    assert (result.probe["n_control"] == result.probe["n"]).all()
    last = result.weights[result.weights["position"] == "last"]
    assert last["weight"].tolist() == result.unit_table["probe"].tolist()


def test_the_direction_is_the_probe_s_at_the_last_word() -> None:
    result = found(2)
    direction = result.probe_direction
    assert direction.shape == (1, 5)
    assert np.abs(direction).argmax() == 2
    last = result.weights[result.weights["position"] == "last"]
    np.testing.assert_array_equal(direction[0], last["weight"] / last["sd"])
    shuffled = replace(result, weights=result.weights.sample(frac=1, random_state=0))
    np.testing.assert_array_equal(shuffled.probe_direction, direction)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "number_units.json"
    for result in (found(1, 4), number_units(build([0, 1, 2], units=3), items())):
        result.save(path)
        loaded = NumberUnits.load(path)
        assert loaded.units == result.units
        assert loaded.between == result.between == 6
        assert saved_units(tmp_path).units == list(result.units)
        probe = saved_units(tmp_path).probe
        assert probe is not None
        np.testing.assert_allclose(probe, result.probe_direction, rtol=0, atol=1e-12)
        again = path.read_bytes()
        loaded.save(path)
        assert path.read_bytes() == again
        for name in ("unit_table", "sets", "probe", "weights"):
            pd.testing.assert_frame_equal(
                getattr(loaded, name), getattr(result, name), rtol=0, atol=1e-14
            )


def test_a_file_of_memgate_0_1_is_read(tmp_path: Path) -> None:
    result, path = found(1), tmp_path / "number_units.json"
    result.save(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    tables = content["tables"]
    tables["carriers"] = tables.pop("unit_table")
    for name in ("probe", "weights"):
        columns = tables[name]["columns"]
        columns[columns.index("position")] = "place"
    path.write_text(json.dumps(content), encoding="utf-8")
    loaded = NumberUnits.load(path)
    pd.testing.assert_frame_equal(loaded.unit_table, result.unit_table, rtol=0, atol=1e-14)
    pd.testing.assert_frame_equal(loaded.weights, result.weights, rtol=0, atol=1e-14)


@pytest.mark.parametrize("text", ["", "[]", '{"units": []}', '{"units": [[1]], "tables": {}}'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "number_units.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"number_units.json: expected number units in JSON, got"):
        NumberUnits.load(path)
    with pytest.raises(InputError, match="expected number units in JSON"):
        NumberUnits.load(tmp_path / "missing.json")


def test_the_same_seed_finds_the_same() -> None:
    first, again = (number_units(build([2]), items(), seed=3, items=300) for _ in range(2))
    other = number_units(build([2]), items(), seed=4, items=300)
    assert first.units == again.units == other.units == ((0, 2),)
    pd.testing.assert_frame_equal(first.sets, again.sets)
    assert not first.probe.equals(other.probe)


def test_fewer_words_between_are_taken_where_few_items_have_more() -> None:
    assert number_units(build([2]), items(600, least=2)).between == 3
    near = number_units(build([2]), items(200, least=2))
    assert near.between == 0
    assert near.units == ((0, 2),)


def test_layers_are_told_apart() -> None:
    """The number is in unit 1 of the lower layer, and unit 0 of the upper one copies it."""
    one = build([1], units=3)
    classifier = Classifier(len(WORDS) + 1, "rnn", len(WORDS) + 1, 3, 2)
    weights = classifier.state_dict()
    for name, weight in weights.items():
        weight.copy_(one.classifier.state_dict().get(name, torch.zeros(())))
    weights["recurrence.weight_ih_l1"][0, 1] = 2
    weights["readout.weight"][0] = torch.tensor([2.0, 0, 0])
    result = number_units(Predictor(classifier.eval(), one.vocabulary), items())
    assert len(result.units) == 1
    assert result.units[0] in {(0, 1), (1, 0)}
    table = result.unit_table.set_index(["layer", "unit"])
    assert (table["drop"] > 0.4).to_numpy().nonzero()[0].tolist() == [1, 3]
    assert table["readout"].isna().tolist() == [True] * 3 + [False] * 3
    assert result.probe["layer"].unique().tolist() == [0, 1]
    assert np.abs(result.probe_direction).argmax(axis=1).tolist() == [1, 0]
    assert (result.probe_direction[[0, 1], [1, 0]] > 0).all(), "+ is plural"


def test_items_that_say_nothing_are_refused() -> None:
    with pytest.raises(InputError, match=r"at least 40 singular and as many plural .* 78 and 39"):
        number_units(build([2]), items(117))
    nouns = Predictor(build([2]).classifier, build([2]).vocabulary, NOUNS)
    with pytest.raises(
        InputError, match=r"expected a model that reads whole prefixes, got .* nouns"
    ):
        number_units(nouns, items())
    unknown = items().set_column(3, "subj_idx", pa.nulls(400, pa.int32()))
    with pytest.raises(InputError, match="got 0 and 0"):
        number_units(build([2]), unknown)
