"""Source: agreement JSONL through Hugging Face `datasets`, every row checked."""

from __future__ import annotations

import contextlib
import functools
import glob
import hashlib
import inspect
import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import datasets
import huggingface_hub
from datasets.arrow_writer import SchemaInferenceError
from huggingface_hub.errors import HfHubHTTPError

from memgate.data import example
from memgate.data.example import FEATURES, item
from memgate.errors import InputError

OnError = Literal["stop", "skip"]

HUB_TIMEOUT = 10.0
"""Seconds; `load_dataset` itself retries for 23 s before it says that there is no network."""

CHECKED = datasets.Features(
    {
        **FEATURES,
        "line": datasets.Value("int64"),
        "problem": datasets.Value("string"),
    }
)

log = logging.getLogger(__name__)


class JsonLines:
    """Agreement items from JSON Lines, one item a line; see `example.FEATURES` for the fields.

    Args:
        train: Files of the training split: paths or globs, gzipped or not; ``$NAME`` and ``~`` are
            replaced. With a `repository`, paths inside it.
        validation: Files of the validation split.
        test: Files of the test split.
        repository: A dataset repository of the Hugging Face Hub, or a local folder of the same
            layout. Splits for which no files are named are then the repository's own.
        revision: Branch, tag or commit of the repository.
        on_error: ``stop`` at the first bad row, or ``skip`` bad rows, counting and listing them.
    """

    def __init__(
        self,
        train: Sequence[str] = (),
        validation: Sequence[str] = (),
        test: Sequence[str] = (),
        repository: str | None = None,
        revision: str | None = None,
        on_error: OnError = "stop",
    ) -> None:
        self.files = {"train": train, "validation": validation, "test": test}
        self.repository = repository
        self.revision = revision
        self.on_error = on_error

    def load(self) -> datasets.DatasetDict:
        """Return the splits ``train``, ``validation`` and ``test``.

        Raises:
            InputError: A file is missing, empty or not UTF-8, or a row is bad, with file and line;
                or the repository can't be reached.
        """
        if self.repository and not Path(self.repository).is_dir():
            _require_hub(self.repository, self.revision)
        return datasets.DatasetDict({split: self._split(split) for split in self.files})

    def _split(self, split: str) -> datasets.Dataset:
        patterns = self.files[split]
        if self.repository is None:
            if not patterns:
                raise InputError(f"{split}: expected files or a repository, got neither")
            return read(patterns, self.on_error)
        if not patterns:
            return _checked(self._own_split(self.repository, split), self.on_error)
        if Path(self.repository).is_dir():
            return read([str(Path(self.repository) / p) for p in patterns], self.on_error)
        root = f"hf://datasets/{self.repository}" + (f"@{self.revision}" if self.revision else "")
        files = [path for pattern in patterns for path in _hub_matches(f"{root}/{pattern}")]
        return _checked(_lines(list(dict.fromkeys(files))), self.on_error)

    def _own_split(self, repository: str, split: str) -> dict[str, datasets.Dataset]:
        with _reported(repository):
            loaded = datasets.load_dataset(repository, revision=self.revision)
        if split not in loaded:
            raise InputError(
                f"{repository}: expected a split {split!r}, found {', '.join(loaded)}; "
                f"name the files of {split} instead"
            )
        rows = loaded[split]
        label = rows.features.get("label")
        names = label.names if isinstance(label, datasets.ClassLabel) else None
        return {f"{repository} ({split})": _map(rows, _check_rows, names=names)}


def read(patterns: Iterable[str], on_error: OnError = "stop") -> datasets.Dataset:
    """Read local agreement JSONL into one table with `FEATURES`.

    Args:
        patterns: Paths or globs, gzipped or not; ``$NAME`` and ``~`` are replaced.
        on_error: ``stop`` at the first bad row, or ``skip`` bad rows, counting and listing them.

    Raises:
        InputError: A file is missing, empty or not UTF-8, or a row is bad; with file and line.
    """
    return _checked(_lines(paths(patterns)), on_error)


def paths(patterns: Iterable[str]) -> list[str]:
    """Return the files that paths and globs name, each once.

    Raises:
        InputError: A file is missing or empty, or a variable in a path is not set.
    """
    found = [path for pattern in patterns for path in _matches(pattern)]
    return list({Path(path).resolve(): path for path in found}.values())


def _matches(pattern: str) -> list[str]:
    expanded = str(Path(os.path.expandvars(pattern)).expanduser())
    unset = re.search(r"\$\{?(\w+)", expanded)
    if unset:
        raise InputError(
            f"{pattern}: the environment variable {unset[1]} is not set; set it to the folder that "
            f"holds these files, as in {unset[1]}=/path/to/corpora"
        )
    found = sorted(glob.glob(expanded, recursive=True))  # noqa: PTH207  Path.glob refuses "/a/*"
    if Path(expanded).exists():
        found = [expanded]  # even if its name looks like a glob
    if not found:
        raise InputError(f"{expanded}: expected a file of agreement JSONL, found none")
    for path in found:
        if not Path(path).is_file():
            raise InputError(f"{path}: expected a file of agreement JSONL, got a folder")
        if Path(path).stat().st_size == 0:
            raise InputError(f"{path}: expected agreement JSONL, got an empty file")
    return found


