"""Jobs on a Ray cluster of two workers, started here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from memgate.commands.jobs import JobProgress
from memgate.commands.ray_jobs import run_on_ray
from memgate.errors import InputError

RAY = Path(sys.executable).with_name("ray")
PORT = 6401


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A head that works nothing, and two workers of one core each."""
    folder = tmp_path_factory.mktemp("ray")
    quiet = ["--disable-usage-stats", f"--temp-dir={folder}"]
    head = ["--head", f"--port={PORT}", "--num-cpus=0", "--include-dashboard=false"]
    worker = [f"--address=127.0.0.1:{PORT}", "--num-cpus=1", "--disable-usage-stats"]
    environment = {**os.environ, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
    try:
        for options in ([*head, *quiet], worker, worker):
            subprocess.run(
                [RAY, "start", *options], check=True, capture_output=True, env=environment
            )
        yield f"127.0.0.1:{PORT}"
    finally:
        subprocess.run([RAY, "stop", "--force"], check=True, capture_output=True)


def ran(jobs: dict[str, str], address: str) -> tuple[dict[str, str], list[str]]:
    out = StringIO()
    with JobProgress(len(jobs), Console(file=out, width=200)) as progress:
        failed = run_on_ray(exec, jobs, address, progress)
    return failed, out.getvalue().splitlines()


def test_jobs_run_on_both_workers_and_what_fails_stops_no_other(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMGATE_DATA", "/some/where")
    write = "import os, ray, pathlib, time; time.sleep(1); pathlib.Path({!r}).write_text("
    write += "ray.get_runtime_context().get_node_id() + ' ' + os.environ['MEMGATE_DATA'])"
    jobs = {name: write.format(name) for name in ("one", "two", "three", "four")}
    failed, lines = ran({"wrong": "1 / 0", "dies": "import os; os._exit(1)", **jobs}, cluster)
    assert failed.keys() == {"wrong", "dies"}
    assert failed["wrong"].startswith("ZeroDivisionError: division by zero")
    assert [line.split("]")[0] for line in lines] == [f"[{n}/6" for n in range(1, 7)]
    said = [Path(name).read_text().split() for name in jobs]
    assert {data for _, data in said} == {"/some/where"}
    assert len({node for node, _ in said}) == 2


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_no_cluster_is_told_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(InputError, match=f"--ray {address}: expected "):
        ran({"one": "1"}, address)
