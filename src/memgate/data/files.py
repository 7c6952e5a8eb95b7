"""Files and repositories that a user names: search, reading by line, errors of one line."""

from __future__ import annotations

import bz2
import contextlib
import functools
import glob
import gzip
import hashlib
import importlib.util
import inspect
import lzma
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import datasets
import huggingface_hub
from datasets.arrow_writer import SchemaInferenceError
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from memgate.errors import InputError

PACKAGE_SCHEME = "package://"
"""Start of the path of a file in an installed package: ``package://gensim/test/…``."""

COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz", ".zip", ".zst")
"""Endings of compressed files; how a file is compressed is read from its first bytes."""

DECOMPRESSION_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, BadZipFile)
"""What reading a torn or damaged compressed file raises."""

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
    """Return the lines of a UTF-8 file as a column ``text``; a byte-order mark is no part of them.

    The file may be compressed (gzip, bzip2, xz, zip, zstandard). It may be local, on the web or on
    the Hub.

    Raises:
        InputError: The file can't be read or fetched, is not UTF-8 (with the line), or is empty.
    """
    read = functools.partial(datasets.Dataset.from_text, encoding="utf-8-sig")
    if not is_url(path):
        return _load(read, path, checks_lines=True)
    with reported(path):
        return read(path)


def json_rows(path: str) -> datasets.Dataset:
    """Return the rows of local JSON Lines; errors as those of `lines`."""
    for _ in numbered_lines(path):  # `datasets` reads over bytes that are not UTF-8
        pass
    return _load(datasets.Dataset.from_json, path)


def parquet_rows(path: str) -> datasets.Dataset:
    """Return the rows of a local Parquet file; errors as those of `lines`."""
    return _load(datasets.Dataset.from_parquet, path)


def _load(
    read: Callable[..., datasets.Dataset], path: str, checks_lines: bool = False
) -> datasets.Dataset:
    """Read a local file by a function of `datasets`, which caches what it reads.

    `datasets` takes another file of the same path and time for the same file, such as one unpacked
    from another archive. So each content has a cache of its own. It also takes the name of a file
    for its compression, and so gets a decompressed copy.
    """
    with reported(path):  # not load_dataset: it asks the network even for a local file
        cache = Path(datasets.config.HF_DATASETS_CACHE) / "memgate" / content_digest(path)
        plain = Path(path)
        if without_compression(path) != path or _opener(path) is not None:
            plain = cache / "decompressed"
            if not plain.is_file():
                _decompress(path, plain)
        try:
            return read(glob.escape(str(plain)), cache_dir=str(cache))
        except datasets.exceptions.DatasetGenerationError:
            if checks_lines:
                for _ in numbered_lines(path):  # names the line that is not UTF-8
                    pass
            raise


def _decompress(path: str, plain: Path) -> None:
    """Write the decompressed content of a file to another, all or nothing."""
    plain.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=plain.parent) as folder:
        part = Path(folder, plain.name)
        try:
            with part.open("wb") as copy, decompressed(path) as content:
                shutil.copyfileobj(content, copy)
        except DECOMPRESSION_ERRORS as error:
            raise InputError(f"{path}: can't be read: {error}") from error
        part.replace(plain)


def content_digest(path: str) -> str:
    """Return a digest of a local file's bytes: 32 hexadecimal digits."""
    with Path(path).open("rb") as file:  # 0.6 s a GB
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def numbered_lines(path: str) -> Iterator[tuple[int, str]]:
    """Yield the number, from 1, and the text of each line of a local UTF-8 file.

    The file may be compressed, and its lines may end as on Unix, Windows or old Macs. Line ends and
    a byte-order mark at the start are left out.

    Raises:
        InputError: The file can't be read, or is not UTF-8; with the line.
    """
    number = 0
    try:
        with decompressed(path) as content:
            for chunk in content:
                for line in chunk.removesuffix(b"\n").removesuffix(b"\r").split(b"\r"):
                    number += 1
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InputError(
            f"{path}, line {number}: expected UTF-8, got the byte {byte:#x}"
        ) from error
    except DECOMPRESSION_ERRORS as error:
        raise InputError(f"{path}: can't be read after line {number}: {error}") from error


@contextlib.contextmanager
def decompressed(path: str) -> Iterator[IO[bytes]]:
    """Open a local file for reading bytes, decompressed if its first bytes say that it is.

    Raises:
        InputError: It is a zip archive of none or several files, or zstandard is not installed.
    """
    opener = _opener(path)
    with Path(path).open("rb") as file:
        if opener is None:
            yield file
        else:
            with opener(file, path) as content:
                yield content


def _opener(path: str) -> Opener | None:
    with Path(path).open("rb") as file:
        start = file.read(6)
    return next((opener for magic, opener in OPENERS.items() if start.startswith(magic)), None)


@contextlib.contextmanager
def _unzipped(file: IO[bytes], path: str) -> Iterator[IO[bytes]]:
    with ZipFile(file) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if len(names) != 1:
            raise InputError(f"{path}: expected a zip archive of one file, got {len(names)}")
        with archive.open(names[0]) as content:
            yield content


@contextlib.contextmanager
def _unzstandard(file: IO[bytes], path: str) -> Iterator[IO[bytes]]:
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError as error:
        raise InputError(
            f"{path}: compressed with zstandard, which needs a package: pip install zstandard"
        ) from error
    with zstandard.open(file, "rb") as content:
        yield content


Opener = Callable[[IO[bytes], str], contextlib.AbstractContextManager[Any]]

OPENERS: dict[bytes, Opener] = {
    b"\x1f\x8b": lambda file, _: gzip.GzipFile(fileobj=file),
    b"BZh": lambda file, _: bz2.BZ2File(file),
    b"\xfd7zXZ\x00": lambda file, _: lzma.LZMAFile(file),  # noqa: SIM115  `decompressed` closes it
    b"PK\x03\x04": _unzipped,
    b"\x28\xb5\x2f\xfd": _unzstandard,
}
"""How compressed files are opened, by their first bytes."""


def without_compression(path: str) -> str:
    """Return a path without the ending of a compressed file.

    >>> without_compression("a.tsv.gz"), without_compression("a.tsv")
    ('a.tsv', 'a.tsv')
    """
    return path[: -len(Path(path).suffix)] if path.endswith(COMPRESSED_SUFFIXES) else path


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
