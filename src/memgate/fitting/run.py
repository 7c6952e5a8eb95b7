"""`memgate fit`, `validate` and `test`: one configuration, a tracked run, a registered model."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType

import yaml
from lightning.pytorch.callbacks import ModelCheckpoint

from memgate.data.items.schema import SPLITS
from memgate.errors import InputError
from memgate.fitting.baseline_fits import fit_baselines
from memgate.fitting.checkpoints import LastCheckpoint, best_checkpoint
from memgate.fitting.configuration import AgreementCLI
from memgate.fitting.finalize import Fitted, accuracy_of, finalize, show
from memgate.fitting.gate_series import GateSeries
from memgate.fitting.progress import FitProgress
from memgate.reporting.accuracy import print_accuracy
from memgate.reporting.console import console
from memgate.tracking.runs import RunLogger, is_finished
from memgate.tracking.store import storing


def fit(args: Sequence[str]) -> None:
    """Run ``memgate fit``: train, test the best epoch, track, register, print the accuracy.

    Args:
        args: Arguments of the command line, such as ``-c configs/cell/gru.yaml``.
    """
    with FitProgress(1, console()) as progress:
        fitted = run_fit(args, progress)
    show(fitted)


def run_fit(
    args: Sequence[str], progress: FitProgress, labels: Mapping[str, str] = MappingProxyType({})
) -> Fitted:
    """Train, test the best epoch, track and register.

    Args:
        args: As for `fit`.
        progress: Is told where the fit is.
        labels: As for `AgreementCLI`.

    Raises:
        InputError: The configuration, the data, the checkpoint or the store can't be used.
    """
    best, last = best_checkpoint(), LastCheckpoint()
    cli = AgreementCLI(args, [progress, GateSeries(), best, last], labels)
    progress.begin(cli.run_name)
    cli.prepare()
    start = cli.checkpoint
    if start is not None and start.run_id is not None and is_finished(start.run_id):
        start.require_epochs_left(cli.trainer)
    logger = cli.trainer.logger
    run = logger if isinstance(logger, RunLogger) else None
    with _advised(args, last), run or nullcontext():
        if run is not None:
            with storing():
                log_setting(cli, run, training_settings(cli))
        _fit_and_test(cli, best)
        progress.say("fitting the baselines")
        baselines = fit_baselines(cli, cli.trainer.current_epoch)
        score = float(best.best_model_score or 0.0)
        fitted = finalize(cli, run, baselines, score, progress.say)
    progress.end()
    return fitted


def _fit_and_test(cli: AgreementCLI, best: ModelCheckpoint) -> None:
    path = None if cli.checkpoint is None else cli.checkpoint.path
    cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=path, weights_only=True)
    if not best.best_model_path:
        raise InputError(
            "no epoch was validated, so there is nothing to test and to register; "
            "train for at least one whole epoch"
        )
    cli.trainer.test(
        cli.model, cli.datamodule, best.best_model_path, verbose=False, weights_only=True
    )


@contextmanager
def _advised(args: Sequence[str], last: LastCheckpoint) -> Iterator[None]:
    """Say how to go on, if the fit is stopped and has something to go on from."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if last.dirpath is not None and (Path(last.dirpath) / "last.ckpt").is_file():
            command = shlex.join(["memgate", "fit", *args, "--ckpt_path", "last"])
            print(f"stopped; this goes on with the run: {command}", file=sys.stderr)
        raise


def validate(args: Sequence[str]) -> None:
    """Run ``memgate validate``: score a checkpoint on the validation split."""
    _score(args, "val")


def test(args: Sequence[str]) -> None:
    """Run ``memgate test``: score a checkpoint on the test split."""
    _score(args, "test")


def _score(args: Sequence[str], stage: str) -> None:
    cli = AgreementCLI([*args, "--track=false"])
    checkpoint = cli.require_checkpoint()
    cli.prepare()
    # The callbacks it was saved with are those of a fit.
    warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`, callbacks")
    run = cli.trainer.validate if stage == "val" else cli.trainer.test
    run(cli.model, cli.datamodule, checkpoint.path, verbose=False, weights_only=True)
    baselines = fit_baselines(cli, checkpoint.epochs_of_fit())
    table, left_out = accuracy_of(cli, stage, baselines)
    print_accuracy(table)
    for line in left_out:
        print(line)


def log_setting(cli: AgreementCLI, run: RunLogger, how: Mapping[str, object]) -> None:
    """Log what the run was asked to do: configuration, main settings, data with digests.

    Args:
        cli: Its data are prepared.
        run: Where to.
        how: Settings of how the weights come about, by name.
    """
    config = yaml.safe_load(cli.parser.dump(cli.config))
    run.log_dict(config, "config.yaml")
    data = cli.datamodule
    about = {"data": data.name, "task": data.task.name, "vocab_size": len(data.vocabulary)}
    run.log_hyperparams({**cli.model.architecture, **about, **how})
    source = yaml.safe_dump(config["data"]["source"], sort_keys=False)
    for split in SPLITS:
        run.log_dataset(data.splits[split], data.name, split, source)


def training_settings(cli: AgreementCLI) -> dict[str, object]:
    """Return how a fit trains, by name, for the run's params."""
    optimizer = cli.model.configure_optimizers()
    return {
        "seed": cli.datamodule.seed,
        "batch_size": cli.datamodule.batch_size,
        "max_epochs": cli.trainer.max_epochs,
        "precision": cli.trainer.precision,
        "gradient_clip_val": cli.model.gradient_clip_val,
        "optimizer": type(optimizer).__name__,
        "learning_rate": optimizer.defaults["lr"],
    }
