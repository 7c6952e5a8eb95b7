"""The words of the synthetic grammar: lemmas, their forms by lemminflect, and who does what."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import lemminflect
import numpy as np
from numpy.typing import NDArray

from memgate.arrays import Bools, Floats, Ints

SAME, OTHER, SG, PL = range(4)
"""The number of a slot: the subject's, the other one, or fixed whatever the subject is."""

NOUN_LEMMAS: Mapping[str, str] = {
    "person": "actor artist baker boy child dancer doctor driver farmer girl guard hunter judge "
    "king lawyer man nurse painter pilot poet queen sailor singer soldier student teacher woman "
    "writer",
    "animal": "bear bird cat cow dog donkey duck fox frog goat goose hen horse lion monkey mouse "
    "pig rabbit snake spider squirrel tiger turtle wolf",
    "thing": "boat book bottle bridge cabinet car chair church clock door garden house key knife "
    "ladder lamp letter mirror picture piano road shelf table tower tree wall wagon window",
    "heap": "bag basket bowl box bucket bunch jar pile plate sack",
    "companion": "companion enemy favorite friend rival",
    "keepsake": "gift present souvenir treasure",
}

VERB_LEMMAS: Mapping[str, str] = {
    # a being does it to anything
    "like": "admire avoid fear find follow know like love meet miss notice praise remember see "
    "trust watch",
    "sleep": "cry dance laugh listen rest run sing sleep smile swim travel wait work",
    "eat": "bring buy carry eat find hide need sell share steal taste want",
    "think": "believe claim hope know say suspect think",
    # a thing can do it too; "please" takes a being as its object
    "please": "amaze amuse annoy bother confuse delight frighten impress please scare surprise "
    "worry",
    "fall": "arrive change disappear fall improve move return vanish",
    "hold": "contain conceal hold store",
}

STUFF_SG = "bread butter cheese food fruit honey meat milk rice soup"
STUFF_PL = "apple berry biscuit cake carrot cookie egg nut potato sandwich"
"""What is eaten: mass nouns where the number is singular, plural count nouns where it is plural.

Neither needs a determiner, so "with food" and "with apples" have the same length.
"""

WOMEN = "anna/NNP emma/NNP julia/NNP lucy/NNP mary/NNP"
MEN = "john/NNP oscar/NNP paul/NNP peter/NNP tom/NNP"
MORE_NAMES = (
    "alice/NNP andrew/NNP carla/NNP charles/NNP clara/NNP daniel/NNP david/NNP elena/NNP eric/NNP "
    "george/NNP grace/NNP harry/NNP helen/NNP henry/NNP jack/NNP james/NNP jane/NNP kate/NNP "
    "laura/NNP leo/NNP linda/NNP louis/NNP maria/NNP martha/NNP max/NNP michael/NNP nina/NNP "
    "oliver/NNP patrick/NNP robert/NNP rosa/NNP sam/NNP sarah/NNP simon/NNP sophie/NNP susan/NNP "
    "thomas/NNP victor/NNP walter/NNP william/NNP"
)
DETERMINERS = "the/DT the/DT the/DT the/DT my/PRP$ our/PRP$ his/PRP$ her/PRP$ their/PRP$"
"""Determiners that don't show number, as word/tag; one listed twice is sampled twice as often."""

