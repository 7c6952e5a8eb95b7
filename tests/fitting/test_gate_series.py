"""The series of gates: what is logged when, and that training doesn't notice."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from memgate.data.batches import Prefixes
from memgate.data.datamodule import AgreementData
from memgate.data.sources.grammar import Grammar
from memgate.fitting.gate_series import GateSeries, early_steps, sample_rows, select
from memgate.fitting.module import AgreementModule
from memgate.gates.profile import pooled
from memgate.gates.statistics import read_gates
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor

Make = Callable[..., AgreementData]

READINGS = {
    "rnn": ["state_update"],
    "gru": ["write", "state_update"],
    "lstm": ["write", "keep", "state_update"],
}


class Lines(Logger):
    """Writes metrics as lines of JSON: those of a stopped fit and of its resumption together."""

    name, version = "lines", 0

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None: ...

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps([step, {name: float(it) for name, it in metrics.items()}]) + "\n")

    def logged(self) -> list[tuple[int, dict[str, float]]]:
        """Return step and metrics of each call."""
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        return [(step, its) for step, its in map(json.loads, lines)]

    def gates(self) -> list[tuple[int, dict[str, float]]]:
        """Return step and metrics of each measurement of the gates."""
        return [
            (step, its)
            for step, its in self.logged()
            if any(name.startswith("gates/") for name in its)
        ]

    def steps(self, metric: str) -> list[int]:
        """Return the steps of a metric."""
        return [step for step, its in self.logged() if metric in its]


@pytest.fixture
def data() -> Make:
    def make(max_attractors: int = 4, **options: Any) -> AgreementData:
        source = Grammar(
            train=300, validation=80, test=20, max_intervening=8, max_attractors=max_attractors
        )
        return AgreementData(source, name="tiny", batch_size=16, **options)

    return make


def trainer(folder: Path, **options: Any) -> pl.Trainer:
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "max_epochs": 2,
        "logger": Lines(folder / "lines.jsonl"),
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "default_root_dir": folder,
        "log_every_n_steps": 1,
    }
    return pl.Trainer(**{**settings, **options})


def module(**options: Any) -> AgreementModule:
    pl.seed_everything(5, verbose=False)
    return AgreementModule(hidden_size=4, embedding_size=5, **options)


def weights(fitted: AgreementModule) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in fitted.named_parameters()}


def logged(fit: pl.Trainer) -> list[tuple[int, dict[str, float]]]:
    logger = fit.logger
    assert isinstance(logger, Lines)
    return logger.gates()


def read(classifier: Classifier, served: AgreementData) -> dict[str, float]:
    """Read the same from the tables of `memgate gates`, over the same items."""
    table = served.table("validation").take(sample_rows(served.prefixes["validation"]))
    predictor = Predictor(classifier, served.vocabulary, served.task)
    profile = read_gates(predictor, table).profile
    profile = profile[(profile["layer"] == profile["layer"].max()) & (profile["by"] == "role")]
    between = profile[profile["stratum"].isin(["attractor", "noun", "other"])]
    renamed = [
        profile.assign(stratum=profile["stratum"].replace({"attractor": "attractors"})),
        between.assign(stratum="intervening"),
    ]
    means = pooled(pd.concat(renamed), "number", "answer").set_index(["reading", "stratum"])["mean"]
    names = [f"gates/{reading}_{place}" for reading, place in means.index.to_list()]
    return dict(zip(names, means.to_list(), strict=True))


class Begin(pl.Callback):
    """Keeps the network as it was before the first step."""

    classifier: Classifier

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, AgreementModule)
        self.classifier = copy.deepcopy(pl_module.classifier)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_series_is_what_the_tables_say_of_the_same_weights(
    cell: str, data: Make, tmp_path: Path
) -> None:
    begin, network, tiny = Begin(), module(cell=cell, num_layers=2), data()
    fit = trainer(tmp_path, callbacks=[GateSeries(), begin])
    fit.fit(network, tiny)
    rows = logged(fit)
    n = int(fit.num_training_batches)
    early = [step for step in early_steps(n) if step < n]
    assert [step for step, _ in rows] == [0, *sorted(early), n, 2 * n]
    assert early == [1, 2, 4, 8, 16]
    names = {
        f"gates/{reading}_{place}"
        for reading in READINGS[cell]
        for place in ("subject", "intervening", "attractors")
    }
    assert all(its.keys() == names for _, its in rows)
    for measured, classifier in ((rows[0][1], begin.classifier), (rows[-1][1], network.classifier)):
        expected = read(classifier, tiny)
        assert measured == pytest.approx({name: expected[name] for name in names}, abs=1e-6)
    assert rows[0][1] != pytest.approx(rows[-1][1], abs=1e-3)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_training_is_the_same_to_the_bit_with_and_without(
    cell: str, data: Make, tmp_path: Path
) -> None:
    results = []
    for name, callbacks in (("with", [GateSeries()]), ("without", [])):
        (tmp_path / name).mkdir()
        network = module(cell=cell, num_layers=2, dropout=0.3)
        fit = trainer(tmp_path / name, callbacks=callbacks)
        fit.fit(network, data())
        assert bool(logged(fit)) == bool(callbacks)
        results.append((weights(network), torch.get_rng_state(), fit.callback_metrics["val/loss"]))
    (first, *rest), (second, *others) = results
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(map(torch.equal, rest, others))


@pytest.mark.parametrize("accumulated", [1, 3])
def test_all_metrics_of_a_run_stand_at_the_steps_of_the_optimiser(
    accumulated: int, data: Make, tmp_path: Path
) -> None:
    rates = LearningRateMonitor("step")
    fit = trainer(tmp_path, callbacks=[GateSeries(), rates], accumulate_grad_batches=accumulated)
    network = module(cell="gru")
    fit.fit(network, data())
    fit.test(network, data(), verbose=False)
    n = math.ceil(fit.num_training_batches / accumulated)
    assert fit.global_step == 2 * n
    logger = fit.logger
    assert isinstance(logger, Lines)
    for metric in ("train/loss", "val/loss", "val/accuracy", "val/balanced_accuracy"):
        assert logger.steps(metric) == [n, 2 * n]
    early = [2**power for power in range(5) if 2**power < n]
    assert logger.steps("gates/write_subject") == [0, *early, n, 2 * n]
    assert sorted(set(logger.steps("lr-Adam"))) == list(range(2 * n))  # before each step
    assert logger.steps("test/accuracy") == [2 * n]


class Stop(pl.Callback):
    """Stops a fit as a crash would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        if trainer.global_step == self.step:
            raise RuntimeError("the power is gone")


