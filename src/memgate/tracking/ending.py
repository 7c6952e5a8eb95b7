"""How a run ended, told from the exception that ended it."""

from __future__ import annotations

from typing import Literal

from lightning.pytorch.utilities.exceptions import SIGTERMException

Status = Literal["FINISHED", "FAILED", "KILLED"]


def status_of(error: BaseException | None) -> Status:
    """Tell how a run ended from what ended it.

    Lightning turns Ctrl-C into a SystemExit whose context is the KeyboardInterrupt.
    """
    if error is None or (
        isinstance(error, SystemExit) and not error.code and not error.__context__
    ):
        return "KILLED" if isinstance(error, SIGTERMException) else "FINISHED"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (KeyboardInterrupt, SIGTERMException)):
            return "KILLED"
        cause = cause.__cause__ or cause.__context__
    return "FAILED"
