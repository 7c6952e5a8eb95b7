"""The progress of one fit or of several: which it is at, and what is left."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from memgate.fitting.module import AgreementModule


class FitProgress(pl.Callback):
    """Draws two bars in a terminal, one for all fits and one for this; a line an epoch in a log.

    Args:
        fits: How many fits there will be.
        console: Where to; its kind decides between bars and lines.
    """

    def __init__(self, fits: int, console: Console) -> None:
        self.fits = fits
        self.console = console
        self.position = 0
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[score]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._all: TaskID | None = None
        self._this: TaskID | None = None
        self._name = ""
        self._steps: int | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        if self.fits > 1:
            self._all = self._bars.add_task("all runs", total=self.fits, score="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def begin(self, name: str) -> None:
        """Say that the next fit begins."""
        self.position += 1
        self._name = f"[{self.position}/{self.fits}] {name}" if self.fits > 1 else name
        if self._this is not None:
            self._bars.remove_task(self._this)
        self._this = self._bars.add_task(self._escaped(), total=None, score="reading the data")
        if not self.console.is_terminal:
            self.console.print(f"{self._escaped()}: reading the data")

    def say(self, what: str) -> None:
        """Say what is being done now."""
        if self._this is not None:
            self._bars.update(self._this, score=what)
        if not self.console.is_terminal:
            self.console.print(f"{self._escaped()}: {what}")

    def end(self) -> None:
        """Say that this fit is done."""
        if self._all is not None:
            self._bars.update(self._all, completed=self.position)

    def _escaped(self) -> str:
        return escape(self._name)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Learn how many steps there are."""
        if not isinstance(pl_module, AgreementModule):
            raise TypeError(f"expected an AgreementModule, got {type(pl_module)}")
        epochs = trainer.max_epochs or -1
        self._steps = pl_module.steps_per_epoch * epochs if epochs > 0 else None
        if self._this is not None:
            done = trainer.global_step
            self._bars.update(self._this, total=self._steps, completed=done, score="")

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the bars on."""
        if self._this is None or self._bars.disable:
            return
        self._bars.update(self._this, completed=trainer.global_step)
        if self._all is not None and self._steps:
            done = self.position - 1 + trainer.global_step / self._steps
            self._bars.update(self._all, completed=done)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the accuracy after each epoch."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking or self._this is None:
            return
        accuracy = 100 * float(trainer.callback_metrics["val/accuracy"])
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        score = f"{epoch}, val accuracy {accuracy:.1f}%"
        self._bars.update(self._this, score=score)
        if not self.console.is_terminal:
            self.console.print(f"{self._escaped()}: {score}")
