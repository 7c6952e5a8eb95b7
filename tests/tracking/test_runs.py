from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException
from mlflow.entities import Run
from torch.utils.data import DataLoader, TensorDataset

import memgate
from memgate.errors import InputError
from memgate.tracking import runs, system_metrics
from memgate.tracking.delivery.spool import Spool
from memgate.tracking.runs import RunLogger, is_finished
from memgate.tracking.store import connect, store_name, tracking_uri

# Toys need no workers.
pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")


class Toy(LightningModule):
    """One weight; the loss is its value, so each step of SGD takes 1 from it."""

    def __init__(self, pause: float = 0.0) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.pause = pause
        self.weight = torch.nn.Parameter(torch.tensor(10.0))

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        time.sleep(self.pause)
        self.log("train/loss", self.weight, on_step=True, on_epoch=False)
        return self.weight * 1

    def on_train_epoch_start(self) -> None:
        print("epoch", self.current_epoch, flush=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


def trainer(logger: RunLogger, epochs: int) -> Trainer:
    return Trainer(
        logger=logger,
        max_epochs=epochs,
        accelerator="cpu",
        log_every_n_steps=1,
        callbacks=[ModelCheckpoint(save_last=True)],
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def batches() -> DataLoader[tuple[torch.Tensor, ...]]:
    return DataLoader(TensorDataset(torch.zeros(4)), batch_size=2)


def read(logger: RunLogger) -> Run:
    return connect().get_run(str(logger.version))


def test_a_fit(project: Path) -> None:
    with RunLogger("synthetic", "toy", tags={"cell": "gru"}) as logger:
        trainer(logger, epochs=2).fit(Toy(), batches())
        assert read(logger).info.status == "RUNNING"  # finalize has been called, end has not
        assert len(connect().get_metric_history(str(logger.version), "train/loss")) == 4
    run = read(logger)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "toy")
    history = connect().get_metric_history(run.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in history] == [(0, 10), (1, 9), (2, 8), (3, 7)]
    assert run.data.params == {"pause": "0.0"}
    assert run.data.tags["cell"] == "gru"
    assert run.data.tags["memgate.version"] == memgate.__version__
    folder = project / "mlruns" / "checkpoints" / "toy" / run.info.run_id / "checkpoints"
    assert (folder / "last.ckpt").is_file()
    assert "system/cpu_utilization_percentage" in run.data.metrics


def test_commit_is_that_of_the_source(project: Path) -> None:
    head = subprocess.run(
        ["git", "-C", str(Path(memgate.__file__).parent), "rev-parse", "--verify", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    expected = head.stdout.strip() if head.returncode == 0 else None
    with RunLogger("synthetic", "toy") as logger:
        assert read(logger).data.tags.get("mlflow.source.git.commit") == expected


def test_resume(project: Path) -> None:
    with RunLogger("synthetic", "toy") as logger:
        logger.log_hyperparams({"lr": 0.1, "size": 8})
        logger.log_metrics({"loss": 2.0}, step=0)
    run_id = str(logger.version)
    with RunLogger("synthetic", "toy", run_id=run_id) as again:
        assert read(again).info.status == "RUNNING"
        again.log_hyperparams({"lr": 0.2, "size": 8, "new": 1})
        again.log_metrics({"loss": 1.0}, step=1)
    run = read(again)
    assert (run.info.run_id, run.info.status) == (run_id, "FINISHED")
    assert run.data.params == {"lr": "0.1", "size": "8", "new": "1"}
    changed = {key: tag for key, tag in run.data.tags.items() if key.startswith("changed/")}
    assert changed == {"changed/lr": "0.2"}
    history = connect().get_metric_history(run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(0, 2), (1, 1)]
    samples = connect().get_metric_history(run_id, "system/cpu_utilization_percentage")
    assert [sample.step for sample in samples] == [0, 1]  # one each, and their clock goes on


def test_resume_of_no_run(project: Path) -> None:
    with pytest.raises(InputError, match=r"run f00: can't be resumed: Run with id=f00 not found"):
        _ = RunLogger("synthetic", "toy", run_id="f00").experiment


def test_resume_makes_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="found no file"):
        _ = RunLogger("synthetic", "toy", run_id="f00").experiment
    assert not list(tmp_path.iterdir())


def interrupted() -> SystemExit:
    """What Lightning makes of Ctrl-C."""
    try:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            sys.exit(1)
    except SystemExit as error:
        return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "FINISHED"),
        (SystemExit(0), "FINISHED"),
        (SystemExit(), "FINISHED"),
        (SystemExit(1), "FAILED"),
        (ValueError("x"), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
        (interrupted(), "KILLED"),
        (SIGTERMException(), "KILLED"),
    ],
)
def test_status(project: Path, error: BaseException | None, status: str) -> None:
    logger = RunLogger("synthetic", "toy")
    with contextlib.suppress(BaseException), logger:
        logger.log_metrics({"loss": 1.0}, step=3)
        if error is not None:
            raise error
    run = read(logger)
    assert run.info.status == status
    assert run.data.metrics["loss"] == 1
    logger.end("FINISHED")  # the first end counts
    assert read(logger).info.status == status


