from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from memgate.cli import main
from memgate.tracking.delivery.spool import Spool
from memgate.tracking.runs import RunLogger
from memgate.tracking.store import connect, experiment, store_name


def left(name: str, metrics: int, store: str | None = None) -> str:
    """A run that left metrics; return its id."""
    run_id = str(connect().create_run(experiment("synthetic"), run_name=name).info.run_id)
    spool = Spool.create(
        Path("mlruns/spool", run_id).absolute(), {"run": name, "store": store or store_name()}
    )
    spool.add_metrics([{"key": "n", "value": n, "timestamp": 9, "step": n} for n in range(metrics)])
    spool.add_item("end", {"status": "FAILED", "time": 1234})
    spool.close()
    return run_id


def test_nothing_waits(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync"]) == 0
    assert capsys.readouterr().out == "nothing waits in mlruns/spool\n"
    assert not (empty / "mlruns").exists()


def test_what_waits_is_delivered(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = left("first", 3), left("second", 1200)
    assert main(["sync"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"first ({first}): delivered 3 metrics, end",
        f"second ({second}): delivered 1200 metrics, end",
    ]
    info = connect().get_run(second).info
    assert (info.status, info.end_time) == ("FAILED", 1234)
    found = connect().get_metric_history(second, "n")
    assert [point.step for point in found] == list(range(1200))


def test_another_store_and_a_deleted_run_hinder_no_other(
    trained: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    left("elsewhere", 1, "http://mlflow.example.org")
    deleted, last = left("deleted", 1), left("last", 1)
    connect().delete_run(deleted)
    assert main(["sync"]) == 2
    printed = capsys.readouterr()
    assert f"last ({last}): delivered 1 metric, end" in printed.out
    assert "it belongs to the store http://mlflow.example.org" in printed.err
    assert len(printed.err.splitlines()) == 1
    assert len(list(Path("mlruns/spool").iterdir())) == 2
    connect().restore_run(deleted)
    with RunLogger("synthetic", "next") as run:  # the next run delivers too
        _ = run.version
        assert connect().get_run(deleted).info.status == "FAILED"
    assert f"memgate: delivered for deleted ({deleted}): 1 metric, end" in caplog.messages


def test_a_run_that_goes_on_is_left_alone(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunLogger("synthetic", "going") as run:
        run.log_metrics({"n": 1.0}, 0)
        assert main(["sync"]) == 0
        assert capsys.readouterr().out == "skipped, as they are still running: 1\n"
        assert not connect().get_metric_history(str(run.version), "n")
    assert connect().get_run(str(run.version)).info.status == "FINISHED"


KILLED = """
import os, signal
from memgate.tracking.runs import RunLogger
with RunLogger("synthetic", "killed") as run:
    for step in range(7):
        run.log_metrics({"n": step}, step)
    run.log_dict({"a": 1}, "a.yaml")
    for step in range(7, 10):
        run.log_metrics({"n": step}, step)
    print(run.version, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.processes
def test_a_killed_run_loses_nothing(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    run_id = done.stdout.strip()
    assert connect().get_run(run_id).info.status == "RUNNING"
    assert len(connect().get_metric_history(run_id, "n")) == 7
    assert main(["sync"]) == 0
    assert f"killed ({run_id}): delivered 3 metrics" in capsys.readouterr().out
    run = connect().get_run(run_id)
    assert run.info.status == "KILLED"
    assert run.info.end_time >= run.info.start_time
    points = connect().get_metric_history(run_id, "n")
    assert [(point.step, point.value) for point in points] == [(n, n) for n in range(10)]
