"""`memgate evaluate --suite`: tables and figures of small suites and of the real ones."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import memgate
from memgate.cli import main
from memgate.evaluation.suites.loading import SUITES
from memgate.metrics.systems import SYSTEM_NAMES

DATA = os.environ.get("MEMGATE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")

GRU = "models:/memgate-gru-synthetic@champion"
FILES = {"suites.csv", "suites.png", "suite_predictions.parquet"}


def error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("memgate: error: ")
    return lines[0]


def evaluate(*args: str) -> int:
    return main(["evaluate", *args, "--out", "scores"])


def put(name: str, rows: list[dict[str, Any]]) -> None:
    path = Path("data/eval", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))


@pytest.fixture
def prefixes(trained: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Twenty prefixes of each number; MEMGATE_DATA is a folder for suites."""
    monkeypatch.setenv("MEMGATE_DATA", str(trained / "data"))
    found: dict[str, list[str]] = {"sg": [], "pl": []}
    for line in Path("items.jsonl").read_text().splitlines():
        row = json.loads(line)
        found[row["label"]].append(" ".join(row["text"].split(" ")[: row["verb_idx"]]))
    return {label: list(dict.fromkeys(texts))[:20] for label, texts in found.items()}


def blimp(prefixes: dict[str, list[str]]) -> None:
    """Write one paradigm with two prefixes, and one with one."""
    pairs = zip(prefixes["sg"], prefixes["pl"], strict=True)
    one = {"condition": "one", "method": "one_prefix", "good": "is", "bad": "are", "label": "sg"}
    put("blimp_a.jsonl.gz", [{**one, "prefix": prefix} for prefix in prefixes["sg"]])
    two = {"condition": "two", "method": "two_prefix", "good": "are", "label": "pl"}
    put("blimp_b.jsonl.gz", [{**two, "prefix": good, "prefix_bad": bad} for bad, good in pairs])


