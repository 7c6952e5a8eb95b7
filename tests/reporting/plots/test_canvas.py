"""Figures are written whole, and are the same bytes each time."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from memgate.metrics.accuracy import accuracy_table
from memgate.reporting.plots import accuracy_figure, gate_figure, save, suite_figure


def accuracies() -> pd.DataFrame:
    frame = pd.DataFrame({"intervening": ["0", "1–2"], "attractors": "0", "label": "sg"})
    table = accuracy_table(frame.assign(n=9, correct=[7, 8])).assign(model="gru", data="d")
    return pd.concat([table.assign(system=system) for system in ("network", "majority")])


def suites() -> pd.DataFrame:
    row = {"model": "gru", "suite": "s", "condition": "c", "n": 9, "correct": 7, "accuracy": 7 / 9}
    row |= {"low": 0.4, "high": 0.9, "chance": 0.5, "questions": 5}
    return pd.DataFrame([row | {"system": system} for system in ("network", "majority")])


def gates() -> pd.DataFrame:
    rows = {"layer": 0, "gate": "reset", "reading": None, "below_0.1": [0.1, 0.2], "above_0.9": 0.3}
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("draw", "table"),
    [(accuracy_figure, accuracies()), (suite_figure, suites()), (gate_figure, gates())],
    ids=["accuracy", "suites", "gates"],
)
def test_the_same_table_gives_the_same_bytes(
    draw: Callable[[pd.DataFrame], Figure], table: pd.DataFrame, tmp_path: Path
) -> None:
    for name in ("a.png", "b.png"):
        save(draw(table.copy()), tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    assert first.startswith(b"\x89PNG")
    assert b"matplotlib" not in first.lower()


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    figure = gate_figure(gates())
    figure.text(0.5, 0.5, r"$\nosuchcommand$")  # fails while it is drawn
    with pytest.raises(ValueError, match="nosuchcommand"):
        save(figure, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        save(gate_figure(pd.DataFrame()), path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.processes
def test_no_pyplot_and_no_display() -> None:
    code = "import sys, memgate.reporting.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