FIXED: Mapping[str, str] = {
    "the": DETERMINERS,
    "size": "beautiful/JJ big/JJ clean/JJ dirty/JJ famous/JJ large/JJ little/JJ odd/JJ old/JJ "
    "pretty/JJ quiet/JJ small/JJ strange/JJ ugly/JJ",
    "origin": "english/JJ foreign/JJ french/JJ german/JJ italian/JJ local/JJ modern/JJ russian/JJ",
    "mood": "angry/JJ awake/JJ calm/JJ happy/JJ hungry/JJ proud/JJ ready/JJ sad/JJ tired/JJ",
    "dear": "clever/JJ dear/JJ little/JJ old/JJ poor/JJ young/JJ",
    "fresh": "cheap/JJ delicious/JJ fresh/JJ tasty/JJ",
    "very": "quite/RB rather/RB very/RB",
    "often": "frequently/RB often/RB rarely/RB seldom/RB",
    "always": "already/RB also/RB always/RB never/RB often/RB rarely/RB sometimes/RB still/RB "
    "usually/RB",
    "clearly": "clearly/RB evidently/RB obviously/RB possibly/RB probably/RB",
    "surely": "apparently/RB certainly/RB clearly/RB obviously/RB probably/RB",
    "here": "again/RB here/RB now/RB quietly/RB slowly/RB there/RB",
    "manner": "gladly/RB loudly/RB proudly/RB quickly/RB quietly/RB sadly/RB slowly/RB warmly/RB",
    "right": "directly/RB just/RB right/RB",
    "not": "not/RB",
    "far": "far/RB",
    "somewhere": "somewhere/RB",
    "behind": "above/IN behind/IN below/IN beside/IN beyond/IN by/IN near/IN opposite/IN under/IN",
    "near": "above/IN around/IN behind/IN below/IN beside/IN by/IN near/IN opposite/IN under/IN "
    "with/IN",
    "with": "with/IN without/IN",
    "of": "of/IN",
    "from": "from/IN",
    "between": "between/IN",
    "while": "although/IN because/IN if/IN when/WRB while/IN",
    "that": "that/WDT",
    "who": "who/WP",
    "which": "which/WDT",
    "whether": "that/IN",
    "and": "and/CC",
    "will": "can/MD could/MD may/MD might/MD must/MD should/MD will/MD would/MD",
    "name": f"{WOMEN} {MEN}",
    "woman": WOMEN,
    "man": MEN,
    "city": "berlin/NNP london/NNP madrid/NNP paris/NNP rome/NNP vienna/NNP",
    "him": "her/PRP him/PRP them/PRP us/PRP",
    "a": "a/DT",
    "comma": ",/,",
    "stop": "./.",
}

NUMBERED: Mapping[str, tuple[str, str]] = {
    "det": (
        f"{DETERMINERS} a/DT a/DT a/DT this/DT every/DT",
        f"{DETERMINERS} some/DT some/DT these/DT many/JJ two/CD",
    ),
    "somebody": (f"{WOMEN} {MEN} he/PRP he/PRP she/PRP she/PRP", "they/PRP we/PRP"),
    "anybody": (
        f"{MORE_NAMES} he/PRP he/PRP he/PRP she/PRP she/PRP she/PRP it/PRP it/PRP it/PRP "
        "everybody/NN everyone/NN nobody/NN somebody/NN someone/NN",
        "they/PRP they/PRP they/PRP we/PRP we/PRP you/PRP",
    ),
    "lot": ("breed/NN kind/NN sort/NN type/NN", "couple/NN lot/NN lot/NN number/NN"),
}

Entry = tuple[str, str]
"""A word and its PTB tag."""


class Terminal(NamedTuple):
    """The words that may fill one slot of a sentence, by the slot's number.

    For nouns and verbs the two tuples list the same lemmas in the same order.
    """

    sg: tuple[Entry, ...]
    pl: tuple[Entry, ...]


def inflect(lemma: str, tag: str) -> str:
    """Return the form of `lemma` that bears the PTB tag `tag`, from lemminflect.

    >>> inflect("mouse", "NNS"), inflect("steal", "VBD"), inflect("be", "VBP")
    ('mice', 'stole', 'are')
    """
    forms: tuple[str, ...] = lemminflect.getInflection(lemma, tag=tag)
    return forms[-1] if lemma == "be" else forms[0]  # "be" in the present lists "am" before "are"


Subset = Literal["all", "seen", "unseen"]
"""Which lemmas of nouns and verbs fill slots: all, or those of one side of a fixed split."""

UNSEEN = 5
"""One lemma in so many is unseen."""


def _subset(lemmas: list[str], subset: Subset) -> list[str]:
    """Return the lemmas of one side; a lemma is on the same side wherever it is listed."""
    every = sorted(
        {
            lemma
            for words in (NOUN_LEMMAS, VERB_LEMMAS)
            for lemma in " ".join(words.values()).split()
        }
    )
    unseen = {*every[::UNSEEN]}
    kept = [lemma for lemma in lemmas if (lemma in unseen) == (subset == "unseen")]
    return lemmas if subset == "all" or not kept else kept


