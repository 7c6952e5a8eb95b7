"""The arguments of the commands on runs and registered models; nothing heavy is imported here."""

from __future__ import annotations

from memgate.arguments.options import Commands


def add(commands: Commands) -> None:
    """Add sync and ui."""
    _add_sync(commands)
    _add_ui(commands)


def _add_sync(commands: Commands) -> None:
    what = "deliver what runs had to say while the MLflow server was away, or when they were killed"
    sync = commands.add_parser("sync", help=what, description=what)
    sync.set_defaults(function="sync:sync")


def _add_ui(commands: Commands) -> None:
    ui = commands.add_parser("ui", help="open the MLflow UI on the runs and models")
    ui.set_defaults(function="ui:ui")
    ui.add_argument("--port", type=int, default=5000, help="port on this machine (5000)")
