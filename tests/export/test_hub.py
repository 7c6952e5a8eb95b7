"""Folders pushed to the Hugging Face Hub."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import COMMIT, TOKEN, Hub, call, serve_hub


@pytest.fixture
def address() -> Iterator[str]:
    with serve_hub() as address:
        yield address


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_is_pushed_is_what_is_fetched(address: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "baselines").mkdir(parents=True)
    (folder / "baselines" / "baselines.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)))
    (folder / "config.json").write_text('{"cell": "gru"}')
    missing, check, commit, fetched, none = call(
        tmp_path / "cache",
        ["fetch", "hf://someone/model"],
        ["check_push", "someone/model"],
        [
            "push_folder",
            str(folder),
            "someone/model",
            ["model.onnx", "config.json", "baselines/*"],
        ],
        ["fetch", "hf://someone/model"],
        ["fetch", "hf://someone/none"],
        HF_ENDPOINT=address,
        HF_TOKEN=TOKEN,
    )
    reason = "expected a model on the Hugging Face Hub, found none"
    assert missing == f"error: hf://someone/model: {reason}"
    assert check == "None"
    assert commit == f"{address}/someone/model/commit/{COMMIT}"
    assert none == f"error: hf://someone/none: {reason}"
    # What the folder hasn't any more is gone, what others put there isn't.
    assert Hub.files == {**contents(folder), ".gitattributes": b"*\n", "own": b"1"}
    assert contents(Path(fetched)) == Hub.files


def test_a_hub_that_refuses(address: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (refused,) = call(
        tmp_path,
        ["push_folder", str(tmp_path / "model"), "someone/model", []],
        HF_ENDPOINT=address,
        HF_TOKEN="hf_of_somebody_else",
    )
    start = f"error: --push: someone/model: the folder {tmp_path / 'model'} was written but not"
    assert refused.startswith(start)
    assert "401" in refused
    assert "\n" not in refused


@pytest.mark.processes
def test_without_network_nobody_waits(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        start = time.perf_counter()
        unreachable, invalid = call(
            tmp_path,
            ["check_push", "someone/model"],
            ["check_push", "a/b/c"],
            HF_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}",
            HF_TOKEN=TOKEN,
        )
        assert time.perf_counter() - start < 30
    assert unreachable.startswith("error: --push: the Hugging Face Hub can't be reached (")
    assert unreachable.endswith("later `hf upload someone/model DIR` pushes it")
    assert "Repo id must be" in invalid
    assert not any("\n" in line for line in (unreachable, invalid))


def test_nobody_logged_in(tmp_path: Path) -> None:
    (error,) = call(tmp_path, ["check_push", "someone/model"], HF_ENDPOINT="http://127.0.0.1:9")
    assert error == (
        "error: --push: nobody is logged in to the Hugging Face Hub; `hf auth login`, or set "
        "HF_TOKEN"
    )
