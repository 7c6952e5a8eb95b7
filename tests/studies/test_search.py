"""The search for settings: trials are counted, pruned and gone on with, and the best is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from memgate.cli import main
from memgate.pool import ProcessPool
from memgate.studies.plan import Study, read_study
from memgate.studies.search import TrialJob, read_space, search_settings, suggest
from memgate.tracking.store import EXPERIMENT, connect
from memgate.tracking.study_runs import search

SPACE = {"model.hidden_size": {"low": 2, "high": 6}, "data.batch_size": {"choices": [32, 64]}}


def planned(trials: int = 2, space: Any = SPACE, **more: Any) -> Study:
    content = {"cells": ["gru"], "data": ["synthetic"], "seeds": 1, **more}
    content["search"] = {"trials": trials, "settings": space}
    Path("mine.yaml").write_text(yaml.safe_dump(content))
    return read_study(Path("mine.yaml"))


def trial_of(study: Study) -> TrialJob:
    """A trial of the first group."""
    return TrialJob(study, study.groups[0], STORAGE)


def opened(study: Study) -> optuna.Study:
    return optuna.load_study(study_name=trial_of(study).search, storage=STORAGE)


def states(study: Study) -> list[str]:
    return [trial.state.name for trial in opened(study).trials]


STORAGE = "sqlite:///mlruns/studies/mine/search.db"


@pytest.mark.processes
def test_the_best_settings_are_trained_and_registered(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = planned()
    assert main(["study", "mine.yaml", "--jobs", "2"]) == 0
    printed = capsys.readouterr().out
    assert "search mine: 2 trials, 2 to do in 2 processes" in printed
    assert states(study) == ["COMPLETE", "COMPLETE"]
    best = opened(study).best_trial
    (run,) = search(EXPERIMENT, "mine")
    assert run.data.params["hidden_size"] == str(best.params["model.hidden_size"])
    assert run.data.params["batch_size"] == str(best.params["data.batch_size"])
    (version,) = connect().search_model_versions("name='memgate-gru-synthetic'")
    assert version.run_id == run.info.run_id  # a trial is no version
    assert not list(Path("mlruns/checkpoints").glob("*trial*/*/checkpoints"))
    assert main(["study", "mine.yaml"]) == 0
    assert "2 trials, 0 to do" in capsys.readouterr().out


@pytest.mark.processes
def test_a_trial_that_was_killed_is_made_up_for_and_a_bad_one_is_pruned(empty: Path) -> None:
    study = planned(trials=7)
    folder = Path("mlruns/studies/mine")
    folder.mkdir(parents=True)
    asked = trial_of(study).open()
    for _ in range(6):  # as good as none of these networks will be
        trial = asked.ask()
        trial.suggest_int("model.hidden_size", 2, 6)
        trial.suggest_categorical("data.batch_size", [32, 64])
        for epoch in range(2):
            trial.report(1.0, epoch)
        asked.tell(trial, 1.0)
    asked.ask()  # as a process leaves it that is killed
    with ProcessPool(1) as pool:
        result = search_settings(study, folder, pool)
    assert states(study) == ["COMPLETE"] * 6 + ["FAIL", "PRUNED"]
    assert result.settings["gru-synthetic"].keys() == SPACE.keys()
    client = connect()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["pruned"] == "True"
    assert run.data.tags["search"] == "mine"
    assert run.info.status == "FINISHED"
    assert "study" not in run.data.tags


@pytest.mark.processes
def test_failed_trials_are_reported_and_stop_nothing_else(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = planned(2, {"model.hidden_size": {"low": 0, "high": 0}}, cells=["rnn", "gru"])
    Path("mlruns/studies/mine").mkdir(parents=True)
    ended = optuna.trial.create_trial(
        value=0.5,
        params={"model.hidden_size": 3},
        distributions={"model.hidden_size": optuna.distributions.IntDistribution(0, 3)},
    )
    trial_of(study).open().add_trial(ended)  # of the RNN's search; the others fail
    assert main(["study", "mine.yaml", "--jobs", "1"]) == 2
    failed = ("rnn-synthetic-trial1", "gru-synthetic-trial0", "gru-synthetic-trial1")
    assert capsys.readouterr().err.splitlines() == [
        *(f"{name}: --model.hidden_size: expected at least 1, got 0" for name in failed),
        "memgate: error: search: no trial was completed for gru-synthetic; "
        "the same command goes on with them",
    ]
    assert states(study) == ["COMPLETE", "FAIL"]
    (run,) = search(EXPERIMENT, "mine")
    assert (run.data.tags["cell"], run.info.status) == ("rnn", "FINISHED")
    assert run.data.params["hidden_size"] == "3"


def test_a_search_of_something_else_is_another(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def name(**more: Any) -> str:
        return trial_of(planned(**more)).search

    before = name()
    assert name(trials=5) == before, "more trials go on with it"
    others = {
        name(space={"model.hidden_size": {"low": 2, "high": 7}}),
        name(space={"model.embedding_size": {"low": 2, "high": 6}}),
        name(settings={"trainer.max_epochs": 1}),
        name(seeds=[3]),
        name(cells=["rnn"]),
    }
    Path("configs/cell/gru.yaml").write_text("model: {cell: gru, hidden_size: 3}")
    others.add(name())
    Path("configs/data/synthetic.yaml").write_text("data: {name: $MEMGATE_DATA}")
    others.add(name())
    monkeypatch.setenv("MEMGATE_DATA", "/elsewhere")
    others.add(name())
    assert len(others - {before}) == 8


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"low": 1}, "expected low and high"),
        ({"low": "x", "high": 2}, "low: expected a number, got 'x'"),
        ({"low": "1e-4", "high": 2}, "low: expected a number, got '1e-4'; YAML reads 1e-3 as"),
        ({"low": True, "high": 2}, "low: expected a number, got True"),
        ({"low": 0, "high": float("inf")}, "high: expected a number, got inf"),
        ({"low": 5, "high": 2}, "expected low to be at most high, got 5 and 2"),
        ({"low": 0, "high": 1, "log": True}, "expected log: true with low above 0"),
        ({"low": 1, "high": 9, "log": True, "step": 2}, "expected log: true with low above 0"),
        ({"low": 1, "high": 9, "log": "yes"}, "expected log: true"),
        ({"low": 1, "high": 9, "step": 0}, "step: expected a whole number above 0, got 0"),
        ({"low": 1, "high": 9, "step": 0.5}, "step: expected a whole number above 0, got 0.5"),
        ({"low": 1.0, "high": 9, "step": -1}, "step: expected a number above 0, got -1"),
        ({"choices": []}, "expected choices, a list of values; got []"),
        ({"choices": 3}, "expected choices, a list of values; got 3"),
        ({"choices": [[1]]}, "expected choices, a list of values; got [[1]]"),
    ],
    ids=str,
)
def test_an_impossible_range_is_refused_before_any_process_starts(
    bounds: Any, message: str, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned(space={"model.dropout": bounds})
    assert main(["study", "mine.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("memgate: error: mine.yaml: search: model.dropout: ")
    assert message in line
    assert not Path("mlruns").exists()


@pytest.mark.parametrize(
    "bounds",
    [
        {"low": 2, "high": 2},
        {"low": 2, "high": 8, "step": 3},
        {"low": 1, "high": 9, "log": True},
        {"low": 0.0, "high": 1, "step": 0.25},
        {"low": 1e-4, "high": 1, "log": True},
        {"low": -1.5, "high": 0, "log": False},
        {"choices": [1, 2.5, "a", True, None]},
    ],
    ids=str,
)
def test_what_passes_as_a_range_optuna_takes(bounds: dict[str, Any], empty: Path) -> None:
    read_space(planned(space={"model.dropout": bounds}))
    asked = optuna.create_study().ask()
    proposed = suggest(asked, "model.dropout", bounds)
    if "choices" in bounds:
        assert proposed in bounds["choices"]
    else:
        assert bounds["low"] <= proposed <= bounds["high"]
