"""`memgate fit`, `validate` and `test`: one configuration, a tracked run, a registered model."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint

from memgate import plots
from memgate.baselines import Baselines
from memgate.commands.baselines import fit_baselines
from memgate.commands.checkpoints import LastCheckpoint, best_checkpoint
from memgate.commands.lightning_cli import AgreementCLI
from memgate.commands.progress import FitProgress
from memgate.commands.report import console, markdown, notes, print_accuracy, say_left_out
from memgate.data.datamodule import AgreementData
from memgate.data.example import SPLITS
from memgate.errors import InputError
from memgate.evaluation import baseline_accuracy
from memgate.gates.reading import gate_tables
from memgate.gates.tables import GateTables
from memgate.metrics.accuracy import accuracy_table, left_out
from memgate.metrics.agreement import counts_frame
from memgate.metrics.baselines import NETWORK, best_baseline
from memgate.tracking.registry import register
from memgate.tracking.runs import RunLogger
from memgate.tracking.store import is_finished, storing

STAGES = {"val": "validation", "test": "test"}
"""The split of each stage of Lightning's."""


@dataclass(frozen=True)
class Fitted:
    """What came of a fit.

    Attributes:
        table: Test accuracy of the model and its baselines: model, data, system, by, stratum, n,
            correct, accuracy, low, high.
        left_out: What the table's breakdowns leave out, in lines.
        model: Name and version in the registry, or None where the fit wasn't tracked.
    """

    table: pd.DataFrame
    left_out: list[str]
    model: str | None


def fit(args: Sequence[str]) -> None:
    """Run ``memgate fit``: train, test the best epoch, track, register, print the accuracy.

    Args:
        args: Arguments of the command line, such as ``-c configs/cell/gru.yaml``.
    """
    with FitProgress(1, console()) as progress:
        fitted = run_fit(args, progress)
    show(fitted)


def show(fitted: Fitted) -> None:
    """Print the accuracy, what its tables leave out, and what was registered."""
    print_accuracy(fitted.table)
    for line in fitted.left_out:
        print(line)
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
    best, last = best_checkpoint(), LastCheckpoint()
    cli = AgreementCLI(args, [progress, best, last])
    progress.begin(cli.run_name)
    cli.prepare()
    start = cli.checkpoint
    if start is not None and start.run_id is not None and is_finished(start.run_id):
        start.require_epochs_left(cli.trainer.max_epochs)
    logger = cli.trainer.logger
    run = logger if isinstance(logger, RunLogger) else None
    with _advised(args, last), run or nullcontext():
        if run is not None:
            with storing():
                log_setting(cli, run, _training(cli))
        _fit_and_test(cli, best)
        progress.say("fitting the baselines")
        baselines = fit_baselines(cli, cli.trainer.current_epoch)
        fitted = conclude(cli, run, baselines, float(best.best_model_score or 0.0))
    progress.end()
    return fitted


def conclude(
    cli: AgreementCLI, run: RunLogger | None, baselines: Baselines, val_accuracy: float
) -> Fitted:
    """Tabulate what was tested, read the gates and, in a tracked run, store and register.

    Args:
        cli: Its network was tested.
        run: The run, or None where nothing is tracked.
        baselines: Those of the training split.
        val_accuracy: In [0, 1]; what the champion is chosen by.

    Raises:
        InputError: Nothing was tested, or the store can't be used.
    """
    table, left_out = _accuracy(cli, "test", baselines)
    fitted = Fitted(table, left_out, None)
    gates = _gates(cli)
    if run is not None and cli.trainer.is_global_zero:
        fitted = _store(cli, run, fitted, baselines, gates, val_accuracy)
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
    table, left_out = _accuracy(cli, stage, baselines)
    print_accuracy(table)
    for line in left_out:
        print(line)


