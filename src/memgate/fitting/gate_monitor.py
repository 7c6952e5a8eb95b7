"""The gates of a recurrence inside any LightningModule, logged while it trains: `GateMonitor`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from memgate.errors import InputError
from memgate.gates.group_statistics import gate_statistics
from memgate.gates.trace import (
    RECURRENCES,
    STEP_MODULES,
    InitialStates,
    Inputs,
    Trace,
    trace,
)
from memgate.models.cells import Recurrence, StepModule, cell_of
from memgate.reporting.plots.gates import gate_figure

MEASURED = ("mean", "below_0.1", "above_0.9")
"""The columns of `memgate.gate_statistics` whose means over units are logged."""


class GateMonitor(pl.Callback):
    """Logs what the gates of a recurrence do while any LightningModule trains.

    The metrics are means over units and words, all in [0, 1], at the number of steps that the
    optimiser has taken. For a module ``encoder.rnn`` they are, of each layer and direction,
    ``gates/encoder.rnn.l0/write_mean``, and ``write_below_0.1`` and ``write_above_0.9``, the
    proportions that are nearly shut and nearly open (Karpathy et al. 2015, section 4.2); of an LSTM
    so too for ``keep`` (a GRU's keep is 1 - write). The reverse direction is ``l0_reverse``; a cell
    has neither. At the end of training loggers of MLflow and TensorBoard get a figure of the last
    measurement: ``gates/encoder.rnn.png``.

    The callback keeps what the recurrence is given in a training batch, and reads it with the
    weights after that step. Padding isn't counted where it is packed; in a padded tensor it can't
    be told from words. Training isn't changed: dropout between layers isn't applied in the reading,
    and nothing is taken from torch's random numbers. Only the first process measures, its own
    batches.

    Args:
        module: The name of an ``nn.RNN``-like module or cell inside the LightningModule, as in
            ``named_modules()``.
        every_n_steps: Steps of the optimiser between measurements, at least 1.

    Raises:
        InputError: When training starts: there is no such module, or it has no gates. At once:
            `every_n_steps` is less than 1.

    >>> import memgate
    >>> monitor = memgate.GateMonitor(module="encoder.rnn", every_n_steps=50)
    """

    def __init__(self, module: str, every_n_steps: int = 100) -> None:
        if every_n_steps < 1:
            raise InputError(f"every_n_steps: expected at least 1, got {every_n_steps}")
        self._module = module
        self._every = every_n_steps
        self._next = every_n_steps
        self._hook: RemovableHandle | None = None
        self._calls: list[tuple[Inputs, InitialStates | None]] = []
        self._table: pd.DataFrame | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find the module."""
        self._recurrence(pl_module)
        self._next = self._after(trainer.global_step)

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Listen to the module if this batch may end with a step that is measured."""
        if trainer.loggers and trainer.is_global_zero and trainer.global_step + 1 >= self._next:
            self._calls = []
            net = self._recurrence(pl_module)
            self._hook = net.register_forward_pre_hook(self._keep, with_kwargs=True)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Measure and log, if the optimiser has taken the step."""
        if self._hook is None:
            return
        self._stop_listening()
        step = trainer.global_step
        if step < self._next or not self._calls:
            return
        self._next = self._after(step)
        net = self._recurrence(pl_module)
        self._table = _measured(net, self._calls)
        self._calls = []
        metrics = _metrics(f"gates/{self._module}", self._table, net)
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log a figure of the last measurement."""
        if self._table is not None:
            for logger in trainer.loggers:
                _log_figure(logger, self._module, self._table, trainer.global_step)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave no hook behind."""
        self._stop_listening()

    def _after(self, step: int) -> int:
        return (step // self._every + 1) * self._every

    def _stop_listening(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _recurrence(self, pl_module: pl.LightningModule) -> Recurrence | StepModule:
        modules = dict(pl_module.named_modules())
        net = modules.get(self._module)
        if not isinstance(net, RECURRENCES):
            names = [name for name, part in modules.items() if isinstance(part, RECURRENCES)]
            there = ", ".join(names) or "there is none"
            got = "no such module" if net is None else type(net).__name__
            raise InputError(
                f"module: expected the name of a recurrence ({there}), got {self._module!r}: {got}"
            )
        if not cell_of(net).gates:
            raise InputError(f"module: expected a GRU or an LSTM, got {self._module!r}: an RNN")
        return net

    def _keep(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keep what the recurrence is given."""
        given = dict(zip(("input", "hx"), args, strict=False)) | kwargs
        self._calls.append((given["input"], given.get("hx")))


@torch.no_grad()
def _measured(
    net: Recurrence | StepModule, calls: Sequence[tuple[Inputs, InitialStates | None]]
) -> pd.DataFrame:
    """Return the statistics of all calls of a recurrence; half precision of AMP is widened."""
    dtype, training = next(net.parameters()).dtype, net.training
    net.eval()  # without dropout between layers
    try:
        return gate_statistics(_traces(net, calls, dtype))
    finally:
        net.train(training)


def _traces(
    net: Recurrence | StepModule,
    calls: Sequence[tuple[Inputs, InitialStates | None]],
    dtype: torch.dtype,
) -> Iterator[Trace]:
    for inputs, hx in calls:
        sequence = inputs.to(dtype=dtype)
        if isinstance(net, STEP_MODULES) and isinstance(sequence, Tensor):
            sequence = sequence.unsqueeze(0)  # a cell is called for each word
        yield trace(net, sequence, hx=_converted(hx, dtype))


def _converted(hx: InitialStates | None, dtype: torch.dtype) -> InitialStates | None:
    if isinstance(hx, tuple):
        return hx[0].to(dtype), hx[1].to(dtype)
    return hx if hx is None else hx.to(dtype)


def _metrics(prefix: str, table: pd.DataFrame, net: Recurrence | StepModule) -> dict[str, float]:
    """Return the mean over units of each layer, direction and reading."""
    metrics = {}
    once = table[(table["gate"] != "update") | (table["reading"] == "write")]
    keys = ["layer", "direction", "reading"]  # gates that have no reading fall out
    for (layer, direction, reading), rows in once.groupby(keys):
        ending = f".l{layer}" + ("_reverse" if direction == "reverse" else "")
        name = prefix if isinstance(net, STEP_MODULES) else prefix + ending
        for column in MEASURED:
            metrics[f"{name}/{reading}_{column}"] = float(rows[column].mean())
    return metrics


def _log_figure(logger: Logger, name: str, table: pd.DataFrame, step: int) -> None:
    """Log the figure of saturation, where a logger takes figures."""
    figure, path = gate_figure(table), f"gates/{name}.png"
    log_files = getattr(logger, "log_files", None)  # memgate's own, which keeps what isn't sent
    experiment: Any = getattr(logger, "experiment", None)
    if log_files is not None:
        log_files({path: figure.savefig})
    elif hasattr(experiment, "log_figure"):  # MLflow's client
        experiment.log_figure(logger.version, figure, path)
    elif hasattr(experiment, "add_figure"):  # TensorBoard's writer
        experiment.add_figure(f"gates/{name}", figure, step)
