"""The MLflow store: where runs and models are kept, opened the same way everywhere."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import gaierror
from textwrap import shorten

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.telemetry import get_telemetry_client, set_telemetry_client
from sqlalchemy.exc import SQLAlchemyError

from memgate.errors import InputError

DEFAULT_URI = "sqlite:///mlruns/mlflow.db"
SQLITE = "sqlite:///"

ENVIRONMENT = {
    # No tool of ours phones home; MLflow would fetch https://config.mlflow-telemetry.io/… .
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A dead server is noticed after 2 × 10 s at most, not after MLflow's 8 × 120 s.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    # The three files of a model are there before a bar can be drawn.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A server's address and a runner, printed among a command's results at the end of every run.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""What `connect` sets where the user has set nothing."""


def tracking_uri() -> str:
    """Return ``$MLFLOW_TRACKING_URI``, else the sqlite file ``mlruns/mlflow.db`` of this folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def store_name() -> str:
    """Return `tracking_uri` without a password: what may be written down.

    ``postgresql://me:secret@db.example.org/mlflow`` is ``postgresql://me@db.example.org/mlflow``.
    """
    return re.sub(r"(?<=://)([^/:@]*):[^/@]*@", r"\1@", tracking_uri()).rstrip("/")


def database() -> Path | None:
    """Return the absolute path of the store's sqlite file, or None if it is no such file."""
    uri = tracking_uri()
    path = uri.removeprefix(SQLITE)
    return None if path in (uri, "", ":memory:") else Path(path).absolute()


def connect(create: bool = True) -> mlflow.MlflowClient:
    """Open the store and make it MLflow's own, so that ``models:/…`` URIs are read from it.

    A new sqlite store takes 1.2 to 1.7 s to make; an existing one 0.9 s the first time in a process
    (MLflow's imports), then 4 ms. The working directory may change between calls: MLflow gets the
    absolute path of the file.

    Args:
        create: Whether a missing sqlite store is made.

    Raises:
        InputError: The store is missing (and not to be made), unreadable, or doesn't answer.
    """
    uri, path = tracking_uri(), database()
    if path is not None:
        _check_sqlite(path, create)
        uri = f"{SQLITE}{path}"
    _quiet()
    given = os.environ.get("MLFLOW_TRACKING_URI")
    try:
        if path is not None and not path.exists():
            _create(path)
        mlflow.set_tracking_uri(uri)
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)
    except Exception as error:  # MLflow, SQLAlchemy, alembic, a missing driver: all mean the same
        if _interrupted(error):
            raise KeyboardInterrupt from error
        raise InputError(
            f"{uri}: expected a readable MLflow store, got: {reason_of(error)}"
        ) from error
    finally:
        if (
            given is None
        ):  # set_tracking_uri writes it, and the next call would believe the user did
            os.environ.pop("MLFLOW_TRACKING_URI", None)
        else:
            os.environ["MLFLOW_TRACKING_URI"] = given
    return client


def experiment(name: str) -> str:
    """Return the id of an experiment, made if need be.

    Artifacts of a sqlite store lie beside it, in ``artifacts``. MLflow would record their absolute
    path; where the store lies below the working directory the relative one is put back into its
    table, so that the folder can be moved and still be read from its new place.

    Raises:
        InputError: The store is unreadable, or the experiment was deleted.
    """
    client, path = connect(), database()
    folder = None if path is None else path.parent / "artifacts"
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            client.create_experiment(name, None if folder is None else str(folder))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                raise InputError(f"experiment {name!r}: {error.message}") from error
        found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage != "active":
        raise InputError(f"experiment {name!r}: expected an active one, got a deleted one")
    if path is not None and found.artifact_location == str(folder):
        _make_relative(path, found.experiment_id)
    return str(found.experiment_id)


def _interrupted(error: BaseException | None) -> bool:
    """Say whether a Ctrl-C is behind an error; SQLAlchemy makes errors of its own from one."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


@contextmanager
def storing() -> Iterator[None]:
    """Say in one line that the store doesn't take what a run has to say.

    Raises:
        InputError: Instead of what MLflow and the database raise.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise InputError(f"{tracking_uri()}: can't be written: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """Say in one line why the store failed: MLflow wraps a refused connection in 400 characters."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (ConnectionError, TimeoutError, gaierror)) and cause.args:
            return str(cause.args[-1])
        cause = cause.__cause__ or cause.__context__
    return shorten(str(error) or type(error).__name__, 200)


def _create(path: Path) -> None:
    """Make a sqlite store whole or not at all.

    MLflow makes one by 67 migrations that neither survive a Ctrl-C half-way ("duplicate column
    name" for ever after) nor a second process at the same time; so it is made aside, then linked.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        mlflow.MlflowClient(f"{SQLITE}{aside}").search_experiments(max_results=1)
        try:
            path.hardlink_to(aside)
        except OSError:
            if not path.exists():  # a file system without hard links
                aside.replace(path)  # else another process was faster: its store is as good
    finally:
        aside.unlink(missing_ok=True)


def _make_relative(path: Path, experiment_id: str) -> None:
    if not path.is_relative_to(Path.cwd()):
        return
    location = (path.parent / "artifacts").relative_to(Path.cwd()).as_posix()
    with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
            (location, int(experiment_id)),
        )


def _check_sqlite(path: Path, create: bool) -> None:
    """Refuse what MLflow would retry for minutes (a damaged file) or fill with its own tables."""
    if not path.exists():
        if not create:
            raise InputError(
                f"{path}: expected an MLflow store, found no file; nothing was trained?"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{path.parent}: expected a folder for the store, got: {error}"
            ) from error
        if not os.access(path.parent, os.W_OK):
            raise InputError(f"{path.parent}: expected a writable folder for the store")
        return
    try:
        with closing(
            sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)
        ) as connection:
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        raise InputError(f"{path}: expected a readable MLflow store, got: {error}") from error
    if names and not {"experiments", "alembic_version"} <= names:
        raise InputError(
            f"{path}: expected an MLflow store, got tables {', '.join(sorted(names)[:5])}"
        )


def _quiet() -> None:
    """Keep MLflow's chatter and telemetry off, unless the user asks for the one or the other."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if get_telemetry_client() is not None:
        # MLflow made one when it was imported; now it reads MLFLOW_DISABLE_TELEMETRY again.
        set_telemetry_client()  # type: ignore[no-untyped-call]
    if "MLFLOW_LOGGING_LEVEL" not in os.environ:
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # each retry


def is_finished(run_id: str) -> bool:
    """Say whether a run ended with its model registered, or isn't in the store any more."""
    try:
        return bool(connect(create=False).get_run(run_id).info.status == "FINISHED")
    except MlflowException:
        return True
