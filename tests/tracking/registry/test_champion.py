"""Who is champion, and a record that outlives kills, races and other programs."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from memgate.errors import InputError
from memgate.predictor import Predictor
from memgate.tracking.registry.champion import (
    RECORD,
    Change,
    How,
    champion_of,
    change,
    history,
    now,
    previous,
    set_first_champion,
)
from memgate.tracking.registry.promotion import set_champion
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
    change(connect(), NAME, Change(now(), version, replaced, how, why))


def told() -> list[tuple[str, str | None, str, bool]]:
    return [(made.version, made.replaced, made.how, made.lasted) for made in history(NAME)]


def test_the_first_is_recorded(project: Path, predictor: Predictor) -> None:
    (first,) = history(NAME)
    assert (first.version, first.replaced, first.how, first.lasted) == ("1", None, "registered", 1)
    assert first.at.endswith("Z")
    assert first.at < now()
    run_id = connect().create_run(experiment("synthetic")).info.run_id
    register(run_id, predictor, "memgate-new", {})
    assert champion_of("memgate-new") == "1"
    assert [made.version for made in history("memgate-new")] == ["1"]
    assert previous("memgate-new") is None


def test_crowning_the_first_can_be_done_again(project: Path, five: None) -> None:
    set_first_champion(connect(), NAME, "1")
    set_first_champion(connect(), NAME, "2")
    assert (champion_of(NAME), len(history(NAME))) == ("1", 1)
    connect().delete_registered_model_alias(NAME, "champion")  # as if stopped before it was set
    set_first_champion(connect(), NAME, "2")
    assert champion_of(NAME) is None
    set_first_champion(connect(), NAME, "1")
    assert (champion_of(NAME), len(history(NAME))) == ("1", 1)


def test_changes_are_told_in_order(project: Path, five: None) -> None:
    move("3", "1")
    move("2", "3", "forced", "it's quicker, “really”")
    assert told() == [
        ("1", None, "registered", True),
        ("3", "1", "promoted", True),
        ("2", "3", "forced", True),
    ]
    assert history(NAME)[-1].why == "it's quicker, “really”"
    assert champion_of(NAME) == "2"


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
        set_champion(NAME, Change(now(), "2", "1", "promoted"), "{}")
    assert "\n" not in str(caught.value)
    assert champion_of(NAME) == "1"
    assert told() == [("1", None, "registered", True), ("2", "1", "promoted", False)]
    with closing(sqlite3.connect("mlruns/mlflow.db")) as store, store:
        store.execute("DROP TRIGGER stop")
    set_champion(NAME, Change(now(), "3", "1", "promoted"))
    assert [made.lasted for made in history(NAME)] == [True, False, True]
    assert previous(NAME) == "1"


def test_two_at_once_are_both_recorded(project: Path, five: None) -> None:
    start, refused = threading.Barrier(2), []

    def promote(version: str) -> None:
        start.wait()
        try:
            set_champion(NAME, Change(now(), version, "1", "promoted"), f'{{"version": {version}}}')
        except InputError as error:  # who came later saw that there is another champion
            refused.append((version, str(error)))

    both = [threading.Thread(target=promote, args=(version,)) for version in ("2", "3")]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    changed = [made for made in history(NAME) if made.how == "promoted"]
    assert len(changed) + len(refused) == 2
    assert champion_of(NAME) in {made.version for made in changed}
    assert [made.version for made in changed if made.lasted] == [champion_of(NAME)]
    decisions = connect().get_model_version(NAME, "1").tags
    assert sum(key.startswith("decision/") for key in decisions) == len(changed)
    assert all("became champion while" in error for _, error in refused)


def test_a_champion_of_other_programs(project: Path, five: None) -> None:
    move("2", "1")
    connect().set_registered_model_alias(NAME, "champion", "4")
    assert champion_of(NAME) == "4"
    assert told()[1:] == [("2", "1", "promoted", True)]
    assert previous(NAME) == "2"
    move("5", "4")
    assert previous(NAME) == "4", "who was found as champion counts"
    connect().set_registered_model_alias(NAME, "champion", "1")
    assert told() == [
        ("1", None, "registered", True),
        ("2", "1", "promoted", False),
        ("5", "4", "promoted", False),
    ]


def test_what_is_not_there(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for ask in (champion_of, history, previous):
        with pytest.raises(InputError, match=f"nope: expected .*; registered models: {NAME}"):
            ask("nope")
    connect().create_registered_model("memgate-empty")
    assert champion_of("memgate-empty") is None
    assert history("memgate-empty") == []
    assert previous("memgate-empty") is None
    connect().set_registered_model_tag(NAME, f"{RECORD}2026-01-01/2", "[1]")
    with pytest.raises(InputError, match=r"tag champion/2026-01-01/2: expected a record .*\[1\]"):
        history(NAME)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="found no file"):
        champion_of(NAME)
