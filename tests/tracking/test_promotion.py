"""What a promotion or a refusal writes, and which versions differ by their seed alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from memgate.errors import InputError
from memgate.tracking.champion import Change, champion_of, history, now
from memgate.tracking.promotion import crown, refuse, require_version, same_setting
from memgate.tracking.store import connect, experiment

NAME = "memgate-gru-synthetic"


def add(seed: int | None, lr: str = "0.02", tags: dict[str, str] | None = None) -> str:
    """Another version, of a run with a seed and a learning rate."""
    client = connect()
    run = client.create_run(experiment("synthetic"), tags=tags)
    client.log_param(run.info.run_id, "learning_rate", lr)
    client.log_param(run.info.run_id, "seed", str(seed))
    source = str(client.get_model_version(NAME, "1").source)
    labels = {} if seed is None else {"seed": str(seed)}
    version = client.create_model_version(NAME, source, run.info.run_id, tags=labels)
    return str(version.version)


def tags(version: str) -> dict[str, str]:
    return dict(connect().get_model_version(NAME, version).tags)


def test_both_versions_tell_of_a_change(project: Path) -> None:
    old = tags("1")
    add(0)
    made = Change(now(), "2", "1", "forced", "for the talk")
    crown(NAME, made, '{"n":3}')
    assert tags("2") == {
        "seed": "0",
        "promoted": "forced",
        "promoted_at": made.at,
        "replaced": "1",
        "why": "for the talk",
        f"decision/{made.at}": '{"n":3}',
    }
    also = {"replaced_by": "2", "replaced_at": made.at, f"decision/{made.at}": '{"n":3}'}
    assert {key: value for key, value in tags("1").items() if key not in old} == also
    assert champion_of(NAME) == "2"
    back = Change(now(), "1", "2", "put back")
    crown(NAME, back)
    assert "replaced_by" not in tags("1"), "it is champion"
    assert tags("1")[f"decision/{made.at}"] == '{"n":3}', "no record is lost"
    assert tags("2")["replaced_by"] == "1"
    again = Change(now(), "2", "1", "promoted")
    crown(NAME, again, '{"n":4}')
    assert "why" not in tags("2"), "that was of an earlier change"
    assert {tags("2")[f"decision/{at}"] for at in (made.at, again.at)} == {'{"n":3}', '{"n":4}'}


def test_a_refusal_is_written_on_the_challenger_alone(project: Path) -> None:
    old = tags("1")
    add(0)
    refuse(NAME, "2", "1", '{"n":3}')
    refuse(NAME, "2", "1", '{"n":4}')
    found = tags("2")
    assert found["refused_against"] == "1"
    decisions = [found[key] for key in sorted(found) if key.startswith("decision/")]
    assert decisions == ['{"n":3}', '{"n":4}']
    assert (tags("1"), champion_of(NAME), len(history(NAME))) == (old, "1", 1)


def test_another_champion_meanwhile_stops_it(project: Path) -> None:
    add(0)
    add(1)
    crown(NAME, Change(now(), "2", "1", "promoted"))
    with pytest.raises(InputError, match="version 2 became champion while version 3 was held"):
        crown(NAME, Change(now(), "3", "1", "promoted"))
    assert tags("3") == {"seed": "1"}
    assert len(history(NAME)) == 2


def test_versions_are_named_where_one_is_missing(project: Path) -> None:
    add(0)
    assert require_version(NAME, "2").version in (2, "2")
    for version in ("7", "best", "", "-1"):
        with pytest.raises(InputError, match="expected a version, one of 1, 2; got") as caught:
            require_version(NAME, version)
        assert "\n" not in str(caught.value)


def test_seeds_of_one_setting(project: Path) -> None:
    champion = add(0)
    like, again, newest = add(1), add(2), add(2)
    other_rate, own_seed, no_seed = add(3, lr="0.1"), add(0), add(None)
    other_setting = add(4, tags={"setting/train": "100", "study": "sizes"})
    in_a_study = add(5, tags={"study": "sizes"})
    gone = add(6)
    connect().delete_registered_model_alias(NAME, "champion")
    run_id = str(connect().get_model_version(NAME, gone).run_id)
    connect().set_tag(run_id, "setting/train", "200")
    assert same_setting(NAME, champion, "1") == [champion, like, newest, in_a_study]
    assert same_setting(NAME, champion, newest) == [champion, like, again, in_a_study]
    assert same_setting(NAME, other_rate, "1") == [other_rate]
    assert not {own_seed, no_seed, other_setting, gone} & set(same_setting(NAME, champion, "1"))
    with pytest.raises(InputError, match="expected a version"):
        same_setting(NAME, "99", "1")