@functools.cache
def terminals(subset: Subset = "all") -> dict[str, Terminal]:
    """Return every terminal by name; verbs have ``like.now``, ``like.past`` and ``like.base``."""

    def inflected(text: str, sg: str, pl: str) -> Terminal:
        lemmas = _subset(text.split(), subset)
        singular, plural = (
            tuple((inflect(lemma, tag), tag) for lemma in lemmas) for tag in (sg, pl)
        )
        return Terminal(singular, plural)

    def listed(text: str) -> tuple[Entry, ...]:
        return tuple((entry.rpartition("/")[0], entry.rpartition("/")[2]) for entry in text.split())

    by_name = {name: Terminal(listed(text), listed(text)) for name, text in FIXED.items()}
    by_name |= {name: Terminal(listed(sg), listed(pl)) for name, (sg, pl) in NUMBERED.items()}
    by_name |= {name: inflected(lemmas, "NN", "NNS") for name, lemmas in NOUN_LEMMAS.items()}
    by_name["being"] = inflected(f"{NOUN_LEMMAS['person']} {NOUN_LEMMAS['animal']}", "NN", "NNS")
    by_name["noun"] = inflected(
        f"{NOUN_LEMMAS['person']} {NOUN_LEMMAS['animal']} {NOUN_LEMMAS['thing']}", "NN", "NNS"
    )
    by_name["stuff"] = Terminal(
        inflected(STUFF_SG, "NN", "NN").sg, inflected(STUFF_PL, "NNS", "NNS").pl
    )
    by_name |= {name: inflected(name, "VBZ", "VBP") for name in ("be", "have")}
    for name, lemmas in VERB_LEMMAS.items():
        by_name[f"{name}.now"] = inflected(lemmas, "VBZ", "VBP")
        by_name[f"{name}.past"] = inflected(lemmas, "VBD", "VBD")
        by_name[f"{name}.base"] = inflected(lemmas, "VB", "VB")
    return by_name


@dataclass(frozen=True)
class Lexicon:
    """The terminals as arrays, so that all words of thousands of sentences are sampled at once.

    A slot is a terminal with a number: its code is ``4 · index of the terminal + number``.

    Attributes:
        words: Every distinct word.
        tags: Every distinct PTB tag.
        start: First entry by code and label (0 singular, 1 plural), shape (codes, 2).
        size: Number of entries by code and label, shape (codes, 2).
        entry_word: Index in `words`, shape (entries,).
        entry_tag: Index in `tags`, shape (entries,).
        vowel: Whether a word begins with a vowel letter, shape (words,). No noun or adjective here
            begins with a silent h or a u spoken "you", so the letter decides on "a" or "an".
    """

    words: NDArray[Any]
    tags: NDArray[Any]
    start: Ints
    size: Ints
    entry_word: Ints
    entry_tag: Ints
    vowel: Bools

    def entries(self, codes: Ints, labels: Ints, uniform: Floats) -> Ints:
        """Choose an entry for every slot; each entry of its terminal is equally likely.

        Args:
            codes: Slots, shape (slots,).
            labels: 0 singular or 1 plural, the subject's, for every slot, shape (slots,).
            uniform: Random numbers in [0, 1), shape (slots,).
        """
        size = self.size[codes, labels]
        return self.start[codes, labels] + (uniform * size).astype(np.int64)

    def counterparts(self, codes: Ints, labels: Ints, entries: Ints) -> list[str]:
        """Return the form of the other number of nouns or verbs chosen by `entries`."""
        lemma = entries - self.start[codes, labels]
        other_entries = self.start[codes, 1 - labels] + lemma
        forms: list[str] = self.words[self.entry_word[other_entries]].tolist()
        return forms

    def spell(self, entries: Ints) -> list[str]:
        """Return the words of consecutive entries, with "an" for "a" before a vowel."""
        words = self.entry_word[entries]
        articles = np.flatnonzero(words[:-1] == np.flatnonzero(self.words == "a"))
        articles = articles[self.vowel[words[articles + 1]]]
        words[articles] = np.flatnonzero(self.words == "an")
        spelling: list[str] = self.words[words].tolist()
        return spelling


@functools.cache
def lexicon(subset: Subset = "all") -> Lexicon:
    """Return the lexicon of the grammar, built once."""
    words: dict[str, int] = {"an": 0}
    tags: dict[str, int] = {}
    entry_word: list[int] = []
    entry_tag: list[int] = []

    def add(entries: Sequence[Entry]) -> tuple[int, int]:
        start = len(entry_word)
        for word, tag in entries:
            entry_word.append(words.setdefault(word, len(words)))
            entry_tag.append(tags.setdefault(tag, len(tags)))
        return start, len(entries)

    ranges: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for terminal in terminals(subset).values():
        sg, pl = add(terminal.sg), add(terminal.pl)
        ranges += [(sg, pl), (pl, sg), (sg, sg), (pl, pl)]  # SAME, OTHER, SG, PL
    start_and_size = np.array(ranges, dtype=np.int64)
    return Lexicon(
        words=np.array(list(words), dtype=object),
        tags=np.array(list(tags), dtype=object),
        start=start_and_size[:, :, 0],
        size=start_and_size[:, :, 1],
        entry_word=np.array(entry_word, dtype=np.int64),
        entry_tag=np.array(entry_tag, dtype=np.int64),
        vowel=np.array([word[0] in "aeiou" for word in words]),
    )
