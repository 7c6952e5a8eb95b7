"""Models on the Hugging Face Hub, played by a server on this machine; and no Hub at all."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from memgate.predictor import Predictor

TOKEN = "hf_token_of_a_test"
COMMIT = "c" * 40


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub's API as it takes to make, fill, list and read one repository."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes] | None = None
    """The repository, shared by all requests of a server; None before it is made."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.removeprefix("/api/models")
        if self.files is None or not path.startswith("/someone/model"):
            return self.answer(404, error="RepoNotFound")
        what, _, name = path.removeprefix("/someone/model").strip("/").partition("/")
        if what == "resolve":
            content = self.files.get(name.partition("/")[2])
            return (
                self.answer(404, error="EntryNotFound") if content is None else self.send(content)
            )
        if what == "tree":
            return self.answer(200, [self.entry(name) for name in self.files])
        siblings = [{"rfilename": name} for name in self.files]
        return self.answer(200, {"id": "someone/model", "sha": COMMIT, "siblings": siblings})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid credentials"})
        if self.path == "/api/repos/create":
            Hub.files = self.files or {".gitattributes": b"*\n", "model.onnx": b"old", "own": b"1"}
            return self.answer(200, {"url": f"http://{self.headers['Host']}/someone/model"})
        if "/preupload/" in self.path:
            modes = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": modes})
        for line in map(json.loads, body.splitlines()):
            self.commit(line["key"], line["value"])
        address = f"http://{self.headers['Host']}/someone/model/commit/{COMMIT}"
        return self.answer(200, {"commitUrl": address, "commitOid": COMMIT})

    def commit(self, key: str, value: dict[str, Any]) -> None:
        """Take one line of a commit."""
        assert self.files is not None
        if key == "file":
            self.files[value["path"]] = base64.b64decode(value["content"])
        elif key == "deletedFile":
            del self.files[value["path"]]
        else:
            assert key == "header", key

    def entry(self, name: str) -> dict[str, Any]:
        assert self.files is not None
        return {"type": "file", "path": name, "size": len(self.files[name]), "oid": "f" * 40}

    def answer(self, status: int, content: Any = None, error: str = "") -> None:
        self.send(json.dumps(content or {"error": error}).encode(), status, error)

    def send(self, body: bytes, status: int = 200, error: str = "") -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", error)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    Hub.files = None
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


SAY = """
import json, sys
from pathlib import Path
from memgate.errors import InputError
from memgate.tracking import hub
hub.TIMEOUT = 0.5
for what, *arguments in json.loads(sys.argv[1]):
    try:
        arguments = [Path(arguments[0]), *arguments[1:]] if what == "push" else arguments
        print(json.dumps(str(getattr(hub, what)(*arguments))))
    except InputError as error:
        print(json.dumps(f"error: {error}"))
"""


def ask(cache: Path, *calls: list[Any], **environment: str) -> list[str]:
    """Call functions of `memgate.tracking.registry.hub` in one other process: the library reads
    its settings
    when it is imported.
    """
    own = {"HF_HOME": str(cache), "HF_HUB_CACHE": str(cache / "hub"), "NO_PROXY": "*"}
    known = {key: value for key, value in os.environ.items() if key != "HF_TOKEN"}
    ran = subprocess.run(
        [sys.executable, "-c", SAY, json.dumps(calls)],
        env={**known, **own, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_what_is_pushed_is_what_is_fetched(
    address: str, tmp_path: Path, predictor: Predictor
) -> None:
    folder = tmp_path / "model"
    predictor.save(folder)
    (folder / "baselines").mkdir()
    (folder / "baselines" / "baselines.json").write_text("{}")
    own = ["model.onnx", "config.json", "baselines/*"]
    found = ask(
        tmp_path / "cache",
        ["fetch", "hf://someone/model"],
        ["check_push", "someone/model"],
        ["push", str(folder), "someone/model", own],
        ["fetch", "hf://someone/model"],
        ["fetch", "hf://someone/none"],
        HF_ENDPOINT=address,
        HF_TOKEN=TOKEN,
    )
    missing = "expected a model on the Hugging Face Hub, found none"
    assert found[0] == f"error: hf://someone/model: {missing}"
    assert found[1:3] == ["None", f"{address}/someone/model/commit/{COMMIT}"]
    assert found[4] == f"error: hf://someone/none: {missing}"
    assert Hub.files is not None
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    # What the folder hasn't any more is gone, what others put there isn't.
    assert set(Hub.files) == {*files, ".gitattributes", "own"}
    assert all(Hub.files[name] == path.read_bytes() for name, path in files.items())
    texts = ["the keys", "a key near the cabinet"]
    assert (Predictor.load(Path(found[3])).predict(texts) == predictor.predict(texts)).all()

    again, none = ask(
        tmp_path / "cache",
        ["fetch", "hf://someone/model"],
        ["fetch", "hf://someone/other"],
        HF_ENDPOINT=address,
        HF_HUB_OFFLINE="1",
    )
    assert again == found[3]
    assert none.startswith("error: hf://someone/other: the Hugging Face Hub can't be reached (")


def test_a_hub_that_refuses(address: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (refused,) = ask(
        tmp_path,
        ["push", str(tmp_path / "model"), "someone/model", []],
        HF_ENDPOINT=address,
        HF_TOKEN="hf_of_somebody_else",
    )
    start = f"error: --push: someone/model: the folder {tmp_path / 'model'} was written but not"
    assert refused.startswith(start)
    assert "401" in refused
    assert "\n" not in refused


def test_without_network_nobody_waits(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, never answers
        port = silent.getsockname()[1]
        start = time.perf_counter()
        found = ask(
            tmp_path,
            ["check_push", "someone/model"],
            ["fetch", "hf://someone/model@v1"],
            ["check_push", "a/b/c"],
            HF_ENDPOINT=f"http://127.0.0.1:{port}",
            HF_TOKEN=TOKEN,
        )
        assert time.perf_counter() - start < 30
    assert found[0].startswith("error: --push: the Hugging Face Hub can't be reached (")
    assert found[0].endswith("later `hf upload someone/model DIR` pushes it")
    assert found[1].startswith(
        "error: hf://someone/model@v1: the Hugging Face Hub can't be reached"
    )
    assert "Repo id must be" in found[2]
    assert not any("\n" in line for line in found)


def test_nobody_logged_in(tmp_path: Path) -> None:
    (found,) = ask(tmp_path, ["check_push", "someone/model"], HF_ENDPOINT="http://127.0.0.1:9")
    assert found == (
        "error: --push: nobody is logged in to the Hugging Face Hub; `hf auth login`, or set "
        "HF_TOKEN"
    )
