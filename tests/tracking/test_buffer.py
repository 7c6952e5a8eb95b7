from __future__ import annotations

import json
import time
from pathlib import Path

import mlflow
import pytest

from memgate.tracking.buffer import MetricBuffer
from memgate.tracking.store import connect, experiment


def test_full_buffers_are_sent_and_none_is_lost(project: Path) -> None:
    client = connect()
    run_id = client.create_run(experiment("synthetic")).info.run_id
    buffer = MetricBuffer(client, run_id)
    buffer.add({"loss": 0.0}, step=0)
    assert not client.get_metric_history(run_id, "loss")  # one alone waits
    for step in range(1, 2500):
        buffer.add({"loss": step / 2}, step)
    assert len(client.get_metric_history(run_id, "loss")) == 2000
    buffer.flush()
    history = client.get_metric_history(run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(s, s / 2) for s in range(2500)]


def test_old_metrics_are_sent(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connect()
    run_id = client.create_run(experiment("synthetic")).info.run_id
    buffer = MetricBuffer(client, run_id)
    buffer.add({"loss": 1.0}, step=0)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 5)
    buffer.add({"loss": 2.0}, step=1)
    assert len(client.get_metric_history(run_id, "loss")) == 2


def test_names_mlflow_refuses_and_values_that_are_no_numbers(project: Path) -> None:
    client = connect()
    run_id = client.create_run(experiment("synthetic")).info.run_id
    buffer = MetricBuffer(client, run_id)
    buffer.add({"acc@(1)": 1.0, "val/acc 0.5": 2.0, "nan": float("nan")}, step=0)
    buffer.flush()
    metrics = client.get_run(run_id).data.metrics
    assert metrics.keys() == {"acc__1_", "val/acc 0.5", "nan"}
    assert metrics["nan"] != metrics["nan"]


def test_what_a_store_refuses_is_kept_and_spooled(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    buffer = MetricBuffer(mlflow.MlflowClient("http://127.0.0.1:9"), "f00")
    buffer.add({"loss": 1.0}, step=3)
    with pytest.warns(UserWarning, match="the store doesn't take them"):
        buffer.flush()
    for step in range(4, 1100):  # full, but the next try is a minute away: no warning, no request
        buffer.add({"loss": 2.0}, step)
    path = tmp_path / "new" / "unsent.jsonl"
    with pytest.warns(UserWarning, match="1097 metrics that the store didn't take are in"):
        buffer.spool(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(3, 1100))
    assert lines[0]["value"] == 1


def test_an_empty_buffer_spools_nothing(project: Path, tmp_path: Path) -> None:
    MetricBuffer(connect(), "f00").spool(tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()