def test_a_block_that_logs_nothing_makes_no_run(project: Path) -> None:
    before = len(connect().search_runs(["1"]))
    with RunLogger("synthetic", "toy"):
        pass
    assert len(connect().search_runs(["1"])) == before == 1


def test_exceptions_pass(project: Path) -> None:
    with pytest.raises(ValueError, match="the loss is lost"), RunLogger("synthetic", "toy"):
        raise ValueError("the loss is lost")


def test_sigterm_outside_of_lightning(project: Path) -> None:
    logger, before = RunLogger("synthetic", "toy"), signal.getsignal(signal.SIGTERM)

    def work() -> None:
        with logger:
            logger.log_metrics({"loss": 1.0})
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)  # unless the signal interrupts it

    with pytest.raises(SIGTERMException) as caught:
        work()
    assert caught.value.code == 143
    assert read(logger).info.status == "KILLED"
    assert signal.getsignal(signal.SIGTERM) == before


class Terminated(Toy):
    """Gets a SIGTERM in its second step, and finishes that step."""

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if self.global_step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().training_step(batch, batch_idx)


def test_sigterm_during_a_fit(project: Path) -> None:
    logger, before = RunLogger("synthetic", "toy"), signal.getsignal(signal.SIGTERM)

    def work() -> None:
        with logger:
            trainer(logger, epochs=3).fit(Terminated(), batches())

    with pytest.raises(SIGTERMException):
        work()
    assert read(logger).info.status == "KILLED"
    assert len(connect().get_metric_history(str(logger.version), "train/loss")) == 2
    assert signal.getsignal(signal.SIGTERM) == before


FIT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("toys", sys.argv[1])
toys = importlib.util.module_from_spec(spec)
spec.loader.exec_module(toys)
with toys.RunLogger("synthetic", "long") as logger:
    toys.trainer(logger, epochs=10_000).fit(toys.Toy(pause=0.01), toys.batches())
