"""One MLflow run as a Lightning logger: metrics in batches, data with digests, an honest ending."""

from __future__ import annotations

import signal
import tempfile
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import mlflow
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn
from lightning.pytorch.utilities.exceptions import SIGTERMException
from mlflow.entities import Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.tracking.context.registry import resolve_tags

from memgate.errors import InputError
from memgate.tracking.buffer import MetricBuffer
from memgate.tracking.provenance import code_tags, dataset_input
from memgate.tracking.store import connect
from memgate.tracking.store import experiment as experiment_id

if TYPE_CHECKING:
    import datasets

    from memgate.data.example import Split

Status = Literal["FINISHED", "FAILED", "KILLED"]

SAMPLE_SECONDS = 5.0
"""Between two samples of CPU, memory, disk, network and GPU."""

PER_REQUEST = 100
PARAM_LENGTH, TAG_LENGTH = 6000, 8000
"""MLflow's limits, of params and tags; longer values are cut."""


class RunLogger(Logger):
    """Logs one MLflow run, made when it is first needed and only by rank zero.

    Lightning's `finalize`, called after each of fit, validate and test, only sends what is waiting;
    the run ends with `end`, or with the ``with`` block: KILLED by Ctrl-C or SIGTERM, FAILED by any
    other exception, else FINISHED. Checkpoints land in
    ``<save_dir>/<run_name>/<run_id>/checkpoints``.

    Args:
        experiment: Name of the experiment, made if need be.
        run_name: Name of the run.
        run_id: A run to go on with; it is set back to RUNNING.
        tags: Tags of the run, such as cell, data and seed.
        save_dir: Folder of the checkpoints.

    Raises:
        InputError: (when the run is first needed) the store is unreadable or has no such run.
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
        self._monitor: SystemMetricsMonitor | None = None
        self._buffer: MetricBuffer | None = None
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
        if self._run_id is None:
            tags = {**resolve_tags(), **code_tags(), **self._tags}
            run = client.create_run(
                experiment_id(self._experiment_name), tags=tags, run_name=self._run_name
            )
            self._run_id = run.info.run_id
        else:
            try:
                client.update_run(self._run_id, status="RUNNING")
            except MlflowException as error:
                raise InputError(f"run {self._run_id}: can't go on: {error.message}") from error
        self._buffer = MetricBuffer(client, self._run_id)
        self._monitor = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
            self._run_id,
            sampling_interval=SAMPLE_SECONDS,
            resume_logging=resumed,
            tracking_uri=mlflow.get_tracking_uri(),
        )
        self._monitor.start()  # type: ignore[no-untyped-call]
        return client

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep metrics, and send all that wait once 1,000 do or 5 s have passed."""
        _ = self.experiment
        if self._buffer is not None:
            self._buffer.add(metrics, step or 0)

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
        client = self.experiment
        given = vars(params) if isinstance(params, Namespace) else params or {}
        values = {key: value[:PARAM_LENGTH] for key, value in _flat(given)}
        known = client.get_run(self._run_id).data.params
        new = [Param(key, value) for key, value in values.items() if key not in known]
        changed = [
            RunTag(f"changed/{key}", value)
            for key, value in values.items()
            if known.get(key, value) != value
        ]
        for start in range(0, max(len(new), len(changed)), PER_REQUEST):
            chunk = slice(start, start + PER_REQUEST)
            client.log_batch(self._run_id, params=new[chunk], tags=changed[chunk])

    @rank_zero_only
    def log_files(self, files: Mapping[str, Callable[[Path], object]]) -> None:
        """Write artifacts in one request; the UI shows CSV, has no preview of Parquet.

        Args:
            files: For each path in the run, such as ``tables/accuracy.csv``, the function that
                writes the file to a path of this machine.
        """
        client = self.experiment
        with tempfile.TemporaryDirectory() as folder:
            for name, write in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path)
            client.log_artifacts(self._run_id, folder)

    @rank_zero_only
    def log_dict(self, values: Mapping[str, Any], path: str) -> None:
        """Write plain values to ``path``: JSON, or YAML where it ends in ``.yaml``."""
        self.experiment.log_dict(self._run_id, dict(values), path)

    @rank_zero_only
    def describe(self, markdown: str) -> None:
        """Set the description that the UI shows above the run, cut at 8,000 characters."""
        self.experiment.set_tag(self._run_id, "mlflow.note.content", markdown[:TAG_LENGTH])

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
        self.experiment.log_inputs(self._run_id, datasets=[given])

    @rank_zero_only
    def finalize(self, status: str) -> None:  # noqa: ARG002  # Lightning's signature
        """Send what waits; Lightning calls this after every stage, so the run goes on."""
        if self._buffer is not None:
            self._buffer.flush()

    @rank_zero_only
    def end(self, status: Status) -> None:
        """Send what waits and end the run; of several calls the first counts."""
        if self._client is None or self._run_id is None or self._buffer is None or self._ended:
            return
        self._ended = True
        self._buffer.flush()
        folder = Path(self._save_dir, self._run_name, self._run_id)
        self._buffer.spool(folder / "unsent_metrics.jsonl")
        try:
            self._stop_monitor()
            self._client.set_terminated(self._run_id, status)
        except MlflowException as error:
            rank_zero_warn(f"run {self._run_id} can't be set to {status}: {error.message}")

    def _stop_monitor(self) -> None:
        """Stop sampling; what was sampled since the last request is sent, so each run has some."""
        if self._monitor is not None:
            self._monitor.finish()  # type: ignore[no-untyped-call]
            rest = self._monitor.aggregate_metrics()  # type: ignore[no-untyped-call]
            self._monitor.publish_metrics(rest)  # type: ignore[no-untyped-call]
            self._monitor.mlflow_logger.flush()  # type: ignore[no-untyped-call]

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
        self.end(_status(error))
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._sigterm or signal.SIG_DFL)

    def _on_sigterm(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Raise, unless Lightning is in charge: it puts its own handler before this one."""
        if signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            raise SIGTERMException(128 + signum)


def _status(error: BaseException | None) -> Status:
    """Tell how a run ended from what ended it.

    Lightning turns Ctrl-C into a SystemExit whose context is the KeyboardInterrupt.
    """
    if error is None or (
        isinstance(error, SystemExit) and not error.code and not error.__context__
    ):
        return "KILLED" if isinstance(error, SIGTERMException) else "FINISHED"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (KeyboardInterrupt, SIGTERMException)):
            return "KILLED"
        cause = cause.__cause__ or cause.__context__
    return "FAILED"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        inner = vars(value) if isinstance(value, Namespace) else value
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", str(inner)
