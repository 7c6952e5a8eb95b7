"""The arguments of every command; nothing heavy is imported here."""

from __future__ import annotations

import argparse
from typing import NoReturn

from memgate import __version__
from memgate.arguments import making, reading, store, training
from memgate.errors import InputError

CONFIGURED = {
    "fit": "train from a configuration, test, track and register",
    "validate": "score a checkpoint on the validation split",
    "test": "score a checkpoint on the test split",
}
"""Commands whose arguments are those of a LightningCLI: `memgate fit --help`."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as those of the commands are."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments.

        Raises:
            InputError: Always.
        """
        raise InputError(f"{message}; see `{self.prog} --help`")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line.

    What is parsed has as its ``function`` the module in `memgate.commands` and the function that
    runs it, whose parameters are named as the arguments.
    """
    whole = Parser(
        prog="memgate", description="What a recurrent network remembers, and how it decides to."
    )
    whole.add_argument("--version", action="version", version=f"memgate {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="command")
    for name, what in CONFIGURED.items():
        commands.add_parser(name, help=what, add_help=False)
    for commands_of in (training, reading, store, making):
        commands_of.add(commands)
    return whole
