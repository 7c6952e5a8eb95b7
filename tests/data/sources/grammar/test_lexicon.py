from __future__ import annotations

import numpy as np
import pytest

from memgate.data.sources.grammar.lexicon import (
    FIXED,
    NOUN_LEMMAS,
    NUMBERED,
    OTHER,
    PL,
    SAME,
    SG,
    VERB_LEMMAS,
    Lexicon,
    inflect,
    lexicon,
    terminals,
)


@pytest.mark.parametrize(
    ("lemma", "tag", "form"),
    [
        ("goose", "NNS", "geese"),
        ("child", "NNS", "children"),
        ("knife", "NNS", "knives"),
        ("be", "VBZ", "is"),
        ("be", "VBP", "are"),
        ("have", "VBZ", "has"),
        ("carry", "VBZ", "carries"),
        ("eat", "VBD", "ate"),
        ("watch", "VB", "watch"),
    ],
)
def test_irregular_forms(lemma: str, tag: str, form: str) -> None:
    assert inflect(lemma, tag) == form


def test_singular_and_plural_of_a_noun_or_verb_always_differ() -> None:
    paired = [*NOUN_LEMMAS, "being", "noun", "be", "have", *(f"{verb}.now" for verb in VERB_LEMMAS)]
    for name in paired:
        terminal = terminals()[name]
        assert len(terminal.sg) == len(terminal.pl)
        for (singular, _), (plural, _) in zip(terminal.sg, terminal.pl, strict=True):
            assert singular != plural, name


def test_the_past_tense_never_looks_like_the_present() -> None:
    for verb in VERB_LEMMAS:
        present = {word for number in terminals()[f"{verb}.now"] for word, _ in number}
        past = {word for word, _ in terminals()[f"{verb}.past"].sg}
        assert not present & past


def test_tags_follow_the_number_of_the_slot() -> None:
    for name, (sg, pl) in {
        "noun": ("NN", "NNS"),
        "stuff": ("NN", "NNS"),
        "like.now": ("VBZ", "VBP"),
        "be": ("VBZ", "VBP"),
    }.items():
        terminal = terminals()[name]
        assert {tag for _, tag in terminal.sg} == {sg}
        assert {tag for _, tag in terminal.pl} == {pl}


def test_no_word_outside_a_noun_is_tagged_as_one() -> None:
    for name in {*FIXED, *NUMBERED} - {"anybody", "lot"}:  # parts of a subject
        tags = {tag for number in terminals()[name] for _, tag in number}
        assert not tags & {"NN", "NNS", "VBZ", "VBP", ""}, name


def test_words_are_single_lower_case_tokens_a_few_hundred_in_all() -> None:
    words = lexicon().words.tolist()
    assert len(set(words)) == len(words)
    assert 400 < len(words) < 700
    assert all(word.isascii() and (word.isalpha() or word in {",", "."}) for word in words)
    assert all(word == word.lower() for word in words)


def entry(lexis: Lexicon, name: str, number: int, label: int, draw: float) -> tuple[str, str]:
    code = 4 * list(terminals()).index(name) + number
    chosen = lexis.entries(np.array([code]), np.array([label]), np.array([draw]))
    return lexis.words[lexis.entry_word[chosen]][0], lexis.tags[lexis.entry_tag[chosen]][0]


def test_a_slot_takes_the_number_that_its_relation_to_the_label_gives() -> None:
    lexis = lexicon()
    first = {SAME: ("actor", "actors"), OTHER: ("actors", "actor")}
    first |= {SG: ("actor", "actor"), PL: ("actors", "actors")}
    for number, forms in first.items():
        for label in (0, 1):
            assert entry(lexis, "person", number, label, 0.0)[0] == forms[label]


def test_samples_reach_every_entry_equally_and_none_beyond() -> None:
    lexis = lexicon()
    size = len(terminals()["city"].sg)
    draws = (np.arange(10 * size) + 0.5) / (10 * size)
    words = [entry(lexis, "city", SAME, 0, draw)[0] for draw in draws]
    assert [words.count(city) for city, _ in terminals()["city"].sg] == [10] * size
    assert entry(lexis, "city", SAME, 0, np.nextafter(1.0, 0.0))[0] == words[-1]


def test_counterpart_is_the_same_lemma_in_the_other_number() -> None:
    lexis = lexicon()
    code = 4 * list(terminals()).index("like.now") + SAME
    lemmas = VERB_LEMMAS["like"].split()
    draws = (np.arange(len(lemmas)) + 0.5) / len(lemmas)
    for label in (0, 1):
        codes, labels = np.full(len(lemmas), code), np.full(len(lemmas), label)
        chosen = lexis.entries(codes, labels, draws)
        others = lexis.counterparts(codes, labels, chosen)
        assert lexis.words[lexis.entry_word[chosen]].tolist() == [
            inflect(lemma, ("VBZ", "VBP")[label]) for lemma in lemmas
        ]
        assert others == [inflect(lemma, ("VBP", "VBZ")[label]) for lemma in lemmas]


def test_a_becomes_an_before_a_vowel_and_nowhere_else() -> None:
    lexis = lexicon()

    def spelt(*words: str) -> list[str]:
        places = [lexis.words.tolist().index(word) for word in words]
        return lexis.spell(np.array([lexis.entry_word.tolist().index(place) for place in places]))

    assert spelt("a", "actor", "a", "dog", "actor") == ["an", "actor", "a", "dog", "actor"]
    assert spelt("the", "old", "dog", "a") == ["the", "old", "dog", "a"]
