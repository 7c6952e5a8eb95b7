"""Tables of suites in a terminal, in a log and in files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from memgate.errors import InputError
from memgate.metrics.accuracy import wilson
from memgate.reporting.suites import print_suites, write_suites

LONG = "R__VERB_NOUN_CCONJ_VERB original [verb before]"
CELLS = ("rnn", "gru", "lstm")
OTHERS = ("majority", "first_noun", "last_noun", "nouns_only")


def row(model: str, suite: str, system: str, condition: str, correct: int) -> dict[str, object]:
    low, high = wilson(correct, 100)
    names = {"model": model, "suite": suite, "system": system, "condition": condition}
    counts = {"n": 100, "correct": correct, "accuracy": correct / 100, "low": low, "high": high}
    return {**names, **counts, "chance": 0.5, "questions": 100}


def suites(*models: str) -> pd.DataFrame:
    """Two suites; the last noun is the best baseline, and nouns only is each model's own."""
    rows = [
        row(model, suite, system, condition, correct + (place if system == "nouns_only" else 0))
        for place, model in enumerate(models)
        for suite, conditions in (("green [bold]", (LONG, "short")), ("lakretz", ("nounpp SP",)))
        for condition in conditions
        for system, correct in zip(("network", *OTHERS), (90, 50, 60, 77, 20), strict=True)
    ]
    return pd.DataFrame(rows)


def numbers(line: str) -> list[str]:
    return re.findall(r"\d+\.\d(?!\S)", line)


def test_every_condition_has_n_accuracy_interval_chance_and_all_baselines(
    printed: Callable[..., list[str]],
) -> None:
    lines = printed(print_suites, suites("gru-corpus-seed0"), 130)
    titles = [line for line in lines if "accuracy in %" in line]
    assert titles == [
        f"{s}: accuracy in %, and its 95% interval" for s in ("green [bold]", "lakretz")
    ]
    assert lines.count("* best baseline: last noun, 77.0% of all items right") == 2
    for line in lines:
        if line.startswith(" condition "):
            columns = ["condition", "n", "gru-corpus-seed0", "chance", "* last noun", "first noun"]
            assert re.split(r"\s{2,}", line.strip()) == [*columns, "majority", "nouns only"]
    for condition in (LONG, "short", "nounpp SP"):
        (place,) = (i for i, line in enumerate(lines) if line.startswith(f" {condition} "))
        assert lines[place].removeprefix(f" {condition}").split()[0] == "100"
        assert numbers(lines[place]) == ["90.0", "50.0", "77.0", "60.0", "50.0", "20.0"]
        assert lines[place + 1].split() == ["82.6–94.5"]  # R: binom.wilson(90, 100)
    assert not [line for line in lines if "count once" in line or "no room" in line]


def test_where_not_all_fits_networks_and_the_best_baseline_do(
    printed: Callable[..., list[str]],
) -> None:
    models = [f"memgate-{cell}-{data}@champion" for data in ("syn", "corpus") for cell in CELLS]
    lines = printed(print_suites, suites(*models), 80)
    shorts = [numbers(line) for line in lines if line.startswith(" short ")]
    assert len(shorts) >= 2  # in several tables
    assert sum(each.count("90.0") for each in shorts) == len(models)
    assert all(each.count("77.0") == 1 for each in shorts)


def test_every_baseline_is_shown_or_named(printed: Callable[..., list[str]]) -> None:
    table = suites("gru")
    one = table[table["suite"] == "lakretz"]
    for width in range(60, 131, 5):
        lines = printed(print_suites, one, width)
        (shown,) = (numbers(line) for line in lines if line.startswith(" nounpp SP "))
        assert shown[:3] == ["90.0", "50.0", "77.0"]
        text = " ".join(lines)
        start = "other baselines, on all items: "
        named = text.split(start)[1].split(", ") if start in text else []
        others = ["first noun 60.0", "majority 50.0", "nouns only 20.0"]
        assert (shown[3:], named) in ((["60.0", "50.0", "20.0"], []), ([], others))
    assert shown[3:]  # on the widest


def test_long_conditions_are_whole_on_a_narrow_terminal(printed: Callable[..., list[str]]) -> None:
    lines = printed(print_suites, suites(*CELLS), 80)
    (first,) = (i for i, line in enumerate(lines) if line.startswith(" R__VERB"))
    (last,) = (i for i, line in enumerate(lines) if line.startswith(" short "))
    name = " ".join(re.split(r"\s{2,}|\s(?=\d)", line.strip())[0] for line in lines[first:last])
    assert name.replace(" ", "") == LONG.replace(" ", "")


def test_fewer_questions_than_items_are_said(printed: Callable[..., list[str]]) -> None:
    table = suites("gru")
    table.loc[table["condition"] == "nounpp SP", "questions"] = 20
    lines = printed(print_suites, table, 130)
    (place,) = (i for i, line in enumerate(lines) if line.startswith(" nounpp SP "))
    assert lines[place + 1].split() == ["(20)", "82.6–94.5"]
    note = "(n): items that a model reads alike count once in its interval"
    assert lines[place + 2].startswith("* best baseline")
    assert [i for i, line in enumerate(lines) if line == note] == [place + 3]  # not in the other


def test_without_baselines_there_is_a_table(printed: Callable[..., list[str]]) -> None:
    table = suites("gru")
    lines = printed(print_suites, table[table["system"] == "network"], 80)
    assert "baseline" not in " ".join(lines)
    assert [numbers(line) for line in lines if line.startswith(" short ")] == [["90.0", "50.0"]]


def test_files_are_the_table_all_or_none(tmp_path: Path) -> None:
    table, predicted = suites("gru", "lstm"), pd.DataFrame({"id": ["a"], "question": [0]})
    names = {"suites.csv", "suites.png", "suite_predictions.parquet"}
    write_suites(table, tmp_path / "out", predicted)
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "out/suites.csv"), table)
    read = pd.read_parquet(tmp_path / "out/suite_predictions.parquet")
    pd.testing.assert_frame_equal(read, predicted)
    (tmp_path / "taken/suites.png").mkdir(parents=True)
    with pytest.raises(InputError, match="taken: expected a folder to write to"):
        write_suites(table, tmp_path / "taken", predicted)
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["suites.png"]
