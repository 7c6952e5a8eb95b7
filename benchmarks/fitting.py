"""Rows: `memgate fit` as users run it against three rivals, in turns by epochs.

The rivals are the same module under a bare Trainer, a loop without Lightning, and the usual recipe.
"""

from __future__ import annotations

import contextlib
import copy
import io
import statistics
from collections.abc import Iterator
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from rich.console import Console
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils import clip_grad_norm_

from benchmarks.gates import operations
from benchmarks.recipe import PackedModule, Recipe, items_of
from benchmarks.setting import ROOT, Setting
from benchmarks.table import Row, at_least
from benchmarks.timing import now, ratio
from memgate.data.batches import ExactLengthBatches
from memgate.fitting.checkpoints import LastCheckpoint, best_checkpoint
from memgate.fitting.configuration import Fit, configure
from memgate.fitting.gate_series import GateSeries
from memgate.fitting.module import AgreementModule
from memgate.fitting.progress import FitProgress
from memgate.models.classifier import CellName, Classifier
from memgate.tracking.runs import RunLogger

BATCH = 128

ADAM = 28
"""Bytes that Adam reads (weight, gradient, two moments) and writes (all but the gradient)."""


class Network(NamedTuple):
    """A network that is trained, and how fast it must be.

    Args:
        cell: Its kind.
        units: Of its one layer, and as wide the embedding.
        share: One in so many items that the recipe trains on in an epoch, for it takes long; it
            loses nothing by that, see `Recipe`.
        loop: How much of the speed of a loop without Lightning must be reached.
        recipe: How many times the speed of the recipe must be reached.
    """

    cell: CellName
    units: int
    share: int
    loop: float
    recipe: float


NETWORKS = (
    Network("lstm", 50, 4, 0.78, 3),
    Network("lstm", 128, 8, 0.85, 3),
    Network("gru", 100, 8, 0.85, 2.5),
    Network("rnn", 50, 4, 0.75, 2.5),
)


def rows(setting: Setting) -> Iterator[Row]:
    """Yield three rows a network: against a bare Trainer, a bare loop and the usual recipe."""
    for network in NETWORKS[:1] if setting.quick else NETWORKS:
        yield from _compared(setting, network)


