"""What every table has: names to the left, figures to the right, texts as they are."""

from __future__ import annotations

import pandas as pd
import pytest

from memgate.reporting.console import console, echo, markdown_table, print_table

CELLS = pd.DataFrame(
    {"model": ["gru[bold]", "a|b"], "all": ["93.1\n92.0–94.2", "–"], "n": [1200, 7]}
)


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


def test_figures_stand_to_the_right_and_nothing_is_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(CELLS, title="Accuracy [x]", sections=[0])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == "Accuracy [x]"
    assert lines[2].split() == ["model", "all", "n"]
    assert lines[4:] == [
        " gru[bold]       93.1  1200",
        "            92.0–94.2",
        "",
        " a|b                –     7",
    ]


def test_markdown_has_further_lines_in_brackets_and_no_stray_bars() -> None:
    assert markdown_table(CELLS).splitlines() == [
        "| model     |              all |    n |",
        "|:----------|-----------------:|-----:|",
        "| gru[bold] | 93.1 (92.0–94.2) | 1200 |",
        "| a\\|b      |                – |    7 |",
    ]


def test_a_table_without_rows_has_its_header() -> None:
    assert markdown_table(CELLS[:0]).splitlines()[0] == "| model   | all   | n   |"


def test_a_log_is_wider_than_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert console().width == 130
    monkeypatch.setenv("COLUMNS", "72")
    assert console().width == 72
    echo("long " * 40 + "[bold]")
    assert capsys.readouterr().out == "long " * 40 + "[bold]\n"


def test_no_word_becomes_an_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    echo("the :cat: is")
    print_table(pd.DataFrame({"model": [":cat:"]}))
    printed = capsys.readouterr().out
    assert printed.startswith("the :cat: is\n")
    assert printed.count(":cat:") == 2
