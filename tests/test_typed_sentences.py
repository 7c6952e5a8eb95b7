"""The file of typed sentences, on which `python -m benchmarks.typed` scores models."""

from __future__ import annotations

from collections import Counter

from benchmarks.typed import PATH, read
from memgate.data.tokenization import pre_tokenizer


def test_there_are_two_sentences_of_each_kind_and_number() -> None:
    sentences = read(PATH)
    counts = Counter((kind, label) for kind, label, _ in sentences)
    assert len(sentences) == 100
    assert set(counts.values()) == {2}
    assert {label for _, label in counts} == {"sg", "pl"}
    assert len({prefix for *_, prefix in sentences}) == 100


def test_no_token_holds_a_comma_or_a_quote_of_its_neighbour() -> None:
    for *_, prefix in read(PATH):
        for token, _ in pre_tokenizer().pre_tokenize_str(prefix):
            assert not any(character.isalpha() for character in token) or not set(token) & set(
                ',"()'
            )
