"""`memgate study`: what is missing is made, what was stopped goes on, what fails stops no other."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow.entities import Run

from memgate.cli import main
from memgate.commands.lightning_cli import EXPERIMENT
from memgate.tracking.store import connect
from memgate.tracking.studies import RETIRED
from memgate.tracking.study_runs import search


def write(name: str = "mine", **said: Any) -> str:
    given = {"cells": ["gru"], "data": ["synthetic"], "seeds": 2, **said}
    Path(f"{name}.yaml").write_text(yaml.safe_dump(given))
    return f"{name}.yaml"


def by_name(study: str = "mine") -> dict[str, Run]:
    runs = list(search(EXPERIMENT, study))
    assert len(runs) == len({run.data.tags["study_run"] for run in runs})
    return {run.data.tags["study_run"]: run for run in runs}


def test_a_study_makes_what_is_missing(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", write(), "--jobs", "2"]) == 0
    first = by_name()
    assert set(first) == {"gru-synthetic-seed0", "gru-synthetic-seed1"}
    assert all(run.info.status == "FINISHED" for run in first.values())
    versions = connect().search_model_versions("name='memgate-gru-synthetic'")
    assert {version.tags["study_run"] for version in versions} == set(first)
    assert {version.tags["study"] for version in versions} == {"mine"}
    assert main(["study", write(seeds=3), "--jobs", "2"]) == 0
    assert "3 runs, 2 done, 1 to do" in capsys.readouterr().out
    second = by_name()
    assert len(second) == 3
    assert {name: second[name].info.run_id for name in first} == {
        name: run.info.run_id for name, run in first.items()
    }
    # made with other settings it is made anew, and the old run leaves the study
    assert main(["study", write(seeds=[0], settings={"model.hidden_size": 3})]) == 0
    third = by_name()
    assert third["gru-synthetic-seed0"].info.run_id != first["gru-synthetic-seed0"].info.run_id
    assert third["gru-synthetic-seed0"].data.params["hidden_size"] == "3"
    old = connect().get_run(first["gru-synthetic-seed0"].info.run_id).data.tags
    assert old[RETIRED] == "mine"


def test_what_fails_is_told_and_stops_no_other(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = write(seeds=1, vary={"model.hidden_size": [0, 3]})
    assert main(["study", given, "--jobs", "1"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "gru-synthetic-hidden_size0-seed0: hidden_size: expected at least 1, got 0",
        "memgate: error: 1 of 2 runs failed, see above; the same command goes on with them",
    ]
    (run,) = [run for run in by_name().values() if run.info.status == "FINISHED"]
    assert run.data.tags["setting/model.hidden_size"] == "3"


def test_a_killed_study_goes_on_where_its_runs_were(empty: Path) -> None:
    given = write(cells=["gru"], seeds=1, settings={"trainer.max_epochs": 150})
    command = [sys.executable, "-m", "memgate", "study", given, "--jobs", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as study:
        deadline = time.monotonic() + 120
        while not list(Path("mlruns").glob("checkpoints/*/*/checkpoints/last.ckpt")):
            assert study.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        study.send_signal(signal.SIGKILL)
    (killed,) = by_name().values()
    assert killed.info.status == "RUNNING"
    time.sleep(0.5)  # its worker ends by itself
    assert main(["study", given, "--jobs", "1"]) == 0
    (run,) = by_name().values()
    assert run.info.run_id == killed.info.run_id
    assert run.info.status == "FINISHED"
    history = connect().get_metric_history(run.info.run_id, "val/accuracy")
    steps = [point.step for point in history]
    assert steps == sorted(set(steps))


def test_a_study_is_at_work_once(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from memgate.commands.jobs import alone

    with alone(Path("mlruns/studies/mine"), "memgate study"):
        assert main(["study", write()]) == 2
    assert "another `memgate study` is at work there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "more", "told"),
    [
        ({"settings": {"model.hiden_size": 3}}, [], "gru-synthetic-seed0: unrecognized arguments"),
        ({}, ["--jobs", "0"], "--jobs: expected at least 1 process, got 0"),
        ({}, ["--ray", "127.0.0.1:1"], "--ray 127.0.0.1:1: expected auto or HOST:PORT"),
        ({"search": {"trials": 2}}, [], "search: expected trials, a number of at least 1, and"),
        (
            {"search": {"trials": 2, "settings": {"model.dropout": {"low": 1}}}},
            [],
            "search: model.dropout: expected low and high",
        ),
    ],
    ids=["setting", "jobs", "ray", "search", "range"],
)
def test_wrong_input_is_one_line(
    said: dict[str, Any],
    more: list[str],
    told: str,
    empty: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["study", write(**said), *more]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("memgate: error: ")
    assert told in line
