"""For every test: shapes are checked as code runs, and Hugging Face has a cache of its own."""

from __future__ import annotations

import gc
import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# The functions on tensors; before the first import of them. Elsewhere beartype stumbles over Self.
install_import_hook(
    ["memgate.gates", "memgate.metrics.agreement", "memgate.models"], "beartype.beartype"
)

# torch reads it when it is imported: with two threads on two busy cores, tests on small cells took
# up to 30 times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# On busy cores a first example may take seconds (imports, caches), which says nothing.
settings.register_profile("memgate", deadline=None)
settings.load_profile("memgate")

pytest_plugins = ["tests.projects"]

CACHE = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the tests out of the user's cache: `datasets` reads these when it is imported."""
    folder = Path(tempfile.mkdtemp(prefix="memgate-tests-"))
    config.stash[CACHE] = folder
    # readline sets it for the workers of pytest-xdist, and all tables would be as narrow.
    os.environ.pop("COLUMNS", None)
    os.environ["HF_HOME"] = str(folder)
    os.environ["HF_DATASETS_CACHE"] = str(folder / "datasets")
    os.environ["HF_HUB_CACHE"] = str(folder / "hub")


def pytest_collection_finish() -> None:
    """Leave what the imports made out of garbage collection.

    `statsmodels` collects in every correction of p-values, which takes 1 s over all modules.
    """
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove that cache."""
    shutil.rmtree(config.stash[CACHE])


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
