"""The LightningModule: what it logs, and that stopping or splitting a fit changes nothing."""

from __future__ import annotations

import copy
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils import clip_grad_norm_

from memgate.data.batches import ExactLengthBatches
from memgate.data.datamodule import AgreementData
from memgate.data.sources.grammar import Grammar
from memgate.errors import InputError
from memgate.fitting.checkpoints import LastCheckpoint
from memgate.fitting.module import AgreementModule, fused_adam

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


class Interrupt(pl.Callback):
    """Presses Ctrl-C within a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_before_optimizer_step(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.global_step + 1 == self.step:
            signal.raise_signal(signal.SIGINT)


class Stop(pl.Callback):
    """Stops a fit as a crash would, within an epoch, where a stretch of batches ends."""

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
    fit = trainer(tmp_path, callbacks=[checkpoint(), Stop(16)], **settings)
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


@pytest.mark.parametrize("step", [5, 18, 31], ids=["within", "last-stretch", "second-epoch"])
@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # it resumes there, on purpose
def test_ctrl_c_stops_behind_the_batch_at_hand_and_the_fit_goes_on_bit_for_bit(
    step: int, data: Make, tmp_path: Path
) -> None:
    def module() -> AgreementModule:
        pl.seed_everything(5, verbose=False)
        return AgreementModule(cell="gru", hidden_size=5, dropout=0.3)

    whole = module()
    fit = trainer(tmp_path, max_epochs=3)
    fit.fit(whole, data())
    n = whole.steps_per_epoch
    assert 18 < n < 31  # what the steps stand for
    settings: dict[str, Any] = {"max_epochs": 3, "enable_checkpointing": True}
    stopped = trainer(tmp_path, callbacks=[LastCheckpoint(), Interrupt(step)], **settings)
    with pytest.raises(SystemExit):
        stopped.fit(module(), data())
    assert stopped.global_step == (n + 1 if step == 18 else step)
    resumed = module()
    fit = trainer(tmp_path, callbacks=[LastCheckpoint()], **settings)
    (path,) = tmp_path.rglob("last.ckpt")
    fit.fit(resumed, data(), ckpt_path=path, weights_only=True)
    assert fit.global_step == 3 * n
    expected = weights(whole)
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(resumed).items())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_fit_learns_what_a_bare_loop_learns(
    precision: Any, cell: str, data: Make, tmp_path: Path
) -> None:
    pl.seed_everything(2, verbose=False)
    module, tiny = AgreementModule(cell=cell, hidden_size=7, gradient_clip_val=0.5), data()
    fit = trainer(tmp_path, precision=precision)
    tiny.setup()
    module.build(len(tiny.vocabulary))
    bare = copy.deepcopy(module.classifier).train()
    optimizer = fused_adam(bare.parameters())
    loader = ExactLengthBatches(tiny.prefixes["train"], 32, shuffle=True)
    for epoch in range(2):
        loader.set_epoch(epoch)
        for batch in loader:
            mixed = precision != "32-true"
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed, cache_enabled=False):
                logits = bare(batch.inputs)
                loss = binary_cross_entropy_with_logits(logits, batch.targets.to(logits.dtype))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            clip_grad_norm_(bare.parameters(), 0.5)
            optimizer.step()
    fit.fit(module, tiny)
    assert fit.global_step == 2 * len(loader)
    for (name, own), other in zip(
        module.classifier.named_parameters(), bare.parameters(), strict=True
    ):
        assert torch.equal(own, other), name


@pytest.mark.parametrize(
    ("limits", "steps"),
    [
        ({"max_steps": 5, "max_epochs": -1}, 5),
        ({"limit_train_batches": 3}, 6),
        ({"overfit_batches": 2}, 4),
        ({"fast_dev_run": 2}, 2),
        ({"val_check_interval": 7, "max_epochs": 1}, 19),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.filterwarnings("ignore:You requested to overfit")  # on purpose
def test_limits_count_batches(
    limits: dict[str, Any], steps: int, data: Make, tmp_path: Path
) -> None:
    fit = trainer(tmp_path, **limits)
    module = AgreementModule(cell="rnn", hidden_size=3)
    fit.fit(module, data())
    assert fit.global_step == steps


def test_an_impossible_clip_is_refused() -> None:
    with pytest.raises(InputError, match="gradient_clip_val: expected above 0, got 0"):
        AgreementModule(cell="rnn", gradient_clip_val=0)


def test_scaled_gradients_are_not_clipped(data: Make, tmp_path: Path) -> None:
    fit = trainer(tmp_path)
    module, tiny = AgreementModule(cell="rnn", hidden_size=3, gradient_clip_val=1.0), data()
    tiny.setup()
    module.build(len(tiny.vocabulary))
    module.trainer, fit.strategy.precision_plugin.precision = fit, "16-mixed"
    with pytest.raises(InputError, match="gradient_clip_val: expected none with 16-mixed"):
        module.on_train_start()


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
