"""Keys that say which item an item is, whatever file, row or table it comes from."""

from __future__ import annotations

import hashlib
from collections import Counter

import pandas as pd
import pyarrow as pa


def item_keys(table: pa.Table) -> pd.Series[str]:
    """Return a key for each item: 16 hexadecimal digits of a hash of its sentence and verb.

    Args:
        table: N items with the columns of `memgate.data.items.schema.FEATURES`.

    Returns:
        N different keys. Where an item is there several times, the second gets ``-2`` behind its
        key, and so on.

    >>> table = pa.table({"text": ["a b", "a b", "a c"], "verb_idx": [1, 1, 1]})
    >>> first, second, other = item_keys(table)
    >>> second == first + "-2", len(first), other == first
    (True, 16, False)
    """
    seen: Counter[str] = Counter()
    keys = []
    pairs = zip(table["text"].to_pylist(), table["verb_idx"].to_pylist(), strict=True)
    for text, verb_idx in pairs:
        key = hashlib.blake2b(f"{verb_idx} {text}".encode(), digest_size=8).hexdigest()
        seen[key] += 1
        keys.append(key if seen[key] == 1 else f"{key}-{seen[key]}")
    return pd.Series(keys, dtype="string")
