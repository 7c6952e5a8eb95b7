"""Tables of accuracy in a terminal, in a log, in files and in MLflow's descriptions."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from memgate.metrics.accuracy import accuracy_table
from memgate.reporting.accuracy import markdown, print_accuracy, write_accuracy

RNN, GRU = "memgate-rnn-corpus@champion", "memgate-gru-corpus@champion"


def accuracies(model: str, data: str, system: str, near: int, far: int) -> pd.DataFrame:
    """Accuracy of one system: so many of 100 right next to the verb, and 11+ words away."""
    frame = pd.DataFrame({"intervening": ["0", "11+"], "attractors": ["0", "1"]})
    table = accuracy_table(frame.assign(label=["sg", "pl"], n=100, correct=[near, far]))
    table.insert(0, "model", model)
    table.insert(1, "data", data)
    table.insert(2, "system", system)
    return table


@pytest.fixture
def table() -> pd.DataFrame:
    """Two models on two data sets, the data sets in turn, as `memgate evaluate` has them."""
    parts = [
        accuracies(model, data, system, near, far)
        for model, plus in ((RNN, 0), (GRU, 5))
        for data in ("wiki", "ud[bold]")
        for system, near, far in (
            ("network", 90 + plus, 80 + plus),
            ("majority", 50, 51),
            ("last_noun", 95, 10),
            ("nouns_only", 70 + plus, 60 + plus),
        )
    ]
    return pd.concat(parts, ignore_index=True)


FIGURES = {  # on all items, where no word intervenes, and where 11 and more do
    RNN: ("85.0", "90.0", "80.0"),
    GRU: ("90.0", "95.0", "85.0"),
    f"* nouns only ({GRU})": ("70.0", "75.0", "65.0"),
    "majority": ("50.5", "50.0", "51.0"),
    "last noun": ("52.5", "95.0", "10.0"),
    f"nouns only ({RNN})": ("65.0", "70.0", "60.0"),
}


def figures(line: str) -> list[str]:
    return re.findall(r"\d+\.\d(?= |$)", line)


def blocks(lines: list[str]) -> dict[str, list[str]]:
    """The lines below each title, by data set."""
    starts = [at for at, line in enumerate(lines) if line.endswith("and its 95% interval")]
    ends = [*starts[1:], len(lines)]
    return {
        lines[start].partition(":")[0]: [line for line in lines[start + 1 : end] if line]
        for start, end in zip(starts, ends, strict=True)
    }


def test_each_data_set_is_a_table_with_its_models_and_all_their_baselines(
    table: pd.DataFrame, printed: Callable[..., list[str]]
) -> None:
    tables = blocks(printed(print_accuracy, table, 240))
    assert list(tables) == ["wiki", "ud[bold]"]
    for lines in tables.values():
        head = re.split(r"\s{2,}", lines[0].strip())
        assert head == ["n", *FIGURES]
        rows = lines[2:-1]
        assert [re.split(r"\s{2,}", row.strip())[0] for row in rows] == [
            *("all items", "subject", "pl", "between", "11+", "attractors", "1")
        ]
        for row, at in ((0, 0), (3, 1), (4, 2)):
            assert figures(rows[row]) == [column[at] for column in FIGURES.values()]
            assert len(re.findall(r"\(\d+\.\d–\d+\.\d\)", rows[row])) == 2
        assert lines[-1] == "between: words between subject and verb; *: the best baseline"


def test_a_narrow_terminal_has_the_networks_the_best_baseline_and_the_others_on_all_items(
    table: pd.DataFrame, printed: Callable[..., list[str]]
) -> None:
    for lines in blocks(printed(print_accuracy, table, 80)).values():
        rows = [line for line in lines if "all items  " in line]
        assert [figures(row) for row in rows] == [["85.0", "90.0", "70.0"]]
        text = " ".join(lines)
        assert text.endswith(
            f"other baselines, on all items: majority 50.5, last noun 52.5, nouns only ({RNN}) 65.0"
        )


@pytest.mark.parametrize("width", [80, 130])
def test_without_baselines_none_are_announced(
    width: int,
    table: pd.DataFrame,
    printed: Callable[..., list[str]],
) -> None:
    lines = printed(print_accuracy, table[table["system"] == "network"], width)
    assert not [line for line in lines if "baseline" in line or "*" in line]
    assert [figures(line) for line in lines if "all items  " in line] == [["85.0", "90.0"]] * 2


def test_files_are_the_table(table: pd.DataFrame, tmp_path: Path) -> None:
    predicted = pd.DataFrame({"id": ["a"], "p_plural": [0.25]})
    write_accuracy(table, tmp_path / "new/out", predicted)
    files = {path.name for path in (tmp_path / "new/out").iterdir()}
    assert files == {"accuracy.csv", "accuracy.png", "predictions.parquet"}
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "new/out/accuracy.csv"), table)
    read = pd.read_parquet(tmp_path / "new/out/predictions.parquet")
    pd.testing.assert_frame_equal(read, predicted)
    write_accuracy(table, tmp_path / "two")
    assert {path.name for path in (tmp_path / "two").iterdir()} == {"accuracy.csv", "accuracy.png"}


def cells(line: str) -> list[str]:
    return [cell.replace("&nbsp;", "").strip() for cell in line.strip("|").split("|")]


def test_the_description_has_the_best_baseline_beside_every_row(table: pd.DataFrame) -> None:
    one = table[(table["model"] == GRU) & (table["data"] == "wiki")]
    lines = markdown(one, ["3 items left out"]).splitlines()
    head, rule, *rows = (cells(line) for line in lines if line.startswith("|"))
    assert head[-2:] == ["95% interval", "best baseline: nouns only"]
    assert all(re.fullmatch(":?-{3,}:?", cell) for cell in rule)
    assert len(rule) == len(head)
    assert [[row[i] for i in (0, 1, 2, 3, 5)] for row in rows] == [
        ["overall", "all", "200", "90.0", "70.0"],
        ["label", "sg", "100", "95.0", "75.0"],
        ["label", "pl", "100", "85.0", "65.0"],
        ["intervening", "0", "100", "95.0", "75.0"],
        ["intervening", "11+", "100", "85.0", "65.0"],
        ["attractors", "0", "100", "95.0", "75.0"],
        ["attractors", "1", "100", "85.0", "65.0"],
    ]
    assert rows[0][4] == "85.1–93.4"  # statsmodels' Wilson interval of 180 of 200
    assert lines[-1] == "3 items left out"


def test_without_baselines_the_description_has_no_column_for_them(table: pd.DataFrame) -> None:
    one = table[(table["model"] == GRU) & (table["data"] == "wiki")]
    lines = markdown(one[one["system"] == "network"]).splitlines()
    assert {len(cells(line)) for line in lines if line} == {5}
