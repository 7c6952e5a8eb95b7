"""Files and repositories that a user names: search, reading by line, errors of one line."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import importlib.util
import inspect
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import huggingface_hub
from datasets.arrow_writer import SchemaInferenceError
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from memgate.errors import InputError

PACKAGE_SCHEME = "package://"
"""Start of the path of a file in an installed package: ``package://gensim/test/…``."""

HUB_TIMEOUT = 10.0
"""Seconds; `load_dataset` itself retries for 23 s before it reports that there is no network."""


def is_url(path: str) -> bool:
    """Return whether a path is an address on the web or of a file on the Hub."""
    return path.startswith(("http://", "https://", "hf://"))


def paths(patterns: Iterable[str], what: str) -> list[str]:
    """Return the files that paths, globs and URLs name, each once.

    Args:
        patterns: Paths or globs, in which ``$NAME``, ``~`` and ``package://NAME`` are replaced; or
            URLs.
        what: What the files should hold, for messages.

    Raises:
        InputError: A file is missing or empty, a variable in a path is not set, or `patterns` is
            one string.
    """
    if isinstance(patterns, str):
        raise InputError(f"expected a list of files, got one string: {patterns!r}")
    matches = [path for pattern in patterns for path in _matches(pattern, what)]
    unique = {path if is_url(path) else str(Path(path).resolve()): path for path in matches}
    return list(unique.values())


def expanded(path: str) -> str:
    """Return a path with ``$NAME`` and ``~`` replaced, and ``package://NAME`` by its folder.

    Raises:
        InputError: A variable is not set, or a package is not installed.
    """
    if path.startswith(PACKAGE_SCHEME):
        return _packaged(path)
    full = str(Path(os.path.expandvars(path)).expanduser())
    unset = re.search(r"\$\{?(\w+)", full)
    if unset:
        raise InputError(
            f"{path}: the environment variable {unset[1]} is not set; set it to the folder that "
            f"holds these files, as in {unset[1]}=/path/to/corpora"
        )
    return full


def _packaged(path: str) -> str:
    name, _, inside = path.removeprefix(PACKAGE_SCHEME).partition("/")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None  # imports nothing
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"{path}: expected an installed package {name!r}, found none; "
            "pip install 'memgate[corpus]' brings gensim"
        )
    return str(Path(glob.escape(spec.submodule_search_locations[0]), inside))


def _matches(pattern: str, what: str) -> list[str]:
    if is_url(pattern):
        return [pattern]
    path = expanded(pattern)
    matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207  Path.glob refuses "/a/*"
    if Path(path).exists():
        matches = [path]  # even if its name looks like a glob
    if not matches:
        raise InputError(f"{path}: expected a file of {what}, found none")
    for name in matches:
        if not Path(name).is_file():
            raise InputError(f"{name}: expected a file of {what}, got a folder")
        if Path(name).stat().st_size == 0:
            raise InputError(f"{name}: expected {what}, got an empty file")
    return matches


def lines(path: str) -> datasets.Dataset:
    """Return the lines of a UTF-8 file as a column ``text``.

    The file may be gzipped. It may be local, on the web or on the Hub.

    Raises:
        InputError: The file can't be read or fetched, or has no line.
    """
    with reported(path):  # not load_dataset: it asks the network even for a local file
        return datasets.Dataset.from_text(path if is_url(path) else glob.escape(path))


@contextlib.contextmanager
def reported(where: str) -> Iterator[None]:
    """Report what goes wrong in `datasets` in one line.

    Args:
        where: The file or repository, for the message.

    Raises:
        InputError: Instead of what `datasets` raises.
    """
    try:
        yield
    except datasets.exceptions.DatasetGenerationError as error:
        if isinstance(error.__cause__, SchemaInferenceError):
            raise InputError(f"{where}: expected at least one line, got none") from error
        reason = " ".join(str(error.__cause__).split())
        raise InputError(f"{where}: can't be read: {reason}") from error
    except InputError:
        raise
    # EOFError, zlib.error: the file is gzipped and torn or damaged.
    except (OSError, ValueError, EOFError, zlib.error, datasets.exceptions.DatasetsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{where}: can't be loaded: {reason}") from error


def require_hub(repository: str, revision: str | None = None) -> None:
    """Check that a dataset repository exists, before `datasets` retries for long.

    Raises:
        InputError: The Hub doesn't know it or can't be reached.
    """
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return  # the user asks for the local cache
    try:
        huggingface_hub.HfApi().dataset_info(repository, revision=revision, timeout=HUB_TIMEOUT)
    except (HfHubHTTPError, HFValidationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{repository}: no such dataset on the Hub: {reason}") from error
    except Exception as error:  # the Hub's HTTP client, another one from version to version
        raise InputError(
            f"{repository}: no such local folder, and the Hugging Face Hub can't be reached; "
            "download the files and name them, or set HF_HUB_OFFLINE=1 to use the local cache"
        ) from error


def load_repository(
    repository: str, name: str | None = None, split: str | None = None, revision: str | None = None
) -> Any:
    """Load a dataset repository of the Hub, or a local folder of the same layout.

    Args:
        repository: The repository, or the folder.
        name: The configuration, if there are several.
        split: The split; by default all of them, as a `datasets.DatasetDict`.
        revision: Branch, tag or commit.

    Raises:
        InputError: The repository can't be reached, or has no such configuration or split.
    """
    is_local = Path(repository).is_dir()
    if not is_local:
        require_hub(repository, revision)
    with reported(", ".join(part for part in (repository, name, split) if part)):
        # `datasets` caches a local folder by its last name, whatever its files hold by now.
        return datasets.load_dataset(
            repository,
            name,
            split=split,
            revision=revision,
            download_mode="force_redownload" if is_local else None,
            verification_mode="no_checks" if is_local else None,
        )


def digest(*modules: ModuleType) -> str:
    """Return a digest of modules' sources: a part of the key under which `datasets` caches."""
    source = "".join(inspect.getsource(module) for module in modules)
    return hashlib.sha256(source.encode()).hexdigest()
