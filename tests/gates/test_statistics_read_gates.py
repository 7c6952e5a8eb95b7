"""The tables of one pass, against pandas on every word by itself, and by the laws of sums."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.items.roles import roles
from memgate.data.items.schema import FEATURES
from memgate.data.items.tasks import NUMBER, TASKS
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.gates.explain.explanation import explain
from memgate.gates.gradients import gradients
from memgate.gates.interventions.dose_response import probability_under
from memgate.gates.interventions.edits import InterventionTarget, ReplaceByMean, mean_values
from memgate.gates.profile import PROFILE_DTYPES, pooled
from memgate.gates.statistics import gate_tables, read_gates
from memgate.gates.tables import (
    DISTANCE_DTYPES,
    GATE_DTYPES,
    QUANTILES,
    STATE_UPDATE_DTYPES,
    GateTables,
)
from memgate.gates.units.ablation import Ablation, mean_states
from memgate.gates.units.unit import Unit
from memgate.models.classifier import CellName, Classifier
from memgate.models.trajectory import replay
from memgate.predictor import Predictor

WORDS = ["the", "a", "keys", "key", "dogs", "dog", "of", "in", "that", "see"]
TAGS = ["DT", "DT", "NNS", "NN", "NNS", "NN", "IN", "IN", "WDT", "VBP"]
CELLS: list[CellName] = ["rnn", "gru", "lstm"]
UNITS = [(0, 1), (0, 2)]
PROBE = np.array([[0.5, -2.0, 0.1], [-1.0, 3.0, 0.7]])
"""A direction in either layer."""
READINGS = {"update": ["keep", "write"], "input": ["write"], "forget": ["keep"]}


def predictor(cell: CellName, num_layers: int = 1, hidden_size: int = 3) -> Predictor:
    """In double, with gates that reach both ends."""
    torch.manual_seed(num_layers)
    vocabulary = Vocabulary.from_words(WORDS)
    classifier = Classifier(len(vocabulary), cell, 2, hidden_size, num_layers).double().eval()
    with torch.no_grad():
        for weight in classifier.recurrence.parameters():
            weight.normal_(std=2)
    return Predictor(classifier, vocabulary)


def items(n: int, seed: int = 0, longest: int = 9) -> pa.Table:
    """Items of any words; of a third of them the tags, of a tenth the subject isn't known."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        length = int(rng.integers(2, longest + 1))
        picked = rng.integers(len(WORDS), size=length)
        rows.append(
            {
                **dict.fromkeys(FEATURES),
                "text": " ".join(WORDS[i] for i in picked),
                "tags": None if rng.random() < 0.33 else " ".join(TAGS[i] for i in picked),
                "verb_idx": length,
                "subj_idx": None if rng.random() < 0.1 else int(rng.integers(length)),
                "label": int(rng.integers(2)),
            }
        )
    return datasets.Dataset.from_list(rows, FEATURES).with_format("arrow")[:]


