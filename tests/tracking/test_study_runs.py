"""The runs of a study as the store has them."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from mlflow.entities import Metric

from memgate.errors import InputError
from memgate.tracking.provenance import dataset_input
from memgate.tracking.store import connect, experiment
from memgate.tracking.study_runs import histories, run_file, study_runs

TAGS = {
    "study": "sizes",
    "study_run": "gru-8-seed3",
    "cell": "gru",
    "data": "synthetic",
    "task": "number",
    "seed": "3",
    "setting/units": "8",
    "setting/clip": "1.0",
    "study_setting": "1a2b",
    "other": "tag",
}


def make(**changed: str | None) -> str:
    tags = {key: value for key, value in {**TAGS, **changed}.items() if value is not None}
    run = connect().create_run(experiment("synthetic"), run_name="made", tags=tags)
    return str(run.info.run_id)


def test_a_run_says_what_it_is(project: Path) -> None:
    run_id, client = make(), connect()
    for split, rows in (("train", 30), ("test", 7)):
        items = datasets.Dataset.from_dict({"text": [f"the cat {split}"] * rows})
        client.log_inputs(run_id, [dataset_input(items, "synthetic", split, f"files of {split}")])  # type: ignore[arg-type]
    client.log_param(run_id, "hidden_size", 8)
    client.set_terminated(run_id)
    (run,) = study_runs("synthetic", "sizes")
    assert (run.run_id, run.name, run.status) == (run_id, "gru-8-seed3", "FINISHED")
    assert (run.cell, run.data, run.task, run.seed) == ("gru", "synthetic", "number", 3)
    assert run.digest == "1a2b"
    assert list(run.settings.items()) == [("clip", "1.0"), ("units", "8")]
    assert run.params == {"hidden_size": "8"}
    assert run.items == {"train": 30, "test": 7}
    assert set(run.sources) == {"files of train", "files of test"}


def test_what_a_run_lacks_is_empty(project: Path) -> None:
    make(study_setting=None)
    (run,) = study_runs("synthetic", "sizes")
    assert (run.items, run.sources, run.digest, run.status) == ({}, (), "", "RUNNING")


def test_curves_are_in_the_order_of_their_steps(project: Path) -> None:
    run_id = make()
    logged = [Metric("val/loss", 1 / (1 + step), 0, step) for step in (2, 0, 1)]
    connect().log_batch(run_id, metrics=logged)
    (run,) = study_runs("synthetic", "sizes")
    table = histories(run, ["train/loss", "val/loss"])
    assert table["metric"].unique().tolist() == ["val/loss"]
    assert table["step"].to_list() == [0, 1, 2]
    assert table["value"].to_list() == [1, 1 / 2, 1 / 3]


def test_a_file_is_found_or_the_run_named(project: Path) -> None:
    run_id = make()
    connect().log_text(run_id, "kept", "tables/note.txt")
    (run,) = study_runs("synthetic", "sizes")
    assert run_file(run, "tables/note.txt").read_text() == "kept"
    with pytest.raises(InputError, match=r"^run gru-8-seed3: expected tables/no.csv, got: "):
        run_file(run, "tables/no.csv")


@pytest.mark.parametrize("tag", ["study_run", "cell", "data", "task", "seed"])
def test_a_run_that_lacks_a_tag_is_no_studys(project: Path, tag: str) -> None:
    make(**{tag: None})
    with pytest.raises(InputError, match=f"^run made: expected a tag '{tag}', got none"):
        study_runs("synthetic", "sizes")


def test_a_seed_is_a_number(project: Path) -> None:
    make(seed="first")
    with pytest.raises(InputError, match="tag seed: expected a number, got 'first'"):
        study_runs("synthetic", "sizes")


@pytest.mark.parametrize("name", ["none", "it's", 'a "b', "sizes'; --"])
def test_an_unknown_study_is_told_beside_those_there_are(project: Path, name: str) -> None:
    make()
    with pytest.raises(InputError, match=r"expected a study in .*; studies: sizes$"):
        study_runs("synthetic", name)


def test_without_a_study_it_says_so(project: Path) -> None:
    for where in ("synthetic", "nowhere"):
        with pytest.raises(InputError, match=r"there is no study$"):
            study_runs(where, "sizes")


def test_a_deleted_run_is_none(project: Path) -> None:
    connect().delete_run(make())
    with pytest.raises(InputError, match="found none"):
        study_runs("synthetic", "sizes")
