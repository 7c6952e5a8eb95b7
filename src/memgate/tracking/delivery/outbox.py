"""`Outbox`: what one run logs is written to its spool at once and sent to the store in batches."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import mlflow

from memgate.errors import InputError
from memgate.tracking.delivery.deliver import BATCH, FAILURES, deliver
from memgate.tracking.delivery.spool import NO_FILES, Spool
from memgate.tracking.store import database, reason_of, store_name

SEND_SECONDS = 5.0
"""Longest time between two sends while metrics come."""

RETRY_SECONDS = 60.0
"""Pause after a send that failed: a server that doesn't answer blocks each one for 20 s."""

log = logging.getLogger(__name__)


class Outbox:
    """Sends what a run logs to the store, in order, and keeps on disk what the store refuses.

    Everything is written to the spool first. That costs 4 µs a metric, and kill -9 loses none.
    Nothing is trained before the first metric, so until then a store that refuses something stops
    the run; later it doesn't.

    The last checkpoint of a run that is resumed is older than its last metrics, so it logs some
    metrics for the second time; these are dropped.
    """

    def __init__(self, client: mlflow.MlflowClient, spool: Spool, resumed: bool = False) -> None:
        self._client = client
        self._spool = spool
        self._resumed = resumed
        self._logged: dict[str, set[tuple[int, float]]] = {}
        self._unsent = 0
        self._started = False
        self._next_send = time.monotonic() + SEND_SECONDS
        self._refused = False

    def add_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep metrics, and send everything once 1,000 are unsent or 5 s have passed."""
        if not self._started:
            self._spool.mark_started()
            self._started = True
        self.keep_metrics(
            {
                key: value
                for key, value in metrics.items()
                if not self._was_logged(key, step, value)
            },
            step,
        )
        full = self._unsent >= BATCH and not self._refused
        if full or time.monotonic() >= self._next_send:
            self.send()

    def _was_logged(self, key: str, step: int, value: float) -> bool:
        """Return whether a resumed run logged this metric before it was stopped."""
        try:
            if self._resumed and key not in self._logged:
                history = self._client.get_metric_history(self._spool.run_id, _metric_name(key))
                self._logged[key] = {(point.step, point.value) for point in history}
        except FAILURES:
            # Each request may take 20 s, and a metric twice is better than none.
            self._resumed = False
        return (step, float(value)) in self._logged.get(key, ())

    def keep_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep metrics on disk without sending them, from any thread."""
        now = int(time.time() * 1000)
        self._spool.add_metrics(
            [
                {"key": _metric_name(key), "value": float(value), "timestamp": now, "step": step}
                for key, value in metrics.items()
            ]
        )
        self._unsent += len(metrics)

    def add_item(
        self,
        kind: str,
        values: Mapping[str, object],
        files: Mapping[str, Callable[[Path], object]] = NO_FILES,
    ) -> str | None:
        """Send an item; the arguments are those of `Spool.add_item`.

        Returns:
            What its delivery returned, or None if the store doesn't have it yet.

        Raises:
            InputError: The store refuses it before the first metric.
        """
        number = self._spool.add_item(kind, values, files)
        return self.send().get(number)

    def send(self, retry: bool = False) -> dict[int, str]:
        """Send everything and return as `deliver`; what the store refuses is kept, with a warning.

        Only with `retry` is it sent less than a minute after a refusal.

        Raises:
            InputError: The store refuses something before the first metric.
        """
        if self._refused and time.monotonic() < self._next_send and not retry:
            return {}
        self._unsent = 0
        try:
            delivered = deliver(self._client, self._spool)
        except FAILURES as error:
            reason = reason_of(error)
            if not self._spool.is_started():
                raise InputError(f"{store_name()}: can't be written: {reason}") from error
            if not self._refused:
                log.warning(
                    "memgate: kept on disk, as %s can't be written: %s", store_name(), reason
                )
            self._refused, self._next_send = True, time.monotonic() + RETRY_SECONDS
            return {}
        if self._refused:
            log.warning("memgate: what was kept on disk is delivered to %s", store_name())
        self._refused, self._next_send = False, time.monotonic() + SEND_SECONDS
        return delivered

    def close(self, status: str, when: int) -> None:
        """End the run, `when` milliseconds after 1970; a warning lists what could not be sent."""
        try:
            self._end(status, when)
        except OSError:  # the disk is full
            if not self._spool.free_reserve():
                raise
            self._end(status, when)
        if pending := self._spool.pending():
            log.warning(
                "memgate: %s wait in %s; `memgate sync` delivers them, and so does the next run",
                pending,
                self._spool.folder,
            )
        self._spool.close()

    def _end(self, status: str, when: int) -> None:
        self._spool.mark_started()
        self._spool.add_item("end", {"status": status, "time": when})
        self.send(retry=True)
        # A server that hangs is not asked once more: it would block for 20 s.
        if self._refused and database() is not None and self._spool.free_reserve():
            self.send(retry=True)


def _metric_name(key: str) -> str:
    """Replace the characters in a metric's name that MLflow refuses."""
    return re.sub(r"[^\w./: -]", "_", key)
