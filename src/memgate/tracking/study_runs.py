"""The runs of a study, as the store has them: tags, status, files and learning curves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from memgate.errors import InputError
from memgate.tracking.store import connect, tracking_uri

SETTING = "setting/"
"""What the tags of varying settings begin with."""

FINISHED = "FINISHED"


@dataclass(frozen=True, eq=False)
class StudyRun:
    """A run of a study.

    Attributes:
        run_id: MLflow's name of it.
        name: Its own within the study (tag ``study_run``).
        status: MLflow's: FINISHED, RUNNING, FAILED, KILLED or SCHEDULED.
        cell, data, task: Tags of that name.
        seed: The tag of that name.
        settings: What else varies in the study, by name.
        params: All params, such as hidden_size.
        items: Rows of each split that the run has as input, by ``train``, ``validation``, ``test``.
        sources: Where the rows come from, as configured; each once.
        digest: Of all it was made with but its seed (tag ``study_setting``); empty without one.
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
    """Return the runs of a study; of several by one name the newest that finished, else the newest.

    Args:
        experiment: The experiment they are in.
        study: Their tag ``study``.

    Raises:
        InputError: The store is missing, there is no such study, or a run lacks a tag.
    """
    found = list(search(experiment, study))
    if not found:
        known = sorted({str(run.data.tags["study"]) for run in search(experiment, None)})
        there = f"studies: {', '.join(known)}" if known else "there is no study"
        raise InputError(f"{study}: expected a study in {tracking_uri()}, found none; {there}")
    newest: dict[str, Run] = {}
    for run in sorted(found, key=lambda run: (run.info.status == FINISHED, run.info.start_time)):
        newest[_tag(run, "study_run")] = run
    return [_study_run(newest[name]) for name in sorted(newest)]


def run_file(run: StudyRun, path: str) -> Path:
    """Return where an artifact of a run lies, fetched if it isn't on this machine.

    Raises:
        InputError: There is none.
    """
    client = connect(create=False)
    try:
        return Path(client.download_artifacts(run.run_id, path))
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"run {run.name}: expected {path}, got: {reason}") from error


def histories(run: StudyRun, metrics: Sequence[str]) -> pd.DataFrame:
    """Return what a run logged by step: columns metric, step and value, by step."""
    client = connect(create=False)
    rows = [
        (name, int(each.step), float(each.value))
        for name in metrics
        for each in client.get_metric_history(run.run_id, name)
    ]
    table = pd.DataFrame(rows, columns=["metric", "step", "value"])
    return table.sort_values(["metric", "step"], kind="stable", ignore_index=True)


def search(experiment: str, study: str | None) -> Iterator[Run]:
    """Yield the runs of a study, or of all studies, whatever their status; the newest first.

    Raises:
        InputError: The store is missing, or MLflow can't read the name.
    """
    client = connect(create=False)
    there = client.get_experiment_by_name(experiment)
    if there is None:
        return
    quote = '"' if study and "'" in study else "'"
    wanted = "tags.study LIKE '%'" if study is None else f"tags.study = {quote}{study}{quote}"
    token: str | None = ""
    while token is not None:
        try:
            found = client.search_runs(
                [there.experiment_id], wanted, max_results=1000, page_token=token or None
            )
        except MlflowException as error:
            raise InputError(f"{study}: expected the name of a study: {error.message}") from error
        yield from found
        token = found.token or None


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
    for each in inputs:
        rows = int(json.loads(each.dataset.profile or "{}").get("num_rows", 0))
        for tag in each.tags:
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
        sources=tuple(dict.fromkeys(_source(each.dataset.source) for each in inputs)),
        digest=tags.get("study_setting", ""),
    )


def _source(source: str) -> str:
    """Return where a data set comes from, of the JSON that `dataset_input` makes."""
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
