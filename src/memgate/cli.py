"""The command line: a dispatcher that imports nothing heavy until a command is chosen.

`COMMANDS` names the function of each command. Its signature is the command's arguments.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import errno
import importlib
import inspect
import io
import logging
import os
import select
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NamedTuple,
    TextIO,
    get_args,
    get_origin,
    get_type_hints,
)

from memgate import __version__
from memgate.errors import InputError, did_you_mean, usage_error

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser


class Command(NamedTuple):
    """A command.

    Attributes:
        function: Its module and its name, with a colon between.
        help: What it does, in one line.
    """

    function: str
    help: str


COMMANDS = {
    "train": Command("memgate.commands.train:train", "train every cell on synthetic and real text"),
    "fit": Command("memgate.commands.fit:fit", "train one model from configuration files"),
    "validate": Command("memgate.commands.fit:validate", "score a checkpoint on validation items"),
    "test": Command("memgate.commands.fit:test", "score a checkpoint on test items"),
    "study": Command("memgate.commands.study:study", "train many models in parallel from one plan"),
    "report": Command("memgate.commands.report:report", "compare the models of a study"),
    "oracle": Command("memgate.commands.oracle:oracle", "set the weights of a network by hand"),
    "evaluate": Command("memgate.commands.evaluate:evaluate", "score models on files and suites"),
    "explain": Command("memgate.commands.explain:explain", "show the gates at each word"),
    "play": Command("memgate.commands.explain:play", "open the live page of trained networks"),
    "gates": Command("memgate.commands.gates:gates", "summarise the gates of a model over items"),
    "compare-gates": Command(
        "memgate.commands.compare_gates:compare_gates", "compare the gate profiles of two models"
    ),
    "intervene": Command("memgate.commands.intervene:intervene", "clamp gates and cut paths"),
    "compare": Command("memgate.commands.compare:compare", "compare two models on the same items"),
    "promote": Command("memgate.commands.promote:promote", "make a version champion, if no worse"),
    "rollback": Command("memgate.commands.rollback:rollback", "restore the previous champion"),
    "history": Command("memgate.commands.history:history", "list the champions of a model"),
    "export": Command("memgate.commands.export:export", "write a model as a folder for others"),
    "generate": Command("memgate.commands.generate:generate", "write items of the grammar"),
    "corpus": Command("memgate.commands.corpus:corpus", "make agreement items of raw text"),
    "corpus-check": Command(
        "memgate.commands.corpus_check:corpus_check", "score parsed items against gold trees"
    ),
    "sync": Command("memgate.commands.sync:sync", "deliver what waits for the MLflow server"),
    "ui": Command("memgate.commands.ui:ui", "open the MLflow UI on runs and models"),
}

CONFIGURED = ("fit", "validate", "test")
"""Commands whose functions take the arguments as they are, for a LightningCLI to parse."""

STAND_INS = {
    letter: plain
    for letters, plain in (
        ("–—−─━", "-"),
        ("│", "|"),
        ("…░", "."),
        ("▒", ":"),
        ("▓", "+"),
        ("█", "#"),
        ("×", "x"),
        ("·", "*"),
        ("Δ", "D"),
        ("→", ">"),
        ("’‘", "'"),
        ("“”", '"'),
    )
    for letter in letters
}
"""What is printed, letter by letter, where the encoding of the output lacks a character."""

CACHES = {
    "HF_HOME": ("XDG_CACHE_HOME", "~/.cache", "huggingface"),
    "MPLCONFIGDIR": ("XDG_CONFIG_HOME", "~/.config", "matplotlib"),
}
"""Variables of the folders in which libraries keep caches, and where they are by default: a folder
in the folder that another variable names, or else in one of the user's home.
"""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""Errors of a disk that can't take more, wherever a command writes."""

BROKEN_PIPE = 141
"""The exit status that a shell reports for a program ended by SIGPIPE."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and print wrong input in one line on stderr.

    Returns:
        The exit status: 0; 2 for wrong input; 130 after Ctrl-C; 141 if the output was closed.
    """
    _print_in_any_encoding()
    _end_with_terminal()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except InputError as error:
        print(f"memgate: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        if not _is_closed(sys.stdout):
            raise
        # Python flushes stdout once more at exit, which must not fail again.
        _print_nowhere(sys.stdout)
        return BROKEN_PIPE
    except OSError as error:
        if error.errno not in FULL:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"memgate: error: {where}{error.strerror}", file=sys.stderr)
        return 2
    except SystemExit as ended:
        return _status_of(ended)
    return 0


