"""A source of agreement items: a probabilistic grammar with chosen distances and attractors."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Literal, NamedTuple

import datasets
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from memgate.data.items.schema import FEATURES, SPLITS
from memgate.data.sources.grammar.lexicon import lexicon
from memgate.data.sources.grammar.quotas import MAX_ATTRACTORS, MAX_INTERVENING, Quotas
from memgate.data.sources.grammar.templates import Plan, Random, Sketch, sketch
from memgate.errors import InputError

TRAIN_INTERVENING = 30
"""Most intervening words in training and validation under ``split="length"``."""

ROUNDS = 60
"""Drawings of a plan before the grammar counts as exhausted.

Subjects with nothing around them run out first, at about 50,000; they are 3% of all items.
"""

CHUNK = 10_000
"""Items drawn together: their words are one array, about 250,000 long."""


class Row(NamedTuple):
    """The columns of `FEATURES` that don't follow from the others."""

    text: str
    verb_idx: int
    subj_idx: int
    label: int
    tags: str
    n_attractors: int
    verb: str
    verb_alt: str
    condition: str


class Grammar:
    """Draws agreement items from a probabilistic grammar of English.

    **What is drawn.** First the number of intervening words (`plans.share`): 0 in 8% of the items,
    1–2 in 12%, 3–5 in 20%, 6–10 in 25%, 11 and more in 35%; a lower `max_intervening` cuts the rest
    off. Then a construction that can have so many words (0: only ``bare``, 1: only ``adverb``), and
    in 60% of the items another before the subject; `condition` joins both, as in
    ``fronted_pp+object_relative``. Then the number of attractors and that of intervening nouns with
    the subject's number, each up to `max_attractors`, as the words have room: for none in 0 and 1
    words, one in 2, eight in 23 to 27. With `max_attractors` 0, at most one intervening noun has
    the subject's number. The head of an appositive (", my old friend ,") always has it, and comes
    on top.

    **Label.** Drawn apart from all that, half singular, half plural. So, by design, of all items
    under ``split="random"`` these rules get right:

    ================  ===  =======================================================================
    majority          50%
    first noun        70%  the subject in the 40% with nothing before it; else a coin
    last noun         66%  the subject in the 29% without intervening nouns; else a coin, but for
                           appositives, whose head may be last
    noun majority     75%  all nouns before the verb vote, the subject too; a tie counts half
    ================  ===  =======================================================================

    Verbs in relatives agree with their own subjects. A relative on the subject ("the cats that like
    the dogs") shows the subject's number once more, as in real English. To make up for it, the
    present tense is rarer there than after attractors: of the 42% of items with a present tense
    before the main verb, the last such verb has the subject's number in 55%.

    **Splits.** No prefix occurs twice, so no sentence is in two splits or twice in one. The test
    split doesn't depend on the sizes of the others.

    Args:
        train: Items to train on.
        validation: Items to validate on.
        test: Items to test on.
        split: ``random`` draws all splits alike; ``length`` trains and validates on up to 30
            intervening words and tests on up to `max_intervening`.
        max_intervening: Most intervening words, 0 to 80.
        max_attractors: Most attractors, 0 to 4.
        constructions: Names of the constructions to use, all if not given. At least one of
            ``bare``, ``adverb``, ``pp``, ``subject_relative``, ``object_relative``,
            ``object_relative_that``, ``nested_relative``, ``appositive``, ``comma_relative``; and,
            before the subject, ``fronted_pp``, ``complement``, ``clause``.
        seed: Same seed, same items, on any machine.

    Raises:
        InputError: A number is out of its range, or a construction is unknown or can't be had.
    """

    def __init__(
        self,
        train: int = 20_000,
        validation: int = 2_000,
        test: int = 10_000,
        split: Literal["random", "length"] = "random",
        max_intervening: int = MAX_INTERVENING,
        max_attractors: int = MAX_ATTRACTORS,
        constructions: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        self.sizes = {"train": train, "validation": validation, "test": test}
        for name, size in self.sizes.items():
            if size < 1:
                raise InputError(f"{name}: expected at least 1 item, got {size}")
        if split not in ("random", "length"):
            raise InputError(f"split: expected 'random' or 'length', got {split!r}")
        if not 0 <= seed < 2**32:
            raise InputError(f"seed: expected 0 to {2**32 - 1}, got {seed}")
        self.seed = seed
        plans = Quotas(constructions, max_intervening, max_attractors)
        short = plans
        if split == "length":
            if max_intervening <= TRAIN_INTERVENING:
                raise InputError(
                    f"max_intervening: expected more than {TRAIN_INTERVENING} with split 'length', "
                    f"got {max_intervening}"
                )
            short = Quotas(constructions, TRAIN_INTERVENING, max_attractors)
        self.plans = {"train": short, "validation": short, "test": plans}

    def load(self) -> datasets.DatasetDict:
        """Return the splits ``train``, ``validation`` and ``test``, each with `FEATURES`.

        Raises:
            InputError: More items are asked for than the grammar can make.
        """
        seen: set[str] = set()
        tables = {name: self._table(name, seen) for name in reversed(SPLITS)}
        return datasets.DatasetDict({name: datasets.Dataset(tables[name]) for name in SPLITS})

    def _table(self, name: str, seen: set[str]) -> pa.Table:
        """Draw a split whose prefixes are not among those `seen`, and add them there."""
        place, size = SPLITS.index(name), self.sizes[name]
        rand = random.Random(self.seed * len(SPLITS) + place).random  # noqa: S311  no secrets here
        bits = np.random.PCG64([self.seed, place])
        labels = np.argsort(_uniform(bits, size), kind="stable") % 2
        rows: list[Row] = []
        for start in range(0, size, CHUNK):
            chunk = labels[start : start + CHUNK]
            plans = [self.plans[name].draw(rand) for _ in chunk]
            rows += self._rows(plans, chunk, seen, rand, bits)
        columns = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))
        columns["id"] = tuple(f"grammar-{self.seed}-{name}-{at}" for at in range(size))
        columns["good"], columns["bad"] = columns["verb"], columns["verb_alt"]
        return pa.table([columns[field] for field in FEATURES], schema=FEATURES.arrow_schema)

    def _rows(
        self,
        plans: Sequence[Plan],
        labels: NDArray[np.int64],
        seen: set[str],
        rand: Random,
        bits: np.random.PCG64,
    ) -> list[Row]:
        """Draw one row for each plan, again and again where the prefix has been seen."""
        rows: dict[int, Row] = {}
        pending = list(range(len(plans)))
        for _ in range(ROUNDS):
            sketches = [sketch(plans[at], rand) for at in pending]
            drawn = _spelt([plans[at] for at in pending], sketches, labels[pending], bits)
            for at, (prefix, row) in zip(pending, drawn, strict=True):
                if prefix not in seen:
                    seen.add(prefix)
                    rows[at] = row
            pending = [at for at in pending if at not in rows]
            if not pending:
                return [rows[at] for at in range(len(plans))]
        stuck = plans[pending[0]]
        raise InputError(
            f"train + validation + test: expected no more items than the grammar has prefixes, got "
            f"{sum(self.sizes.values())}; after {len(seen)} it found no new one for "
            f"{stuck.condition!r} with {stuck.length} intervening words"
        )


