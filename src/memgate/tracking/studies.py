"""Attempts at a study's runs: which are done, which were stopped, which are out of date."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
        digest: Of what it was made with.
        finished: Whether it is done.
    """

    run_id: str
    name: str
    digest: str
    finished: bool


def attempts(experiment: str, study: str) -> list[Attempt]:
    """Return the attempts at a study's runs, the newest first; the store is made if need be."""
    connect()
    return [
        Attempt(
            run.info.run_id,
            run.data.tags["study_run"],
            run.data.tags["study_digest"],
            run.info.status == FINISHED,
        )
        for run in search(experiment, study)
        if {"study_run", "study_digest"} <= run.data.tags.keys()
    ]


def retire(given: Iterable[Attempt], study: str) -> None:
    """Take attempts out of their study; what still counts as running is set to killed."""
    client = connect()
    for attempt in given:
        client.set_tag(attempt.run_id, RETIRED, study)
        client.delete_tag(attempt.run_id, "study")
        if client.get_run(attempt.run_id).info.status == "RUNNING":
            client.set_terminated(attempt.run_id, "KILLED")
