"""`memgate sync`: what runs had to say while the store was away, delivered."""

from __future__ import annotations

import math

from memgate.errors import InputError
from memgate.tracking.delivery.deliver import deliver_waiting
from memgate.tracking.delivery.spool import FOLDER, folders
from memgate.tracking.store import connect


def sync() -> None:
    """Deliver what waits below ``mlruns/spool``, each thing once and in order; one line a run.

    Runs that still go on are left alone. It may be stopped anywhere and started again.

    Raises:
        InputError: The store doesn't answer, or didn't take something; that still waits.
    """
    if not folders():
        print(f"nothing waits in {FOLDER}")
        return
    outcomes = []
    for outcome in deliver_waiting(connect(), math.inf):
        outcomes.append(outcome)
        if not outcome.trouble:
            print(f"{outcome.run}: delivered {outcome.what}")
    left = [outcome for outcome in outcomes if outcome.trouble]
    if left:
        raise InputError(
            f"{left[0].folder}: expected the store to take {left[0].what} of {left[0].run}, got: "
            f"{left[0].trouble}; it is kept, and `memgate sync` tries again"
        )
    goes_on = len(folders())
    if goes_on:
        print(f"left alone, as they still go on: {goes_on}")
