"""`memgate intervene` on trained models: table, figure, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from memgate.cli import main
from memgate.gates.interventions.dose_response import INTERVENTION_DTYPES
from memgate.gates.units.unit import NUMBER_UNITS
from memgate.predictor import Predictor
from memgate.tracking.registry import versions

GRU, LSTM, RNN = (f"models:/memgate-{cell}-synthetic@champion" for cell in ("gru", "lstm", "rnn"))


def error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("memgate: error: ")
    return lines[0]


def intervene(model: str, *args: str, out: str = "changed", data: str = "items.jsonl") -> int:
    few = ["--steps", "2", "--items", "12"]
    return main(["intervene", model, "--data", data, "--out", out, *few, *args])


def answers(out: str = "changed") -> pd.DataFrame:
    return pd.read_csv(f"{out}/interventions.csv")


def overall(table: pd.DataFrame, edit: str) -> int:
    rows = table[(table["edit"] == edit) & (table["by"] == "overall")]
    return int(rows["correct"].iloc[0])


def test_table_and_figure_of_a_model(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert intervene(GRU, "--items", "1000") == 0
    table = answers()
    assert list(table.columns) == ["model", *INTERVENTION_DTYPES, "roles"]
    assert set(table["model"]) == {"memgate-gru-synthetic@champion"}
    assert (table.loc[table["by"] == "overall", "n"] == 300).all()
    assert table.loc[table["note"] == "hard-coded", "to"].eq(0).all()
    predictor = Predictor.load(versions.model_folder(GRU))
    rows = [json.loads(line) for line in Path("items.jsonl").read_text().splitlines()]
    texts, tags = (
        [" ".join(row[name].split(" ")[: row["verb_idx"]]) for row in rows]
        for name in ("text", "tags")
    )
    plural = predictor.predict(texts, tags) > 0.5
    right = [p == (row["label"] == "pl") for p, row in zip(plural, rows, strict=True)]
    assert overall(table, "none") == overall(table, "control") == sum(right)
    assert Path("changed/interventions.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    for words in ("no edit", "write 0 (hard-coded)", "write 1", "recurrent input cut", "11+"):
        assert words in printed


def test_an_lstm_has_a_line_that_holds_its_cell(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert intervene(LSTM) == 0
    assert set(answers()["units"]) == {"all"}
    printed = capsys.readouterr().out
    assert "write 0 and keep 1" in printed
    assert "output cut" in printed
    assert "random" not in printed.split("In brackets")[0]


def test_an_rnn_is_told_to_have_no_gates(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert intervene(RNN) == 0
    assert set(answers()["edit"]) == {"none", "cut"}
    assert (
        "an RNN has no gates to clamp: only its recurrent path was cut" in capsys.readouterr().out
    )


def test_roles_and_items_are_those_asked_for(trained: Path) -> None:
    assert intervene(GRU, "--roles", "before") == 0
    assert intervene(GRU, "--roles", "subject", out="other") == 0
    one, other = answers(), answers("other")
    assert (one.loc[one["by"] == "overall", "n"] == 12).all()
    unedited = one["edit"] == "none"
    assert set(one.pop("roles")) == {"before"}
    assert set(other.pop("roles")) == {"subject"}
    assert other["note"].isna().all(), "nothing is set as the lecture says"
    pd.testing.assert_frame_equal(one[unedited], other[unedited])
    assert not one["correct"].equals(other["correct"])


def test_the_same_seed_gives_the_same_files(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out in ("changed", "again"):
        assert intervene(GRU, "--units", "0:1", "--items", "4", "--seed", "3", out=out) == 0
    assert intervene(GRU, "--units", "0:1", "--items", "4", "--seed", "4", out="other") == 0
    assert set(answers()["units"]) == {"all", "chosen", "random"}
    printed = capsys.readouterr().out
    assert "write 1, random" in printed
    assert "recurrent input cut, all" in printed
    files = {
        out: Path(out, "interventions.csv").read_bytes() for out in ("changed", "again", "other")
    }
    assert files["changed"] == files["again"] != files["other"]


def test_number_units_are_those_beside_the_model(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = versions.model_folder(GRU)
    assert intervene(str(folder), "--units", "number", out="none") == 2
    assert f"--units number: expected {NUMBER_UNITS} with units in the folder of" in error(capsys)
    (folder / NUMBER_UNITS).write_text('{"units": [[0, 2], [0, 0]]}')
    assert intervene(str(folder), "--units", "number") == 0
    assert intervene(str(folder), "--units", "0:0,2", out="same") == 0
    cut = answers()["units"] != "random"
    pd.testing.assert_frame_equal(answers()[cut], answers("same")[cut])


def test_items_without_subject_or_tags_are_left_out_and_counted(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in Path("items.jsonl").read_text().splitlines()]
    for row in rows[:7]:
        del row["tags"]
    for row in rows[7:10]:
        del row["subj_idx"], row["n_attractors"]
    Path("some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:40]))
    assert intervene(GRU, "--items", "1000", data="some.jsonl") == 0
    assert (answers().query("by == 'overall'")["n"] == 30).all()
    assert (
        "10 of 40 items left out (they lack subj_idx, tags or a prefix)" in capsys.readouterr().out
    )
    Path("none.jsonl").write_text('{"prefix": "the cats", "label": "pl"}\n')
    assert intervene(GRU, data="none.jsonl", out="nothing") == 2
    assert "expected items with subj_idx and tags" in error(capsys)
    assert not Path("nothing").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--units", "9"], "units: expected layers 0 to 0 and units 0 to 3"),
        (["--units", "1:0"], "units: expected layers 0 to 0 and units 0 to 3"),
        (["--units", "two"], "--units: expected all, number or layer:unit, such as 0:3"),
        (["--steps", "1"], "steps: expected at least 2, got 1"),
        (["--items", "0"], "--items: expected at least 1, got 0"),
        (["--seed", "-1"], "--seed: expected at least 0, got -1"),
        (["--roles", "verb"], "expected words of the roles verb, got none"),
    ],
)
def test_wrong_options_are_told(
    trained: Path, capsys: pytest.CaptureFixture[str], args: list[str], message: str
) -> None:
    assert intervene(GRU, *args) == 2
    assert message in error(capsys)
    assert not Path("changed").exists()


def test_a_model_that_is_not_there_is_told(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert intervene("models:/memgate-gru-nothing@champion") == 2
    assert "expected a model" in error(capsys)
