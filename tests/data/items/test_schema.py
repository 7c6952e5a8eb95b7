"""Agreement items: what is accepted, what is refused and with which words, and roles."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgate.data.items.numbers import Label
from memgate.data.items.roles import roles
from memgate.data.items.schema import FEATURES, Item, parse_item
from memgate.errors import InputError

DATA = os.environ.get("MEMGATE_DATA")

FULL = {
    "id": "made:1",
    "text": "the keys to the old cabinet are here",
    "tags": "DT NNS TO DT JJ NN VBP RB",
    "subj_idx": 1,
    "verb_idx": 6,
    "label": "pl",
    "n_attractors": 1,
    "verb": "are",
    "verb_alt": "is",
    "condition": "pp",
    "good": "the keys are",
    "bad": "the keys is",
}
PREFIX = {"prefix": "the keys to the old cabinet", "label": "pl"}
NOTHING = dict.fromkeys(FEATURES)

TAGS = ["NN", "NNS", "NNP", "NNPS", "DT", "IN", "VBZ", "VBP", "JJ"]


def without(row: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in fields}


def test_a_complete_row_stays_as_it_is() -> None:
    assert parse_item(FULL) == FULL
    assert list(parse_item(FULL)) == list(FEATURES)


def test_fields_that_the_format_does_not_name_are_left_out() -> None:
    assert parse_item({**FULL, "distance": 4, "verbs": [["is", "are"]]}) == FULL


def test_of_a_prefix_alone_the_rest_is_null() -> None:
    expected = {**NOTHING, "text": PREFIX["prefix"], "verb_idx": 6, "label": "pl"}
    assert parse_item(PREFIX) == expected


@pytest.mark.parametrize(
    "more",
    [
        {"verb_idx": 6},
        {"verb_idx": None, "text": None},
        {"text": "the keys to the old cabinet are here", "verb_idx": None},  # colorless_green_en
        {"text": None, "verb_idx": 6.0},
    ],
)
def test_the_prefix_is_read_where_text_or_verb_idx_is_unknown(more: dict[str, Any]) -> None:
    assert parse_item({**PREFIX, **more}) == parse_item(PREFIX)


def test_text_with_verb_idx_goes_before_prefix() -> None:
    assert parse_item({**FULL, "prefix": "something else"}) == FULL


def test_a_prefix_may_have_tags_and_a_subject() -> None:
    known = parse_item({**PREFIX, "tags": "DT NNS TO DT JJ NN", "subj_idx": 1})
    assert (known["subj_idx"], known["n_attractors"]) == (1, 1)


def test_a_text_may_end_before_the_verb() -> None:
    cut = {"text": PREFIX["prefix"], "verb_idx": 6, "subj_idx": 5, "label": "sg"}
    assert parse_item({**cut, "tags": "DT NNS TO DT JJ NN"})["verb_idx"] == 6


def test_pandas_writes_integers_beside_nulls_as_floats() -> None:
    row = parse_item({**FULL, "verb_idx": 6.0, "subj_idx": 1.0, "n_attractors": 1.0})
    assert row == FULL
    assert all(type(row[name]) is int for name in ("verb_idx", "subj_idx", "n_attractors"))


@pytest.mark.parametrize("tags", [FULL["tags"], str(FULL["tags"]).split(" ")])
def test_tags_may_be_a_string_or_a_list(tags: Any) -> None:
    assert parse_item({**FULL, "tags": tags}) == FULL


@pytest.mark.parametrize(
    ("row", "n_attractors"),
    [
        (without(FULL, "n_attractors"), 1),
        ({**FULL, "n_attractors": None}, 1),
        (without({**FULL, "n_attractors": 0}, "tags"), 0),  # nothing contradicts the file
        (without(FULL, "n_attractors", "tags"), None),
        (without(FULL, "n_attractors", "subj_idx"), None),
        (without({**FULL, "tags": "DT NNS TO DT JJ NNS VBP RB"}, "n_attractors"), 0),
        (without({**FULL, "tags": "DT NNS TO DT JJ NNP VBP RB"}, "n_attractors"), 0),
        (without({**FULL, "tags": "NN NNS NN DT NN NN VBP NN"}, "n_attractors"), 3),
    ],
)
def test_attractors_are_counted_from_the_tags_where_a_row_does_not_say(
    row: dict[str, Any], n_attractors: int | None
) -> None:
    assert parse_item(row)["n_attractors"] == n_attractors


SPACES = r"other white space \(two spaces, one at an end, a tab, …\)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "plural"}, r"label: expected 'sg' or 'pl', got 'plural'"),
        ({"label": None}, r"label: expected 'sg' or 'pl', got None"),
        ({"label": 1}, r"label: expected 'sg' or 'pl', got 1"),
        ({"label": True}, r"label: expected 'sg' or 'pl', got True"),
        ({"label": ["pl"]}, r"label: expected 'sg' or 'pl', got \['pl'\]"),
        ({"text": None}, r"expected 'text' with 'verb_idx', or 'prefix'; got neither"),
        ({"verb_idx": None}, r"expected 'text' with 'verb_idx', or 'prefix'; got neither"),
        ({"text": ["the", "keys"]}, r"text: expected a string, got \['the', 'keys'\]"),
        ({"text": ""}, r"text: expected tokens joined by one space, got an empty string"),
        ({"text": "  "}, r"text: expected tokens joined by one space, got an empty string"),
        ({"text": "the  keys"}, rf"text: expected tokens joined by one space, got {SPACES}"),
        ({"text": " the keys"}, rf"text: expected tokens joined by one space, got {SPACES}"),
        ({"text": "the keys "}, rf"text: expected tokens joined by one space, got {SPACES}"),
        ({"text": "the\tkeys"}, rf"text: expected tokens joined by one space, got {SPACES}"),
        ({"text": "the\u00a0keys"}, rf"text: expected tokens joined by one space, got {SPACES}"),
        ({"verb_idx": 0}, r"verb_idx: expected at least one word before the verb, got 0"),
        ({"verb_idx": 9}, r"verb_idx: expected an integer from 0 to 8, got 9"),
        ({"verb_idx": -1}, r"verb_idx: expected an integer from 0 to 8, got -1"),
        ({"verb_idx": "6"}, r"verb_idx: expected an integer from 0 to 8, got '6'"),
        ({"verb_idx": 5.5}, r"verb_idx: expected an integer from 0 to 8, got 5\.5"),
        ({"verb_idx": float("nan")}, r"verb_idx: expected an integer from 0 to 8, got nan"),
        ({"verb_idx": True}, r"verb_idx: expected an integer from 0 to 8, got True"),
        ({"subj_idx": 6}, r"subj_idx: expected an integer from 0 to 5, got 6"),
        ({"subj_idx": -1}, r"subj_idx: expected an integer from 0 to 5, got -1"),
        ({"subj_idx": "1"}, r"subj_idx: expected an integer from 0 to 5, got '1'"),
        ({"subj_idx": 1.5}, r"subj_idx: expected an integer from 0 to 5, got 1\.5"),
        ({"n_attractors": -1}, r"n_attractors: expected an integer from 0 to 5, got -1"),
        ({"n_attractors": 6}, r"n_attractors: expected an integer from 0 to 5, got 6"),
        ({"n_attractors": 0}, r"n_attractors: expected 1, as in the tags, got 0"),
        ({"n_attractors": 4}, r"n_attractors: expected 1, as in the tags, got 4"),
        ({"tags": "DT NNS"}, r"tags: expected 8, one a token, got 2"),
        ({"tags": "DT NNS TO DT JJ NN VBP RB ."}, r"tags: expected 8, one a token, got 9"),
        ({"tags": ""}, r"tags: expected 8, one a token, got 1"),
        ({"tags": 8}, r"tags: expected a string or a list of strings, got 8"),
        ({"tags": ["DT", 2]}, r"tags: expected a string or a list of strings, got \['DT', 2\]"),
        (
            {"tags": "DT NNS  DT JJ NN VBP RB"},
            r"tags: expected none empty, none with white space, got \['DT', 'NNS', '', .*\]",
        ),
        (
            {"tags": ["DT", "NNS", "TO", "DT", "JJ", "N N", "VBP", "RB"]},
            r"tags: expected none empty, none with white space, got \['DT', .*, 'N N', .*\]",
        ),
        ({"label": "sg"}, r"label: 'sg' contradicts the verb's tag 'VBP'"),
        (
            {"label": "sg", "tags": "DT NNS TO DT JJ NN VBD RB"},
            r"label: 'sg' contradicts the subject's tag 'NNS'",
        ),
        (
            {"subj_idx": 0, "tags": "NNP NNS TO DT JJ NN VBP RB"},
            r"label: 'pl' contradicts the subject's tag 'NNP'",
        ),
        ({"subj_idx": 5}, r"label: 'pl' contradicts the subject's tag 'NN'"),
        ({"id": 7}, r"id: expected a string or null, got 7"),
        ({"verb": ["are"]}, r"verb: expected a string or null, got \['are'\]"),
        ({"verb_alt": 0}, r"verb_alt: expected a string or null, got 0"),
        ({"condition": False}, r"condition: expected a string or null, got False"),
        ({"good": {}}, r"good: expected a string or null, got \{\}"),
        ({"bad": 1.5}, r"bad: expected a string or null, got 1\.5"),
    ],
)
def test_a_wrong_row_is_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^{message}$"):
        parse_item({**FULL, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prefix": 3}, r"prefix: expected a string, got 3"),
        ({"prefix": ""}, r"prefix: expected tokens joined by one space, got an empty string"),
        ({"prefix": "a  b"}, rf"prefix: expected tokens joined by one space, got {SPACES}"),
        ({"verb_idx": 5}, r"verb_idx: expected 6, the words of 'prefix', got 5"),
        ({"verb_idx": "6"}, r"verb_idx: expected 6, the words of 'prefix', got '6'"),
        ({"subj_idx": 6}, r"subj_idx: expected an integer from 0 to 5, got 6"),
        ({"tags": "DT NNS"}, r"tags: expected 6, one a token, got 2"),
        ({"subj_idx": 5, "tags": "DT NNS TO DT JJ NN"}, r"label: 'pl' contradicts the .* 'NN'"),
    ],
)
def test_a_wrong_prefix_is_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^{message}$"):
        parse_item({**PREFIX, **change})


def test_an_empty_row_is_refused() -> None:
    with pytest.raises(InputError, match=r"^label: expected 'sg' or 'pl', got None$"):
        parse_item({})


@pytest.mark.parametrize("tag", ["VBD", "MD", "VB", "VBG"])
def test_a_verb_whose_tag_has_no_number_contradicts_nothing(tag: str) -> None:
    assert parse_item({**FULL, "tags": f"DT NNS TO DT JJ NN {tag} RB"})["label"] == "pl"


@st.composite
def dependencies(draw: st.DrawFn) -> tuple[list[str], int, int]:
    """Tags of a sentence, and where its subject and its verb are."""
    tags = draw(st.lists(st.sampled_from(TAGS), min_size=1, max_size=12))
    verb_idx = draw(st.integers(1, len(tags)))
    return tags, draw(st.integers(0, verb_idx - 1)), verb_idx


@given(dependencies(), st.sampled_from(["sg", "pl"]))
def test_every_word_of_the_prefix_has_its_role(
    dependency: tuple[list[str], int, int], label: Label
) -> None:
    tags, subj_idx, verb_idx = dependency
    found = roles(tags, subj_idx, verb_idx, label)
    assert len(found) == verb_idx
    assert found[:subj_idx] == ["before"] * subj_idx
    assert found[subj_idx] == "subject"
    between = tags[subj_idx + 1 : verb_idx]
    assert found[subj_idx + 1 :].count("attractor") == between.count(
        "NNS" if label == "sg" else "NN"
    )
    assert found[subj_idx + 1 :].count("noun") == between.count("NN" if label == "sg" else "NNS")
    assert set(found[subj_idx + 1 :]) <= {"attractor", "noun", "other"}


@given(dependencies())
def test_the_other_label_turns_nouns_into_attractors_and_back(
    dependency: tuple[list[str], int, int],
) -> None:
    swapped = {"noun": "attractor", "attractor": "noun"}
    plural = roles(*dependency, "pl")
    assert roles(*dependency, "sg") == [swapped.get(role, role) for role in plural]


@given(dependencies(), dependencies(), st.sampled_from(["sg", "pl"]))
def test_words_outside_the_dependency_do_not_count(
    dependency: tuple[list[str], int, int], other: tuple[list[str], int, int], label: Label
) -> None:
    tags, subj_idx, verb_idx = dependency
    before, after = (other[0] * 12)[: subj_idx + 1], other[0]
    changed = before + tags[subj_idx + 1 : verb_idx] + after
    assert roles(changed, subj_idx, verb_idx, label) == roles(tags, subj_idx, verb_idx, label)


@given(dependencies(), st.sampled_from(["sg", "pl"]), st.booleans(), st.booleans())
def test_an_item_is_a_row_that_gives_itself(
    dependency: tuple[list[str], int, int], label: Label, tagged: bool, parsed: bool
) -> None:
    tags, subj_idx, verb_idx = dependency
    if tags[subj_idx].startswith("NN") and parsed:
        label = "pl" if tags[subj_idx].endswith("S") else "sg"
    tags = [*tags[:verb_idx], "MD", *tags[verb_idx:]]  # agrees with either label
    row = {
        "text": " ".join(f"w{place}" for place in range(len(tags))),
        "verb_idx": verb_idx,
        "subj_idx": subj_idx if parsed else None,
        "label": label,
        "tags": " ".join(tags) if tagged else None,
    }
    once: Item = parse_item(row)
    assert parse_item(once) == once
    assert parse_item(json.loads(json.dumps(once))) == once


@pytest.mark.skipif(DATA is None, reason="set MEMGATE_DATA to the folder of the corpora")
def test_every_real_row_is_accepted_and_its_attractors_are_those_of_the_file() -> None:
    counted = 0
    for path in sorted(Path(str(DATA)).glob("*/*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                row = json.loads(line)
                found = parse_item(without(row, "n_attractors"))
                if found["n_attractors"] is not None:
                    counted += 1
                    assert found["n_attractors"] == row["n_attractors"], f"{path}, line {number}"
                if row.get("distance") is not None and found["subj_idx"] is not None:
                    between = found["verb_idx"] - found["subj_idx"] - 1
                    assert between == row["distance"], f"{path}, line {number}"
    assert counted >= 67_021  # the training files alone
