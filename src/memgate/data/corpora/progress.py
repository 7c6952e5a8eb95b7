"""How far the making of a corpus is: a bar in a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

EVERY = 10.0
"""Seconds between two lines of a log."""


class ExtractionProgress:
    """Shows how many parts are done, and the items a second, on stderr.

    A terminal gets a bar, unless another bar is drawn there; a log, or the place above that other
    bar, gets a line at first, every `EVERY` seconds and at the end.

    Args:
        parts: How many there will be.
        there: How many of them an earlier run has made.
    """

    def __init__(self, parts: int, there: int) -> None:
        self.parts = parts
        self.there = there
        self.done = there
        self.items = 0
        self.console = Console(stderr=True, highlight=False)
        # While rich draws a bar it puts a FileProxy in the place of stderr.
        self.has_bar = self.console.is_terminal and not isinstance(sys.stderr, FileProxy)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} parts"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
            console=self.console,
            disable=not self.has_bar,
        )

    def __enter__(self) -> Self:
        self._started = self._told = time.perf_counter()
        self._bar.start()
        self._task = self._bar.add_task(
            "parsing", total=self.parts, completed=self.there, rate="starting"
        )
        if not self.has_bar:
            self.console.print(f"parsing: {self.there}/{self.parts} parts done", soft_wrap=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def add(self, items: int) -> None:
        """Tell that one more part is done, and how many items it has."""
        self.done += 1
        self.items += items
        now = time.perf_counter()
        seconds = now - self._started
        rate = f"{self.items:,} items, {self.items / seconds:,.0f} items/s"
        self._bar.update(self._task, completed=self.done, rate=rate)
        if not self.has_bar and (now - self._told >= EVERY or self.done == self.parts):
            self._told = now
            left = seconds / (self.done - self.there) * (self.parts - self.done)
            self.console.print(
                f"parsing: {self.done}/{self.parts} parts, {rate}, about {left:.0f} s left",
                soft_wrap=True,
            )
