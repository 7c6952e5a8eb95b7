"""A Hugging Face Hub of one repository, played by a server on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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


@contextmanager
def serve_hub() -> Iterator[str]:
    """Serve an empty Hub and return its address."""
    Hub.files = None
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


CALLS = """
import json, sys
from pathlib import Path
from memgate.errors import InputError
from memgate.export.hub import check_push, push_folder
from memgate.tracking.registry import hub
hub.TIMEOUT = 0.5
functions = {"fetch": hub.fetch, "check_push": check_push, "push_folder": push_folder}
for name, *arguments in json.loads(sys.argv[1]):
    if name == "push_folder":
        arguments[0] = Path(arguments[0])
    try:
        print(json.dumps(str(functions[name](*arguments))))
    except InputError as error:
        print(json.dumps(f"error: {error}"))
"""


def call(cache: Path, *calls: list[Any], **environment: str) -> list[str]:
    """Return what fetch, check_push and push_folder return or raise, called in one new process.

    The Hub's library reads its settings when it is imported.
    """
    folders = {"HF_HOME": str(cache), "HF_HUB_CACHE": str(cache / "hub"), "NO_PROXY": "*"}
    inherited = {key: value for key, value in os.environ.items() if key != "HF_TOKEN"}
    ran = subprocess.run(
        [sys.executable, "-c", CALLS, json.dumps(calls)],
        env={**inherited, **folders, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]
