"""The LightningCLI: a configuration in, a module, its data and a Trainer out."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import MappingProxyType
from typing import Any

import datasets
import jsonargparse
import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.profilers import PassThroughProfiler

from memgate.data.datamodule import AgreementData
from memgate.data.items.tasks import NUMBER
from memgate.errors import InputError
from memgate.fitting import checkpoints
from memgate.fitting.checkpoints import Checkpoint
from memgate.fitting.module import AgreementModule
from memgate.predictor import Predictor
from memgate.tracking.runs import RunLogger

EXPERIMENT = "memgate"


class Unprofiled(PassThroughProfiler):
    """No profiler, as Lightning's default; but one context for all, not a new one 26 times a step.

    That takes 1% of a step of a small RNN.
    """

    _nothing = nullcontext("")

    def profile(  # type: ignore[override]  # a context is what a generator becomes
        self,
        action_name: str,  # noqa: ARG002  # Lightning's signature
    ) -> AbstractContextManager[str]:
        """Return a context that does nothing."""
        return self._nothing


class AgreementCLI(LightningCLI):
    """Makes module, data and Trainer from a configuration; runs nothing by itself.

    Args:
        args: Arguments of the command line.
        callbacks: More callbacks of the Trainer.
        labels: More tags of the run and the version; its ``study_run`` is the run's name.

    Attributes:
        checkpoint: What to go on from or to score, or None.

    Raises:
        InputError: An argument is wrong, or the accelerator or the checkpoint is missing.
    """

    model: AgreementModule
    datamodule: AgreementData
    checkpoint: Checkpoint | None

    def __init__(
        self,
        args: Sequence[str],
        callbacks: Sequence[pl.Callback] = (),
        labels: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.labels = labels
        _quiet()
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
                parser_kwargs={"exit_on_error": False},
            )
        except InputError:
            raise
        except (
            jsonargparse.ArgumentError,
            MisconfigurationException,
            ValueError,
            ImportError,  # an accelerator whose package isn't installed
        ) as error:
            raise InputError(_one_line(error)) from error

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what belongs to the run as a whole."""
        parser.add_argument(
            "--ckpt_path",
            type=str | None,
            default=None,
            help="checkpoint to go on from or to score: a path, or `last` or `best` of the newest "
            "run of the same cell, data, task and seed",
        )
        # Small cells lose with two threads on busy cores: 7 s became 35 to 144 s (TRAPS, "Speed").
        parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
        parser.add_argument("--track", type=bool, default=True, help="log and register the run")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the given arguments; unlike Lightning's, without a word about ``sys.argv``."""
        self.config = parser.parse_args(args)  # type: ignore[arg-type]  # a list, see __init__
        seed = self.config.seed_everything
        if isinstance(seed, bool):  # Lightning would draw one, and the run record another
            raise InputError(f"--seed_everything: expected a number, got {seed}")

    @property
    def tags(self) -> dict[str, str]:
        """What tells this run from others: cell, data, task and seed, and its labels."""
        data = self.config.data
        named = {"data": data.name, "task": data.task, "seed": str(data.seed)}
        return {"cell": self.config.model.cell, **named, **self.labels}

    @property
    def subject(self) -> str:
        """What is trained on what, such as ``gru-synthetic`` or ``gru-synthetic-inflection``."""
        tags = self.tags
        task = "" if tags["task"] == NUMBER.name else f"-{tags['task']}"
        return f"{tags['cell']}-{tags['data']}{task}"

    @property
    def run_name(self) -> str:
        """Name of the run, such as ``gru-synthetic-seed0``."""
        return self.labels.get("study_run") or f"{self.subject}-seed{self.tags['seed']}"

    def before_instantiate_classes(self) -> None:
        """Set the threads, and find the checkpoint."""
        if self.config.threads < 1:
            raise InputError(f"--threads: expected at least 1, got {self.config.threads}")
        if self.config.trainer.logger is not None:
            raise InputError("--trainer.logger: memgate has its own; --track=false does without")
        trainer = self.config.trainer
        if trainer.gradient_clip_val is not None:
            raise InputError(
                "--trainer.gradient_clip_val: expected --model.gradient_clip_val in its place"
            )
        if trainer.accumulate_grad_batches != 1:
            raise InputError(
                "--trainer.accumulate_grad_batches: expected a larger --data.batch_size in its "
                f"place, got {trainer.accumulate_grad_batches}"
            )
        torch.set_num_threads(self.config.threads)
        self.checkpoint = checkpoints.find(self.config.ckpt_path, self.run_name)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Make the Trainer with memgate's logger; it goes on with the checkpoint's run."""
        logger: RunLogger | bool = False
        if self.config.track:
            run_id = None if self.checkpoint is None else self.checkpoint.run_id
            folder = str(checkpoints.FOLDER)
            logger = RunLogger(EXPERIMENT, self.run_name, run_id, self.tags, folder)
        if self.config.trainer.profiler is None:
            kwargs["profiler"] = Unprofiled()
        return super().instantiate_trainer(logger=logger, **kwargs)

    def prepare(self) -> None:
        """Load the data and make the network: what is wrong shows before a run begins.

        Raises:
            InputError: The data, the architecture, the optimiser or the devices are impossible.
        """
        on_cpu = self.trainer.strategy.root_device.type == "cpu"
        if on_cpu and self.trainer.num_devices > (os.cpu_count() or 1):
            raise InputError(
                f"--trainer.devices: expected at most {os.cpu_count()}, the CPU's cores, "
                f"got {self.trainer.num_devices}"
            )
        self.datamodule.setup()
        self.model.build(len(self.datamodule.vocabulary))
        try:
            self.model.configure_optimizers()
        except ValueError as error:
            raise InputError(f"--model.optimizer: {_one_line(error)}") from error
        if self.checkpoint is not None:
            self.model.check(self.checkpoint.state, self.datamodule.vocabulary.digest())

    def predictor(self) -> Predictor:
        """Return the network as it stands, on the CPU, with its vocabulary and task."""
        classifier = self.model.classifier.cpu().eval()
        return Predictor(classifier, self.datamodule.vocabulary, self.datamodule.task)

    def require_checkpoint(self) -> Checkpoint:
        """Return the checkpoint to score.

        Raises:
            InputError: None was named.
        """
        if self.checkpoint is None:
            raise InputError("--ckpt_path: expected a checkpoint (a path, last or best), got none")
        return self.checkpoint


def _quiet() -> None:
    """Leave out what Lightning and datasets say of themselves; warnings stay."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    datasets.disable_progress_bars()
    # Lightning 2.6 uses a name that torch 2.13 gives up; nothing a user can do.
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
    # Everything is logged once an epoch.
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval")
    # A resumed run writes where it wrote before, on purpose.
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
