"""`GateMonitor` in LightningModules that have nothing of memgate's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import DataLoader, TensorDataset

import memgate
from memgate.errors import InputError


class Adding(pl.LightningModule):
    """The sum of two marked numbers, with a recurrence two folders down."""

    def __init__(self, rnn: nn.Module, packed: bool = False) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict({"rnn": rnn, "other": nn.Linear(1, 1)})
        self.readout = nn.Linear(6, 1)
        self.packed = packed

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        inputs, targets = batch
        rnn = self.encoder["rnn"]
        if isinstance(rnn, nn.GRUCell):
            state = inputs.new_zeros(len(inputs), 6)
            for word in inputs.unbind(1):
                state = rnn(word, hx=state)
        elif self.packed:
            lengths = torch.arange(len(inputs), 0, -1).clamp(1, inputs.shape[1])
            _, state = rnn(pack_padded_sequence(inputs, lengths, batch_first=True))
        else:
            state = rnn(inputs)[0][:, -1, :6]
        state = state[0][-1] if isinstance(state, tuple) else state
        loss: Tensor = (self.readout(state).squeeze(-1) - targets).square().mean()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 0.01)

    def train_dataloader(self) -> DataLoader[Any]:
        inputs = torch.rand(32, 5, 2, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(inputs, inputs[..., 0].sum(1)), batch_size=4)


def fit(
    rnn: nn.Module, logger: Logger | list[Logger] | bool, steps: int = 8, **options: Any
) -> tuple[Adding, memgate.GateMonitor]:
    pl.seed_everything(0, verbose=False)
    module = Adding(rnn, options.pop("packed", False))
    monitor = memgate.GateMonitor(options.pop("module", "encoder.rnn"), options.pop("every", 3))
    trainer = pl.Trainer(
        max_epochs=1,
        max_steps=steps,
        logger=logger,
        callbacks=[monitor],
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        log_every_n_steps=1,
        **options,
    )
    trainer.fit(module)
    return module, monitor


class Kept(Logger):
    """Any logger at all: it has what Lightning asks for, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: list[tuple[int | None, dict[str, float]]] = []

    name = version = "kept"

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        gates = {name: value for name, value in metrics.items() if name.startswith("gates/")}
        if gates:
            self.logged.append((step, gates))


NAMES = ["mean", "below_0.1", "above_0.9"]


def lstm(**options: Any) -> nn.LSTM:
    return nn.LSTM(2, 6, batch_first=True, **options)


def test_metrics_are_those_of_the_trace_at_the_planned_steps() -> None:
    logger = Kept()
    module, _ = fit(lstm(), logger, steps=6)
    assert [step for step, _ in logger.logged] == [3, 6]
    batch = list(module.train_dataloader())[5][0]
    with torch.no_grad():
        trace = memgate.trace(module.encoder["rnn"], batch)
    last = logger.logged[-1][1]
    for reading, values in {"write": trace.write, "keep": trace.keep}.items():
        expected = values.mean(), (values < 0.1).double().mean(), (values >= 0.9).double().mean()
        for name, value in zip(NAMES, expected, strict=True):
            found = last.pop(f"gates/encoder.rnn.l0/{reading}_{name}")
            assert found == pytest.approx(float(value), abs=1e-6)
    assert last == {}


