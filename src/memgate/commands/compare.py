"""`memgate compare`: two models on the same items, overall and by stratum."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from memgate.errors import InputError
from memgate.reporting.files import write_all
from memgate.reporting.pairs import print_pairs
from memgate.tracking.registry.challenge import paired_table
from memgate.tracking.registry.pairs import paired


def compare(models: Sequence[str], data: Sequence[str], out: Path | None = None) -> None:
    """Print how two models differ on the same items, and on demand write it.

    Args:
        models: Two MLflow model URIs or folders, A and B.
        data: Files of agreement JSONL, or globs, that both answer; without any, the test items of
            their runs.
        out: Folder for ``paired.csv``; nothing is written without.

    Raises:
        InputError: Not two models; or as `memgate.tracking.registry.pairs.paired`; or the folder
        can't be
            written.
    """
    if len(models) != 2 or models[0] == models[1]:
        raise InputError(f"compare: expected two models, got {' '.join(models)}")
    pairs = paired(models[0], models[1], data)
    table = paired_table(pairs.rows)
    if out is not None:
        write_all(out, {"paired.csv": partial(table.to_csv, index=False)})
    for side, model in zip("AB", models, strict=True):
        print(f"{side}  {model}")
    print(pairs)
    print_pairs(table)
    if out is not None:
        print(f"wrote paired.csv to {out}")
