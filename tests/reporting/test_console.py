"""What every table has: names to the left, figures to the right, texts as they are."""

from __future__ import annotations

import re

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


def test_a_log_is_as_wide_as_a_narrow_terminal_unless_columns_are_set(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert console().width == 80
    monkeypatch.setenv("COLUMNS", "72")
    assert console().width == 72
    echo("long " * 40 + "[bold]")
    assert capsys.readouterr().out == "long " * 40 + "[bold]\n"


@pytest.mark.parametrize("columns", ["0", "-3", "wide", ""])
def test_columns_that_are_no_width_hide_nothing(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    echo("a line")
    print_table(CELLS)
    out = capsys.readouterr().out
    assert out.startswith("a line\n")
    assert "gru[bold]" in out


NAMES = ["memgate-gru-synthetic@champion", "write of another item (layer 2), random"]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_wide_table_is_folded_and_goes_on_below_with_its_names(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    figures = {f"{at}–{at + 1}": [f"{at}0.5\n{at}0.1–{at}0.9", f"{at}1.5"] for at in range(1, 10)}
    print_table(pd.DataFrame({"change": NAMES, "n": ["100", "200"], **figures}), repeated=[1])
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in out
    tables = out.split("\n\n")
    assert len(tables) >= 2
    for table in tables:
        assert {"memgate-", "another", "random", "100"} <= set(re.split(r"\s|(?<=e-)", table))
    seen = [word for word in out.split() if word.endswith("0.5")]
    assert seen == [f"{at}0.5" for at in range(1, 10)]


def test_a_name_is_never_broken_within_a_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table(pd.DataFrame({"change": NAMES, "all": ["100.0", "98.0"], "0": ["1", "2"]}))
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()[2:]] == [
        " memgate-gru-synthetic@        100.0  1",
        " champion",
        " write of another item (layer   98.0  2",
        " 2), random",
    ]


def test_no_word_becomes_an_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    echo("the :cat: is")
    print_table(pd.DataFrame({"model": [":cat:"]}))
    printed = capsys.readouterr().out
    assert printed.startswith("the :cat: is\n")
    assert printed.count(":cat:") == 2
