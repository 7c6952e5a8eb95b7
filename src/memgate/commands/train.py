"""`memgate train`: every cell on synthetic and on real text, one fit after the other."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from memgate.fitting.config_files import config_file
from memgate.fitting.finalize import FitResult, show
from memgate.fitting.progress import FitProgress
from memgate.fitting.real_text import build_corpus, data_at_hand
from memgate.fitting.run import run_fit
from memgate.models.classifier import RECURRENCE, CellName
from memgate.reporting.accuracy import write_accuracy
from memgate.reporting.console import console, echo


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
        echo(about_real_text)
    for name in names:  # before the fits, as a terminal can have one progress bar
        build_corpus(name)
    cells = [cell] if cell else list(RECURRENCE)
    results: list[FitResult] = []
    try:
        with FitProgress(len(names) * len(cells), console()) as progress:
            for name, cell_name in product(names, cells):
                files = ("trainer/default.yaml", f"cell/{cell_name}.yaml", f"data/{name}.yaml")
                configs = [f"--config={config_file(file)}" for file in files]
                results.append(run_fit([*configs, f"--seed_everything={seed}"], progress))
    finally:  # the finished fits are shown, even if a later one fails
        if results:
            write_accuracy(show(results), out)
            echo(f"wrote {out}/accuracy.csv and {out}/accuracy.png")
