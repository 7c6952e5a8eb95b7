"""The LightningModule: what it logs, and that stopping or splitting a fit changes nothing."""

from __future__ import annotations

import contextlib
import copy
import math
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import ReduceLROnPlateau
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import Adam
from torch.optim.lr_scheduler import ExponentialLR, OneCycleLR, StepLR

from memgate.data.batches import ExactLengthBatches
from memgate.data.datamodule import AgreementData
from memgate.data.sources.grammar import Grammar
from memgate.errors import InputError
from memgate.fitting.checkpoints import LastCheckpoint, best_checkpoint
from memgate.fitting.module import AgreementModule

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


def both() -> list[pl.Callback]:
    best = best_checkpoint()
    return [best, LastCheckpoint(best)]


@pytest.mark.parametrize("step", [5, 18, 19, 31], ids=["within", "last-but-one", "last", "second"])
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
    n = int(fit.num_training_batches)
    assert n == 19  # what the steps stand for
    settings: dict[str, Any] = {"max_epochs": 3, "enable_checkpointing": True}
    stopped = trainer(tmp_path, callbacks=[*both(), Interrupt(step)], **settings)
    with pytest.raises(SystemExit):
        stopped.fit(module(), data())
    assert stopped.global_step == step
    resumed = module()
    fit = trainer(tmp_path, callbacks=both(), **settings)
    (path,) = tmp_path.rglob("last.ckpt")
    fit.fit(resumed, data(), ckpt_path=path, weights_only=True)
    assert fit.global_step == 3 * n
    expected = weights(whole)
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(resumed).items())


SETTINGS: dict[str, dict[str, Any]] = {
    "clipped": {"gradient_clip_val": 0.5},
    "clipped-by-value": {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
    "clipped-bf16-mixed": {"gradient_clip_val": 0.5, "precision": "bf16-mixed"},
    "bf16-mixed": {"precision": "bf16-mixed"},
    "bf16-true": {"precision": "bf16-true"},
    "64-true": {"precision": "64-true"},
    "accumulated": {"accumulate_grad_batches": 3, "gradient_clip_val": 0.5},
}

DTYPES = {"bf16-true": torch.bfloat16, "64-true": torch.float64}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_fit_learns_what_a_bare_loop_learns(
    settings: dict[str, Any], cell: str, data: Make, tmp_path: Path
) -> None:
    pl.seed_everything(2, verbose=False)
    module, tiny = AgreementModule(cell=cell, hidden_size=7), data()
    fit = trainer(tmp_path, **settings)
    tiny.setup()
    module.build(len(tiny.vocabulary))
    precision = settings.get("precision", "32-true")
    dtype = DTYPES.get(precision, torch.float32)
    bare = copy.deepcopy(module.classifier).train().to(dtype)
    optimizer = module.optimizer(bare.parameters())
    loader = ExactLengthBatches(tiny.prefixes["train"], 32, shuffle=True)
    every, limit = settings.get("accumulate_grad_batches", 1), settings.get("gradient_clip_val")
    by_value = settings.get("gradient_clip_algorithm") == "value"
    steps = 0
    for epoch in range(2):
        loader.set_epoch(epoch)
        for number, batch in enumerate(loader, start=1):
            mixed = precision == "bf16-mixed"
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed, cache_enabled=False):
                logits = bare(batch.inputs)
                loss = binary_cross_entropy_with_logits(logits, batch.targets.to(logits.dtype))
            (loss / every).backward()
            if number % every and number < len(loader):
                continue
            if limit is not None:
                (clip_grad_value_ if by_value else clip_grad_norm_)(bare.parameters(), limit)
            optimizer.step()
            optimizer.zero_grad()
            steps += 1
    fit.fit(module, tiny)
    assert fit.global_step == steps == 2 * math.ceil(len(loader) / every)
    for (name, own), other in zip(
        module.classifier.named_parameters(), bare.parameters(), strict=True
    ):
        assert own.dtype == dtype
        assert torch.equal(own, other), name


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_scaled_gradients_are_clipped_as_others(algorithm: str, data: Make, tmp_path: Path) -> None:
    def fitted(fused: bool) -> dict[str, Tensor]:
        pl.seed_everything(2, verbose=False)
        module = AgreementModule(
            lambda parameters: Adam(parameters, fused=fused), cell="gru", hidden_size=7
        )
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        plugin = MixedPrecision("16-mixed", "cpu", scaler)
        limits: dict[str, Any] = {"gradient_clip_val": 0.02, "gradient_clip_algorithm": algorithm}
        fit = trainer(tmp_path, plugins=plugin, max_epochs=1, **limits)
        fit.fit(module, data())
        return weights(module)

    fused, plain = fitted(True), fitted(False)  # of a fused optimiser they are scaled yet
    for name, weight in fused.items():
        torch.testing.assert_close(weight, plain[name], rtol=0, atol=1e-5)


