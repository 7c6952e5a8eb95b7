"""Choices and options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

SUITES = ("blimp", "marvin_linzen", "colorless_green", "lakretz", "linzen")
CELLS = ("rnn", "gru", "lstm")
GATED = ("gru", "lstm")
DATA = ("synthetic", "wikipedia", "corpus")
ROLES = ("before", "subject", "attractor", "noun", "other", "verb")

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
else:
    Commands = argparse._SubParsersAction  # generic in the stubs only


def add_data(command: argparse.ArgumentParser, required: bool = False) -> None:
    """Add the files of items."""
    what = "agreement JSONL, files or globs"
    command.add_argument(
        "--data", nargs="+", required=required, default=[], metavar="FILE", help=what
    )


def add_out(command: argparse.ArgumentParser, required: bool = False) -> None:
    """Add the folder of results."""
    what = "results go here"
    command.add_argument("--out", type=Path, required=required, metavar="DIR", help=what)


def add_configs(command: argparse.ArgumentParser) -> None:
    """Add the folder of configurations."""
    what = "folder of the configurations"
    command.add_argument("--configs", type=Path, default=Path("configs"), help=what)
