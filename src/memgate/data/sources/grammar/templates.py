"""Sentences of the synthetic grammar before their words: a slot for every word, as many as asked.

A skeleton knows which nouns have the subject's number and which the other one, and not which of the
two is plural: so neither length nor construction nor attractors can depend on the label.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from memgate.data.sources.grammar.constructions import (
    CLASSES,
    CORES,
    ENDINGS,
    FILLERS,
    FRONTS,
    Phrase,
    Skeleton,
    phrases,
)
from memgate.data.sources.grammar.lexicon import OTHER, PL, SAME, SG, terminals

T = TypeVar("T")
Random = Callable[[], float]
"""A source of numbers uniform in [0, 1)."""

Placed = tuple[Phrase, int, int, int]
"""A phrase, the referent whose number it takes, and the fewest and the most words it may have."""

SUBJECT, SINGULAR, PLURAL, FIRST_NOUN = range(4)
"""Referents: the subject, the fixed numbers, and from 3 on the nouns whose number is drawn."""


class Plan(NamedTuple):
    """What an item has to be, before a word is chosen.

    Attributes:
        length: Intervening words, 0 to 80.
        core: Construction between subject and verb, one of `CORES`.
        attractors: Intervening nouns of the other number.
        same: Intervening nouns of the subject's number; the head of an appositive is one more.
        front: Construction before the subject, one of `FRONTS`, or none.
        noun_class: Class of the subject, one of `CLASSES`.
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


class Sketch(NamedTuple):
    """The codes of an item's slots (see `Lexicon`), and where its subject and its verb are."""

    codes: Skeleton
    subj_idx: int
    verb_idx: int


class Shape(NamedTuple):
    """One pattern of a construction, for a number of nouns, with the lengths it can take.

    Attributes:
        before: Phrases up to ``*``.
        further: Phrases at ``*``, for the nouns that `before` and `after` leave over.
        after: Phrases from ``*`` on.
        fillers: What else may stand at ``*``; none where the pattern has no ``*``.
        low: Fewest words.
        room: Words by which its phrases can grow.
    """

    before: list[Placed]
    further: list[Placed]
    after: list[Placed]
    fillers: list[Phrase]
    low: int
    room: int

    def takes(self, length: int) -> bool:
        """Say whether it can have exactly `length` words."""
        return self.low <= length and (bool(self.fillers) or length <= self.low + self.room)


def _resolved(name: str, noun_class: str) -> Phrase:
    if name.endswith("~"):
        name = CLASSES[noun_class].get(name[:-1], name[:-1])
    return phrases()[name]


def _placed(part: str, noun_class: str) -> Placed:
    name, _, referent = part.partition(":")
    fixed = {"0": SUBJECT, "s": SINGULAR, "p": PLURAL}
    place = fixed[referent] if referent in fixed else FIRST_NOUN + int(referent) - 1
    phrase = _resolved(name, noun_class)
    return phrase, place, phrase.low, phrase.high


@functools.cache
def _shapes(core: str, noun_class: str, nouns: int) -> list[Shape]:
    """Return the patterns of a construction that can hold so many nouns of drawn number."""
    pp, last = phrases()["noun_pp"], phrases()["last_pp"]
    shapes = []
    for pattern in CORES[core]:
        parts = pattern.split()
        joint = next((at for at, part in enumerate(parts) if part.startswith("*")), None)
        before = [_placed(part, noun_class) for part in parts[:joint]]
        after = [] if joint is None else [_placed(part, noun_class) for part in parts[joint + 1 :]]
        first = max([FIRST_NOUN - 1, *(place for _, place, *_ in before + after)]) + 1
        places = range(first, FIRST_NOUN + nouns)
        if first > FIRST_NOUN + nouns or (places and joint is None):
            continue
        further = [(pp, place, pp.low, pp.high) for place in places[:-1]]
        further += [(last, place, last.low, last.high) for place in places[-1:]]
        names = [] if joint is None else FILLERS[parts[joint][1:]]
        fillers = [_resolved(name, noun_class) for name in names]
        every = [*before, *further, *after]
        low = sum(fewest for _, _, fewest, _ in every)
        room = sum(most for _, _, _, most in every) - low
        shapes.append(Shape(before, further, after, fillers, low, room))
    return shapes


