"""The LightningModule: what it logs, and that stopping or splitting a fit changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from memgate.data.datamodule import AgreementData
from memgate.data.grammar import Grammar
from memgate.errors import InputError
from memgate.training import AgreementModule

PROMISED = {
    f"{stage}/{metric}"
    for stage in ("val", "test")
    for metric in ("loss", "accuracy", "balanced_accuracy")
} | {"train/loss"}

Make = Callable[..., AgreementData]


@pytest.fixture
def data() -> Make:
    def make(**options: Any) -> AgreementData:
        source = Grammar(train=300, validation=60, test=200, max_intervening=8)
        return AgreementData(source, name="tiny", batch_size=32, **options)

    return make


def trainer(folder: Path, **options: Any) -> pl.Trainer:
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "max_epochs": 2,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "default_root_dir": folder,
    }
    return pl.Trainer(**{**settings, **options})


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_fit_moves_every_parameter_and_logs_every_promised_metric(
    cell: str, data: Make, tmp_path: Path
) -> None:
    pl.seed_everything(1, verbose=False)
    module, tiny = AgreementModule(cell=cell, hidden_size=6, embedding_size=5, num_layers=2), data()
    fit = trainer(tmp_path, max_epochs=1)
    tiny.trainer = module.trainer = fit
    fit.datamodule = tiny  # type: ignore[attr-defined]
    tiny.setup()
    module.configure_model()
    before = {name: weight.clone() for name, weight in module.named_parameters()}
    assert before.keys() >= {"classifier.embedding.weight", "classifier.readout.bias"}
    fit.fit(module, tiny)
    logged = set(fit.callback_metrics)
    fit.test(module, tiny, verbose=False)
    assert logged | set(fit.callback_metrics) >= PROMISED
    for name, weight in module.named_parameters():
        assert not torch.equal(weight, before[name]), f"{name} did not move"


def test_the_losses_and_accuracies_logged_are_means_over_items(data: Make, tmp_path: Path) -> None:
    module, tiny = AgreementModule(cell="gru", hidden_size=4), data(eval_batch_size=17)
    fit = trainer(tmp_path)
    fit.fit(module, tiny)
    (metrics,) = fit.test(module, tiny, verbose=False)
    prefixes = tiny.prefixes["test"]
    logits = torch.zeros(len(prefixes))
    for row in range(len(prefixes)):  # one at a time: batching must not matter
        batch = prefixes.batch(torch.tensor([row]), int(prefixes.lengths[row]))
        logits[row] = module.classifier(batch.inputs).detach()
    labels = prefixes.labels
    right = (logits > 0).long() == labels
    loss = binary_cross_entropy_with_logits(logits, labels.float())
    assert metrics["test/loss"] == pytest.approx(float(loss), abs=1e-5)
    assert metrics["test/accuracy"] == pytest.approx(float(right.float().mean()))
    halves = [right[labels == label].float().mean() for label in (0, 1)]
    assert metrics["test/balanced_accuracy"] == pytest.approx(float(sum(halves)) / 2)
    assert int(module.results["test"].sum()) == len(prefixes)
    assert int(module.results["test"][..., 1].sum()) == int(right.sum())


def test_two_processes_count_what_one_counts(data: Make, tmp_path: Path) -> None:
    pl.seed_everything(3, verbose=False)
    one = AgreementModule(cell="lstm", hidden_size=4)
    fit = trainer(tmp_path, max_epochs=1)
    fit.fit(one, data())
    fit.test(one, data(), verbose=False)
    path = tmp_path / "weights.ckpt"
    fit.save_checkpoint(path)
    two = AgreementModule(cell="lstm", hidden_size=4)
    # Forked processes give their logged metrics back, but not the module's attributes: they are
    # written from rank zero.
    two.on_test_end = lambda: (  # type: ignore[method-assign]
        torch.save(two.results["test"], tmp_path / "counts.pt") if two.global_rank == 0 else None
    )
    both = trainer(tmp_path, strategy="ddp_fork", devices=2)
    (metrics,) = both.test(two, data(), ckpt_path=path, verbose=False, weights_only=True)
    counts = torch.load(tmp_path / "counts.pt", weights_only=True)
    assert torch.equal(counts, one.results["test"])
    assert metrics["test/accuracy"] == pytest.approx(float(fit.callback_metrics["test/accuracy"]))


def test_two_processes_train(data: Make, tmp_path: Path) -> None:
    pl.seed_everything(3, verbose=False)
    module = AgreementModule(cell="gru", hidden_size=8)
    fit = trainer(tmp_path, strategy="ddp_fork", devices=2, max_epochs=15)
    fit.fit(module, data())
    assert float(fit.callback_metrics["train/loss"]) < 0.6  # a coin would have ln 2 = 0.69


class Stop(pl.Callback):
    """Stops a fit as a crash would, within an epoch."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.global_step == self.step:
            raise RuntimeError("the power is gone")


def weights(module: AgreementModule) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in module.named_parameters()}


@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # it resumes there, on purpose
def test_a_fit_stopped_within_an_epoch_goes_on_bit_for_bit(data: Make, tmp_path: Path) -> None:
    def module() -> AgreementModule:
        pl.seed_everything(5, verbose=False)
        return AgreementModule(cell="lstm", hidden_size=5, dropout=0.3)

    def checkpoint() -> ModelCheckpoint:
        return ModelCheckpoint(
            tmp_path, filename="last", enable_version_counter=False, save_on_exception=True
        )

    whole = module()
    fit = trainer(tmp_path, max_epochs=3)
    fit.fit(whole, data())
    loss = fit.callback_metrics["train/loss"]
    stopped = module()
    settings: dict[str, Any] = {"max_epochs": 3, "enable_checkpointing": True}
    fit = trainer(tmp_path, callbacks=[checkpoint(), Stop(27)], **settings)
    with pytest.raises(RuntimeError, match="the power is gone"):
        fit.fit(stopped, data())
    assert 0 < fit.fit_loop.epoch_loop.batch_progress.current.completed < fit.num_training_batches
    resumed = module()
    fit = trainer(tmp_path, callbacks=[checkpoint()], **settings)
    fit.fit(resumed, data(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert torch.equal(fit.callback_metrics["train/loss"], loss)
    expected = weights(whole)
    for name, weight in weights(resumed).items():
        assert torch.equal(weight, expected[name]), name


def test_a_checkpoint_of_another_vocabulary_is_refused(data: Make, tmp_path: Path) -> None:
    module = AgreementModule(cell="rnn", hidden_size=3)
    fit = trainer(tmp_path, max_epochs=1)
    fit.fit(module, data())
    fit.save_checkpoint(tmp_path / "a.ckpt")
    other = AgreementModule(cell="rnn", hidden_size=3)
    with pytest.raises(InputError, match="vocabulary"):
        trainer(tmp_path).test(
            other, data(vocab_size=20), ckpt_path=tmp_path / "a.ckpt", weights_only=True
        )


def test_the_same_seed_gives_the_same_network(data: Make, tmp_path: Path) -> None:
    def fitted(seed: int) -> dict[str, Tensor]:
        pl.seed_everything(seed, verbose=False)
        module = AgreementModule(cell="gru", hidden_size=4)
        trainer(tmp_path, max_epochs=1).fit(module, data(seed=seed))
        return weights(module)

    first, again, other = fitted(1), fitted(1), fitted(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["classifier.readout.weight"], other["classifier.readout.weight"])
