"""Tags of words outside a vocabulary, worked by hand."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgate.data.sources import jsonl
from memgate.data.tag_lexicon import MIN_WORDS, TagLexicon
from memgate.data.tagger import Tagger
from memgate.errors import InputError

DATA = os.environ.get("MEMGATE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")

PLURALS = [f"{letter}ogs" for letter in "abcdefghijk"]
SINGULARS = [f"{letter}oat" for letter in "abcdefghijklmn"]
GERUNDS = [f"{letter}oing" for letter in "abcdefghijk"]
TAGS = {"NNS": PLURALS, "NN": SINGULARS, "VBG": GERUNDS, "NNP": ["texas", "paris", "venus"]}


def lexicon(known: list[str] | None = None) -> TagLexicon:
    words = [word for group in TAGS.values() for word in group]
    tags = [tag for tag, group in TAGS.items() for _ in group]
    return TagLexicon.fit(pa.array(words), pa.array(tags), pa.array(known or [], pa.string()))


def tag(lexicon: TagLexicon, *words: str, first: bool = False) -> list[str | None]:
    is_first = np.full(len(words), first)
    tags: list[str | None] = lexicon.tag(pa.array(words, pa.string()), is_first).to_pylist()
    return tags


def test_a_training_word_has_its_own_tag_whatever_its_ending_or_case() -> None:
    assert tag(lexicon(), "texas", "Dogs", "GOAT") == ["NNP", "NNS", "NN"]


def test_a_word_of_the_vocabulary_is_not_kept() -> None:
    kept = lexicon(["dogs", "boat"]).words.to_pylist()
    assert "dogs" not in kept
    assert "boat" not in kept
    assert "cogs" in kept


def test_another_word_has_the_tag_of_its_longest_known_ending() -> None:
    assert tag(lexicon(), "wugs", "blicket", "glorping", "?!", "–") == [
        "NNS",
        "NN",  # the most frequent tag of all, without proper nouns
        "VBG",
        None,
        None,
    ]


def test_a_capital_makes_a_name_but_at_the_beginning() -> None:
    assert tag(lexicon(), "Wugs") == ["NNP"]
    assert tag(lexicon(), "Wugs", first=True) == ["NNS"]


def test_an_ending_of_few_words_does_not_count() -> None:
    few = [f"{letter}es" for letter in "abcdefghijklm"[: MIN_WORDS - 1]]
    words, tags = [*SINGULARS, *few], ["NN"] * len(SINGULARS) + ["NNS"] * len(few)
    fitted = TagLexicon.fit(pa.array(words), pa.array(tags), pa.array([], pa.string()))
    assert tag(fitted, "zes") == ["NN"]


@given(st.lists(st.sampled_from([w for group in TAGS.values() for w in group]), unique=True))
def test_the_order_of_the_words_does_not_matter(words: list[str]) -> None:
    by_word = {word: tag for tag, group in TAGS.items() for word in group}
    fitted = [
        TagLexicon.fit(
            pa.array(order, pa.string()),
            pa.array([by_word[word] for word in order], pa.string()),
            pa.array([], pa.string()),
        ).endings
        for order in (words, words[::-1])
    ]
    assert fitted[0] == fitted[1]


def test_a_noun_whose_ending_misleads_is_looked_up_in_a_dictionary() -> None:
    assert tag(lexicon(), "lice", "virus", "cacti") == ["NNS", "NN", "NNS"]


def test_without_training_words_nothing_is_guessed() -> None:
    empty = pa.array([], pa.string())
    assert tag(TagLexicon.fit(empty, empty, empty), "wugs") == [None]


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    saved, path = lexicon(), tmp_path / "lexicon.parquet"
    saved.save(path)
    loaded = TagLexicon.load(path)
    assert loaded.words.equals(saved.words)
    assert loaded.tags.equals(saved.tags)
    assert loaded.endings == saved.endings


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match=rf"^{path}: expected the tags of rare words as Parquet"):
        TagLexicon.load(path)


@needs_data
def test_guesses_most_nouns_of_a_treebank_that_no_training_text_has() -> None:
    """The number of a noun that is in no corpus is told by its ending."""
    train = jsonl.read([f"{DATA}/corpus/*_train.jsonl.gz"]).with_format("arrow")[:]
    tagger = Tagger.fit(train)
    fitted = TagLexicon.fit(tagger.words, tagger.tags, tagger.words[:0])
    known = set(tagger.words.to_pylist())
    words: dict[str, str] = {}
    for path in Path(str(DATA), "ud").glob("*_test.jsonl.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for item in map(json.loads, lines):
                pairs = zip(item["text"].split(" "), item["tags"].split(" "), strict=True)
                words |= {w: t for w, t in pairs if t in ("NN", "NNS") and w.lower() not in known}
    guessed = tag(fitted, *words, first=True)
    right = [guess == gold for guess, gold in zip(guessed, words.values(), strict=True)]
    assert len(right) > 100
    assert sum(right) / len(right) > 0.75
