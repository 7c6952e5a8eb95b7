"""`RunLogger`: one MLflow run as a Lightning logger that loses nothing and ends with its status."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import mlflow
import yaml
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags

from memgate.errors import InputError
from memgate.tracking.delivery.deliver import FAILURES, deliver, deliver_backlog
from memgate.tracking.delivery.outbox import Outbox
from memgate.tracking.delivery.spool import NO_FILES, SPOOLS_FOLDER, Spool
from memgate.tracking.provenance import code_tags, dataset_input, plain_params
from memgate.tracking.store import connect, reason_of, store_name, storing
from memgate.tracking.store import experiment as experiment_id
from memgate.tracking.system_metrics import SystemMetrics, next_step

if TYPE_CHECKING:
    import datasets

    from memgate.data.items.schema import Split
    from memgate.predictor import Predictor

Status = Literal["FINISHED", "FAILED", "KILLED"]

BACKLOG_SECONDS = 5.0
"""How long a new run delivers what earlier runs left behind, before it starts."""

SPOOL_LOCK_SECONDS = 10.0
"""How long a run waits for its spool, which another process may deliver at that moment."""

TAG_LENGTH = 8000
"""MLflow's limit for the value of a tag; longer values are cut."""

log = logging.getLogger(__name__)


class RunLogger(Logger):
    """Logs one MLflow run. Only rank zero does, and the run is created at its first use.

    Lightning calls `finalize` after each of fit, validate and test; it sends what is unsent. The
    run ends with `end` or with the ``with`` block: KILLED after Ctrl-C or SIGTERM, FAILED after
    any other exception, else FINISHED. Checkpoints are in
    ``<save_dir>/<run_name>/<run_id>/checkpoints``.

    Everything is written to ``mlruns/spool/<run_id>`` first, so kill -9 loses nothing. Once there
    are metrics, a store that is away doesn't stop the run. `memgate sync` or the next run delivers
    what is left in the spool, the model and the end of the run included.

    Args:
        experiment: Name of the experiment, which is created if it is missing.
        run_name: Name of the run.
        run_id: A run to resume; its status becomes RUNNING again.
        tags: Tags of the run, such as cell, data and seed.
        save_dir: Folder of the checkpoints.

    Raises:
        InputError: (at the run's first use) The store is unreadable or has no such run, the run is
            still running in another process, or its spool can't be created.
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
        self._experiment_id = ""
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
        """MLflow's client, after the run is created; a dummy on other ranks."""
        if self._client is None:
            self._client = self._open()
        return self._client

    def _open(self) -> mlflow.MlflowClient:
        resumed = self._run_id is not None
        if resumed:
            connect(create=False)  # a store that isn't there has no such run
        client = connect()
        for delivery in deliver_backlog(client, BACKLOG_SECONDS):
            if not delivery.error:
                log.warning("memgate: delivered for %s: %s", delivery.run, delivery.content)
        if self._run_id is None:
            tags = {**resolve_tags(), **code_tags(), **self._tags}
            self._experiment_id = experiment_id(self._experiment_name)
            run = client.create_run(self._experiment_id, tags=tags, run_name=self._run_name)
            self._run_id = str(run.info.run_id)
            spool = self._open_spool(self._run_id)
        else:
            spool = self._resume(client, self._run_id)
        self._outbox = Outbox(client, spool, resumed)
        with storing():
            first_step = next_step(client, self._run_id) if resumed else 0
        self._system_metrics = SystemMetrics(self._outbox.keep_metrics, first_step)
        self._system_metrics.start()
        return client

    def _open_spool(self, run_id: str) -> Spool:
        """Open the run's spool or create it; wait if another process has it open for a moment."""
        folder = SPOOLS_FOLDER.absolute() / run_id
        with storing():
            deadline = time.monotonic() + SPOOL_LOCK_SECONDS
            while (spool := Spool.open(folder)) is None and folder.exists():
                if time.monotonic() > deadline:
                    raise InputError(f"run {run_id}: still running in another process")
                time.sleep(0.05)
            return spool or Spool.create(folder, {"run": self._run_name, "store": store_name()})

    def _resume(self, client: mlflow.MlflowClient, run_id: str) -> Spool:
        """Deliver what the run left behind when it was stopped, and set its status to RUNNING."""
        spool = self._open_spool(run_id)
        try:
            self._experiment_id = str(client.get_run(run_id).info.experiment_id)
            deliver(client, spool)
            client.update_run(run_id, status="RUNNING")
        except FAILURES as error:
            spool.close()
            raise InputError(f"run {run_id}: can't be resumed: {reason_of(error)}") from error
        return spool

    def _add_item(
        self,
        kind: str,
        values: Mapping[str, object],
        files: Mapping[str, Callable[[Path], object]] = NO_FILES,
    ) -> str | None:
        _ = self.experiment
        return None if self._outbox is None else self._outbox.add_item(kind, values, files)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics; they are sent once 1,000 are unsent or 5 s have passed."""
        _ = self.experiment
        if self._outbox is not None:
            self._outbox.add_metrics(metrics, step or 0)

    @rank_zero_only
    def log_hyperparams(
        self,
        params: Mapping[str, Any] | Namespace | None,
        *args: Any,  # noqa: ARG002  # Lightning's signature
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Log params, nested ones as ``outer/inner``, cut at MLflow's 6,000 characters.

        MLflow's params never change. If a resumed run has another value, the param keeps the first
        value and the tag ``changed/<param>`` gets the new one.
        """
        self._add_item("params", plain_params(params or {}))

    @rank_zero_only
    def log_files(self, files: Mapping[str, Callable[[Path], object]]) -> None:
        """Log artifacts in one request: for each path in the run the function that writes it."""
        self._add_item("files", {}, files)

    @rank_zero_only
    def log_dict(self, values: Mapping[str, Any], path: str) -> None:
        """Log plain values as the artifact ``path``: YAML if it ends in ``.yaml``, else JSON."""
        if path.endswith(".yaml"):
            text = yaml.safe_dump(dict(values))
        else:
            text = json.dumps(dict(values), indent=2)
        self.log_files({path: lambda file: file.write_text(text, encoding="utf-8")})

    def address(self, path: str) -> str:
        """Return the link to an artifact of the run, from every page of MLflow's UI."""
        page = f"#/experiments/{self._experiment_id}/runs/{self.version}/artifacts/{path}"
        return f"{page}?workflowType=machine_learning"  # else it opens among language models

    @rank_zero_only
    def describe(self, markdown: str) -> None:
        """Set the run's description, which the UI shows at its top, cut at 8,000 characters."""
        self._add_item("tags", {"mlflow.note.content": markdown[:TAG_LENGTH]})

    @rank_zero_only
    def log_dataset(
        self, dataset: datasets.Dataset, name: str, context: Split, source: str
    ) -> None:
        """Log a split as an input of the run, with the digest of all its rows.

        Of two splits with equal rows and names MLflow keeps the first.
        """
        split = dataset_input(dataset, name, context, source)
        tags = {tag.key: tag.value for tag in split.tags}
        self._add_item("inputs", {"dataset": dict(split.dataset), "tags": tags})

    @rank_zero_only
    def register(
        self,
        predictor: Predictor,
        name: str,
        scores: Mapping[str, float],
        tags: Mapping[str, str],
        description: str,
        sidecars: Mapping[str, Callable[[Path], object]],
    ) -> str | None:
        """Register a model of the run, as `memgate.tracking.registry.versions.register` does.

        Returns:
            The version, or None if the store is away and the model is kept in the spool.
        """
        values = {
            "name": name,
            "scores": {key: float(score) for key, score in scores.items()},
            "tags": dict(tags),
            "description": description,
        }
        files = {f"model/{file}": write for file, write in sidecars.items()}
        return self._add_item("model", values, {"model": predictor.save, **files})

    @rank_zero_only
    def finalize(self, status: str) -> None:  # noqa: ARG002  # Lightning's signature
        """Send what is unsent; the run goes on, as Lightning calls this after every stage."""
        if self._outbox is not None:
            self._outbox.send()

    @rank_zero_only
    def end(self, status: Status) -> None:
        """Send what is unsent and end the run; only the first call counts."""
        if self._system_metrics is None or self._outbox is None or self._ended:
            return
        self._ended = True
        self._system_metrics.finish()
        self._outbox.close(status, int(time.time() * 1000))

    def __enter__(self) -> Self:
        """Let the block end the run; from here on, SIGTERM raises `SIGTERMException`."""
        if threading.current_thread() is threading.main_thread():
            self._sigterm = signal.signal(signal.SIGTERM, self._on_sigterm)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the run with the status of the block."""
        self.end(status_of(error))
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._sigterm or signal.SIG_DFL)

    def _on_sigterm(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Raise, unless Lightning's own handler, which calls this one, is set."""
        if signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            raise SIGTERMException(128 + signum)


def status_of(error: BaseException | None) -> Status:
    """Return the status of a run from the exception that ended it.

    Lightning turns Ctrl-C into a SystemExit whose context is the KeyboardInterrupt.
    """
    cause = error
    while cause is not None:
        if isinstance(cause, (KeyboardInterrupt, SIGTERMException)):
            return "KILLED"
        cause = cause.__cause__ or cause.__context__
    exits_well = isinstance(error, SystemExit) and not error.code and not error.__context__
    return "FINISHED" if error is None or exits_well else "FAILED"


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
