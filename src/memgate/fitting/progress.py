"""The progress of one fit or of several: `FitProgress` shows it while the Trainer works."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any, Self

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from rich.console import Console
from rich.progress import TaskID

from memgate.reporting.progress import ProgressBars


class FitProgress(pl.Callback):
    """Shows bars for all fits and for this one in a terminal; prints a line an epoch in a log.

    Args:
        fits: Number of fits.
        console: Its kind decides between bars and lines.
    """

    def __init__(self, fits: int, console: Console) -> None:
        self.fits = fits
        self._position = 0
        self._bars = ProgressBars(console)
        self._all_fits: TaskID | None = None
        self._fit: TaskID | None = None
        self._name = ""
        self._steps: int | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        if self.fits > 1:
            self._all_fits = self._bars.add_task("all runs", total=self.fits)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def begin(self, name: str) -> None:
        """Show that the next fit begins."""
        self._position += 1
        self._name = f"[{self._position}/{self.fits}] {name}" if self.fits > 1 else name
        if self._fit is not None:
            self._bars.remove_task(self._fit)
        self._fit = self._bars.add_task(self._name, total=None)
        self.show_status("reading the data")

    def show_status(self, status: str) -> None:
        """Show the step that the fit is at."""
        if self._fit is not None:
            self._bars.update(self._fit, status=status)
            self._bars.line(f"{self._name}: {status}")

    def end(self) -> None:
        """Show that this fit is done."""
        if self._all_fits is not None:
            self._bars.update(self._all_fits, completed=self._position)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the number of steps."""
        steps = trainer.estimated_stepping_batches
        self._steps = int(steps) if math.isfinite(steps) else None
        if self._fit is not None:
            self._bars.update(self._fit, total=self._steps, status="")
        self._show_step(trainer.global_step)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move the bars on."""
        if not self._bars.disable:
            self._show_step(trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the accuracy after each epoch."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            accuracy = 100 * float(trainer.callback_metrics["val/accuracy"])
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self._show_step(trainer.global_step)
            self.show_status(f"{epoch}, val accuracy {accuracy:.1f}%")

    def _show_step(self, step: int) -> None:
        if self._fit is not None:
            self._bars.update(self._fit, completed=step)
        if self._all_fits is not None and self._steps:
            done = self._position - 1 + step / self._steps
            self._bars.update(self._all_fits, completed=done)
