"""Samples of CPU, memory, disk, network and GPU while a run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import mlflow
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

SAMPLE_SECONDS = 5.0
"""Between two samples."""


class Monitor(SystemMetricsMonitor):
    """MLflow's monitor, whose thread asks the store nothing: it can't hang where that is away.

    MLflow's own asks for the run after every sample, ends for good when that fails once, and joins
    its thread within a request that may take 20 s.

    Args:
        run_id: The run.
        keep: Is given metrics and their step, in another thread.
        resumed: Whether steps go on where those of the run ended.
    """

    def __init__(
        self, run_id: str, keep: Callable[[Mapping[str, float], int], object], resumed: bool
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            run_id,
            sampling_interval=SAMPLE_SECONDS,
            resume_logging=resumed,
            tracking_uri=mlflow.get_tracking_uri(),
        )
        self._keep = keep

    def monitor(self) -> None:
        """Sample until the end."""
        while not self._shutdown_event.is_set():
            for _ in range(self.samples_before_logging):
                self.collect_metrics()  # type: ignore[no-untyped-call]
                if self._shutdown_event.wait(self.sampling_interval):
                    return
            self.publish_metrics(self.aggregate_metrics())  # type: ignore[no-untyped-call]

    def publish_metrics(self, metrics: Mapping[str, float]) -> None:
        """Pass a mean of samples on."""
        prefix = f"{self._metrics_prefix}{self.node_id}/" if self.node_id else self._metrics_prefix
        self._keep({prefix + key: value for key, value in metrics.items()}, self._logging_step)
        self._logging_step += 1
        for each in self.monitors:
            each.clear_metrics()  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """Stop; what was sampled since the last time is passed on, so that each run has some."""
        self._shutdown_event.set()
        if self._process is not None:
            self._process.join()
            self.publish_metrics(self.aggregate_metrics())  # type: ignore[no-untyped-call]
        self._process = None
