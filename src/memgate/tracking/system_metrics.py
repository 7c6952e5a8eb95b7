"""CPU, memory, disk, network and GPU of this machine, sampled while a run goes on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import mlflow
from mlflow.environment_variables import (
    MLFLOW_SYSTEM_METRICS_NODE_ID,
    MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL,
)
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
from mlflow.system_metrics.metrics.rocm_monitor import ROCMMonitor

SAMPLE_SECONDS = 5.0
"""Between two samples, unless the user set MLflow's own variable for it."""


class _Collector(Protocol):
    """What MLflow's collectors, which have no annotations, have in common."""

    def collect_metrics(self) -> None: ...

    def aggregate_metrics(self) -> Mapping[str, float]: ...

    def clear_metrics(self) -> None: ...


COLLECTORS: tuple[Callable[[], _Collector], ...] = (
    CPUMonitor,
    DiskMonitor,
    NetworkMonitor,
    GPUMonitor,
    ROCMMonitor,
)


class SystemMetrics:
    """A thread that samples MLflow's collectors and sends nothing itself.

    MLflow's `SystemMetricsMonitor` asks the store for the run after every sample. If the store is
    away it stops for good, and its end may wait 20 s for that request.

    Args:
        log: Receives metrics and their step, in another thread.
        first_step: Step of the first sample.
    """

    def __init__(self, log: Callable[[Mapping[str, float], int], object], first_step: int) -> None:
        self._log = log
        self._step = first_step
        self._collectors = list(_collectors())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="system-metrics", daemon=True)

    def start(self) -> None:
        """Take the first sample, and one every `SAMPLE_SECONDS`."""
        self._thread.start()

    def finish(self) -> None:
        """Stop, after the last sample is logged: even the shortest run has one."""
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        prefix = _prefix()
        interval = MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get()  # type: ignore[no-untyped-call]
        stopped = False
        while not stopped:
            for collector in self._collectors:
                collector.collect_metrics()
            stopped = self._stop.wait(interval or SAMPLE_SECONDS)
            metrics = {}
            for collector in self._collectors:
                for name, value in collector.aggregate_metrics().items():
                    metrics[prefix + name] = value
                collector.clear_metrics()
            with contextlib.suppress(OSError):  # a full disk ends the fit where it logs itself
                self._log(metrics, self._step)
            self._step += 1


def next_step(client: mlflow.MlflowClient, run_id: str) -> int:
    """Return the step after a run's last sample, for a run that is resumed."""
    samples = client.get_metric_history(run_id, f"{_prefix()}cpu_utilization_percentage")
    return max((sample.step + 1 for sample in samples), default=0)


def _prefix() -> str:
    """Return what the metrics' names begin with; MLflow's UI shows such metrics on a tab."""
    node = MLFLOW_SYSTEM_METRICS_NODE_ID.get()  # type: ignore[no-untyped-call]
    return f"system/{node}/" if node else "system/"


def _collectors() -> Iterator[_Collector]:
    for collector in COLLECTORS:
        try:
            yield collector()
        except (ImportError, RuntimeError):  # no library for such a GPU, or no such GPU
            continue
