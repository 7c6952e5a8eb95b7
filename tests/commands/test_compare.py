"""`memgate compare`: the items that two models have in common, and the tables over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memgate import evaluation
from memgate.cli import main
from memgate.data.sources import jsonl
from memgate.errors import InputError
from memgate.evaluation.items import PREDICTIONS
from memgate.predictor import Predictor
from memgate.tracking.registry.comparison import (
    LEAST_COMMON,
    PAIRED_COLUMNS,
    paired_items,
)
from tests.rivals import predictions, predictor


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def save(name: str, table: pd.DataFrame | None, seed: int = 0) -> str:
    predictor(seed).save(Path(name))
    if table is not None:
        table.to_parquet(Path(name, PREDICTIONS), index=False)
    return name


def test_rows_are_paired_by_item_in_any_order() -> None:
    one, other = predictions({0: 30}), predictions({0: 20, 1: 5}).sample(frac=1, random_state=0)
    pairs = paired_items(save("a", one), save("b", other[:800]))
    assert pairs.totals == (1000, 800)
    assert len(pairs.rows) == 800
    expected = one.merge(other[:800][["item", "correct"]], on="item")
    assert pairs.rows["a"].tolist() == expected["correct_x"].tolist()
    assert pairs.rows["b"].tolist() == expected["correct_y"].tolist()
    assert pairs.rows["attractors"].tolist() == expected["attractors"].tolist()
    assert str(pairs) == "800 items in common, of 1000 and 800 test items"


def test_what_is_printed_and_written(capsys: pytest.CaptureFixture[str]) -> None:
    models = [save("a", predictions({0: 10})), save("b", predictions({0: 8, 4: 20}))]
    assert main(["compare", *models, "--out", "out"]) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert lines[:3] == ["A  a", "B  b", "1000 items in common, of 1000 and 1000 test items"]
    rows = {line[:15].strip(): line[15:].split() for line in lines[5:]}
    assert rows["all"][:4] == ["1000", "99.0", "97.2", "-1.8"]
    assert rows["all"][-2:] == ["20:2", "<0.001"]
    assert rows["attractors 4+"][-2:] == ["20:0", "<0.001"]
    assert rows["attractors 1"][:3] == ["250", "100.0", "100.0"]
    assert rows["subject sg"][0] == "500"
    assert max(map(len, lines)) <= 80
    table = pd.read_csv("out/paired.csv")
    assert list(table) == list(PAIRED_COLUMNS)
    breakdowns = ["overall", "label", "intervening", "attractors", "attractors_or_more"]
    assert table["by"].unique().tolist() == breakdowns
    assert table.loc[0, "difference"] == pytest.approx(-0.018)
    assert "wrote paired.csv to out" in printed


def test_with_files_both_answer_now(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--out", "items.jsonl", "--items", "300"]) == 0
    a, b = save("a", None, 0), save("b", predictions({}), 1)
    items = jsonl.read(["items.jsonl"])
    right = [evaluation.predictions(Predictor.load(Path(each)), items)["correct"] for each in "ab"]
    assert not np.array_equal(right[0], right[1])
    pairs = paired_items(a, b, ["items.jsonl"])
    assert pairs.rows["a"].tolist() == right[0].tolist()
    assert pairs.rows["b"].tolist() == right[1].tolist()
    capsys.readouterr()
    assert main(["compare", a, b, "--data", "items.jsonl"]) == 0
    assert "300 items in common, of 300 and 300 of items.jsonl" in capsys.readouterr().out
    Path("few.jsonl").write_text("\n".join(Path("items.jsonl").read_text().splitlines()[:20]))
    with pytest.raises(InputError, match=r"at least 100 .* got 20 of 20 .* name more of them"):
        paired_items(a, b, ["few.jsonl"])


def test_faults_are_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    good = predictions({})
    save("good", good)
    save("old", None)
    save("few", good[: LEAST_COMMON - 1])
    save("strange", good.assign(item=good["item"] + "-2"))
    save("asked", good.assign(answer="good"))
    save("less", good.drop(columns="attractors"))
    save("damaged", good)
    Path("damaged", PREDICTIONS).write_bytes(b"PAR1")
    for name, message in {
        "old": "old: expected predictions.parquet alongside the model, found none; with "
        "--data FILE",
        "few": "good and few: expected at least 100 items in common, got 99 of 1000 and "
        "99 test items; with --data FILE",
        "strange": "got 0 of 1000 and 1000 test items; with --data FILE",
        "asked": "good and asked: expected models of one task; the right answers to item "
        "0000000000000000 are 'sg' and 'good'",
        "less": "expected a column 'attractors', got item, label",
        "damaged": "expected predictions as Parquet, got: ",
        "nowhere": "nowhere: expected a model URI or a folder, found neither",
        "good": "compare: expected two models, got good good",
    }.items():
        assert main(["compare", "good", name]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    Path("out").write_text("a file")
    save("other", predictions({0: 3}))
    assert main(["compare", "good", "other", "--out", "out"]) == 2
    assert "out: expected a folder to write to" in capsys.readouterr().err