def _hub_matches(pattern: str) -> list[str]:
    with _reported(pattern):
        found = huggingface_hub.HfFileSystem().glob(pattern)
    if not found:
        raise InputError(f"{pattern}: expected a file of agreement JSONL, found none")
    return [f"hf://{path}" for path in sorted(found)]


def _lines(files: Sequence[str]) -> dict[str, datasets.Dataset]:
    rows = {}
    for path in files:  # one by one, so that an error names the file
        pattern = path if path.startswith("hf://") else glob.escape(path)
        with _reported(path):  # not load_dataset: it asks the network even for a local file
            lines = datasets.Dataset.from_text(pattern)
        rows[path] = _map(lines, _check_lines)
    return rows


@contextlib.contextmanager
def _reported(where: str) -> Iterator[None]:
    """Say in one line what went wrong in `datasets`, and where."""
    try:
        yield
    except datasets.exceptions.DatasetGenerationError as error:
        if isinstance(error.__cause__, SchemaInferenceError):  # no line at all
            raise InputError(f"{where}: expected agreement items, found none") from error
        reason = " ".join(str(error.__cause__).split())
        raise InputError(f"{where}: can't be read: {reason}") from error
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{where}: can't be loaded: {reason}") from error


def _require_hub(repository: str, revision: str | None) -> None:
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return  # the user asks for the local cache
    try:
        huggingface_hub.HfApi().dataset_info(repository, revision=revision, timeout=HUB_TIMEOUT)
    except (HfHubHTTPError, huggingface_hub.errors.HFValidationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{repository}: no such dataset on the Hub: {reason}") from error
    except Exception as error:  # the Hub's HTTP client, another one from version to version
        raise InputError(
            f"{repository}: no such local folder, and the Hugging Face Hub can't be reached; "
            "download the files and name them, or set HF_HUB_OFFLINE=1 to use the local cache"
        ) from error


@functools.cache
def _rules() -> str:
    """Return a digest of the checks, so that `datasets` doesn't answer from an outdated cache."""
    source = inspect.getsource(example) + inspect.getsource(sys.modules[__name__])
    return hashlib.sha256(source.encode()).hexdigest()


def _map(dataset: datasets.Dataset, check: Any, **options: Any) -> datasets.Dataset:
    return dataset.map(
        check,
        batched=True,
        with_indices=True,
        remove_columns=dataset.column_names,
        features=CHECKED,
        fn_kwargs={"rules": _rules(), **options},
    )


def _check_lines(
    batch: Mapping[str, list[str]],
    places: Sequence[int],
    rules: str,  # noqa: ARG001  part of the cache's key
) -> dict[str, list[Any]]:
    lines = zip(batch["text"], places, strict=True)
    return _columns([_check_line(line, place + 1) for line, place in lines if line.strip()])


def _check_rows(
    batch: Mapping[str, list[Any]],
    places: Sequence[int],
    rules: str,  # noqa: ARG001  part of the cache's key
    names: Sequence[str] | None,
) -> dict[str, list[Any]]:
    if names is not None:  # a ClassLabel, whose order is the repository's own; null is None or -1
        name_of = dict(enumerate(names))
        batch = {**batch, "label": [name_of.get(label) for label in batch["label"]]}
    rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    return _columns([_check(row, place + 1) for row, place in zip(rows, places, strict=True)])


def _check_line(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
        if r"\ud" in line.lower():  # half of a surrogate pair is no text and can't be stored
            json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        return {"line": number, "problem": f"expected JSON, got {line[:40]!r} ({error})"}
    if not isinstance(row, dict):
        return {"line": number, "problem": f"expected a JSON object, got {line[:40]!r}"}
    return _check(row, number)


def _check(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    try:
        return {**item(row), "line": number}
    except InputError as error:
        return {"line": number, "problem": str(error)}


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row.get(name) for row in rows] for name in CHECKED}


def _checked(parts: Mapping[str, datasets.Dataset], on_error: OnError) -> datasets.Dataset:
    """Join the parts without their bad rows; each part's key says where it comes from."""
    kept, problems = [], []
    for where, part in parts.items():
        if len(part) == 0:
            raise InputError(f"{where}: expected agreement items, found none")
        column = part.with_format("arrow")[:]["problem"]
        good = column.is_null().to_numpy()
        if not good.all():
            bad = part.select((~good).nonzero()[0])
            problems += [
                f"{where}, line {row['line']}: {row['problem']}"
                for row in bad.select_columns(["line", "problem"])
            ]
            part = part.select(good.nonzero()[0]).flatten_indices()  # noqa: PLW2901
        kept.append(part.remove_columns(["line", "problem"]))
    if problems and on_error == "stop":
        more = f" (and {len(problems) - 1} more bad rows)" if len(problems) > 1 else ""
        raise InputError(problems[0] + more)
    for problem in problems:
        log.warning("left out: %s", problem)
    joined = datasets.concatenate_datasets(kept)
    if problems:
        log.warning("left out %d bad rows, kept %d", len(problems), len(joined))
    if len(joined) == 0:
        raise InputError(f"{', '.join(parts)}: expected agreement items, found none")
    return joined
