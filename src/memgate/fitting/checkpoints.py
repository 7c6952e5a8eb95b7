"""Checkpoints of a fit: the best epoch, the last state, and the names that a user gives them."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from lightning.pytorch.utilities.exceptions import SIGTERMException

from memgate.errors import InputError

CHECKPOINTS_FOLDER = Path("mlruns/checkpoints")
"""A run's checkpoints are in ``<run name>/<run id>/checkpoints`` below it."""

CHECKPOINT_KEYS = {"state_dict", "rng", "vocabulary", "train_loss"}
"""Keys of a checkpoint that memgate saved."""


def best_checkpoint() -> ModelCheckpoint:
    """Make the callback that keeps the weights with the best validation accuracy, ``best.ckpt``."""
    return ModelCheckpoint(
        monitor="val/accuracy", mode="max", filename="best", enable_version_counter=False
    )


class LastCheckpoint(pl.callbacks.Checkpoint):
    """Writes ``last.ckpt`` after every epoch, and after the step at hand on Ctrl-C or SIGTERM.

    Within a step the weights may be half updated, so the signal waits for its end. A second Ctrl-C
    stops at once. `ModelCheckpoint`'s own ``save_last`` would go stale: it is written only with a
    new best. Several processes would wait for each other, so there only epochs are saved.

    A fit that early stopping ended trains no further when it is resumed, unless it has more
    patience now: Lightning restores neither that it had stopped, nor the configured patience.
    """

    def __init__(self, best: ModelCheckpoint) -> None:
        self._best = best
        self._signal: int | None = None
        self._handlers: dict[int, Any] = {}
        self._patience: list[tuple[EarlyStopping, int]] = []

    @property
    def path(self) -> Path | None:
        """The file; None before a fit begins."""
        return None if self._best.dirpath is None else Path(self._best.dirpath) / "last.ckpt"

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Remember the configured patience: a checkpoint that is loaded brings its own."""
        self._patience = [(callback, callback.patience) for callback in early_stopping(trainer)]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Skip the training if it had stopped early; the checkpoint is loaded."""
        for callback, patience in self._patience:
            state = callback.state_dict()
            callback.patience = patience
            if has_stopped(callback, state):
                trainer.should_stop = True
            else:
                callback.stopping_reason = EarlyStoppingReason.NOT_STOPPED

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take over Ctrl-C and SIGTERM."""
        if trainer.world_size == 1 and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._remember)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        if self._signal is not None:
            self._stop()
        self._signal = number

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save and stop here if a signal came, once the optimiser has stepped.

        After the last batch the epoch ends first.
        """
        if (
            self._signal is not None
            and (batch_idx + 1) % trainer.accumulate_grad_batches == 0
            and batch_idx + 1 < trainer.num_training_batches
        ):
            self._save(trainer)
            self._stop()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, and stop here if a signal came."""
        self._save(trainer)
        if self._signal is not None:
            self._stop()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give Ctrl-C and SIGTERM back, and stop here if a signal came."""
        if self._signal is not None:
            self._stop()
        self._give_back()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Give Ctrl-C and SIGTERM back."""
        self._give_back()

    def _save(self, trainer: pl.Trainer) -> None:
        if self.path is not None and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(self.path)

    def _stop(self) -> None:
        number = self._signal
        self._give_back()
        if number == signal.SIGTERM:
            raise SIGTERMException(128 + signal.SIGTERM)
        raise KeyboardInterrupt

    def _give_back(self) -> None:
        self._signal = None
        while self._handlers:
            signal.signal(*self._handlers.popitem())


def early_stopping(trainer: pl.Trainer) -> list[EarlyStopping]:
    """Return the trainer's callbacks that may end a fit early."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [callback for callback in callbacks if isinstance(callback, EarlyStopping)]


