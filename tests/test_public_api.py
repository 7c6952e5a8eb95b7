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
    assert ">>> " in getattr(memgate, name).__doc__, "an example, which runs as a doctest"


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'memgate' has no attribute 'gates_of'"):
        _ = memgate.gates_of


def test_importing_it_imports_nothing_heavy() -> None:
    code = "import memgate, sys; print({'torch', 'numpy', 'mlflow', 'pandas'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


FIVE_LINES = """
import sys

for name in ("mlflow", "lightning", "datasets"):
    sys.modules[name] = None  # type: ignore[assignment]  # importing it raises

import memgate, torch

gru, inputs = torch.nn.GRU(3, 4, batch_first=True), torch.randn(2, 3, 3)
trace = memgate.trace(gru, inputs)
shut = memgate.intervene(gru, inputs, clamp={"write": 0.0}, units=[1])
print(tuple(trace.write.shape), trace.gates["reset"].shape == trace.keep.shape)
print(shut.states[..., 1].abs().sum().item())
print(sorted({"pandas", "pyarrow", "numba", "tokenizers", "matplotlib"} & {*sys.modules}))
print(len(trace.to_frame(["the cat eats", "the cats eat"])))
print(memgate.gate_statistics(trace)["n"].unique().tolist())
"""


def test_traces_need_neither_mlflow_nor_lightning_nor_datasets() -> None:
    """`trace` and `intervene` import torch and NumPy alone; frames also pandas."""
    command = [sys.executable, "-c", FIVE_LINES]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["(1, 2, 3, 4) True", "0.0", "[]", "24", "[6]"]


def test_importing_it_is_quick() -> None:
    """0.1 s; the quickest of five, for the machine may be busy."""
    code = "import time; t = time.perf_counter(); import memgate; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(5)]
    assert min(float(run.stdout) for run in runs) < 0.1
