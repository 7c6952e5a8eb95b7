"""The command line as a whole: light, and wrong input in one line."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import memgate
from memgate.arguments import parser
from memgate.cli import main
from memgate.data.corpora.corpus import Corpus

HEAVY = {"torch", "lightning", "mlflow", "datasets", "pandas", "numpy", "pyarrow", "jsonargparse"}


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['memgate', '--help']\n"
        "from memgate.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*(name for name in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.splitlines()[-1].split())
    assert "memgate.cli" in loaded
    assert not loaded & HEAVY


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    commands = "train fit validate test study report evaluate generate corpus explain gates"
    commands += " intervene oracle compare promote rollback history export sync ui"
    for command in commands.split():
        assert re.search(rf"^    {command}\b", printed, re.MULTILINE), command


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"memgate {memgate.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "told", "command"),
    [
        ([], "arguments are required: command", ""),
        (["dance"], "invalid choice: 'dance'", ""),
        (["history", "m", "--dance"], "unrecognized arguments: --dance", ""),
        (["train", "--cell", "transformer"], "--cell: invalid choice: 'transformer'", " train"),
        (["evaluate", "m"], "arguments are required: --out", " evaluate"),
        (["ui", "--port", "x"], "--port: invalid int value: 'x'", " ui"),
    ],
)
def test_wrong_usage_is_told_in_one_line_with_status_2(
    arguments: list[str], told: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("memgate: error: ")
    assert told in line
    assert line.endswith(f"; see `memgate{command} --help`")
    assert not said.out


def test_the_choices_of_the_command_line_are_those_of_the_package() -> None:
    from experiments.gate_decides import study
    from memgate.arguments import options as arguments
    from memgate.commands import train
    from memgate.data.items.roles import ROLES
    from memgate.evaluation.suites.loading import SUITES
    from memgate.models.classifier import RECURRENCE
    from memgate.models.hand_set import GatedCell

    assert tuple(RECURRENCE) == arguments.CELLS == train.CELLS == study.CELLS
    assert get_args(GatedCell) == arguments.GATED
    assert ROLES == arguments.ROLES
    assert tuple(SUITES) == arguments.SUITES
    assert set(study.DATA) < set(arguments.DATA)
    configs = Path(__file__).parents[1] / "configs/data"
    assert all((configs / f"{name}.yaml").is_file() for name in arguments.DATA)


def commands() -> list[tuple[str, argparse.ArgumentParser]]:
    """Every command and command of a command, with its parser."""
    found = []
    waiting = [("memgate", parser())]
    while waiting:
        name, one = waiting.pop()
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += [(f"{name} {key}", inner) for key, inner in action.choices.items()]
        if one.get_default("function"):
            found.append((name, one))
    return found


@pytest.mark.parametrize(("name", "one"), commands())
def test_the_function_of_each_command_takes_its_arguments(
    name: str, one: argparse.ArgumentParser
) -> None:
    module, function = one.get_default("function").split(":")
    run = getattr(importlib.import_module(f"memgate.commands.{module}"), function)
    given = {action.dest for action in one._actions if action.dest not in ("help", "what")}
    taken = set(inspect.signature(run).parameters)
    for parameter in inspect.signature(run).parameters.values():
        if parameter.default is not inspect.Parameter.empty:
            assert one.get_default(parameter.name) == parameter.default
    if name == "memgate corpus":  # the rest are those of the class
        taken = {"out", *inspect.signature(Corpus).parameters} - {"folder", "shard_size"}
    assert taken == given
