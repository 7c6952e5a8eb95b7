"""Shards: the parts of a corpus, parsed in parallel and saved one by one."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import Progress, TextColumn

from memgate.data.corpora import parsing
from memgate.data.corpora.texts import paragraphs
from memgate.data.items.dependencies import CLEAR, Extraction, extract_items
from memgate.data.items.schema import FEATURES
from memgate.errors import InputError
from memgate.pool import ProcessPool, completed

CORPUS_FEATURES = datasets.Features({**FEATURES, "target": datasets.Value("string")})
"""The columns of a corpus: an item's, and what agrees (main, cop or aux)."""

COUNTS_KEY = b"memgate"
"""Key of a shard's counts in the metadata of its Parquet file."""

LOG_INTERVAL = 10.0
"""Seconds between two lines of progress in a log."""


class ShardJob(NamedTuple):
    """What a process needs to make one shard.

    Attributes:
        number: Number of the shard, from 0.
        start: Index of its first text in the corpus.
        texts: Its texts.
        model: The spaCy model, see `parsing.load`.
        linzen: See `extract_items`.
        seed: See `extract_items`.
    """

    number: int
    start: int
    texts: Sequence[str]
    model: str | None
    linzen: bool
    seed: int


def bounds(rows: datasets.Dataset, size: int) -> list[tuple[int, int]]:
    """Divide texts into shards of about `size` characters.

    Args:
        rows: A table with a column ``text``.
        size: Characters; a longer text is a shard by itself.

    Returns:
        First row and the row after the last, of each shard.
    """
    shards, start, characters = [], 0, 0
    for number, batch in enumerate(rows.with_format("arrow").iter(10_000)):
        lengths = pc.fill_null(pc.utf8_length(batch["text"]), 0).to_pylist()
        for row, length in enumerate(lengths, number * 10_000):
            characters += length
            if characters >= size:
                shards.append((start, row + 1))
                start, characters = row + 1, 0
    return [*shards, (start, len(rows))] if start < len(rows) else shards


def path(folder: Path, number: int) -> Path:
    """Return where a shard is kept."""
    return folder / f"{number:06d}.parquet"


def make(job: ShardJob) -> Extraction:
    """Parse the texts of a shard and extract their items."""
    parser = parsing.load(job.model)
    texts = (
        (f"{index}-{number}", paragraph)
        for index, text in enumerate(job.texts, job.start)
        for number, paragraph in enumerate(paragraphs(text or ""))
    )
    with parser.memory_zone():  # without it the table of strings grows with the corpus
        return extract_items(parsing.sentences(parser, texts), CLEAR, job.linzen, job.seed)


def make_all(jobs: Iterator[ShardJob], processes: int) -> Iterator[tuple[ShardJob, Extraction]]:
    """Make shards in `processes` processes, and yield them as they are done.

    Raises:
        InputError: A process was killed.
    """
    if processes == 1:
        for job in jobs:
            yield job, make(job)
        return
    try:
        with ProcessPool(processes) as pool:
            named = ((str(job.number), job) for job in jobs)
            for _, job, future in completed(pool, make, named):
                yield job, future.result()
    except BrokenProcessPool as error:
        raise InputError(
            "a process that parsed ended suddenly, perhaps because memory was short; the same "
            "command resumes, and takes less memory with fewer processes (num_proc)"
        ) from error


def show_progress(
    shards: Iterable[tuple[ShardJob, Extraction]], total: int, done: int
) -> Iterator[tuple[ShardJob, Extraction]]:
    """Pass shards on, and show on stderr how many are done: a bar in a terminal, lines in a log.

    Args:
        shards: The shards, as they are made; each is passed on before it counts as done.
        total: How many shards the corpus has.
        done: How many of them an earlier run has made.
    """
    console = Console(stderr=True, highlight=False)
    # While rich draws another bar, it puts a FileProxy in the place of stderr.
    has_bar = console.is_terminal and not isinstance(sys.stderr, FileProxy)
    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[rate]}"))
    if not has_bar:
        console.print(f"parsing: {done}/{total} parts done", soft_wrap=True)
    with Progress(*columns, console=console, disable=not has_bar) as bar:
        task = bar.add_task("parsing", total=total, completed=done, rate="")
        start = last_line = time.perf_counter()
        items = 0
        for number, (job, extraction) in enumerate(shards, start=1):
            yield job, extraction
            items += len(extraction.items)
            now = time.perf_counter()
            remaining = total - done - number
            rate = f"{items:,} items, {items / (now - start):,.0f} items/s"
            bar.update(task, advance=1, rate=rate)
            if not has_bar and (now - last_line >= LOG_INTERVAL or not remaining):
                last_line = now
                seconds = (now - start) / number * remaining
                line = f"parsing: {done + number}/{total} parts, {rate}, about {seconds:.0f} s left"
                console.print(line, soft_wrap=True)


def save(folder: Path, number: int, extraction: Extraction) -> None:
    """Write a shard; either whole or not at all."""
    items: list[dict[str, Any]] = [dict(item) for item in extraction.items]
    columns: dict[str, list[Any]] = {name: [item[name] for item in items] for name in FEATURES}
    columns["label"] = FEATURES["label"].str2int(columns["label"])
    columns["target"] = list(extraction.targets)
    counts = {
        "sentences": extraction.sentences,
        "tokens": extraction.tokens,
        "dropped": extraction.dropped,
    }
    table = pa.table(columns, schema=CORPUS_FEATURES.arrow_schema)
    metadata = {**(table.schema.metadata or {}), COUNTS_KEY: json.dumps(counts).encode()}
    target = path(folder, number)
    unfinished = target.with_suffix(".unfinished")
    pq.write_table(table.replace_schema_metadata(metadata), unfinished)
    unfinished.replace(target)


def counts(shard: Path) -> tuple[int, Mapping[str, Any]]:
    """Return the number of a shard's items, and its other counts as `save` wrote them."""
    metadata = pq.read_metadata(shard)
    return metadata.num_rows, json.loads(metadata.metadata[COUNTS_KEY])


def total(shards: Sequence[Path]) -> tuple[Counter[str], Counter[str]]:
    """Return the numbers of items, sentences and tokens of shards, and of subjects left out."""
    sizes: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for shard in shards:
        items, others = counts(shard)
        sizes.update(items=items, sentences=others["sentences"], tokens=others["tokens"])
        dropped.update(others["dropped"])
    return sizes, dropped
