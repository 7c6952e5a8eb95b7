"""What holds for any items: what tasks read shows nothing of the label, and how verbs are drawn."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgate.data.items.schema import FEATURES
from memgate.data.items.tasks import GRAMMATICALITY, INFLECTION, NUMBER, TASKS
from memgate.data.sources import jsonl

DATA = os.environ.get("MEMGATE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")

Row = dict[str, Any]


def items(*rows: Row) -> pa.Table:
    nothing: Row = dict.fromkeys(FEATURES)
    made = [{**nothing, **row, "label": ["sg", "pl"].index(row["label"])} for row in rows]
    return pa.Table.from_pylist(made, schema=FEATURES.arrow_schema)


word = st.sampled_from(["the", "key", "keys", "Near", "NNS", "is", "are"])
forms = st.sampled_from([("is", "are"), ("has", "have"), ("goes", "go")])


@st.composite
def sentences(draw: st.DrawFn) -> Row:
    """An item of either number, with both forms of its verb."""
    singular, plural = draw(forms)
    before, after = draw(st.lists(word, min_size=1, max_size=5)), draw(st.lists(word, max_size=4))
    label = draw(st.sampled_from(["sg", "pl"]))
    verb, other = (singular, plural) if label == "sg" else (plural, singular)
    written = draw(st.sampled_from([verb, verb.capitalize(), "VBZ" if label == "sg" else "VBP"]))
    text = [*before, written, *after]
    tags = ["X"] * len(before) + ["VBZ" if label == "sg" else "VBP"] + ["X"] * len(after)
    known = draw(st.booleans())
    return {
        "text": " ".join(text),
        "tags": " ".join(tags) if known else None,
        "verb_idx": len(before),
        "label": label,
        "verb": verb,
        "verb_alt": other,
    }


tables = st.lists(sentences(), min_size=1, max_size=6)


@given(tables)
def test_number_poses_all_items_as_they_are(rows: list[Row]) -> None:
    task_inputs = NUMBER.make_inputs(items(*rows), 0)
    assert task_inputs.rows.tolist() == list(range(len(rows)))
    assert task_inputs.texts.to_pylist() == [row["text"] for row in rows]
    assert task_inputs.tags.to_pylist() == [row["tags"] for row in rows]
    assert task_inputs.lengths.tolist() == [row["verb_idx"] for row in rows]
    assert task_inputs.targets.tolist() == [int(row["label"] == "pl") for row in rows]


def other_number(row: Row) -> Row:
    """The same item in the other number: its verb, the verb's tag, its label."""
    place, plural = row["verb_idx"], row["label"] == "sg"
    words, tag = row["text"].split(" "), "VBP" if plural else "VBZ"
    words[place] = tag if words[place] in ("VBZ", "VBP") else row["verb_alt"]
    tags = row["tags"] and [*row["tags"].split(" ")[:place], tag]
    return {
        "text": " ".join(words[: place + 1]),
        "tags": tags and " ".join(tags),
        "verb_idx": place,
        "label": "pl" if plural else "sg",
        "verb": row["verb_alt"],
        "verb_alt": row["verb"],
    }


@given(tables)
def test_what_inflection_reads_does_not_show_the_label(rows: list[Row]) -> None:
    task_inputs = INFLECTION.make_inputs(items(*rows), 0)
    flipped = INFLECTION.make_inputs(items(*map(other_number, rows)), 0)
    assert task_inputs.rows.tolist() == flipped.rows.tolist() == list(range(len(rows)))
    assert task_inputs.texts.equals(flipped.texts)
    assert task_inputs.tags.equals(flipped.tags)
    assert task_inputs.lengths.tolist() == flipped.lengths.tolist()
    assert task_inputs.targets.tolist() == [int(row["label"] == "pl") for row in rows]
    assert (task_inputs.targets == 1 - flipped.targets).all()


@given(sentences(), st.sampled_from(["verb", "verb_alt"]))
def test_whether_inflection_has_inputs_does_not_show_the_label(row: Row, missing: str) -> None:
    for one in (row, other_number(row)):
        assert len(INFLECTION.make_inputs(items({**one, missing: None}), 0).rows) == 0


