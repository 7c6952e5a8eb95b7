"""`memgate study`: what is missing is made, what was stopped goes on, what fails stops no other."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from mlflow.entities import Run

from memgate.cli import main
from memgate.studies.jobs import locked
from memgate.studies.plan import PlannedRun, read_study
from memgate.studies.run import is_elsewhere, make_run
from memgate.tracking.delivery.spool import SPOOLS_FOLDER, Spool
from memgate.tracking.store import EXPERIMENT, connect, experiment, store_name
from memgate.tracking.study_runs import RETIRED, attempts, current_owner, search


def write(name: str = "mine", **content: Any) -> str:
    plan = {"cells": ["gru"], "data": ["synthetic"], "seeds": 2, **content}
    Path(f"{name}.yaml").write_text(yaml.safe_dump(plan))
    return f"{name}.yaml"


def by_name(study: str = "mine") -> dict[str, Run]:
    runs = list(search(EXPERIMENT, study))
    assert len(runs) == len({run.data.tags["study_run"] for run in runs})
    return {run.data.tags["study_run"]: run for run in runs}


def begun(run: PlannedRun, **tags: str) -> str:
    """Make a run in the store as a fit does that begins it: RUNNING."""
    common = {"cell": "gru", "data": "synthetic", "task": "number", "seed": run.name[-1]}
    client = connect()
    made = client.create_run(experiment(EXPERIMENT), tags={**common, **run.tags, **tags})
    return str(made.info.run_id)


def plan(**content: Any) -> list[PlannedRun]:
    return read_study(Path(write(**content))).runs(owner=current_owner())


@pytest.mark.processes
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
    # with fewer seeds all stay
    assert main(["study", write(seeds=[1])]) == 0
    assert "1 runs, 1 done, 0 to do" in capsys.readouterr().out
    assert by_name().keys() == second.keys()
    # with other settings what was made before leaves the study, whatever its seed
    assert main(["study", write(seeds=[0], settings={"model.hidden_size": 3})]) == 0
    assert "3 runs of other settings left the study" in capsys.readouterr().out
    (third,) = by_name().values()
    assert third.data.params["hidden_size"] == "3"
    for old in second.values():
        assert connect().get_run(old.info.run_id).data.tags[RETIRED] == "mine"


def test_a_report_of_two_settings_is_refused(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (one, *_), (*_, two) = plan(), plan(settings={"model.hidden_size": 3})
    for run in (one, two):
        connect().set_terminated(begun(run))
    assert main(["report", "mine", "--out", "out"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "gru: expected runs that differ by their seed alone" in line


def test_what_can_not_be_begun_takes_nothing_out(empty: Path) -> None:
    for run in plan():
        connect().set_terminated(begun(run))
    assert main(["study", write(settings={"model.hiden_size": 3})]) == 2
    assert len(by_name()) == 2


def test_a_run_whose_ending_waits_is_done(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = plan(seeds=1)
    run_id = begun(run)
    spool = Spool.create(
        SPOOLS_FOLDER.absolute() / run_id, {"run": run.name, "store": store_name()}
    )
    spool.mark_started()
    spool.add_item("end", {"status": "FINISHED", "time": 1})
    spool.close()
    assert main(["study", write(seeds=1)]) == 0
    assert "1 runs, 1 done, 0 to do" in capsys.readouterr().out
    make_run(run)  # as a process that was told to before it was delivered
    (there,) = by_name().values()
    assert (there.info.run_id, there.info.status) == (run_id, "FINISHED")


@pytest.mark.processes
def test_a_run_that_the_store_lacks_at_the_end_is_reported(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, files = write(seeds=1), Path("mlruns/artifacts")

    def take_away() -> None:
        while not list(SPOOLS_FOLDER.glob("*/begun")):
            time.sleep(0.01)
        files.rename("away")
        files.touch()  # no folder: files are refused from now on, and all behind them waits

    away = threading.Thread(target=take_away, daemon=True)
    away.start()
    assert main(["study", file, "--jobs", "1"]) == 2
    away.join()
    printed = capsys.readouterr()
    assert "all runs are finished" not in printed.out
    assert printed.err.splitlines()[-1] == (
        "memgate: error: study mine: 1 of 1 runs aren't finished in the store: "
        "gru-synthetic-seed0; `memgate sync` delivers what waits in mlruns/spool"
    )
    (waiting,) = by_name().values()
    assert waiting.info.status == "RUNNING"
    files.unlink()
    Path("away").rename(files)
    assert main(["study", file]) == 0
    assert "1 runs, 1 done, 0 to do" in capsys.readouterr().out
    (run,) = by_name().values()
    assert (run.info.run_id, run.info.status) == (waiting.info.run_id, "FINISHED")
    (version,) = connect().search_model_versions("name='memgate-gru-synthetic'")
    assert version.run_id == run.info.run_id


def test_what_others_make_is_left_alone(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run, done) = plan()
    run_id = begun(run, study_owner="other:/folder")
    connect().set_terminated(begun(done, study_owner="other:/folder"))
    assert main(["study", write()]) == 2
    printed = capsys.readouterr()
    about = f"left alone, still running at other:/folder: {run.name} (run {run_id})"
    assert about in printed.out.splitlines()
    assert "1 done, 0 to do" in printed.out
    assert f"1 of 2 runs aren't finished in the store: {run.name}" in printed.err
    assert main(["study", write(settings={"model.hidden_size": 3})]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "study mine: expected a name that nobody else uses, got run " in line
    assert by_name()[run.name].info.status == "RUNNING"
    assert all(RETIRED not in each.data.tags for each in by_name().values())


def test_what_is_others(empty: Path) -> None:
    (run,) = plan(seeds=1)
    run_id = begun(run)
    (mine,) = attempts(EXPERIMENT, "mine")
    assert not is_elsewhere(mine, run.owner)
    others = replace(mine, owner="other:/folder")
    nobodys = replace(mine, owner="")
    assert is_elsewhere(others, run.owner)
    assert is_elsewhere(replace(others, finished=True, running=False), run.owner)
    assert is_elsewhere(nobodys, run.owner)
    assert not is_elsewhere(replace(nobodys, running=False), run.owner)
    Path("mlruns/checkpoints", run.name, run_id).mkdir(parents=True)  # the folder was moved
    assert not is_elsewhere(others, run.owner)


@pytest.mark.processes
def test_what_fails_is_reported_and_stops_no_other(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(seeds=1, vary={"model.hidden_size": [0, 3]})
    assert main(["study", file, "--jobs", "1"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors == [
        "gru-synthetic-hidden_size0-seed0: --model.hidden_size: expected at least 1, got 0",
        "memgate: error: 1 of 2 runs failed, see above; the same command goes on with them",
    ]
    (run,) = [run for run in by_name().values() if run.info.status == "FINISHED"]
    assert run.data.tags["setting/model.hidden_size"] == "3"


@pytest.mark.processes
def test_a_killed_study_goes_on_where_its_runs_were(empty: Path) -> None:
    file = write(cells=["gru"], seeds=1, settings={"trainer.max_epochs": 150})
    command = [sys.executable, "-m", "memgate", "study", file, "--jobs", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as study:
        deadline = time.monotonic() + 120
        while not list(Path("mlruns").glob("checkpoints/*/*/checkpoints/last.ckpt")):
            assert study.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        workers = psutil.Process(study.pid).children(recursive=True)
        study.send_signal(signal.SIGKILL)
    (killed,) = by_name().values()
    assert killed.info.status == "RUNNING"
    assert psutil.wait_procs(workers, timeout=60)[1] == []  # they end by themselves
    assert main(["study", file, "--jobs", "1"]) == 0
    (run,) = by_name().values()
    assert run.info.run_id == killed.info.run_id
    assert run.info.status == "FINISHED"
    history = connect().get_metric_history(run.info.run_id, "val/accuracy")
    steps = [point.step for point in history]
    assert steps == sorted(set(steps))


def test_a_study_is_at_work_once(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(Path("mlruns/studies/mine"), "memgate study"):
        assert main(["study", write()]) == 2
    assert "another `memgate study` is at work there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        (
            {"settings": {"model.hiden_size": 3}},
            [],
            "gru-synthetic-seed0: unknown option --model.hiden_size; did you mean",
        ),
        ({}, ["--jobs", "0"], "--jobs: expected at least 1 process, got 0"),
        ({}, ["--ray", "127.0.0.1:1"], "--ray 127.0.0.1:1: expected auto or HOST:PORT"),
        ({"search": {"trials": 2}}, [], "search: expected trials, a number of at least 1, and"),
    ],
    ids=["setting", "jobs", "ray", "search"],
)
def test_wrong_input_is_one_line(
    content: dict[str, Any],
    more: list[str],
    message: str,
    empty: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["study", write(**content), *more]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("memgate: error: ")
    assert message in line
