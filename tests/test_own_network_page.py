"""docs/your-own-network.md: its code runs, and finds what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
import torch

PAGE = Path(__file__).parents[1] / "docs" / "your-own-network.md"


def test_the_code_runs_and_the_page_says_what_it_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found: dict[str, Any] = {}
    with torch.random.fork_rng():
        exec("\n".join(blocks), found)
    assert (tmp_path / "your-own-network.png").stat().st_size > 10_000
    assert found["trained"] < 0.1, "it learned to add; 0.33 is what answering 1 has"
    assert max(found["without"]) > 5 * found["trained"], "one unit's gate carries the sum"
    assert sorted(found["without"])[7] < 2.5 * found["trained"], "most units hardly matter"
    write = found["write"]
    assert (write["marked"] - write["unmarked"]).max() > 0.3, "some open where it is marked"
