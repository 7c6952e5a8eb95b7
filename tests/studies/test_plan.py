"""What a study's file says, and the runs that come of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from memgate.errors import InputError
from memgate.studies.plan import read_study
from memgate.tracking.study_runs import current_owner


def study(folder: Path, **content: object) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({"data": ["synthetic"], **content}, sort_keys=False))
    return path


def test_runs_are_groups_times_seeds_times_what_varies(empty: Path) -> None:
    path = study(
        empty,
        cells=["gru", "rnn"],
        tasks=["number", "inflection"],
        seeds=[0, 3],
        settings={"trainer.max_epochs": 1},
        vary={"model.hidden_size": [4, 6], "model.dropout": [0.0, 0.5]},
    )
    planned = read_study(path)
    runs = planned.runs(owner=current_owner())
    assert len(runs) == len({run.name for run in runs}) == 32
    assert len({run.digest for run in runs}) == 16, "seeds share one"
    assert runs[0].name == "gru-synthetic-hidden_size4-dropout0.0-seed0"
    assert "rnn-synthetic-inflection-hidden_size6-dropout0.5-seed3" in {run.name for run in runs}
    first = runs[0]
    assert first.tags["study"] == "mine"
    assert first.tags["study_setting"] == first.digest
    assert first.tags["study_owner"].endswith(f":{empty}")
    assert first.tags["setting/model.dropout"] == "0.0"
    assert {"--trainer.max_epochs=1", "--seed_everything=0", "--data.task=number"} <= set(
        first.arguments
    )
    # configurations travel as text: no file of this machine is named
    assert not any("configs/" in argument for argument in first.arguments)


def test_what_changes_the_result_changes_the_digest(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(**content: object) -> str:
        return read_study(study(empty, **content)).runs()[0].digest

    before = digest()
    assert digest() == before
    assert digest(seeds=[0, 1]) == before  # another run more
    others = {digest(settings={"model.dropout": 0.1}), digest(tasks=["inflection"])}
    (empty / "configs/data/synthetic.yaml").write_text("data: {name: $MEMGATE_DATA}")
    others.add(digest())
    monkeypatch.setenv("MEMGATE_DATA", "/elsewhere")
    others.add(digest())
    assert len(others | {before}) == 5


def test_what_changes_no_result_changes_no_digest(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digests() -> set[str]:
        settings = {"model.dropout": 0.1, "data.batch_size": 32}
        turned = dict(reversed(settings.items()))
        plans = [study(empty, seeds=3, cells=["gru"], settings=each) for each in (settings, turned)]
        return {run.digest for plan in plans for run in read_study(plan).runs()}

    (before,) = digests()  # of all seeds
    monkeypatch.setenv("MEMGATE_DATA", "/elsewhere")
    assert digests() == {before}, "no configuration names it"
    data = empty / "configs/data/synthetic.yaml"
    data.write_text(f"# why\n\n{data.read_text()}")
    cell = empty / "configs/cell/gru.yaml"
    cell.write_text("model:\n  cell:   'gru' # the same\n")
    assert digests() == {before}
    data.write_text("data: {name: synthetic, source: $MEMGATE_DATA/here}")
    (named,) = digests()
    monkeypatch.setenv("MEMGATE_DATA", "/elsewhere/./")
    assert digests() == {named}


def test_shipped_configurations_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (group,) = read_study(study(tmp_path, cells=["gru"])).groups
    assert "cell: gru" in "".join(group.configurations)


def test_a_configuration_that_is_none_is_reported(empty: Path) -> None:
    for text, message in (("a: [", "expected YAML"), ("- 1", "expected names with values")):
        (empty / "configs/cell/rnn.yaml").write_text(text)
        with pytest.raises(InputError, match=f"configs/cell/rnn.yaml: {message}"):
            read_study(study(empty))


def test_found_settings_give_way_to_what_varies(empty: Path) -> None:
    searched = {"trials": 1, "settings": {"model.hidden_size": {"choices": [9]}}}
    path = study(
        empty, cells=["gru", "rnn"], seeds=1, vary={"model.hidden_size": [4]}, search=searched
    )
    found = {"gru-synthetic": {"model.hidden_size": 9, "data.batch_size": 32}}
    (run,) = read_study(path).runs(found)
    sizes = [it for it in run.arguments if "hidden_size=" in it]
    assert sizes == ["--model.hidden_size=4"]
    assert "--data.batch_size=32" in run.arguments


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"sedes": 3},
            "expected cells, data, tasks, seeds, settings, vary, search; got sedes; did you mean "
            "seeds?",
        ),
        ({"cells": ["gur"]}, "cells: expected a list of names among rnn, gru, lstm, got"),
        ({"cells": "gru"}, "cells: expected a list of names"),
        ({"tasks": ["numbers"]}, "tasks: expected a list of names among number,"),
        ({"data": []}, "data: expected a list of names, got"),
        (
            {"data": ["none"]},
            "data/none.yaml: expected a configuration file, found none; there are data/",
        ),
        ({"seeds": 0}, "seeds: expected how many, or a list of different ones, got 0"),
        ({"seeds": [1, 1]}, "seeds: expected how many"),
        ({"seeds": True}, "seeds: expected how many"),
        ({"vary": {"model.dropout": 0.5}}, "vary: model.dropout: expected a list of values, got 0"),
        ({"settings": [1]}, "settings: expected names with values"),
        ({"vary": {"model.dropout": ["a/b", "a:b"]}}, "expected runs of different names"),
        (
            {"vary": {"seed_everything": [1, 2]}},
            "vary: expected settings that seeds doesn't set, got seed_everything",
        ),
        ({"settings": {"data.task": "inflection"}}, "settings: .* that tasks doesn't set"),
        (
            {"settings": {"model": {"cell": "rnn"}}},
            "settings: .* that cells doesn't set, got model",
        ),
        ({"search": {"settings": {"data.seed": {}}}}, "search: .* that seeds doesn't set"),
        ({"settings": {"data.name": "mine"}}, "settings: .* that data doesn't set"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_reported(content: dict[str, object], message: str, empty: Path) -> None:
    with pytest.raises(InputError, match=message.replace("[", r"\[")):
        read_study(study(empty, **content)).runs()


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "expected YAML"), ("- 1", "expected names with values")]
)
def test_what_is_no_study_is_reported(text: str, message: str, empty: Path) -> None:
    (empty / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_study(empty / "mine.yaml")
