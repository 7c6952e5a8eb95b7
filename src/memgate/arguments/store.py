"""The arguments of the commands on runs and registered models; nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path

from memgate.arguments.options import Commands


def add(commands: Commands) -> None:
    """Add compare, promote, rollback, history, export, sync and ui."""
    _add_compare(commands)
    _add_promote(commands)
    _add_history(commands)
    _add_export(commands)
    _add_sync(commands)
    _add_ui(commands)


def _add_sync(commands: Commands) -> None:
    what = "deliver what runs had to say while the MLflow server was away, or when they were killed"
    sync = commands.add_parser("sync", help=what, description=what)
    sync.set_defaults(function="commands.sync:sync")


def _add_ui(commands: Commands) -> None:
    ui = commands.add_parser("ui", help="open the MLflow UI on the runs and models")
    ui.set_defaults(function="commands.ui:ui")
    ui.add_argument("--port", type=int, default=5000, help="port on this machine (5000)")


def _add_compare(commands: Commands) -> None:
    what = "two models on the same items, overall and by stratum: paired tables, exact tests"
    compare = commands.add_parser("compare", help=what, description=what)
    compare.set_defaults(function="commands.compare:compare")
    compare.add_argument("a", metavar="MODEL", help="models:/NAME@ALIAS, … or a folder")
    compare.add_argument("b", metavar="MODEL", help="the second model")
    compare.add_argument(
        "--data", nargs="+", default=(), metavar="FILE", help="agreement JSONL (their test items)"
    )
    compare.add_argument("--out", type=Path, metavar="DIR", help="paired.csv goes here")


def _add_promote(commands: Commands) -> None:
    what = "make a version champion, unless it is worse or its gates drifted"
    how = (
        "Worse: overall by McNemar's exact test; with so many attractors, or so many and more, "
        "where the loss is beyond the margin and significant too, so that chance refuses nobody."
    )
    promote = commands.add_parser(
        "promote", help=what, description=f"{what}; else exit status 1. {how}"
    )
    promote.set_defaults(function="commands.promote:promote")
    promote.add_argument("name", metavar="NAME", help="the registered model")
    promote.add_argument("version", metavar="VERSION", help="the challenger")
    promote.add_argument(
        "--margin", type=float, default=0.01, help="loss allowed by attractors, a share (0.01)"
    )
    promote.add_argument(
        "--data", nargs="+", default=(), metavar="FILE", help="agreement JSONL (their test items)"
    )
    promote.add_argument("--force", action="store_true", help="whatever speaks against it")
    promote.add_argument("--why", default="", metavar="TEXT", help="kept with the change")


def _add_history(commands: Commands) -> None:
    what = "which version was champion when, and why"
    history = commands.add_parser("history", help=what, description=what)
    history.set_defaults(function="commands.history:run_history")
    history.add_argument("name", metavar="NAME", help="the registered model")
    what = "put the champion before the present one back"
    rollback = commands.add_parser("rollback", help=what, description=what)
    rollback.set_defaults(function="commands.rollback:rollback")
    rollback.add_argument("name", metavar="NAME", help="the registered model")
    rollback.add_argument("--why", default="", metavar="TEXT", help="kept with the change")


def _add_export(commands: Commands) -> None:
    what = "write a model as a folder for others: weights, vocabulary, model card; ONNX; the Hub"
    export = commands.add_parser("export", help=what, description=what)
    export.set_defaults(function="commands.export:export")
    export.add_argument("model", metavar="MODEL", help="models:/NAME@ALIAS, … or a folder")
    export.add_argument(
        "out", type=Path, metavar="DIR", help="missing, empty or an earlier export's folder"
    )
    export.add_argument("--onnx", action="store_true", help="write model.onnx too")
    export.add_argument(
        "--push", metavar="OWNER/NAME", help="push it to the Hugging Face Hub, public if it is new"
    )
    export.add_argument(
        "--license",
        metavar="ID",
        help="of the weights, as the Hub names it (apache-2.0 for the grammar's, else unknown)",
    )
