"""The one exception for wrong input, and what parsers of the command line report in one line."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable


class InputError(ValueError):
    """Wrong input of a user; the message is one line: what was expected, what was got, and where.

    The command line prints it without a traceback and exits with 2.
    """


def usage_error(error: Exception, parser: argparse.ArgumentParser) -> str:
    """Return the error of a parser in one line, with the nearest option to a mistyped one.

    Args:
        error: As jsonargparse or argparse raises it.
        parser: The parser of the arguments.
    """
    message = " ".join(str(error).split())
    wrong_value = re.match(r'Parser key "([\w.]+)"(?: element \d+)?: (.*)', message)
    if wrong_value:
        option = _option(wrong_value[1], parser)
        return _wrong_setting(option, wrong_value[2]) or f"{option}: {_expected(wrong_value[2])}"
    unknown = re.match(r"Option '([\w.]+)' is not accepted", message)
    if unknown:
        names = [option.removeprefix("--") for option in _options(parser)]
        return f"unknown setting {unknown[1]}{did_you_mean(unknown[1], names)}"
    if message.startswith("the following arguments are required: "):
        names = message.partition(": ")[2].split(", ")
        return f"expected {' and '.join(_option(name, parser) for name in names)}"
    if message.startswith("unrecognized arguments: "):
        word = message.partition(": ")[2].split()[0].partition("=")[0]
        return f"{_kind(word)} {word}{did_you_mean(word, _options(parser))}"
    return message.removeprefix("argument ")


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return a clause that names what is nearest to a mistyped word, or "".

    >>> did_you_mean("--see", ["--seed", "--out"])
    '; did you mean --seed?'
    >>> did_you_mean("--dance", ["--seed", "--out"])
    ''
    """
    nearest = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def _kind(word: str) -> str:
    return "unknown option" if word.startswith("-") else "unexpected argument"


def _wrong_setting(option: str, reason: str) -> str | None:
    """Return what is wrong with a class that an option names, or with a setting of it, if anything.

    >>> _wrong_setting("--model.optimizer", "Expected a dot import path string: Foo")
    "--model.optimizer: expected a class, such as a.module.ClassName, got 'Foo'"
    >>> _wrong_setting("--model.optimizer", "type … expects …: Option 'lrr' is not accepted. Got …")
    '--model.optimizer: unknown setting lrr'
    """
    no_class = re.search(r"Expected a dot import path string: (\S+)", reason)
    is_value = re.search(r"Expected a <class '(?!NoneType)", reason)  # of a setting of the class
    if no_class and not is_value:
        return f"{option}: expected a class, such as a.module.ClassName, got {no_class[1]!r}"
    unknown = re.search(r"Option '([\w.]+)' is not accepted", reason)
    if unknown:
        return f"{option}: unknown setting {unknown[1]}"
    lacking = re.search(r"the following arguments are required: (\w+(?:, \w+)*)", reason)
    if lacking:
        names = lacking[1].split(", ")
        return "expected also " + " and ".join(f"{option}.{name}" for name in names)
    return None


def _expected(reason: str) -> str:
    """Rewrite what jsonargparse reports about a value.

    >>> _expected("Expected a <class 'int'>. Got value: x")
    "expected int, got 'x'"
    >>> _expected("Expected a typing.Literal['gru', 'lstm']. Got value: rnn")
    "expected 'gru' or 'lstm', got 'rnn'"
    """
    # Of several types that were tried the first is the one that the value is nearest to.
    value = re.search(r"(?:Got|Given) value: (.*?)(?=\. Got value: | - Expected |$)", reason)
    choices = ", ".join(re.findall(r"Literal\[(.*?)\]", reason))  # of each type that is accepted
    types = re.findall(r"Expected a <class '(?:\w+\.)*(\w+)'>", reason)
    names = list(dict.fromkeys(choices.split(", ") if choices else types))
    names = [name for name in names if name != "NoneType"]
    if not value or not names:
        return reason[0].lower() + reason[1:]
    *first, last = names
    expected = f"{', '.join(first)} or {last}" if first else last
    return f"expected {expected}, got {value[1]!r}"


def _option(name: str, parser: argparse.ArgumentParser) -> str:
    """Return the option of a parameter, or the name of a positional argument as the help has it."""
    option = f"--{name}"
    options = _options(parser)
    if option in options or "." in name:
        return option
    dashed = option.rstrip("_").replace("_", "-")
    if dashed in options:
        return dashed
    positional = re.findall(r"[A-Z_]+", parser.format_usage())
    return next((word for word in positional if name.upper().startswith(word)), name)


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return re.findall(r"(?<![\w-])--[\w.-]+", parser.format_help())
