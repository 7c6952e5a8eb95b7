"""Source: the synthetic grammar, with chosen numbers of intervening words and attractors."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain
from typing import Literal, NamedTuple

import datasets
import numpy as np
import pyarrow as pa

from memgate.arrays import Floats, Ints
from memgate.data.items.schema import FEATURES, SPLITS
from memgate.data.sources.grammar.lexicon import Lexicon, Subset, lexicon
from memgate.data.sources.grammar.templates import (
    CORES,
    CORES_IN_RELATIVES,
    CORES_OF_NAMES,
    DEFAULT_SUBJECTS,
    FRONTS,
    OPTIONAL,
    SUBJECT_CLASSES,
    Quota,
    Random,
    Template,
    layouts_for,
    pick,
    sample_template,
)
from memgate.errors import InputError

MAX_INTERVENING = 80
MAX_ATTRACTORS = 4

TRAIN_INTERVENING = 30
"""Most intervening words in training and validation under ``split="length"``."""

FRONTED = 0.6
"""Proportion of items with a phrase before the subject."""

NOUNLESS = 0.1
"""Proportion of items without intervening nouns of sampled number, where there is a choice."""

ROUNDS = 60
"""Templates that are tried for a quota before the grammar counts as exhausted.

Subjects with nothing around them run out first, at about 50,000; they are 3% of all items.
"""

CHUNK = 10_000
"""Items sampled together: their words are one array, about 250,000 long."""

NounCounts = tuple[int, int]
"""Attractors, and intervening nouns with the subject's number."""


class Quotas:
    """Samples quotas for items.

    First the number of intervening words is sampled, then one of the constructions that can have
    it, each equally likely, then the numbers of attractors and of other intervening nouns. Both are
    0 in 10% of the items; else every pair that fits is equally likely. A pair fits whenever its
    mirror image does, so the last noun is as often an attractor as not.

    Args:
        constructions: Names from `CORES` (at least one) and `FRONTS`; all but `OPTIONAL` by
            default.
        max_intervening: Most intervening words, 0 to 80.
        max_attractors: Most attractors, 0 to 4, and most other intervening nouns (but at least 1).
        subjects: Names from `SUBJECT_CLASSES`, each equally likely.

    Raises:
        InputError: A number is out of its range, a name is unknown, or no construction is so short.
    """

    def __init__(
        self,
        constructions: Sequence[str] | None,
        max_intervening: int,
        max_attractors: int,
        subjects: Sequence[str] = DEFAULT_SUBJECTS,
    ) -> None:
        for name, value, limit in (
            ("max_intervening", max_intervening, MAX_INTERVENING),
            ("max_attractors", max_attractors, MAX_ATTRACTORS),
        ):
            if not 0 <= value <= limit:
                raise InputError(f"{name}: expected 0 to {limit}, got {value}")
        all_names = (*CORES, *FRONTS)
        default = [name for name in all_names if name not in OPTIONAL]
        names = default if constructions is None else constructions
        for name in names:
            if name not in all_names:
                raise InputError(
                    f"constructions: expected some of {', '.join(all_names)}; got {name!r}"
                )
        for name in subjects:
            if name not in SUBJECT_CLASSES:
                raise InputError(
                    f"subjects: expected some of {', '.join(SUBJECT_CLASSES)}; got {name!r}"
                )
        cores = [name for name in CORES if name in names]
        named = tuple(subjects)
        others = tuple(name for name in subjects if name != "anybody") or DEFAULT_SUBJECTS
        self._subjects = {core: named if core in CORES_OF_NAMES else others for core in cores}
        self._fronts = {
            core: [
                name
                for name in FRONTS
                if name in names and (name != "relative_head" or core in CORES_IN_RELATIVES)
            ]
            for core in cores
        }
        options = [_options(cores, max_attractors, length) for length in range(max_intervening + 1)]
        self._options = {length: cores for length, cores in enumerate(options) if cores}
        if not self._options:
            raise InputError(
                f"constructions: expected one of {', '.join(CORES)} that fits into "
                f"{max_intervening} intervening words, got {', '.join(names) or 'none'}"
            )
        self._lengths = list(self._options)
        self._cumulative = list(accumulate(map(length_proportion, self._lengths)))

    def sample(self, rand: Random) -> Quota:
        """Return one quota."""
        length = self._lengths[bisect(self._cumulative, rand() * self._cumulative[-1])]
        core, noun_counts = pick(self._options[length], rand)
        chosen = noun_counts[0]
        if len(noun_counts) > 1:
            can_be_nounless = chosen == (0, 0)
            if not can_be_nounless or rand() >= NOUNLESS:
                chosen = pick(noun_counts[1:] if can_be_nounless else noun_counts, rand)
        fronts = self._fronts[core]
        front = pick(fronts, rand) if fronts and rand() < FRONTED else None
        subject = pick(self._subjects[core], rand)
        if (
            subject == "anybody" and core in ("bare", "adverb", "manner") and front is None
        ):  # soon exhausted
            subject = DEFAULT_SUBJECTS[0]
        return Quota(length, core, *chosen, front, subject)


