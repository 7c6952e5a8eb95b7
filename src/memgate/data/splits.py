"""Splits cut from one table by a hash of each text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import datasets
import numpy as np
import numpy.typing as npt

from memgate.errors import InputError


def cut(
    items: datasets.Dataset, shares: Mapping[str, float], seed: int = 0
) -> datasets.DatasetDict:
    """Cut a table into shares, so that equal texts stay together.

    A text's place in [0, 1) is a hash of it and of the seed; the shares lie one behind another in
    [0, 1). So neither the order of the items nor further items move a text into another share, and
    the same seed gives the same shares on any machine. As texts are hashed and not items, a share
    comes out as large as asked only where no text is very common.

    Args:
        items: A table with a column ``text``.
        shares: Their names and sizes, each above 0, together 1.
        seed: Another seed, other shares.

    Raises:
        InputError: A share is empty.
    """
    edges = np.cumsum(list(shares.values()))
    chosen = np.searchsorted(edges[:-1], places(items["text"], seed), side="right")
    splits = datasets.DatasetDict()
    for number, name in enumerate(shares):
        rows = np.flatnonzero(chosen == number)
        if len(rows) == 0:
            raise InputError(
                f"{name}: expected items in a share of {shares[name]:g}, got none of {len(items)}"
            )
        splits[name] = items.select(rows).flatten_indices()
    return splits


def places(texts: Iterable[str], seed: int = 0) -> npt.NDArray[np.float64]:
    """Hash each text to its place in [0, 1): 53 bits of BLAKE2b."""
    hashes = b"".join(
        hashlib.blake2b(f"{seed} {text}".encode(), digest_size=8).digest() for text in texts
    )
    bits = np.frombuffer(hashes, dtype=">u8") >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53
