"""What a source's items are encoded to, kept beside the cache of `datasets`: a second start reads.

A file is named by all that it depends on: every byte of the items, the settings, and the code that
encodes. Not by the fingerprints of `datasets`: those of a repository in a local folder stay the
same whatever its files hold by now, and those of a source written elsewhere may be random.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import os
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import tokenizers
import torch
import xxhash  # a dependency of `datasets`; 60 MB in 14 ms, SHA-256 takes 54
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from memgate.data import batches, files, vocabulary
from memgate.data.batches import Prefixes
from memgate.data.items import numbers, roles, tasks
from memgate.data.vocabulary import Index, Vocabulary

SUFFIX = ".safetensors"

UNFINISHED = ".unfinished"

LIMIT = 4 * 2**30
"""Bytes of all files together; 200,000 items of 15 words take 27 MB. The oldest go first."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Encoded:
    """A vocabulary, and by split the prefixes and the places of their items in the source's."""

    vocabulary: Vocabulary
    prefixes: dict[str, Prefixes]
    rows: dict[str, Index]


def cached(
    splits: Mapping[str, datasets.Dataset], asked: Mapping[str, Any], make: Callable[[], Encoded]
) -> Encoded:
    """Return what was made of these items and settings before, or make and keep it.

    The files are in ``memgate`` below the cache of `datasets` (``HF_DATASETS_CACHE``); where that
    is switched off (`datasets.disable_caching`) none is read or written. A damaged file is made
    again, and where none can be written nothing is kept.

    Args:
        splits: A source's items.
        asked: The settings that decide what they are encoded to; JSON.
        make: Encodes them.
    """
    if not datasets.is_caching_enabled():
        return make()
    key = _key(splits, asked)
    path = folder() / f"{key}{SUFFIX}"
    found = _read(path, key)
    if found is None:
        found = make()
        _keep(path, key, found)
    return found


def folder() -> Path:
    """Return where the files are."""
    return Path(datasets.config.HF_DATASETS_CACHE) / "memgate"


class _Digest:
    """Takes what Arrow writes to a file, and keeps its digest only."""

    closed = False

    def __init__(self) -> None:
        self.state = xxhash.xxh3_128()

    def write(self, content: bytes) -> int:
        self.state.update(content)
        return len(content)

    def flush(self) -> None:
        """Do what Arrow asks of a file; nothing is left to write."""

    def close(self) -> None:
        """Do what Arrow asks of a file; nothing is left to close."""


def _key(splits: Mapping[str, datasets.Dataset], asked: Mapping[str, Any]) -> str:
    digest = _Digest()
    known = {"asked": asked, "rules": _rules(), "splits": list(splits)}
    digest.write(json.dumps(known, sort_keys=True).encode())
    for items in splits.values():
        table = items.with_format("arrow")[:]
        with pa.ipc.new_stream(pa.PythonFile(digest, "w"), table.schema) as stream:
            stream.write_table(table)  # the rows alone, also of a slice of larger buffers
    return digest.state.hexdigest()


@functools.cache
def _rules() -> str:
    """Return a digest of the code that encodes, ours and that of the libraries it asks."""
    ours = files.digest(batches, numbers, roles, tasks, vocabulary, sys.modules[__name__])
    return f"{ours} pyarrow {pa.__version__} tokenizers {tokenizers.__version__}"


def _read(path: Path, key: str) -> Encoded | None:
    """Return what a file holds, mapped into memory; None if it is missing or damaged."""
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            known = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        log.warning("%s: can't be read and is made again: %s", path, error)
        return None
    tokenizer = known.get("tokenizer", "")
    if known.get("digest") != _checksum(key, tokenizer, tensors):
        log.warning("%s: damaged, and made again", path)
        return None
    with contextlib.suppress(OSError):  # of a cache that can't be written to
        os.utime(path)  # used: others are older
    return _assembled(Vocabulary.parse(tokenizer), tensors)


def _checksum(key: str, tokenizer: str, tensors: Mapping[str, Tensor]) -> str:
    """Return a digest of all that is used of a file: its bytes may have changed on the disk."""
    state = xxhash.xxh3_128(f"{key} {tokenizer}".encode())
    for name, tensor in sorted(tensors.items()):
        state.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        state.update(tensor.numpy().data)
    return state.hexdigest()


def _assembled(vocabulary: Vocabulary, tensors: Mapping[str, Tensor]) -> Encoded:
    parts: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        split, _, field = name.rpartition(".")
        parts.setdefault(split, {})[field] = tensor
    rows = {split: part.pop("rows").numpy() for split, part in parts.items()}
    prefixes = {
        split: Prefixes(**{**part, "lengths": part["lengths"].numpy()})
        for split, part in parts.items()
    }
    return Encoded(vocabulary, prefixes, rows)


def _tensors(encoded: Encoded) -> dict[str, Tensor]:
    tensors = {}
    for split, prefixes in encoded.prefixes.items():
        for field in dataclasses.fields(prefixes):
            tensors[f"{split}.{field.name}"] = torch.as_tensor(getattr(prefixes, field.name))
        tensors[f"{split}.rows"] = torch.as_tensor(encoded.rows[split])
    return tensors


def _keep(path: Path, key: str, encoded: Encoded) -> None:
    """Write a file, whole or not at all, whoever else writes the same."""
    unfinished = path.with_name(f"{key}.{uuid.uuid4().hex}{UNFINISHED}")
    tensors, tokenizer = _tensors(encoded), encoded.vocabulary.text()
    known = {"tokenizer": tokenizer, "digest": _checksum(key, tokenizer, tensors)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_file(tensors, unfinished, known)  # for its owner's eyes alone, unlike the folder
            unfinished.chmod(path.parent.stat().st_mode & 0o666)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        log.warning("%s: can't be kept, so the next start encodes again: %s", path, error)
        return
    with contextlib.suppress(OSError):  # another process may have removed or renamed a file
        _make_room(path)


def _make_room(kept: Path) -> None:
    """Remove the files that were not used for longest, and what a killed process left, if many."""
    others = (path for path in kept.parent.iterdir() if path != kept and path.is_file())
    ages = [(path.stat(), path) for path in others]
    room = LIMIT - kept.stat().st_size
    for known, path in sorted(ages, key=lambda age: age[0].st_mtime, reverse=True):
        room -= known.st_size
        if room < 0:
            path.unlink(missing_ok=True)