class Rivals(pl.Callback):
    """Runs the rivals before each epoch of a fit, and times all four.

    Everything that Lightning and memgate do from one epoch's start to the next one's, or to the
    end, counts as the fit's: steps, validation, checkpoints, gate series, logging.

    Args:
        setting: Device and folder.
        share: One in so many items that the recipe trains on.

    Attributes:
        ours: Seconds of the fit's epochs.
        trainer_times: Those of the bare Trainer's.
        bare_times: Those of the bare loop's.
        recipe_times: Those of the recipe's; of whole epochs, from what its share took.
        apart: The largest difference, after the last epoch, between a weight of the fit and the
            same of the bare loop.
    """

    def __init__(self, setting: Setting, share: int) -> None:
        self.ours: list[float] = []
        self.trainer_times: list[float] = []
        self.bare_times: list[float] = []
        self.recipe_times: list[float] = []
        self.apart = float("nan")
        self._setting = setting
        self._share = share
        self._start = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the rivals, with the same weights; each runs a little before it counts."""
        if not isinstance(pl_module, AgreementModule):
            raise TypeError(f"expected an AgreementModule, got {type(pl_module)}")
        data, net = pl_module.data, pl_module.classifier
        train, validation = data.batches("train"), data.batches("validation")
        with torch.enable_grad():
            BareLoop(net, validation, validation, trainer.gradient_clip_val).epoch()
        self._bare = BareLoop(net, train, validation, trainer.gradient_clip_val)
        self._trainer = BareTrainer(pl_module, trainer.gradient_clip_val, self._setting.device)
        self._trainer.epoch()
        uri = f"sqlite:///{self._setting.folder / 'recipe.db'}"
        self._recipe = Recipe(
            PackedModule(net),
            items_of(data.prefixes["train"], self._share),
            items_of(data.prefixes["validation"], self._share),
            uri,
            BATCH,
            trainer.gradient_clip_val,
            self._setting.device,
        )
        self._recipe.epoch()
        self._factor = len(data.prefixes["train"]) / self._recipe.items

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let the rivals run; the clock of the next epoch starts."""
        self._stop()
        with torch.enable_grad():
            # The recipe comes first, for what follows it starts with cold caches. A fit of the GRU
            # right after it had 0.92 of the speed of the bare Trainer, else 0.97.
            self.recipe_times.append(self._recipe.epoch() * self._factor)
            self.bare_times.append(self._bare.epoch())
            self.trainer_times.append(self._trainer.epoch())
        self._start = now(self._setting.device)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock of the last epoch, and compare the weights."""
        self._stop()
        both = zip(pl_module.named_parameters(), self._bare.classifier.parameters(), strict=True)
        self.apart = max(float((own - other).detach().abs().max()) for (_, own), other in both)

    def _stop(self) -> None:
        if self._start:
            self.ours.append(now(self._setting.device) - self._start)


class TimedModule(AgreementModule):
    """Keeps the seconds of an epoch with its validation; a callback would cost time itself."""

    seconds = 0.0
    _start = 0.0

    def on_train_epoch_start(self) -> None:
        """Start the clock."""
        self._start = now(self.device)
        super().on_train_epoch_start()

    def on_train_epoch_end(self) -> None:
        """Stop the clock."""
        super().on_train_epoch_end()
        self.seconds = now(self.device) - self._start


class BareTrainer:
    """The same module and data under a Trainer without logger, callbacks and bar.

    Args:
        module: Its network is copied.
        clip: Largest norm of the gradients of a step; None for any.
        device: Where.
    """

    def __init__(self, module: AgreementModule, clip: float | None, device: torch.device) -> None:
        self._module = TimedModule(module.optimizer, **module.architecture)
        self._module.build(len(module.data.vocabulary))
        self._module.load_state_dict(module.state_dict())
        self._data = copy.copy(module.data)
        self._settings: dict[str, Any] = {
            "gradient_clip_val": clip,
            "accelerator": "gpu" if device.type == "cuda" else "cpu",
        }

    def epoch(self) -> float:
        """Train one epoch and score it; return its seconds, without the Trainer's set-up."""
        trainer = pl.Trainer(
            max_epochs=1,
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
            **self._settings,
        )
        trainer.fit(self._module, self._data)
        return self._module.seconds


class BareLoop:
    """The same batches in the same order through the same network, and nothing else.

    Args:
        classifier: Copied.
        train: Another loader of the same items.
        validation: Scored after each epoch, as by the others.
        clip: Largest norm of the gradients of a step; None for any.
    """

    def __init__(
        self,
        classifier: Classifier,
        train: ExactLengthBatches,
        validation: ExactLengthBatches,
        clip: float | None,
    ) -> None:
        self.classifier = copy.deepcopy(classifier)
        self._optimizer = AgreementModule().optimizer(self.classifier.parameters())
        self._train = train
        self._validation = validation
        self._clip = clip
        self._device = classifier.embedding.weight.device

    def epoch(self) -> float:
        """Train one epoch and score it; return its seconds."""
        start = now(self._device)
        self.classifier.train()
        for batch in self._train:
            self._optimizer.zero_grad()
            loss = binary_cross_entropy_with_logits(
                self.classifier(batch.inputs), batch.targets.float()
            )
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            if self._clip is not None:
                clip_grad_norm_(self.classifier.parameters(), self._clip)
            self._optimizer.step()
        self._train.set_epoch(self._train.epoch + 1)
        self.classifier.eval()
        right = torch.zeros((), dtype=torch.int64, device=self._device)
        with torch.inference_mode():
            for batch in self._validation:
                right += ((self.classifier(batch.inputs) > 0) == (batch.targets == 1)).sum()
        right.item()
        return now(self._device) - start


