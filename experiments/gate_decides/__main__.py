"""`python -m experiments.gate_decides` (`make answer`): the study behind the page on gates."""

from __future__ import annotations

import sys

from jsonargparse import auto_cli

from experiments.gate_decides.study import answer
from memgate.errors import InputError


def main() -> int:
    """Run the study; wrong input is one line on stderr and exit status 2."""
    try:
        auto_cli(answer, as_positional=False, prog="python -m experiments.gate_decides")
    except InputError as error:
        print(f"memgate: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
