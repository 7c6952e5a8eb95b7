"""`memgate history`: which version was champion when, and why."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from memgate.reporting.console import DASH, echo, print_table
from memgate.tracking.registry.champion import Change, champion_of, changes_of

HEADER = ("from (UTC)", "champion", "in place of", "how", "why")


def history(name: str) -> None:
    """Show which version was champion when, and why; the oldest first.

    Args:
        name: The registered model.

    Raises:
        InputError: There is no such registered model, or no store.
    """
    changes, champion = changes_of(name), champion_of(name)
    if changes:
        rows = pd.DataFrame(map(_row, changes), columns=list(HEADER))
        print_table(rows, names=len(HEADER))
    else:
        echo(f"{name}: no change of champion is recorded")
    if champion is None:
        echo(f"now there is none; `memgate promote {name} VERSION` makes one")
    elif champion == next((c.version for c in reversed(changes) if c.took_effect), None):
        echo(f"now it is version {champion}")
    else:
        echo(f"now it is version {champion}, set by another program")


def _row(change: Change) -> tuple[str, ...]:
    when = datetime.fromisoformat(change.at).strftime("%Y-%m-%d %H:%M:%S")
    how = change.how if change.took_effect else f"{change.how}, without effect"
    return when, change.version, change.replaced or DASH, how, change.why
