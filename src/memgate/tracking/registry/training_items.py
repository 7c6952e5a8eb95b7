"""Which items a model was trained on: a hash of each, kept alongside the model."""

from __future__ import annotations

from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from memgate.data import parquet
from memgate.data.items.schema import item_keys
from memgate.tracking.provenance import digest
from memgate.tracking.registry.origin import origin_of

TRAINING_ITEMS = "training_items.parquet"
"""File of the hashes, alongside the model."""

HASH_DIGITS = 10
"""Hexadecimal digits of an item's key that are kept, 40 bits: the sorted hashes of 121,500 items
take 3.2 bytes each, and one of 5,000 new items is taken for one of them with probability 0.0006."""

SCHEMA = pa.schema([("item", pa.int64())])


def save_training_items(table: pa.Table, path: Path) -> None:
    """Write the hashes of a training split, sorted and without repetitions."""
    hashes = pc.unique(_hashes(item_keys(table)))
    pq.write_table(
        pa.table({"item": hashes.sort()}, SCHEMA),
        path,
        use_dictionary=False,
        column_encoding="DELTA_BINARY_PACKED",
    )


def overlap_notes(
    model: str, folder: Path, data: str, keys: pd.Series[str], items: datasets.Dataset | None = None
) -> list[str]:
    """Return one line if a model was trained on some of the items that it is scored on, else none.

    Args:
        model: Name of the model.
        folder: As `memgate.tracking.registry.versions.model_folder` returns it.
        data: Name of the items.
        keys: The items' keys, as `memgate.data.items.schema.item_keys` returns them.
        items: All items of the file. Of models of earlier versions only the digest of the whole
            training split is known.

    Raises:
        InputError: The file of hashes is damaged.
    """
    path = folder / TRAINING_ITEMS
    if path.is_file():
        hashes = parquet.read(path, SCHEMA, "hashes of training items")["item"]
        n = int(pc.sum(pc.is_in(_hashes(keys), value_set=hashes)).as_py() or 0)
    else:
        n = len(keys) if items is not None and _is_training_split(folder, items) else 0
    if n == 0:
        return []
    return [
        f"{data}: {model} was trained on {n} of these {len(keys)} items; "
        "its accuracy on them does not show what it does on new sentences"
    ]


def _hashes(keys: pd.Series[str]) -> pa.Array:
    return pa.array([int(key[:HASH_DIGITS], 16) for key in keys], pa.int64())


def _is_training_split(folder: Path, items: datasets.Dataset) -> bool:
    origin = origin_of(folder)
    same_size = [] if origin is None else [s for s in origin.splits if s.rows == len(items)]
    digests = {split.digest for split in same_size if split.split == "train"}
    return bool(digests) and digest(items.with_format("arrow")[:]) in digests
