"""The constructions of the synthetic grammar as sequences of phrases, and phrases as slots.

Tables to read: `CORES` says what stands between subject and verb, `FRONTS` what stands before the
subject, `ENDINGS` how the sentence goes on, and `phrases` gives each phrase variants of different
lengths. A slot is a terminal of `lexicon` with a number.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from memgate.data.sources.grammar.lexicon import OTHER, PL, SAME, SG, terminals

CLASSES: Mapping[str, Mapping[str, str]] = {
    "person": {"who": "who"},
    "animal": {"who": "which"},
    "thing": {
        "who": "which",
        "companion": "keepsake",
        "object": "being_object",
        "like": "please",
        "sleep": "fall",
        "eat": "hold",
        "more_like": "more_please",
        "more_sleep": "more_fall",
    },
}
"""What a name with ``~`` becomes, by the class of the subject, itself if nothing is listed.

A box doesn't sleep, and a doctor is not "which".
"""

CORES: Mapping[str, Sequence[str]] = {
    "bare": [""],
    "adverb": ["surely:0", "often:0", "surely:0 often:0"],
    "pp": [
        "free_pp:0 *pp always:0",
        "noun_pp:1 *pp always:0",
        "stuff_pp:1 always:0",
    ],
    "subject_relative": [
        "that:0 sleep~:0 *vp always:0",
        "that:0 like~:0 him:0 *vp always:0",
        "that:0 like~:0 object~:1 *vp always:0",
        "that:0 eat~:0 stuff:1 *vp always:0",
        "that:0 eat~:0 heap:1 of_stuff:2 *vp always:0",
    ],
    "object_relative": [
        "somebody:s like:s *pp always:0",
        "somebody:p like:p *pp always:0",
        "being:1 *pp like:1 always:0",
        "being:1 like:1 *pp always:0",
        "thinker:s being:1 *pp like:1 always:0",
        "thinker:p thinker:s being:1 like:1 *pp always:0",
    ],
    "object_relative_that": [
        "that:0 somebody:s like:s *pp always:0",
        "that:0 somebody:p like:p *pp always:0",
        "that:0 being:1 *pp like:1 always:0",
        "that:0 being:1 like:1 *pp always:0",
        "that:0 thinker:p being:1 *pp like:1 always:0",
        "that:0 thinker:s whether:0 thinker:p being:1 like:1 *pp always:0",
    ],
    "nested_relative": [
        "that:0 being:1 that:0 somebody:s like:s *pp like:1 always:0",
        "that:0 being:1 somebody:p like:p *pp like:1 always:0",
        "that:0 like~:0 being_object:1 that:0 sleep:1 *pp always:0",
        "that:0 like~:0 object~:1 that:0 somebody:p like:p *pp always:0",
        "that:0 being:1 that:0 being:2 like:2 *pp like:1 always:0",
        "that:0 like~:0 object~:1 that:0 being:2 like:2 *pp always:0",
        "that:0 like~:0 being_object:1 that:0 like:1 object:2 *pp always:0",
        "that:0 like~:0 being_object:1 that:0 like:1 being_object:2 that:0 sleep:2 *pp always:0",
    ],
    "appositive": ["comma:0 companion~:0 *pp comma:0 always:0"],
    "comma_relative": [
        "comma:0 who~:0 sleep~:0 *vp comma:0 always:0",
        "comma:0 who~:0 like~:0 him:0 *vp comma:0 always:0",
        "comma:0 who~:0 like~:0 object~:1 *vp comma:0 always:0",
        "comma:0 who~:0 eat~:0 stuff:1 *vp comma:0 always:0",
        "comma:0 who~:0 eat~:0 heap:1 of_stuff:2 *vp comma:0 always:0",
        "comma:0 who~:0 being:1 like:1 *pp comma:0 always:0",
    ],
}
"""What stands between subject and verb.

