"""`memgate generate`: items of the synthetic grammar as agreement JSONL."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from pathlib import Path

from memgate.data.items.numbers import LABELS
from memgate.data.sources.grammar import Grammar
from memgate.errors import InputError


def generate(out: Path, items: int, seed: int, max_intervening: int, max_attractors: int) -> None:
    """Write items of the grammar, one a line; the file is whole or not there.

    Args:
        out: File to write, gzipped where it ends in ``.gz``.
        items: How many.
        seed: Seed of the items.
        max_intervening: Words between subject and verb, at most.
        max_attractors: Attractors, at most.

    Raises:
        InputError: A number is out of range, or the file can't be written.
    """
    grammar = Grammar(
        train=1,
        validation=1,
        test=items,
        max_intervening=max_intervening,
        max_attractors=max_attractors,
        seed=seed,
    )
    rows = grammar.load()["test"]
    partial = out.with_name(out.name + ".partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        opened = gzip.open if out.suffix == ".gz" else open
        with opened(partial, "wt", encoding="utf-8") as file:
            for row in rows:
                known = {name: value for name, value in row.items() if value is not None}
                known["label"] = LABELS[row["label"]]
                file.write(json.dumps(known, ensure_ascii=False) + "\n")
        partial.replace(out)
    except OSError as error:
        raise InputError(f"{out}: expected a file to write to, got: {error}") from error
    finally:
        with suppress(OSError):  # nothing half-written stays, nor after Ctrl-C
            partial.unlink(missing_ok=True)
    print(f"wrote {len(rows)} items to {out}")