@functools.cache
def fitting(core: str, noun_class: str, nouns: int, length: int) -> list[Shape]:
    """Return the patterns of a construction that can have so many drawn nouns in so many words."""
    return [shape for shape in _shapes(core, noun_class, nouns) if shape.takes(length)]


def sketch(plan: Plan, rand: Random) -> Sketch:
    """Draw a sentence for a plan, as slots."""
    codes = [] if plan.front is None else _front(plan.front, plan.noun_class, rand)
    words = pick((2, 2, 2, 2, 2, 3, 3, 3, 4, 4), rand)  # half of the subjects have no adjective
    codes += pick(phrases()[plan.noun_class].variants[SAME][words], rand)
    subj_idx = len(codes) - 1
    codes += _core(plan, rand)
    verb_idx = len(codes)
    codes += pick(_endings(plan.noun_class), rand)
    return Sketch(codes, subj_idx, verb_idx)


def pick(options: Sequence[T], rand: Random) -> T:
    """Return one of the options, each equally likely."""
    return options[int(rand() * len(options))]


@functools.cache
def _endings(noun_class: str) -> list[Skeleton]:
    """Return verb and rest of the sentence; nouns of the rest are singular or plural by a coin."""
    place = {name: at for at, name in enumerate(terminals())}
    return [
        [4 * place[slot] + (number if at else SAME) for at, slot in enumerate(ending.split())]
        for ending in ENDINGS["thing" if noun_class == "thing" else "being"]
        for number in (SG, PL)
    ]


@functools.cache
def _fronts(front: str, noun_class: str) -> list[list[Placed]]:
    return [[_placed(part, noun_class) for part in pattern.split()] for pattern in FRONTS[front]]


def _front(front: str, noun_class: str, rand: Random) -> Skeleton:
    numbers = [SAME, SG, PL, pick((SG, PL), rand), pick((SG, PL), rand)]
    codes: Skeleton = []
    for phrase, referent, low, high in pick(_fronts(front, noun_class), rand):
        words = low + 1 if low < high and rand() < 0.3 else low
        codes += pick(phrase.variants[numbers[referent]][words], rand)
    return codes


def _core(plan: Plan, rand: Random) -> Skeleton:
    """Draw exactly `plan.length` words that hold exactly the nouns of the plan, in random order."""
    nouns = plan.attractors + plan.same
    numbers = [SAME, SG, PL, *_shuffled([OTHER] * plan.attractors + [SAME] * plan.same, rand)]
    shape = pick(fitting(plan.core, plan.noun_class, nouns, plan.length), rand)
    slack = plan.length - shape.low
    growth = int(rand() * (min(slack, shape.room) + 1)) if shape.fillers else slack
    if slack - growth == 1:  # no filler has one word
        growth += -1 if growth else 1
    middle = _shuffled([*shape.further, *_fillers(shape.fillers, slack - growth, rand)], rand)
    units = [*shape.before, *middle, *shape.after]
    words = [low for _, _, low, _ in units]
    room = [at for at, (_, _, low, high) in enumerate(units) for _ in range(high - low)]
    for _ in range(growth):
        at = int(rand() * len(room))
        words[room[at]] += 1
        room[at] = room[-1]
        room.pop()
    codes: Skeleton = []
    for (phrase, referent, _, _), length in zip(units, words, strict=True):
        codes += pick(phrase.variants[numbers[referent]][length], rand)
    return codes


def _fillers(fillers: Sequence[Phrase], words: int, rand: Random) -> list[Placed]:
    """Return phrases without nouns that have `words` words together, 0 or at least 2."""
    units: list[Placed] = []
    while words:
        phrase = pick([filler for filler in fillers if filler.low <= words], rand)
        length = phrase.low + int(rand() * (min(phrase.high, words) - phrase.low + 1))
        if words - length == 1:  # no filler has one word
            length += 1 if length < phrase.high else -1
        units.append((phrase, SUBJECT, length, length))
        words -= length
    return units


def _shuffled(things: list[T], rand: Random) -> list[T]:
    """Shuffle in place (Fisher and Yates); `random.shuffle` may differ between Python versions."""
    for last in range(len(things) - 1, 0, -1):
        at = int(rand() * (last + 1))
        things[last], things[at] = things[at], things[last]
    return things
