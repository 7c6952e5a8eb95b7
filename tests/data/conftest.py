"""Files of agreement JSONL for the tests of what reads them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(name: str, *lines: str | dict[str, Any], encoding: str = "utf-8") -> str:
        """Write lines below `tmp_path`, gzipped if the name says so, and return the path."""
        text = "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines)
        content = text.encode(encoding)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return str(path)

    return write
