"""The usual recipe: Lightning, DataLoader, pad_sequence, pack_padded_sequence, MLFlowLogger."""

from __future__ import annotations

import contextlib
import copy
import io
import time
import warnings
from collections.abc import Sequence

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import MLFlowLogger
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader

from memgate.data.batches import Prefixes
from memgate.models.classifier import Classifier

Item = tuple[Tensor, int]
Padded = tuple[Tensor, Tensor, Tensor]


def items_of(prefixes: Prefixes, every: int = 1) -> list[Item]:
    """Return prefixes as a data set of the usual kind: a list of token ids and answers.

    Args:
        prefixes: On the CPU.
        every: One in so many is taken.
    """
    ids, targets = prefixes.ids.long(), prefixes.targets.tolist()
    ends = (prefixes.starts + torch.from_numpy(prefixes.lengths)).tolist()
    bounds = zip(prefixes.starts.tolist(), ends, targets, strict=True)
    items = [(ids[start:end], target) for start, end, target in bounds]
    return items[::every]


def padded(items: Sequence[Item]) -> Padded:
    """Collate items: padded ids, lengths, answers."""
    lengths = torch.tensor([len(ids) for ids, _ in items])
    targets = torch.tensor([float(target) for _, target in items])
    return pad_sequence([ids for ids, _ in items], batch_first=True), lengths, targets


class PackedModule(pl.LightningModule):
    """The classifier's own embedding, recurrence and readout, over packed sequences.

    Args:
        classifier: Copied.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = copy.deepcopy(classifier)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the log-odds of plural."""
        vectors = self.classifier.embedding(ids)
        packed = pack_padded_sequence(
            vectors, lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        last = self.classifier.recurrence(packed)[1]
        hidden = last[0] if isinstance(self.classifier.recurrence, nn.LSTM) else last
        logits: Tensor = self.classifier.readout(hidden[-1]).squeeze(-1)
        return logits

    def training_step(self, batch: Padded) -> Tensor:
        """Return the loss, and log it."""
        ids, lengths, targets = batch
        loss = binary_cross_entropy_with_logits(self(ids, lengths), targets)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Padded) -> None:
        """Log loss and accuracy."""
        ids, lengths, targets = batch
        logits = self(ids, lengths)
        self.log("val_loss", binary_cross_entropy_with_logits(logits, targets))
        self.log("val_acc", ((logits > 0) == (targets == 1)).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make Adam as it comes, not in torch's fused kernel."""
        return torch.optim.Adam(self.parameters())


class EpochClock(pl.Callback):
    """Keeps the seconds of an epoch with its validation."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._start = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start."""
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop."""
        if pl_module.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - self._start


class Recipe:
    """A fit by the usual recipe, epoch after epoch.

    No checkpoints are written, and with few items to an epoch fewer steps are logged: both to its
    advantage. The progress bar is drawn, but goes nowhere.

    Args:
        module: What is trained.
        train: Its items.
        validation: Those it is scored on after each epoch.
        uri: Of MLflow's store.
        batch_size: Of training.
        clip: Largest norm of the gradients of a step; None for any.
        device: Where.
    """

    def __init__(
        self,
        module: PackedModule,
        train: Sequence[Item],
        validation: Sequence[Item],
        uri: str,
        batch_size: int,
        clip: float | None,
        device: torch.device,
    ) -> None:
        self.module = module
        self.items = len(train)
        self._loaders: tuple[DataLoader[Padded], DataLoader[Padded]] = (
            DataLoader(train, batch_size, shuffle=True, collate_fn=padded),  # type: ignore[arg-type]
            DataLoader(validation, 1024, collate_fn=padded),  # type: ignore[arg-type]
        )
        self._logger = MLFlowLogger("usual recipe", tracking_uri=uri)
        self._clip = clip
        self._accelerator = "gpu" if device.type == "cuda" else "cpu"

    def epoch(self) -> float:
        """Train one epoch and score it; return its seconds, without the Trainer's set-up."""
        clock = EpochClock()
        sink = io.StringIO()
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(sink),
            contextlib.redirect_stderr(sink),
        ):
            warnings.simplefilter("ignore")  # what Lightning advises: more workers, for example
            trainer = pl.Trainer(
                max_epochs=1,
                gradient_clip_val=self._clip,
                accelerator=self._accelerator,
                devices=1,
                logger=self._logger,
                callbacks=[clock],
                enable_checkpointing=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
            )
            trainer.fit(self.module, *self._loaders)
        return clock.seconds