def every_word(
    model: Predictor, table: pa.Table, targets: Sequence[int] | None = None
) -> pd.DataFrame:
    """One row a word, layer and unit: all that the tables sum, one prefix at a time.

    `targets` are the right answers; those of number prediction by default.
    """
    frames: list[pd.DataFrame] = []
    weight = model.classifier.readout.weight.detach().numpy()[0]
    for place, row in enumerate(table.to_pylist()):
        words, label = row["text"].split(), row["label"]
        target = label if targets is None else targets[place]
        ids = torch.from_numpy(model.vocabulary.encode(pa.array(words))).long()[None]
        with torch.no_grad():
            right = (model.classifier(ids).item() > 0) == (target == 1)
            layers = replay(model.classifier.recurrence, model.classifier.embedding(ids))
        subject = row["subj_idx"]
        found: list[str | None] = [None] * len(words)
        if subject is not None:
            tags = row["tags"].split() if row["tags"] else [""] * len(words)
            name = ("sg", "pl")[label]
            found = [*roles(tags, subject, len(words), name)]  # type: ignore[arg-type]
            if not row["tags"]:
                found[subject + 1 :] = [None] * (len(words) - subject - 1)
        for layer, read in enumerate(layers):
            hidden = read.hidden[0].numpy()
            values = {gate: each[0].numpy() for gate, each in read.gates.items()}
            memory = hidden if read.cell is None else read.cell[0].numpy()
            before = np.vstack([0 * memory[:1], memory[:-1]])
            values["change"] = memory - before
            if read.cell is not None:
                values["gained"] = values["input"] * read.candidate[0].numpy()
                values["lost"] = (1 - values["forget"]) * before
                values["hidden"] = np.diff(hidden, axis=0, prepend=0 * hidden[:1])
            change = np.diff(hidden, axis=0, prepend=0 * hidden[:1])
            values["probe"] = change * PROBE[layer] * (2 * label - 1)
            if layer == len(layers) - 1:
                values["contribution_change"] = change * weight * (2 * target - 1)
            times, units = (grid.ravel() for grid in np.indices(hidden.shape))
            frames.append(
                pd.DataFrame(
                    {
                        "item": place,
                        "layer": layer,
                        "unit": units,
                        "time": times,
                        "role": np.array(found, dtype=object)[times],
                        "place": np.nan if subject is None else times - (subject or 0),
                        "to_verb": times - len(words),
                        "number": ("sg", "pl")[label],
                        "answer": ("wrong", "right")[right],
                        **{gate: each.ravel() for gate, each in values.items()},
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_gates_are_those_of_every_word(cell: CellName, num_layers: int) -> None:
    model, table = predictor(cell, num_layers), items(60)
    words = every_word(model, table)
    found = read_gates(model, table, batch_size=7).statistics
    roles_seen = {"all", "before", "subject", "attractor", "noun", "other", "unknown"}
    assert set(found["role"]) == roles_seen
    kinds = 3
    assert len(found) == num_layers * kinds * 3 * len(roles_seen)
    for row in found.to_dict("records"):
        own = words[(words["layer"] == row["layer"]) & (words["unit"] == row["unit"])]
        if row["role"] == "unknown":
            own = own[own["role"].isna()]
        elif row["role"] != "all":
            own = own[own["role"] == row["role"]]
        assert_gate(row, own)


def assert_gate(row: dict[Any, Any], words: pd.DataFrame) -> None:
    """A row of gate statistics is that of these words."""
    values = words[row["gate"]].to_numpy()
    if (row["gate"], row["reading"]) == ("update", "write"):
        values = 1 - values
    assert row["n"] == len(values)
    assert row["mean"] == pytest.approx(values.mean(), abs=1e-12)
    assert row["sd"] == pytest.approx(values.std(), abs=1e-7)
    assert row["below_0.1"] == np.mean(values < 0.1)
    assert row["above_0.9"] == np.mean(values > 0.9)
    for name in QUANTILES:
        rank = np.ceil(int(name[1:]) * len(values) / 100)  # in integers: exact
        exact = np.sort(values)[int(rank) - 1]
        assert row[name] == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_gates_by_distance_are_those_of_every_word(cell: CellName, num_layers: int) -> None:
    model, table = predictor(cell, num_layers), items(60, longest=24)
    words = every_word(model, table)
    assert words["role"][words["place"] > 0].isna().any(), "a word without a tag has a place"
    found = read_gates(model, table, batch_size=7).distances
    assert found.dtypes.astype(str).to_dict() == DISTANCE_DTYPES
    bins = {"0": (0, 0), "1–2": (1, 2), "3–5": (3, 5), "6–10": (6, 10), "11+": (11, 99)}
    rows = [
        (layer, gate, reading, unit, name)
        for layer in range(num_layers)
        for gate, reading in {
            "gru": [("reset", "none"), ("update", "keep"), ("update", "write")],
            "lstm": [("input", "write"), ("forget", "keep"), ("output", "none")],
        }[cell]
        for name in bins
        for unit in range(3)
    ]
    keys = found[["layer", "gate", "reading", "unit", "after"]].fillna("none")
    assert [*keys.itertuples(index=False, name=None)] == rows
    for row in found.to_dict("records"):
        own = words[(words["layer"] == row["layer"]) & (words["unit"] == row["unit"])]
        assert_gate(row, own[own["place"].between(*bins[row["after"]])])


def test_subjects_are_the_same_by_role_and_by_distance() -> None:
    tables = read_gates(predictor("lstm", num_layers=2), TABLE)
    by_role, by_distance = tables.statistics, tables.distances
    one = by_role[by_role["role"] == "subject"].drop(columns="role")
    other = by_distance[by_distance["after"] == "0"].drop(columns="after")
    pd.testing.assert_frame_equal(
        one.reset_index(drop=True), other.reset_index(drop=True), check_exact=True
    )


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("num_layers", [1, 2])
def test_effects_are_those_of_every_word(cell: CellName, num_layers: int) -> None:
    model, table = predictor(cell, num_layers), items(60)
    words = every_word(model, table)
    found = read_gates(model, table, batch_size=7, probe=PROBE[:num_layers]).state_updates
    names = ["gained", "lost", "change", "hidden"] if cell == "lstm" else ["change"]
    assert set(found["state_update"]) == {*names, "contribution_change", "probe"}
    assert set(found.loc[found["state_update"] == "contribution_change", "layer"]) == {
        num_layers - 1
    }
    assert set(found.loc[found["state_update"] == "probe", "layer"]) == {*range(num_layers)}
    for row in found[found["role"] != "unknown"].to_dict("records"):
        own = words[(words["layer"] == row["layer"]) & (words["unit"] == row["unit"])]
        values = own.loc[(row["role"] == "all") | (own["role"] == row["role"]), row["state_update"]]
        assert row["n"] == len(values)
        assert row["mean"] == pytest.approx(values.mean(), abs=1e-12)
        assert row["mean_abs"] == pytest.approx(values.abs().mean(), abs=1e-12)
        assert row["sd"] == pytest.approx(values.std(ddof=0), abs=1e-7)


def profile_by_pandas(words: pd.DataFrame, cell: CellName) -> pd.DataFrame:
    """The profile from every word."""
    words = words.assign(change=words["change"].abs())
    last = words["layer"].max()
    read = {
        "state_update": "change",
        "contribution_change": "contribution_change",
        "probe": "probe",
    }
    if cell == "lstm":
        read |= {"write": "input", "keep": "forget"}
    elif cell == "gru":
        read |= {"write": "write", "keep": "update"}
        words["write"] = 1 - words["update"]
    per_word = ["item", "layer", "time", "role", "place", "to_verb", "number", "answer"]
    parts = []
    for units, chosen in (("all", range(99)), ("number units", [unit for _, unit in UNITS])):
        own = words[words["unit"].isin(chosen)]
        if units != "all":
            own = own[own["layer"] == 0]
        for reading, column in read.items():
            how = "sum" if reading in ("contribution_change", "probe") else "mean"
            mine = own[own["layer"] == last] if reading == "contribution_change" else own
            if mine.empty:
                continue
            each = mine.groupby(per_word, dropna=False)[column].agg(how).reset_index()
            between = each["place"].gt(0)
            for by, where, stratum in (
                ("role", each["role"].notna(), each["role"]),
                ("from_subject", each["place"].between(-3, 20), each["place"]),
                ("to_verb", between & each["to_verb"].ge(-5), each["to_verb"]),
            ):
                named = stratum[where] if by == "role" else stratum[where].astype(int).astype(str)
                group = each[where].assign(stratum=named, by=by, reading=reading, units=units)
                keys = ["layer", "reading", "units", "by", "stratum", "number", "answer"]
                grouped = group.groupby(keys)
                sizes = grouped.agg(n=("item", "size"), items=("item", "nunique"))
                values = grouped[column].agg(mean="mean", sd=lambda v: v.std(ddof=0))
                parts.append(sizes.join(values))
    table: pd.DataFrame = pd.concat(parts).reset_index()[list(PROFILE_DTYPES)]
    return table.astype(PROFILE_DTYPES)


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values([*table.columns[:7]]).reset_index(drop=True)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("num_layers", [1, 2])
def test_the_profile_is_that_of_every_word(cell: CellName, num_layers: int) -> None:
    model, table = predictor(cell, num_layers), items(60, longest=25)
    expected = profile_by_pandas(every_word(model, table), cell)
    found = read_gates(model, table, UNITS, batch_size=7, probe=PROBE[:num_layers]).profile
    assert set(found["answer"]) == {"right", "wrong"}
    assert (found["items"] < found["n"]).any()
    places = found[found["by"] != "role"]
    assert places["items"].tolist() == places["n"].tolist()
    pd.testing.assert_frame_equal(in_order(found), in_order(expected), rtol=0, atol=1e-7)


@pytest.mark.parametrize("cell", CELLS)
def test_evidence_adds_up_to_the_logit(cell: CellName) -> None:
    """Over all words and units: logit less bias, signed towards the right answer."""
    model, table = predictor(cell), items(40)
    tables = read_gates(model, table)
    task_inputs = NUMBER.make_inputs(table, 0)
    prefixes = Prefixes.from_table(model.vocabulary, table, task_inputs)
    p = model.probability(prefixes)
    logits = np.log(p / (1 - p)) - model.classifier.readout.bias.item()
    signed = float((logits * (2 * task_inputs.targets - 1)).sum())
    rows = tables.state_updates[(tables.state_updates["state_update"] == "contribution_change")]
    rows = rows[rows["role"] == "all"]
    assert float((rows["mean"] * rows["n"]).sum()) == pytest.approx(signed, abs=1e-9)


def test_pooling_is_counting_together() -> None:
    model, table = predictor("lstm"), items(60)
    profile = read_gates(model, table, UNITS, probe=PROBE[:1]).profile
    words = every_word(model, table).assign(answer="any", number="any")
    expected = profile_by_pandas(words, "lstm").drop(columns=["answer", "number"])
    found = pooled(profile, "answer", "number")[list(expected.columns)]
    keys = ["layer", "reading", "units", "by", "stratum"]
    one, other = (t.sort_values(keys).reset_index(drop=True) for t in (found, expected))
    pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-7)


def assert_same(one: GateTables, other: GateTables) -> None:
    """Integers and shares are identical, sums to 1e-12; a root turns 1e-16 into 1e-8."""
    for left, right in zip(one, other, strict=True):
        rooted = [name for name in ("sd",) if name in left]
        summed = [name for name in ("mean", "mean_abs") if name in left]
        exact = left.columns.difference([*rooted, *summed])
        pd.testing.assert_frame_equal(left[exact], right[exact], check_exact=True)
        np.testing.assert_allclose(left[summed], right[summed], rtol=0, atol=1e-12)
        np.testing.assert_allclose(left[rooted], right[rooted], rtol=0, atol=1e-7)


TABLE = items(80)


@settings(max_examples=12)
@given(
    cell=st.sampled_from(CELLS),
    num_layers=st.integers(1, 2),
    batch_size=st.integers(1, 30),
    order=st.permutations(range(12)),
    seed=st.integers(0, 1000),
)
def test_no_split_of_the_data_changes_the_tables(
    cell: CellName, num_layers: int, batch_size: int, order: list[int], seed: int
) -> None:
    model = predictor(cell, num_layers)
    n = 12 + seed % 60
    rows = [*order, *range(12, n)]
    probe = PROBE[:num_layers]
    whole = read_gates(model, TABLE.slice(0, n), UNITS, probe=probe)
    parts = read_gates(model, TABLE.take(rows), UNITS, batch_size, probe)
    assert_same(whole, parts)
    prefixes = Prefixes.from_table(
        model.vocabulary, TABLE.slice(0, n), NUMBER.make_inputs(TABLE.slice(0, n), 0)
    )
    shuffled = ExactLengthBatches(prefixes, batch_size, shuffle=True, seed=seed)
    assert_same(whole, gate_tables(model.classifier, shuffled, UNITS, probe))


@pytest.mark.parametrize("cell", CELLS)
def test_a_corpus_twice_over_has_the_same_tables_and_twice_the_counts(cell: CellName) -> None:
    model = predictor(cell, num_layers=2)
    once = read_gates(model, TABLE, UNITS, probe=PROBE)
    twice = read_gates(model, pa.concat_tables([TABLE, TABLE]), UNITS, 9, PROBE)
    quantiles = list(QUANTILES)  # the rank of twice as many is another
    for one, other in zip(once, twice, strict=True):
        counts = [name for name in ("n", "items") if name in one]
        assert (other[counts] == 2 * one[counts]).all(axis=None)
        other[counts] //= 2
        for name in quantiles:
            if name in one:
                del one[name], other[name]
    assert_same(once, twice)


def test_without_a_probe_the_tables_are_the_same_but_for_its_rows() -> None:
    model = predictor("lstm", num_layers=2)
    without = read_gates(model, TABLE, UNITS)
    tables = read_gates(model, TABLE, UNITS, probe=PROBE)
    probed = tables.state_updates["state_update"] == "probe", tables.profile["reading"] == "probe"
    assert all(rows.any() for rows in probed)
    kept = tables.state_updates[~probed[0]], tables.profile[~probed[1]]
    expected = (tables.statistics, *kept, tables.distances)
    for one, other in zip(without, expected, strict=True):
        pd.testing.assert_frame_equal(one, other.reset_index(drop=True), check_exact=True)


def test_along_the_readout_a_probe_says_what_evidence_says() -> None:
    model = predictor("gru", num_layers=2)
    readout = model.classifier.readout.weight.detach().numpy()
    tables = read_gates(model, TABLE, [(1, 0)], probe=np.vstack([0 * readout, readout]))
    for table, name in ((tables.state_updates, "state_update"), (tables.profile, "reading")):
        last = table[table["layer"] == 1].drop(columns="layer")
        one, other = (
            last[last[name] == each].drop(columns=name).reset_index(drop=True)
            for each in ("contribution_change", "probe")
        )
        pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-12)
        below = table[(table["layer"] == 0) & (table[name] == "probe")]
        assert len(below) > 0
        assert (below[["mean", "sd"]] == 0).all(axis=None)


def test_a_probe_goes_by_the_number_where_evidence_goes_by_the_answer() -> None:
    """Grammaticality asks something else: an ungrammatical sentence may have a singular subject."""
    task, model = TASKS["grammaticality"], predictor("gru")
    table = with_forms(items(60))
    task_inputs = task.make_inputs(table, 0)
    targets, labels = task_inputs.targets.tolist(), table["label"].to_pylist()
    assert 0.2 < np.mean(np.equal(targets, labels)) < 0.8
    sentences = table.set_column(table.column_names.index("text"), "text", task_inputs.texts)
    sentences = sentences.set_column(  # roles aren't asked for
        table.column_names.index("tags"), "tags", pa.nulls(len(table), pa.string())
    )
    words = every_word(model, sentences, targets)
    found = read_gates(
        Predictor(model.classifier, model.vocabulary, task), table, batch_size=7, probe=PROBE[:1]
    ).state_updates
    for effect in ("contribution_change", "probe"):
        rows = found[(found["state_update"] == effect) & (found["role"] == "all")]
        expected = words.groupby("unit")[effect].mean()
        np.testing.assert_allclose(rows["mean"], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("task", ["number", "inflection"])
def test_where_the_answer_is_the_number_both_signs_are_one(task: Any) -> None:
    table, model = with_forms(items(60)), predictor("gru")
    assert TASKS[task].make_inputs(table, 0).targets.tolist() == table["label"].to_pylist()
    readout = model.classifier.readout.weight.detach().numpy()
    own = Predictor(model.classifier, model.vocabulary, TASKS[task])
    state_updates = read_gates(own, table, probe=readout).state_updates
    one, other = (
        state_updates.loc[state_updates["state_update"] == each, "mean"]
        for each in ("contribution_change", "probe")
    )
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def with_forms(table: pa.Table) -> pa.Table:
    """The items with a verb, of the number of their label, and its other form."""
    labels = table["label"].to_pylist()
    for name, forms in {"verb": ("sees", "see"), "verb_alt": ("see", "sees")}.items():
        column = pa.array([forms[label] for label in labels], pa.string())
        table = table.set_column(table.column_names.index(name), name, column)
    return table


@pytest.mark.parametrize(
    "probe", [PROBE[:1], PROBE[:, :2], PROBE[0], np.where(PROBE > 2, np.nan, PROBE)]
)
def test_refuses_a_direction_that_does_not_fit(probe: Any) -> None:
    with pytest.raises(InputError, match=r"probe: expected a finite direction of shape \(2, 3\)"):
        read_gates(predictor("gru", num_layers=2), items(5), probe=probe)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_in_single_precision_the_tables_differ_by_what_the_network_does(cell: CellName) -> None:
    model = predictor(cell, hidden_size=16)
    model.classifier.float()
    table = items(300)
    whole, parts = (read_gates(model, table, UNITS, size) for size in (1024, 3))
    for one, other in zip(whole, parts, strict=True):
        assert one["n"].tolist() == other["n"].tolist()
        np.testing.assert_allclose(one["mean"], other["mean"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_an_rnn_has_effects_but_no_gates(num_layers: int) -> None:
    tables = read_gates(predictor("rnn", num_layers), items(20))
    assert len(tables.statistics) == 0
    assert tables.statistics.dtypes.astype(str).to_dict() == GATE_DTYPES
    assert len(tables.distances) == 0
    assert tables.distances.dtypes.astype(str).to_dict() == DISTANCE_DTYPES
    assert tables.state_updates.dtypes.astype(str).to_dict() == STATE_UPDATE_DTYPES
    assert tables.profile.dtypes.astype(str).to_dict() == PROFILE_DTYPES
    assert set(tables.profile["reading"]) == {"state_update", "contribution_change"}


def test_number_units_stand_beside_all_only_where_they_are_given() -> None:
    model, table = predictor("gru", num_layers=2), items(20)
    assert set(read_gates(model, table).profile["units"]) == {"all"}
    both = read_gates(model, table, [(1, 0)]).profile
    assert set(both.loc[both["layer"] == 0, "units"]) == {"all"}
    assert set(both.loc[both["layer"] == 1, "units"]) == {"all", "number units"}


def test_dropout_is_off_and_the_model_stays_as_it_was() -> None:
    model = predictor("gru")
    classifier = Classifier(len(model.vocabulary), "gru", 2, 3, 2, dropout=0.5).double().train()
    model = Predictor(classifier, model.vocabulary)
    weights = {name: value.clone() for name, value in classifier.state_dict().items()}
    first, second = (read_gates(model, items(20), UNITS) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert classifier.training
    assert all(torch.equal(weights[name], value) for name, value in classifier.state_dict().items())


@pytest.mark.parametrize("unit", [(0, 3), (1, 0), (-1, 0)])
def test_refuses_units_that_the_model_lacks(unit: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="units: expected layers 0 to 0 and units 0 to 2, got"):
        read_gates(predictor("gru"), items(5), [unit])


def test_refuses_items_without_what_the_task_needs() -> None:
    model = predictor("gru")
    other = Predictor(model.classifier, model.vocabulary, TASKS["inflection"])
    with pytest.raises(InputError, match=r"expected items with both forms of their verb .* of 5"):
        read_gates(other, items(5))


@pytest.mark.parametrize("task", ["inflection", "grammaticality", "nouns"])
def test_other_tasks_are_read_too(task: Any) -> None:
    table = items(30)
    forms = {"verb": "see", "verb_alt": "sees"}
    for name, form in forms.items():
        column = pa.array([form] * len(table), pa.string())
        table = table.set_column(table.column_names.index(name), name, column)
    model = predictor("gru")
    tables = read_gates(Predictor(model.classifier, model.vocabulary, TASKS[task]), table)
    seen = set(tables.statistics["role"])
    assert ("verb" in seen) == (task != "nouns")
    assert ("subject" in seen) == (task != "nouns")
    assert set(tables.distances["after"]) == (
        {"0", "1–2", "3–5", "6–10"} if task != "nouns" else set()
    )
    assert len(tables.profile) == 0 if task == "nouns" else len(tables.profile) > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("cell", CELLS)
def test_weights_in_half_precision_are_read_in_single(cell: CellName, dtype: torch.dtype) -> None:
    half = predictor(cell, 2).classifier.to(dtype)
    widened = Predictor(half, Vocabulary.from_words(WORDS))
    assert half.embedding.weight.dtype == dtype  # the model itself stays
    same = Predictor(copy.deepcopy(half).float(), widened.vocabulary)
    table, prefixes = widened.read(items(60))
    batches = ExactLengthBatches(prefixes, 16)
    for tables in (read_gates(widened, table), gate_tables(half, batches)):
        for one, other in zip(tables, gate_tables(same.classifier, batches), strict=True):
            pd.testing.assert_frame_equal(one, other, rtol=1e-5, atol=1e-6)
    sentence = " ".join(WORDS[:4])
    assert explain(widened, sentence).rows() == explain(same, sentence).rows()
    mean = mean_values(widened.classifier, prefixes, ["hidden"], None)
    assert mean == mean_values(same.classifier, prefixes, ["hidden"], None)
    cut = ReplaceByMean(InterventionTarget("recurrent_input"), mean["hidden"])
    p = probability_under(widened, prefixes, cut)
    np.testing.assert_array_equal(p, probability_under(same, prefixes, cut))
    balanced = mean_states(widened.classifier, prefixes)
    ablated, expected = (
        Ablation(model.classifier, prefixes, balanced).logits([(), [Unit(0, 1)]])
        for model in (widened, same)
    )
    np.testing.assert_array_equal(ablated, expected)
    of_half, of_single = (gradients(net, prefixes).norms for net in (half, same.classifier))
    pd.testing.assert_frame_equal(of_half, of_single)


@pytest.mark.parametrize("cell", CELLS)
def test_weights_that_are_not_finite_are_refused(cell: CellName) -> None:
    model = predictor(cell)
    _, prefixes = model.read(items(60))
    with torch.no_grad():
        model.classifier.recurrence.get_parameter("weight_hh_l0")[0, 0] = torch.nan
    with pytest.raises(InputError, match="gates: expected finite states, got NaN"):
        read_gates(model, items(60))
    with pytest.raises(InputError, match=r"expected probabilities, got NaN for \d+ of \d+ items"):
        model.probability(prefixes)
    with pytest.raises(InputError, match=r"expected probabilities, got NaN for \d+ of \d+ items"):
        probability_under(model, prefixes)
