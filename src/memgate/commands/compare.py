"""`memgate compare`: two models on the same items, overall and by stratum."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from memgate.errors import InputError
from memgate.evaluation.items import one_quiet_thread
from memgate.reporting.console import echo
from memgate.reporting.files import write_all
from memgate.reporting.pairs import print_pairs
from memgate.tracking.registry.comparison import paired_items, paired_table


def compare(a: str, b: str, data: Sequence[str] = (), out: Path | None = None) -> None:
    """Compare two models on the same items, overall and by stratum: paired tables, exact tests.

    Args:
        a: The first model: models:/NAME@ALIAS, another URI of MLflow's, hf://OWNER/NAME or a
            folder.
        b: The second model.
        data: Files of agreement JSONL, or globs, that both models are evaluated on; without any,
            the test items of their runs.
        out: Folder for paired.csv; without it nothing is written.

    Raises:
        InputError: It is one model twice; as `memgate.tracking.registry.comparison.paired_items`;
            or the folder can't be written.
    """
    if a == b:
        raise InputError(f"compare: expected two models, got {a} {b}")
    one_quiet_thread()
    items = paired_items(a, b, data)
    table = paired_table(items.rows)
    if out is not None:
        write_all(out, {"paired.csv": partial(table.to_csv, index=False)})
    echo(f"A  {a}")
    echo(f"B  {b}")
    echo(str(items))
    print_pairs(table)
    for note in items.notes:
        echo(note)
    if out is not None:
        echo(f"wrote paired.csv to {out}")
