"""What a promotion or a refusal writes, and which versions differ by their seed alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from memgate.errors import InputError
from memgate.tracking.registry.champion import Change, champion_of, history, now
from memgate.tracking.registry.promotion import refuse, require_version, same_setting, set_champion
from memgate.tracking.store import connect, experiment

NAME = "memgate-gru-synthetic"


def config(seed: int | None, **changes: object) -> dict[str, Any]:
    """A configuration as runs log it, with other values at some places such as ``data.source``."""
    found: dict[str, Any] = {
        "seed_everything": seed,
        "data": {"name": "synthetic", "source": {"class_path": "Grammar"}, "batch_size": 128},
        "model": {"cell": "gru", "optimizer": {"init_args": {"weight_decay": 0.0}}},
        "threads": 1,
        "trainer": {"max_steps": -1, "callbacks": [{"init_args": {"patience": 3}}]},
    }
    for place, value in changes.items():
        *sections, name = place.split("__")
        within = found
        for section in sections:
            within = within[section]
        within[name] = value
    return found


def add(
    seed: int | None,
    lr: str = "0.02",
    tags: dict[str, str] | None = None,
    configured: dict[str, Any] | str | None = None,
) -> str:
    """Another version, of a run with a seed, a learning rate and a configuration."""
    client = connect()
    run = client.create_run(experiment("synthetic"), tags=tags)
    client.log_param(run.info.run_id, "learning_rate", lr)
    client.log_param(run.info.run_id, "seed", str(seed))
    if configured != "":
        text = (
            configured
            if isinstance(configured, str)
            else yaml.safe_dump(configured or config(seed))
        )
        client.log_text(run.info.run_id, text, "config.yaml")
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
    set_champion(NAME, made, '{"n":3}', "not judged")
    assert tags("2") == {
        "seed": "0",
        "promoted": "forced",
        "promoted_at": made.at,
        "replaced": "1",
        "why": "for the talk",
        "drift": "not judged",
        f"decision/{made.at}": '{"n":3}',
    }
    also = {"replaced_by": "2", "replaced_at": made.at, f"decision/{made.at}": '{"n":3}'}
    assert {key: value for key, value in tags("1").items() if key not in old} == also
    assert champion_of(NAME) == "2"
    back = Change(now(), "1", "2", "put back")
    set_champion(NAME, back)
    assert "replaced_by" not in tags("1"), "it is champion"
    assert tags("1")[f"decision/{made.at}"] == '{"n":3}', "no record is lost"
    assert tags("2")["replaced_by"] == "1"
    again = Change(now(), "2", "1", "promoted")
    set_champion(NAME, again, '{"n":4}')
    assert "why" not in tags("2"), "that was of an earlier change"
    assert {tags("2")[f"decision/{at}"] for at in (made.at, again.at)} == {'{"n":3}', '{"n":4}'}


def test_a_refusal_is_written_on_both(project: Path) -> None:
    add(0)
    refuse(NAME, "2", "1", '{"n":3}', "not judged")
    refuse(NAME, "2", "1", '{"n":4}', "15 of 15 cells")
    found = tags("2")
    assert found["drift"] == "15 of 15 cells"
    assert found["refused_against"] == "1"
    assert tags("1")["withstood"] == "2"
    for each in (found, tags("1")):
        decisions = [each[key] for key in sorted(each) if key.startswith("decision/")]
        assert decisions == ['{"n":3}', '{"n":4}']
    assert (champion_of(NAME), len(history(NAME))) == ("1", 1)


def test_another_champion_meanwhile_stops_it(project: Path) -> None:
    add(0)
    add(1)
    set_champion(NAME, Change(now(), "2", "1", "promoted"))
    with pytest.raises(InputError, match="version 2 became champion while version 3 was held"):
        set_champion(NAME, Change(now(), "3", "1", "promoted"))
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


@pytest.mark.parametrize(
    "changed",
    [
        {"model__optimizer": {"init_args": {"weight_decay": 0.1}}},
        {"model__optimizer__init_args__weight_decay": 0.1},
        {"trainer__callbacks": [{"init_args": {"patience": 30}}]},
        {"trainer__max_steps": 100},
        {"trainer__limit_train_batches": 0.1},
        {"data__batch_size": 64},
    ],
)
def test_what_no_param_names_is_another_setting(project: Path, changed: dict[str, object]) -> None:
    champion, like = add(0), add(1)
    other = add(2, configured=config(2, **changed))
    assert same_setting(NAME, champion, "1") == [champion, like]
    assert same_setting(NAME, other, "1") == [other]


@pytest.mark.parametrize(
    "changed",
    [
        {"ckpt_path": "last"},
        {"threads": 2},
        {"data__source": {"class_path": "Grammar", "init_args": {"folder": "/elsewhere"}}},
        {"data__seed": 3},
        {"trainer__default_root_dir": "/tmp"},
    ],
)
def test_where_files_lie_is_no_setting(project: Path, changed: dict[str, object]) -> None:
    champion = add(0)
    other = add(3, configured=config(3, **changed))
    assert same_setting(NAME, champion, "1") == [champion, other]


@pytest.mark.parametrize("text", ["", "a text", "a: [", "- 1"])
def test_an_unknown_configuration_is_like_none(project: Path, text: str) -> None:
    champion, like = add(0), add(1)
    unknown = add(2, configured=text)
    add(3, configured=text)
    assert same_setting(NAME, champion, "1") == [champion, like]
    assert same_setting(NAME, unknown, "1") == [unknown]
