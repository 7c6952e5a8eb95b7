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
from memgate.data.items.schema import FEATURES, item
from memgate.errors import InputError

OnError = Literal["stop", "skip"]

WHAT = "agreement JSONL"

CHECKED = datasets.Features(
    {
        **FEATURES,
        "line": datasets.Value("int64"),
        "problem": datasets.Value("string"),
    }
)

log = logging.getLogger(__name__)


class JsonLines:
    """Agreement items from JSON Lines, one item a line; see `schema.FEATURES` for the fields.

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
        if self.repository and not Path(self.repository).is_dir():
            files.require_hub(self.repository, self.revision)
        return _apart({split: self._split(split) for split in self.patterns})

    def _split(self, split: str) -> datasets.Dataset:
        patterns = self.patterns[split]
        if self.repository is None:
            if not patterns:
                raise InputError(f"{split}: expected files or a repository, got neither")
            return read(patterns, self.on_error)
        if not patterns:
            return _checked(self._own_split(self.repository, split), self.on_error)
        if Path(self.repository).is_dir():
            return read([str(Path(self.repository) / p) for p in patterns], self.on_error)
        root = f"hf://datasets/{self.repository}" + (f"@{self.revision}" if self.revision else "")
        found = [path for pattern in patterns for path in _hub_matches(f"{root}/{pattern}")]
        return _checked(_lines(list(dict.fromkeys(found))), self.on_error)

    def _own_split(self, repository: str, split: str) -> dict[str, datasets.Dataset]:
        with files.reported(repository):
            # A local folder's splits are cached under its name, whatever they hold by now.
            local = Path(repository).is_dir()
            loaded = datasets.load_dataset(
                repository,
                revision=self.revision,
                download_mode="force_redownload" if local else None,
                verification_mode="no_checks" if local else None,
            )
        if split not in loaded:
            raise InputError(
                f"{repository}: expected a split {split!r}, found {', '.join(loaded)}; "
                f"name the files of {split} instead"
            )
        rows = loaded[split]
        label = rows.features.get("label")
        names = label.names if isinstance(label, datasets.ClassLabel) else None
        return {f"{repository} ({split})": _map(rows, _check_rows, names=names)}


def _apart(splits: dict[str, datasets.Dataset]) -> datasets.DatasetDict:
    """Leave the sentences of validation and test out of training."""
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
        patterns: Paths or globs, gzipped or not; ``$NAME`` and ``~`` are replaced.
        on_error: ``stop`` at the first bad row, or ``skip`` bad rows, counting and listing them.

    Raises:
        InputError: A file is missing, empty or not UTF-8, or a row is bad; with file and line.
    """
    return _checked(_lines(files.paths(patterns, WHAT)), on_error)


def _hub_matches(pattern: str) -> list[str]:
    with files.reported(pattern):
        found = huggingface_hub.HfFileSystem().glob(pattern)
    if not found:
        raise InputError(f"{pattern}: expected a file of agreement JSONL, found none")
    return [f"hf://{path}" for path in sorted(found)]


def _lines(found: Sequence[str]) -> dict[str, datasets.Dataset]:
    return {path: _map(files.lines(path), _check_lines) for path in found}


@functools.cache
def _rules() -> str:
    """Return a digest of the checks, so that `datasets` doesn't answer from an outdated cache."""
    return files.digest(schema, numbers, sys.modules[__name__])


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
        row = json.loads(line.removeprefix("\ufeff"))  # some editors begin a file with a mark
        if r"\ud" in line.lower():  # half of a surrogate pair is no text and can't be stored
            json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        why = (
            f"{error.msg} at column {error.colno}" if isinstance(error, JSONDecodeError) else error
        )
        return {"line": number, "problem": f"expected JSON, got {_short(line)} ({why})"}
    if not isinstance(row, dict):
        return {"line": number, "problem": f"expected a JSON object, got {_short(line)}"}
    return _check(row, number)


def _short(line: str) -> str:
    return repr(line if len(line) <= 40 else line[:39] + "…")


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
