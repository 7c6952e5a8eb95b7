"""The LightningModule: loss, optimiser, learning-rate scheduler, metrics."""

from __future__ import annotations

from typing import Any, Literal

import lightning.pytorch as pl
import torch
from jaxtyping import Float, Int
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from memgate.data.batches import Batch
from memgate.data.datamodule import AgreementData
from memgate.errors import InputError
from memgate.fitting.steps import fit_steps
from memgate.metrics.agreement import AgreementCounts
from memgate.models.classifier import Classifier


class AgreementModule(pl.LightningModule):
    """Trains a `Classifier` to choose the number of a verb from the words before it.

    Logs ``train/loss``, ``val/loss``, ``val/accuracy`` and ``val/balanced_accuracy`` after every
    epoch, and the last three as ``test/…``. A loss is the mean cross-entropy over items in nats. An
    accuracy is a proportion in [0, 1]; balanced accuracy is the mean of the accuracies on singular
    and on plural. The step of a metric is the number of steps that the optimiser has taken.

    Args:
        optimizer: Makes the optimiser from the parameters. The default is Adam (Kingma & Ba 2015)
            in torch's fused kernel: a step of an LSTM of 100 units with 10,000 words takes 6.7 ms
            on one core, 10.8 ms without it.
        lr_scheduler: Makes the scheduler of the learning rate from the optimiser; None keeps the
            rate constant. OneCycleLR without total_steps gets the number of steps of the whole fit.
        lr_scheduler_interval: Whether the scheduler steps after every epoch or after every step of
            the optimiser. ReduceLROnPlateau reads a metric and always steps after an epoch.
        architecture: The arguments of `Classifier`, except the size of the vocabulary, which the
            data decide.

    Attributes:
        classifier: The network; exists once a Trainer knows the data.
        results: Counts of correct and wrong predictions of the last ``val`` and ``test``, as
            `AgreementCounts.compute` returns them.
    """

    classifier: Classifier

    def __init__(
        self,
        optimizer: OptimizerCallable = lambda parameters: Adam(parameters, lr=0.001, fused=True),
        lr_scheduler: LRSchedulerCallable | None = None,
        lr_scheduler_interval: Literal["epoch", "step"] = "epoch",
        **architecture: Any,
    ) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.lr_scheduler_interval = lr_scheduler_interval
        self.architecture = architecture
        self.counts = AgreementCounts()
        self.results: dict[str, Int[Tensor, "2 6 6 2"]] = {}
        self._losses: dict[str, LossSum] = {}
        self._rng: list[Tensor] | None = None

    @property
    def data(self) -> AgreementData:
        """The data that the Trainer serves."""
        data: AgreementData = self.trainer.datamodule  # type: ignore[attr-defined]
        return data

    @property
    def epochs(self) -> int:
        """Epochs that the fit has trained, with those before it was resumed."""
        progress: Any = self.trainer.fit_loop.epoch_progress.current  # annotated as its base
        return int(progress.processed)

    def configure_model(self) -> None:
        """Make the network, whose vocabulary the data determine."""
        self.build(len(self.data.vocabulary))

    def check_architecture(self) -> None:
        """Make a network without weights, so that a wrong size shows before data are read.

        Raises:
            InputError: The architecture is impossible.
        """
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            Classifier(vocab_size=1, **self.architecture)

    def build(self, vocab_size: int) -> None:
        """Make the network, once.

        Raises:
            InputError: The architecture is impossible.
        """
        if not hasattr(self, "classifier"):
            self.classifier = Classifier(vocab_size=vocab_size, **self.architecture)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make the optimiser and its scheduler."""
        optimizer = self.optimizer(self.parameters())
        by_step = self.lr_scheduler_interval == "step"
        total = fit_steps(self.trainer, self.data) if by_step else self.trainer.max_epochs
        scheduler = self.make_scheduler(optimizer, total)
        if scheduler is None:
            return optimizer
        monitor = getattr(scheduler, "monitor", None)  # of Lightning's ReduceLROnPlateau
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": scheduler,
                "interval": "epoch" if monitor else self.lr_scheduler_interval,
                "monitor": monitor,
            },
        }

    def make_scheduler(
        self, optimizer: Optimizer, total: int | None
    ) -> LRScheduler | ReduceLROnPlateau | None:
        """Make the configured scheduler of an optimiser's learning rate; None if there is none.

        Args:
            optimizer: Its learning rate is scheduled.
            total: Steps of the scheduler in the whole fit; None if the fit has no end.

        Raises:
            ValueError: Its settings are impossible, or it ends before the fit does.
        """
        if self.lr_scheduler is None:
            return None
        # jsonargparse makes a partial, in which lengths that the user omits are None.
        settings: dict[str, Any] = getattr(self.lr_scheduler, "keywords", {})
        no_length = all(settings.get(name, 0) is None for name in ("total_steps", "epochs"))
        scheduler = self.lr_scheduler(optimizer, **({"total_steps": total} if no_length else {}))
        length = getattr(scheduler, "total_steps", None)
        if length is not None and (total is None or length < total):
            end = "no end" if total is None else f"{total}"
            raise ValueError(f"expected total_steps of at least those of the fit, {end}: {length}")
        return scheduler

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients as Lightning does, also with a fused optimiser in mixed precision.

        Lightning refuses that, because a fused optimiser takes gradients that are still scaled.
        Scaled gradients are clipped right at the scaled limit, and bf16-mixed has no scale.
        """
        precision = self.trainer.precision_plugin
        fused = optimizer.defaults.get("fused", False)
        if not (gradient_clip_val and fused and isinstance(precision, MixedPrecision)):
            super().configure_gradient_clipping(
                optimizer, gradient_clip_val, gradient_clip_algorithm
            )
            return
        scale = 1.0 if precision.scaler is None else precision.scaler.get_scale()
        clip = clip_grad_value_ if gradient_clip_algorithm == "value" else clip_grad_norm_
        clip(self.parameters(), gradient_clip_val * scale)

    def forward(self, inputs: Int[Tensor, "batch time"]) -> Float[Tensor, " batch"]:
        """Return the log-odds of plural."""
        logits: Tensor = self.classifier(inputs)
        return logits

    def _loss(self, logits: Float[Tensor, " batch"], batch: Batch) -> Float[Tensor, ""]:
        return binary_cross_entropy_with_logits(logits, batch.targets.to(logits.dtype))

    def training_step(self, batch: Batch) -> Float[Tensor, ""]:
        """Return the mean cross-entropy of a batch in nats."""
        loss = self._loss(self(batch.inputs), batch)
        self._losses["train"].add(loss.detach(), len(batch.targets))
        return loss

    def on_train_epoch_start(self) -> None:
        """Begin to add up the epoch's loss."""
        self._losses["train"] = LossSum(self.device)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean loss, and step ReduceLROnPlateau."""
        self._log({"train/loss": self._mean_loss("train")})
        for config in self.trainer.lr_scheduler_configs:
            metric = self.trainer.callback_metrics.get(str(config.monitor))
            if isinstance(config.scheduler, ReduceLROnPlateau) and metric is not None:
                config.scheduler.step(metric)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a scheduler, but ReduceLROnPlateau at the end of the epoch.

        Lightning would step it after the checkpoint was saved, and not at all at the end of an
        epoch in which a fit was resumed.
        """
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self._begin("val")

    def validation_step(self, batch: Batch) -> None:
        """Count correct and wrong predictions."""
        self._count(batch, "val")

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics."""
        self._log(self._metrics("val"))

    def on_test_epoch_start(self) -> None:
        """Begin to count."""
        self._begin("test")

    def test_step(self, batch: Batch) -> None:
        """Count correct and wrong predictions."""
        self._count(batch, "test")

    def on_test_epoch_end(self) -> None:
        """Log the test metrics and the number of trained epochs."""
        self._log({**self._metrics("test"), "epoch": torch.tensor(float(self.epochs))})

    def _begin(self, stage: str) -> None:
        self._losses[stage] = LossSum(self.device)
        self.counts.reset()

    def _count(self, batch: Batch, stage: str) -> None:
        logits = self(batch.inputs)
        self._losses[stage].add(self._loss(logits, batch), len(logits))
        predicted = (torch.sigmoid(logits) > 0.5).long()  # as where probabilities are shown
        correct = predicted == batch.targets
        self.counts.update(correct, batch.labels, batch.intervening, batch.attractors)

    def _mean_loss(self, stage: str) -> Float[Tensor, ""]:
        state = self.trainer.strategy.reduce(self._losses[stage].state(), reduce_op="sum")
        mean: Tensor = (state[0] / state[1]).float()
        return mean

    def _metrics(self, stage: str) -> dict[str, Float[Tensor, ""]]:
        counts = self.counts.compute()
        self.results[stage] = counts.cpu()
        by_label = counts.sum((1, 2)).cpu().double()
        accuracy = by_label[:, 1].sum() / by_label.sum()
        balanced = torch.nanmean(by_label[:, 1] / by_label.sum(1))  # a label may have no items
        return {
            f"{stage}/loss": self._mean_loss(stage),
            f"{stage}/accuracy": accuracy.float(),
            f"{stage}/balanced_accuracy": balanced.float(),
        }

    def _log(self, metrics: dict[str, Float[Tensor, ""]]) -> None:
        """Log metrics at the number of steps that the optimiser has taken.

        While it fits, Lightning would log them one step earlier, and a logged ``step``, which moves
        them, would be the number in the names of a user's checkpoints. So the loggers get the
        metrics from here, and callbacks by `log`.
        """
        fitting = self.trainer.state.fn == TrainerFn.FITTING
        # All ranks have the same values; without sync_dist Lightning would warn.
        self.log_dict(metrics, logger=False if fitting else None, sync_dist=True)
        if fitting and not self.trainer.sanity_checking:
            values = {name: float(value) for name, value in metrics.items()}
            for logger in self.loggers:
                logger.log_metrics({**values, "epoch": self.current_epoch}, self.global_step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the random state, the loss of the epoch so far and the vocabulary's digest."""
        checkpoint["rng"] = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
        loss = self._losses.get("train")
        checkpoint["train_loss"] = None if loss is None else loss.state()
        checkpoint["vocabulary"] = self.data.vocabulary.digest()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember the random state until training starts, because Lightning uses it before."""
        self.check(checkpoint, self.data.vocabulary.digest())
        self._rng = checkpoint["rng"]
        if checkpoint["train_loss"] is not None:  # an epoch that goes on doesn't start again
            self._losses["train"] = LossSum(self.device, checkpoint["train_loss"])

    def check(self, checkpoint: dict[str, Any], vocabulary: str) -> None:
        """Check that a checkpoint is of this network and these data.

        Raises:
            InputError: It was trained with another vocabulary or architecture.
        """
        if checkpoint["vocabulary"] != vocabulary:
            raise InputError(
                "checkpoint: expected the vocabulary of these training items, got another; use the "
                "data configuration it was trained with (`memgate evaluate` scores on other data)"
            )
        weights = checkpoint["state_dict"]
        for name, weight in self.state_dict().items():
            if name not in weights or weights[name].shape != weight.shape:
                got = list(weights[name].shape) if name in weights else "none"
                raise InputError(
                    f"checkpoint: expected {name} of shape {list(weight.shape)}, got {got}; "
                    "use the model configuration it was trained with"
                )

    def on_train_start(self) -> None:
        """Continue with the random numbers of the checkpoint."""
        if self._rng is not None:
            cpu, *gpus = (state.cpu() for state in self._rng)
            torch.set_rng_state(cpu)
            if len(gpus) == torch.cuda.device_count():  # else the machine is another one
                torch.cuda.set_rng_state_all(gpus)
            self._rng = None


class LossSum:
    """Adds up mean losses of batches, weighted by their items.

    torchmetrics' MeanMetric does the same in 70 µs a batch; this takes 3, of 2,700 for a step of an
    RNN of 50 units.
    """

    def __init__(self, device: torch.device, state: Float[Tensor, " 2"] | None = None) -> None:
        # A count in float32 ends at 2^24, but Apple's GPUs have nothing wider.
        dtype = torch.float32 if device.type == "mps" else torch.float64
        total, items = (0.0, 0) if state is None else (float(state[0]), int(state[1]))
        self._total = torch.tensor(total, dtype=dtype, device=device)
        self._items = items

    def add(self, loss: Float[Tensor, ""], items: int) -> None:
        """Add the mean loss of so many items."""
        self._total.add_(loss, alpha=items)
        self._items += items

    def state(self) -> Float[Tensor, " 2"]:
        """Return the sum of the losses and the number of items."""
        return torch.stack([self._total, self._total.new_tensor(self._items)])