def test_both_kinds_of_comparison(
    prefixes: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    blimp(prefixes)
    assert evaluate(GRU, "--suite", "blimp") == 0
    assert {path.name for path in Path("scores").iterdir()} == FILES
    assert Path("scores/suites.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv("scores/suites.csv")
    assert list(table.columns) == [
        *("model", "suite", "system", "condition", "n", "correct", "accuracy", "low", "high"),
        *("chance", "questions"),
    ]
    assert list(table["system"].unique()) == ["network", *SYSTEM_NAMES]
    assert table[["suite", "n", "chance"]].drop_duplicates().to_numpy().tolist() == [
        ["blimp", 20, 0.5]
    ]
    one, two = (memgate.load(GRU).predict(prefixes[label]) for label in ("sg", "pl"))
    network = table[table["system"] == "network"].set_index("condition")
    assert network["correct"].to_dict() == {"one": (one < 0.5).sum(), "two": (two > one).sum()}
    majority = table[table["system"] == "majority"].set_index("condition")
    assert majority["correct"].to_dict() in ({"one": 20, "two": 10}, {"one": 0, "two": 10})
    predicted = pd.read_parquet("scores/suite_predictions.parquet")
    assert predicted[["model", "suite"]].drop_duplicates().to_numpy().tolist() == [
        ["memgate-gru-synthetic@champion", "blimp"]
    ]
    second = predicted.loc[predicted["condition"] == "two", "p_right_second"]
    np.testing.assert_allclose(second, one, rtol=0, atol=1e-6)
    printed = capsys.readouterr().out
    assert "blimp: accuracy in %" in printed
    assert "* best baseline: " in printed
    told = "wrote scores/suites.csv, scores/suite_predictions.parquet, scores/suites.png"
    assert printed.splitlines()[-1] == told


def test_a_pair_that_is_read_alike_is_told(
    prefixes: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    blimp({"sg": [*prefixes["sg"][:3], "xyz"], "pl": [*prefixes["pl"][:3], "zyx"]})
    assert evaluate(GRU, "--suite", "blimp") == 0
    printed = " ".join(capsys.readouterr().out.split())  # notes are wrapped between words
    model = "memgate-gru-synthetic@champion"
    assert f"blimp: 1 pairs that {model} reads alike, half of them counted as right" in printed
    assert f"blimp: 2 items without a word that {model} knows, read as <unk>" in printed


def test_suites_and_files_and_champions_at_once(
    prefixes: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    blimp(prefixes)
    rows = [
        {"condition": "c", "type": "original", "prefix": p, "label": "pl"} for p in prefixes["pl"]
    ]
    put("colorless_green_en.jsonl.gz", [*rows, *rows])
    names = ["colorless_green", "blimp"]
    assert evaluate("--data", "items.jsonl", "--suite", *names, "blimp") == 0
    assert {path.name for path in Path("scores").iterdir()} == FILES | {
        *("accuracy.csv", "accuracy.png", "predictions.parquet")
    }
    table = pd.read_csv("scores/suites.csv")
    models = [f"memgate-{cell}-synthetic@champion" for cell in ("gru", "lstm", "rnn")]
    both = table[["model", "suite"]].drop_duplicates().to_numpy().tolist()
    assert both == [[model, suite] for model in models for suite in names]
    green = table[table["suite"] == "colorless_green"]
    assert green[["condition", "n", "questions"]].drop_duplicates().to_numpy().tolist() == [
        ["c original", 40, 20]
    ]
    printed = capsys.readouterr().out
    assert "(n): items that a model reads alike count once in its interval" in printed
    assert "wrote scores/accuracy.csv" in printed


def test_a_model_without_baselines_is_scored_alone(
    prefixes: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    blimp(prefixes)
    memgate.load(GRU).save(Path("saved"))
    assert evaluate("saved", GRU, "--suite", "blimp") == 0
    table = pd.read_csv("scores/suites.csv")
    alone, whole = (rows.drop(columns="model") for _, rows in table.groupby("model", sort=False))
    assert set(alone["system"]) == {"network"}
    network = whole[whole["system"] == "network"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.reset_index(drop=True), network)
    assert "saved: no baselines alongside it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("suite", "told"),
    [
        ("lakretz", "data/eval/lakretz_simple.jsonl.gz: expected a file"),
        ("marvin_linzen", "data/eval/marvin_linzen.jsonl.gz: expected a file"),
        ("colorless_green", "colorless_green_en.jsonl.gz, line 2: label: expected 'sg' or 'pl'"),
    ],
)
def test_a_suite_that_is_missing_or_damaged_is_one_line_and_writes_nothing(
    suite: str, told: str, prefixes: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"condition": "c", "type": "original", "prefix": "the cat", "label": "sg"}
    put("colorless_green_en.jsonl.gz", [row, {**row, "label": "x"}])
    assert evaluate(GRU, "--data", "items.jsonl", "--suite", suite) == 2
    assert told in error(capsys)
    assert not Path("scores").exists()


def test_without_the_variable_it_is_named(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(GRU, "--suite", "lakretz") == 2
    assert "$MEMGATE_DATA" in error(capsys)
    assert not Path("scores").exists()


def test_a_suite_of_unknown_words_or_name_is_refused(
    prefixes: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    blimp({"sg": ["xyz"], "pl": ["zyx"]})
    assert evaluate(GRU, "--suite", "blimp") == 2
    told = "blimp: memgate-gru-synthetic@champion: expected items with words of the model's"
    assert told in error(capsys)
    assert evaluate(GRU, "--suite", "glue") == 2
    assert "suite: expected one of blimp, marvin_linzen" in error(capsys)
    assert not Path("scores").exists()


@needs_data
def test_the_real_suites(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEMGATE_DATA", str(DATA))
    assert evaluate(GRU, "--suite", *SUITES) == 0
    table = pd.read_csv("scores/suites.csv")
    network = table[table["system"] == "network"]
    assert network.groupby("suite")["n"].sum().to_dict() == {
        "blimp": 5000,
        "marvin_linzen": 10100,
        "colorless_green": 200,
        "lakretz": 9600,
        "linzen": 62381,
    }
    for _, rows in table.groupby(["suite", "condition"]):
        assert list(rows["system"]) == ["network", *SYSTEM_NAMES]
        assert len(set(rows["n"])) == 1
    printed = capsys.readouterr().out
    for suite in SUITES:
        assert f"{suite}: accuracy in %" in printed
        assert f"{suite}: memgate-gru-synthetic@champion doesn't know " in printed
