"""`memgate ui` serves MLflow's pages and what they ask for."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from memgate.cli import main


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str, server: subprocess.Popen[str]) -> str:
    for _ in range(240):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"no answer from {address}")


@pytest.mark.processes
def test_the_ui_shows_runs_and_artifacts_from_anywhere(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "My%20Project").mkdir()
    (trained / "mlruns").rename(tmp_path / "My%20Project" / "renamed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///My%20Project/renamed/mlflow.db")
    port = free_port()
    command = [sys.executable, "-m", "memgate", "ui", "--port", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            assert address.startswith(f"http://127.0.0.1:{port}/#/experiments/")
            assert "mlflow" in wait_for(f"http://127.0.0.1:{port}/", server).lower()
            experiment = address.split("/experiments/")[1].split("/")[0]
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/runs/search",
                data=json.dumps({"experiment_ids": [experiment]}).encode(),
                headers={"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                runs = json.load(answer)["runs"]
            assert len(runs) == 3
            run = runs[0]["info"]["run_id"]
            picture = f"get-artifact?path=figures%2Faccuracy.png&run_uuid={run}"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{picture}", timeout=30) as answer:
                assert answer.read().startswith(b"\x89PNG")
            assert sorted(path.name for path in tmp_path.iterdir()) == ["My%20Project", "project"]
        finally:
            server.terminate()
    with pytest.raises(urllib.error.URLError):  # its workers ended with it
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)


def test_a_taken_port_and_a_missing_store_are_told(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["ui", "--port", str(port)]) == 2
    assert f"--port: {port} is taken" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert main(["ui"]) == 2
    assert "expected an MLflow store, found no file" in capsys.readouterr().err
    assert not (tmp_path / "mlruns").exists()


def test_a_port_out_of_range_is_told(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ui", "--port", "0"]) == 2
    assert "--port: expected 1 to 65535, got 0" in capsys.readouterr().err
    assert not Path("mlruns").exists()
