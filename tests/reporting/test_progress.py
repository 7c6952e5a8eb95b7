"""Progress is drawn as bars in a terminal and printed as lines in a log."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from memgate.reporting.progress import ProgressBars


def shown(terminal: bool) -> str:
    out = StringIO()
    console = Console(file=out, force_terminal=terminal, width=100, height=20)
    with ProgressBars(console) as bars:
        task = bars.add_task("all [runs]", total=4)
        bars.update(task, completed=3, status="epoch [2/3]")
        bars.line("run 3: " + 40 * "long ")
    return out.getvalue()


def test_a_terminal_has_a_bar_with_its_status_and_no_lines() -> None:
    text = shown(terminal=True)
    assert "all [runs]" in text
    assert "75%" in text
    assert "epoch [2/3]" in text
    assert "run 3" not in text


def test_a_log_has_only_lines_and_they_are_not_wrapped() -> None:
    assert shown(terminal=False) == "run 3: " + 40 * "long " + "\n"
