"""Models fetched from the Hugging Face Hub, from the cache, and from no Hub at all."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memgate.predictor import Predictor
from tests.hub import TOKEN, Hub, call, serve_hub


@pytest.fixture
def address() -> Iterator[str]:
    with serve_hub() as address:
        yield address


def test_a_model_is_fetched_and_then_found_in_the_cache(
    address: str, tmp_path: Path, predictor: Predictor
) -> None:
    predictor.save(tmp_path / "model")
    files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    Hub.files = {**files, ".gitattributes": b"*\n"}
    fetched, none = call(
        tmp_path / "cache",
        ["fetch", "hf://someone/model"],
        ["fetch", "hf://someone/none"],
        HF_ENDPOINT=address,
    )
    assert none == (
        "error: hf://someone/none: expected a model on the Hugging Face Hub, found none"
    )
    texts = ["the keys", "a key near the cabinet"]
    assert (Predictor.load(Path(fetched)).predict(texts) == predictor.predict(texts)).all()

    again, none = call(
        tmp_path / "cache",
        ["fetch", "hf://someone/model"],
        ["fetch", "hf://someone/other"],
        HF_ENDPOINT=address,
        HF_HUB_OFFLINE="1",
    )
    assert again == fetched
    assert none.startswith("error: hf://someone/other: the Hugging Face Hub can't be reached (")


@pytest.mark.processes
def test_without_network_nobody_waits(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        start = time.perf_counter()
        (error,) = call(
            tmp_path,
            ["fetch", "hf://someone/model@v1"],
            HF_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}",
            HF_TOKEN=TOKEN,
        )
        assert time.perf_counter() - start < 30
    assert error.startswith("error: hf://someone/model@v1: the Hugging Face Hub can't be reached")
    assert "\n" not in error