``phrase:r`` takes the number of referent r: 0 the subject, 1, 2, … the intervening nouns, ``s`` and
``p`` always singular and plural. At ``*`` stand the prepositional phrases of all further nouns, in
any order with as many phrases without nouns (`FILLERS`) as the length needs.
"""

FRONTS: Mapping[str, Sequence[str]] = {
    "fronted_pp": ["noun_pp:1 comma:0", "noun_pp:1 noun_pp:2 comma:0"],
    "complement": ["being:1 think:1 whether:0", "being:1 noun_pp:2 think:1 whether:0"],
    "clause": [
        "while:0 being:1 sleep:1 comma:0",
        "while:0 being:1 like:1 object:2 comma:0",
        "while:0 being:1 noun_pp:2 sleep:1 comma:0",
    ],
}
"""What stands before the subject: at least one noun, each singular or plural by its own coin."""

ENDINGS: Mapping[str, Sequence[str]] = {
    "being": [
        "sleep.now here stop",
        "like.now det noun stop",
        "be mood stop",
        "have det thing stop",
    ],
    "thing": ["fall.now here stop", "please.now det being stop", "be very size stop"],
}
"""The main verb, by what the subject is, and the words after it; each word a slot."""

FILLERS: Mapping[str, Sequence[str]] = {
    "pp": ["free_pp"],
    "vp": ["free_pp", "more_like~", "more_sleep~"],
}
"""Phrases without common nouns, of 2 to 5 words, that ``*`` may be filled with."""

Skeleton = list[int]
"""Codes of slots (see `Lexicon`)."""


class Phrase(NamedTuple):
    """The variants of a phrase by number and length: ``variants[number][words]`` are skeletons."""

    low: int
    high: int
    variants: list[list[list[Skeleton]]]


def noun_phrases(determiner: str, noun: str) -> list[str]:
    """Return the variants of a noun phrase, 2 to 5 words."""
    middles = ["", "size ", "origin ", "size origin ", "very size ", "very size origin "]
    return [f"{determiner} {middle}{noun}" for middle in middles]


def noun_pps(noun: str) -> list[str]:
    """Return the variants of a prepositional phrase with one noun, 3 to 6 words."""
    variants = noun_phrases("det", noun)
    right = [f"right behind {variant}" for variant in variants if len(variant.split()) < 5]
    return [f"near {variant}" for variant in variants] + right


def verb_phrases(verb: str, number: int) -> list[str]:
    """Return the variants of a finite verb, 1 to 3 words, adverbs included.

    A verb in a relative on the subject has the subject's number and gives the answer away; that is
    so in English. To make up for it, the present tense is rarer where a verb has the subject's
    number (1 in 4 of the plain forms) than where it has the other one (3 in 4): over all items, the
    last verb in the present tense before the main verb then says little. The rest are past tenses
    and modals, which don't inflect.
    """
    present = {SAME: 1, OTHER: 3}.get(number, 2)
    tenses = [f"{verb}.now"] * present + [f"{verb}.past"] * (4 - present)
    adverbs = [f"{adverb} {tense}" for adverb in ("always", "very often") for tense in tenses]
    return [*tenses, *adverbs, f"will {verb}.base", f"will always {verb}.base"]


def phrase_texts(number: int) -> dict[str, list[str]]:
    """Return the variants of every phrase, each as names of terminals, for a slot's number."""
    finite = {
        verb: verb_phrases(verb, number)
        for verb in ("like", "sleep", "eat", "think", "please", "fall", "hold")
    }
    names = ("name", "dear name", "woman and man")
    return {
        **finite,
        "more_like": [f"and {verb} {him}" for verb in finite["like"] for him in ("him", "name")],
        "more_please": [f"and {verb} him" for verb in finite["please"]],
        "more_sleep": [f"and {verb}" for verb in finite["sleep"]],
        "more_fall": [f"and {verb}" for verb in finite["fall"]],
        "thinker": [f"somebody {verb}" for verb in finite["think"]],
        **{name: [name] for name in ("that", "who", "which", "whether", "while", "comma")},
        **{name: noun_phrases("the", name) for name in ("person", "animal", "thing")},
        **{name: noun_phrases("the", name) for name in ("companion", "keepsake")},
        "somebody": ["somebody"],
        "being": noun_phrases("det", "being"),
        "object": noun_phrases("det", "noun"),
        "being_object": noun_phrases("det", "being"),
        "him": ["him", *names],
        "stuff": ["stuff", "fresh stuff"],
        "heap": noun_phrases("det", "heap")[:2],
        "of_stuff": ["of stuff", "of fresh stuff"],
        "always": ["", "always", "surely", "very often"],
        "surely": ["surely", "very clearly"],
        "often": ["always", "very often"],
        "noun_pp": noun_pps("noun"),
        "stuff_pp": ["with stuff", "with fresh stuff"],
        "last_pp": ["with stuff", "with fresh stuff", *noun_pps("noun")],
        "free_pp": [
            *("near him", "near name", "from city", "right behind him", "right behind name"),
            *(f"near {name}" for name in names[1:]),
            *("not far from city", "far from dear name", "right behind dear name"),
            *("somewhere between woman and man", "not far from dear name"),
        ],
    }


@functools.cache
def phrases() -> dict[str, Phrase]:
    """Return every phrase of the grammar by name, each word a slot."""
    place = {name: at for at, name in enumerate(terminals())}
    texts = {number: phrase_texts(number) for number in (SAME, OTHER, SG, PL)}
    made = {}
    for name, sample in texts[SAME].items():
        lengths = [len(text.split()) for text in sample]
        variants: list[list[list[Skeleton]]] = [
            [[] for _ in range(max(lengths) + 1)] for _ in texts
        ]
        for number, of_number in texts.items():
            for text in of_number[name]:
                slots = [len(texts) * place[slot] + number for slot in text.split()]
                variants[number][len(slots)].append(slots)
        made[name] = Phrase(min(lengths), max(lengths), variants)
    return made