def _status_of(ended: SystemExit) -> int:
    """Return the exit status for a `SystemExit` that a library made of another exception.

    Raises:
        SystemExit: It was meant as such.
    """
    if isinstance(ended.__context__, KeyboardInterrupt):  # Lightning's
        return _interrupted()
    if isinstance(ended.__context__, BrokenPipeError):  # rich's
        return BROKEN_PIPE
    raise ended


def _print_in_any_encoding() -> None:
    """Print a stand-in for what the output's encoding lacks; also in processes started later."""
    codecs.register_error("memgate", _stand_ins)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="memgate")
            if not stream.encoding.lower().startswith("utf"):
                os.environ["PYTHONIOENCODING"] = f"{stream.encoding}:replace"


def _end_with_terminal() -> None:
    """Take SIGHUP, of a terminal that closes, for SIGTERM, after which a run ends as KILLED.

    `nohup` ignores SIGHUP, and so does a command that it starts.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _hang_up)


def _use_writable_caches() -> None:
    """Put the caches of libraries into a temporary folder where the user's home can't be written.

    A container may run as a user without a home. `datasets` would stop there, and matplotlib would
    make a new cache in every process.
    """
    lacking = []
    for variable, (parent, default, name) in CACHES.items():
        folder = Path(os.environ.get(parent) or default, name).expanduser()
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if variable not in os.environ and not os.access(existing, os.W_OK | os.X_OK):
            lacking.append(variable)
    if lacking:
        cache = Path(tempfile.gettempdir(), f"memgate-{os.getuid()}")
        with contextlib.suppress(FileExistsError):
            cache.mkdir(mode=0o700)
        if cache.is_symlink() or cache.stat().st_uid != os.getuid():  # another user's
            cache = Path(tempfile.mkdtemp(prefix="memgate-"))
        os.environ |= {variable: str(cache / CACHES[variable][2]) for variable in lacking}
        print(
            f"memgate: the home folder {Path.home()} can't be written to; caches are in {cache} "
            f"(set {' and '.join(lacking)} for others)",
            file=sys.stderr,
        )


def _hang_up(*_: object) -> None:
    """End as after SIGTERM; what is still printed goes nowhere if the terminal is closed.

    Else the next line of a progress bar would raise an OSError, and the run end as FAILED.
    """
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None and _is_closed(stream):
            _print_nowhere(stream)
    signal.raise_signal(signal.SIGTERM)


def _stand_ins(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(STAND_INS.get(letter, "?") for letter in lacking), error.end


def _is_closed(stream: TextIO) -> bool:
    """Return whether the reader of an output has ended, as `head` does, or a closed terminal."""
    output = select.poll()
    output.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in output.poll(0))


def _print_nowhere(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _interrupted() -> int:
    print("memgate: interrupted", file=sys.stderr)
    return 130


def _run(arguments: list[str]) -> None:
    name, *rest = arguments or [""]
    if name in ("-h", "--help"):
        print(_help())
    elif name == "--version":
        print(f"memgate {__version__}")
    elif name not in COMMANDS:
        problem = f"unknown command {name!r}" if name else "expected a command"
        raise InputError(f"{problem}{did_you_mean(name, COMMANDS)}; see `memgate --help`")
    else:
        _use_writable_caches()
        module, _, function_name = COMMANDS[name].function.partition(":")
        function = getattr(importlib.import_module(module), function_name)
        if name in CONFIGURED:
            function(rest)
        else:
            values = parse(name, function, rest)
            bound = inspect.signature(function).bind_partial()
            bound.arguments |= values
            function(*bound.args, **bound.kwargs)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: memgate COMMAND [ARGUMENT ...]",
            "",
            "What a recurrent network remembers, and how it decides to.",
            "",
            *lines,
            "",
            "`memgate COMMAND --help` lists the arguments of a command.",
        ]
    )


def parse(command: str, function: Callable[..., object], arguments: list[str]) -> dict[str, Any]:
    """Return the arguments of a command's function by name.

    Raises:
        InputError: An argument is missing, unknown or of the wrong type.
    """
    from jsonargparse import ArgumentError

    parser = parser_of(command, function)
    try:
        parsed: dict[str, Any] = parser.parse_args(arguments).as_dict()
    except ArgumentError as error:
        problem = usage_error(error, parser)
        raise InputError(f"{problem}; see `memgate {command} --help`") from error
    return parsed


def parser_of(command: str, function: Callable[..., object]) -> ArgumentParser:
    """Return a parser whose arguments are the parameters of a function.

    A parameter without a default is a positional argument, unless it is keyword-only: then it is a
    required option. Others are options, unless they are positional-only: then they are positional
    arguments that may be left out. A sequence takes several values, as an option also if it is
    repeated. The help is the function's docstring.

    Args:
        command: Name of the command.
        function: Its parameters are of simple types, `Literal` or sequences of them.
    """
    import docstring_parser
    import jsonargparse

    doc = docstring_parser.parse((inspect.getdoc(function) or "").replace("``", "`"))
    parser = jsonargparse.ArgumentParser(
        prog=f"memgate {command}",
        description=f"{doc.short_description} {doc.long_description or ''}",
        formatter_class=argparse.HelpFormatter,  # jsonargparse's own names Python types
        allow_abbrev=False,
        exit_on_error=False,
    )
    helps = {param.arg_name: param.description or "" for param in doc.params}
    hints = get_type_hints(function)
    usage = []
    for name, parameter in inspect.signature(function).parameters.items():
        positional = (
            parameter.default is parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY
        ) or parameter.kind is parameter.POSITIONAL_ONLY
        usage += _add(parser, parameter, hints[name], helps.get(name, ""), positional)
    parser.usage = " ".join([f"memgate {command}", *usage, "[OPTION ...]"])
    return parser


def _add(
    parser: ArgumentParser,
    parameter: inspect.Parameter,
    hint: Any,
    help_: str,
    positional: bool,
) -> list[str]:
    """Add a parameter to a parser; return its part of the usage if it is required."""
    required = parameter.default is parameter.empty
    kind, several = _type(hint)
    metavar = parameter.name.strip("_").upper()
    settings: dict[str, Any] = {"type": kind}
    if several:
        metavar = metavar.removesuffix("S")
        settings |= {"nargs": "+" if required or not positional else "*", "action": "extend"}
    if get_origin(kind) is Literal:
        metavar = "{" + ",".join(get_args(kind)) + "}"
        if several:
            settings |= {"type": str, "choices": get_args(kind)}
    if not required:
        # The function has the default. It isn't the parser's, as a list would be extended.
        settings["default"] = argparse.SUPPRESS
        if parameter.default not in (None, "", ()) and parameter.default is not False:
            help_ += f" (default: {_shown(parameter.default)})"
    settings |= {"metavar": metavar, "help": help_.replace("%", "%%")}
    if positional:
        parser.add_argument(parameter.name, **settings)
        shown = f"{metavar} [{metavar} ...]" if several else metavar
        return [shown if required else f"[{metavar} ...]"]
    option = f"--{parameter.name.rstrip('_').replace('_', '-')}"
    if kind is bool:
        del settings["type"], settings["metavar"]
        settings["action"] = "store_true"
    parser.add_argument(option, dest=parameter.name, required=required, **settings)
    return [f"{option} {metavar}"] if required else []


def _type(hint: Any) -> tuple[Any, bool]:
    """Return the type of one value, and whether there may be several.

    >>> _type(list[int]), _type(str | None)
    ((<class 'int'>, True), (<class 'str'>, False))
    """
    values = [value for value in get_args(hint) if value is not type(None)]
    if get_origin(hint) is Literal or not values:
        return hint, False
    several = isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Sequence)
    return values[0], several


def _shown(default: object) -> str:
    """Write a default as it would be typed."""
    values = default if isinstance(default, (list, tuple)) else [default]
    return " ".join(f'"{value}"' if " " in str(value) else str(value) for value in values)
