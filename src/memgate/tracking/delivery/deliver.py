"""From a spool to the store: once, in order, and again from where it was stopped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import mlflow
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from memgate.errors import InputError
from memgate.predictor import Predictor
from memgate.tracking.delivery.spool import Item, Spool, folders
from memgate.tracking.registry.versions import register_once
from memgate.tracking.store import reason_of, store_name

BATCH = 1000
"""Metrics of one request, MLflow's limit: 0.1 ms each, where one at a time takes 4.4 to 6 ms."""

PER_REQUEST = 100
"""Params or tags of one request, MLflow's limit."""

FAILURES = (MlflowException, SQLAlchemyError, OSError, InputError)
"""What a store raises that doesn't take something, or isn't there."""


def deliver(client: mlflow.MlflowClient, spool: Spool) -> dict[int, str]:
    """Bring all that waits to the store: metrics, then the rest, each in order.

    What was delivered and not yet taken from the spool when a process was killed is delivered
    again, and changes nothing: MLflow keeps one of two metrics alike in run, key, time, step and
    value, params, tags, inputs and files stay what they are, a model is registered once.

    Returns:
        By the number of each thing delivered: the version of a model, else nothing.

    Raises:
        MlflowException, SQLAlchemyError, OSError, InputError: The store didn't take something; it
            and all behind it wait.
    """
    while (found := spool.metrics(BATCH))[0]:
        client.log_batch(spool.run_id, metrics=[Metric(**metric) for metric in found[0]])
        spool.sent(found[1])
    done = {}
    for item in spool.items():
        done[item.number] = DELIVERIES[item.what](client, spool.run_id, item)
        spool.drop(item)
    return done


def _params(client: mlflow.MlflowClient, run_id: str, item: Item) -> str:
    """Log params; where one has another value already, the tag ``changed/<param>`` tells."""
    known = client.get_run(run_id).data.params
    new = [Param(key, value) for key, value in item.values.items() if key not in known]
    changed = [
        RunTag(f"changed/{key}", value)
        for key, value in item.values.items()
        if known.get(key, value) != value
    ]
    for start in range(0, max(len(new), len(changed)), PER_REQUEST):
        chunk = slice(start, start + PER_REQUEST)
        client.log_batch(run_id, params=new[chunk], tags=changed[chunk])
    return ""


def _tags(client: mlflow.MlflowClient, run_id: str, item: Item) -> str:
    client.log_batch(run_id, tags=[RunTag(*tag) for tag in item.values.items()])
    return ""


def _files(client: mlflow.MlflowClient, run_id: str, item: Item) -> str:
    client.log_artifacts(run_id, str(item.files))
    return ""


def _inputs(client: mlflow.MlflowClient, run_id: str, item: Item) -> str:
    tags = [InputTag(*tag) for tag in item.values["tags"].items()]
    given = [DatasetInput(Dataset(**item.values["dataset"]), tags=tags)]
    try:
        client.log_inputs(run_id, datasets=given)
    except MlflowException as error:
        if error.error_code != "BAD_REQUEST":
            raise
        # Another run logged the same split between MLflow's look for it and its INSERT: a UNIQUE
        # constraint failed. Now it is there.
        client.log_inputs(run_id, datasets=given)
    return ""


def _model(_client: mlflow.MlflowClient, run_id: str, item: Item) -> str:
    folder = item.files / "model"
    beside = {path.name: partial(_copy, path) for path in folder.iterdir()}
    return register_once(run_id, Predictor.load(folder), **item.values, beside=beside)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _end(client: mlflow.MlflowClient, run_id: str, item: Item) -> str:
    client.set_terminated(run_id, item.values["status"], item.values["time"])
    return ""


DELIVERIES: Mapping[str, Callable[[mlflow.MlflowClient, str, Item], str]] = MappingProxyType(
    {
        "params": _params,
        "tags": _tags,
        "files": _files,
        "inputs": _inputs,
        "model": _model,
        "end": _end,
    }
)
"""How each kind of thing is delivered; each bears to be done twice."""


@dataclass(frozen=True)
class Outcome:
    """What came of one run's folder.

    Attributes:
        run: Name and id of the run.
        folder: Where its things wait, or waited.
        what: What was delivered, or was to be.
        trouble: Why it still waits; empty if it doesn't.
    """

    run: str
    folder: Path
    what: str
    trouble: str


def deliver_waiting(client: mlflow.MlflowClient, seconds: float) -> Iterator[Outcome]:
    """Deliver what ended or killed runs of this working directory left, oldest first.

    A run that still goes on is left alone, one that was killed ends as KILLED. What the store
    refuses for good (its run was deleted) and what is damaged here is passed over; where the store
    doesn't answer, that's the end.

    Args:
        client: The store is there.
        seconds: No run is begun after as many.
    """
    until = time.monotonic() + seconds
    for folder in folders():
        spool = Spool.take(folder) if time.monotonic() < until else None
        if spool is None:
            continue
        run, what = spool.run_id, "what can't be read"
        try:
            about = spool.about()
            run = f"{about['run']} ({spool.run_id})"
            what = spool.waiting()
            if about["store"] != store_name():
                trouble = f"it belongs to the store {about['store']}"
                yield Outcome(run, folder, what, trouble)
                continue
            _deliver_and_end(client, spool)
            yield Outcome(run, folder, what or "its end", "")
        except FAILURES as error:
            yield Outcome(run, folder, what, reason_of(error))
            if not _for_good(error):
                return
        finally:
            spool.close()


def _deliver_and_end(client: mlflow.MlflowClient, spool: Spool) -> None:
    """Deliver all; a run that didn't say how it ended was killed when it last wrote."""
    last = int(spool.written() * 1000)
    deliver(client, spool)
    if client.get_run(spool.run_id).info.status == "RUNNING":
        client.set_terminated(spool.run_id, "KILLED", last)


def _for_good(error: BaseException) -> bool:
    """Say whether it will be the same again, and another run's things may well be taken."""
    if isinstance(error, MlflowException):
        return int(error.get_http_status_code()) < 500  # type: ignore[no-untyped-call]
    return isinstance(error, InputError)  # a damaged file here