def length_proportion(length: int) -> float:
    """Return the proportion of items with `length` intervening words, of those with up to 80.

    0 words: 8%; 1: 4%; 2: 8%; 3 to 5: 20%; 6 to 10: 25%; 11 and more: 35%. Within a range all
    lengths are equally likely, but from 11 on the proportion falls as 1 / length: 80 words are
    still 1 item in 465, and the mean is 15 words.
    """
    if length <= 2:
        return (0.08, 0.04, 0.08)[length]
    if length <= 10:
        return 0.20 / 3 if length <= 5 else 0.25 / 5
    return 0.35 / length / sum(1 / longer for longer in range(11, MAX_INTERVENING + 1))


def _options(
    cores: Sequence[str], max_attractors: int, length: int
) -> list[tuple[str, list[NounCounts]]]:
    """Return the constructions that can have so many words, each with the nouns that fit."""
    noun_counts = [
        (attractors, same)
        for attractors in range(max_attractors + 1)
        for same in range(max(1, max_attractors) + 1)
    ]
    # The classes of subjects differ in words, not in lengths: any of them shows what fits.
    options = [
        (
            core,
            [counts for counts in noun_counts if layouts_for(core, "person", sum(counts), length)],
        )
        for core in cores
    ]
    return [(core, fitting) for core, fitting in options if fitting]


