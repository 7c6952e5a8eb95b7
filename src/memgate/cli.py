"""The command line: a dispatcher that imports nothing heavy until a command is chosen."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from memgate import __version__
from memgate.errors import InputError

CONFIGURED = {
    "fit": "train from a configuration, test, track and register",
    "validate": "score a checkpoint on the validation split",
    "test": "score a checkpoint on the test split",
}
"""Commands whose arguments are those of a LightningCLI: `memgate fit --help`."""

CELLS = ("rnn", "gru", "lstm")
DATA = ("synthetic", "corpus")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; wrong input is told in one line on stderr.

    Returns:
        The exit status: 0; 2 for wrong input; 130 after Ctrl-C.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        if given and given[0] in CONFIGURED:
            from memgate.commands import fit

            getattr(fit, given[0])(given[1:])
        else:
            _plain(_parser().parse_args(given))
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
    """Run a command that isn't a LightningCLI's."""
    if args.command == "train":
        from memgate.commands.train import train

        train(args.cell, args.data, args.seed, args.configs, args.out)
    elif args.command == "evaluate":
        from memgate.commands.evaluate import evaluate

        evaluate(args.models, args.data, args.out, args.on_error, args.batch_size)
    elif args.command == "ui":
        from memgate.commands.ui import ui

        ui(args.port)
    else:
        from memgate.commands.generate import generate

        generate(args.out, args.items, args.seed, args.max_intervening, args.max_attractors)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="memgate", description="What a recurrent network remembers, and how it decides to."
    )
    parser.add_argument("--version", action="version", version=f"memgate {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    _add_train(commands)
    for name, what in CONFIGURED.items():
        commands.add_parser(name, help=what, add_help=False)
    _add_evaluate(commands)
    _add_generate(commands)
    ui = commands.add_parser("ui", help="open the MLflow UI on the runs and models")
    ui.add_argument("--port", type=int, default=5000, help="port on this machine (5000)")
    return parser


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "the main job: every cell on synthetic and on real text, tracked, registered, scored"
    train = commands.add_parser("train", help=what, description=what)
    train.add_argument("--cell", choices=CELLS, help="this cell only")
    train.add_argument("--data", choices=DATA, help="this data only")
    train.add_argument("--seed", type=int, default=0, help="seed of weights and order (0)")
    train.add_argument(
        "--configs", type=Path, default=Path("configs"), help="folder of the configurations"
    )
    train.add_argument(
        "--out",
        type=Path,
        default=Path("out/train"),
        help="folder of the closing table (out/train)",
    )


def _add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "score models on agreement JSONL"
    evaluate = commands.add_parser("evaluate", help=what, description=what)
    evaluate.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="models:/NAME@ALIAS, runs:/…/model or a folder; all champions if none is named",
    )
    evaluate.add_argument("--data", nargs="+", required=True, metavar="FILE", help="files or globs")
    evaluate.add_argument("--out", type=Path, required=True, metavar="DIR", help="results go here")
    evaluate.add_argument(
        "--on-error", choices=("stop", "skip"), default="stop", help="what a bad row does (stop)"
    )
    evaluate.add_argument(
        "--batch-size", type=int, default=1024, help="prefixes computed at once (1024)"
    )


def _add_generate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "write items of the synthetic grammar as agreement JSONL"
    generate = commands.add_parser("generate", help=what, description=what)
    generate.add_argument("--out", type=Path, required=True, metavar="FILE", help="….jsonl")
    generate.add_argument("--items", type=int, default=1000, help="how many (1000)")
    generate.add_argument("--seed", type=int, default=0, help="seed of the items (0)")
    generate.add_argument(
        "--max-intervening", type=int, default=30, help="words between subject and verb (30)"
    )
    generate.add_argument("--max-attractors", type=int, default=4, help="attractors (4)")
