"""The MLflow store of runs and models, opened the same way everywhere by `connect`."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gaierror
from textwrap import shorten
from urllib.parse import unquote

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.telemetry import get_telemetry_client, set_telemetry_client
from sqlalchemy.exc import SQLAlchemyError

from memgate.errors import InputError
from memgate.tracking.artifacts import ARTIFACTS, located, relative_location, use_store_artifacts
from memgate.tracking.sqlite_file import (
    SQLITE,
    check_file,
    create_store,
    set_artifact_location,
    without_escapes,
)

EXPERIMENT = "memgate"
"""The experiment of all runs."""

EXPERIMENT_TAGS = {
    "mlflow.note.content": (
        "Recurrent networks (RNN, GRU, LSTM) that read the words before a verb and choose its "
        "number, and what their gates do. Each run is a fit of `memgate`: its description says "
        "what it reached, `explain.html` shows its gates word by word, `figures/` and `tables/` "
        "the rest. Models are registered as `memgate-<cell>-<data>`; `champion` is the version "
        "to use."
    ),
    # Else MLflow opens its pages for language models.
    "mlflow.experimentKind": "custom_model_development",
}
"""What MLflow shows above the runs, and the kind of pages that it opens."""

DEFAULT_URI = "sqlite:///mlruns/mlflow.db"

CLIENT_ENVIRONMENT = {
    # memgate sends nothing anywhere; MLflow would fetch https://config.mlflow-telemetry.io/… .
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A dead server is noticed after 2 × 10 s at most, not after MLflow's 8 × 120 s.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    # A model has three small files; a progress bar for them is noise.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow would print a link among a command's results at the end of every run.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Environment variables that `connect` sets unless the user has set them."""


def tracking_uri() -> str:
    """Return ``$MLFLOW_TRACKING_URI``, else the sqlite file ``mlruns/mlflow.db`` of this folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def store_name() -> str:
    """Return `tracking_uri` without a password, to be printed and written to files.

    ``postgresql://me:secret@db.example.org/mlflow`` is ``postgresql://me@db.example.org/mlflow``.
    """
    return re.sub(r"(?<=://)([^/:@]*):[^/@]*@", r"\1@", tracking_uri()).rstrip("/")


def database() -> Path | None:
    """Return the absolute path of the store's sqlite file, or None if it is no such file.

    ``My%20Project`` in ``$MLFLOW_TRACKING_URI`` is a folder of that name, if there is one, or
    ``My Project``, as MLflow reads it.
    """
    uri = tracking_uri()
    name = uri.removeprefix(SQLITE)
    if name in (uri, "", ":memory:"):
        return None
    path = Path(name).absolute()
    return path if path.parent.is_dir() or path.exists() else Path(unquote(name)).absolute()


def connect(create: bool = True) -> mlflow.MlflowClient:
    """Open the store and set it as MLflow's tracking URI, so that ``models:/…`` are read from it.

    To create a sqlite store takes 1.2 to 1.7 s. To open one takes 0.9 s the first time in a process
    (MLflow's imports), then 4 ms. The working directory may change between calls: MLflow gets the
    absolute path of the file.

    Args:
        create: Whether the store will be written, so that a missing sqlite store is created.

    Raises:
        InputError: The store is unreadable or doesn't answer; or it is missing, unless `create`; or
            it is read-only, if `create`.
    """
    uri, path = tracking_uri(), database()
    if path is not None:
        check_file(path, create)
        uri = f"{SQLITE}{without_escapes(path)}"
    _configure_mlflow()
    use_store_artifacts()
    user_uri = os.environ.get("MLFLOW_TRACKING_URI")
    try:
        if path is not None and not path.exists():
            create_store(path)
        mlflow.set_tracking_uri(uri)
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)
    except Exception as error:  # MLflow, SQLAlchemy, alembic, a missing driver: all mean the same
        if _interrupted(error):
            raise KeyboardInterrupt from error
        raise InputError(
            f"{path or uri}: expected a readable MLflow store, got: {reason_of(error)}"
        ) from error
    finally:
        # set_tracking_uri writes the variable; the next call would take it for the user's.
        if user_uri is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)
        else:
            os.environ["MLFLOW_TRACKING_URI"] = user_uri
    return client


def experiment(name: str) -> str:
    """Return the id of an experiment, which is created if it is missing.

    Artifacts of a sqlite store lie in ``artifacts`` in the same folder. The location is stored
    relative, so that the store can be moved, see `memgate.tracking.artifacts`.

    Raises:
        InputError: The store is unreadable, or the experiment was deleted.
    """
    client, path = connect(), database()
    artifacts = None if path is None else path.parent / ARTIFACTS
    stored = client.get_experiment_by_name(name)
    if stored is None:
        try:
            client.create_experiment(
                name, None if artifacts is None else artifacts.as_uri(), EXPERIMENT_TAGS
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                raise InputError(f"experiment {name!r}: {error.message}") from error
        stored = client.get_experiment_by_name(name)
    if stored is None or stored.lifecycle_stage != "active":
        raise InputError(f"experiment {name!r}: expected an active one, got a deleted one")
    for key in EXPERIMENT_TAGS.keys() - stored.tags.keys():  # an experiment of an earlier version
        client.set_experiment_tag(stored.experiment_id, key, EXPERIMENT_TAGS[key])
    location = str(stored.artifact_location)
    is_absolute = location.startswith(("/", "file:"))
    if path is not None and is_absolute and located(location, path.parent) == artifacts:
        set_artifact_location(path, stored.experiment_id, relative_location(path.parent))
    return str(stored.experiment_id)


def _interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C caused an error; SQLAlchemy wraps the KeyboardInterrupt."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


@contextmanager
def storing() -> Iterator[None]:
    """Turn what MLflow and the database raise when a write fails into an error of one line.

    Raises:
        InputError: The store can't be written.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise InputError(f"{tracking_uri()}: can't be written: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """Return in one line why the store failed; MLflow's own message may have 400 characters."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (ConnectionError, TimeoutError, gaierror)) and cause.args:
            return str(cause.args[-1])
        cause = cause.__cause__ or cause.__context__
    return shorten(str(error) or type(error).__name__, 200)


def _configure_mlflow() -> None:
    """Set `CLIENT_ENVIRONMENT`; turn off telemetry, and MLflow's log unless its level is set."""
    for name, value in CLIENT_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if get_telemetry_client() is not None:
        # MLflow made a client when it was imported; this reads MLFLOW_DISABLE_TELEMETRY again.
        set_telemetry_client()  # type: ignore[no-untyped-call]
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        # it writes 80 lines of traceback, and raises what memgate reports in one
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        # it warns of each retry
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
