"""Splits of one table by a hash of each text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import datasets
import numpy as np

from memgate.arrays import Floats
from memgate.errors import InputError


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
