"""The sqlite file behind a local store: what MLflow's API does not do for it.

This is the only module that touches MLflow's tables.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

import mlflow

from memgate.errors import InputError

SQLITE = "sqlite:///"

SQLITE_LOCK_SECONDS = 30.0
"""How long a query waits for another process that writes to the file."""


def check_file(path: Path, create: bool) -> None:
    """Refuse a file that MLflow would retry for 100 s (damaged) or fill with its own tables.

    Raises:
        InputError: The file is missing (unless `create`), damaged, locked or another program's; or
            `create`, and it or its folder isn't writable.
    """
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
    if create and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise InputError(
            f"{path}: the store is read-only; name another one, as in "
            "MLFLOW_TRACKING_URI=sqlite:///mlruns/mlflow.db"
        )
    try:
        with closing(
            sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=SQLITE_LOCK_SECONDS)
        ) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        raise InputError(f"{path}: expected a readable MLflow store, got: {error}") from error
    if tables and not {"experiments", "alembic_version"} <= tables:
        raise InputError(
            f"{path}: expected an MLflow store, got tables {', '.join(sorted(tables)[:5])}"
        )


def without_escapes(path: Path) -> Path:
    """Return a path of a file that SQLAlchemy reads as it is written; a link if need be.

    In the URL of a database it takes ``%41`` for a letter and ``?`` for the end of the path, and
    MLflow creates the folder of the URL as it is written.
    """
    return path if not set("%?") & set(str(path)) else _linked(path.parent) / path.name


@cache
def _linked(folder: Path) -> Path:
    temporary = Path(tempfile.mkdtemp(prefix="memgate-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    link = temporary / "store"
    link.symlink_to(folder)
    return link


def create_store(path: Path) -> None:
    """Create a store whole or not at all.

    MLflow creates one by 67 migrations. They survive neither a Ctrl-C half-way (every later start
    fails with "duplicate column name") nor a second process at the same time. So the file is
    created under a temporary name and then linked.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        mlflow.MlflowClient(f"{SQLITE}{without_escapes(temporary)}").search_experiments(
            max_results=1
        )
        try:
            path.hardlink_to(temporary)
        except OSError:
            # Either the file system has no hard links, or another process was faster and its
            # store is as good.
            if not path.exists():
                temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def set_artifact_location(path: Path, experiment_id: str, location: str) -> None:
    """Write the artifact location of an experiment into MLflow's table.

    A project folder that is moved or copied must still find its artifacts, so memgate keeps their
    location relative. `create_experiment` makes a relative location absolute since
    https://github.com/mlflow/mlflow/pull/7670, and no call or ``mlflow db`` command of MLflow 3.17
    sets it afterwards; https://github.com/mlflow/mlflow/issues/3144 asks for one.
    """
    with closing(sqlite3.connect(path, timeout=SQLITE_LOCK_SECONDS)) as connection, connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
            (location, int(experiment_id)),
        )
