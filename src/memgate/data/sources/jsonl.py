"""Source: agreement JSONL through Hugging Face `datasets`, every row checked."""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from json import JSONDecodeError
from pathlib import Path
from typing import Any, Literal

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.compute as pc

from memgate.data import files
from memgate.data.items import numbers, schema
from memgate.data.items.schema import FEATURES, SPLITS, parse_item
from memgate.errors import InputError

OnError = Literal["stop", "skip"]

FORMAT = "agreement JSONL"
"""The name of the format, for messages."""

CHECKED_FEATURES = datasets.Features(
    {**FEATURES, "line": datasets.Value("int64"), "problem": datasets.Value("string")}
)
"""An item, or the line number and the problem of a bad row."""

log = logging.getLogger(__name__)


class JsonLines:
    """Agreement items from JSON Lines, one item a line; see `schema.FEATURES` for the fields.

    Args:
        train: Files of the training split: paths or globs, compressed or not; ``$NAME`` and ``~``
            are replaced. With a `repository`, paths inside it.
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
        self.patterns = {"train": train, "validation": validation, "test": test}
        self.repository = repository
        self.revision = revision
        self.on_error = on_error

    def load(self) -> datasets.DatasetDict:
        """Return the splits ``train``, ``validation`` and ``test``.

        Raises:
            InputError: A file is missing, empty or not UTF-8, or a row is bad, with file and line;
                or the repository can't be reached.
        """
        return _without_held_out({split: self._split(split) for split in SPLITS})

    def _split(self, split: str) -> datasets.Dataset:
        patterns, repository = self.patterns[split], self.repository
        if repository is None:
            if not patterns:
                raise InputError(f"{split}: expected files or a repository, got neither")
            return read(patterns, self.on_error)
        if not patterns:
            return self._repository_split(repository, split)
        if Path(repository).is_dir():
            return read([str(Path(repository) / pattern) for pattern in patterns], self.on_error)
        files.require_hub(repository, self.revision)
        root = f"hf://datasets/{repository}" + (f"@{self.revision}" if self.revision else "")
        paths = [path for pattern in patterns for path in _hub_paths(f"{root}/{pattern}")]
        return _good_rows(_checked_files(list(dict.fromkeys(paths))), self.on_error)

    def _repository_split(self, repository: str, split: str) -> datasets.Dataset:
        loaded = files.load_repository(repository, revision=self.revision)
        if split not in loaded:
            raise InputError(
                f"{repository}: expected a split {split!r}, found {', '.join(loaded)}; "
                f"name the files of {split} instead"
            )
        label = loaded[split].features.get("label")
        names = label.names if isinstance(label, datasets.ClassLabel) else None
        rows = _map(loaded[split], _check_rows, label_names=names)
        return _good_rows({f"{repository} ({split})": rows}, self.on_error)


def _without_held_out(splits: dict[str, datasets.Dataset]) -> datasets.DatasetDict:
    """Remove the items from training whose sentences are in validation or test."""
    train = splits["train"]
    held_out = pa.concat_arrays([_texts(splits[split]) for split in ("validation", "test")])
    shared = pc.is_in(_texts(train), value_set=held_out).to_numpy(zero_copy_only=False)
    if not shared.any():
        return datasets.DatasetDict(splits)
    kept = train.select((~shared).nonzero()[0]).flatten_indices()
    if len(kept) == 0:
        log.warning("all training sentences are in validation or test: scores will mean little")
        return datasets.DatasetDict(splits)
    log.warning(
        "left out %d training items whose sentences are in validation or test", int(shared.sum())
    )
    return datasets.DatasetDict({**splits, "train": kept})


def _texts(items: datasets.Dataset) -> pa.Array:
    return items.with_format("arrow")[:]["text"].combine_chunks()


def read(patterns: Iterable[str], on_error: OnError = "stop") -> datasets.Dataset:
    """Read local agreement JSONL into one table with `FEATURES`.

    Args:
        patterns: Paths or globs, compressed or not; ``$NAME`` and ``~`` are replaced.
        on_error: ``stop`` at the first bad row, or ``skip`` bad rows, counting and listing them.

    Raises:
        InputError: A file is missing, empty or not UTF-8, or a row is bad; with file and line.
    """
    return _good_rows(_checked_files(files.paths(patterns, FORMAT)), on_error)


def _hub_paths(pattern: str) -> list[str]:
    with files.reported(pattern):
        paths = huggingface_hub.HfFileSystem().glob(pattern)
    if not paths:
        raise InputError(f"{pattern}: expected a file of {FORMAT}, found none")
    return [f"hf://{path}" for path in sorted(paths)]


def _checked_files(paths: Sequence[str]) -> dict[str, datasets.Dataset]:
    return {path: _map(files.lines(path), _check_lines) for path in paths}


@functools.cache
def _rules() -> str:
    """Return a digest of the checks, so that `datasets` doesn't use an outdated cache."""
    return files.digest(schema, numbers, sys.modules[__name__])


