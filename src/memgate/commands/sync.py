"""`memgate sync`: deliver what runs logged while the store was away."""

from __future__ import annotations

import math

from memgate.errors import InputError
from memgate.reporting.console import echo
from memgate.tracking.delivery.deliver import deliver_backlog
from memgate.tracking.delivery.spool import SPOOLS_FOLDER, folders
from memgate.tracking.store import connect


def sync() -> None:
    """Deliver what runs logged while the MLflow server was away, or before they were killed.

    Everything below mlruns/spool is delivered once and in order. Runs that are still running are
    skipped. The command can be stopped at any time and started again.

    Raises:
        InputError: The store doesn't answer, or refused something, which is kept.
    """
    if not folders():
        echo(f"nothing waits in {SPOOLS_FOLDER}")
        return
    refused = []
    for delivery in deliver_backlog(connect(), math.inf):
        if delivery.error:
            refused.append(delivery)
        else:
            echo(f"{delivery.run}: delivered {delivery.content}")
    if refused:
        first = refused[0]
        raise InputError(
            f"{first.folder}: expected the store to accept {first.content} of {first.run}, got: "
            f"{first.error}; it is kept, and `memgate sync` tries again"
        )
    running = len(folders())
    if running:
        echo(f"skipped, as they are still running: {running}")
