"""Agreement items of dependency trees: the same definition in both schemes of labels."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgate.data.items.dependencies import (
    CLEAR,
    MAX_TOKENS,
    UD,
    Agreement,
    ParsedSentence,
    Scheme,
    Tree,
    agreements,
    extract_items,
    inflections,
    make_item,
)
from memgate.data.items.schema import FEATURES, parse_item

DATA = os.environ.get("MEMGATE_DATA")


def tree(text: str) -> Tree:
    """Read "word/TAG/head/label", one a token, heads counted from 1 as in CoNLL-U."""
    words, tags, heads, relations = zip(
        *(token.rsplit("/", 3) for token in text.split(" ")), strict=True
    )
    return Tree(words, tags, [int(head) - 1 for head in heads], relations)


def only(text: str, scheme: Scheme) -> Agreement | str:
    """Return the one agreement of a sentence, or why its one subject was left out."""
    found, dropped = agreements(tree(text), scheme)
    assert len(found) + dropped.total() == 1
    return found[0] if found else next(iter(dropped))


def test_a_main_verb() -> None:
    text = (
        "the/DT/2/det keys/NNS/5/nsubj to/IN/2/prep it/PRP/3/pobj open/VBP/0/ROOT doors/NNS/5/dobj"
    )
    expected = Agreement(subj_idx=1, verb_idx=4, label="pl", target="main", verb_alt="opens")
    assert only(text, CLEAR) == only(text, UD) == expected


def test_a_copula_is_the_head_or_a_child() -> None:
    expected = Agreement(subj_idx=1, verb_idx=2, label="sg", target="cop", verb_alt="are")
    clear = "the/DT/2/det key/NN/3/nsubj is/VBZ/0/ROOT here/RB/3/advmod"
    assert only(clear, CLEAR) == expected
    assert only("the/DT/2/det key/NN/4/nsubj is/VBZ/4/cop red/JJ/0/root", UD) == expected
    outer = "the/DT/2/det key/NN/4/nsubj:outer is/VBZ/4/cop red/JJ/0/root"
    assert only(outer, UD) == expected


@pytest.mark.parametrize("finite", ["have/VBP", "HAVE/VBP"])
def test_the_leftmost_finite_auxiliary_agrees(finite: str) -> None:
    text = f"keys/NNS/4/nsubj {finite}/4/aux been/VBN/4/aux lost/VBN/0/root"
    expected = Agreement(subj_idx=0, verb_idx=1, label="pl", target="aux", verb_alt="has")
    assert only(text, CLEAR) == only(text, UD) == expected
    passive = text.replace("nsubj", "nsubj:pass").replace("4/aux been/VBN/4/aux", "4/aux:pass")
    passive = passive.replace("/4/", "/3/")
    assert only(passive, UD) == expected
    clear = passive.replace(":", "")
    assert only(clear, CLEAR) == expected
    assert agreements(tree(clear), UD) == ([], Counter())  # each scheme has its own labels


def test_an_auxiliary_of_a_clause_within_is_none_of_the_subject() -> None:
    text = (
        "men/NNS/5/nsubj who/WP/4/nsubj has/VBZ/4/aux slept/VBN/1/relcl eat/VBP/0/ROOT it/PRP/5/obj"
    )
    found, dropped = agreements(tree(text), CLEAR)
    assert [agreement.verb_idx for agreement in found] == [4]
    assert dropped == {"subject is no common noun": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("it/PRP/2/nsubj is/VBZ/0/ROOT", "subject is no common noun"),
        ("Paris/NNP/2/nsubj is/VBZ/0/ROOT", "subject is no common noun"),
        ("83N/NN/2/nsubj is/VBZ/0/ROOT", "subject with digit or symbol"),
        ("S&S/NN/2/nsubj is/VBZ/0/ROOT", "subject with digit or symbol"),
        ("key\u00a0ring/NN/2/nsubj is/VBZ/0/ROOT", "subject with digit or symbol"),
        ("key/NN/0/nsubj is/VBZ/0/ROOT", "no finite verb"),
        ("key/NN/1/nsubj is/VBZ/2/ROOT", "no finite verb"),
        ("key/NN/2/nsubj lost/VBN/0/ROOT", "no finite verb"),
        ("key/NN/3/nsubj can/MD/3/aux open/VB/0/ROOT", "modal"),
        ("key/NN/4/nsubj would/MD/4/aux has/VBZ/4/aux been/VBN/0/ROOT", "modal"),
        ("key/NN/2/nsubj opened/VBD/0/ROOT", "past"),
        ("key/NN/3/nsubj was/VBD/3/aux opening/VBG/0/ROOT", "past"),
        ("is/VBZ/3/aux key/NN/3/nsubj lost/VBN/0/ROOT", "verb before subject"),
        ("here/RB/2/advmod is/VBZ/0/ROOT key/NN/2/nsubj", "verb before subject"),
        ("key/NN/4/nsubj and/CC/1/cc lock/NN/1/conj are/VBP/0/ROOT", "coordinated subject"),
        ("number/NN/2/nsubj are/VBP/0/ROOT", "numbers differ"),
        ("keys/NNS/2/nsubj opens/VBZ/0/ROOT", "numbers differ"),
        ("key/NN/2/nsubj 's/VBZ/0/ROOT", "clitic"),
        ("keys/NNS/2/nsubj ’re/VBP/0/ROOT", "clitic"),
        ("key/NN/2/nsubj xyzzes/VBZ/0/ROOT", "unknown inflection"),
        ("keys/NNS/2/nsubj isnt/VBP/0/ROOT", "unknown inflection"),
        ("men/NNS/2/nsubj put/VBP/0/ROOT", "present equals past"),
        ("men/NNS/2/nsubj Read/VBP/0/ROOT", "present equals past"),
    ],
)
def test_what_is_left_out_and_why(text: str, reason: str) -> None:
    assert only(text, CLEAR) == reason


def test_a_coordination_after_the_verb_does_no_harm() -> None:
    text = "key/NN/2/nsubj is/VBZ/0/ROOT here/RB/2/advmod and/CC/1/cc lock/NN/1/conj"
    assert isinstance(only(text, CLEAR), Agreement)
    assert isinstance(only("key/NN/2/nsubj puts/VBZ/0/ROOT", CLEAR), Agreement)


def test_sentences_have_fewer_than_50_tokens() -> None:
    start = "keys/NNS/2/nsubj are/VBP/0/ROOT"
    assert MAX_TOKENS == 50
    assert isinstance(only(start + " ,/,/2/punct" * 47, CLEAR), Agreement)
    assert only(start + " ,/,/2/punct" * 48, CLEAR) == "50 tokens or more"


def test_text_stays_joined_by_one_space() -> None:
    words, tags, heads, relations = tree("keys/NNS/2/nsubj are/VBP/0/ROOT 1/CD/2/x")
    for bad in ("1 000", "", " ", "1\u20020"):
        sentence = Tree([*words[:2], bad], tags, heads, relations)
        assert agreements(sentence, CLEAR)[1] == {"white space in a token": 1}


@pytest.mark.parametrize(
    ("verb", "tag", "forms"),
    [
        ("is", "VBZ", ("are", False)),
        ("are", "VBP", ("is", False)),
        ("has", "VBZ", ("have", False)),
        ("do", "VBP", ("does", False)),
        ("goes", "VBZ", ("go", False)),
        ("find", "VBP", ("finds", False)),
        ("founds", "VBZ", ("found", False)),
        ("set", "VBP", ("sets", True)),
        ("is", "VBP", None),
        ("dont", "VBP", None),
    ],
)
def test_inflections(verb: str, tag: str, forms: tuple[str, bool] | None) -> None:
    assert inflections(verb, tag) == forms


def test_items_have_every_field() -> None:
    text = (
        "The/DT/2/det keys/NNS/9/nsubj of/IN/2/prep cars/NNS/3/pobj to/IN/2/prep Rome/NNP/7/nn "
        "house/NN/5/pobj often/RB/9/advmod Open/VBP/0/ROOT ././9/punct"
    )
    (sentence,) = [ParsedSentence("doc-1", tree(text))]
    found = extract_items([sentence], CLEAR)
    assert found[1:] == (["main"], {}, 1, 10)
    assert found.items[0] == {
        "id": "doc-1:8",
        "text": "The keys of cars to Rome house often Open .",
        "verb_idx": 8,
        "subj_idx": 1,
        "label": "pl",
        "tags": "DT NNS IN NNS IN NNP NN RB VBP .",
        "n_attractors": 1,
        "verb": "Open",
        "verb_alt": "opens",
        "condition": None,
        "good": None,
        "bad": None,
    }


TWO = (
    "keys/NNS/2/nsubj open/VBP/0/ROOT and/CC/2/cc men/NNS/5/nsubj run/VBP/2/conj "
    "dogs/NNS/8/nsubj have/VBP/8/aux run/VBN/2/conj"
)


def test_linzen_keeps_no_auxiliaries_and_one_random_item_a_sentence() -> None:
    sentences = [ParsedSentence(f"{n}", tree(f"{TWO} {n}x/CD/2/dep")) for n in range(400)]
    every, found = extract_items(sentences, CLEAR), extract_items(sentences, CLEAR, linzen=True)
    assert Counter(every.targets) == {"main": 800, "aux": 400}
    assert (set(found.targets), len(found.items)) == ({"main"}, 400)
    assert found.dropped == {"auxiliary": 400, "another item of its sentence was sampled": 400}
    first = sum(row["verb_idx"] == 1 for row in found.items)
    assert 160 < first < 240  # ±4 standard deviations
    assert extract_items(sentences[::-1], CLEAR, linzen=True).items == found.items[::-1]
    assert extract_items(sentences, CLEAR, linzen=True, seed=1).items != found.items


TAGS = ["NN", "NNS", "NNP", "PRP", "DT", "VBZ", "VBP", "VBD", "MD", "VB", "JJ", "CC"]
WORDS = ["key", "keys", "are", "is", "opens", "open", "put", "'s", "1", "x y"]
LABELS = ["nsubj", "nsubjpass", "nsubj:pass", "nsubj:outer", "aux", "auxpass", "cop", "conj", "x"]


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    size = draw(st.integers(1, 8))

    def drawn(values: st.SearchStrategy[object]) -> list[object]:
        return draw(st.lists(values, min_size=size, max_size=size))

    heads = drawn(st.integers(-1, size - 1))
    words, tags, relations = (drawn(st.sampled_from(names)) for names in (WORDS, TAGS, LABELS))
    return Tree(words, tags, heads, relations)  # type: ignore[arg-type]


@given(trees(), st.sampled_from([CLEAR, UD]))
def test_every_subject_is_an_item_or_left_out(sentence: Tree, scheme: Scheme) -> None:
    found, dropped = agreements(sentence, scheme)
    subjects = [relation in scheme.subjects for relation in sentence.relations]
    assert len(found) + dropped.total() == sum(subjects)
    for agreement in found:
        row = make_item(sentence, agreement, "x")
        assert set(row) == set(FEATURES)
        assert parse_item(row) == row  # label and tags agree, places are within the text, ...
        assert parse_item({**row, "n_attractors": None}) == row
        assert subjects[agreement.subj_idx]


@pytest.mark.skipif(DATA is None, reason="MEMGATE_DATA is not set")
def test_verbs_of_real_text_have_the_alternatives_known_for_them() -> None:
    wrong: Counter[str] = Counter()
    total = 0
    with gzip.open(Path(DATA or "") / "corpus/agr_wiki_train.jsonl.gz", "rt") as file:
        for row in map(json.loads, file):
            forms = inflections(row["verb"].lower(), "VBZ" if row["label"] == "sg" else "VBP")
            total += 1
            if forms is None or forms[0] != row["verb_alt"]:
                wrong[row["verb"]] += 1
    assert total == 48_700
    assert wrong == {"be": 2}  # "rumours be false": lemminflect knows "be" as no present tense
