"""What one run has to say: written to its spool at once, sent in batches, kept if refused."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import mlflow

from memgate.errors import InputError
from memgate.tracking.delivery.deliver import BATCH, FAILURES, deliver
from memgate.tracking.delivery.spool import NO_FILES, Spool
from memgate.tracking.store import reason_of, store_name

FLUSH_SECONDS = 5.0
RETRY_SECONDS = 60.0
"""Pause after a request that failed: a server that doesn't answer blocks each for 20 s."""


class Outbox:
    """Brings what a run has to say to the store, in order, and keeps it while that doesn't take it.

    Everything is in the spool before it is sent: a metric costs 4 µs, and none is lost by kill -9.
    Before the first metric nothing is trained, so a store that refuses something stops the run;
    from then on it doesn't.

    Args:
        client: MLflow's client.
        spool: Of the run.
        resumed: Whether the run was stopped before. What it then says for the second time, as its
            last checkpoint is older than its last metrics, isn't kept.
    """

    def __init__(self, client: mlflow.MlflowClient, spool: Spool, resumed: bool = False) -> None:
        self._client = client
        self._spool = spool
        self._resumed = resumed
        self._said: dict[str, set[tuple[int, float]]] = {}
        self._count = 0
        self._begun = False
        self._next = time.monotonic() + FLUSH_SECONDS
        self._refused = False

    def add(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep metrics, and send all that wait once 1,000 do or 5 s have passed."""
        if not self._begun:
            self._spool.begin()
            self._begun = True
        new = {key: value for key, value in metrics.items() if not self._known(key, step, value)}
        self.keep(new, step)
        full = self._count >= BATCH and not self._refused
        if full or time.monotonic() >= self._next:
            self.send()

    def _known(self, key: str, step: int, value: float) -> bool:
        """Say whether the store had a metric before a resumed run said it."""
        try:
            if self._resumed and key not in self._said:
                history = self._client.get_metric_history(self._spool.run_id, _name(key))
                self._said[key] = {(point.step, point.value) for point in history}
        except FAILURES:
            self._resumed = False  # each try may take 20 s, and twice is better than not at all
        return (step, float(value)) in self._said.get(key, ())

    def keep(self, metrics: Mapping[str, float], step: int) -> None:
        """Keep metrics and send none; any thread may."""
        now = int(time.time() * 1000)
        self._spool.add(
            [
                {
                    "key": _name(key),
                    "value": float(value),
                    "timestamp": now,
                    "step": step,
                }
                for key, value in metrics.items()
            ]
        )
        self._count += len(metrics)

    def put(
        self,
        what: str,
        values: Mapping[str, object],
        files: Mapping[str, Callable[[Path], object]] = NO_FILES,
    ) -> str | None:
        """Send something else, as `Spool.put` takes it.

        Returns:
            What its delivery returned, or None if it waits.

        Raises:
            InputError: The store refuses it before the first metric.
        """
        number = self._spool.put(what, values, files)
        return self.send().get(number)

    def send(self, at_once: bool = False) -> dict[int, str]:
        """Send what waits; what the store doesn't take is kept, and a line says so.

        Args:
            at_once: Whether to try even if the store refused something less than a minute ago.

        Returns:
            As `deliver`.

        Raises:
            InputError: The store refuses something before the first metric.
        """
        if self._refused and time.monotonic() < self._next and not at_once:
            return {}
        self._count = 0
        try:
            done = deliver(self._client, self._spool)
        except FAILURES as error:
            if not self._spool.begun():
                raise InputError(f"{store_name()}: can't be written: {reason_of(error)}") from error
            if not self._refused:
                _say(f"kept, as {store_name()} doesn't take it: {reason_of(error)}")
            self._refused, self._next = True, time.monotonic() + RETRY_SECONDS
            return {}
        if self._refused:
            _say(f"{store_name()} has what was kept")
        self._refused, self._next = False, time.monotonic() + FLUSH_SECONDS
        return done

    def close(self, status: str, when: int) -> None:
        """End the run: send all if that can be; say what still waits, and where.

        Args:
            status: MLflow's, such as FINISHED.
            when: Milliseconds since 1970.
        """
        self._spool.begin()
        self._spool.put("end", {"status": status, "time": when})
        self.send(at_once=True)
        if left := self._spool.waiting():
            where = self._spool.folder
            _say(f"{left} wait in {where}; `memgate sync` delivers them, and so does the next run")
        self._spool.close()


def _name(key: str) -> str:
    """Return a metric's name with what MLflow refuses replaced."""
    return re.sub(r"[^\w./: -]", "_", key)


def _say(text: str) -> None:
    print(f"memgate: {text}", file=sys.stderr)