class Rates(pl.Callback):
    """Keeps the learning rate of every step."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])


Scheduled = tuple[Any, Literal["epoch", "step"]]

SCHEDULERS: dict[str, Scheduled] = {
    "by-epoch": (partial(StepLR, step_size=1, gamma=0.5), "epoch"),
    "by-step": (partial(ExponentialLR, gamma=0.9), "step"),
    "one-cycle": (partial(OneCycleLR, max_lr=0.1, total_steps=None, epochs=None), "step"),
    # no loss is lower by so much, so the rate falls after every epoch
    "plateau": (
        partial(ReduceLROnPlateau, monitor="val/loss", patience=0, factor=0.5, threshold=10.0),
        "epoch",
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_sets_the_rate_of_every_step(name: str, data: Make, tmp_path: Path) -> None:
    make, interval = SCHEDULERS[name]
    rates = Rates()
    fit = trainer(tmp_path, callbacks=[rates], max_epochs=3, accumulate_grad_batches=2)
    fit.fit(AgreementModule(Adam, make, interval, cell="rnn", hidden_size=3), data())
    epoch = 10  # of 19 batches
    assert len(rates.rates) == 3 * epoch
    expected = {
        "by-epoch": [0.001 * 0.5 ** (step // epoch) for step in range(3 * epoch)],
        "by-step": [0.001 * 0.9**step for step in range(3 * epoch)],
        "plateau": [0.001 * 0.5 ** (step // epoch) for step in range(3 * epoch)],
    }
    if name == "one-cycle":
        assert max(rates.rates) == pytest.approx(0.1)
        assert rates.rates[0] == pytest.approx(0.1 / 25)
        assert rates.rates[-1] < 0.001
    else:
        assert rates.rates == pytest.approx(expected[name])


@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # it resumes there, on purpose
@pytest.mark.parametrize("batches", [19, 29], ids=["epoch-end", "within"])
@pytest.mark.parametrize("accumulated", [1, 3])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_stopped_fit_goes_on_bit_for_bit_with_a_scheduler(
    name: str, accumulated: int, batches: int, data: Make, tmp_path: Path
) -> None:
    def fitted(folder: Path, start: Path | None = None, *more: pl.Callback) -> Any:
        pl.seed_everything(5, verbose=False)
        make, interval = SCHEDULERS[name]
        module = AgreementModule(Adam, make, interval, cell="gru", hidden_size=5, dropout=0.3)
        rates = Rates()
        fit = trainer(
            folder,
            max_epochs=3,
            enable_checkpointing=True,
            callbacks=[*both(), rates, *more],
            accumulate_grad_batches=accumulated,
            gradient_clip_val=0.1,
        )
        with contextlib.suppress(SystemExit, KeyboardInterrupt):
            fit.fit(module, data(), ckpt_path=start, weights_only=True)
        return weights(module), rates.rates, fit

    reached, rates, _ = fitted(tmp_path / "whole")
    _, first, stopped = fitted(
        tmp_path / "stopped", None, Interrupt(math.ceil(batches / accumulated))
    )
    (path,) = (tmp_path / "stopped").rglob("last.ckpt")
    assert 0 < stopped.global_step < len(rates)
    resumed, rest, _ = fitted(tmp_path / "stopped", path)
    assert first + rest == rates
    assert all(torch.equal(weight, reached[it]) for it, weight in resumed.items())


def test_few_batches_are_the_same_in_every_epoch(data: Make, tmp_path: Path) -> None:
    seen: list[list[int]] = []

    class Seen(pl.Callback):
        def on_train_batch_end(
            self, trainer: pl.Trainer, pl_module: pl.LightningModule, *its: Any
        ) -> None:
            seen.append(its[1].rows.tolist())

    with pytest.warns(UserWarning, match="You requested to overfit"):
        trainer(tmp_path, overfit_batches=2, callbacks=[Seen()]).fit(
            AgreementModule(cell="rnn", hidden_size=3), data()
        )
    assert seen[:2] == seen[2:]
    assert len(seen) == 4


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
