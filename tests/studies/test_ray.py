"""Jobs and studies on a Ray cluster of two workers, started here."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import yaml
from mlflow.entities import Run

from memgate.cli import main
from memgate.errors import InputError
from memgate.pool import RayPool
from memgate.studies.jobs import run_jobs
from memgate.tracking.store import EXPERIMENT, connect, experiment
from tests.servers import GUARD, server

pytestmark = pytest.mark.processes

NAME = socket.gethostname()
RAY = Path(sys.executable).with_name("ray")
ANY_PORT = ("--min-worker-port=0", "--max-worker-port=0")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Cluster:
    """Ray nodes, each a process group of its own."""

    folder: Path
    port: int = field(default_factory=free_port)
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(
        self, *options: str, at: str = "127.0.0.1", **environment: str
    ) -> subprocess.Popen[bytes]:
        agent = f"--dashboard-agent-listen-port={free_port()}"
        here = f"--node-ip-address={at}"
        with (self.folder / "log").open("ab") as log:
            node = subprocess.Popen(
                [
                    RAY,
                    "start",
                    "--block",
                    "--disable-usage-stats",
                    agent,
                    here,
                    *ANY_PORT,
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1", **environment},
            )
        self.nodes.append(node)
        (self.folder / "groups").write_text(" ".join(str(each.pid) for each in self.nodes))
        return node

    def wait_for(self, nodes: int) -> None:
        """Wait until so many nodes are alive."""
        deadline = time.monotonic() + 60
        while alive(self.address) != nodes:
            late = time.monotonic() > deadline or self.nodes[-1].poll() is not None
            assert not late, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.2)


def alive(address: str) -> int:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))):
            return 0
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        nodes = ray.nodes()  # type: ignore[no-untyped-call]
        return sum(node["Alive"] for node in nodes)
    finally:
        ray.shutdown()


@contextmanager
def ended(cluster: Cluster) -> Iterator[None]:
    """End the nodes and remove their folder, also where the tests are killed."""
    guard = subprocess.Popen(
        ["sh", "-c", GUARD, cluster.folder],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C isn't for it
    )
    try:
        yield
    finally:
        heads = [psutil.Process(node.pid) for node in cluster.nodes if node.poll() is None]
        started = [each for head in heads for each in head.children(recursive=True)]
        guard.communicate()
        for node in cluster.nodes:
            node.wait()
        assert not psutil.wait_procs(started, timeout=20)[1]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that works nothing, and two workers of one core each with a store of their own."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # a short path, for sockets
    made = Cluster(folder)
    with ended(made):
        head: tuple[str, ...] = (
            "--head",
            f"--port={made.port}",
            "--num-cpus=0",
            "--include-dashboard=false",
        )
        if find_spec("grpc"):  # else there is no such server, and no such option
            head = (*head, f"--ray-client-server-port={free_port()}")
        made.start(*head, f"--temp-dir={folder}")
        made.wait_for(1)
        for nodes, name in ((2, "one"), (3, "two")):
            made.start(
                f"--address={made.address}",
                "--num-cpus=1",
                MLFLOW_RUN_CONTEXT=f'{{"node": "{name}"}}',
                MLFLOW_TRACKING_URI=f"sqlite:///{folder}/other.db",
            )
            made.wait_for(nodes)  # two that start at once take the same socket
        yield made


def ran(jobs: dict[str, str], address: str) -> dict[str, str]:
    """Return what failed."""
    with RayPool(address) as pool:
        return run_jobs(pool, exec, jobs)


def other_machines(address: str) -> list[str]:
    with RayPool(address) as pool:
        return pool.other_machines()


def test_jobs_run_on_both_workers_and_what_fails_stops_no_other(
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMGATE_DATA", "/some/where")
    write = "import os, ray, pathlib, time; time.sleep(1); pathlib.Path({!r}).write_text("
    write += "ray.get_runtime_context().get_node_id() + ' ' + os.environ['MEMGATE_DATA'])"
    jobs = {name: write.format(name) for name in ("one", "two", "three", "four")}
    wrong = {"wrong": "1 / 0", "dies": "import os; os._exit(1)"}
    failed = ran({**wrong, **jobs}, cluster.address)
    printed = capsys.readouterr().out.splitlines()
    lines = [line for line in printed if line.startswith("[")]  # Ray prints lines of its own
    assert failed.keys() == {"wrong", "dies"}
    assert failed["wrong"].startswith("ZeroDivisionError: division by zero")
    assert [line.split("]")[0] for line in lines] == [f"[{n}/6" for n in range(1, 7)]
    written = [Path(name).read_text().split() for name in jobs]
    assert {data for _, data in written} == {"/some/where"}
    assert len({node for node, _ in written}) == 2


def test_what_a_store_needs_goes_with_the_jobs_and_into_no_log(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    passed_on = {
        "MLFLOW_TRACKING_USERNAME": "an-account",
        "MLFLOW_TRACKING_PASSWORD": "a-password",
        "AWS_SECRET_ACCESS_KEY": "a-secret",
        "GOOGLE_APPLICATION_CREDENTIALS": "a-file",
        "AZURE_STORAGE_ACCESS_KEY": "a-key",
    }
    for name, value in {**passed_on, "HF_HOME": "/a-cache", "OTHER": "a-word"}.items():
        monkeypatch.setenv(name, value)
    write = (
        "import json, os, pathlib; pathlib.Path('variables').write_text(json.dumps({**os.environ}))"
    )
    assert ran({"one": write}, cluster.address) == {}
    variables = yaml.safe_load(Path("variables").read_text())
    assert {name: variables.get(name) for name in passed_on} == passed_on
    assert variables["HF_HOME"] == "/a-cache"
    assert "OTHER" not in variables
    assert "MLFLOW_TRACKING_URI" not in variables  # though the worker's node has one
    deadline = time.monotonic() + 20
    while b"/a-cache" not in (logs := log_of(cluster.folder)):  # Ray logs what it sets itself
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert not [value for value in passed_on.values() if value.encode() in logs]


def log_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_machine_that_lacks_the_folder_is_reported_in_one_line(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    jobs = {
        "goes": "import os, time; time.sleep(1); os.rmdir(os.getcwd())",
        "stays": "import time; time.sleep(2)",
        "comes": "1",
    }
    failed = ran(jobs, cluster.address)
    assert failed.keys() == {"comes"}
    assert failed["comes"].startswith(f"{NAME}: expected the folder of the command, got: ")
    assert str(folder) in failed["comes"]


def runs_of(tag: str) -> list[Run]:
    found: list[Run] = connect().search_runs([experiment(EXPERIMENT)], f"tags.{tag} != ''")
    return found


def test_a_study_and_its_search_run_on_both_workers_into_one_store(
    cluster: Cluster, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    searched = {"trials": 2, "settings": {"model.hidden_size": {"low": 3, "high": 5}}}
    given: dict[str, Any] = {"cells": ["gru"], "data": ["synthetic"], "seeds": 2}
    Path("tiny.yaml").write_text(yaml.safe_dump({**given, "search": searched}))
    assert main(["study", "tiny.yaml", "--ray", cluster.address]) == 0
    printed = capsys.readouterr()
    assert f"search tiny: 2 trials, 2 to do on Ray at {cluster.address}" in printed.out
    assert f"study tiny: 2 runs, 0 done, 2 to do on Ray at {cluster.address}" in printed.out
    runs, trials = runs_of("study"), runs_of("search")
    assert [run.info.status for run in (*runs, *trials)] == ["FINISHED"] * 4
    # a tag that each worker's node adds
    assert {run.data.tags["node"] for run in runs} == {"one", "two"}
    assert {run.data.tags["node"] for run in trials} <= {"one", "two"}
    versions = connect().search_model_versions("name='memgate-gru-synthetic'")
    assert sorted(str(version.run_id) for version in versions) == sorted(
        run.info.run_id for run in runs
    )
    assert not (cluster.folder / "other.db").exists()
    assert not list(Path("mlruns/spool").glob("*"))
    assert main(["study", "tiny.yaml", "--ray", cluster.address]) == 0
    assert "study tiny: 2 runs, 2 done, 0 to do" in capsys.readouterr().out


def test_both_workers_write_a_study_to_one_server(
    cluster: Cluster, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysed = "settings: {analyse_gates: true}"
    Path("two.yaml").write_text(f"{{cells: [rnn, gru], data: [synthetic], seeds: 2, {analysed}}}")
    with server() as team:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", team.uri)
        assert main(["study", "two.yaml", "--ray", cluster.address]) == 0
        runs = runs_of("study")
        assert [run.info.status for run in runs] == ["FINISHED"] * 4
        assert {run.data.tags["node"] for run in runs} == {"one", "two"}
        for run in runs:
            assert str(run.info.artifact_uri).startswith("mlflow-artifacts:")
            tables = {file.path for file in connect().list_artifacts(run.info.run_id, "tables")}
            assert "tables/gate_statistics.parquet" in tables
        for cell in ("rnn", "gru"):
            versions = connect().search_model_versions(f"name='memgate-{cell}-synthetic'")
            assert sorted(version.tags["seed"] for version in versions) == ["0", "1"]
    assert not (cluster.folder / "other.db").exists()
    assert not {"mlflow.db", "artifacts"} & {path.name for path in Path("mlruns").iterdir()}
    assert not list(Path("mlruns/spool").glob("*"))


def test_machines_that_can_not_share_the_store_are_refused(
    cluster: Cluster,
    empty: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert other_machines(cluster.address) == []
    # No interface has this address, as none has another machine's.
    other = cluster.start(f"--address={cluster.address}", "--num-cpus=0", at="127.0.0.2")
    cluster.wait_for(4)
    Path("tiny.yaml").write_text("{cells: [gru], data: [synthetic], seeds: 1}")
    for uri in (
        "",
        "sqlite:////tmp/shared.db",
        "http://me:secret@127.0.0.1:5000",
        "postgresql:///mlflow",
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert main(["study", "tiny.yaml", "--ray", cluster.address]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        got = uri.replace(":secret", "") or "sqlite:///mlruns/mlflow.db"
        assert f"expected MLFLOW_TRACKING_URI=http://… of a server that {NAME} (127.0.0.2)" in line
        assert line.endswith(f"got {got}")
    assert not Path("mlruns").exists()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@mlflow.example.org:5000")
    assert other_machines(cluster.address) == [f"{NAME} (127.0.0.2)"]
    assert ran({"one": "1"}, cluster.address) == {}
    other.terminate()
    other.wait()
    cluster.nodes.remove(other)
    cluster.wait_for(3)
    assert other_machines(cluster.address) == []


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_no_cluster_is_reported_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(InputError, match=f"--ray {address}: expected "):
        ran({"one": "1"}, address)
