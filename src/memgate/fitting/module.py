"""The LightningModule: loss, optimiser, metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import lightning.pytorch as pl
import torch
from jaxtyping import Float, Int
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam
from torch.optim.optimizer import ParamsT

from memgate.data.batches import Batch
from memgate.data.datamodule import AgreementData
from memgate.data.stretches import Stretches
from memgate.errors import InputError
from memgate.metrics.agreement import AgreementCounts
from memgate.models.classifier import Classifier


def fused_adam(parameters: ParamsT) -> Adam:
    """Make Adam (Kingma & Ba 2015) with its default rates, in torch's fused kernel.

    A step of an LSTM of 100 units with 10,000 words takes 6.7 ms on one core, 10.8 ms without it.
    """
    return Adam(parameters, fused=True)


class AgreementModule(pl.LightningModule):
    """Trains a `Classifier` to choose the number of a verb from the words before it.

    Logs ``train/loss``; ``val/loss``, ``val/accuracy`` and ``val/balanced_accuracy`` after every
    epoch; and the same three as ``test/…``. A loss is the mean cross-entropy in nats, an accuracy a
    share in [0, 1]; balanced accuracy is the mean of the accuracies on singular and on plural.

    Args:
        optimizer: Makes the optimiser from the parameters.
        gradient_clip_val: Largest norm of all gradients of a step together; None for any.
        architecture: What `Classifier` takes but for the size of the vocabulary, which the data
            decide.

    Attributes:
        classifier: The network; exists once a Trainer knows the data.
        results: Counts of right and wrong answers of the last ``val`` and ``test``, as
            `AgreementCounts.compute` returns them.
    """

    classifier: Classifier

    def __init__(
        self,
        optimizer: OptimizerCallable = fused_adam,
        gradient_clip_val: float | None = None,
        **architecture: Any,
    ) -> None:
        super().__init__()
        if gradient_clip_val is not None and gradient_clip_val <= 0:
            raise InputError(f"gradient_clip_val: expected above 0, got {gradient_clip_val}")
        self.automatic_optimization = False  # a call trains on several batches
        self.optimizer = optimizer
        self.gradient_clip_val = gradient_clip_val
        self.architecture = architecture
        self.counts = AgreementCounts()
        self.results: dict[str, Int[Tensor, "2 6 6 2"]] = {}
        self._losses: dict[str, Float[Tensor, " 2"]] = {}  # sum and number of items, by stage
        self._rng: list[Tensor] | None = None

    @property
    def data(self) -> AgreementData:
        """The data that the Trainer serves."""
        data: AgreementData = self.trainer.datamodule  # type: ignore[attr-defined]
        return data

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimiser in an epoch of the fit at hand."""
        loader = self.trainer.train_dataloader
        if not isinstance(loader, Stretches):
            raise TypeError(f"expected the loader of AgreementData, got {type(loader)}")
        return loader.batches_of(int(self.trainer.num_training_batches))

    def configure_model(self) -> None:
        """Make the network, now that the size of the vocabulary is known."""
        self.build(len(self.data.vocabulary))

    def build(self, vocab_size: int) -> None:
        """Make the network, once.

        Raises:
            InputError: The architecture is impossible.
        """
        if not hasattr(self, "classifier"):
            self.classifier = Classifier(vocab_size=vocab_size, **self.architecture)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the optimiser."""
        return self.optimizer(self.parameters())

    def forward(self, inputs: Int[Tensor, "batch time"]) -> Float[Tensor, " batch"]:
        """Return the log-odds of plural."""
        logits: Tensor = self.classifier(inputs)
        return logits

    def _loss(self, logits: Float[Tensor, " batch"], batch: Batch) -> Float[Tensor, ""]:
        return binary_cross_entropy_with_logits(logits, batch.targets.to(logits.dtype))

    def _add_losses(self, stage: str, losses: list[Float[Tensor, ""]], sizes: list[int]) -> None:
        """Add up mean losses of batches, weighted by their sizes."""
        if losses:
            total = self._losses[stage]
            n = total.new_tensor(sizes)
            total += torch.stack([torch.stack(losses).to(n) @ n, n.sum()])

    def _no_loss(self) -> Float[Tensor, " 2"]:
        # A count in float32 ends at 2^24; Apple's GPUs have nothing wider.
        dtype = torch.float32 if self.device.type == "mps" else torch.float64
        return torch.zeros(2, device=self.device, dtype=dtype)

    def _mean_loss(self, stage: str) -> Float[Tensor, ""]:
        total, n = self.trainer.strategy.reduce(self._losses[stage], reduce_op="sum")
        mean: Tensor = (total / n).float()
        return mean

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the random numbers' state, the loss of the epoch so far, the vocabulary's digest."""
        checkpoint["rng"] = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
        checkpoint["train_loss"] = self._losses.get("train")
        checkpoint["vocabulary"] = self.data.vocabulary.digest()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember the random numbers until training starts, for Lightning draws some before."""
        self.check(checkpoint, self.data.vocabulary.digest())
        self._rng = checkpoint["rng"]
        if checkpoint["train_loss"] is not None:  # an epoch that goes on doesn't start again
            self._losses["train"] = checkpoint["train_loss"].clone()

    def check(self, checkpoint: dict[str, Any], vocabulary: str) -> None:
        """See that a checkpoint is of this network and these data.

        Args:
            checkpoint: What `on_save_checkpoint` and Lightning saved.
            vocabulary: Digest of the vocabulary at hand.

        Raises:
            InputError: It was trained with another vocabulary or architecture.
        """
        if checkpoint["vocabulary"] != vocabulary:
            raise InputError(
                "checkpoint: expected the vocabulary of these training items, got another; use the "
                "data configuration it was trained with (`memgate evaluate` scores on other data)"
            )
        given = checkpoint["state_dict"]
        for name, weight in self.state_dict().items():
            if name not in given or given[name].shape != weight.shape:
                got = list(given[name].shape) if name in given else "none"
                raise InputError(
                    f"checkpoint: expected {name} of shape {list(weight.shape)}, got {got}; "
                    "use the model configuration it was trained with"
                )

    def on_train_start(self) -> None:
        """Go on with the random numbers and the loss where the checkpoint left them.

        Raises:
            InputError: Gradients shall be clipped that are scaled.
        """
        if self.gradient_clip_val is not None and self.trainer.precision == "16-mixed":
            raise InputError(
                "gradient_clip_val: expected none with 16-mixed, whose gradients are scaled; "
                "bf16-mixed does without scaling"
            )
        if "train" in self._losses:
            self._losses["train"] = self._losses["train"].to(self.device)
        if self._rng is not None:
            cpu, *gpus = (state.cpu() for state in self._rng)
            torch.set_rng_state(cpu)
            if len(gpus) == torch.cuda.device_count():  # else the machine is another one
                torch.cuda.set_rng_state_all(gpus)
            self._rng = None

    def on_train_epoch_start(self) -> None:
        """Begin to add up the epoch's loss."""
        self._losses["train"] = self._no_loss()

    def training_step(self, batches: Iterable[Batch]) -> None:
        """Take one step of the optimiser on each of some batches, up to the Trainer's last one.

        The loss of a step is the mean cross-entropy of its batch, in nats.
        """
        optimizer = self.optimizers()
        if not isinstance(optimizer, LightningOptimizer):
            raise TypeError(f"expected one optimiser, got {type(optimizer)}")
        left = self.trainer.max_steps - self.trainer.global_step  # negative where there is no last
        losses, sizes = [], []
        for batch in batches:
            optimizer.zero_grad()
            loss = self._loss(self(batch.inputs), batch)
            self.manual_backward(loss)
            if self.gradient_clip_val is not None:
                clip_grad_norm_(self.parameters(), self.gradient_clip_val)
            optimizer.step()
            losses.append(loss.detach())
            sizes.append(len(batch.targets))
            if len(sizes) == left:
                break
        self._add_losses("train", losses, sizes)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean loss."""
        self.log("train/loss", self._mean_loss("train"), sync_dist=True)

    def _begin(self, stage: str) -> None:
        self._losses[stage] = self._no_loss()
        self.counts.reset()

    def _count(self, batch: Batch, stage: str) -> None:
        logits = self(batch.inputs)
        self._add_losses(stage, [self._loss(logits, batch)], [len(logits)])
        predicted = (torch.sigmoid(logits) > 0.5).long()  # as where probabilities are shown
        right = predicted == batch.targets
        self.counts.update(right, batch.labels, batch.intervening, batch.attractors)

    def _log_counts(self, stage: str) -> None:
        counts = self.counts.compute()
        self.results[stage] = counts.cpu()
        by_label = counts.sum((1, 2)).cpu().double()
        accuracy = by_label[:, 1].sum() / by_label.sum()
        balanced = torch.nanmean(by_label[:, 1] / by_label.sum(1))  # a label may have no items
        # Every rank has these very values; without sync_dist Lightning would doubt it.
        self.log(f"{stage}/loss", self._mean_loss(stage), sync_dist=True)
        self.log(f"{stage}/accuracy", accuracy.float(), sync_dist=True)
        self.log(f"{stage}/balanced_accuracy", balanced.float(), sync_dist=True)

    def on_validation_epoch_start(self) -> None:
        """Begin to count."""
        self._begin("val")

    def validation_step(self, batch: Batch) -> None:
        """Count right and wrong answers."""
        self._count(batch, "val")

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics."""
        self._log_counts("val")

    def on_test_epoch_start(self) -> None:
        """Begin to count."""
        self._begin("test")

    def test_step(self, batch: Batch) -> None:
        """Count right and wrong answers."""
        self._count(batch, "test")

    def on_test_epoch_end(self) -> None:
        """Log the test metrics."""
        self._log_counts("test")
