"""The command line as a whole: light, and wrong input in one line."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import pytest

import memgate
from memgate.cli import COMMANDS, CONFIGURED, main, parse, parser_of
from memgate.errors import InputError, usage_error

HEAVY = {"torch", "lightning", "mlflow", "datasets", "pandas", "numpy", "pyarrow", "jsonargparse"}


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['memgate', '--help']\n"
        "from memgate.cli import main\n"
        "assert main() == 0\n"
        "print(*(name for name in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.splitlines()[-1].split())
    assert "memgate.cli" in loaded
    assert not loaded & HEAVY


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    commands = "train fit validate test study report evaluate generate corpus corpus-check explain"
    commands += " gates compare-gates intervene oracle compare promote rollback history export sync"
    for command in [*commands.split(), "ui"]:
        assert re.search(rf"^  {command}  +\w", printed, re.MULTILINE), command
    assert max(map(len, printed.splitlines())) <= 80


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"memgate {memgate.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "problem", "command"),
    [
        ([], "expected a command", ""),
        (["dance"], "unknown command 'dance'", ""),
        (["trian"], "unknown command 'trian'; did you mean train?", ""),
        (["history", "m", "--dance"], "unknown option --dance", " history"),
        (["history", "m", "n"], "unexpected argument n", " history"),
        (["history"], "expected NAME", " history"),
        (["train", "--cell", "transformer"], "--cell: expected 'rnn', 'gru' or 'lstm'", " train"),
        (["train", "--sead", "3"], "unknown option --sead; did you mean --seed?", " train"),
        (["train", "--see=3"], "unknown option --see; did you mean --seed?", " train"),
        (["evaluate", "m"], "expected --out", " evaluate"),
        (["ui", "--port", "x"], "--port: expected int, got 'x'", " ui"),
        (["ui", "--port"], "--port: expected one argument", " ui"),
        (["corpus", "--model", "M", "check", "--out", "o"], "unexpected argument check", " corpus"),
        (["corpus-check", "--columns", "x"], "unknown option --columns", " corpus-check"),
    ],
)
def test_wrong_usage_is_one_line_with_status_2(
    arguments: list[str], problem: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith(f"memgate: error: {problem}")
    assert line.endswith(f"; see `memgate{command} --help`")
    assert not printed.out


def functions() -> list[tuple[str, Callable[..., object]]]:
    return [
        (name, getattr(importlib.import_module(module), function))
        for name, command in COMMANDS.items()
        for module, function in [command.function.split(":")]
    ]


@pytest.mark.parametrize(("name", "function"), functions())
def test_the_help_of_every_command_explains_every_argument(
    name: str, function: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    if name in CONFIGURED:
        return
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: memgate {name}")
    assert "``" not in printed
    text = " ".join(printed.split())
    first_line = (inspect.getdoc(function) or "").split("\n")[0].replace("``", "`")
    assert first_line in text
    for action in parser_of(name, function)._actions:
        assert action.help
        assert not action.help.startswith(" ("), f"{name} {action.dest}: no docstring"


def example(
    models: Sequence[str],
    /,
    *,
    data: Sequence[str] = (),
    roles: Sequence[Literal["noun", "verb"]] = ("noun",),
    max_words: int | None = None,
    margin: float = 0.01,
    out: Path,
    json_: bool = False,
    why: str = "no reason",
) -> None:
    """Do something with models.

    Args:
        models: Models.
        data: 100% files.
        roles: Words.
        max_words: Words.
        margin: Proportion.
        out: Folder.
        json_: JSON.
        why: Reason.
    """


def test_a_signature_is_a_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = "a b --data x y --data z --max-words 3 --json --out - --margin=1e-3 --why null"
    assert parse("example", example, line.split()) == {
        "models": ["a", "b"],
        "data": ["x", "y", "z"],
        "max_words": 3,
        "json_": True,
        "out": Path("-"),
        "margin": 0.001,
        "why": "null",
    }
    assert parse("example", example, ["a", "--out", "o"]) == {"models": ["a"], "out": Path("o")}
    with pytest.raises(SystemExit):
        parse("example", example, ["--help"])
    printed = capsys.readouterr().out
    assert printed.startswith("usage: memgate example MODEL [MODEL ...] --out OUT [OPTION ...]\n")
    assert "100% files." in printed
    assert "(default: 0.01)" in printed
    assert "(default: noun)" in printed
    assert '(default: "no reason")' in printed


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("--out o", "expected MODEL"),
        ("m", "expected --out"),
        ("m --out o --max-words 3.5", "--max-words: expected int, got '3.5'"),
        ("m --out o --max-words none", "--max-words: expected int, got 'none'"),
        ("m --out o --margin x", "--margin: expected float, got 'x'"),
        ("m --out o --roles noun subject", "--roles: invalid choice: 'subject'"),
        ("m --out o --max 3", "unknown option --max"),
        ("m --out o --max_words 3", "unknown option --max_words; did you mean --max-words?"),
        ("m --out o --data", "--data: expected at least one argument"),
        ("m --out o --json=yes", "--json: ignored explicit argument 'yes'"),
    ],
)
def test_what_a_signature_lacks_is_refused(line: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        parse("example", example, line.split())
    assert str(caught.value).startswith(problem)
    assert str(caught.value).endswith("; see `memgate example --help`")


def test_a_value_of_two_types_is_refused_in_one_line() -> None:
    """As jsonargparse words it for a LightningCLI."""
    message = (
        'Parser key "trainer.max_epochs":\n  Does not validate against any of the Union subtypes\n'
        "  Subtypes: [<class 'int'>, <class 'NoneType'>]\n  Errors:\n"
        "    - Expected a <class 'int'>\n    - Expected a <class 'NoneType'>\n"
        "  Given value type: <class 'str'>\n  Given value: x"
    )
    problem = usage_error(ValueError(message), parser_of("example", example))
    assert problem == "--trainer.max_epochs: expected int, got 'x'"


def test_a_closed_pipe_is_silent(tmp_path: Path) -> None:
    script = (
        "import sys, time; from memgate import cli\n"
        "def slow(arguments):\n"
        "    for _ in range(100):\n"
        "        print('x' * 9999, flush=True)\n"
        "cli._run = slow\n"
        "open('status', 'w').write(str(cli.main([])))"
    )
    (tmp_path / "script.py").write_text(script)
    run = subprocess.run(
        ["bash", "-c", f"{sys.executable} script.py | head -c 1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(memgate.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (run.stdout, run.stderr) == ("x", "")
    assert (tmp_path / "status").read_text() == "141"


def without_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a home folder that nobody can make, not even root, for it lies in a device."""
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "HF_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/dev/null/home")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_caches_are_temporary_where_there_is_no_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_home(tmp_path, monkeypatch)
    assert main(["generate", "--out", str(tmp_path / "items.jsonl"), "--items", "5"]) == 0
    cache = tmp_path / f"memgate-{os.getuid()}"
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"memgate: the home folder /dev/null/home can't be written to; caches are in {cache} "
        "(set HF_HOME and MPLCONFIGDIR for others)"
    )
    assert os.environ["HF_HOME"] == str(cache / "huggingface")
    assert os.environ["MPLCONFIGDIR"] == str(cache / "matplotlib")
    assert cache.stat().st_mode & 0o777 == 0o700


def test_a_cache_that_is_named_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_home(tmp_path, monkeypatch)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    assert main(["generate", "--out", str(tmp_path / "items.jsonl"), "--items", "5"]) == 0
    assert capsys.readouterr().err == ""
    assert os.environ["HF_HOME"] == str(tmp_path / "mine")
    assert "MPLCONFIGDIR" not in os.environ


def test_the_cache_of_another_user_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_home(tmp_path, monkeypatch)
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"memgate-{os.getuid()}").symlink_to(tmp_path / "theirs")
    assert main(["generate", "--out", str(tmp_path / "items.jsonl"), "--items", "5"]) == 0
    assert Path(os.environ["HF_HOME"]).parent.parent == tmp_path
    assert "theirs" not in str(Path(os.environ["HF_HOME"]).resolve())