@pytest.mark.parametrize("step", [4, 32, 28], ids=["measured", "second-epoch", "epoch-end"])
@pytest.mark.filterwarnings("ignore:Checkpoint directory")  # it resumes there, on purpose
def test_a_resumed_fit_measures_each_step_once_and_goes_on_bit_for_bit(
    step: int, data: Make, tmp_path: Path
) -> None:
    def saved() -> ModelCheckpoint:
        return ModelCheckpoint(
            tmp_path, filename="last", enable_version_counter=False, save_on_exception=True
        )

    (tmp_path / "whole").mkdir()
    whole = module(cell="gru", dropout=0.3)
    fit = trainer(tmp_path / "whole", max_epochs=3, callbacks=[GateSeries()])
    fit.fit(whole, data())
    expected = logged(fit)
    settings: dict[str, Any] = {"max_epochs": 3, "enable_checkpointing": True}
    stopped = trainer(tmp_path, callbacks=[GateSeries(), Stop(step), saved()], **settings)
    with pytest.raises(RuntimeError, match="the power is gone"):
        stopped.fit(module(cell="gru", dropout=0.3), data())
    resumed, go_on = (
        module(cell="gru", dropout=0.3),
        trainer(tmp_path, callbacks=[GateSeries(), saved()], **settings),
    )
    go_on.fit(resumed, data(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert logged(go_on) == expected
    reached = weights(whole)
    assert all(torch.equal(weight, reached[name]) for name, weight in weights(resumed).items())


def test_a_short_epoch_is_measured_as_far_as_it_goes(data: Make, tmp_path: Path) -> None:
    fit = trainer(tmp_path, callbacks=[GateSeries()], limit_train_batches=2, max_epochs=1)
    fit.fit(module(cell="rnn"), data())
    assert [step for step, _ in logged(fit)] == [0, 1, 2]


def test_without_attractors_there_is_no_series_of_them(data: Make, tmp_path: Path) -> None:
    fit = trainer(tmp_path, callbacks=[GateSeries()], max_epochs=1, limit_train_batches=1)
    fit.fit(module(cell="gru"), data(max_attractors=0))
    for _, its in logged(fit):
        assert set(its) == {
            f"gates/{reading}_{place}"
            for reading in ("write", "state_update")
            for place in ("subject", "intervening")
        }


def test_where_no_subject_is_known_or_nobody_listens_nothing_is_logged(
    data: Make, tmp_path: Path
) -> None:
    fit = trainer(tmp_path, callbacks=[GateSeries()], max_epochs=1)
    fit.fit(module(cell="gru"), data(task="nouns"))  # reads nouns alone: their places are gone
    assert logged(fit) == []
    silent = trainer(tmp_path, callbacks=[GateSeries()], max_epochs=1, logger=False)
    silent.fit(module(cell="gru"), data())
    quick = trainer(tmp_path, callbacks=[GateSeries()], fast_dev_run=True)
    quick.fit(module(cell="gru"), data())
    assert logged(fit) == []


def prefixes(lengths: list[int], known: bool = True) -> Prefixes:
    n = len(lengths)
    unknown = torch.full((n,), -1)
    sizes = torch.tensor(lengths)
    return Prefixes(
        ids=torch.arange(sum(lengths)),
        starts=sizes.cumsum(0) - sizes,
        lengths=np.array(lengths),
        targets=unknown,
        labels=unknown,
        intervening=unknown,
        attractors=unknown,
        roles=torch.full((sum(lengths),), -1, dtype=torch.int8),
        subjects=torch.zeros(n, dtype=torch.int64) if known else unknown,
    )


def test_a_sample_has_the_lengths_of_the_whole() -> None:
    drawn = prefixes([2] * 500 + [5] * 240 + [9] * 10 + [30] * 250)
    rows = sample_rows(drawn)
    lengths, counts = np.unique(drawn.lengths[rows], return_counts=True)
    assert dict(zip(lengths.tolist(), counts.tolist(), strict=True)) == {2: 120, 5: 40, 30: 80}
    assert len(set(rows.tolist())) == len(rows)
    np.testing.assert_array_equal(rows, sample_rows(drawn))
    assert sample_rows(drawn, seed=1).tolist() != rows.tolist()
    few = sample_rows(prefixes([4, 7]))
    assert sorted(few.tolist()) == [0] * 120 + [1] * 120
    assert len(sample_rows(prefixes([4, 7], known=False))) == 0


def test_a_part_has_the_words_of_the_whole() -> None:
    whole = prefixes([3, 2, 3, 1])
    own = select(whole, np.array([2, 0]))
    assert own.lengths.tolist() == [3, 3]
    assert own.batch(torch.tensor([0, 1]), 3).inputs.tolist() == [[5, 6, 7], [0, 1, 2]]
