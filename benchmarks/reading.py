"""Rows: items of JSONL read to batches, and items drawn by the grammar."""

from __future__ import annotations

import contextlib
import io
import json
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from benchmarks.setting import Setting
from benchmarks.table import Row, at_most
from benchmarks.timing import in_turns, ratio, seconds
from memgate.commands.generate import generate
from memgate.data.batches import ExactLengthBatches
from memgate.data.datamodule import AgreementData
from memgate.data.sources.grammar import MAX_INTERVENING, Grammar
from memgate.data.sources.jsonl import JsonLines

Paths = Mapping[str, Path]
"""The file of each split."""


def rows(setting: Setting) -> Iterator[Row]:
    """Yield the row of the grammar and that of reading."""
    names = ("train", "validation", "test")
    paths = {split: setting.folder / f"{split}.jsonl" for split in names}
    yield _grammar(setting, paths)
    yield _read(setting, paths)


def _grammar(setting: Setting, paths: Paths) -> Row:
    """Time the grammar, and leave files of its items: 90% to train on, 5% each held out."""
    n, lines = setting.sizes.grammar, setting.sizes.lines
    times = in_turns([lambda: draw(n)], setting.sizes.repeats, setting.device)[0]
    written = setting.folder / "once.jsonl"
    with contextlib.redirect_stdout(io.StringIO()):
        taken = seconds(
            lambda: generate(out=written, items=n, seed=1, max_intervening=MAX_INTERVENING),
            setting.device,
        )
    items = written.read_text(encoding="utf-8").splitlines(keepends=True)
    times_over = -(-lines // n)
    parts = (items[: -n // 10], items[-n // 10 : -n // 20], items[-n // 20 :])
    for path, part in zip(paths.values(), parts, strict=True):  # no sentence is in two of them
        path.write_text("".join(part) * times_over, encoding="utf-8")
    return Row(
        "grammar",
        f"the grammar, {n:,} items at a time",
        "–",
        "items/s",
        n / statistics.median(times),
        note=f"`memgate generate` writes {n / taken:,.0f} items/s as JSONL",
    )


def _read(setting: Setting, paths: Paths) -> Row:
    """Time the second and every later start over the files of three splits."""
    first = seconds(lambda: to_batches(paths), setting.device)
    parsed, ours = in_turns(
        [lambda: parse(paths), lambda: to_batches(paths)], setting.sizes.repeats, setting.device
    )
    size = sum(path.stat().st_size for path in paths.values())
    items = setting.sizes.grammar * -(-setting.sizes.lines // setting.sizes.grammar)
    return Row(
        "jsonl",
        f"{items:,} items of JSONL to batches, second start",
        "json.loads over the files",
        "s",
        statistics.median(ours),
        statistics.median(parsed),
        ratio(ours, parsed),
        at_most(setting.device, 2.5),
        setting.machine.floor(0, moved=2 * size),
        f"{size / 1e6:.0f} MB in three files; the first start, which checks and encodes each line, "
        f"{first:.1f} s; in ours are the set-up of a fit and the batches of every split, 128 items "
        "each; in neither the imports",
    )


def draw(n: int) -> None:
    """Draw items of the grammar."""
    Grammar(train=n, validation=1, test=1).load()


def to_batches(paths: Paths) -> None:
    """Set up the data as a fit does, and make an epoch's batches of every split."""
    train, validation, test = ([str(path)] for path in paths.values())
    data = AgreementData(JsonLines(train, validation, test))
    data.setup()
    for split, prefixes in data.prefixes.items():
        for batch in ExactLengthBatches(prefixes, data.batch_size, shuffle=split == "train"):
            torch.numel(batch.inputs)


def parse(paths: Paths) -> None:
    """Parse every line."""
    for path in paths.values():
        with path.open(encoding="utf-8") as file:
            for line in file:
                json.loads(line)
