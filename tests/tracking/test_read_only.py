"""A store on a read-only share is read by every command that reads; others refuse it in a line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MODEL = "models:/memgate-gru-synthetic@champion"

SCRIPT = """
import sys
from memgate.cli import main
for line in sys.stdin:
    print("status", main(line.split()), flush=True)
"""

# Modes of files don't bind root, unless it gives up one of its capabilities.
COMMAND = [sys.executable, "-c", SCRIPT]
if os.geteuid() == 0:
    COMMAND = ["setpriv", "--bounding-set=-dac_override", *COMMAND]


@pytest.fixture
def share(trained: Path) -> Iterator[Path]:
    """A read-only project with models."""
    paths = [trained, *trained.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield trained
    for path in paths:
        path.chmod(0o755)


def contents(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.mark.processes
def test_a_read_only_store_is_read_and_refused_in_one_line_where_it_would_be_written(
    share: Path, tmp_path: Path
) -> None:
    desk = tmp_path / "desk"
    desk.mkdir()
    shutil.copytree(share / "configs", desk / "configs")
    items = share / "items.jsonl"
    reading = [
        f"evaluate {MODEL} --data {items} --out scores",
        f"explain {MODEL} --sentence cats",
        f"gates {MODEL} --data {items} --out gates",
        f"export {MODEL} exported",
        f"compare {MODEL} models:/memgate-rnn-synthetic/1",
        "history memgate-gru-synthetic",
    ]
    configs = "-c configs/trainer/default.yaml -c configs/cell/gru.yaml"
    writing = [
        f"fit {configs} -c configs/data/synthetic.yaml",
        "promote memgate-gru-synthetic 1",
    ]
    before = contents(share)
    done = subprocess.run(
        COMMAND,
        cwd=desk,
        input="\n".join([*reading, *writing]),
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{share}/mlruns/mlflow.db"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    statuses = [line for line in done.stdout.splitlines() if line.startswith("status")]
    assert statuses == ["status 0"] * len(reading) + ["status 2"] * len(writing), (
        done.stdout + done.stderr
    )
    errors = done.stderr.splitlines()
    database = share / "mlruns" / "mlflow.db"
    expected = f"memgate: error: {database}: the store is read-only; name another one, as in "
    assert [line.startswith(expected) for line in errors] == [True] * len(writing), errors
    assert contents(share) == before
    assert (desk / "exported" / "model.safetensors").exists()
