"""The search for settings: trials are counted, pruned and gone on with, and the best is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

from memgate.cli import main
from memgate.commands.lightning_cli import EXPERIMENT
from memgate.commands.search import find as find_settings
from memgate.commands.search import run_trial
from memgate.commands.study_plan import Study, read_study
from memgate.tracking.store import connect
from memgate.tracking.study_runs import search

SPACE = {"model.hidden_size": {"low": 2, "high": 6}, "data.batch_size": {"choices": [32, 64]}}


def planned(trials: int = 2, **space: Any) -> Study:
    said = {"cells": ["gru"], "data": ["synthetic"], "seeds": 1}
    said["search"] = {"trials": trials, "settings": space or SPACE}
    Path("mine.yaml").write_text(yaml.safe_dump(said))
    return read_study(Path("mine.yaml"), Path("configs"))


def states() -> list[str]:
    found = optuna.load_study(study_name="mine-gru-synthetic", storage=STORAGE)
    return [trial.state.name for trial in found.trials]


STORAGE = "sqlite:///mlruns/studies/mine/search.db"


def test_the_best_settings_are_trained_and_registered(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned()
    assert main(["study", "mine.yaml", "--jobs", "2"]) == 0
    printed = capsys.readouterr().out
    assert "search mine: 2 trials, 2 to do in 2 processes" in printed
    assert states() == ["COMPLETE", "COMPLETE"]
    best = optuna.load_study(study_name="mine-gru-synthetic", storage=STORAGE).best_trial
    (run,) = search(EXPERIMENT, "mine")
    assert run.data.params["hidden_size"] == str(best.params["model.hidden_size"])
    assert run.data.params["batch_size"] == str(best.params["data.batch_size"])
    (version,) = connect().search_model_versions("name='memgate-gru-synthetic'")
    assert version.run_id == run.info.run_id  # a trial is no version
    assert not list(Path("mlruns/checkpoints").glob("*trial*/*/checkpoints"))
    assert main(["study", "mine.yaml"]) == 0
    assert "2 trials, 0 to do" in capsys.readouterr().out


def test_a_trial_that_was_killed_is_made_up_for_and_a_bad_one_is_pruned(empty: Path) -> None:
    study = planned(trials=7)
    folder = Path("mlruns/studies/mine")
    folder.mkdir(parents=True)
    asked = optuna.create_study(
        study_name="mine-gru-synthetic", storage=STORAGE, direction="maximize"
    )
    for _ in range(6):  # as good as none of these networks will be
        trial = asked.ask()
        trial.suggest_int("model.hidden_size", 2, 6)
        trial.suggest_categorical("data.batch_size", [32, 64])
        for epoch in range(2):
            trial.report(1.0, epoch)
        asked.tell(trial, 1.0)
    asked.ask()  # as a process leaves it that is killed
    found = find_settings(study, folder, 1)
    assert states() == ["COMPLETE"] * 6 + ["FAIL", "PRUNED"]
    assert found["gru-synthetic"].keys() == SPACE.keys()
    client = connect()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params["pruned"] == "True"
    assert run.data.tags["search"] == "mine"
    assert run.info.status == "FINISHED"
    assert "study" not in run.data.tags


def test_a_trial_that_fails_is_told(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned(1, **{"model.hidden_size": {"choices": [0]}})
    assert main(["study", "mine.yaml", "--jobs", "1"]) == 2
    assert (
        "gru-synthetic-trial0: hidden_size: expected at least 1, got 0" in capsys.readouterr().err
    )
    assert states() == ["FAIL"]
    assert callable(run_trial)