def _map(dataset: datasets.Dataset, check: Any, **options: Any) -> datasets.Dataset:
    return dataset.map(
        check,
        batched=True,
        with_indices=True,
        remove_columns=dataset.column_names,
        features=CHECKED_FEATURES,
        fn_kwargs={"rules": _rules(), **options},
    )


def _check_lines(
    batch: Mapping[str, list[str]],
    indices: Sequence[int],
    rules: str,  # noqa: ARG001  part of the cache's key
) -> dict[str, list[Any]]:
    lines = zip(batch["text"], indices, strict=True)
    return _columns([_check_line(line, index + 1) for line, index in lines if line.strip()])


def _check_rows(
    batch: Mapping[str, list[Any]],
    indices: Sequence[int],
    rules: str,  # noqa: ARG001  part of the cache's key
    label_names: Sequence[str] | None,
) -> dict[str, list[Any]]:
    if label_names is not None:  # a ClassLabel in the repository's own order; null is None or -1
        name_of = dict(enumerate(label_names))
        batch = {**batch, "label": [name_of.get(label) for label in batch["label"]]}
    rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    return _columns([_check_row(row, index + 1) for row, index in zip(rows, indices, strict=True)])


def _check_line(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
        if r"\ud" in line.lower():  # half of a surrogate pair is no text and can't be stored
            json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        reason: object = error
        if isinstance(error, JSONDecodeError):
            reason = f"{error.msg} at column {error.colno}"
        return {"line": number, "problem": f"expected JSON, got {_short(line)} ({reason})"}
    if not isinstance(row, dict):
        return {"line": number, "problem": f"expected a JSON object, got {_short(line)}"}
    return _check_row(row, number)


def _short(line: str) -> str:
    return repr(line if len(line) <= 40 else line[:39] + "…")


def _check_row(row: Mapping[str, Any], number: int) -> dict[str, Any]:
    try:
        return {**parse_item(row), "line": number}
    except InputError as error:
        return {"line": number, "problem": str(error)}


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row.get(name) for row in rows] for name in CHECKED_FEATURES}


def _good_rows(tables: Mapping[str, datasets.Dataset], on_error: OnError) -> datasets.Dataset:
    """Join checked tables without their bad rows."""
    parts, problems = [], []
    for where, table in tables.items():
        if len(table) == 0:
            raise InputError(f"{where}: expected agreement items, found none")
        part = table
        good = table.with_format("arrow")[:]["problem"].is_null().to_numpy()
        if not good.all():
            bad = table.select((~good).nonzero()[0])
            problems += [
                f"{where}, line {row['line']}: {row['problem']}"
                for row in bad.select_columns(["line", "problem"])
            ]
            part = table.select(good.nonzero()[0]).flatten_indices()
        parts.append(part.remove_columns(["line", "problem"]))
    if problems and on_error == "stop":
        more = f" (and {len(problems) - 1} more bad rows)" if len(problems) > 1 else ""
        raise InputError(problems[0] + more)
    for problem in problems:
        log.warning("left out: %s", problem)
    joined = datasets.concatenate_datasets(parts)
    if problems:
        log.warning("left out %d bad rows, kept %d", len(problems), len(joined))
    if len(joined) == 0:
        raise InputError(f"{', '.join(tables)}: expected agreement items, found none")
    return joined
