"""The parts of a corpus put together: one Parquet and one JSONL file a split, and the card."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from memgate.data.corpora import shards
from memgate.data.corpora.card import card, count
from memgate.data.items.numbers import LABELS
from memgate.data.items.schema import SPLITS
from memgate.data.splits import unit_hashes
from memgate.errors import InputError

FIRST_WORDS = 5
"""Words whose hash says which split a sentence is in: near-copies stay together."""


def assemble(folder: Path, parts: Sequence[Path], made_from: Mapping[str, Any]) -> None:
    """Write the splits and the card of a corpus.

    Args:
        folder: Where to.
        parts: The shards, in order.
        made_from: The corpus's settings and source, see `card.card`.

    Raises:
        InputError: A split has no items.
    """
    sizes, dropped = shards.total(parts)
    if not sizes["items"]:
        raise InputError(
            f"{made_from['source']}: expected sentences with agreement, found none in "
            f"{sizes['sentences']} sentences"
        )
    counts: Counter[tuple[str, ...]] = Counter()
    with contextlib.ExitStack() as stack:
        writers = {split: Writer(folder, split, stack) for split in SPLITS}
        for part in parts:
            table = pq.read_table(part, schema=shards.COLUMNS.arrow_schema)
            chosen = _splits(table["text"].to_pylist(), made_from)
            for number, split in enumerate(SPLITS):
                rows = table.filter(pa.array(chosen == number))
                counts += count(writers[split].write(rows), split)
    for split in SPLITS:
        if not any(key[0] == split for key in counts):
            raise InputError(
                f"{split}: expected items, got none of {sizes['items']}; parse more text or give "
                "larger shares"
            )
    text = card(made_from, counts, sizes, dropped)
    (folder / "README.md").write_text(text, encoding="utf-8")


def _splits(sentences: Sequence[str], made_from: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Return the place of each sentence's split in `SPLITS`."""
    keys = (" ".join(text.lower().split(" ")[:FIRST_WORDS]) for text in sentences)
    held_out = made_from["validation"] + made_from["test"]
    edges = [1 - held_out, 1 - made_from["test"]]
    return np.searchsorted(edges, unit_hashes(keys, made_from["seed"]), side="right")


class Writer:
    """Writes a split's two files, closed with the stack.

    Args:
        folder: Where to.
        split: Name of the files.
        stack: What closes them.
    """

    def __init__(self, folder: Path, split: str, stack: contextlib.ExitStack) -> None:
        self.parquet = stack.enter_context(
            pq.ParquetWriter(folder / f"{split}.parquet", shards.COLUMNS.arrow_schema)
        )
        self.jsonl: IO[str] = stack.enter_context(
            (folder / f"{split}.jsonl").open("w", encoding="utf-8")
        )

    def write(self, table: pa.Table) -> list[dict[str, Any]]:
        """Add rows to both files, and return them with the label's name."""
        if len(table):
            self.parquet.write_table(table)
        rows = [{**row, "label": LABELS[row["label"]]} for row in table.to_pylist()]
        self.jsonl.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        return rows
