"""The progress of fits: bars that move in a terminal, lines in a log."""

from __future__ import annotations

import io
from pathlib import Path

import lightning.pytorch as pl
from rich.console import Console

from memgate.data.datamodule import AgreementData
from memgate.data.sources.grammar import Grammar
from memgate.fitting.module import AgreementModule
from memgate.fitting.progress import FitProgress


def fitted(progress: FitProgress, folder: Path) -> None:
    """Fit a small network with the callback."""
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        callbacks=[progress],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=1,
        default_root_dir=folder,
    )
    source = Grammar(train=200, validation=40, test=20, max_intervening=4)
    trainer.fit(AgreementModule(cell="rnn", hidden_size=3), AgreementData(source, name="tiny"))


def test_a_log_gets_a_line_an_epoch(tmp_path: Path) -> None:
    out = io.StringIO()
    with FitProgress(2, Console(file=out, width=80)) as progress:
        for name in ("one", "two"):
            progress.begin(name)
            fitted(progress, tmp_path)
            progress.show_status("testing")
            progress.end()
    lines = out.getvalue().splitlines()
    first = [line for line in lines if line.startswith("[1/2] one: ")]
    assert len(lines) == 2 * len(first)
    said = [line.removeprefix("[1/2] one: ") for line in first]
    assert said[0] == "reading the data"
    assert [line.rpartition(" ")[0] for line in said[1:3]] == [
        "epoch 1/2, val accuracy",
        "epoch 2/2, val accuracy",
    ]
    assert said[3] == "testing"


def test_a_terminal_gets_bars_that_reach_the_end(tmp_path: Path) -> None:
    out = io.StringIO()
    with FitProgress(1, Console(file=out, force_terminal=True, width=120)) as progress:
        progress.begin("a [bracket]")
        fitted(progress, tmp_path)
        progress.end()
    shown = out.getvalue()
    assert "a [bracket]" in shown
    assert "100%" in shown
    assert "epoch 2/2, val accuracy" in shown