def _compared(setting: Setting, network: Network) -> Iterator[Row]:
    source = setting.source()
    timed = Rivals(setting, network.share)
    fit = _fit(setting, network, source.options(), timed)
    items = len(fit.data.prefixes["train"])
    whole = sum(timed.bare_times) / sum(timed.ours)
    first = timed.bare_times[0] / timed.ours[0]
    what = f"memgate fit, {network.cell.upper()} {network.units}–{network.units}, batch {BATCH}"
    own = items / statistics.median(timed.ours)
    floor = items / _floor(setting, network, fit)
    key = f"fit-{network.cell}-{network.units}"
    yield Row(
        f"{key}/trainer",
        what,
        "the same module under a bare Trainer",
        "items/s",
        own,
        items / statistics.median(timed.trainer_times),
        ratio(timed.trainer_times, timed.ours),
        at_least(setting.device, 0.95),
        floor,
    )
    yield Row(
        f"{key}/bare",
        what,
        "a bare loop over the same batches",
        "items/s",
        own,
        items / statistics.median(timed.bare_times),
        ratio(timed.bare_times, timed.ours),
        at_least(setting.device, network.loop),
        floor,
        f"{source.name}, {items:,} items; all {len(timed.ours)} epochs together {whole:.2f}, the "
        f"first {first:.2f}; after them the weights of both differ by {timed.apart:.1g} at most",
    )
    yield Row(
        f"{key}/recipe",
        what,
        "Lightning, DataLoader, pad, pack, MLFlowLogger",
        "items/s",
        own,
        items / statistics.median(timed.recipe_times),
        ratio(timed.recipe_times, timed.ours),
        at_least(setting.device, network.recipe),
        floor,
        f"the recipe trains on every {network.share}th item of each epoch, with Adam as it comes",
    )


def _fit(setting: Setting, network: Network, source: list[str], timed: Rivals) -> Fit:
    """Run the epochs of `memgate fit`, in a folder of its own."""
    sink = Console(file=io.StringIO(), force_terminal=True, width=100)
    epochs = setting.sizes.repeats
    args = [
        f"--config={ROOT / 'configs/trainer/default.yaml'}",
        f"--trainer.accelerator={'gpu' if setting.device.type == 'cuda' else 'cpu'}",
        f"--trainer.max_epochs={epochs}",
        f"--trainer.min_epochs={epochs}",
        f"--threads={torch.get_num_threads()}",
        f"--model.cell={network.cell}",
        f"--model.hidden_size={network.units}",
        f"--model.embedding_size={network.units}",
        f"--data.name={network.cell}{network.units}",
        f"--data.batch_size={BATCH}",
        *source,
    ]
    with contextlib.chdir(setting.folder), FitProgress(1, sink) as progress:
        best = best_checkpoint()
        callbacks = [progress, GateSeries(), best, LastCheckpoint(best), timed]
        fit = configure(args, callbacks)
        progress.begin(fit.name)
        fit.prepare()
        logger = fit.trainer.logger
        with logger if isinstance(logger, RunLogger) else contextlib.nullcontext():
            fit.trainer.fit(fit.module, fit.data, weights_only=True)
    return fit


def _floor(setting: Setting, network: Network, fit: Fit) -> float:
    """Return the seconds of an epoch's products, three for one of the forward pass, and Adam's."""
    prefixes = fit.data.prefixes["train"]
    words = int(prefixes.lengths.sum())
    weights = sum(weight.numel() for weight in fit.module.classifier.parameters())
    steps = len(ExactLengthBatches(prefixes, BATCH))
    forward = words * operations(network.cell, network.units, network.units)
    return setting.machine.floor(3 * forward, moved=steps * weights * ADAM)
