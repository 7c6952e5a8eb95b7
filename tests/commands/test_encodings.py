"""Commands print in any encoding: what it lacks is replaced, letter by letter."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from memgate.cli import COMMANDS, main

GRU = "models:/memgate-gru-synthetic@champion"
LSTM = "models:/memgate-lstm-synthetic@champion"


@pytest.fixture(params=["ascii", "iso-8859-1"])
def output(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> io.TextIOWrapper:
    """What is printed to stdout and stderr, in an encoding that isn't UTF-8."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=request.param, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("PYTHONIOENCODING", request.param)  # so that it is restored
    return stream


def text(output: io.TextIOWrapper) -> str:
    printed = output.buffer.getvalue()  # type: ignore[attr-defined]
    return str(printed.decode(output.encoding))


@pytest.mark.parametrize(
    "command",
    [
        ["explain", GRU, LSTM, "--sentence", "the keys to the café"],
        ["explain", GRU, "--detail"],
        ["evaluate", GRU, "--data", "items.jsonl", "--out", "scores"],
        ["gates", GRU, "--data", "items.jsonl", "--out", "gates"],
        ["intervene", GRU, "--data", "items.jsonl", "--out", "edits", "--items", "20"],
        ["compare", GRU, LSTM, "--data", "items.jsonl"],
        ["history", "memgate-gru-synthetic"],
    ],
    ids=lambda command: " ".join(command[:1] + command[2:3]),
)
def test_a_table_is_printed_whole(
    command: list[str], trained: Path, output: io.TextIOWrapper
) -> None:
    assert main(command) == 0
    printed = text(output)
    assert len(printed.splitlines()) > 1
    assert "gru" in printed


def test_a_stand_in_is_one_letter_so_that_columns_stay(
    trained: Path, output: io.TextIOWrapper
) -> None:
    assert main(["evaluate", GRU, "--data", "items.jsonl", "--out", "scores"]) == 0
    printed = text(output)
    (rule,) = (line for line in printed.splitlines() if line.startswith("---"))
    assert set(rule) == {"-"}
    assert " 1-2 " in printed
    assert " 3-5 " in printed


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_is_printed(name: str, output: io.TextIOWrapper) -> None:
    for command in ([name, "--help"], ["--help"]):
        try:
            assert main(command) == 0
        except SystemExit as ended:
            assert ended.code in (0, None)
    assert "usage: memgate" in text(output)


def test_wrong_input_is_one_line(output: io.TextIOWrapper) -> None:
    assert main(["explain", "nowhere…"]) == 2
    assert text(output).splitlines()[-1].startswith("memgate: error: nowhere")


@pytest.mark.processes
def test_a_fit_ends_well_in_the_c_locale(empty: Path, fit_args: list[str]) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    environment.pop("PYTHONIOENCODING", None)
    command = [sys.executable, "-m", "memgate", *fit_args]
    ended = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr.decode("ascii", "replace")
    assert b"registered" in ended.stdout
    ended.stdout.decode("ascii")
