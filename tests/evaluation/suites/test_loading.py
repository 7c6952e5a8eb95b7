"""Targeted suites: the real files, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from memgate.errors import InputError
from memgate.evaluation.suites import loading
from memgate.evaluation.suites.loading import SUITE_FEATURES, SUITES, load

DATA = os.environ.get("MEMGATE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")

Put = Callable[..., str]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    def put(name: str, *lines: str | dict[str, Any]) -> str:
        """Write gzipped lines below `tmp_path`, and return the path."""
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_bytes(gzip.compress("".join(text + "\n" for text in texts).encode()))
        return str(path)

    return put


def row(**fields: Any) -> dict[str, Any]:
    return {"condition": "c", "prefix": "the keys", "label": "pl", **fields}


def conditions(name: str, folder: Path) -> list[str]:
    items = load(name, str(folder))
    assert items.features == SUITE_FEATURES
    return list(items["condition"])


def test_blimp_has_one_prefix_or_two(put: Put, tmp_path: Path) -> None:
    put("eval/blimp_a.jsonl.gz", row(method="one_prefix", good="are", bad="is"), "")
    put("eval/blimp_b.jsonl.gz", row(method="two_prefix", prefix_bad="the key", condition="b"))
    assert conditions("blimp", tmp_path) == ["c", "b"]
    assert list(load("blimp", str(tmp_path))["prefix_bad"]) == [None, "the key"]


def test_marvin_linzen_tells_where_the_distractor_stands(put: Put, tmp_path: Path) -> None:
    names = [
        *("simple_agrmt", "sent_comp", "vp_coord", "long_vp_coord", "prep_anim", "subj_rel"),
        *("obj_rel_no_comp_across_anim", "obj_rel_within_anim", "obj_rel_no_comp_within_inanim"),
    ]
    put("eval/marvin_linzen.jsonl.gz", *[row(condition=name) for name in names])
    assert conditions("marvin_linzen", tmp_path) == [
        "simple_agrmt",
        "sent_comp [noun before]",
        "vp_coord [verb before]",
        "long_vp_coord [verb before]",
        "prep_anim",
        "subj_rel",
        "obj_rel_no_comp_across_anim",
        "obj_rel_within_anim [noun before]",
        "obj_rel_no_comp_within_inanim [noun before]",
    ]


def test_colorless_green_keeps_patterns_and_nonce_apart(put: Put, tmp_path: Path) -> None:
    left, right_ = "L__NOUN_VERB_VERB", "R__VERB_NOUN_CCONJ_VERB"
    kinds = [(left, "original"), (left, "generated"), (right_, "original"), (right_, "generated")]
    rows = [row(condition=pattern, type=kind, prefix="The Keys") for pattern, kind in kinds]
    put("eval/colorless_green_en.jsonl.gz", *rows)
    assert conditions("colorless_green", tmp_path) == [
        f"{left} original",
        f"{left} nonce",
        f"{right_} original [verb before]",
        f"{right_} nonce [verb before]",
    ]
    assert set(load("colorless_green", str(tmp_path))["text"]) == {"The Keys"}


LAKRETZ = ("simple", "adv", "adv_adv", "adv_conjunction", "namepp", "nounpp")


def test_lakretz_goes_by_congruence(put: Put, tmp_path: Path) -> None:
    for name in LAKRETZ[:-1]:
        put(f"eval/lakretz_{name}.jsonl.gz", row(condition=name, key="plural"))
    put("eval/lakretz_nounpp.jsonl.gz", row(condition="nounpp", key="plural_singular"))
    plain = [f"{name} P" for name in LAKRETZ[:-1]]
    assert conditions("lakretz", tmp_path) == [*plain, "nounpp PS"]


def test_linzen_goes_by_file(put: Put, tmp_path: Path) -> None:
    put("linzen/linzen_testset_attr0.jsonl.gz", row())
    sentence = {"text": "the keys are", "verb_idx": 2, "subj_idx": 1, "label": "pl"}
    put("linzen/linzen_wiki_test.jsonl.gz", sentence)
    for k in range(1, 6):
        put(f"linzen/numpred.test.{k}.tsv.gz", "VBP\tNNS" + " of NN" * k)
    tests = [f"numpred.test.{k}" for k in range(1, 6)]
    assert conditions("linzen", tmp_path) == ["linzen_testset_attr0", "linzen_wiki_test", *tests]
    items = load("linzen", str(tmp_path))
    assert list(items["n_attractors"]) == [None, None, 1, 2, 3, 4, 5]
    assert items["subj_idx"][1] == 1


def refused(name: str, folder: object) -> str:
    with pytest.raises(InputError) as error:
        load(name, str(folder))
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "expected JSON, got '{'"),
        ("[1]", "expected a JSON object, got '[1]'"),
        (row(type="original", label="VBZ"), "label: expected 'sg' or 'pl', got 'VBZ'"),
        (row(condition=None), "condition: expected a string, got None"),
        (row(type="new"), "type: expected original or generated, got 'new'"),
        (row(), "type: expected a string, got None"),
        (row(type="original", prefix=""), "prefix: expected tokens joined by one space"),
        (row(type="original", prefix_bad="a  b"), "prefix_bad: expected tokens joined by one "),
        (row(type="original", prefix_bad=[]), "prefix_bad: expected tokens joined by one "),
        (row(type="original", method="two_prefix"), "prefix_bad: expected a second prefix"),
    ],
)
def test_bad_rows_are_told_by_file_and_line(
    put: Put, tmp_path: Path, line: str | dict[str, Any], message: str
) -> None:
    path = put("eval/colorless_green_en.jsonl.gz", row(type="original"), "", line)
    assert refused("colorless_green", tmp_path).startswith(f"{path}, line 3: {message}")


def test_a_key_that_is_no_congruence(put: Put, tmp_path: Path) -> None:
    path = put("eval/lakretz_simple.jsonl.gz", row(key="sing_plur"))
    assert refused("lakretz", tmp_path) == (
        f"{path}, line 1: key: expected singular and plural joined by _, got 'sing_plur'"
    )


def test_files_that_are_not_there(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEMGATE_DATA", raising=False)
    for name in set(SUITES) - {"blimp"}:
        missing = refused(name, tmp_path)
        assert missing.startswith(f"{tmp_path}/")
        assert "found none" in missing
        assert "MEMGATE_DATA is not set" in refused(name, "$MEMGATE_DATA")
    path = put("eval/marvin_linzen.jsonl.gz", "", " ")
    assert refused("marvin_linzen", tmp_path) == f"{path}: expected a suite's items, found none"
    assert refused("syntaxgym", tmp_path).startswith("suite: expected one of blimp, marvin_linzen,")


def test_blimp_without_files_and_without_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
        message = refused("blimp", tmp_path)
    assert message.startswith(f"{tmp_path}/eval/blimp_*.jsonl.gz: found none; nyu-mll/blimp: ")
    assert "Hub can't be reached" in message


COUNTS = {
    "blimp": {
        "distractor_agreement_relational_noun": 1000,
        "irregular_plural_subject_verb_agreement_1": 1000,
        "irregular_plural_subject_verb_agreement_2": 1000,
        "regular_plural_subject_verb_agreement_1": 1000,
        "regular_plural_subject_verb_agreement_2": 1000,
    },
    "marvin_linzen": {
        "simple_agrmt": 20,
        "sent_comp [noun before]": 240,
        "vp_coord [verb before]": 140,
        "long_vp_coord [verb before]": 100,
        "prep_anim": 2400,
        "prep_inanim": 800,
        "subj_rel": 1600,
        "obj_rel_no_comp_across_anim": 1600,
        "obj_rel_no_comp_across_inanim": 1600,
        "obj_rel_within_anim [noun before]": 400,
        "obj_rel_within_inanim [noun before]": 400,
        "obj_rel_no_comp_within_anim [noun before]": 400,
        "obj_rel_no_comp_within_inanim [noun before]": 400,
    },
    "colorless_green": {
        "L__NOUN_VERB_VERB original": 12,
        "L__NOUN_VERB_VERB nonce": 108,
        "R__VERB_NOUN_CCONJ_VERB original [verb before]": 8,
        "R__VERB_NOUN_CCONJ_VERB nonce [verb before]": 72,
    },
    "lakretz": {
        "simple S": 300,
        "simple P": 300,
        "adv S": 900,
        "adv P": 900,
        "adv_adv S": 900,
        "adv_adv P": 900,
        "adv_conjunction S": 600,
        "adv_conjunction P": 600,
        "namepp S": 900,
        "namepp P": 900,
        "nounpp SS": 600,
        "nounpp SP": 600,
        "nounpp PS": 600,
        "nounpp PP": 600,
    },
    "linzen": {
        "linzen_testset_attr0": 1970,
        "linzen_wiki_test": 1943,
        "numpred.test.1": 49535,
        "numpred.test.2": 7625,
        "numpred.test.3": 880,
        "numpred.test.4": 269,
        "numpred.test.5": 159,
    },
}


@needs_data
@pytest.mark.parametrize("name", SUITES)
def test_the_real_files(name: str) -> None:
    items = load(name)
    assert items.features == SUITE_FEATURES
    assert Counter(items["condition"]) == COUNTS[name]
    two = {c for c, bad in zip(items["condition"], items["prefix_bad"], strict=True) if bad}
    assert two == {c for c in COUNTS["blimp"] if c.endswith("_2")} & set(COUNTS[name])
    ids = list(items["id"])
    assert len(set(ids)) == len(ids)


@needs_data
def test_congruence_is_that_of_the_labels_and_attractors() -> None:
    for item in load("lakretz"):
        nouns = item["condition"].split(" ")[1]
        assert "SP".index(nouns[0]) == item["label"]
        assert item["n_attractors"] == (len(set(nouns)) - 1)


@needs_data
def test_an_item_of_marvin_linzen_is_a_distinct_prefix() -> None:
    items = load("marvin_linzen")
    assert len(set(items["text"])) == 10_100
    for item in items:  # next to the verb stands a subject, or the rest of an earlier verb's phrase
        if item["condition"].endswith(loading.NOUN_BEFORE):
            assert item["subj_idx"] == item["verb_idx"] - 1
            assert item["n_attractors"] == 0
