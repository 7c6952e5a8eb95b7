"""Attempts at a study's runs: which are done, which were stopped, which are out of date."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from memgate.tracking.delivery.deliver import deliver_waiting
from memgate.tracking.store import connect
from memgate.tracking.study_runs import FINISHED, search

RETIRED = "retired from study"
"""The tag that a run has in place of ``study`` where another was made in its place."""


@dataclass(frozen=True)
class Attempt:
    """A run in the store that was to be a run of a study.

    Attributes:
        run_id: Its id.
        name: Which run of the study.
        digest: Of the settings it was made with, its seed aside; empty if it has no such tag.
        owner: Who made it, as `here` says it; empty if it has no such tag.
        status: MLflow's: FINISHED, RUNNING, FAILED, KILLED or SCHEDULED.
    """

    run_id: str
    name: str
    digest: str
    owner: str
    status: str

    @property
    def finished(self) -> bool:
        """Whether it is done."""
        return self.status == FINISHED

    @property
    def running(self) -> bool:
        """Whether it is at work, or was when its process was last heard of."""
        return self.status == "RUNNING"


def here() -> str:
    """Name who owns the runs of a study that is at work here: machine and working directory."""
    return f"{socket.gethostname()}:{Path.cwd()}"


def attempts(experiment: str, study: str) -> list[Attempt]:
    """Return the attempts at a study's runs, the newest first; the store is made if need be.

    What ended or killed runs of this working directory left is delivered before: a run whose
    ending waited is then done, and one that was killed says so.

    Raises:
        InputError: The store doesn't answer.
    """
    for _ in deliver_waiting(connect(), math.inf):
        pass  # what the store doesn't take still waits
    return [
        Attempt(
            run.info.run_id,
            run.data.tags["study_run"],
            run.data.tags.get("study_setting", ""),
            run.data.tags.get("study_owner", ""),
            str(run.info.status),
        )
        for run in search(experiment, study)
        if "study_run" in run.data.tags
    ]


def retire(given: Iterable[Attempt], study: str) -> None:
    """Take attempts out of their study; what still counts as running is set to killed."""
    client = connect()
    for attempt in given:
        client.set_tag(attempt.run_id, RETIRED, study)
        client.delete_tag(attempt.run_id, "study")
        if client.get_run(attempt.run_id).info.status == "RUNNING":
            client.set_terminated(attempt.run_id, "KILLED")
