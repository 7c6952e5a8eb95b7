"""The one exception that means: the input is wrong, not the program."""

from __future__ import annotations


class InputError(ValueError):
    """What a user gave can't be used; the message is one line: what was expected, what came, where.

    The command line prints it without a traceback and exits with 2.
    """
