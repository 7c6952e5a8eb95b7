"""Who is champion, and a record that outlives kills, races and other programs."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from memgate.errors import InputError
from memgate.predictor import Predictor
from memgate.tracking.registry.champion import (
    CHANGE,
    DECISION,
    Change,
    How,
    champion_of,
    changes_of,
    keep_refusal,
    now,
    previous,
    set_champion,
    set_first_champion,
)
from memgate.tracking.registry.versions import register
from memgate.tracking.store import connect, experiment

NAME = "memgate-gru-synthetic"


@pytest.fixture
def five(project: Path) -> None:
    """Versions 2 to 5, without a model of their own."""
    source = str(connect().get_model_version(NAME, "1").source)
    for _ in range(4):
        connect().create_model_version(NAME, source)


def move(version: str, replaced: str | None, how: How = "promoted", why: str = "") -> None:
    set_champion(NAME, Change(now(), version, replaced, how, why))


def record() -> list[tuple[str, str | None, str, bool]]:
    return [
        (change.version, change.replaced, change.how, change.took_effect)
        for change in changes_of(NAME)
    ]


def decisions(version: str) -> list[str]:
    """What is kept of decisions on a version, in their order."""
    tags = connect().get_model_version(NAME, version).tags
    return [str(tags[key]) for key in sorted(tags) if key.startswith(DECISION)]


def test_the_first_is_recorded(project: Path, predictor: Predictor) -> None:
    (first,) = changes_of(NAME)
    assert (first.version, first.replaced, first.how, first.took_effect) == (
        "1",
        None,
        "registered",
        1,
    )
    assert first.at.endswith("Z")
    assert first.at < now()
    run_id = connect().create_run(experiment("synthetic")).info.run_id
    register(run_id, predictor, "memgate-new", {})
    assert champion_of("memgate-new") == "1"
    assert [change.version for change in changes_of("memgate-new")] == ["1"]
    assert previous("memgate-new") is None


def test_the_first_champion_can_be_set_again(project: Path, five: None) -> None:
    set_first_champion(connect(), NAME, "1")
    set_first_champion(connect(), NAME, "2")
    assert (champion_of(NAME), len(changes_of(NAME))) == ("1", 1)
    connect().delete_registered_model_alias(NAME, "champion")  # as if stopped before it was set
    set_first_champion(connect(), NAME, "2")
    assert champion_of(NAME) is None
    set_first_champion(connect(), NAME, "1")
    assert (champion_of(NAME), len(changes_of(NAME))) == ("1", 1)


def test_changes_are_listed_in_order(project: Path, five: None) -> None:
    move("3", "1")
    move("2", "3", "forced", "it's quicker, “really”")
    assert record() == [
        ("1", None, "registered", True),
        ("3", "1", "promoted", True),
        ("2", "3", "forced", True),
    ]
    assert changes_of(NAME)[-1].why == "it's quicker, “really”"
    assert champion_of(NAME) == "2"


def test_a_record_is_a_plain_sentence(project: Path, five: None) -> None:
    set_champion(NAME, Change(now(), "2", "1", "forced", "for the talk"))
    tags = connect().get_registered_model(NAME).tags
    (first, second) = (tags[key] for key in sorted(tags) if key.startswith(CHANGE))
    assert first == "version 1 registered"
    assert second == "version 2 forced, in place of version 1: for the talk"


@pytest.mark.parametrize("replaced", [None, "7"])
@pytest.mark.parametrize("why", ["", "so: it is", "two\nlines", ", in place of version 3: x"])
@pytest.mark.parametrize("how", get_args(How))
def test_records_are_read_as_they_were_written(
    project: Path, how: How, why: str, replaced: str | None
) -> None:
    change = Change("2020-01-01T00:00:00.000000Z", "12", replaced, how, why)
    key = f"{CHANGE}{change.at}/12"
    client = connect()
    client.set_registered_model_tag(NAME, key, change.record())
    assert changes_of(NAME)[0] == replace(change, took_effect=changes_of(NAME)[0].took_effect)
    old = {"version": "12", "replaced": replaced, "how": how, "why": why}
    written = {name: value for name, value in old.items() if value}
    client.set_registered_model_tag(NAME, key, json.dumps(written))
    assert changes_of(NAME)[0] == replace(change, took_effect=changes_of(NAME)[0].took_effect)


def test_decisions_are_kept(project: Path, five: None) -> None:
    set_champion(NAME, Change(now(), "2", "1", "promoted"), "n 3")
    set_champion(NAME, Change(now(), "1", "2", "put back"))
    set_champion(NAME, Change(now(), "2", "1", "promoted"), "n 4")
    assert decisions("2") == ["n 3", "n 4"], "no record is lost"
    assert decisions("1") == []
    keep_refusal(NAME, "3", "n 5")
    keep_refusal(NAME, "3", "n 6")
    assert decisions("3") == ["n 5", "n 6"]
    assert (champion_of(NAME), len(changes_of(NAME))) == ("2", 4)


def test_another_champion_meanwhile_stops_it(project: Path, five: None) -> None:
    move("2", "1")
    with pytest.raises(InputError, match="version 2 became champion while version 3 was compared"):
        set_champion(NAME, Change(now(), "3", "1", "promoted"), "passed")
    assert decisions("3") == []
    assert len(changes_of(NAME)) == 2


def test_going_back_goes_further_each_time(project: Path, five: None) -> None:
    move("2", "1")
    move("3", "2")
    assert previous(NAME) == "2"
    move("2", "3", "put back")
    assert previous(NAME) == "1", "and not 3, from which one came"
    move("1", "2", "put back")
    assert previous(NAME) is None
    move("3", "1")
    move("2", "3")
    move("3", "2")
    assert previous(NAME) == "2"
    move("2", "3", "put back")
    assert previous(NAME) == "3", "2 was promoted in place of 3 before"


def test_a_kill_before_the_alias_moves_leaves_the_old_champion(project: Path, five: None) -> None:
    with closing(sqlite3.connect("mlruns/mlflow.db")) as store, store:
        store.execute(
            "CREATE TRIGGER stop BEFORE UPDATE ON registered_model_aliases "
            "BEGIN SELECT RAISE(ABORT, 'stopped here'); END"
        )
    with pytest.raises(InputError, match="stopped here") as caught:
        set_champion(NAME, Change(now(), "2", "1", "promoted"), "passed")
    assert "\n" not in str(caught.value)
    assert champion_of(NAME) == "1"
    assert record() == [("1", None, "registered", True), ("2", "1", "promoted", False)]
    with closing(sqlite3.connect("mlruns/mlflow.db")) as store, store:
        store.execute("DROP TRIGGER stop")
    set_champion(NAME, Change(now(), "3", "1", "promoted"))
    assert [change.took_effect for change in changes_of(NAME)] == [True, False, True]
    assert previous(NAME) == "1"


def test_two_at_once_are_both_recorded(project: Path, five: None) -> None:
    start, refused = threading.Barrier(2), []

    def promote(version: str) -> None:
        start.wait()
        try:
            set_champion(NAME, Change(now(), version, "1", "promoted"), f"version {version}")
        except InputError as error:  # who came later saw that there is another champion
            refused.append((version, str(error)))

    both = [threading.Thread(target=promote, args=(version,)) for version in ("2", "3")]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    changed = [change for change in changes_of(NAME) if change.how == "promoted"]
    assert len(changed) + len(refused) == 2
    assert champion_of(NAME) in {change.version for change in changed}
    assert [change.version for change in changed if change.took_effect] == [champion_of(NAME)]
    for version in ("2", "3"):
        kept = [f"version {version}"] if version in {change.version for change in changed} else []
        assert decisions(version) == kept
    assert all("became champion while" in error for _, error in refused)


def test_a_champion_of_other_programs(project: Path, five: None) -> None:
    move("2", "1")
    connect().set_registered_model_alias(NAME, "champion", "4")
    assert champion_of(NAME) == "4"
    assert record()[1:] == [("2", "1", "promoted", True)]
    assert previous(NAME) == "2"
    move("5", "4")
    assert previous(NAME) == "4", "who was found as champion counts"
    connect().set_registered_model_alias(NAME, "champion", "1")
    assert record() == [
        ("1", None, "registered", True),
        ("2", "1", "promoted", False),
        ("5", "4", "promoted", False),
    ]


def test_what_is_not_there(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for ask in (champion_of, changes_of, previous):
        with pytest.raises(InputError, match=f"nope: expected .*; registered models: {NAME}"):
            ask("nope")
    connect().create_registered_model("memgate-empty")
    assert champion_of("memgate-empty") is None
    assert changes_of("memgate-empty") == []
    assert previous("memgate-empty") is None
    connect().set_registered_model_tag(NAME, f"{CHANGE}2026-01-01/2", "[1]")
    with pytest.raises(InputError, match=r"tag champion/2026-01-01/2: expected a record .*\[1\]"):
        changes_of(NAME)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="found no file"):
        champion_of(NAME)
