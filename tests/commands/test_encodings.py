"""Commands print in any encoding: what it lacks is replaced, letter by letter."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from memgate.cli import COMMANDS, main

GRU = "models:/memgate-gru-synthetic@champion"
LSTM = "models:/memgate-lstm-synthetic@champion"


class Printed(NamedTuple):
    """A command's status, and what it printed to stdout and stderr."""

    status: int | str | None
    text: str


@pytest.fixture(params=["ascii", "iso-8859-1"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Printed]:
    """Runs a command whose output has an encoding that isn't UTF-8."""
    monkeypatch.setenv("PYTHONIOENCODING", request.param)  # so that it is restored

    def run(*command: str) -> Printed:
        content = io.BytesIO()
        stream = io.TextIOWrapper(content, encoding=request.param, write_through=True)
        with monkeypatch.context() as patch:  # pytest sets its own when a fixture ends
            patch.setattr(sys, "stdout", stream)
            patch.setattr(sys, "stderr", stream)
            try:
                status: int | str | None = main(list(command))
            except SystemExit as ended:
                status = ended.code
        return Printed(status, content.getvalue().decode(request.param))

    return run


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
    command: list[str], trained: Path, run: Callable[..., Printed]
) -> None:
    printed = run(*command)
    assert printed.status == 0
    assert len(printed.text.splitlines()) > 1
    assert "Traceback" not in printed.text


def test_a_stand_in_is_one_letter_so_that_columns_stay(
    trained: Path, run: Callable[..., Printed]
) -> None:
    _, printed = run("evaluate", GRU, "--data", "items.jsonl", "--out", "scores")
    (rule,) = (line for line in printed.splitlines() if line.startswith("---"))
    assert set(rule.strip()) == {"-"}
    assert " 1-2 " in printed
    assert " 3-5 " in printed


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_is_printed(name: str, run: Callable[..., Printed]) -> None:
    for command in ([name, "--help"], ["--help"]):
        printed = run(*command)
        assert printed.status in (0, None)
        assert "usage: " in printed.text


def test_wrong_input_is_one_line(run: Callable[..., Printed]) -> None:
    status, printed = run("explain", "nowhere…")
    assert status == 2
    assert printed.splitlines() == [printed.strip()]
    assert printed.startswith("memgate: error: nowhere")


@pytest.mark.processes
def test_a_fit_ends_well_in_the_c_locale(empty: Path, fit_args: list[str]) -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    environment.pop("PYTHONIOENCODING", None)
    command = [sys.executable, "-m", "memgate", *fit_args]
    ended = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr.decode("ascii", "replace")
    assert b"registered" in ended.stdout
    ended.stdout.decode("ascii")
