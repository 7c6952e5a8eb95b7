"""The command line: a dispatcher that imports nothing heavy until a command is chosen."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence
from inspect import Parameter, signature

from memgate.arguments import CONFIGURED, parser
from memgate.errors import InputError

WHICH = ("command", "what", "function")
"""What says which command an invocation is, and isn't an argument of it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; wrong input is told in one line on stderr.

    Returns:
        The exit status: 0; 2 for wrong input; 130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        if given and given[0] in CONFIGURED:
            from memgate.fitting import run

            getattr(run, given[0])(given[1:])
        else:
            _plain(parser().parse_args(given))
    except InputError as error:
        print(f"memgate: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):  # what Lightning makes of Ctrl-C
            return _interrupted()
        raise
    return 0


def _interrupted() -> int:
    print("memgate: interrupted", file=sys.stderr)
    return 130


def _plain(args: argparse.Namespace) -> None:
    """Run a command that isn't a LightningCLI's, with the arguments that its function takes."""
    module, name = args.function.split(":")
    function = getattr(importlib.import_module(f"memgate.{module}"), name)
    taken = signature(function).parameters
    any_name = any(each.kind is Parameter.VAR_KEYWORD for each in taken.values())
    given = {key: value for key, value in vars(args).items() if key not in WHICH}
    function(**{key: value for key, value in given.items() if any_name or key in taken})
