"""`make bench`: every row of the table, measured side by side in one run."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

# torch reads this when it is imported: small cells lose with two threads on busy cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")


PARTS = ("fit", "gates", "trace", "memory", "evaluate", "reading", "starting", "page")
"""What can be measured alone, in the order of the table."""


def main() -> int:
    """Measure, print and write the table.

    Returns:
        The exit status; 2 for wrong input.
    """
    given = _arguments()
    with tempfile.TemporaryDirectory(prefix="memgate-bench-", ignore_cleanup_errors=True) as folder:
        # Read when `datasets` and memgate's store are first used: nothing of the user's is touched.
        os.environ["HF_DATASETS_CACHE"] = folder + "/datasets"
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        from benchmarks.run import run  # noqa: PLC0415  after the environment is set
        from memgate.errors import InputError  # noqa: PLC0415

        try:
            run(given, Path(folder))
        except InputError as error:
            print(f"benchmarks: error: {error}", file=sys.stderr)
            return 2
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: the program, no speed")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="(cpu)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (1)")
    parser.add_argument("--out", type=Path, default=Path("out/bench"), help="(out/bench)")
    parser.add_argument("--only", default="", metavar="PART", help=f"one of {', '.join(PARTS)}")
    parser.add_argument(
        "--docs", type=Path, metavar="PAGE", help="put the table into docs/performance.md"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
