"""`memgate fit`, `validate` and `test`: one configuration, a tracked run, a registered model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import pandas as pd
import yaml

from memgate import plots
from memgate.commands.checkpoints import LastCheckpoint, best_checkpoint
from memgate.commands.lightning_cli import AgreementCLI
from memgate.commands.progress import FitProgress
from memgate.commands.report import console, markdown, print_accuracy
from memgate.data.example import SPLITS
from memgate.errors import InputError
from memgate.gates.statistics import gate_statistics
from memgate.metrics.accuracy import accuracy_table
from memgate.metrics.agreement import counts_frame
from memgate.predictor import Predictor
from memgate.tracking.registry import register
from memgate.tracking.runs import RunLogger


@dataclass(frozen=True)
class Fitted:
    """What came of a fit.

    Attributes:
        table: Test accuracy: model, data, by, stratum, n, correct, accuracy, low, high.
        model: Name and version in the registry, or None where the fit wasn't tracked.
    """

    table: pd.DataFrame
    model: str | None


def fit(args: Sequence[str]) -> None:
    """Run ``memgate fit``: train, test the best epoch, track, register, print the accuracy.

    Args:
        args: Arguments of the command line, such as ``-c configs/cell/gru.yaml``.
    """
    with FitProgress(1, console()) as progress:
        fitted = run_fit(args, progress)
    print_accuracy(fitted.table)
    if fitted.model:
        print(f"registered {fitted.model}; `make ui` shows the run")


def run_fit(args: Sequence[str], progress: FitProgress) -> Fitted:
    """Train, test the best epoch, track and register.

    Args:
        args: As for `fit`.
        progress: Is told where the fit is.

    Raises:
        InputError: The configuration, the data, the checkpoint or the store can't be used.
    """
    best = best_checkpoint()
    cli = AgreementCLI(args, [progress, best, LastCheckpoint()])
    progress.begin(cli.run_name)
    cli.prepare()
    logger = cli.trainer.logger
    run = logger if isinstance(logger, RunLogger) else None
    with run or nullcontext():
        if run is not None:
            _log_setting(cli, run)
        cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=cli.checkpoint, weights_only=True)
        accuracy = float(best.best_model_score or 0.0)
        if not best.best_model_path:
            raise InputError(
                "no epoch was validated, so there is nothing to test and to register; "
                "train for at least one whole epoch"
            )
        cli.trainer.test(
            cli.model, cli.datamodule, best.best_model_path, verbose=False, weights_only=True
        )
        table = _accuracy(cli)
        gates = _gates(cli)
        model = None
        if run is not None and cli.trainer.is_global_zero:
            _log_results(run, table, gates)
            model = _register(cli, run, table, accuracy)
    progress.end()
    return Fitted(table, model)


def validate(args: Sequence[str]) -> None:
    """Run ``memgate validate``: score a checkpoint on the validation split."""
    _score(args, "validate")


def test(args: Sequence[str]) -> None:
    """Run ``memgate test``: score a checkpoint on the test split."""
    _score(args, "test")


def _score(args: Sequence[str], stage: str) -> None:
    cli = AgreementCLI([*args, "--track=false"])
    checkpoint = cli.require_checkpoint()
    # The callbacks it was saved with are those of a fit.
    warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`, callbacks")
    run = cli.trainer.validate if stage == "validate" else cli.trainer.test
    run(cli.model, cli.datamodule, checkpoint, verbose=False, weights_only=True)
    print_accuracy(_accuracy(cli))


def _accuracy(cli: AgreementCLI) -> pd.DataFrame:
    """Tabulate the last stage's counts."""
    stage = "test" if "test" in cli.model.results else "val"
    table = accuracy_table(counts_frame(cli.model.results[stage]))
    table.insert(0, "model", cli.run_name)
    table.insert(1, "data", f"{cli.datamodule.name} ({stage})")
    return table


def _log_setting(cli: AgreementCLI, run: RunLogger) -> None:
    """Log what the run was asked to do: configuration, main settings, data with digests."""
    config = yaml.safe_load(cli.parser.dump(cli.config))
    run.log_dict(config, "config.yaml")
    run.log_hyperparams(
        {
            **cli.model.architecture,
            "data": cli.datamodule.name,
            "seed": cli.datamodule.seed,
            "batch_size": cli.datamodule.batch_size,
            "vocab_size": len(cli.datamodule.vocabulary),
            "max_epochs": cli.trainer.max_epochs,
            "precision": cli.trainer.precision,
        }
    )
    source = yaml.safe_dump(config["data"]["source"], sort_keys=False)
    for split in SPLITS:
        run.log_dataset(cli.datamodule.splits[split], cli.datamodule.name, split, source)


def _gates(cli: AgreementCLI) -> pd.DataFrame:
    """Read the gates over the test split; every process reads its share, and all get the sums."""
    classifier = cli.model.classifier.to(cli.trainer.strategy.root_device)
    batches = cli.datamodule.test_dataloader()
    return gate_statistics(classifier, (batch.inputs for batch in batches))


def _log_results(run: RunLogger, table: pd.DataFrame, gates: pd.DataFrame) -> None:
    """Log the tables and figures of the test split."""
    run.log_table(table, "tables/accuracy.csv")
    run.log_figure(plots.accuracy_figure(table), "figures/accuracy.png")
    run.log_table(gates, "tables/gate_statistics.parquet")
    run.log_figure(plots.gate_figure(gates), "figures/gates.png")
    run.describe(markdown(table))


def _register(cli: AgreementCLI, run: RunLogger, table: pd.DataFrame, accuracy: float) -> str:
    name = f"memgate-{cli.model.architecture['cell']}-{cli.datamodule.name}"
    (test_accuracy,) = table.loc[table["by"] == "overall", "accuracy"]
    version = register(
        str(run.version),
        Predictor(cli.model.classifier.cpu().eval(), cli.datamodule.vocabulary),
        name,
        {"val_accuracy": accuracy, "test_accuracy": test_accuracy},
        cli.tags,
        markdown(table),
    )
    return f"{name} version {version}"
