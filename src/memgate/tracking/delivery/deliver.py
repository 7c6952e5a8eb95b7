"""From a spool to the store: everything once and in order, also after a delivery was stopped."""

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
from memgate.tracking.delivery.spool import Spool, SpoolItem, folders
from memgate.tracking.registry.versions import register
from memgate.tracking.store import reason_of, store_name

BATCH = 1000
"""Metrics in one request, MLflow's limit: 0.1 ms each, against 4.4 to 6 ms one at a time."""

PER_REQUEST = 100
"""Params or tags in one request, MLflow's limit."""

FAILURES = (MlflowException, SQLAlchemyError, OSError, InputError)
"""Exceptions that mean: the store refuses something, or doesn't answer."""


def deliver(client: mlflow.MlflowClient, spool: Spool) -> dict[int, str]:
    """Send everything in a spool to the store: first the metrics, then the items, each in order.

    A process that is killed after a delivery, before it updated the spool, delivers again. That
    changes nothing: of metrics with equal run, key, time, step and value MLflow keeps one; params,
    tags, inputs and files stay what they are; a model is registered once.

    Returns:
        For the number of each item what its delivery returned: a model's version, else "".

    Raises:
        MlflowException, SQLAlchemyError, OSError, InputError: The store refused something. That,
            and everything after it, stays in the spool.
    """
    while True:
        metrics, offset = spool.next_metrics(BATCH)
        if not metrics:
            break
        client.log_batch(spool.run_id, metrics=[Metric(**metric) for metric in metrics])
        spool.mark_delivered(offset)
    delivered = {}
    for item in spool.items():
        delivered[item.number] = DELIVERIES[item.kind](client, spool.run_id, item)
        spool.remove(item)
    return delivered


def _params(client: mlflow.MlflowClient, run_id: str, item: SpoolItem) -> str:
    """Log params. If a param has another value, the tag ``changed/<param>`` gets the new one."""
    logged = client.get_run(run_id).data.params
    new = [Param(key, value) for key, value in item.values.items() if key not in logged]
    changed = [
        RunTag(f"changed/{key}", value)
        for key, value in item.values.items()
        if logged.get(key, value) != value
    ]
    for start in range(0, max(len(new), len(changed)), PER_REQUEST):
        chunk = slice(start, start + PER_REQUEST)
        client.log_batch(run_id, params=new[chunk], tags=changed[chunk])
    return ""


def _tags(client: mlflow.MlflowClient, run_id: str, item: SpoolItem) -> str:
    client.log_batch(run_id, tags=[RunTag(*tag) for tag in item.values.items()])
    return ""


def _files(client: mlflow.MlflowClient, run_id: str, item: SpoolItem) -> str:
    client.log_artifacts(run_id, str(item.files))
    return ""


def _inputs(client: mlflow.MlflowClient, run_id: str, item: SpoolItem) -> str:
    tags = [InputTag(*tag) for tag in item.values["tags"].items()]
    inputs = [DatasetInput(Dataset(**item.values["dataset"]), tags=tags)]
    try:
        client.log_inputs(run_id, datasets=inputs)
    except MlflowException as error:
        if error.error_code != "BAD_REQUEST":
            raise
        # MLflow looks for the data set and then inserts it. Another run inserted the same one in
        # between, so a UNIQUE constraint failed; now MLflow finds it.
        client.log_inputs(run_id, datasets=inputs)
    return ""


def _model(_client: mlflow.MlflowClient, run_id: str, item: SpoolItem) -> str:
    folder = item.files / "model"
    sidecars = {path.name: partial(_copy, path) for path in folder.iterdir()}
    return register(run_id, Predictor.load(folder), **item.values, sidecars=sidecars)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _end(client: mlflow.MlflowClient, run_id: str, item: SpoolItem) -> str:
    client.set_terminated(run_id, item.values["status"], item.values["time"])
    return ""


DELIVERIES: Mapping[str, Callable[[mlflow.MlflowClient, str, SpoolItem], str]] = MappingProxyType(
    {
        "params": _params,
        "tags": _tags,
        "files": _files,
        "inputs": _inputs,
        "model": _model,
        "end": _end,
    }
)
"""How each kind of item is delivered. Each function may be called twice for one item."""


@dataclass(frozen=True)
class Delivery:
    """What became of one run's spool.

    Attributes:
        run: Name and id of the run.
        folder: The spool's folder.
        content: What was delivered, or should have been.
        error: Why it was not delivered; empty if it was.
    """

    run: str
    folder: Path
    content: str
    error: str


def deliver_backlog(client: mlflow.MlflowClient, seconds: float) -> Iterator[Delivery]:
    """Deliver what runs of this working directory left behind, the oldest first.

    A run that still runs is skipped; a run that was killed gets the status KILLED. A spool that is
    damaged, or that the store refuses for good (the run was deleted), doesn't stop the others. A
    store that doesn't answer does. No delivery starts after so many seconds.
    """
    deadline = time.monotonic() + seconds
    for folder in folders():
        spool = Spool.open(folder) if time.monotonic() < deadline else None
        if spool is None:
            continue
        run, content = spool.run_id, "what can't be read"
        try:
            about = spool.about()
            run = f"{about['run']} ({spool.run_id})"
            content = spool.pending()
            if about["store"] != store_name():
                yield Delivery(run, folder, content, f"it belongs to the store {about['store']}")
                continue
            _deliver_and_end(client, spool)
            yield Delivery(run, folder, content or "its end", "")
        except FAILURES as error:
            yield Delivery(run, folder, content, reason_of(error))
            if not _is_permanent(error):
                return
        finally:
            spool.close()


def _deliver_and_end(client: mlflow.MlflowClient, spool: Spool) -> None:
    """Deliver a spool; a run without a recorded end was killed, and ended with its last write."""
    last_write = int(spool.last_write() * 1000)
    deliver(client, spool)
    if client.get_run(spool.run_id).info.status == "RUNNING":
        client.set_terminated(spool.run_id, "KILLED", last_write)


def _is_permanent(error: BaseException) -> bool:
    """Return whether a retry would fail again, while other runs may still be delivered."""
    if isinstance(error, MlflowException):
        return int(error.get_http_status_code()) < 500  # type: ignore[no-untyped-call]
    return isinstance(error, InputError)  # a damaged file of the spool
