"""Splits of one table by a hash of each text, and training items that are held out elsewhere."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import datasets
import numpy as np

from memgate.arrays import Bools, Floats
from memgate.data.vocabulary import SYMBOLS
from memgate.errors import InputError

MASKS = frozenset(SYMBOLS)
"""What stands for a rare word in text whose rare words are masked."""

MIN_EQUAL_WORDS = 6
"""Two texts with masked words are one sentence if so many words or more are equal.

In the setting of Linzen et al. (2016) 42 training prefixes equal one of the test files at 6 or more
positions, and at all where neither has a tag; with 4 or more there are 145, most of them by chance
("the NNS in the silent hill series").
"""


def split_by_hash(
    items: datasets.Dataset, proportions: Mapping[str, float], seed: int = 0
) -> datasets.DatasetDict:
    """Split a table so that equal texts stay together.

    A hash of a text and the seed is a number in [0, 1); the splits divide this interval in their
    order. So neither the order of the items nor further items move a text into another split, and
    the same seed gives the same splits on any machine. As texts are hashed and not items, a split
    has the size asked for only where no text is very frequent.

    Args:
        items: A table with a column ``text``.
        proportions: Names and proportions of the splits, each above 0, together 1.
        seed: Another seed gives other splits.

    Raises:
        InputError: A split is empty.
    """
    edges = np.cumsum(list(proportions.values()))
    numbers = np.searchsorted(edges[:-1], unit_hashes(items["text"], seed), side="right")
    splits = datasets.DatasetDict()
    for number, name in enumerate(proportions):
        rows = np.flatnonzero(numbers == number)
        if len(rows) == 0:
            raise InputError(
                f"{name}: expected items in a proportion of {proportions[name]:g}, got none of "
                f"{len(items)}"
            )
        splits[name] = items.select(rows).flatten_indices()
    return splits


def unit_hashes(texts: Iterable[str], seed: int = 0) -> Floats:
    """Hash each text to a number in [0, 1): 53 bits of BLAKE2b."""
    hashes = b"".join(
        hashlib.blake2b(f"{seed} {text}".encode(), digest_size=8).digest() for text in texts
    )
    bits = np.frombuffer(hashes, dtype=">u8") >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53


def masked_repeats(texts: Sequence[str], held_out: Iterable[str]) -> Bools:
    """Mark the texts that equal a held-out text but for words that one of them has as a tag.

    One file writes a rare word and another its tag: "he was lambasted in 1987 for telling" and "he
    was VBN in 1987 for telling" are one sentence. Case is ignored, and at least `MIN_EQUAL_WORDS`
    words must be equal. Equal texts without a tag are not looked for.

    Args:
        texts: N texts, words joined by one space, rare words perhaps as tags (`SYMBOLS`).
        held_out: Texts that training must not see.

    Returns:
        Of each text, whether it repeats a held-out one.

    >>> masked_repeats(["he was VBN in the year of"], ["He was born in the year of"])
    array([ True])
    """
    rows = [_fold(text) for text in texts]
    held_out_rows = [_fold(text) for text in held_out]
    repeats = np.zeros(len(rows), dtype=bool)
    repeats[[row for row, _ in _same_but_for_masks(rows, held_out_rows)]] = True
    repeats[[row for _, row in _same_but_for_masks(held_out_rows, rows)]] = True
    return repeats


def _fold(text: str) -> tuple[str | None, ...]:
    """Return the words of a text in lower case, None for tags."""
    return tuple(None if word in MASKS else word.lower() for word in text.split(" "))


def _same_but_for_masks(
    masked: Sequence[Sequence[str | None]], others: Sequence[Sequence[str | None]]
) -> Iterator[tuple[int, int]]:
    """Yield pairs of rows that are equal where neither has None, of which the first has None.

    Equal rows share their rarest words, unless the other row masks just these: so of each masked
    row the three rarest words are looked up.
    """
    rows_of: defaultdict[tuple[int, int, str], list[int]] = defaultdict(list)
    for index, row in enumerate(others):
        if len(row) > MIN_EQUAL_WORDS:
            for position, word in enumerate(row):
                if word is not None:
                    rows_of[len(row), position, word].append(index)
    for index, row in enumerate(masked):
        if None in row and len(row) > MIN_EQUAL_WORDS:
            candidates = sorted(
                (
                    rows_of.get((len(row), position, word), ())
                    for position, word in enumerate(row)
                    if word is not None
                ),
                key=len,
            )
            for other in {other for found in candidates[:3] for other in found}:
                if _is_same(row, others[other]):
                    yield index, other


def _is_same(row: Sequence[str | None], other: Sequence[str | None]) -> bool:
    pairs = [pair for pair in zip(row, other, strict=True) if None not in pair]
    return len(pairs) >= MIN_EQUAL_WORDS and all(one == two for one, two in pairs)
