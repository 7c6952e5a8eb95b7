"""`python -m memgate` is `memgate`."""

from __future__ import annotations

import sys

from memgate.cli import main

if __name__ == "__main__":
    sys.exit(main())
