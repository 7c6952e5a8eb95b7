"""Agreement data of the Hugging Face Hub, played by a server on this machine; and no Hub at all."""

from __future__ import annotations

import contextlib
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

import huggingface_hub
import pytest

from memgate.data import files
from memgate.data.items.schema import SPLITS
from memgate.data.sources.jsonl import JsonLines
from memgate.errors import InputError

REPOSITORY = "someone/agreement"


def line(prefix: str) -> str:
    return json.dumps({"prefix": prefix, "label": "pl"}) + "\n"


FILES = {
    **{f"{split}.jsonl": line(f"the keys of {split}") for split in SPLITS},
    "more/a.jsonl": line("more keys"),
    "more/b.jsonl": line("still more keys") + "{\n",
}
OLD_FILES = {**FILES, "more/a.jsonl": line("old keys")}
COMMITS = {"main": "c" * 40, "v1": "b" * 40}
REVISIONS = {"main": FILES, COMMITS["main"]: FILES, "v1": OLD_FILES, COMMITS["v1"]: OLD_FILES}


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub's API as it takes to list and read the files of one repository."""

    protocol_version = "HTTP/1.1"
    commit = ""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path.removeprefix("/api")
        if not path.startswith(f"/datasets/{REPOSITORY}"):
            return self.answer(None, error="RepoNotFound")
        path = path.removeprefix(f"/datasets/{REPOSITORY}").strip("/") or "revision/main"
        what, revision, name = [*path.split("/", 2), ""][:3]
        self.commit = COMMITS.get(revision, revision)
        if revision not in REVISIONS:
            return self.answer(None, error="RevisionNotFound")
        if what == "resolve":
            return self.answer(REVISIONS[revision].get(name), error="EntryNotFound")
        if what == "tree":
            listed = entries(name)
            return self.answer(json.dumps(listed) if listed else None, error="EntryNotFound")
        files = [{"rfilename": name} for name in FILES]
        about = {"id": REPOSITORY, "sha": self.commit, "siblings": files}
        return self.answer(json.dumps(about))

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer(self, text: str | None, error: str = "") -> None:
        body = (text or "").encode()
        self.send_response(200 if text is not None else 404)
        self.send_header("X-Error-Code", error)
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("ETag", f'"{hash(text)}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def entries(folder: str) -> list[dict[str, Any]]:
    """What the Hub lists of a folder."""
    below = [name.removeprefix(f"{folder}/") for name in FILES if name.startswith(folder)]
    names = sorted({name.partition("/")[0] for name in below})
    full = {name: f"{folder}/{name}" if folder else name for name in names}
    return [
        {"type": "file", "path": path, "size": len(FILES[path]), "oid": "f" * 40}
        if path in FILES
        else {"type": "directory", "path": path, "size": 0, "oid": "d" * 40}
        for path in full.values()
    ]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


LOAD = """
import json, sys
from memgate.data.sources.jsonl import JsonLines
from memgate.errors import InputError
for arguments in json.loads(sys.argv[1]):
    try:
        splits = JsonLines(**arguments).load()
        print(json.dumps({split: list(rows["text"]) for split, rows in splits.items()}))
    except InputError as error:
        print(json.dumps(str(error)))
"""


def load(*arguments: dict[str, Any], **environment: str) -> list[Any]:
    """Load in another process, as the libraries read their settings when they are imported."""
    asked = json.dumps([{"repository": REPOSITORY, **each} for each in arguments])
    ran = subprocess.run(
        [sys.executable, "-c", LOAD, asked],
        env={**os.environ, "NO_PROXY": "*", "HF_UPDATE_DOWNLOAD_COUNTS": "0", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


OWN = {split: [f"the keys of {split}"] for split in SPLITS}


def test_a_repository_gives_its_splits_or_the_files_that_are_named(
    port: int, tmp_path: Path
) -> None:
    more = ["more/*.jsonl"]
    environment = {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HOME": str(tmp_path),
        "HF_DATASETS_CACHE": str(tmp_path / "datasets"),
        "HF_HUB_CACHE": str(tmp_path / "hub"),
    }
    own, named, bad, skipped, missing = load(
        {},
        {"train": ["more/a.jsonl", "t*n.jsonl"], "test": ["test.jsonl"] * 2, "revision": "v1"},
        {"train": more},
        {"train": more, "on_error": "skip"},
        {"train": ["none/*.jsonl"]},
        **environment,
    )
    assert own == OWN
    assert named == {**OWN, "train": ["old keys", "the keys of train"]}
    assert bad.startswith(f"hf://datasets/{REPOSITORY}/more/b.jsonl, line 2: expected JSON, got")
    assert skipped == {**OWN, "train": ["more keys", "still more keys"]}
    expected = "expected a file of agreement JSONL, found none"
    assert missing == f"hf://datasets/{REPOSITORY}/none/*.jsonl: {expected}"
    assert load({}, **environment, HF_HUB_OFFLINE="1") == [OWN]  # from the cache


def test_offline_it_looks_in_the_local_cache_only() -> None:
    own, named = load({}, {"train": ["a.jsonl"]}, HF_HUB_OFFLINE="1")
    assert own.startswith(f"{REPOSITORY}: can't be loaded: ")
    assert named.startswith(f"hf://datasets/{REPOSITORY}/a.jsonl: can't be loaded: ")
    assert "HF_HUB_OFFLINE" in named


def refused(**arguments: Any) -> str:
    """The message with which a repository is refused."""
    with pytest.raises(InputError) as error:
        JsonLines(**arguments).load()
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


@contextlib.contextmanager
def hub(port: int) -> Iterator[None]:
    """Take another server on this machine for the Hub, and see that it is done with soon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        patch.setenv("NO_PROXY", "*")
        start = time.monotonic()
        yield
        assert time.monotonic() - start < 10  # takes 0.2 s; `datasets` itself would retry for 23


UNREACHABLE = (
    f"{REPOSITORY}: no such local folder, and the Hugging Face Hub can't be reached; "
    "download the files and name them, or set HF_HUB_OFFLINE=1 to use the local cache"
)


def test_reports_soon_that_there_is_no_network() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with hub(closed.getsockname()[1]):  # bound, but nobody listens
            assert refused(repository=REPOSITORY) == UNREACHABLE
            assert refused(repository=REPOSITORY, train=["a.jsonl"]) == UNREACHABLE


def test_reports_soon_that_the_hub_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "HUB_TIMEOUT", 0.2)
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, hub(silent.getsockname()[1]):
        assert refused(repository=REPOSITORY) == UNREACHABLE


def test_reports_that_there_is_no_such_repository(port: int) -> None:
    with hub(port):
        for unknown in ({"repository": "nobody/nothing"}, {"revision": "v2"}):
            arguments = {"repository": REPOSITORY, **unknown}
            expected = f"{arguments['repository']}: no such dataset on the Hub: 404 Client Error."
            assert refused(**arguments).startswith(expected)


def test_refuses_a_name_that_can_be_no_repository() -> None:
    message = refused(repository="no such/folder at all")
    assert message.startswith("no such/folder at all: no such dataset on the Hub: Repo id must ")
