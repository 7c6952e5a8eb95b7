"""How often the synthetic grammar makes what: lengths, constructions, attractors, not labels."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

from memgate.data.sources.grammar.constructions import CLASSES, CORES, FRONTS
from memgate.data.sources.grammar.templates import Plan, Random, fitting, pick
from memgate.errors import InputError

MAX_INTERVENING = 80
MAX_ATTRACTORS = 4

FRONTED = 0.6
"""Share of items with a phrase before the subject."""

NOUNLESS = 0.1
"""Share of items without intervening nouns of drawn number, where there is a choice."""

Pair = tuple[int, int]
"""Attractors, and intervening nouns with the subject's number."""


class Quotas:
    """Draws plans for items.

    The number of intervening words is drawn first, then one of the constructions that can have it,
    each equally likely, then a pair: attractors and other intervening nouns. In 10% of the items
    both are 0; else every pair that fits is equally likely. A pair fits whenever its mirror image
    does, so the last noun is as often an attractor as not.

    Args:
        constructions: Names from `CORES` (at least one) and `FRONTS`; all if none are given.
        max_intervening: Most intervening words, 0 to 80.
        max_attractors: Most attractors, 0 to 4, and most other intervening nouns (but at least 1).

    Raises:
        InputError: A number is out of its range, a name is unknown, or no construction is so short.
    """

    def __init__(
        self, constructions: Sequence[str] | None, max_intervening: int, max_attractors: int
    ) -> None:
        for name, value, most in (
            ("max_intervening", max_intervening, MAX_INTERVENING),
            ("max_attractors", max_attractors, MAX_ATTRACTORS),
        ):
            if not 0 <= value <= most:
                raise InputError(f"{name}: expected 0 to {most}, got {value}")
        known = (*CORES, *FRONTS)
        names = known if constructions is None else constructions
        for name in names:
            if name not in known:
                raise InputError(
                    f"constructions: expected some of {', '.join(known)}; got {name!r}"
                )
        cores = [name for name in CORES if name in names]
        self._fronts = [name for name in FRONTS if name in names]
        menus = [_menus(cores, max_attractors, length) for length in range(max_intervening + 1)]
        self._menus = {length: menu for length, menu in enumerate(menus) if menu}
        if not self._menus:
            raise InputError(
                f"constructions: expected one of {', '.join(CORES)} that fits into "
                f"{max_intervening} intervening words, got {', '.join(names) or 'none'}"
            )
        self._lengths = list(self._menus)
        self._cumulative = list(accumulate(share(length) for length in self._lengths))

    def draw(self, rand: Random) -> Plan:
        """Return one plan."""
        length = self._lengths[bisect(self._cumulative, rand() * self._cumulative[-1])]
        core, pairs = pick(self._menus[length], rand)
        drawn = pairs[0]
        if len(pairs) > 1:
            barren = drawn == (0, 0)
            if not barren or rand() >= NOUNLESS:
                drawn = pick(pairs[1:] if barren else pairs, rand)
        front = pick(self._fronts, rand) if self._fronts and rand() < FRONTED else None
        return Plan(length, core, *drawn, front, pick(tuple(CLASSES), rand))


def share(length: int) -> float:
    """Return the share of items with `length` intervening words, of those with up to 80.

    0 words: 8%; 1: 4%; 2: 8%; 3 to 5: 20%; 6 to 10: 25%; 11 and more: 35%. Within a range all
    lengths are alike, but from 11 on their share falls as 1 / length: 80 words are still 1 item in
    465, and the mean is 15 words.
    """
    if length <= 2:
        return (0.08, 0.04, 0.08)[length]
    if length <= 10:
        return 0.20 / 3 if length <= 5 else 0.25 / 5
    return 0.35 / length / sum(1 / longer for longer in range(11, MAX_INTERVENING + 1))


def _menus(cores: Sequence[str], max_attractors: int, length: int) -> list[tuple[str, list[Pair]]]:
    """Return the constructions that can have so many words, each with the pairs that fit."""
    pairs = [
        (attractors, same)
        for attractors in range(max_attractors + 1)
        for same in range(max(1, max_attractors) + 1)
    ]
    # The classes of subjects differ in words, not in lengths: any of them tells what fits.
    menus = [
        (core, [pair for pair in pairs if fitting(core, "person", sum(pair), length)])
        for core in cores
    ]
    return [(core, fit) for core, fit in menus if fit]