@pytest.mark.parametrize(
    ("rnn", "options", "parts"),
    [
        (lambda: nn.GRU(2, 6, batch_first=True), {}, [".l0/write"]),
        (lambda: nn.GRUCell(2, 6), {}, ["/write"]),
        (
            lambda: lstm(num_layers=2, dropout=0.5),
            {},
            [".l0/write", ".l0/keep", ".l1/write", ".l1/keep"],
        ),
        (
            lambda: nn.GRU(2, 6, batch_first=True, bidirectional=True),
            {},
            [".l0/write", ".l0_reverse/write"],
        ),
        (lstm, {"packed": True}, [".l0/write", ".l0/keep"]),
        (lstm, {"precision": "bf16-mixed"}, [".l0/write", ".l0/keep"]),
        (lstm, {"accumulate_grad_batches": 2}, [".l0/write", ".l0/keep"]),
    ],
)
def test_any_recurrence_and_any_trainer(
    rnn: Any, options: dict[str, Any], parts: list[str]
) -> None:
    logger = Kept()
    module, _ = fit(rnn(), logger, **options)
    assert {step for step, _ in logger.logged} == (
        {3} if "accumulate_grad_batches" in options else {3, 6}
    )
    names = {f"gates/encoder.rnn{part}_{name}" for part in parts for name in NAMES}
    for _, metrics in logger.logged:
        assert metrics.keys() == names
        assert all(0 <= value <= 1 for value in metrics.values())
    recurrence = module.encoder["rnn"]
    assert not recurrence._forward_pre_hooks, "no hook is left"


def test_weights_move_as_without_it() -> None:
    """Bit for bit, from the same start."""
    start = lstm(num_layers=2, dropout=0.5).state_dict()
    ends = []
    for logger in (Kept(), False):
        rnn = lstm(num_layers=2, dropout=0.5)
        rnn.load_state_dict(start)
        module, _ = fit(rnn, logger, every=1)
        ends.append([weight.clone() for weight in module.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))


def test_files_of_csv_have_the_columns(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path)
    fit(lstm(), logger)
    table = pd.read_csv(Path(logger.log_dir) / "metrics.csv").dropna(
        subset=["gates/encoder.rnn.l0/write_mean"]
    )
    assert table["step"].tolist() == [3, 6]


def test_mlflow_has_metrics_and_a_figure(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    logger = MLFlowLogger("gates", tracking_uri=uri, artifact_location=str(tmp_path / "files"))
    fit(lstm(), logger)
    client, run = logger.experiment, logger.run_id
    assert run is not None
    history = client.get_metric_history(run, "gates/encoder.rnn.l0/keep_mean")
    assert [metric.step for metric in history] == [3, 6]
    (figure,) = client.list_artifacts(run, "gates")
    assert figure.path == "gates/encoder.rnn.png"
    assert Path(client.download_artifacts(run, figure.path)).read_bytes()[:4] == b"\x89PNG"


def test_tensorboard_has_a_figure() -> None:
    """By the interface of its writer, for TensorBoard isn't installed here."""

    class Writer:
        def __init__(self) -> None:
            self.figures: list[tuple[str, int]] = []

        def add_figure(self, tag: str, figure: Any, global_step: int) -> None:
            assert figure.axes
            self.figures.append((tag, global_step))

    class Board(Kept):
        experiment = Writer()

    fit(lstm(), board := Board())
    assert board.experiment.figures == [("gates/encoder.rnn", 8)]


# Refusals


@pytest.mark.parametrize(
    ("rnn", "name", "message"),
    [
        (lstm, "encoder.rn", r"a recurrence \(encoder.rnn\), got 'encoder.rn': no such module"),
        (lstm, "encoder.other", r"a recurrence \(encoder.rnn\), got 'encoder.other': Linear"),
        (lambda: nn.RNN(2, 6, batch_first=True), "encoder.rnn", "expected a GRU or an LSTM, got"),
    ],
)
def test_refuses_a_module_without_gates_before_training(rnn: Any, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit(rnn(), Kept(), module=name)


def test_refuses_no_steps() -> None:
    with pytest.raises(InputError, match="every_n_steps: expected at least 1, got 0"):
        memgate.GateMonitor("rnn", 0)


def test_an_error_of_the_module_leaves_no_hook() -> None:
    class Broken(Adding):
        def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
            super().training_step(batch, batch_idx)
            raise RuntimeError("broken")

    module = Broken(lstm())
    trainer = pl.Trainer(
        log_every_n_steps=1,
        logger=Kept(),
        callbacks=[memgate.GateMonitor("encoder.rnn", 1)],
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        max_epochs=1,
    )
    with pytest.raises(RuntimeError, match="broken"):
        trainer.fit(module)
    assert not module.encoder["rnn"]._forward_pre_hooks
