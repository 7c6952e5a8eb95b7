"""Typed text is split as spaCy's blank English splits it."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from memgate.data.tokenization import pre_tokenizer

DATA = os.environ.get("MEMGATE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")

SPLIT = pre_tokenizer()

TYPED = st.text("aB1nts'’-.,\"()%$ é…–`@<&/")


def tokens(text: str) -> list[str]:
    return [token for token, _ in SPLIT.pre_tokenize_str(text)]


def sentences(as_typed: bool) -> list[str]:
    """The sentences of WikiText-2, with its own spaces or as they would be typed."""
    found = []
    for part in ("valid", "test"):
        with gzip.open(f"{DATA}/raw/wikitext2_{part}.txt.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                found += re.split(r"(?<= [.!?]) (?=[A-Z\"])", line.strip())
    found = [sentence for sentence in found if sentence]
    if not as_typed:  # spaCy would split the mark
        return [sentence.replace("<unk>", "Unk") for sentence in found]
    return [_typed(sentence) for sentence in found if "<unk>" not in sentence]


def _typed(sentence: str) -> str:
    sentence = re.sub(r" @(.)@ ", r"\1", sentence)  # "well @-@ known", "1 @,@ 000"
    sentence = re.sub(r" ([,.;:!?%)\]]|'s|n't|'re|'ve|'m|'ll|'d|')(?= |$|[,.)])", r"\1", sentence)
    sentence = re.sub(r"([(\[$£]) ", r"\1", sentence)
    return re.sub(r'" (.*?) "', r'"\1"', sentence)


@needs_data
@pytest.mark.parametrize("as_typed", [False, True])
def test_splits_nearly_all_sentences_as_spacy_does(as_typed: bool) -> None:
    nlp = spacy.blank("en")
    texts = sentences(as_typed)
    same = [
        tokens(text) == [token.text for token in nlp(text) if not token.is_space] for text in texts
    ]
    assert len(texts) > 6_000
    assert sum(same) / len(same) >= 0.995


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat, which was full,", "The cat , which was full ,"),
        ("don't can't won't DON'T", "do n't ca n't wo n't DO N'T"),
        ("don’t they’re the dogs’", "do n’t they ’re the dogs ’"),
        ("I'm she's we'll cannot", "I 'm she 's we 'll can not"),
        ("John's parents' rock'n'roll O'Brien", "John 's parents ' rock'n'roll O'Brien"),
        ("well-known two-year-old F-16 1914-18", "well - known two - year - old F-16 1914 - 18"),
        ("U.S. Mr. Smith e.g. 5 a.m. H. americanus.", "U.S. Mr. Smith e.g. 5 a.m. H. americanus ."),
        ("1,000.5 50% $5 10kg 3rd 1990s", "1,000.5 50 % $ 5 10 kg 3rd 1990s"),
        ('"So," he said... (now)', '" So , " he said ... ( now )'),
        ("it -- the end — is", "it -- the end — is"),
        ("see www.x.org/a or a.b@x.org.", "see www.x.org/a or a.b@x.org ."),
        ("the NNS PRP$ <unk> -LRB- 7 @.@ 2 `` ''", "the NNS PRP$ <unk> -LRB- 7 @.@ 2 `` ''"),
        (" \t\n ", ""),
    ],
)
def test_splits_by_hand(text: str, expected: str) -> None:
    assert tokens(text) == expected.split()


@given(TYPED)
def test_loses_no_character_but_white_space(text: str) -> None:
    assert "".join(tokens(text)) == "".join(text.split())


@given(TYPED)
def test_case_makes_no_difference(text: str) -> None:
    """A tokenizer that ignores case sees text in lower case."""
    assert [token.lower() for token in tokens(text)] == tokens(text.lower())


@given(TYPED)
def test_what_is_split_is_not_split_further(text: str) -> None:
    for token in tokens(text):
        assert tokens(token) == [token]


@needs_data
def test_tokens_of_the_corpora_stay_as_they_are() -> None:
    """All but compounds with a hyphen, which some of the corpora keep whole, and rare forms."""
    changed = words = 0
    for path in sorted(Path(str(DATA), "ud").glob("*_train.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for token in re.findall(r'"text": "(.*?)(?<!\\)", "tags"', lines.read()):
                for word in token.replace('\\"', '"').split(" "):
                    words += 1
                    changed += tokens(word) != [word] and "-" not in word
    assert words > 80_000
    assert changed / words < 0.003
