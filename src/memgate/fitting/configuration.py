"""`configure` reads a command line and returns a `Fit`: a module, its data and a Trainer."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import datasets
import jsonargparse
import lightning.pytorch as pl
import torch
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from memgate.data.datamodule import AgreementData
from memgate.data.items.tasks import NUMBER
from memgate.errors import InputError, usage_error
from memgate.fitting import checkpoints
from memgate.fitting.checkpoints import Checkpoint
from memgate.fitting.config_files import OPTIONS, option_values, read_yaml
from memgate.fitting.module import AgreementModule
from memgate.pool import available_cores
from memgate.predictor import Predictor
from memgate.tracking.runs import RunLogger
from memgate.tracking.store import EXPERIMENT

CONFIGURATIONS = "-c trainer/default.yaml -c cell/lstm.yaml -c data/synthetic.yaml"
"""The options that name a shipped configuration of each kind."""

SUBJECT = ("--data.name", "--data.task", "--model.cell", "--seed_everything")
"""Options whose values are in the name of every run."""

NAMED_SETTINGS = (
    *("model.", "data.batch_size", "data.vocab_size", "data.lowercase", "trainer.precision"),
    *("trainer.gradient_clip", "trainer.accumulate_grad_batches"),
)
"""Settings that are in the name of a run where they differ from its configurations. The number of
epochs is not: a resumed fit may have more.
"""


@dataclass(frozen=True, eq=False)
class Fit:
    """One configured fit: plain values that `configure` makes from a command line.

    Attributes:
        module: The LightningModule.
        data: Its data.
        trainer: With memgate's logger, unless the fit isn't tracked.
        name: Name of the run, such as ``gru-synthetic-seed0``.
        model_name: Name in the registry, such as ``memgate-gru-synthetic``.
        tags: Tags of the run and of the registered version: cell, data, task, seed and labels.
        config: The whole configuration, as the run keeps it in ``config.yaml``.
        checkpoint: Where to resume or what to score, or None.
        analyse_gates: Whether the gates are read when the fit ends.
    """

    module: AgreementModule
    data: AgreementData
    trainer: pl.Trainer
    name: str
    model_name: str
    tags: Mapping[str, str]
    config: Mapping[str, Any]
    checkpoint: Checkpoint | None
    analyse_gates: bool

    @property
    def run(self) -> RunLogger | None:
        """The run in MLflow; None where the fit isn't tracked."""
        logger = self.trainer.logger
        return logger if isinstance(logger, RunLogger) else None

    def prepare(self) -> None:
        """Load the data and build the network, so that wrong input shows before a run begins.

        Raises:
            InputError: The data, the architecture, the optimiser or the devices are impossible.
        """
        on_cpu = self.trainer.strategy.root_device.type == "cpu"
        if on_cpu and self.trainer.num_devices > available_cores():
            raise InputError(
                f"--trainer.devices: expected at most {available_cores()}, the CPU's cores, "
                f"got {self.trainer.num_devices}"
            )
        if self.trainer.max_epochs == 0:
            raise InputError("--trainer.max_epochs: expected at least 1, or -1 for no end, got 0")
        try:
            self.module.check_architecture()
        except InputError as error:
            raise InputError(f"--model.{error}") from error
        self.data.setup()
        self.module.build(len(self.data.vocabulary))
        try:
            self.module.optimizer(self.module.parameters())
        except ValueError as error:
            raise InputError(f"--model.optimizer: {_one_line(error)}") from error
        if self.checkpoint is not None:
            self.module.check(self.checkpoint.state, self.data.vocabulary.digest())

    def predictor(self, device: torch.device | str = "cpu") -> Predictor:
        """Return the network as it stands on a device, with its vocabulary and task."""
        classifier = self.module.classifier.to(device).eval()
        return Predictor(classifier, self.data.vocabulary, self.data.task)


