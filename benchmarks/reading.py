"""Rows: items of JSONL read to batches, and items drawn by the grammar."""

from __future__ import annotations

import contextlib
import io
import json
import statistics
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.setting import Setting
from benchmarks.table import Row, at_most
from benchmarks.timing import in_turns, ratio, seconds
from memgate.commands.generate import generate
from memgate.data import jsonl
from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.grammar import Grammar
from memgate.data.plans import MAX_ATTRACTORS, MAX_INTERVENING
from memgate.data.tasks import NUMBER
from memgate.data.vocabulary import Vocabulary, prefix_words

VOCAB_SIZE = 10_000


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the row of the grammar and that of reading."""
    path = setting.folder / "items.jsonl"
    yield _grammar(setting, path)
    yield _read(setting, path)


def _grammar(setting: Setting, path: Path) -> Row:
    """Time the grammar, and leave a file of its items."""
    n, lines = setting.sizes.grammar, setting.sizes.lines
    times = in_turns([lambda: draw(n)], setting.sizes.repeats, setting.device)[0]
    written = setting.folder / "once.jsonl"
    with contextlib.redirect_stdout(io.StringIO()):
        taken = seconds(
            lambda: generate(written, n, 1, MAX_INTERVENING, MAX_ATTRACTORS), setting.device
        )
    text = written.read_text(encoding="utf-8")
    times_over = -(-lines // n)
    path.write_text(text * times_over, encoding="utf-8")
    return Row(
        "grammar",
        f"the grammar, {n:,} items at a time",
        "–",
        "items/s",
        n / statistics.median(times),
        note=f"`memgate generate` writes {n / taken:,.0f} items/s as JSONL",
    )


def _read(setting: Setting, path: Path) -> Row:
    """Time the second and every later start over a file."""
    first = seconds(lambda: to_batches(path), setting.device)
    parsed, ours = in_turns(
        [lambda: parse(path), lambda: to_batches(path)], setting.sizes.repeats, setting.device
    )
    size = path.stat().st_size
    items = setting.sizes.grammar * -(-setting.sizes.lines // setting.sizes.grammar)
    return Row(
        "jsonl",
        f"{items:,} items of JSONL to batches, cached",
        "json.loads over the file",
        "s",
        statistics.median(ours),
        statistics.median(parsed),
        ratio(ours, parsed),
        at_most(setting.device, 0.5),
        setting.machine.floor(0, moved=2 * size),
        f"{size / 1e6:.0f} MB; the first start, which checks every line, {first:.1f} s; "
        "vocabulary, encoding and one epoch's batches of 128 are in it",
    )


def draw(n: int) -> None:
    """Draw items of the grammar."""
    Grammar(train=n, validation=1, test=1).load()


def to_batches(path: Path) -> None:
    """Read a file as a fit does: rows, vocabulary, ids, the batches of an epoch."""
    table = jsonl.read([str(path)]).with_format("arrow")[:]
    posed = NUMBER.pose(table, 0)
    words, tags, _ = prefix_words(posed.texts, posed.tags, posed.lengths)
    vocabulary = Vocabulary.build(words, tags, VOCAB_SIZE)
    prefixes = Prefixes.from_table(vocabulary, table, posed)
    for batch in ExactLengthBatches(prefixes, 128, shuffle=True):
        torch.numel(batch.inputs)


def parse(path: Path) -> None:
    """Parse every line."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            json.loads(line)
