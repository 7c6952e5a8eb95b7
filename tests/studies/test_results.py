"""Predictions of several runs, lined up item by item."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memgate.errors import InputError
from memgate.metrics.accuracy import accuracy_table
from memgate.studies.results import (
    BY_NUMBER,
    gather_predictions,
    model_of,
    read_run_predictions,
    strata_of,
)
from memgate.tracking.store import connect, experiment
from memgate.tracking.study_runs import StudyRun


def table(*keys: str) -> pd.DataFrame:
    n = len(keys)
    return pd.DataFrame(
        {
            "item": list(keys),
            "label": ["sg", "pl"] * (n // 2) + ["sg"] * (n % 2),
            "correct": [key in "ace" for key in keys],
            "intervening": pd.array([0, 4, None, 12, 7, 1][:n], dtype="Int64"),
            "attractors": pd.array([0, 1, 5, None, 9, 2][:n], dtype="Int64"),
            "condition": ["easy", "hard 2", "hard 10", None, None, None][:n],
            "majority": [True] * n,
            "nouns_only": pd.array([True, None, *[False] * n][:n], dtype="boolean"),
        }
    )


@dataclass
class Made:
    """Makes runs in a store."""

    count: int = 0

    def run(self, rows: pd.DataFrame | None, **changed: object) -> StudyRun:
        self.count += 1
        client = connect()
        run_id = str(client.create_run(experiment("memgate")).info.run_id)
        if rows is not None:
            Path("kept/tables").mkdir(parents=True, exist_ok=True)
            rows.to_parquet("kept/tables/predictions.parquet", index=False)
            client.log_artifacts(run_id, "kept")
        name = f"run{self.count}"
        run = StudyRun(
            run_id, name, "FINISHED", "gru", "synthetic", "number", 0, {}, {}, {}, (), ""
        )
        return replace(run, **changed)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A store, for all tests of this file, in a working directory that `here` goes to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(tmp_path_factory.mktemp("store"))
        experiment("memgate")
        Made.folder = Path.cwd()  # type: ignore[attr-defined]
    return Made()


@pytest.fixture(autouse=True)
def here(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(made.folder)  # type: ignore[attr-defined]


def test_items_are_lined_up_whatever_their_order(made: Made) -> None:
    rows = table(*"abcd")
    other = rows.iloc[[3, 1, 0, 2]].assign(correct=[True, True, False, False])
    found, missing = gather_predictions([made.run(rows, seed=4), made.run(other, seed=2)])
    (predictions,) = found
    assert (missing, predictions.notes) == ([], [])
    assert predictions.items["item"].to_list() == ["d", "b", "a", "c"], "those of the first seed"
    assert predictions.correct["gru", "network"].tolist() == [
        [True, True, False, False],
        [False, False, True, True],
    ]
    assert [run.seed for run in predictions.runs["gru"]] == [2, 4]


def test_a_baseline_that_left_an_item_out_is_left_out(made: Made) -> None:
    rows = table(*"abcd")
    (predictions,), _ = gather_predictions([made.run(rows)])
    assert list(predictions.correct) == [("gru", "network"), ("gru", "majority")]
    (predictions,), _ = gather_predictions(
        [made.run(rows), made.run(rows.drop(index=1), cell="lstm")]
    )
    assert ("lstm", "nouns_only") in predictions.correct, "the item that it left out isn't common"


def test_models_are_cells_and_settings(made: Made) -> None:
    rows = table(*"ab")
    runs = [
        made.run(rows, cell=cell, settings={"units": units})
        for cell in ("lstm", "rnn", "gru")
        for units in ("8", "50")
    ]
    (predictions,), _ = gather_predictions(runs)
    assert [name for name in predictions.runs if "units 8" in name] == [
        "rnn, units 8",
        "gru, units 8",
        "lstm, units 8",
    ]
    assert model_of(runs[1]) == "lstm, units 50"


def test_networks_of_other_settings_are_no_seeds_of_a_model(made: Made) -> None:
    rows = table(*"ab")
    one, two = made.run(rows, digest="one"), made.run(rows, seed=1, digest="two")
    with pytest.raises(InputError, match="gru: expected runs that differ by their seed alone, got"):
        gather_predictions([one, two])
    apart = [replace(two, settings={"units": "8"}), replace(two, cell="rnn")]
    for other in (*apart, replace(two, status="RUNNING"), replace(two, digest="one")):
        gather_predictions([one, other])


def test_a_single_seed_and_one_there_twice_are_reported(made: Made) -> None:
    rows = table(*"ab")
    runs = [made.run(rows, cell="lstm"), made.run(rows, seed=3), made.run(rows, seed=3)]
    (predictions,), _ = gather_predictions(runs)
    twice, single = predictions.notes
    assert twice.startswith("gru: 2 runs of 1 seeds")
    assert single.startswith("lstm: a single seed (0), so its intervals hold for other test items")


def test_what_has_no_item_in_common_is_left_out(made: Made) -> None:
    apart = [made.run(table(*"ab"), data="x"), made.run(table(*"cd"), data="x")]
    found, missing = gather_predictions([*apart, made.run(table(*"ab"))])
    assert [each.data for each in found] == ["synthetic"]
    assert missing == [f"run {run.name}: no test item that all runs have" for run in apart]
    with pytest.raises(InputError, match="expected at least one finished run with predictions"):
        gather_predictions(apart)


def test_labels_must_agree(made: Made) -> None:
    rows = table(*"ab")
    runs = [made.run(rows), made.run(rows.assign(label=["sg", "sg"]))]
    with pytest.raises(InputError, match="expected the labels of run"):
        gather_predictions(runs)


def test_strata_are_those_of_the_accuracy_tables(made: Made) -> None:
    (predictions,), _ = gather_predictions([made.run(table(*"abcdef"))])
    strata, masks = strata_of(predictions.items)
    counts = accuracy_table(predictions.items.assign(n=1, correct=0))
    expected = [tuple(row) for row in counts[["by", "stratum", "n"]].to_numpy()]
    own = [(*name, int(mask.sum())) for name, mask in zip(strata, masks, strict=True)]
    assert own[: len(expected)] == expected
    assert ("condition", "hard 2", 1) in own
    members = dict(zip(strata, masks.tolist(), strict=True))
    assert np.flatnonzero(members["intervening_x_attractors", "6–10 × 4+"]).tolist() == [4]
    assert own[len(expected) :] == [
        (BY_NUMBER, "0", 1),
        (BY_NUMBER, "1", 1),
        (BY_NUMBER, "2", 1),
        (BY_NUMBER, "5", 1),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (table(*"ab").drop(columns="correct"), "expected a column 'correct', got "),
        (table(*"ab").assign(item="a"), "expected rows of different items, got 2 rows"),
        (table(*"ab").iloc[:0], "expected rows of different items, got 0 rows"),
    ],
)
def test_a_table_that_is_no_predictions_is_refused(
    rows: pd.DataFrame, message: str, tmp_path: Path
) -> None:
    rows.to_parquet(tmp_path / "predictions.parquet")
    with pytest.raises(InputError, match=f"predictions.parquet: {message}"):
        read_run_predictions(tmp_path / "predictions.parquet")


def test_a_damaged_file_is_reported_and_the_others_are_read(made: Made, tmp_path: Path) -> None:
    (tmp_path / "predictions.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="expected predictions as Parquet, got: "):
        read_run_predictions(tmp_path / "predictions.parquet")
    broken = made.run(table("a").drop(columns="label"))
    found, missing = gather_predictions([made.run(table(*"ab")), broken])
    assert len(found) == 1
    assert "expected a column 'label'" in missing[0]
