"""`memgate generate`: items of the synthetic grammar as agreement JSONL."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from memgate.data.items.numbers import LABELS
from memgate.data.sources.grammar import Grammar
from memgate.errors import InputError
from memgate.reporting.console import echo
from memgate.reporting.files import write_file


def generate(
    *,
    out: Path,
    items: int = 1000,
    seed: int = 0,
    max_intervening: int = 30,
    max_attractors: int = 4,
) -> None:
    """Write items of the synthetic grammar as agreement JSONL.

    Args:
        out: File to write, such as items.jsonl; gzipped if it ends in .gz. A file that is there
            already is replaced, and the output says so.
        items: Number of items.
        seed: Seed of the items.
        max_intervening: Largest number of words between subject and verb.
        max_attractors: Largest number of attractors.

    Raises:
        InputError: A number is out of range, or the file can't be written.
    """
    if items < 1:
        raise InputError(f"--items: expected at least 1, got {items}")
    grammar = Grammar(
        train=1,
        validation=1,
        test=items,
        max_intervening=max_intervening,
        max_attractors=max_attractors,
        seed=seed,
    )
    rows = grammar.load()["test"]
    open_text = gzip.open if out.suffix == ".gz" else open

    def write(path: Path) -> None:
        with open_text(path, "wt", encoding="utf-8") as file:
            for row in rows:
                item = {name: value for name, value in row.items() if value is not None}
                item["label"] = LABELS[row["label"]]
                file.write(json.dumps(item, ensure_ascii=False) + "\n")

    echo(f"{write_file(out, write)}: {len(rows)} items")
