"""One MLflow run as a Lightning logger: nothing is lost, data with digests, an honest ending."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

import mlflow
import yaml
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags

from memgate.errors import InputError
from memgate.tracking.delivery.deliver import FAILURES, deliver, deliver_waiting
from memgate.tracking.delivery.outbox import Outbox
from memgate.tracking.delivery.spool import FOLDER, NO_FILES, Spool
from memgate.tracking.ending import Status, status_of
from memgate.tracking.provenance import code_tags, dataset_input, plain_params
from memgate.tracking.store import connect, reason_of, store_name, storing
from memgate.tracking.store import experiment as experiment_id
from memgate.tracking.system_metrics import SystemMetrics, next_step

if TYPE_CHECKING:
    import datasets

    from memgate.data.items.schema import Split
    from memgate.predictor import Predictor

WAITING_SECONDS = 5.0
"""Of delivering what earlier runs left, before a run starts."""

TAKING_SECONDS = 10.0
"""Of waiting for a run's spool: a process that begins may deliver it, one that was killed end."""

TAG_LENGTH = 8000
"""MLflow's limit; longer values are cut."""


class RunLogger(Logger):
    """Logs one MLflow run, made when it is first needed and only by rank zero.

    Lightning's `finalize`, called after each of fit, validate and test, only sends what is waiting;
    the run ends with `end`, or with the ``with`` block: KILLED by Ctrl-C or SIGTERM, FAILED by any
    other exception, else FINISHED. Checkpoints land in
    ``<save_dir>/<run_name>/<run_id>/checkpoints``.

    Once metrics come, a store that is away stops nothing: what it doesn't take, the model and the
    ending included, waits in ``mlruns/spool/<run_id>`` for `memgate sync` or the next run. There
    everything is written first, so that what a killed process had to say is delivered too.

    Args:
        experiment: Name of the experiment, made if need be.
        run_name: Name of the run.
        run_id: A run to go on with; it is set back to RUNNING.
        tags: Tags of the run, such as cell, data and seed.
        save_dir: Folder of the checkpoints.

    Raises:
        InputError: (when the run is first needed) the store is unreadable or has no such run, the
            run still goes on in another process, or its spool can't be made.
    """

    def __init__(
        self,
        experiment: str,
        run_name: str,
        run_id: str | None = None,
        tags: Mapping[str, str] | None = None,
        save_dir: str = "mlruns/checkpoints",
    ) -> None:
        super().__init__()
        self._experiment_name = experiment
        self._run_name = run_name
        self._run_id = run_id
        self._tags = dict(tags or {})
        self._save_dir = save_dir
        self._client: mlflow.MlflowClient | None = None
        self._system_metrics: SystemMetrics | None = None
        self._outbox: Outbox | None = None
        self._ended = False
        self._sigterm: Any = None

    @property
    def name(self) -> str:
        """The run's name."""
        return self._run_name

    @property
    def version(self) -> str | None:
        """The run's id; None on ranks that don't log (Lightning broadcasts rank zero's)."""
        _ = self.experiment
        return self._run_id

    @property
    def save_dir(self) -> str:
        """The folder above all checkpoints."""
        return self._save_dir

    @property
    @rank_zero_experiment
    def experiment(self) -> mlflow.MlflowClient:
        """MLflow's client, once the run is there; a dummy on other ranks."""
        if self._client is None:
            self._client = self._open()
        return self._client

    def _open(self) -> mlflow.MlflowClient:
        resumed = self._run_id is not None
        client = connect(create=not resumed)
        for outcome in deliver_waiting(client, WAITING_SECONDS):
            if not outcome.trouble:
                print(f"memgate: delivered of {outcome.run}: {outcome.what}", file=sys.stderr)
        if self._run_id is None:
            tags = {**resolve_tags(), **code_tags(), **self._tags}
            run = client.create_run(
                experiment_id(self._experiment_name), tags=tags, run_name=self._run_name
            )
            self._run_id = str(run.info.run_id)
            spool = self._spool(self._run_id)
        else:
            spool = self._go_on(client, self._run_id)
        self._outbox = Outbox(client, spool, resumed)
        with storing():
            first_step = next_step(client, self._run_id) if resumed else 0
        self._system_metrics = SystemMetrics(self._outbox.keep, first_step)
        self._system_metrics.start()
        return client

    def _spool(self, run_id: str) -> Spool:
        """Take the run's folder, or make it; wait if another process has it for a moment."""
        folder = FOLDER.absolute() / run_id
        with storing():
            until = time.monotonic() + TAKING_SECONDS
            while (spool := Spool.take(folder)) is None and folder.exists():
                if time.monotonic() > until:
                    raise InputError(f"run {run_id}: still goes on in another process")
                time.sleep(0.05)
            return spool or Spool.create(folder, {"run": self._run_name, "store": store_name()})

    def _go_on(self, client: mlflow.MlflowClient, run_id: str) -> Spool:
        """Deliver what the run left when it stopped, and set it back to RUNNING."""
        spool = self._spool(run_id)
        try:
            client.get_run(run_id)
            deliver(client, spool)
            client.update_run(run_id, status="RUNNING")
        except FAILURES as error:
            spool.close()
            raise InputError(f"run {run_id}: can't go on: {reason_of(error)}") from error
        return spool

    def _put(
        self,
        what: str,
        values: Mapping[str, object],
        files: Mapping[str, Callable[[Path], object]] = NO_FILES,
    ) -> str | None:
        _ = self.experiment
        return None if self._outbox is None else self._outbox.put(what, values, files)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep metrics, and send all that wait once 1,000 do or 5 s have passed."""
        _ = self.experiment
        if self._outbox is not None:
            self._outbox.add(metrics, step or 0)

    @rank_zero_only
    def log_hyperparams(
        self,
        params: Mapping[str, Any] | Namespace | None,
        *args: Any,  # noqa: ARG002  # Lightning's signature
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Log params, nested ones as ``outer/inner``, cut at MLflow's 6,000 characters.

        MLflow's params never change. Where a resumed run comes with another value, the param keeps
        the first and the tag ``changed/<param>`` tells the new one.
        """
        self._put("params", plain_params(params or {}))

    @rank_zero_only
    def log_files(self, files: Mapping[str, Callable[[Path], object]]) -> None:
        """Write artifacts in one request; the UI shows CSV, has no preview of Parquet.

        Args:
            files: For each path in the run, such as ``tables/accuracy.csv``, the function that
                writes the file to a path of this machine.
        """
        self._put("files", {}, files)

    @rank_zero_only
    def log_dict(self, values: Mapping[str, Any], path: str) -> None:
        """Write plain values to ``path``: JSON, or YAML where it ends in ``.yaml``."""
        if path.endswith(".yaml"):
            text = yaml.safe_dump(dict(values))
        else:
            text = json.dumps(dict(values), indent=2)
        self.log_files({path: lambda file: file.write_text(text, encoding="utf-8")})

    @rank_zero_only
    def describe(self, markdown: str) -> None:
        """Set the description that the UI shows above the run, cut at 8,000 characters."""
        self._put("tags", {"mlflow.note.content": markdown[:TAG_LENGTH]})

    @rank_zero_only
    def log_dataset(
        self, dataset: datasets.Dataset, name: str, context: Split, source: str
    ) -> None:
        """Record a split among the run's inputs, with the digest of all its rows.

        Of two splits with equal rows and one name MLflow keeps the first.

        Args:
            dataset: The rows.
            name: What the UI calls it, such as ``synthetic``.
            context: Which split it is.
            source: Where the rows come from: files, or the grammar and its seed.
        """
        given = dataset_input(dataset, name, context, source)
        tags = {tag.key: tag.value for tag in given.tags}
        self._put("inputs", {"dataset": dict(given.dataset), "tags": tags})

    @rank_zero_only
    def register(
        self,
        predictor: Predictor,
        name: str,
        scores: Mapping[str, float],
        tags: Mapping[str, str],
        description: str,
        beside: Mapping[str, Callable[[Path], object]],
    ) -> str | None:
        """Register a model of the run, as `memgate.tracking.registry.versions.register` does.

        Returns:
            The version; or None where the store is away and the model waits to be registered.
        """
        values = {
            "name": name,
            "scores": {key: float(score) for key, score in scores.items()},
            "tags": dict(tags),
            "description": description,
        }
        files = {f"model/{file}": write for file, write in beside.items()}
        return self._put("model", values, {"model": predictor.save, **files})

    @rank_zero_only
    def finalize(self, status: str) -> None:  # noqa: ARG002  # Lightning's signature
        """Send what waits; Lightning calls this after every stage, so the run goes on."""
        if self._outbox is not None:
            self._outbox.send()

    @rank_zero_only
    def end(self, status: Status) -> None:
        """Send what waits and end the run; of several calls the first counts."""
        if self._system_metrics is None or self._outbox is None or self._ended:
            return
        self._ended = True
        self._system_metrics.finish()
        self._outbox.close(status, int(time.time() * 1000))

    def __enter__(self) -> Self:
        """End the run with the block; from here on SIGTERM ends it too."""
        if threading.current_thread() is threading.main_thread():
            self._sigterm = signal.signal(signal.SIGTERM, self._on_sigterm)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the run as the block ended."""
        self.end(status_of(error))
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._sigterm or signal.SIG_DFL)

    def _on_sigterm(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Raise, unless Lightning is in charge: it puts its own handler before this one."""
        if signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            raise SIGTERMException(128 + signum)


def is_finished(run_id: str) -> bool:
    """Return whether a run is finished; a run that is deleted, or isn't in the store, counts too.

    Raises:
        InputError: The store can't be read.
    """
    client = connect(create=False)
    try:
        run = client.get_run(run_id)
    except FAILURES as error:
        if isinstance(error, MlflowException) and error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return True
        raise InputError(f"run {run_id}: can't be read: {reason_of(error)}") from error
    return run.info.status == "FINISHED" or run.info.lifecycle_stage == "deleted"