@given(tables, st.integers(0, 50))
def test_ungrammatical_is_just_another_verb_and_its_tag(rows: list[Row], seed: int) -> None:
    task_inputs = GRAMMATICALITY.make_inputs(items(*rows), seed)
    assert task_inputs.rows.tolist() == list(range(len(rows)))
    for row, text, tags, target in zip(
        rows,
        task_inputs.texts.to_pylist(),
        task_inputs.tags.to_pylist(),
        task_inputs.targets,
        strict=True,
    ):
        place = row["verb_idx"]
        words, original = text.split(" "), row["text"].split(" ")
        assert target == (words[place] != original[place])
        assert [*words[:place], original[place], *words[place + 1 :]] == original  # unflipped
        assert words[place][0].isupper() == original[place][0].isupper()
        singular = (row["label"] == "sg") != bool(target)
        if original[place] in ("VBZ", "VBP"):
            assert words[place] == ("VBZ" if singular else "VBP")
        else:
            wanted = row["verb"] if target == 0 else row["verb_alt"]
            assert words[place].lower() == wanted
        assert (tags is None) == (row["tags"] is None)
        if tags is not None:
            symbols = row["tags"].split(" ")
            symbols[place] = "VBZ" if singular else "VBP"
            assert tags.split(" ") == symbols


def numbered(count: int, **fields: Any) -> list[Row]:
    """Sentences that differ from each other."""
    one = {"verb_idx": 2, "label": "pl", "verb": "are", "verb_alt": "is", **fields}
    return [{**one, "text": f"keys n{n} are are here"} for n in range(count)]


def drawn(rows: Sequence[Row], seed: int) -> list[int]:
    targets: list[int] = GRAMMATICALITY.make_inputs(items(*rows), seed).targets.tolist()
    return targets


def test_the_draw_depends_on_seed_verb_and_sentence_alone() -> None:
    rows = numbered(400)
    first = drawn(rows, 7)
    assert drawn(rows, 7) == first
    assert drawn(rows[::-1], 7) == first[::-1]
    assert drawn(rows[100:105], 7) == first[100:105]
    told = {"id": "x", "subj_idx": 0, "tags": "NNS CD VBP VBP RB", "n_attractors": 0}
    assert drawn(numbered(400, **told, condition="c", good="were", bad="was"), 7) == first
    prefixes = [{**row, "text": f"keys n{n}"} for n, row in enumerate(rows)]
    assert drawn(prefixes, 7) == drawn([{**p, "text": p["text"] + " are"} for p in prefixes], 7)


def about_half(count: int, n: int) -> bool:
    """True of all but one in 16,000 draws of n coins."""
    return abs(count - n / 2) < 2 * math.sqrt(n)  # four standard deviations


def test_half_are_flipped_and_another_seed_samples_anew() -> None:
    rows = numbered(2000)
    first = drawn(rows, 0)
    assert about_half(sum(first), 2000)
    others = [
        drawn(rows, 1),
        drawn(numbered(2000, verb_idx=3), 0),  # the same sentences, another of their verbs
        drawn([{**row, "text": row["text"] + " ."} for row in rows], 0),
    ]
    for other in others:
        assert about_half(sum(a != b for a, b in zip(first, other, strict=True)), 2000)


@needs_data
def test_on_real_text_all_have_inputs_and_half_of_the_verbs_are_flipped() -> None:
    table = jsonl.read([f"{DATA}/corpus/*_dev.jsonl.gz"]).with_format("arrow")[:]
    for task in TASKS.values():
        assert len(task.make_inputs(table, 0).rows) == len(table) == 3465
    for seed in range(3):
        assert 0.45 < GRAMMATICALITY.make_inputs(table, seed).targets.mean() < 0.55
    before = [text.split(" ") for text in table["text"].to_pylist()]
    task_inputs = GRAMMATICALITY.make_inputs(table, 0)
    changed = [
        [a for a, b in zip(text.split(" "), words, strict=True) if a != b]
        for text, words in zip(task_inputs.texts.to_pylist(), before, strict=True)
    ]
    assert [len(words) for words in changed] == task_inputs.targets.tolist()


@needs_data
def test_masked_verbs_and_verbs_without_a_flip_in_the_files_of_linzen() -> None:
    table = jsonl.read([f"{DATA}/linzen/linzen_wiki_test.jsonl.gz"]).with_format("arrow")[:]
    for task in (INFLECTION, GRAMMATICALITY):
        assert len(task.make_inputs(table, 0).rows) == len(table) - 5  # lie, lie, lie, le, album
    task_inputs, seeds = GRAMMATICALITY.make_inputs(table, 0), GRAMMATICALITY.make_inputs(table, 1)
    assert 0.45 < task_inputs.targets.mean() < 0.55
    masked = 0
    for text, other, target, flipped in zip(
        *(
            task_inputs.texts.to_pylist(),
            seeds.texts.to_pylist(),
            task_inputs.targets,
            seeds.targets,
        ),
        strict=True,
    ):
        differ = [(a, b) for a, b in zip(text.split(), other.split(), strict=True) if a != b]
        assert len(differ) == (target != flipped)
        masked += sum(set(pair) == {"VBZ", "VBP"} for pair in differ)
    assert masked > 15  # 52 are masked, about half of them flipped by one seed only
