"""The names that `memgate` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import memgate


@pytest.mark.parametrize("name", memgate.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    assert getattr(memgate, name).__doc__
    assert f"`{name}`" in (memgate.__doc__ or "")


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'memgate' has no attribute 'gates_of'"):
        _ = memgate.gates_of


def test_importing_it_imports_nothing_heavy() -> None:
    code = "import memgate, sys; print({'torch', 'numpy', 'mlflow', 'pandas'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
