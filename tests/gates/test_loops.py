"""What numba compiles: where it is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SORTED = """
import numpy as np
from memgate.gates import loops
order = np.zeros(3, np.int64)
loops.sort(np.array([1, 0, 1]), np.array([0, 1, 3]), order)
print(*order)
"""


@pytest.mark.parametrize("writable", [True, False])
def test_loops_work_where_nothing_can_be_kept(writable: bool, tmp_path: Path) -> None:
    """The one place for what is compiled is a folder, or a zip that this package isn't in."""
    place = "UserProvidedCacheLocator" if writable else "ZipCacheLocator"
    settings = {"NUMBA_CACHE_LOCATOR_CLASSES": place, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", SORTED],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("1 0 2\n", "")
    assert any(tmp_path.rglob("*.nbc")) == writable
