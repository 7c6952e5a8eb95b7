"""How much memory a fit's items take: read from a file, trained on, their gates read.

``python -m benchmarks.footprint FILE`` prints the peak of a process that does that, in bytes.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import datasets
import lightning.pytorch as pl
import torch

from benchmarks.gates import read
from benchmarks.memory import peak
from benchmarks.recipe import EpochClock
from benchmarks.setting import ROOT
from memgate.commands.generate import generate
from memgate.data.datamodule import AgreementData
from memgate.data.sources.grammar import MAX_INTERVENING
from memgate.data.sources.jsonl import JsonLines
from memgate.fitting.module import AgreementModule

UNITS = 50


def peaks(folder: Path, counts: Sequence[int]) -> dict[int, int]:
    """Return the peak of memory, in bytes, by items of the training file.

    Args:
        folder: Where the files go.
        counts: Items, each a multiple of the first.
    """
    base = folder / "base.jsonl"
    with contextlib.redirect_stdout(io.StringIO()):
        generate(out=base, items=counts[0], seed=1, max_intervening=MAX_INTERVENING)
        generate(out=folder / "held_out.jsonl", items=64, seed=2, max_intervening=MAX_INTERVENING)
    text = base.read_text(encoding="utf-8")
    found = {}
    for items in counts:
        path = folder / f"{items}.jsonl"
        path.write_text(text * (items // counts[0]), encoding="utf-8")
        found[items] = _of_process(path, folder)
        path.unlink()
    return found


def _of_process(path: Path, folder: Path) -> int:
    """Let a process read the file three times; the least of the later starts counts.

    The first, not from the cache, has its rows in memory besides, in parts of a thousand; of the
    others one in seven takes some 300 MB more, for a reason that wasn't found.
    """
    environment = {**os.environ, "HF_DATASETS_CACHE": str(folder / "datasets")}
    command = [sys.executable, "-m", "benchmarks.footprint", str(path)]
    found = []
    for _ in range(3):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        found.append(int(done.stdout.splitlines()[-1]))
    return min(found[1:])


def epoch(data: AgreementData, units: int) -> float:
    """Train an LSTM for an epoch, as a fit does, and return its seconds."""
    clock = EpochClock()
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        callbacks=[clock],
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    module = AgreementModule(cell="lstm", hidden_size=units, embedding_size=units)
    trainer.fit(module, datamodule=data)
    return clock.seconds


def quiet() -> None:
    """Leave out what Lightning and datasets say of themselves."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    datasets.disable_progress_bars()


def main(path: Path) -> None:
    """Read a file, train an epoch, read the gates, and print the peak."""
    quiet()
    torch.set_num_threads(1)
    held_out = [str(path.with_name("held_out.jsonl"))]
    data = AgreementData(JsonLines([str(path)], held_out, held_out))
    data.setup()
    epoch(data, UNITS)
    module = AgreementModule(cell="lstm", hidden_size=UNITS, embedding_size=UNITS)
    module.build(len(data.vocabulary))
    read(module.classifier.eval(), data.prefixes["train"])
    print(peak())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
