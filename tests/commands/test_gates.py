"""`memgate gates`: tables and figures of a registered model, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import memgate
from memgate.cli import main
from memgate.data import jsonl
from memgate.gates.reading import read_gates

FILES = {
    *("gate_statistics.parquet", "effects.parquet", "profile.parquet"),
    *("profile.png", "gates.png"),
}


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_tables_are_those_of_one_pass(
    trained: Path, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = f"models:/memgate-{cell}-synthetic@champion"
    assert main(["gates", model, "--data", "items.jsonl", "--out", "out/gates"]) == 0
    assert {path.name for path in Path("out/gates").iterdir()} == FILES
    table = jsonl.read(["items.jsonl"]).with_format("arrow")[:]
    expected = read_gates(memgate.load(model), table)
    for name, found in zip(("gate_statistics", "effects", "profile"), expected, strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(f"out/gates/{name}.parquet"), found)
    printed = capsys.readouterr().out
    assert "attractor" in printed
    assert ("write" in printed) == (cell != "rnn")


def test_faults_are_one_line_and_nothing_is_written(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = "models:/memgate-gru-synthetic@champion"
    Path("empty.jsonl").write_text("")
    for args in (["none", "--data", "items.jsonl"], [model, "--data", "empty.jsonl"]):
        assert main(["gates", *args, "--out", "out/gates"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("memgate: error: ")
    assert not Path("out/gates").exists()