def configure(
    args: Sequence[str],
    callbacks: Sequence[pl.Callback] = (),
    labels: Mapping[str, str] = MappingProxyType({}),
    variant: str = "",
) -> Fit:
    """Read a command line and make what a fit needs; no data are loaded yet.

    Args:
        args: Arguments of the command line.
        callbacks: Callbacks of the Trainer besides those of the configuration.
        labels: More tags of the run and the version; ``study_run`` is the run's name.
        variant: Sets a model apart from trained ones of the same cell and data, such as
            ``oracle``; its name has no seed.

    Raises:
        InputError: An argument is wrong, or the accelerator or the checkpoint is missing.
    """
    _quiet()
    cli = _CommandLine(args, callbacks, labels, variant)
    config = yaml.safe_load(cli.parser.dump(cli.config))
    return Fit(
        module=cli.model,
        data=cli.datamodule,
        trainer=cli.trainer,
        name=cli.run_name,
        model_name=f"memgate-{cli.subject}",
        tags=cli.tags,
        config=config,
        checkpoint=cli.checkpoint,
        analyse_gates=cli.config.analyse_gates,
    )


class _CommandLine(LightningCLI):
    """Makes module, data and Trainer from a command line; `configure` reads them off it."""

    model: AgreementModule
    datamodule: AgreementData
    checkpoint: Checkpoint | None

    def __init__(
        self,
        args: Sequence[str],
        callbacks: Sequence[pl.Callback],
        labels: Mapping[str, str],
        variant: str,
    ) -> None:
        self.labels = labels
        self.variant = variant
        self._options = option_values(args)
        try:
            super().__init__(
                AgreementModule,
                AgreementData,
                save_config_callback=None,  # the run keeps the configuration
                seed_everything_default=0,
                args=list(args),
                run=False,
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
                trainer_defaults={
                    "callbacks": list(callbacks),
                    "enable_progress_bar": False,
                    "enable_model_summary": False,
                    "default_root_dir": "mlruns",  # checkpoints of fits that are not tracked
                },
                parser_kwargs={"exit_on_error": False, "allow_abbrev": False},
            )
        except InputError:
            raise
        except (
            jsonargparse.ArgumentError,
            MisconfigurationException,
            ValueError,
            ImportError,  # an accelerator whose package isn't installed
        ) as error:
            raise InputError(self._problem(usage_error(error, self.parser))) from error

    def _problem(self, problem: str) -> str:
        """Add to a problem with the arguments what helps to mend it."""
        if problem == "expected --data.source":
            return f"{problem}, of a configuration; give one of each kind: {CONFIGURATIONS}"
        unknown = re.match(r"unknown setting ([\w.]+)", problem)
        # A study gives configurations as text, which is no name of a file.
        files = [
            value for option, value in self._options if option in OPTIONS and "\n" not in value
        ]
        paths = [Path(file) for file in files if Path(file).is_file()]
        having = [path for path in paths if unknown and _has(path, unknown[1])]
        return f"{having[-1]}: {problem}" if having else problem

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the arguments that belong to the run as a whole."""
        parser.add_argument(
            "--ckpt_path",
            type=str | None,
            default=None,
            help="checkpoint to resume or to score: a path, or `last` or `best` of the newest "
            "run of the same cell, data, task and seed",
        )
        # On busy cores two threads slow small cells down: one fit took 7 s, with two 35 to 144 s.
        parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
        parser.add_argument("--track", type=bool, default=True, help="log and register the run")
        parser.add_argument(
            "--analyse_gates",
            type=bool,
            default=True,
            help="when a tracked fit ends, read its gates on the test split: tables, figures, "
            "number units, explain.html",
        )
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the arguments; Lightning's own method warns of ``sys.argv``."""
        self.config = parser.parse_args(args)  # type: ignore[arg-type]  # a list, see __init__
        seed = self.config.seed_everything
        if isinstance(seed, bool):  # Lightning would choose one, and the run record another
            raise InputError(f"--seed_everything: expected a number, got {seed}")

    @property
    def tags(self) -> dict[str, str]:
        """Cell, data, task and seed, and the labels."""
        data = self.config.data
        named = {"data": data.name, "task": data.task, "seed": str(data.seed)}
        return {"cell": self.config.model.cell, **named, **self.labels}

    @property
    def subject(self) -> str:
        """What is trained on what, such as ``gru-synthetic`` or ``gru-synthetic-inflection``."""
        tags = self.tags
        task = "" if tags["task"] == NUMBER.name else f"-{tags['task']}"
        variant = f"-{self.variant}" if self.variant else ""
        return f"{tags['cell']}-{tags['data']}{task}{variant}"

    @cached_property
    def run_name(self) -> str:
        """Name of the run, such as ``gru-synthetic-seed0``."""
        if self.variant:
            return self.subject
        if study_run := self.labels.get("study_run"):
            return study_run
        return f"{self.subject}{self._differences()}-seed{self.tags['seed']}"

    def _differences(self) -> str:
        """Return the settings that differ from the configurations, such as ``-hidden_size64``.

        So two settings of one seed are two runs by name, and two folders of checkpoints.
        """
        try:
            base = self.parser.parse_args(
                [
                    f"{option}={value}"
                    for option, value in self._options
                    if option in OPTIONS or option.startswith(("--data.source", *SUBJECT))
                ]
            )
        except jsonargparse.ArgumentError:  # the settings complete the configurations
            return ""
        before = vars(base.as_flat())
        parts = ""
        for name, value in vars(self.config.as_flat()).items():
            setting, is_class = name.removesuffix(".class_path"), name.endswith(".class_path")
            # A class that the configurations don't have is named, but not each of its settings.
            unchanged = before.get(name, None if is_class else value)
            if name.startswith(NAMED_SETTINGS) and value != unchanged:
                shown = value.rpartition(".")[2] if is_class else value
                parts += f"-{setting.rpartition('.')[2]}{shown}"
        return re.sub(r"[^\w.-]", "_", parts)

    def before_instantiate_classes(self) -> None:
        """Set the threads, and find the checkpoint."""
        if self.config.threads < 1:
            raise InputError(f"--threads: expected at least 1, got {self.config.threads}")
        strategy = str(self.config.trainer.strategy)
        if strategy.endswith(("_fork", "_spawn", "_notebook")):
            raise InputError(
                f"--trainer.strategy: expected one whose processes outlive the training, such as "
                f"ddp, for the best epoch is tested; got {strategy}"
            )
        if self.config.trainer.logger is not None:
            raise InputError("--trainer.logger: memgate has its own; --track=false does without")
        torch.set_num_threads(self.config.threads)
        self.checkpoint = checkpoints.find(self.config.ckpt_path, self.run_name)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Make the Trainer with memgate's logger, which resumes the checkpoint's run."""
        logger: RunLogger | bool = False
        if self.config.track:
            run_id = None if self.checkpoint is None else self.checkpoint.run_id
            folder = str(checkpoints.CHECKPOINTS_FOLDER)
            logger = RunLogger(EXPERIMENT, self.run_name, run_id, self.tags, folder)
        try:
            return super().instantiate_trainer(logger=logger, **kwargs)
        except (RuntimeError, TypeError) as error:  # tasks of SLURM, or devices, that are no number
            raise InputError(f"--trainer: {_one_line(error)}") from error


def _has(path: Path, setting: str) -> bool:
    """Return whether a configuration has a setting, such as ``model.cell``."""
    value = read_yaml(path)
    for name in setting.split("."):
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    return True


def _quiet() -> None:
    """Silence Lightning's and datasets' messages about themselves; warnings stay."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    datasets.disable_progress_bars()
    # Lightning 2.6 uses a name that torch 2.13 gives up; nothing a user can do.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
    # The loader of the training items has a fixed order then.
    warnings.filterwarnings("ignore", message="You requested to overfit but enabled")
    # The module reduces its metrics over all processes itself, and says so to Lightning.
    warnings.filterwarnings("ignore", message="It is recommended to use `self.log.*sync_dist=True")
    # Everything is logged once an epoch.
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval")
    # A resumed run writes where it wrote before, on purpose.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
