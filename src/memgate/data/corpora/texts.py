"""Raw text: datasets of the Hugging Face Hub and local files, as one column of strings."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import datasets

from memgate.data import files
from memgate.data.corpora import dumps
from memgate.errors import InputError

PARAGRAPH = 20_000
"""Characters of the longest text that is parsed in one piece; spaCy's own limit is 1,000,000."""

READERS: dict[str, Callable[[str], datasets.Dataset]] = {
    ".txt": files.lines,
    ".text": files.lines,
    ".jsonl": files.json_rows,
    ".json": files.json_rows,
    ".parquet": files.parquet_rows,
}
"""How files are read, by their ending, and that of a compressed file after it; `.bz2` of another
name is a dump."""


class Texts(NamedTuple):
    """Raw text and where it comes from.

    Attributes:
        rows: A table with one column, ``text``.
        source: Repository, configuration and split, or the names of the files.
        revision: The repository's commit, or a digest of the files.
    """

    rows: datasets.Dataset
    source: str
    revision: str


def from_hub(
    dataset: str, config: str | None, split: str, revision: str | None, column: str
) -> Texts:
    """Load the texts of a dataset of the Hub, or of a local folder of the same layout.

    Raises:
        InputError: The Hub can't be reached, or has no such dataset, configuration, split or
            column.
    """
    where = ", ".join(part for part in (dataset, config, split) if part)
    rows = files.load_repository(dataset, config, split, revision)
    addresses = " ".join(rows.info.download_checksums or {})
    commit = re.search(r"@([0-9a-f]{40})/", addresses)
    commit_or_name = commit[1] if commit else revision or "unknown"
    return Texts(_column(rows, column, where), where, commit_or_name)


def from_files(patterns: Sequence[str], column: str) -> Texts:
    """Load the texts of files: ``.txt`` (a text a line), ``.jsonl``, ``.parquet``, or a dump.

    Args:
        patterns: Paths or globs, compressed or not, or dumps of MediaWiki (``.bz2``); ``$NAME``,
            ``~`` and ``package://NAME`` are replaced.
        column: The column of JSON Lines and Parquet.

    Raises:
        InputError: A file is missing, empty, damaged or of another kind, or lacks the column; or
            a dump is to be read and gensim or mwparserfromhell is not installed.
    """
    paths = files.paths(patterns, "text")
    parts, digest = [], hashlib.sha256()
    for path in paths:
        read = READERS.get(Path(files.without_compression(path)).suffix)
        if read is None and not path.endswith(".bz2"):
            raise InputError(
                f"{path}: expected a file named {', '.join(READERS)}, one of them compressed "
                f"({', '.join(files.COMPRESSED_SUFFIXES)}), or a dump of MediaWiki (.bz2)"
            )
        with files.reported(path):
            rows = (read or dumps.read)(path)
        has_columns = read in (files.json_rows, files.parquet_rows)
        parts.append(_column(rows, column if has_columns else "text", path))
        digest.update(files.content_digest(path).encode())
    names = ", ".join(Path(path).name for path in paths)
    return Texts(datasets.concatenate_datasets(parts), names, digest.hexdigest()[:16])


def _column(rows: datasets.Dataset, column: str, where: str) -> datasets.Dataset:
    if column not in rows.column_names:
        raise InputError(
            f"{where}: expected a column {column!r}, found {', '.join(rows.column_names)}"
        )
    rows = rows.select_columns([column])
    if column != "text":
        rows = rows.rename_column(column, "text")
    kind = rows.features["text"]  # of lists and dicts it is no Value
    if getattr(kind, "dtype", None) not in ("string", "large_string"):
        raise InputError(f"{where}: expected strings in the column {column!r}, got {kind}")
    return rows


def paragraphs(text: str) -> Iterator[str]:
    r"""Yield the lines of a text with single spaces between words; very long lines are divided.

    A word longer than `PARAGRAPH` (encoded data) is skipped. WikiText's separators are undone
    ("1 @,@ 000" is "1,000"); its "<unk>" stays a word.

    >>> list(paragraphs("A line , 1 @,@ 000  words .\n\n Another ."))
    ['A line , 1,000 words .', 'Another .']
    """
    for line in text.splitlines():
        words = " ".join(line.split())
        joined = re.sub(r" @([-.,])@ ", r"\1", words)
        pieces = re.findall(rf"(?:\S.{{0,{PARAGRAPH - 2}}}\S|\S+)(?=\s|$)", joined)
        yield from (piece for piece in pieces if len(piece) <= PARAGRAPH)
