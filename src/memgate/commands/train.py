"""`memgate train`: the main job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from memgate.errors import InputError
from memgate.fitting.finalize import FitResult
from memgate.fitting.progress import FitProgress
from memgate.fitting.real_text import data_at_hand, make_corpus
from memgate.fitting.run import run_fit
from memgate.models.classifier import RECURRENCE
from memgate.reporting.accuracy import print_accuracy, write_accuracy
from memgate.reporting.console import console

CELLS = tuple(RECURRENCE)


def train(cell: str | None, data: str | None, seed: int, configs: Path, out: Path) -> None:
    """Train every cell on synthetic and on real text, track, register and score each.

    Args:
        cell: Only this cell, or None for all.
        data: ``synthetic``, ``wikipedia`` or ``corpus``; None for the first and one of the others.
        seed: Seed of weights and order; the data stay the same.
        configs: Folder with ``cell/``, ``data/`` and ``trainer/``.
        out: Folder of the closing table, ``accuracy.csv``, and its figure, ``accuracy.png``.

    Raises:
        InputError: A configuration, the data or the store can't be used.
    """
    if not configs.is_dir():
        raise InputError(f"{configs}: expected memgate's configurations, found no such folder")
    names = [data] if data else data_at_hand(configs)
    for name in names:  # before the fits: in one terminal there can be one bar
        make_corpus(configs, name)
    jobs = [(name, one) for name in names for one in ([cell] if cell else CELLS)]
    results: list[FitResult] = []
    try:
        with FitProgress(len(jobs), console()) as progress:
            for name, one in jobs:
                files = ("trainer/default.yaml", f"cell/{one}.yaml", f"data/{name}.yaml")
                args = [part for file in files for part in ("--config", str(configs / file))]
                results.append(run_fit([*args, f"--seed_everything={seed}"], progress))
    finally:  # what is done is shown, even where a later fit fails
        if results:
            _show(results, out)


def _show(results: Sequence[FitResult], out: Path) -> None:
    table = pd.concat([result.table for result in results], ignore_index=True)
    print_accuracy(table)
    for line in dict.fromkeys(line for result in results for line in result.notes):
        print(line)
    write_accuracy(table, out)
    registered = [result.model for result in results if result.model]
    if registered:
        print("registered " + ", ".join(registered))
    for line in filter(None, (result.champion_status for result in results)):
        print(line)
    print(f"wrote {out}/accuracy.csv, {out}/accuracy.png; `make ui` shows the runs and the models")
