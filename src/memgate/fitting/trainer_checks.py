"""Checks of the Trainer's settings before a fit begins: `check_trainer`."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import ReduceLROnPlateau

from memgate.data.datamodule import AgreementData
from memgate.errors import InputError
from memgate.fitting.module import AgreementModule
from memgate.fitting.steps import epoch_batches, epoch_steps, fit_steps

REQUIRED_SPLITS = {
    "train": ("train", "to train on"),
    "val": ("validation", "because validation accuracy chooses the best epoch"),
    "test": ("test", "to test the best epoch on"),
}
"""The split of each stage, and why a fit needs a batch of it."""

MONITORED = ("train/loss", "val/loss", "val/accuracy", "val/balanced_accuracy")
"""What `AgreementModule` logs while it fits."""


def check_trainer(trainer: pl.Trainer, module: AgreementModule, data: AgreementData) -> None:
    """Check that a fit works with the Trainer's settings.

    Raises:
        InputError: A setting can't be used.
    """
    for stage, (split, reason) in REQUIRED_SPLITS.items():
        name = f"limit_{stage}_batches"
        limit: int | float = getattr(trainer, name)
        if limit * data.count_batches(split, trainer.world_size) < 1:
            raise InputError(f"--trainer.{name}: expected at least a batch, {reason}; got {limit}")
    if trainer.accumulate_grad_batches < 1:
        raise InputError(
            "--trainer.accumulate_grad_batches: expected at least 1, "
            f"got {trainer.accumulate_grad_batches}"
        )
    clip = trainer.gradient_clip_val
    if clip is not None and clip < 0:
        raise InputError(f"--trainer.gradient_clip_val: expected 0 or above, got {clip}")
    _check_monitors(trainer)
    _check_first_validation(trainer, data)
    _check_scheduler(trainer, module, data)


def _check_monitors(trainer: pl.Trainer) -> None:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(callback, EarlyStopping | ModelCheckpoint) and monitor is not None:
            _check_monitor(f"--trainer.callbacks: {type(callback).__name__}", monitor)


def _check_monitor(where: str, monitor: str) -> None:
    if monitor not in MONITORED:
        raise InputError(
            f"{where}: expected monitor to be one of {', '.join(MONITORED)}, got {monitor}"
        )


def _check_first_validation(trainer: pl.Trainer, data: AgreementData) -> None:
    """Check that the fit validates before its last step."""
    interval, every = trainer.val_check_interval, trainer.check_val_every_n_epoch
    if not isinstance(interval, int | float):  # by the clock
        return
    batches = epoch_batches(trainer, data)
    if isinstance(interval, float):
        interval = max(1, int(batches * interval))
    elif interval > batches and every is not None:
        raise InputError(
            f"--trainer.val_check_interval: expected at most the {batches} batches of an epoch, "
            f"got {interval}; with --trainer.check_val_every_n_epoch=null it may be more"
        )
    before = 0 if every is None else (every - 1) * batches
    epochs, rest = divmod(before + interval, batches)
    first = epochs * epoch_steps(trainer, data) + rest // trainer.accumulate_grad_batches
    last = fit_steps(trainer, data)
    if last is not None and last < first:
        raise InputError(
            f"--trainer: expected a validation, from which the best epoch is chosen; the fit ends "
            f"after {last} steps, the first validation is after {first}"
        )


def _check_scheduler(trainer: pl.Trainer, module: AgreementModule, data: AgreementData) -> None:
    """Check that the scheduler can be made, and that its monitor is logged."""
    epochs = trainer.max_epochs
    steps = fit_steps(trainer, data) if module.lr_scheduler_interval == "step" else epochs
    try:
        scheduler = module.make_scheduler(module.optimizer(module.parameters()), steps)
    except ValueError as error:
        raise InputError(f"--model.lr_scheduler: {' '.join(str(error).split())}") from error
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        if not isinstance(scheduler, ReduceLROnPlateau):
            raise InputError(
                "--model.lr_scheduler: expected lightning.pytorch.cli.ReduceLROnPlateau, which has "
                "a monitor, got torch's"
            )
        _check_monitor("--model.lr_scheduler", scheduler.monitor)
