"""The parts of a corpus that is being made: parsed in parallel, saved one by one, found again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from memgate.data.corpora import parsing
from memgate.data.corpora.processes import submit, workers
from memgate.data.corpora.texts import paragraphs
from memgate.data.items.dependencies import CLEAR, Extraction, extract_items
from memgate.data.items.schema import FEATURES
from memgate.errors import InputError

COLUMNS = datasets.Features({**FEATURES, "target": datasets.Value("string")})
"""The columns of a corpus: an item's, and what agrees (main, cop or aux)."""

META = b"memgate"
"""Key of a shard's counts in its Parquet file."""


class Job(NamedTuple):
    """What a process needs to make one shard.

    Attributes:
        number: Place of the shard, from 0.
        start: Place of its first text.
        texts: Its texts.
        model: The spaCy model, see `parsing.load`.
        linzen: See `extract_items.extract_items`.
        seed: Likewise.
    """

    number: int
    start: int
    texts: Sequence[str]
    model: str | None
    linzen: bool
    seed: int


def bounds(rows: datasets.Dataset, size: int) -> list[tuple[int, int]]:
    """Cut texts into runs of about `size` characters.

    Args:
        rows: A table with a column ``text``.
        size: Characters; a longer text is a run of its own.

    Returns:
        First row and the row after the last, of each run.
    """
    cuts, start, characters = [], 0, 0
    for number, batch in enumerate(rows.with_format("arrow").iter(10_000)):
        lengths = pc.fill_null(pc.utf8_length(batch["text"]), 0).to_pylist()
        for row, length in enumerate(lengths, number * 10_000):
            characters += length
            if characters >= size:
                cuts.append((start, row + 1))
                start, characters = row + 1, 0
    return [*cuts, (start, len(rows))] if start < len(rows) else cuts


def path(folder: Path, number: int) -> Path:
    """Return where a shard is kept."""
    return folder / f"{number:06d}.parquet"


def make(job: Job) -> Extraction:
    """Parse the texts of a shard and find their items."""
    parser = parsing.load(job.model)
    texts = (
        (f"{number}-{place}", paragraph)
        for number, text in enumerate(job.texts, job.start)
        for place, paragraph in enumerate(paragraphs(text or ""))
    )
    with parser.memory_zone():  # else its table of strings grows with the corpus
        return extract_items(parsing.sentences(parser, texts), CLEAR, job.linzen, job.seed)


def make_all(jobs: Iterator[Job], processes: int) -> Iterator[tuple[Job, Extraction]]:
    """Make shards, in `processes` at once; they come as they are done.

    Raises:
        InputError: A process was killed.
    """
    if processes == 1:
        for job in jobs:
            yield job, make(job)
        return
    try:
        with workers(processes) as pool:
            running: dict[Future[Extraction], Job] = {}
            for job in jobs:
                running[submit(pool, make, job)] = job
                if len(running) > processes:  # one in waiting, so that few texts are in memory
                    yield from _finished(running)
            while running:
                yield from _finished(running)
    except BrokenProcessPool as error:
        raise InputError(
            "a process that parsed ended suddenly, perhaps for want of memory; the same command "
            "goes on where it was, and takes less memory with fewer processes (num_proc)"
        ) from error


def _finished(running: dict[Future[Extraction], Job]) -> Iterator[tuple[Job, Extraction]]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(future), future.result()


def save(folder: Path, number: int, found: Extraction) -> None:
    """Write a shard; either whole or not at all."""
    columns: dict[str, list[Any]] = {name: [row[name] for row in found.items] for name in FEATURES}  # type: ignore[literal-required]
    columns["label"] = FEATURES["label"].str2int(columns["label"])
    columns["target"] = list(found.targets)
    counts = {"sentences": found.sentences, "tokens": found.tokens, "dropped": found.dropped}
    table = pa.table(columns, schema=COLUMNS.arrow_schema)
    metadata = {**(table.schema.metadata or {}), META: json.dumps(counts).encode()}
    target = path(folder, number)
    unfinished = target.with_suffix(".unfinished")
    pq.write_table(table.replace_schema_metadata(metadata), unfinished)
    unfinished.replace(target)


def counts(shard: Path) -> tuple[int, Mapping[str, Any]]:
    """Return the number of a shard's items, and its other counts as `save` wrote them."""
    meta = pq.read_metadata(shard)
    return meta.num_rows, json.loads(meta.metadata[META])


def total(shards: Sequence[Path]) -> tuple[Counter[str], Counter[str]]:
    """Return the sums over shards: of items, sentences and tokens; and of what was left out."""
    sizes: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    for shard in shards:
        items, rest = counts(shard)
        sizes.update(items=items, sentences=rest["sentences"], tokens=rest["tokens"])
        dropped.update(rest["dropped"])
    return sizes, dropped
