"""Samples of the machine: what MLflow's own monitor would log, by contiguous steps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from memgate.tracking import system_metrics
from memgate.tracking.store import connect
from memgate.tracking.system_metrics import SystemMetrics, next_step


def samples(first_step: int, seconds: float) -> list[tuple[int, Mapping[str, float]]]:
    logged: list[tuple[int, Mapping[str, float]]] = []
    sampler = SystemMetrics(lambda metrics, step: logged.append((step, metrics)), first_step)
    sampler.start()
    time.sleep(seconds)
    sampler.finish()
    return logged


def test_the_metrics_are_those_of_mlflow(project: Path) -> None:
    monitor = SystemMetricsMonitor("any run")  # type: ignore[no-untyped-call]
    expected = {f"system/{name}" for name in monitor.collect_metrics()}  # type: ignore[no-untyped-call]
    ((step, metrics),) = samples(first_step=7, seconds=0)
    assert step == 7
    assert metrics.keys() == expected
    assert "system/cpu_utilization_percentage" in expected
    assert 0 < metrics["system/system_memory_usage_percentage"] < 100


def test_steps_are_contiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_metrics, "SAMPLE_SECONDS", 0.01)
    steps = [step for step, _ in samples(first_step=3, seconds=0.5)]
    assert len(steps) > 2
    assert steps == list(range(3, 3 + len(steps)))


def test_mlflows_own_variables_count(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_NODE_ID", "node3")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "60")
    ((_, metrics),) = samples(first_step=0, seconds=0.1)
    assert all(name.startswith("system/node3/") for name in metrics)
    (run,) = connect().search_runs(["1"])
    assert next_step(connect(), run.info.run_id) == 0
    connect().log_metric(run.info.run_id, "system/node3/cpu_utilization_percentage", 1.0, step=4)
    assert next_step(connect(), run.info.run_id) == 5