def has_stopped(callback: EarlyStopping, state: Mapping[str, Any]) -> bool:
    """Return whether early stopping ended a fit, and would end it with its present patience too.

    A decision before ``min_epochs`` holds, as Lightning's does, though a later epoch was better.
    """
    reason = EarlyStoppingReason(state["stopping_reason"])
    if reason is EarlyStoppingReason.PATIENCE_EXHAUSTED:
        return bool(callback.patience <= max(state["patience"], state["wait_count"]))
    return reason is not EarlyStoppingReason.NOT_STOPPED


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes:
        path: Its file.
        state: What Lightning and `AgreementModule.on_save_checkpoint` saved.
    """

    path: Path
    state: dict[str, Any]

    @property
    def run_id(self) -> str | None:
        """The id in ``…/<run id>/checkpoints/last.ckpt``; elsewhere it belongs to no run."""
        name = self.path.absolute().parents[1].name
        return name if re.fullmatch(r"[0-9a-f]{32}", name) else None

    def epochs_of_fit(self) -> int:
        """Return the epochs of the whole fit, if its last checkpoint is still in the same folder.

        Raises:
            InputError: That checkpoint is damaged.
        """
        last = self.path.with_name("last.ckpt")
        state = _read(last) if last.is_file() else self.state
        return int(state["epoch"]) + 1

    def require_resumable(self) -> None:
        """Check that a fit can be resumed from it.

        Raises:
            InputError: An earlier version saved it, whose loop Lightning counted otherwise.
        """
        progress = self.state["loops"]["fit_loop"][
            "epoch_loop.automatic_optimization.optim_progress"
        ]
        if progress["optimizer"]["step"]["total"]["completed"] != self.state["global_step"]:
            raise InputError(
                f"{self.path}: an earlier version of memgate saved it; it can be scored (`memgate "
                "test`), but no fit can be resumed from it"
            )

    def require_epochs_left(self, trainer: pl.Trainer, has_ended: bool) -> None:
        """Check that epochs remain; a run that has ended would end and register again.

        A run that was stopped behind its last epoch still has its end before it.

        Raises:
            InputError: All its epochs are done, or early stopping ended it.
        """
        max_epochs = trainer.max_epochs
        done = self.state["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        least = done + 1 if has_ended else done
        if max_epochs is not None and 0 <= max_epochs < least:
            raise InputError(
                f"{self.path}: its {done} epochs are done; to go on, set --trainer.max_epochs "
                f"above {least - 1}"
            )
        if not has_ended:
            return
        states = self.state["callbacks"]
        for callback in early_stopping(trainer):
            key = callback.state_key
            if key in states and has_stopped(callback, states[key]):
                raise InputError(
                    f"{self.path}: early stopping ended it after {done} epochs; to go on, set a "
                    "patience above its"
                )


def find(ckpt_path: str | None, run_name: str) -> Checkpoint | None:
    """Find the checkpoint that a user names, and read it.

    ``last`` and ``best`` are those of the newest run of this name.

    Raises:
        InputError: There is no such checkpoint, or it is damaged or another program's.
    """
    if ckpt_path is None:
        return None
    path = Path(ckpt_path)
    if ckpt_path in ("last", "best"):
        runs = CHECKPOINTS_FOLDER / run_name
        files = sorted(
            runs.glob(f"*/checkpoints/{ckpt_path}.ckpt"), key=lambda p: p.stat().st_mtime
        )
        if not files:
            raise InputError(f"--ckpt_path {ckpt_path}: expected a run below {runs}, found none")
        path = files[-1]
    if not path.is_file():
        raise InputError(f"{path}: expected a checkpoint, found no file")
    return Checkpoint(path, _read(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        missing = CHECKPOINT_KEYS - state.keys()
    except Exception as error:  # errors of zip, pickle and torch: all mean the same
        raise InputError(f"{path}: expected a checkpoint, got a damaged or other file") from error
    if missing:
        raise InputError(f"{path}: expected a checkpoint of memgate, got one without {missing}")
    return state
