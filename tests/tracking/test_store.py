from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import FrameType

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from memgate.errors import InputError
from memgate.predictor import Predictor
from memgate.tracking import sqlite_file
from memgate.tracking.registry.versions import load_predictor, register
from memgate.tracking.store import (
    CLIENT_ENVIRONMENT,
    DEFAULT_URI,
    connect,
    experiment,
    store_name,
    storing,
    tracking_uri,
)

NAME = "memgate-gru-synthetic"
MODEL = f"models:/{NAME}@champion"

LOCATIONS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "source",
}
"""Columns of MLflow's tables that name where artifacts lie."""

MAKE = """
import sys
asks = {"socket.connect", "socket.getaddrinfo"}
sys.addaudithook(lambda name, args: name in asks and print(name, args))
from mlflow.telemetry import get_telemetry_client
from memgate.tracking.store import connect, experiment
client = connect()
client.create_run(experiment("one"))
assert get_telemetry_client() is None
"""


def rows(database: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def test_uri_is_the_users_or_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri() == DEFAULT_URI == "sqlite:///mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example.org")
    assert tracking_uri() == "http://example.org"


def test_connect_leaves_the_users_environment_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert mlflow.get_tracking_uri() == f"sqlite:///{project}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEFAULT_URI)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    connect()
    assert os.environ["MLFLOW_TRACKING_URI"] == DEFAULT_URI
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == CLIENT_ENVIRONMENT["MLFLOW_DISABLE_TELEMETRY"]


def test_every_location_is_relative(project: Path) -> None:
    database = project / "mlruns" / "mlflow.db"
    for table, column in LOCATIONS.items():
        condition = "WHERE experiment_id > 0" if table == "experiments" else ""
        found = rows(database, f"SELECT {column} FROM {table} {condition}")
        assert found
        assert all(str(value).startswith("mlruns/artifacts") for (value,) in found), table


def test_experiment_is_made_once_and_made_relative_again(project: Path) -> None:
    first = experiment("other")
    database = project / "mlruns" / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:  # as after a crash half-way
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE name = 'other'",
            (str(project / "mlruns" / "artifacts"),),
        )
    assert experiment("other") == first
    assert connect().get_experiment(first).artifact_location == "mlruns/artifacts"


