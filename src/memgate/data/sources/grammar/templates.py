"""Templates of the synthetic grammar: `CORES`, `FRONTS`, `ENDINGS`, and `sample_template`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from memgate.data.sources.grammar.lexicon import OTHER, PL, SAME, SG, terminals

SUBJECT_CLASSES: Mapping[str, Mapping[str, str]] = {
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
    "anybody": {"who": "who"},
    "quantity": {"who": "which"},
}
"""What a name with ``~`` becomes, by the class of the subject; the same name if it is not listed.

A box doesn't sleep, and a doctor is not "which". ``anybody`` is a name or a pronoun, ``quantity``
"a lot of cats" in the plural and "a kind of cat" in the singular: the verb agrees with the noun.
"""

DEFAULT_SUBJECTS = ("person", "animal", "thing")

CORES_OF_NAMES = ("bare", "adverb", "pp", "appositive", "comma_relative", "coordination")
"""The constructions after a name; a relative without comma would restrict it."""

SUBJECT_WORDS: Mapping[str, Sequence[int]] = {
    **dict.fromkeys(DEFAULT_SUBJECTS, (2, 2, 2, 2, 2, 3, 3, 3, 4, 4)),  # half have no adjective
    "anybody": (1,),
    "quantity": (4, 4, 4, 5),
}
"""The words of a subject, each equally likely."""

CORES: Mapping[str, Sequence[str]] = {
    "bare": [""],
    "adverb": ["surely:0", "often:0", "surely:0 often:0"],
    "pp": ["free_pp:0 *pp always:0", "noun_pp:1 *pp always:0", "stuff_pp:1 always:0"],
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
    "manner": ["manner:0", "manner:0 and:0 manner:0", "often:0 manner:0"],
    "coordination": [
        "sleep~:0 *pp and:0 always:0",
        "like~:0 him:0 *pp and:0 always:0",
        "like~:0 object~:1 *pp and:0 always:0",
    ],
}
"""The constructions between subject and verb; each is a list of patterns.

``phrase:r`` takes the number of referent r: 0 the subject, 1, 2, … the intervening nouns, ``s`` and
``p`` always singular and plural. ``*`` stands for the prepositional phrases of all further nouns,
in any order with as many phrases without nouns (`FILLERS`) as the length needs.
"""

FRONTS: Mapping[str, Sequence[str]] = {
    "fronted_pp": ["noun_pp:1 comma:0", "noun_pp:1 noun_pp:2 comma:0"],
    "complement": ["being:1 think:1 whether:0", "being:1 noun_pp:2 think:1 whether:0"],
    "clause": [
        "while:0 being:1 sleep:1 comma:0",
        "while:0 being:1 like:1 object:2 comma:0",
        "while:0 being:1 noun_pp:2 sleep:1 comma:0",
    ],
    "bare_complement": ["being:1 think:1", "being:1 noun_pp:2 think:1"],
    "relative_head": ["object~:1 that:0", "object~:1", "object~:1 noun_pp:2 that:0"],
}
"""The constructions before the subject. Each has a noun or two, singular or plural at random.

After ``relative_head`` the verb is that of the relative, "the cats that the dog … likes".
"""

OPTIONAL = ("manner", "coordination", "bare_complement", "relative_head")
"""Constructions that are used only where they are named.

