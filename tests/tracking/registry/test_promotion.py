"""The reasons of a decision in words, and which versions differ only in their seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
import yaml

from memgate.errors import InputError
from memgate.gates.drift import SEED_DRIFT_COLUMNS, seed_drift
from memgate.tracking.provenance import dataset_input
from memgate.tracking.registry.comparison import judge, paired_table
from memgate.tracking.registry.promotion import (
    LONGEST_TAG,
    Decision,
    drift_in_words,
    find_version,
    losses_in_words,
    seeds_of,
)
from memgate.tracking.store import connect, experiment
from tests.rivals import predictions, profile

NAME = "memgate-gru-synthetic"


def pairs(wrong: dict[int, int], margin: float = 0.01) -> pd.DataFrame:
    rows = predictions({}).rename(columns={"correct": "a"})
    return judge(paired_table(rows.assign(b=predictions(wrong)["correct"])), margin)


def drift(write: float = 0.4, seeds: int = 3, layers: int = 1) -> pd.DataFrame:
    def of_layers(mean: float) -> pd.DataFrame:
        one = profile(mean)
        parts = [one.assign(layer=layer) for layer in range(layers)]
        return pd.concat(parts, ignore_index=True)

    return seed_drift(of_layers(write), [of_layers(0.4 + 0.01 * seed) for seed in range(seeds)])


def versions(seeds: int) -> list[str]:
    return [str(10_000 + seed) for seed in range(seeds)]


def test_the_longest_record_fits_a_tag() -> None:
    table = pairs(dict.fromkeys(range(5), 13))
    gates, drifted = drift_in_words(drift(write=5.0, seeds=40, layers=9), versions(40))
    reasons = losses_in_words(table, 0.01) + drifted
    assert len(reasons) == 3
    subject = "A: champion 10000, B: version 20000, margin 0.01, on items of " + "x" * 500
    text = Decision(subject, table, gates, reasons).record("refused")
    assert 1000 < len(text) < LONGEST_TAG
    lines = text.splitlines()
    assert lines[0] == f"refused: {subject}"
    assert lines[1 : len(reasons) + 1] == reasons
    assert f"gates: {15 * 9} of {15 * 9} cells beyond" in text
    assert text.count("10039") == 1, "all seeds"
    assert len(lines) == 2 + len(reasons) + len(table)
    assert len(Decision("x" * LONGEST_TAG, table, "", []).record("refused")) == LONGEST_TAG


def test_nothing_speaks_against_an_equal_model() -> None:
    gates, reasons = drift_in_words(drift(), versions(3))
    assert losses_in_words(pairs({}), 0.01) == reasons == []
    seeds = "3 seeds (versions 10000, 10001, 10002)"
    assert gates == f"gates: 0 of 15 cells beyond the variability of {seeds}"
    assert Decision("both", pairs({}), gates, []).record("promoted").splitlines()[2] == (
        "overall all: 1000 items, 100.0% and 100.0% right, only A 0, only B 0, one-sided "
        "p 1.000, not worse"
    )


def test_each_reason_has_its_numbers() -> None:
    overall, stratum = losses_in_words(pairs({0: 20}), 0.01)
    assert overall == (
        "overall 98.0% right, the champion 100.0%, of 1000 items 20 lost and 0 won "
        "(one-sided p <0.001)"
    )
    assert stratum == (
        "by attractors lower by more than 0.01: 0: 96.0% right, the champion 100.0%, of 500 items "
        "20 lost and 0 won (one-sided p <0.001)"
    )
    (several,) = losses_in_words(pairs({1: 15, 2: 15}).query("by != 'overall'"), 0.01)
    assert [part.split(": ")[-2:][0] for part in several.split("; ")] == ["1", "2", "1+", "2+"]
    _, (gates,) = drift_in_words(drift(write=0.9), versions(3))
    assert gates.startswith("gates drifted in 15 of 15 cells; most: ")
    assert gates.endswith(", Holm)")
    lenient = losses_in_words(pairs({0: 20}, margin=0.05), 0.05)
    assert [reason[:7] for reason in lenient] == ["overall"]


def test_without_profiles_the_predictions_decide() -> None:
    none = pd.DataFrame(columns=list(SEED_DRIFT_COLUMNS))
    gates, reasons = drift_in_words(none, [])
    assert reasons == []
    assert gates == (
        "gates: drift isn't tested, the predictions decide: a gate profile is missing, or the "
        "profiles have too little in common"
    )


@pytest.mark.parametrize("seeds", [1, 2])
def test_with_few_seeds_the_farthest_cell_is_named(seeds: int) -> None:
    gates, reasons = drift_in_words(drift(write=0.9, seeds=seeds), versions(seeds))
    assert reasons == []
    assert (
        f"expected 3 versions of the champion's setting, each of another seed, found {seeds}"
        in (gates)
    )
    assert "; farthest apart: " in gates
    assert "nan" not in gates


def config(seed: int | None, **changes: object) -> dict[str, Any]:
    """A configuration as runs log it, with other values at some keys such as ``data.source``."""
    found: dict[str, Any] = {
        "seed_everything": seed,
        "data": {"name": "synthetic", "source": {"class_path": "Grammar"}, "batch_size": 128},
        "model": {"cell": "gru", "optimizer": {"init_args": {"weight_decay": 0.0}}},
        "threads": 1,
        "trainer": {"max_steps": -1, "callbacks": [{"init_args": {"patience": 3}}]},
    }
    for key, value in changes.items():
        *sections, name = key.split("__")
        within = found
        for section in sections:
            within = within[section]
        within[name] = value
    return found


def add(
    seed: int | None,
    data: str = "a",
    configured: dict[str, Any] | str | None = None,
) -> str:
    """Another version, of a run with a seed, data and a configuration."""
    client = connect()
    run = client.create_run(experiment("synthetic"))
    rows = datasets.Dataset.from_dict({"text": [data]})
    inputs = [dataset_input(rows, "synthetic", "train", "Grammar")]
    client.log_inputs(run.info.run_id, datasets=inputs)
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


def test_versions_are_named_where_one_is_missing(project: Path) -> None:
    add(0)
    assert find_version(NAME, "2").version in (2, "2")
    for version in ("7", "best", "", "-1"):
        with pytest.raises(InputError, match="expected a version, one of 1, 2; got") as caught:
            find_version(NAME, version)
        assert "\n" not in str(caught.value)


def test_seeds_of_one_setting(project: Path) -> None:
    champion = add(0)
    like, _, newest = add(1), add(2), add(2)
    other_data, own_seed, no_seed = add(3, data="b"), add(0), add(None)
    gone = add(6)
    connect().delete_registered_model_alias(NAME, "champion")
    connect().set_model_version_tag(NAME, gone, "seed", "0")
    assert seeds_of(NAME, champion, "1") == [champion, like, newest]
    # the other version of its seed is its twin: a reference that never differs from it
    assert seeds_of(NAME, champion, newest) == [champion, like]
    assert seeds_of(NAME, champion, other_data) == [champion, like, newest]
    assert seeds_of(NAME, other_data, "1") == [other_data]
    assert not {own_seed, no_seed, other_data, gone} & set(seeds_of(NAME, champion, "1"))
    with pytest.raises(InputError, match="expected a version"):
        seeds_of(NAME, "99", "1")


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
    assert seeds_of(NAME, champion, "1") == [champion, like]
    assert seeds_of(NAME, other, "1") == [other]


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
    assert seeds_of(NAME, champion, "1") == [champion, other]


@pytest.mark.parametrize("text", ["", "a text", "a: [", "- 1"])
def test_an_unknown_configuration_is_like_none(project: Path, text: str) -> None:
    champion, like = add(0), add(1)
    unknown = add(2, configured=text)
    add(3, configured=text)
    assert seeds_of(NAME, champion, "1") == [champion, like]
    assert seeds_of(NAME, unknown, "1") == [unknown]
