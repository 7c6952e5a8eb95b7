"""`make soak`: each part in a process of its own, one after the other, with its last line."""

from __future__ import annotations

import subprocess
import sys
import time

PARTS = ("bad_inputs", "readers", "kills", "stores")


def main() -> int:
    """Run the parts that are named, or all.

    Returns:
        The exit status: 1 if one of them failed.
    """
    begun = time.perf_counter()
    failed = []
    for part in sys.argv[1:] or PARTS:
        print(f"== {part}", flush=True)
        ended = subprocess.run([sys.executable, "-m", f"benchmarks.soak.{part}"], check=False)
        if ended.returncode:
            failed.append(part)
    result = f"failed: {', '.join(failed)}" if failed else "all passed"
    print(f"{time.perf_counter() - begun:.0f} s; {result}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
