"""Baselines that use no syntax, fitted on the training split of a fit."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

import datasets
import lightning.pytorch as pl
import pyarrow as pa
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.seed import isolate_rng

from memgate.baselines.fitted import Baselines
from memgate.data.datamodule import AgreementData
from memgate.data.items.tasks import NOUNS
from memgate.data.tagger import Tagger
from memgate.fitting.configuration import Fit
from memgate.fitting.module import AgreementModule
from memgate.predictor import Predictor

SHARED_SETTINGS = (
    "precision",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "accumulate_grad_batches",
)
"""Settings of the Trainer that the noun-only network copies.

It has fewer batches, so it trains for as many epochs, not for ``max_steps``.
"""


@dataclass(frozen=True)
class LoadedItems:
    """A source whose items are in memory."""

    splits: datasets.DatasetDict

    def load(self) -> datasets.DatasetDict:
        """Return the splits."""
        return self.splits


def fit_baselines(fit: Fit, epochs: int) -> Baselines:
    """Fit every baseline of a prepared fit; the one that reads only nouns for so many epochs."""
    train = fit.data.table("train")
    tagger = Tagger.fit(train)
    splits = {name: tagger.fill(fit.data.table(name)) for name in ("train", "validation")}
    # Without tags in training, rules and network would know masked nouns only: none is fitted.
    with_nouns = len(tagger) > 0 and all(len(NOUNS.make_inputs(t, 0).rows) for t in splits.values())
    return Baselines.fit(train, _nouns_only(fit, splits, max(1, epochs)) if with_nouns else None)


def _nouns_only(fit: Fit, splits: Mapping[str, pa.Table], epochs: int) -> Predictor:
    """Train the same network on the common nouns alone, and take its best epoch as the fit does."""
    data = fit.data
    nouns = AgreementData(
        LoadedItems(
            datasets.DatasetDict({name: datasets.Dataset(t) for name, t in splits.items()})
        ),
        task=NOUNS.name,
        batch_size=data.batch_size,
        eval_batch_size=data.eval_batch_size,
        vocab_size=data.vocab_size,
        lowercase=data.lowercase,
        seed=data.seed,
    )
    on_cpu = fit.trainer.strategy.root_device.type == "cpu"
    with isolate_rng(), tempfile.TemporaryDirectory() as folder:
        pl.seed_everything(data.seed, verbose=False)
        best = ModelCheckpoint(folder, monitor="val/accuracy", mode="max", filename="best")
        trainer = pl.Trainer(
            accelerator="cpu" if on_cpu else "auto",
            devices=1,
            max_epochs=epochs,
            **{name: getattr(fit.trainer, name) for name in SHARED_SETTINGS},
            logger=False,
            callbacks=[best],
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        network = fit.module
        module = AgreementModule(
            network.optimizer,
            network.lr_scheduler,
            network.lr_scheduler_interval,
            **network.architecture,
        )
        trainer.fit(module, nouns)
        state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
    module.load_state_dict(state["state_dict"])
    return Predictor(module.classifier.cpu().float().eval(), nouns.vocabulary, NOUNS)
