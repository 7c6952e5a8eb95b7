"""Number of batches and optimiser steps of a fit, computed before it begins."""

from __future__ import annotations

import math

import lightning.pytorch as pl

from memgate.data.datamodule import AgreementData


def epoch_batches(trainer: pl.Trainer, data: AgreementData) -> int:
    """Return the batches of an epoch in each process, after `AgreementData.setup`."""
    batches = data.count_batches("train", trainer.world_size)
    limit: int | float = trainer.limit_train_batches
    return min(limit, batches) if isinstance(limit, int) else int(limit * batches)


def epoch_steps(trainer: pl.Trainer, data: AgreementData) -> int:
    """Return the steps of the optimiser in an epoch."""
    return math.ceil(epoch_batches(trainer, data) / trainer.accumulate_grad_batches)


def fit_steps(trainer: pl.Trainer, data: AgreementData) -> int | None:
    """Return the steps of a whole fit that doesn't stop early; None if it has no last one.

    `Trainer.estimated_stepping_batches` makes the loader, after which Lightning 2.6 forgets where
    in an epoch a resumed fit goes on.
    """
    limits = []
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        limits.append(trainer.max_epochs * epoch_steps(trainer, data))
    if trainer.max_steps >= 0:
        limits.append(trainer.max_steps)
    return min(limits, default=None)