def _uniform(bits: np.random.PCG64, size: int) -> NDArray[np.float64]:
    """Draw uniformly in [0, 1); NumPy promises to keep PCG64's bits, but not its Generator's."""
    drawn: NDArray[np.float64] = (bits.random_raw(size) >> np.uint64(11)) * np.float64(2.0**-53)
    return drawn


def _spelt(
    plans: Sequence[Plan],
    sketches: Sequence[Sketch],
    labels: NDArray[np.int64],
    bits: np.random.PCG64,
) -> Iterator[tuple[str, Row]]:
    """Choose the words of all sketches at once, and yield each one's prefix and row."""
    lexis = lexicon()
    sizes = np.array([len(sketch.codes) for sketch in sketches])
    codes = np.fromiter(chain.from_iterable(sketch.codes for sketch in sketches), np.int64)
    spread = np.repeat(labels, sizes)
    entries = lexis.entries(codes, spread, _uniform(bits, len(codes)))
    words, tags = lexis.spell(entries), lexis.tags[lexis.entry_tag[entries]].tolist()
    ends = np.cumsum(sizes)
    verbs = ends - sizes + np.array([sketch.verb_idx for sketch in sketches])
    alternatives = lexis.counterparts(codes[verbs], labels, entries[verbs])
    for plan, sketch_, label, end, verb, alternative in zip(
        plans, sketches, labels.tolist(), ends.tolist(), verbs.tolist(), alternatives, strict=True
    ):
        start = verb - sketch_.verb_idx
        prefix = " ".join(words[start:verb])
        yield (
            prefix,
            Row(
                text=" ".join([prefix, *words[verb:end]]),
                verb_idx=sketch_.verb_idx,
                subj_idx=sketch_.subj_idx,
                label=label,
                tags=" ".join(tags[start:end]),
                n_attractors=plan.attractors,
                verb=words[verb],
                verb_alt=alternative,
                condition=plan.condition,
            ),
        )