class SyntheticRow(NamedTuple):
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
    """Samples agreement items from a probabilistic grammar of English.

    **Quotas.** First the number of intervening words is sampled (`length_proportion`): 0 in 8% of
    the items, 1–2 in 12%, 3–5 in 20%, 6–10 in 25%, 11 and more in 35%, up to `max_intervening`.
    Then a construction that can have so many words (0: only ``bare``, 1: only ``adverb``), and in
    60% of the items another before the subject; `condition` joins both, as in
    ``fronted_pp+object_relative``. Then the number of attractors and that of intervening nouns with
    the subject's number, each up to `max_attractors`, as far as the words have room: 0 and 1 words
    have room for none, 2 for one, 23 to 27 for eight. With `max_attractors` 0, at most one
    intervening noun has the subject's number. The head of an appositive (", my old friend ,")
    always has it, and is not counted here.

    **Label.** Independent of all that, half singular, half plural. So, by design, these rules are
    right in so many of the items under ``split="random"``:

    ================  ===  =======================================================================
    majority          50%
    first noun        70%  the subject in the 40% with nothing before it; else by chance
    last noun         66%  the subject in the 29% without intervening nouns; else by chance, but
                           for appositives, whose head may be last
    noun majority     75%  all nouns before the verb vote, the subject too; a tie counts half
    ================  ===  =======================================================================

    Verbs in relatives agree with their own subjects. A relative on the subject ("the cats that like
    the dogs") shows the subject's number once more, as in real English. To compensate, the present
    tense is rarer there than after attractors: of the 42% of items with a present tense before the
    main verb, the last such verb has the subject's number in 55%.

    **Splits.** No prefix occurs twice, so no sentence is in two splits or twice in one. The test
    split doesn't depend on the sizes of the others.

    Args:
        train: Items to train on.
        validation: Items to validate on.
        test: Items to test on.
        split: ``random`` samples all splits alike; ``length`` trains and validates on up to 30
            intervening words and tests on up to `max_intervening`.
        max_intervening: Most intervening words, 0 to 80.
        max_attractors: Most attractors, 0 to 4.
        constructions: Names of the constructions to use. At least one of ``bare``, ``adverb``,
            ``pp``, ``subject_relative``, ``object_relative``, ``object_relative_that``,
            ``nested_relative``, ``appositive``, ``comma_relative``, ``manner``, ``coordination``;
            and, before the subject, ``fronted_pp``, ``complement``, ``clause``,
            ``bare_complement``, ``relative_head``. All but the latter two, ``manner`` and
            ``coordination`` by default.
        subjects: What the subject may be, each equally likely: ``person``, ``animal``, ``thing``,
            ``anybody`` (a name or a pronoun; never before a relative without comma) and
            ``quantity`` ("a lot of cats", "a kind of cat").
        unseen_words: Whether validation has only nouns and verbs that training never has: every
            fifth lemma in the order of the alphabet. Test has all.
        seed: Same seed, same items, on any machine.

    Raises:
        InputError: A number is out of its range, or a construction is unknown or doesn't fit.
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
        subjects: Sequence[str] = DEFAULT_SUBJECTS,
        unseen_words: bool = False,
        seed: int = 0,
    ) -> None:
        self.subsets: dict[str, Subset] = dict.fromkeys(SPLITS, "all")
        if unseen_words:
            self.subsets |= {"train": "seen", "validation": "unseen"}
        self.sizes = {"train": train, "validation": validation, "test": test}
        for name, size in self.sizes.items():
            if size < 1:
                raise InputError(f"{name}: expected at least 1 item, got {size}")
        if split not in ("random", "length"):
            raise InputError(f"split: expected 'random' or 'length', got {split!r}")
        if not 0 <= seed < 2**32:
            raise InputError(f"seed: expected 0 to {2**32 - 1}, got {seed}")
        self.seed = seed
        quotas = Quotas(constructions, max_intervening, max_attractors, subjects)
        short = quotas
        if split == "length":
            if max_intervening <= TRAIN_INTERVENING:
                raise InputError(
                    f"max_intervening: expected more than {TRAIN_INTERVENING} with split 'length', "
                    f"got {max_intervening}"
                )
            short = Quotas(constructions, TRAIN_INTERVENING, max_attractors, subjects)
        self.quotas = {"train": short, "validation": short, "test": quotas}

    def load(self) -> datasets.DatasetDict:
        """Return the splits ``train``, ``validation`` and ``test``, each with `FEATURES`.

        Raises:
            InputError: More items are asked for than the grammar has.
        """
        seen: set[str] = set()
        tables = {name: self._table(name, seen) for name in reversed(SPLITS)}
        return datasets.DatasetDict({name: datasets.Dataset(tables[name]) for name in SPLITS})

    def _table(self, name: str, seen: set[str]) -> pa.Table:
        """Sample a split whose prefixes are not among those `seen`, and add them there."""
        index, size = SPLITS.index(name), self.sizes[name]
        rand = random.Random(self.seed * len(SPLITS) + index).random  # noqa: S311  no secrets here
        bits = np.random.PCG64([self.seed, index])
        labels = np.argsort(_uniform(bits, size), kind="stable") % 2
        rows: list[SyntheticRow] = []
        for start in range(0, size, CHUNK):
            chunk_labels = labels[start : start + CHUNK]
            quotas = [self.quotas[name].sample(rand) for _ in chunk_labels]
            lexis = lexicon(self.subsets[name])
            rows += self._rows(quotas, chunk_labels, seen, rand, bits, lexis)
        columns = dict(zip(SyntheticRow._fields, zip(*rows, strict=True), strict=True))
        columns["id"] = tuple(f"grammar-{self.seed}-{name}-{number}" for number in range(size))
        columns["good"], columns["bad"] = columns["verb"], columns["verb_alt"]
        return pa.table([columns[field] for field in FEATURES], schema=FEATURES.arrow_schema)

    def _rows(
        self,
        quotas: Sequence[Quota],
        labels: Ints,
        seen: set[str],
        rand: Random,
        bits: np.random.PCG64,
        lexis: Lexicon,
    ) -> list[SyntheticRow]:
        """Sample one row for each quota, again and again where the prefix has been seen."""
        rows: dict[int, SyntheticRow] = {}
        pending = list(range(len(quotas)))
        for _ in range(ROUNDS):
            chosen = [quotas[index] for index in pending]
            templates = [sample_template(quota, rand) for quota in chosen]
            filled = _fill(chosen, templates, labels[pending], bits, lexis)
            for index, (prefix, row) in zip(pending, filled, strict=True):
                if prefix not in seen:
                    seen.add(prefix)
                    rows[index] = row
            pending = [index for index in pending if index not in rows]
            if not pending:
                return [rows[index] for index in range(len(quotas))]
        quota = quotas[pending[0]]
        raise InputError(
            f"train + validation + test: expected no more items than the grammar has prefixes, got "
            f"{sum(self.sizes.values())}; after {len(seen)} it found no new one for "
            f"{quota.condition!r} with {quota.length} intervening words"
        )


def _uniform(bits: np.random.PCG64, size: int) -> Floats:
    """Sample uniformly in [0, 1); NumPy promises to keep PCG64's bits, but not its Generator's."""
    numbers: Floats = (bits.random_raw(size) >> np.uint64(11)) * np.float64(2.0**-53)
    return numbers


def _fill(
    quotas: Sequence[Quota],
    templates: Sequence[Template],
    labels: Ints,
    bits: np.random.PCG64,
    lexis: Lexicon,
) -> Iterator[tuple[str, SyntheticRow]]:
    """Choose the words of all templates at once; yield the prefix and the row of each."""
    sizes = np.array([len(template.slots) for template in templates])
    codes = np.fromiter(chain.from_iterable(template.slots for template in templates), np.int64)
    entries = lexis.entries(codes, np.repeat(labels, sizes), _uniform(bits, len(codes)))
    words, tags = lexis.spell(entries), lexis.tags[lexis.entry_tag[entries]].tolist()
    ends = np.cumsum(sizes)
    verbs = ends - sizes + np.array([template.verb_idx for template in templates])
    alternatives = lexis.counterparts(codes[verbs], labels, entries[verbs])
    for quota, template, label, end, verb, verb_alt in zip(
        quotas, templates, labels.tolist(), ends.tolist(), verbs.tolist(), alternatives, strict=True
    ):
        start = verb - template.verb_idx
        prefix = " ".join(words[start:verb])
        row = SyntheticRow(
            text=" ".join([prefix, *words[verb:end]]),
            verb_idx=template.verb_idx,
            subj_idx=template.subj_idx,
            label=label,
            tags=" ".join(tags[start:end]),
            n_attractors=quota.attractors,
            verb=words[verb],
            verb_alt=verb_alt,
            condition=quota.condition,
        )
        yield prefix, row
