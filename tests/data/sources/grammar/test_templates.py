from __future__ import annotations

import random
import re
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgate.data.sources.grammar.lexicon import OTHER, PL, SAME, SG, terminals
from memgate.data.sources.grammar.templates import (
    CORES,
    FRONTS,
    SUBJECT_CLASSES,
    Quota,
    layouts_for,
    phrases,
    sample_template,
)

NOUNS = {"person", "animal", "thing", "being", "noun", "stuff", "heap", "companion", "keepsake"}
NAMES = list(terminals())


def slots(codes: list[int]) -> list[tuple[str, int]]:
    return [(NAMES[code // 4], code % 4) for code in codes]


FITS = {
    core: [
        (length, nouns)
        for length in range(81)
        for nouns in range(9)
        if layouts_for(core, "person", nouns, length)
    ]
    for core in CORES
}


@st.composite
def quotas(draw: st.DrawFn) -> Quota:
    core = draw(st.sampled_from(list(CORES)))
    noun_class = draw(st.sampled_from(list(SUBJECT_CLASSES)))
    length, nouns = draw(st.sampled_from(FITS[core]))
    attractors = draw(st.integers(max(0, nouns - 4), min(4, nouns)))
    front = draw(st.sampled_from([None, *FRONTS]))
    return Quota(length, core, attractors, nouns - attractors, front, noun_class)


@given(quota=quotas(), seed=st.integers(0, 2**32))
def test_a_template_has_exactly_the_words_and_nouns_of_its_quota(quota: Quota, seed: int) -> None:
    template = sample_template(quota, random.Random(seed).random)
    assert template.verb_idx - template.subj_idx - 1 == quota.length
    noun = {"quantity": "being"}.get(quota.noun_class, quota.noun_class)
    assert slots(template.slots)[template.subj_idx] == (noun, SAME)
    between = slots(template.slots[template.subj_idx + 1 : template.verb_idx])
    numbers = [number for name, number in between if name in NOUNS]
    assert numbers.count(OTHER) == quota.attractors
    assert numbers.count(SAME) == quota.same + (quota.core == "appositive")
    assert len(numbers) == numbers.count(OTHER) + numbers.count(SAME)
    verb, number = slots(template.slots)[template.verb_idx]
    assert number == SAME
    assert verb in {"be", "have"} or verb.endswith(".now")


@given(quota=quotas(), seed=st.integers(0, 2**32))
def test_what_stands_before_the_subject_knows_nothing_of_its_number(
    quota: Quota, seed: int
) -> None:
    template = sample_template(quota, random.Random(seed).random)
    subject = template.subj_idx
    first = {"quantity": "a", "anybody": "anybody"}.get(quota.noun_class, "the")
    while slots(template.slots)[subject][0] != first:
        subject -= 1
    front = slots(template.slots)[:subject]
    assert bool(front) == (quota.front is not None)
    nouns = [number for name, number in front if name in NOUNS]
    assert set(nouns) <= {SG, PL}
    assert bool(nouns) == bool(front)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("nouns", range(9))
def test_what_fits_is_the_same_for_every_class_and_has_no_gap(core: str, nouns: int) -> None:
    fits = [
        {bool(layouts_for(core, noun_class, nouns, length)) for noun_class in SUBJECT_CLASSES}
        for length in range(81)
    ]
    assert all(len(answers) == 1 for answers in fits)
    lengths = [length for length, answers in enumerate(fits) if True in answers]
    assert lengths == list(range(min(lengths), max(lengths) + 1)) if lengths else True
    if core not in {"bare", "adverb", "manner"} and nouns > 0:
        assert lengths[-1] == 80
        assert lengths[0] <= 3 * nouns + 3


def test_every_phrase_has_a_variant_of_every_length_and_number_between_its_bounds() -> None:
    for name, phrase in phrases().items():
        assert len(phrase.variants) == 4
        for variants in phrase.variants:
            assert [bool(options) for options in variants] == [
                phrase.min_words <= length <= phrase.max_words
                for length in range(phrase.max_words + 1)
            ], name


def test_a_phrase_speaks_of_one_number_only() -> None:
    for phrase in phrases().values():
        for number, variants in enumerate(phrase.variants):
            codes = {code for options in variants for codes in options for code in codes}
            assert {code % 4 for code in codes} <= {number}


def test_patterns_number_their_nouns_without_gaps() -> None:
    for pattern in chain(*CORES.values(), *FRONTS.values()):
        numbers = {int(number) for number in re.findall(r":([1-9])", pattern)}
        assert numbers == set(range(1, len(numbers) + 1)), pattern
        assert pattern.count("*") <= 1