They show agreement that the others don't have: of a verb that shares its subject with an earlier
one, which shows the number; its counterpart, "the cats quietly and slowly …"; after a clause
without "that"; and of the verb in a relative, with a noun before its subject.
"""

CORES_IN_RELATIVES = ("bare", "adverb", "manner", "pp")
"""The constructions after ``relative_head``; deeper nesting would be no English that is spoken."""

ENDINGS: Mapping[str, Sequence[str]] = {
    "being": [
        "sleep.now here stop",
        "like.now det noun stop",
        "be mood stop",
        "have det thing stop",
    ],
    "thing": ["fall.now here stop", "please.now det being stop", "be very size stop"],
    "being in a relative": ["like.now fall.past here stop", "like.now will fall.base stop"],
    "thing in a relative": ["please.now fall.past here stop", "please.now will fall.base stop"],
}
"""The verb and the words after it, by what the subject is; each word is a slot."""

FILLERS: Mapping[str, Sequence[str]] = {
    "pp": ["free_pp"],
    "vp": ["free_pp", "more_like~", "more_sleep~"],
}
"""Phrases without common nouns, of 2 to 5 words, that may fill ``*``."""

T = TypeVar("T")
Random = Callable[[], float]
"""A source of numbers uniform in [0, 1)."""

Slots = list[int]
"""Codes of slots (see `Lexicon`), one a word."""

SUBJECT, SINGULAR, PLURAL, FIRST_NOUN = range(4)
"""Referents: the subject, the fixed numbers, and from 3 on the nouns whose number is sampled."""


class Quota(NamedTuple):
    """What an item must have; its words are not chosen yet.

    Attributes:
        length: Intervening words, 0 to 80.
        core: Construction between subject and verb, one of `CORES`.
        attractors: Intervening nouns of the other number.
        same: Intervening nouns of the subject's number; the head of an appositive is one more.
        front: Construction before the subject, one of `FRONTS`, or none.
        noun_class: Class of the subject, one of `SUBJECT_CLASSES`.
    """

    length: int
    core: str
    attractors: int
    same: int
    front: str | None
    noun_class: str

    @property
    def condition(self) -> str:
        """The name of the construction, such as ``pp`` or ``complement+pp``."""
        return self.core if self.front is None else f"{self.front}+{self.core}"


class Template(NamedTuple):
    """The slots of an item, and the indices of its subject and its verb.

    A slot says whether a noun has the subject's number or the other one, not which of the two is
    plural. So neither length nor construction nor attractors can depend on the label.
    """

    slots: Slots
    subj_idx: int
    verb_idx: int


class Phrase(NamedTuple):
    """The variants of a phrase: ``variants[number][words]`` lists those with so many words."""

    min_words: int
    max_words: int
    variants: list[list[list[Slots]]]


class Constituent(NamedTuple):
    """A phrase in a pattern, the referent whose number it takes, and bounds of its length."""

    phrase: Phrase
    referent: int
    min_words: int
    max_words: int

    @classmethod
    def of(cls, phrase: Phrase, referent: int) -> Constituent:
        """Let a phrase have any of its lengths."""
        return cls(phrase, referent, phrase.min_words, phrase.max_words)


class Layout(NamedTuple):
    """A pattern of a construction with a number of nouns, and the lengths it can have.

    Attributes:
        before: Constituents before ``*``.
        further: Constituents at ``*``, for the nouns that are not in `before` and `after`.
        after: Constituents after ``*``.
        fillers: What else may stand at ``*``; empty if the pattern has no ``*``.
        min_words: Fewest words.
        room: Words by which its phrases can grow.
    """

    before: list[Constituent]
    further: list[Constituent]
    after: list[Constituent]
    fillers: list[Phrase]
    min_words: int
    room: int

    def can_have(self, length: int) -> bool:
        """Return whether it can have exactly `length` words."""
        is_short_enough = bool(self.fillers) or length <= self.min_words + self.room
        return self.min_words <= length and is_short_enough


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
    so in English. To compensate, the present tense is rarer where a verb has the subject's number
    (1 in 4 of the plain forms) than where it has the other one (3 in 4). Over all items, the last
    verb in the present tense before the main verb then says little. The rest are past tenses and
    modals, which don't inflect.
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
        **{name: [name] for name in ("that", "who", "which", "whether", "while", "comma", "and")},
        **{name: noun_phrases("the", name) for name in ("person", "animal", "thing")},
        **{name: noun_phrases("the", name) for name in ("companion", "keepsake")},
        "somebody": ["somebody"],
        "anybody": ["anybody"],
        "quantity": [f"a lot of {noun}" for noun in ("being", "size being", "origin being")],
        "being": noun_phrases("det", "being"),
        "object": noun_phrases("det", "noun"),
        "being_object": noun_phrases("det", "being"),
        "manner": ["manner"],
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
    terminal_index = {name: index for index, name in enumerate(terminals())}
    texts = {number: phrase_texts(number) for number in (SAME, OTHER, SG, PL)}
    by_name = {}
    for name, sample in texts[SAME].items():
        lengths = [len(text.split()) for text in sample]
        variants: list[list[list[Slots]]] = [[[] for _ in range(max(lengths) + 1)] for _ in texts]
        for number, of_number in texts.items():
            for text in of_number[name]:
                slots = [len(texts) * terminal_index[slot] + number for slot in text.split()]
                variants[number][len(slots)].append(slots)
        by_name[name] = Phrase(min(lengths), max(lengths), variants)
    return by_name


def _phrase(name: str, noun_class: str) -> Phrase:
    if name.endswith("~"):
        name = SUBJECT_CLASSES[noun_class].get(name[:-1], name[:-1])
    return phrases()[name]


def _constituent(part: str, noun_class: str) -> Constituent:
    name, _, number = part.partition(":")
    fixed = {"0": SUBJECT, "s": SINGULAR, "p": PLURAL}
    referent = fixed[number] if number in fixed else FIRST_NOUN + int(number) - 1
    return Constituent.of(_phrase(name, noun_class), referent)


@functools.cache
def _layouts(core: str, noun_class: str, nouns: int) -> list[Layout]:
    """Return the layouts of a construction with so many nouns of sampled number."""
    layouts = []
    for pattern in CORES[core]:
        parts = pattern.split()
        star = next((index for index, part in enumerate(parts) if part.startswith("*")), None)
        before = [_constituent(part, noun_class) for part in parts[:star]]
        after = []
        if star is not None:
            after = [_constituent(part, noun_class) for part in parts[star + 1 :]]
        next_referent = max([FIRST_NOUN - 1, *(part.referent for part in before + after)]) + 1
        referents = range(next_referent, FIRST_NOUN + nouns)
        if next_referent > FIRST_NOUN + nouns or (referents and star is None):
            continue
        further = [Constituent.of(phrases()["noun_pp"], referent) for referent in referents[:-1]]
        further += [Constituent.of(phrases()["last_pp"], referent) for referent in referents[-1:]]
        names = [] if star is None else FILLERS[parts[star][1:]]
        fillers = [_phrase(name, noun_class) for name in names]
        constituents = [*before, *further, *after]
        min_words = sum(part.min_words for part in constituents)
        room = sum(part.max_words for part in constituents) - min_words
        layouts.append(Layout(before, further, after, fillers, min_words, room))
    return layouts


@functools.cache
def layouts_for(core: str, noun_class: str, nouns: int, length: int) -> list[Layout]:
    """Return the layouts with so many nouns of sampled number and exactly `length` words."""
    return [layout for layout in _layouts(core, noun_class, nouns) if layout.can_have(length)]


def sample_template(quota: Quota, rand: Random) -> Template:
    """Sample a template that meets a quota."""
    slots = [] if quota.front is None else _sample_front(quota.front, quota.noun_class, rand)
    words = pick(SUBJECT_WORDS[quota.noun_class], rand)
    slots += pick(phrases()[quota.noun_class].variants[SAME][words], rand)
    subj_idx = len(slots) - 1
    slots += _sample_core(quota, rand)
    verb_idx = len(slots)
    slots += pick(_endings(quota.noun_class, quota.front == "relative_head"), rand)
    return Template(slots, subj_idx, verb_idx)


def pick(options: Sequence[T], rand: Random) -> T:
    """Return one of the options, each equally likely."""
    return options[int(rand() * len(options))]


@functools.cache
def _endings(noun_class: str, in_relative: bool) -> list[Slots]:
    """Return the verb and the words after it, once with singular and once with plural nouns."""
    terminal_index = {name: index for index, name in enumerate(terminals())}
    kind = "thing" if noun_class == "thing" else "being"
    return [
        [
            4 * terminal_index[slot] + (number if index else SAME)  # the verb is the first word
            for index, slot in enumerate(ending.split())
        ]
        for ending in ENDINGS[f"{kind} in a relative" if in_relative else kind]
        for number in (SG, PL)
    ]


@functools.cache
def _fronts(front: str, noun_class: str) -> list[list[Constituent]]:
    return [
        [_constituent(part, noun_class) for part in pattern.split()] for pattern in FRONTS[front]
    ]


def _sample_front(front: str, noun_class: str, rand: Random) -> Slots:
    numbers = [SAME, SG, PL, pick((SG, PL), rand), pick((SG, PL), rand)]
    slots: Slots = []
    for phrase, referent, low, high in pick(_fronts(front, noun_class), rand):
        words = low + 1 if low < high and rand() < 0.3 else low
        slots += pick(phrase.variants[numbers[referent]][words], rand)
    return slots


def _sample_core(quota: Quota, rand: Random) -> Slots:
    """Sample exactly `quota.length` words with the quota's nouns in random order."""
    nouns = quota.attractors + quota.same
    numbers = [SAME, SG, PL, *_shuffle([OTHER] * quota.attractors + [SAME] * quota.same, rand)]
    layout = pick(layouts_for(quota.core, quota.noun_class, nouns, quota.length), rand)
    slack = quota.length - layout.min_words
    growth = int(rand() * (min(slack, layout.room) + 1)) if layout.fillers else slack
    if slack - growth == 1:  # no filler has one word
        growth += -1 if growth else 1
    fillers = _sample_fillers(layout.fillers, slack - growth, rand)
    middle = _shuffle([*layout.further, *fillers], rand)
    constituents = [*layout.before, *middle, *layout.after]
    words = [part.min_words for part in constituents]
    room = [
        index
        for index, part in enumerate(constituents)
        for _ in range(part.max_words - part.min_words)
    ]
    for _ in range(growth):
        choice = int(rand() * len(room))
        words[room[choice]] += 1
        room[choice] = room[-1]
        room.pop()
    slots: Slots = []
    for part, length in zip(constituents, words, strict=True):
        slots += pick(part.phrase.variants[numbers[part.referent]][length], rand)
    return slots


def _sample_fillers(fillers: Sequence[Phrase], words: int, rand: Random) -> list[Constituent]:
    """Sample phrases without nouns that have `words` words together, 0 or at least 2."""
    constituents: list[Constituent] = []
    while words:
        phrase = pick([filler for filler in fillers if filler.min_words <= words], rand)
        length = phrase.min_words + int(
            rand() * (min(phrase.max_words, words) - phrase.min_words + 1)
        )
        if words - length == 1:  # no filler has one word
            length += 1 if length < phrase.max_words else -1
        constituents.append(Constituent(phrase, SUBJECT, length, length))
        words -= length
    return constituents


def _shuffle(things: list[T], rand: Random) -> list[T]:
    """Shuffle in place (Fisher and Yates); `random.shuffle` may differ between Python versions."""
    for last in range(len(things) - 1, 0, -1):
        choice = int(rand() * (last + 1))
        things[last], things[choice] = things[choice], things[last]
    return things