def _accuracy(
    cli: AgreementCLI, stage: str, baselines: Baselines
) -> tuple[pd.DataFrame, list[str]]:
    """Tabulate a stage's counts and the baselines', and say what the table leaves out."""
    if stage not in cli.model.results:
        raise InputError(f"no item of the {stage} split was scored; is its limit of batches 0?")
    counts = counts_frame(cli.model.results[stage])
    data = f"{cli.datamodule.name} ({stage})"
    split = STAGES[stage]
    network = accuracy_table(counts)
    network.insert(0, "system", NETWORK)
    items = cli.datamodule.table(split)
    table = pd.concat([network, baseline_accuracy(baselines, items)], ignore_index=True)
    table.insert(0, "model", cli.run_name)
    table.insert(1, "data", data)
    n = int(counts["n"].sum())
    lines = [*_not_posed(cli.datamodule, split, data), *say_left_out(data, left_out(counts), n)]
    if n < len(items):
        lines.append(f"{data}: the network was asked {n} of {len(items)} items, the baselines all")
    return table, [*lines, *notes(cli.datamodule.task)]


def _not_posed(data: AgreementData, split: str, shown: str) -> list[str]:
    count, n = data.left_out[split], data.left_out[split] + len(data.splits[split])
    task = data.task
    return [f"{shown}: {count} of {n} items left out, without {task.needs}"][: count > 0]


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


def _training(cli: AgreementCLI) -> dict[str, object]:
    optimizer = cli.model.configure_optimizers()
    return {
        "seed": cli.datamodule.seed,
        "batch_size": cli.datamodule.batch_size,
        "max_epochs": cli.trainer.max_epochs,
        "precision": cli.trainer.precision,
        "gradient_clip_val": cli.trainer.gradient_clip_val,
        "optimizer": type(optimizer).__name__,
        "learning_rate": optimizer.defaults["lr"],
    }


def _gates(cli: AgreementCLI) -> GateTables:
    """Read the gates over the test split; every process reads its share, and all get the sums."""
    device = cli.trainer.strategy.root_device
    # Apple's GPUs can't add up in double precision.
    classifier = cli.model.classifier.to("cpu" if device.type == "mps" else device)
    return gate_tables(classifier, cli.datamodule.test_dataloader())


def _store(
    cli: AgreementCLI,
    run: RunLogger,
    fitted: Fitted,
    baselines: Baselines,
    gates: GateTables,
    val_accuracy: float,
) -> Fitted:
    """Log tables and figures and register the model; if that fails, the result is printed."""
    name = f"memgate-{cli.subject}"
    table, description = fitted.table, markdown(fitted.table, fitted.left_out)
    scores = {"val_accuracy": val_accuracy, **_test_scores(table)}
    predictor = cli.predictor()
    try:
        with storing():
            run.log_table(table, "tables/accuracy.csv")
            run.log_figure(plots.accuracy_figure(table), "figures/accuracy.png")
            run.log_table(gates.statistics, "tables/gate_statistics.parquet")
            run.log_table(gates.effects, "tables/effects.parquet")
            run.log_table(gates.profile, "tables/profile.parquet")
            every = gates.statistics[gates.statistics["role"] == "all"]
            run.log_figure(plots.gate_figure(every), "figures/gates.png")
            run.log_figure(plots.profile_figure(gates.profile), "figures/profile.png")
            run.describe(description)
            version = register(
                str(run.version), predictor, name, scores, cli.tags, description, baselines
            )
    except InputError:
        print_accuracy(table)
        raise
    return replace(fitted, model=f"{name} version {version}")


def _test_scores(table: pd.DataFrame) -> dict[str, float]:
    """Return the test accuracy, and that of the best baseline."""
    overall = table[table["by"] == "overall"].set_index("system")["accuracy"]
    scores = {"test_accuracy": float(overall[NETWORK])}
    best = best_baseline(table)
    return scores if best is None else {**scores, "test_accuracy_best_baseline": best.accuracy}
