"""Progress of long work: `ProgressBars` draws bars in a terminal and prints lines in a log."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class ProgressBars(Progress):
    """rich's progress, with a status behind each bar; in a log it prints lines instead.

    Use it as rich's: ``add_task(name, total=…, status=…)``, ``update(task, completed=…,
    status=…)``. A log shows no bars; `line` prints there what a reader must know.

    Args:
        console: Where to; its kind decides between bars and lines.
        speed_estimate_period: Seconds over which the speed is measured; several steps must fit.
    """

    def __init__(self, console: Console, speed_estimate_period: float = 30) -> None:
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}", markup=False),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=speed_estimate_period,
        )

    def add_task(
        self,
        description: str,
        start: bool = True,
        total: float | None = None,
        completed: int = 0,
        visible: bool = True,
        **fields: Any,
    ) -> TaskID:
        """Add a bar; without a total it only shows that something is going on."""
        fields.setdefault("status", "")
        return super().add_task(description, start, total, completed, visible, **fields)

    def line(self, text: str) -> None:
        """Print a line in a log; a terminal has its bars."""
        if not self.console.is_terminal:
            self.console.print(text, markup=False, soft_wrap=True)
