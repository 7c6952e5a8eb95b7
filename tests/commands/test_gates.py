"""`memgate gates`: tables and figures of a registered model, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import memgate
from memgate.cli import main
from memgate.data.sources import jsonl
from memgate.gates.statistics import read_gates
from memgate.gates.units.number_units import NumberUnits
from memgate.gates.units.unit import NUMBER_UNITS
from memgate.tracking.registry.versions import model_folder

FILES = {
    *("gate_statistics.parquet", "gate_statistics_by_distance.parquet"),
    *("state_updates.parquet", "profile.parquet", "number_units.json"),
    *("timescales.csv", "gradients.csv", "gradient_decay.csv"),
    *("number_units.csv", "ablated_sets.csv", "probes.csv"),
    *("profile.png", "gates.png", "timescales.png", "gradients.png", "number_units.png"),
}


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_tables_are_those_of_one_pass(
    trained: Path, cell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = f"models:/memgate-{cell}-synthetic@champion"
    assert main(["gates", model, "--data", "items.jsonl", "--out", "out/gates"]) == 0
    assert {path.name for path in Path("out/gates").iterdir()} == FILES
    table = jsonl.read(["items.jsonl"]).with_format("arrow")[:]
    units = NumberUnits.load(model_folder(model) / NUMBER_UNITS)
    assert Path("out/gates", NUMBER_UNITS).read_bytes() == (
        (model_folder(model) / NUMBER_UNITS).read_bytes()
    )
    direction = units.probe_direction
    expected = read_gates(memgate.load(model), table, units.units, probe=direction)
    names = ("gate_statistics", "state_updates", "profile", "gate_statistics_by_distance")
    for name, found in zip(names, expected, strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(f"out/gates/{name}.parquet"), found)
    printed = capsys.readouterr().out
    assert "attractor" in printed
    assert "Which units carry the number of the subject" in printed
    assert ("write" in printed) == (cell != "rnn")


def test_number_units_are_looked_for_where_a_model_has_none(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memgate.load("models:/memgate-gru-synthetic@champion").save(Path("bare"))
    assert main(["gates", "bare", "--data", "items.jsonl", "--out", "out/gates"]) == 0
    found = NumberUnits.load(Path("out/gates", NUMBER_UNITS))
    assert found.unit_table["n"].max() <= 300
    lines = Path("items.jsonl").read_text().splitlines(keepends=True)
    Path("few.jsonl").write_text("".join(lines[:30]))
    capsys.readouterr()
    assert main(["gates", "bare", "--data", "few.jsonl", "--out", "out/few"]) == 0
    assert "no number units: number units: expected at least 40" in capsys.readouterr().out
    assert {path.name for path in Path("out/few").iterdir()} == FILES - {
        *("number_units.json", "number_units.csv", "number_units.png"),
        *("ablated_sets.csv", "probes.csv"),
    }


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["model"], "expected --data and --out; see `memgate gates --help`"),
        (["a", "b", "--data", "items.jsonl", "--out", "o"], "unexpected argument b"),
    ],
)
def test_wrong_arguments_are_told(
    trained: Path, args: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gates", *args]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


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


def test_items_without_a_subject_are_refused_by_what_they_lack(
    trained: Path, write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write("prefixes.jsonl", *({"prefix": "the keys", "label": "pl"} for _ in range(5)))
    gru = "models:/memgate-gru-synthetic@champion"
    assert main(["gates", gru, "--data", path, "--out", "out"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected items with subj_idx" in line
    assert "got none among 5 items" in line
    assert not Path("out").exists()


def test_readings_have_the_names_that_explain_gives_them(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gru = "models:/memgate-gru-synthetic@champion"
    assert main(["gates", gru, "--data", "items.jsonl", "--out", "out"]) == 0
    printed = capsys.readouterr().out
    assert " state update " in printed
    assert " Δ logit " in printed
    assert "_update" not in printed.partition("wrote")[0]
