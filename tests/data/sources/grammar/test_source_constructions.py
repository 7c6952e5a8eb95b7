from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import datasets
import pytest

from memgate.data.items.numbers import LABELS, NOUN_NUMBER, VERB_NUMBER
from memgate.data.sources.grammar.source import Grammar

Row = Mapping[str, Any]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(opened(Grammar(train=15_000, validation=1, test=1).load()["train"]))


def opened(split: datasets.Dataset) -> Iterator[Row]:
    """Rows with words, tags and label as Python values, and the words between counted."""
    for row in split.to_list():
        words, tags, label = row["text"].split(" "), row["tags"].split(" "), LABELS[row["label"]]
        length = row["verb_idx"] - row["subj_idx"] - 1
        front, _, core = row["condition"].rpartition("+")
        yield (
            row
            | {"words": words, "tags": tags, "label": label, "length": length}
            | {
                "front": front,
                "core": core,
            }
        )


def subject_before(row: Row, place: int) -> str | None:
    """The number of the word that the verb at `place` agrees with, where that one is beside it."""
    before = place - 1
    while row["tags"][before] == "RB":
        before -= 1
    tag, word = row["tags"][before], row["words"][before]
    if tag in {"WDT", "WP"}:  # a relative on the noun before it
        before -= 2 if row["tags"][before - 1] == "," else 1
        return NOUN_NUMBER.get(row["tags"][before])
    if tag == "PRP" and word in {"he", "she", "they", "we"}:
        return "sg" if word in {"he", "she"} else "pl"
    start = before
    while row["tags"][start - 1] in {"DT", "PRP$", "CD", "JJ", "RB"}:
        start -= 1
    # A noun phrase right behind a relativiser, or behind the head of a relative without one.
    if tag in NOUN_NUMBER and row["tags"][start - 1] in {"WDT", "WP", "NN", "NNS"}:
        return NOUN_NUMBER[tag]
    return None


def test_verbs_inside_relatives_agree_with_their_own_subjects(rows: list[Row]) -> None:
    seen = Counter[tuple[str, str]]()
    for row in rows:
        for place in range(row["subj_idx"] + 1, row["verb_idx"]):
            number = VERB_NUMBER.get(row["tags"][place])
            # "that the dog that he sees likes": only the first of two verbs is beside its subject
            expected = subject_before(row, place) if number else None
            if number and expected:
                assert number == expected, (row["text"], row["words"][place])
                seen[row["core"], "same" if number == row["label"] else "other"] += 1
    for core in ("object_relative", "object_relative_that", "nested_relative"):
        assert seen[core, "other"] > 100
        assert seen[core, "same"] > 50
    assert seen["subject_relative", "same"] > 100
    assert seen["subject_relative", "other"] == 0


def test_each_construction_looks_like_its_name(rows: list[Row]) -> None:
    verbs = {"VBZ", "VBP", "VBD", "VB"}
    for row in rows:
        words, tags = (row[key][row["subj_idx"] + 1 : row["verb_idx"]] for key in ("words", "tags"))
        finite = sum(tag in verbs for tag in tags)
        match row["core"]:
            case "bare":
                assert not words
            case "adverb":
                assert set(tags) == {"RB"}
            case "pp":
                assert "IN" in tags
                assert not {"WDT", "WP", "MD", ",", *verbs} & set(tags)
            case "subject_relative":
                assert words[0] == "that"
                assert next(tag for tag in tags[1:] if tag != "RB") in {*verbs - {"VB"}, "MD"}
            case "object_relative" | "object_relative_that":
                assert (tags[0] == "WDT") == (row["core"] == "object_relative_that")
                assert tags[tags[0] == "WDT"] in {"DT", "PRP", "PRP$", "NNP", "JJ", "CD"}
                assert finite >= 1
            case "nested_relative":
                assert tags[0] == "WDT"
                assert finite in {2, 3}
            case "appositive":
                assert (tags[0], tags.count(","), finite) == (",", 2, 0)
                assert NOUN_NUMBER[next(tag for tag in tags if tag in NOUN_NUMBER)] == row["label"]
            case "comma_relative":
                assert (words[0], tags.count(",")) == (",", 2)
                assert words[1] in {"which", "who"}
                assert finite >= 1
            case other:
                pytest.fail(f"unknown construction {other!r}")
    assert len({row["condition"] for row in rows}) == 9 * 4


def test_each_front_looks_like_its_name(rows: list[Row]) -> None:
    for row in rows:
        words, tags = row["words"][: row["subj_idx"]], row["tags"][: row["subj_idx"]]
        match row["front"]:
            case "":
                assert not {"NN", "NNS", ",", "IN"} & set(tags)
            case "fronted_pp":
                assert "IN" in tags[:2]
                assert tags.count(",") == 1
            case "complement":
                assert words.count("that") == 1
                assert any(tag in {"VBZ", "VBP", "VBD", "VB"} for tag in tags)
            case "clause":
                assert words[0] in {"although", "because", "if", "when", "while"}
                assert tags.count(",") == 1
            case other:
                pytest.fail(f"unknown front {other!r}")


def test_the_question_that_started_the_project_can_be_asked() -> None:
    """'The cat , which already ate a bunch of food , …', for cats and for a cat."""
    splits = Grammar(20_000, 1, 1, constructions=["comma_relative"], max_intervening=12).load()
    for part in (" , which already ", " , which ate ", " bunch of "):
        asked = [row for row in opened(splits["train"]) if part in row["text"]]
        assert {row["label"] for row in asked} == {"sg", "pl"}, part
