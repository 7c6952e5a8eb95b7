"""The runs of a study in the store: which are done, which were stopped, which are out of date."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mlflow.entities import Run, ViewType

from memgate.tracking.store import connect

PAGE = 1000
"""Runs of one request."""

RETIRED = "retired from study"
"""The tag that a run has in place of ``study`` where another was made in its place."""


def runs_of(experiment: str, name: str) -> list[Run]:
    """Return the runs of a study, the newest first; none if there is no such experiment."""
    client = connect()
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    runs: list[Run] = []
    token = None
    while True:
        page = client.search_runs(
            [found.experiment_id],
            f"tags.study = '{name}'",
            ViewType.ACTIVE_ONLY,
            PAGE,
            ["attributes.start_time DESC"],
            token,
        )
        runs += page
        token = page.token
        if not token:
            return runs


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
    """Return the attempts at a study's runs, the newest first."""
    return [
        Attempt(
            run.info.run_id,
            run.data.tags["study_run"],
            run.data.tags["study_digest"],
            run.info.status == "FINISHED",
        )
        for run in runs_of(experiment, study)
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