FOLDERS = ["elsewhere", "My%20Project", "My Project", "a#b", "a?b=c", "ünï;x&y", "artifacts"]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_store_elsewhere_has_its_artifacts_alongside(
    project: Path, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = load_predictor(MODEL).predict(["the keys"])
    folder = tmp_path / "projects" / name
    shutil.copytree(project, folder)
    shutil.rmtree(project)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlruns/mlflow.db")
    assert load_predictor(MODEL).predict(["the keys"]) == before
    for name_of_experiment in ("synthetic", "other"):
        run = connect().create_run(experiment(name_of_experiment))
        version = register(run.info.run_id, predictor, NAME, {"val_accuracy": 0.9})
        connect().log_text(run.info.run_id, "new", "new.txt")
        assert (folder / str(run.info.artifact_uri) / "new.txt").read_text() == "new"
        loaded = load_predictor(f"models:/{NAME}/{version}")
        assert loaded.predict(["the keys"]) == before
    assert not list(empty.iterdir())
    assert [path.name for path in folder.parent.iterdir()] == [name]
    assert {path.name for path in folder.iterdir()} == {"mlruns"}


@pytest.mark.parametrize("name", ["My%20Project", "a?b=c"])
def test_a_new_store_in_a_folder_of_any_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path / name)
    run = connect().create_run(experiment("one"))
    connect().log_text(run.info.run_id, "new", "new.txt")
    assert {path.name for path in Path("mlruns").iterdir()} == {"mlflow.db", "artifacts"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_escaped_uri_is_read_as_mlflow_reads_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(project, tmp_path / "My Project")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/My%20Project/mlruns/mlflow.db")
    assert load_predictor(MODEL).predict(["the keys"])
    assert not (tmp_path / "My%20Project").exists()


@pytest.mark.parametrize("form", ["path", "file:"])
def test_absolute_locations_are_found_in_a_store_that_was_moved_and_renamed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    old = project / "mlruns" / "artifacts"
    absolute = str(old) if form == "path" else old.as_uri()
    with closing(sqlite3.connect("mlruns/mlflow.db")) as connection, connection:
        for table, column in LOCATIONS.items():
            connection.execute(
                f"UPDATE {table} SET {column} = replace({column}, 'mlruns/artifacts', ?)",
                (absolute,),
            )
    before = load_predictor(MODEL).predict(["the keys"])
    monkeypatch.chdir(tmp_path)
    shutil.move(project / "mlruns", tmp_path / "results")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///results/mlflow.db")
    assert load_predictor(MODEL).predict(["the keys"]) == before
    run = connect().create_run(experiment("synthetic"))
    connect().log_text(run.info.run_id, "new", "new.txt")
    assert str(run.info.artifact_uri).startswith("results/artifacts/")
    assert (tmp_path / str(run.info.artifact_uri) / "new.txt").exists()
    assert not old.exists()


def test_an_experiment_of_an_earlier_version_is_described_and_the_user_s_words_stay(
    project: Path,
) -> None:
    number = connect().create_experiment("old")
    connect().set_experiment_tag(number, "mlflow.note.content", "mine")
    assert experiment("old") == number
    tags = connect().get_experiment(number).tags
    assert tags["mlflow.note.content"] == "mine"
    assert tags["mlflow.experimentKind"] == "custom_model_development"


def test_deleted_experiment(project: Path) -> None:
    connect().delete_experiment(experiment("other"))
    with pytest.raises(InputError, match="'other': expected an active one"):
        experiment("other")


def test_two_projects_in_one_process(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    shutil.copytree(project, other)
    connect().create_run(experiment("only here"))
    monkeypatch.chdir(other)
    assert connect().get_experiment_by_name("only here") is None


def test_the_folder_can_be_moved(
    project: Path, tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_predictor(MODEL).predict(["the keys"])
    moved = tmp_path / "some" / "place"
    moved.parent.mkdir()
    monkeypatch.chdir(tmp_path)
    shutil.move(project, moved)
    monkeypatch.chdir(moved)
    client = connect()
    assert load_predictor(MODEL).predict(["the keys"]) == before == predictor.predict(["the keys"])
    assert (
        mlflow.pyfunc.load_model(MODEL).predict([{"prefix": "the keys"}])["p_plural"][0] == before
    )
    (run,) = client.search_runs([experiment("synthetic")])
    assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/note.txt") == "kept"
    client.log_text(run.info.run_id, "new", "new.txt")
    assert list((moved / "mlruns" / "artifacts").rglob("new.txt"))
    assert not project.exists()  # nothing was written to the old place


@pytest.mark.processes
def test_two_new_processes_make_one_store_in_silence(tmp_path: Path) -> None:
    made = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE],
            cwd=tmp_path,
            # A bare environment: MLflow keeps its telemetry off where it sees pytest or CI.
            env={"HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    for process in made:
        output, _ = process.communicate(timeout=60)
        assert (process.returncode, output) == (0, "")
    assert [path.name for path in (tmp_path / "mlruns").iterdir()] == ["mlflow.db"]
    assert len(rows(tmp_path / "mlruns" / "mlflow.db", "SELECT * FROM runs")) == 2


def test_ctrl_c_while_the_store_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt_half_way(signum: int, frame: FrameType | None) -> None:
        if any(path.stat().st_size > 100_000 for path in tmp_path.iterdir()):
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/new.db")
    before = signal.signal(signal.SIGALRM, interrupt_half_way)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        with pytest.raises(KeyboardInterrupt):
            connect()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not list(tmp_path.iterdir())


def spoil(folder: Path, kind: str) -> str:
    """Put a store that can't be read into a folder and return its URI."""
    path = folder / "mlruns" / "mlflow.db"
    if kind == "no database":
        path.write_text("hello")
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:50_000])
    elif kind == "another program's":
        path.unlink()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE songs (title)")
    elif kind == "a later MLflow's":
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    elif kind == "a folder":
        path.unlink()
        path.mkdir()
    elif kind == "below a file":
        return f"sqlite:///{path}/deeper/mlflow.db"
    return f"sqlite:///{path}"


@pytest.mark.parametrize(
    "kind",
    ["no database", "cut", "another program's", "a later MLflow's", "a folder", "below a file"],
)
def test_unreadable_sqlite(project: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", spoil(project, kind))
    started = time.monotonic()
    with pytest.raises(InputError) as caught:
        connect()
    assert time.monotonic() - started < 30  # MLflow itself retries for 100 s
    assert str(project) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["mlruns", "file:./mlruns", "foo://x"])
def test_a_store_mlflow_cannot_open(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(InputError, match=f"^{uri}: expected a readable MLflow store, got: .+$"):
        connect()


def test_unwritable_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////proc/self/mlflow.db")  # not even by root
    with pytest.raises(InputError, match="writable"):
        connect()


@pytest.mark.parametrize(
    "fault",
    [MlflowException("a\nb"), OperationalError("x", {}, Exception("read-only")), OSError(5)],
)
def test_what_the_store_does_not_take_is_one_line(fault: Exception) -> None:
    with pytest.raises(InputError, match="can't be written") as caught, storing():
        raise fault
    assert "\n" not in str(caught.value)


def test_a_missing_store_is_not_made_by_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="found no file"):
        connect(create=False)
    assert not list(tmp_path.iterdir())


def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(InputError, match=r"http://127\.0\.0\.1:\d+: expected a readable"):
            connect()
    assert time.monotonic() - started < 60  # MLflow itself waits for 8 times 120 s


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("http://mlflow.example.org:5000/", "http://mlflow.example.org:5000"),
        ("https://me:secret@mlflow.example.org", "https://me@mlflow.example.org"),
        ("postgresql+psycopg://me:secret@db/mlflow", "postgresql+psycopg://me@db/mlflow"),
        ("postgresql://me@/mlflow?host=/tmp", "postgresql://me@/mlflow?host=/tmp"),
        ("sqlite:///mlruns/mlflow.db", "sqlite:///mlruns/mlflow.db"),
    ],
)
def test_the_name_of_a_store_holds_no_password(
    uri: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert store_name() == name


def test_a_server_that_is_not_there_is_told_in_few_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(InputError) as caught:
        connect()
    expected = "http://127.0.0.1:9: expected a readable MLflow store, got: Connection refused"
    assert str(caught.value) == expected


def test_a_store_that_another_process_locks_is_reported_in_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    monkeypatch.setattr(sqlite_file, "SQLITE_LOCK_SECONDS", 0.1)
    other = sqlite3.connect("mlruns/mlflow.db", isolation_level=None)
    try:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(InputError, match=r"mlflow.db: .*locked") as caught:
            connect()
        assert "\n" not in str(caught.value)
    finally:
        other.close()
