"""Metrics on their way to the store: sent in batches, kept while the store doesn't take them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path

import mlflow
from lightning.pytorch.utilities import rank_zero_warn
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

BATCH = 1000
"""Metrics of one request, MLflow's limit: 0.1 ms each, where one at a time takes 4.4 to 6 ms."""

FLUSH_SECONDS = 5.0
RETRY_SECONDS = 60.0
"""Pause after a request that failed: a server that doesn't answer blocks each for 20 s."""


class MetricBuffer:
    """Metrics of one run that wait to be sent.

    Args:
        client: MLflow's client.
        run_id: The run.
    """

    def __init__(self, client: mlflow.MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._waiting: list[Metric] = []
        self._next = time.monotonic() + FLUSH_SECONDS
        self._refused = False

    def add(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep metrics, and send all that wait once 1,000 do or 5 s have passed."""
        now = int(time.time() * 1000)
        self._waiting += [
            Metric(re.sub(r"[^\w./: -]", "_", key), float(value), now, step)
            for key, value in metrics.items()
        ]
        full = len(self._waiting) >= BATCH and not self._refused
        if full or time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Send what waits; what the store doesn't take is kept, and a warning says so."""
        while self._waiting:
            try:
                self._client.log_batch(self._run_id, metrics=self._waiting[:BATCH])
            except MlflowException as error:
                rank_zero_warn(f"metrics are kept, the store doesn't take them: {error.message}")
                self._refused, self._next = True, time.monotonic() + RETRY_SECONDS
                return
            del self._waiting[:BATCH]
        self._refused, self._next = False, time.monotonic() + FLUSH_SECONDS

    def spool(self, path: Path) -> None:
        """Write what still waits to a JSONL file; none if nothing does."""
        if not self._waiting:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(dict(metric)) for metric in self._waiting]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        rank_zero_warn(f"{len(lines)} metrics that the store didn't take are in {path}")