"""


@pytest.mark.processes
def test_ctrl_c_during_a_fit(project: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", FIT, __file__],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("epoch 3"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    (run,) = connect().search_runs(["1"], "attributes.run_name = 'long'")
    assert run.info.status == "KILLED"
    points = connect().get_metric_history(run.info.run_id, "train/loss")
    assert len(points) >= 6  # three epochs of two steps: the buffer was sent
    (folder,) = (project / "mlruns" / "checkpoints" / "long").iterdir()
    assert folder.name == run.info.run_id
    assert (folder / "checkpoints" / "last.ckpt").is_file()


def test_other_ranks_log_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = connect().search_runs(["1"])
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    with RunLogger("synthetic", "toy") as logger:
        assert logger.version is None
        logger.log_metrics({"loss": 1.0})
        logger.log_hyperparams({"lr": 1})
        logger.describe("text")
        logger.log_files({"x.csv": partial(pd.DataFrame().to_csv, index=False)})
    monkeypatch.setattr(rank_zero_only, "rank", 0)
    assert len(connect().search_runs(["1"])) == len(before)


def test_the_end_does_not_wait_for_the_next_sample(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_metrics, "SAMPLE_SECONDS", 60.0)
    logger = RunLogger("synthetic", "toy")
    _ = logger.experiment
    started = time.monotonic()
    logger.end("FINISHED")
    assert time.monotonic() - started < 30  # the next sample is 60 s away


def test_a_store_that_dies_stops_no_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    logger = RunLogger("synthetic", "toy")
    _ = logger.experiment
    run_id = str(logger.version)
    logger.log_metrics({"loss": 1.5}, step=7)
    assert tracking_uri().startswith("sqlite")
    dead = mlflow.MlflowClient("http://127.0.0.1:9")
    monkeypatch.setattr(logger._outbox, "_client", dead)
    logger.end("FINISHED")
    path = project / "mlruns" / "spool" / run_id / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0].items() >= {"key": "loss", "value": 1.5, "step": 7}.items()
    assert any(line["key"].startswith("system/") for line in lines)  # the monitor's too


def test_a_run_is_resumed_in_one_process_only(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SPOOL_LOCK_SECONDS", 0.1)
    with RunLogger("synthetic", "toy") as logger:
        with pytest.raises(InputError, match="still running in another process"):
            _ = RunLogger("synthetic", "toy", run_id=str(logger.version)).experiment
        logger.log_metrics({"loss": 1.5}, step=7)
    assert read(logger).info.status == "FINISHED"


def test_a_run_resumes_when_who_delivers_for_it_is_done(project: Path) -> None:
    with RunLogger("synthetic", "toy") as logger:
        run_id = str(logger.version)
    spool = Spool.create(project / "mlruns/spool" / run_id, {"run": "toy", "store": store_name()})
    soon = threading.Timer(0.5, spool.close)
    soon.start()
    with RunLogger("synthetic", "toy", run_id=run_id) as again:
        again.log_metrics({"loss": 1.5}, step=1)
    soon.join()
    assert read(again).data.metrics["loss"] == 1.5


def test_a_resumed_run_first_says_what_it_left(project: Path) -> None:
    with RunLogger("synthetic", "toy") as logger:
        run_id = str(logger.version)
    spool = Spool.create(project / "mlruns/spool" / run_id, {"run": "toy", "store": store_name()})
    spool.add_metrics([{"key": "loss", "value": 2.5, "timestamp": 1, "step": 0}])
    spool.add_item("end", {"status": "FAILED", "time": 1})
    spool.close()
    with RunLogger("synthetic", "toy", run_id=run_id) as again:
        again.log_metrics({"loss": 1.5}, step=1)
        again.finalize("success")
        assert read(again).info.status == "RUNNING"
    history = connect().get_metric_history(run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(0, 2.5), (1, 1.5)]
    assert read(again).info.status == "FINISHED"


def test_only_a_run_that_ended_well_or_is_gone_is_finished(project: Path) -> None:
    with RunLogger("synthetic", "toy") as logger:
        run_id = str(logger.version)
        assert not is_finished(run_id)
    assert is_finished(run_id)
    killed = connect().create_run("1").info.run_id
    connect().set_terminated(killed, "KILLED")
    assert not is_finished(killed)
    connect().delete_run(killed)
    assert is_finished(killed)
    assert is_finished("f" * 32)


def test_a_run_that_cannot_be_read_is_not_taken_for_finished(project: Path) -> None:
    (run,) = connect().search_runs(["1"])
    with contextlib.closing(sqlite3.connect("mlruns/mlflow.db")) as connection, connection:
        connection.execute("DROP TABLE tags")
    with pytest.raises(InputError, match=f"^run {run.info.run_id}: can't be read: ") as caught:
        is_finished(run.info.run_id)
    assert "\n" not in str(caught.value)
    Path("mlruns/mlflow.db").unlink()
    with pytest.raises(InputError, match="found no file"):
        is_finished(run.info.run_id)
