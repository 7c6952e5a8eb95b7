"""An MLflow server with PostgreSQL and proxied artifacts on loopback, as docs/server.md says."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

PROGRAMS = ("initdb", "postgres", "createdb", "pg_dump", "pg_restore")

# Ends what was started and removes its folder once its standard input closes: when the tests are
# over, and when they are killed.
GUARD = 'read _; for group in $(cat "$0/groups"); do kill -9 -"$group"; done; rm -rf "$0"'


def program(name: str) -> str | None:
    """Return the path of one of PostgreSQL's programs; Debian's aren't on the PATH."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)
    )
    return shutil.which(name, path=os.pathsep.join([*map(str, found[-1:]), os.environ["PATH"]]))


class Server:
    """A PostgreSQL server and an MLflow server; ``uri`` is MLflow's, ``database`` the other's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.artifacts = folder / "artifacts"
        self.database = f"postgresql+psycopg://memgate@/mlflow?host={folder}"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._started: list[subprocess.Popen[bytes]] = []
        self._mlflow: subprocess.Popen[bytes] | None = None

    @property
    def group(self) -> int:
        """The process group of the MLflow server."""
        assert self._mlflow is not None
        return self._mlflow.pid

    @property
    def command(self) -> list[str]:
        """How the MLflow server is started."""
        return [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
            *("--port", str(self.port), "--workers", "1"),
            *("--backend-store-uri", self.database),
            *("--serve-artifacts", "--artifacts-destination", str(self.artifacts)),
            *("--allowed-hosts", "127.0.0.1:*,mlflow.example.org"),
        ]

    def _begin(self, command: Sequence[str | Path], **options: object) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )
        self._started.append(process)
        self._note()
        return process

    def _note(self) -> None:
        groups = [str(each.pid) for each in self._started if each.poll() is None]
        (self.folder / "groups").write_text(" ".join(groups))

    def reap(self) -> None:
        """Wait for what was killed."""
        for process in self._started:
            process.wait()

    def start_postgres(self) -> None:
        """Make a database and start its server."""
        # It refuses to run as root.
        who: dict[str, object] = {"user": "nobody", "extra_groups": []} if os.getuid() == 0 else {}
        home = self.folder / "postgres"
        home.mkdir()
        if who:
            shutil.chown(home, "nobody")
            shutil.chown(self.folder, "nobody")
        user = ("-U", "memgate", "--auth", "trust", "--no-sync", "--locale", "C", "-E", "UTF8")
        made = self._begin([str(program("initdb")), "-D", home, *user], cwd=home, **who)
        assert made.wait(60) == 0, self.log()
        socket_only = ("-c", "listen_addresses=", "-k", str(self.folder), "-F")
        postgres = self._begin(
            [str(program("postgres")), "-D", home, *socket_only], cwd=home, **who
        )
        deadline = time.monotonic() + 30
        while True:
            with suppress(psycopg.OperationalError):
                address = f"postgresql://memgate@/postgres?host={self.folder}"
                with psycopg.connect(address, autocommit=True) as connection:
                    connection.execute("CREATE DATABASE mlflow")
                return
            assert postgres.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def start(self) -> None:
        """Start the MLflow server and wait for it."""
        self._mlflow = self._begin(
            self.command,
            cwd=self.folder,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "HOME": "/tmp"},
        )
        deadline = time.monotonic() + 90
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return
            assert self._mlflow.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.2)

    def ensure(self) -> None:
        """Start the MLflow server if it doesn't run."""
        if self._mlflow is None or self._mlflow.poll() is not None:
            self.start()

    def kill(self) -> None:
        """Take the MLflow server away."""
        if self._mlflow is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._mlflow.pid, signal.SIGKILL)
            self._mlflow.wait()
            self._mlflow = None
            self._note()

    def log(self) -> str:
        return (self.folder / "log").read_text()[-3000:]


@contextmanager
def server() -> Iterator[Server]:
    """Start both; they and their folder are gone afterwards, whatever happens."""
    missing = [name for name in PROGRAMS if program(name) is None]
    if missing:
        reason = f"PostgreSQL isn't on this machine: no {' and no '.join(missing)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="memgate-pg-", dir="/tmp"))  # a short path, for a socket
    (folder / "groups").touch()
    (folder / "artifacts").mkdir()
    both = Server(folder)
    try:
        with subprocess.Popen(
            ["sh", "-c", GUARD, folder],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C isn't for it
        ):
            both.start_postgres()
            both.start()
            yield both
    finally:
        both.reap()
