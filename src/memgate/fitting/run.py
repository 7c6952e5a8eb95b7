"""`run_fit`: one configuration, a tracked run, a registered model; `score`: a checkpoint again."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from types import MappingProxyType

import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint

from memgate.data.items.schema import SPLITS
from memgate.errors import InputError
from memgate.fitting.baseline_fits import fit_baselines
from memgate.fitting.checkpoints import LastCheckpoint, best_checkpoint
from memgate.fitting.configuration import Fit, configure
from memgate.fitting.finalize import FitResult, accuracy_of, finalize
from memgate.fitting.gate_series import GateSeries
from memgate.fitting.progress import FitProgress
from memgate.fitting.trainer_checks import check_trainer
from memgate.reporting.console import echo
from memgate.tracking.runs import is_finished
from memgate.tracking.store import storing


def run_fit(
    args: Sequence[str], progress: FitProgress, labels: Mapping[str, str] = MappingProxyType({})
) -> FitResult:
    """Train, test the best epoch, track and register.

    Raises:
        InputError: The configuration, the data, the checkpoint or the store can't be used.
    """
    best = best_checkpoint()
    last = LastCheckpoint(best)
    fit = configure(args, [progress, GateSeries(), best, last], labels)
    progress.begin(fit.name)
    fit.prepare()
    check_trainer(fit.trainer, fit.module, fit.data)
    start = fit.checkpoint
    if start is not None:
        start.require_resumable()
        has_ended = start.run_id is not None and is_finished(start.run_id)
        start.require_epochs_left(fit.trainer, has_ended)
    with _resume_advice(args, last), fit.run or nullcontext():
        if fit.run is not None:
            with storing():
                log_setting(fit, training_settings(fit))
        _train_and_test(fit, best)
        progress.show_status("fitting the baselines")
        baselines = fit_baselines(fit, fit.module.epochs)
        val_accuracy = float(best.best_model_score or 0.0)
        result = finalize(fit, baselines, val_accuracy, progress.show_status)
    progress.end()
    return result


def _train_and_test(fit: Fit, best: ModelCheckpoint) -> None:
    path = None if fit.checkpoint is None else fit.checkpoint.path
    try:
        fit.trainer.fit(fit.module, fit.data, ckpt_path=path, weights_only=True)
    except MisconfigurationException as error:
        raise InputError(" ".join(str(error).split())) from error
    if fit.trainer.fast_dev_run:  # type: ignore[attr-defined]  # it keeps no checkpoint
        fit.trainer.test(fit.module, fit.data, verbose=False)
        return
    if not best.best_model_path:
        raise InputError(
            "no epoch was validated, so there is nothing to test and to register; "
            "train for at least one whole epoch"
        )
    fit.trainer.test(fit.module, fit.data, best.best_model_path, verbose=False, weights_only=True)


@contextmanager
def _resume_advice(args: Sequence[str], last: LastCheckpoint) -> Iterator[None]:
    """Print the command that resumes, if the fit is stopped and there is a checkpoint."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if last.path is not None and last.path.is_file():
            command = shlex.join(["memgate", "fit", *args, "--ckpt_path", "last"])
            echo(f"stopped; this goes on with the run: {command}", err=True)
        raise


def score(args: Sequence[str], stage: str) -> FitResult:
    """Score a checkpoint and its baselines on ``val`` or ``test``; nothing is tracked."""
    fit = configure([*args, "--track=false"])
    if fit.checkpoint is None:
        raise InputError("--ckpt_path: expected a checkpoint (a path, last or best), got none")
    fit.prepare()
    # A checkpoint keeps the state of a fit's callbacks, which scoring doesn't need.
    warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`, callbacks")
    run = fit.trainer.validate if stage == "val" else fit.trainer.test
    run(fit.module, fit.data, fit.checkpoint.path, verbose=False, weights_only=True)
    return FitResult(*accuracy_of(fit, stage, fit_baselines(fit, fit.checkpoint.epochs_of_fit())))


def log_setting(fit: Fit, settings: Mapping[str, object]) -> None:
    """Log what a run was configured to do: configuration, main settings, data with digests."""
    run, data = fit.run, fit.data
    if run is None:
        return
    run.log_dict(fit.config, "config.yaml")
    about = {"data": data.name, "task": data.task.name, "vocab_size": len(data.vocabulary)}
    run.log_hyperparams({**fit.module.architecture, **about, **settings})
    source = yaml.safe_dump(fit.config["data"]["source"], sort_keys=False)
    for split in SPLITS:
        run.log_dataset(data.splits[split], data.name, split, source)


def training_settings(fit: Fit) -> dict[str, object]:
    """Return how a fit trains, by name, for the run's params."""
    optimizer = fit.module.optimizer(fit.module.parameters())
    scheduler = fit.config.get("model", {}).get("lr_scheduler")
    return {
        "seed": fit.data.seed,
        "batch_size": fit.data.batch_size,
        "max_epochs": fit.trainer.max_epochs,
        "precision": fit.trainer.precision,
        "gradient_clip_val": fit.trainer.gradient_clip_val,
        "accumulate_grad_batches": fit.trainer.accumulate_grad_batches,
        "optimizer": type(optimizer).__name__,
        "learning_rate": optimizer.defaults["lr"],
        "lr_scheduler": scheduler["class_path"].rpartition(".")[2] if scheduler else "none",
    }
