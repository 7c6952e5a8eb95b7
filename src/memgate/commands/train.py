"""`memgate train`: the main job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from memgate.fitting.config_files import config_file
from memgate.fitting.finalize import FitResult
from memgate.fitting.progress import FitProgress
from memgate.fitting.real_text import build_corpus, data_at_hand
from memgate.fitting.run import run_fit
from memgate.models.classifier import RECURRENCE, CellName
from memgate.reporting.accuracy import print_accuracy, write_accuracy
from memgate.reporting.console import console

CELLS = tuple(RECURRENCE)


def train(
    cell: CellName | None = None,
    data: str | None = None,
    seed: int = 0,
    out: Path = Path("out/train"),
) -> None:
    """Train every cell on synthetic and on real text; track, register and score each model.

    Args:
        cell: Train this cell only.
        data: Train on this data only: synthetic, wikipedia, corpus, or NAME for the project's own
            configs/data/NAME.yaml. Without it: synthetic, and the real text that is at hand.
        seed: Seed of weights and order; the data stay the same.
        out: Folder for the table of accuracies and its figure.

    Raises:
        InputError: A configuration, the data or the store can't be used.
    """
    if data:
        names = [data]
    else:
        names, about_real_text = data_at_hand()
        print(about_real_text)
    for name in names:  # before the fits: in one terminal there can be one bar
        build_corpus(name)
    jobs = [(name, one) for name in names for one in ([cell] if cell else CELLS)]
    results: list[FitResult] = []
    try:
        with FitProgress(len(jobs), console()) as progress:
            for name, one in jobs:
                files = ("trainer/default.yaml", f"cell/{one}.yaml", f"data/{name}.yaml")
                args = [part for file in files for part in ("--config", str(config_file(file)))]
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
