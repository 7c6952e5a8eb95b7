"""The runs of a study in the store: the attempts at each run, and what a report reads of them."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from memgate.errors import InputError
from memgate.tracking.delivery.deliver import deliver_backlog
from memgate.tracking.store import connect, tracking_uri

SETTING = "setting/"
"""Prefix of the tags that hold the settings which vary in a study."""

RETIRED = "retired from study"
"""Tag that replaces ``study`` when another run replaces a run."""

FINISHED = "FINISHED"


@dataclass(frozen=True)
class Attempt:
    """A run in the store that was started as a run of a study, whatever became of it.

    Attributes:
        run_id: MLflow's id of the run.
        name: Name of the run within the study (tag ``study_run``).
        digest: Hash of its settings without the seed (tag ``study_setting``); empty without one.
        owner: Who started it, as `current_owner` returns it; empty if it has no such tag.
        finished: Whether it is finished.
        running: Whether it runs, or ran when the store last heard of its process.
    """

    run_id: str
    name: str
    digest: str
    owner: str
    finished: bool
    running: bool


def current_owner() -> str:
    """Return the owner of the study runs that start here: machine and working directory."""
    return f"{socket.gethostname()}:{Path.cwd()}"


def attempts(experiment: str, study: str) -> list[Attempt]:
    """Return the attempts at a study's runs, the newest first; a missing store is created.

    First everything is delivered that runs of this working directory left behind. A run whose end
    had not reached the store is finished then, and a killed run has the status KILLED.

    Raises:
        InputError: The store doesn't answer.
    """
    for _ in deliver_backlog(connect(), math.inf):
        pass  # what the store refuses stays in its spool
    return [
        Attempt(
            run.info.run_id,
            run.data.tags["study_run"],
            run.data.tags.get("study_setting", ""),
            run.data.tags.get("study_owner", ""),
            run.info.status == FINISHED,
            run.info.status == "RUNNING",
        )
        for run in search(experiment, study)
        if "study_run" in run.data.tags
    ]


def retire(retired: Iterable[Attempt], study: str) -> None:
    """Remove attempts from their study; those that still count as running get the status KILLED."""
    client = connect()
    for attempt in retired:
        client.set_tag(attempt.run_id, RETIRED, study)
        client.delete_tag(attempt.run_id, "study")
        if client.get_run(attempt.run_id).info.status == "RUNNING":
            client.set_terminated(attempt.run_id, "KILLED")


@dataclass(frozen=True, eq=False)
class StudyRun:
    """A run of a study, with all that a report reads of it.

    Attributes:
        run_id: MLflow's id of the run.
        name: Name of the run within the study (tag ``study_run``).
        status: MLflow's: FINISHED, RUNNING, FAILED, KILLED or SCHEDULED.
        cell, data, task, seed: Tags of that name.
        settings: Settings that vary in the study, by name.
        params: All params, such as hidden_size.
        items: Number of items of each split among the run's inputs, by ``train``, ``validation``
            and ``test``.
        sources: Sources of the items, as configured, without duplicates.
        digest: Hash of its settings without the seed (tag ``study_setting``); empty without one.
    """

    run_id: str
    name: str
    status: str
    cell: str
    data: str
    task: str
    seed: int
    settings: Mapping[str, str]
    params: Mapping[str, str]
    items: Mapping[str, int]
    sources: tuple[str, ...]
    digest: str


def study_runs(experiment: str, study: str) -> list[StudyRun]:
    """Return one run for each name in a study: the newest finished one, else the newest.

    Raises:
        InputError: The store is missing, there is no such study, or a run lacks a tag.
    """
    runs = list(search(experiment, study))
    if not runs:
        studies = sorted({str(run.data.tags["study"]) for run in search(experiment, None)})
        hint = f"studies: {', '.join(studies)}" if studies else "there is no study"
        raise InputError(f"{study}: expected a study in {tracking_uri()}, found none; {hint}")
    newest: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (run.info.status == FINISHED, run.info.start_time)):
        newest[_tag(run, "study_run")] = run
    return [_study_run(newest[name]) for name in sorted(newest)]


def run_file(run: StudyRun, path: str) -> Path:
    """Return the path of a run's artifact, downloaded if it isn't on this machine.

    Raises:
        InputError: The run has no such artifact, or it can't be downloaded.
    """
    client = connect(create=False)
    try:
        return Path(client.download_artifacts(run.run_id, path))
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"run {run.name}: expected {path}, got: {reason}") from error


def histories(run: StudyRun, metrics: Sequence[str]) -> pd.DataFrame:
    """Return metrics of a run in the order of their steps: columns metric, step and value."""
    client = connect(create=False)
    rows = [
        (name, int(point.step), float(point.value))
        for name in metrics
        for point in client.get_metric_history(run.run_id, name)
    ]
    table = pd.DataFrame(rows, columns=["metric", "step", "value"])
    return table.sort_values(["metric", "step"], kind="stable", ignore_index=True)


def search(experiment: str, study: str | None) -> Iterator[Run]:
    """Yield the runs of a study, or of all studies, whatever their status, the newest first.

    Raises:
        InputError: The store is missing, or MLflow can't search for such a name.
    """
    client = connect(create=False)
    stored = client.get_experiment_by_name(experiment)
    if stored is None:
        return
    quote = '"' if study and "'" in study else "'"
    condition = "tags.study LIKE '%'" if study is None else f"tags.study = {quote}{study}{quote}"
    token: str | None = ""
    while token is not None:
        try:
            page = client.search_runs(
                [stored.experiment_id], condition, max_results=1000, page_token=token or None
            )
        except MlflowException as error:
            raise InputError(f"{study}: expected the name of a study: {error.message}") from error
        yield from page
        token = page.token or None


def _study_run(run: Run) -> StudyRun:
    tags, seed = run.data.tags, _tag(run, "seed")
    try:
        number = int(seed)
    except ValueError as error:
        raise InputError(
            f"run {run.info.run_name}: tag seed: expected a number, got {seed!r}"
        ) from error
    inputs = [] if run.inputs is None else run.inputs.dataset_inputs
    items: dict[str, int] = {}
    for split in inputs:
        rows = int(json.loads(split.dataset.profile or "{}").get("num_rows", 0))
        for tag in split.tags:
            if tag.key == "mlflow.data.context":
                items[tag.value] = items.get(tag.value, 0) + rows
    return StudyRun(
        run_id=run.info.run_id,
        name=_tag(run, "study_run"),
        status=str(run.info.status),
        cell=_tag(run, "cell"),
        data=_tag(run, "data"),
        task=_tag(run, "task"),
        seed=number,
        settings={
            name.removeprefix(SETTING): value
            for name, value in sorted(tags.items())
            if name.startswith(SETTING)
        },
        params=dict(run.data.params),
        items=items,
        sources=tuple(dict.fromkeys(_source(split.dataset.source) for split in inputs)),
        digest=tags.get("study_setting", ""),
    )


def _source(source: str) -> str:
    """Return the source of a data set from the JSON that `dataset_input` writes."""
    try:
        return str(json.loads(source)["tags"]["mlflow.source.name"])
    except (ValueError, TypeError, KeyError):
        return source


def _tag(run: Run, name: str) -> str:
    try:
        return str(run.data.tags[name])
    except KeyError as error:
        raise InputError(
            f"run {run.info.run_name}: expected a tag {name!r}, got none; was it made by "
            "`memgate study`?"
        ) from error
