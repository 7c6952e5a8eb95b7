"""Differences of profiles against scipy and statsmodels, drift by hand, and both by simulation."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from memgate.data.sources.grammar import Grammar
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.gates.drift import (
    CELL,
    DIFFERENCE_COLUMNS,
    LEAST_ITEMS,
    LEAST_SEEDS,
    NOISE,
    SEED_DRIFT_COLUMNS,
    profile_differences,
    profile_hash,
    read_profile,
    seed_drift,
)
from memgate.gates.profile import PROFILE_DTYPES
from memgate.gates.statistics import read_gates
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor

Values = list[list[float]]


def profile(cells: Values, repeat: int = 1, **others: Any) -> pd.DataFrame:
    """A profile of one position a cell, from the readings of its items, each at `repeat` words."""
    rows = []
    for position, values in enumerate(cells):
        row = (
            0,
            "write",
            "all",
            "from_subject",
            str(position),
            "sg",
            "right",
            repeat * len(values),
        )
        rows.append((*row, len(values), np.mean(values), np.std(values)))
    return pd.DataFrame(rows, columns=list(PROFILE_DTYPES)).astype(PROFILE_DTYPES).assign(**others)


def sampled(sizes: list[int], seed: int, shift: float = 0.0) -> Values:
    rng = np.random.default_rng(seed)
    return [(shift * position + rng.normal(0.5, 1, n)).tolist() for position, n in enumerate(sizes)]


def test_each_cell_is_welch_s_test() -> None:
    one, other = sampled([30, 200, 50, 90], 0), sampled([45, 31, 600, 90], 1, shift=0.3)
    found = profile_differences(profile(one), profile(other))
    assert list(found["stratum"]) == ["0", "1", "2", "3"]
    for row, a, b in zip(found.to_dict("records"), one, other, strict=True):
        expected = stats.ttest_ind(b, a, equal_var=False)
        assert row["p"] == pytest.approx(expected.pvalue, rel=1e-6)
        assert row["difference"] == pytest.approx(np.mean(b) - np.mean(a), abs=1e-12)
        interval = CompareMeans(DescrStatsW(b), DescrStatsW(a)).tconfint_diff(usevar="unequal")
        assert (row["low"], row["high"]) == pytest.approx(interval, abs=1e-7)
        assert (row["mean_a"], row["mean_b"]) == pytest.approx((np.mean(a), np.mean(b)))
        assert (row["items_a"], row["items_b"]) == (len(a), len(b))
    assert found.dtypes.astype(str).to_dict() == DIFFERENCE_COLUMNS


@settings(max_examples=15)
@given(
    seed=st.integers(0, 1000),
    cells=st.integers(1, 12),
    shift=st.sampled_from([0.0, 0.1, 0.4]),
)
def test_p_values_are_corrected_by_holm(seed: int, cells: int, shift: float) -> None:
    one, other = (profile(sampled([40] * cells, seed + i, i * shift)) for i in (0, 1))
    found = profile_differences(one, other)
    differs, corrected, *_ = multipletests(found["p"], alpha=0.05, method="holm")
    np.testing.assert_allclose(found["p_holm"], corrected, rtol=1e-12)
    assert found["differs"].tolist() == differs.tolist()


def test_words_of_one_item_count_once() -> None:
    """As many words more, all alike in an item, say nothing new."""
    one, other = sampled([60, 60], 0), sampled([60, 60], 1, shift=0.5)
    once = profile_differences(profile(one), profile(other))
    often = profile_differences(profile(one, repeat=9), profile(other, repeat=9))
    pd.testing.assert_frame_equal(once, often)


def test_right_and_wrong_answers_are_pooled() -> None:
    right, wrong, other = (
        sampled([80, 80], 0),
        sampled([20, 50], 1),
        sampled([70, 70], 2, shift=0.5),
    )
    parts = pd.concat([profile(right), profile(wrong, answer="wrong")])
    whole = [a + b for a, b in zip(right, wrong, strict=True)]
    pd.testing.assert_frame_equal(
        profile_differences(parts, profile(other)),
        profile_differences(profile(whole), profile(other)),
        rtol=1e-9,
    )


def test_numbers_layers_readings_and_units_stay_apart() -> None:
    values = sampled([40], 0)
    names: list[dict[str, Any]] = [
        {"number": "sg"},
        {"number": "pl"},
        {"layer": 1},
        {"reading": "keep"},
        {"units": "number units"},
        {"by": "to_verb", "stratum": "-1"},
    ]
    table = pd.concat([profile(values, **name) for name in names])
    found = profile_differences(table, table)
    assert len(found) == len(names)
    assert not found.duplicated(CELL).any()
    only = profile_differences(table, profile(values, reading="keep"))
    assert only["reading"].tolist() == ["keep"]


def test_from_the_other_side_all_signs_turn() -> None:
    one, other = profile(sampled([40, 90], 0)), profile(sampled([60, 33], 1, shift=0.6))
    there, back = profile_differences(one, other), profile_differences(other, one)
    np.testing.assert_allclose(there["difference"], -back["difference"])
    np.testing.assert_allclose(there["low"], -back["high"])
    for name in ("p", "p_holm"):
        np.testing.assert_allclose(there[name], back[name])


def test_what_never_varies_differs_only_beyond_the_noise_of_floats() -> None:
    still = profile([[0.5] * 100, [0.5] * 100, [400.0] * 100])
    moved = still.assign(mean=[0.5 + NOISE / 10, 0.51, 400 + 40 * NOISE], sd=[0, 0, 3e-8])
    found = profile_differences(still, moved)
    assert found["differs"].tolist() == [False, True, False]
    assert found["p"].notna().all()
    assert not profile_differences(still, still)["differs"].any()


def test_cells_of_few_items_are_left_out() -> None:
    one, other = (
        sampled([LEAST_ITEMS, LEAST_ITEMS - 1, 500], 0),
        sampled([LEAST_ITEMS, 500, LEAST_ITEMS - 1], 1),
    )
    assert profile_differences(profile(one), profile(other))["stratum"].tolist() == ["0"]
    with pytest.raises(
        InputError, match=f"a cell with at least {LEAST_ITEMS} items in both, got 29"
    ):
        profile_differences(profile(one[1:]), profile(other[1:]))


def test_profiles_with_nothing_in_common_are_refused() -> None:
    one = profile(sampled([40], 0))
    with pytest.raises(
        InputError, match="cell in common, got write of layers 0 and state_update of lay"
    ):
        profile_differences(one, one.assign(reading="state_update"))
    with pytest.raises(InputError, match=r"got write of layers 0 and nothing of layers –"):
        profile_differences(one, one[:0])


def test_a_hash_is_of_cells_and_not_of_their_order_or_noise() -> None:
    table = profile(sampled([40] * 24, 0))
    digest = profile_hash(table)
    assert len(digest) == 64
    assert int(digest, 16) > 0
    assert profile_hash(table.sample(frac=1, random_state=1)) == digest
    assert profile_hash(table.assign(sd=table["sd"] + 1e-3)) == digest
    middle = table.assign(mean=table["mean"].round(2) + 0.001)
    assert profile_hash(middle) == profile_hash(middle.assign(mean=middle["mean"] + 1e-6))
    zero = table.assign(mean=0.001)
    assert profile_hash(zero) == profile_hash(zero.assign(mean=-0.001))
    parts = pd.concat([profile(sampled([40], 0)), profile(sampled([40], 1), answer="wrong")])
    whole = profile([sampled([40], 0)[0] + sampled([40], 1)[0]])
    assert profile_hash(parts) == profile_hash(whole)


@pytest.mark.parametrize("changed", [*CELL, "n", "items", "mean"])
def test_another_profile_has_another_hash(changed: str) -> None:
    table = profile(sampled([40, 50], 0))
    other = table.copy()
    value = table[changed].iloc[1]
    new = value + 1 if pd.api.types.is_numeric_dtype(table[changed]) else "other"
    other.loc[1, changed] = new
    assert profile_hash(other) != profile_hash(table)


def test_the_hash_of_today_is_that_of_tomorrow() -> None:
    """By hand: the text that is hashed."""
    text = (
        "layer,reading,units,by,stratum,number,n,items,mean\n0,write,all,from_subject,0,sg,6,3,20\n"
    )
    found = profile_hash(profile([[0.1, 0.2, 0.3]], repeat=2))
    assert found == sha256(text.encode()).hexdigest()


GRAMMAR = Grammar(train=1, validation=1, test=800, max_intervening=6, seed=3)


@pytest.fixture(scope="module")
def reader() -> tuple[Predictor, pa.Table]:
    """An untrained GRU in single precision, and items of the grammar."""
    table = GRAMMAR.load()["test"].with_format("arrow")[:]
    words = {word for text in table["text"].to_pylist() for word in text.split()}
    vocabulary = Vocabulary.from_words(sorted(words))
    torch.manual_seed(0)
    return Predictor(Classifier(len(vocabulary), "gru", 6, 5).eval(), vocabulary), table


def test_halves_of_one_corpus_hardly_ever_differ(reader: tuple[Predictor, pa.Table]) -> None:
    """At most 5% of halvings may: of 20 with p = 0.05, 5 or more come once in 390 times."""
    model, table = reader
    probe = np.ones((1, 5))
    alarms = 0.0
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(table))
        halves = (
            read_gates(model, table.take(order[start::2]), [(0, 1)], probe=probe).profile
            for start in (0, 1)
        )
        alarms += profile_differences(*halves)["differs"].any()
    assert alarms < 5


def test_batches_of_other_sizes_keep_the_hash(reader: tuple[Predictor, pa.Table]) -> None:
    """Other weights have another one."""
    model, table = reader
    digests = {profile_hash(read_gates(model, table, [], size).profile) for size in (7, 64, 1024)}
    assert len(digests) == 1
    torch.manual_seed(1)
    other = Predictor(Classifier(len(model.vocabulary), "gru", 6, 5).eval(), model.vocabulary)
    found = read_gates(other, table).profile
    assert profile_hash(found) not in digests
    assert profile_differences(read_gates(model, table).profile, found)["differs"].any()


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = profile(sampled([40, 50], 0))
    path = tmp_path / "profile.parquet"
    table.to_parquet(path, index=False)
    pd.testing.assert_frame_equal(read_profile(path), table)
    table.drop(columns="items").to_parquet(path, index=False)
    with pytest.raises(
        InputError, match=r"profile.parquet: expected a gate profile with a column 'items'"
    ):
        read_profile(path)
    for text in ("", "words"):
        path.write_text(text)
        with pytest.raises(InputError, match="expected a gate profile as Parquet, got") as caught:
            read_profile(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="expected a gate profile as Parquet, got"):
        read_profile(tmp_path / "missing.parquet")


def test_a_profile_of_memgate_0_1_is_read_and_has_the_same_hash(tmp_path: Path) -> None:
    parts = [
        profile(sampled([40], seed), reading=reading)
        for seed, reading in enumerate(("state_update", "contribution_change", "write"))
    ]
    table = pd.concat(parts, ignore_index=True)
    old = {"state_update": "effect", "contribution_change": "evidence"}
    table.replace({"reading": old}).to_parquet(tmp_path / "profile.parquet", index=False)
    loaded = read_profile(tmp_path / "profile.parquet")
    pd.testing.assert_frame_equal(loaded, table.astype(PROFILE_DTYPES))
    assert profile_hash(table.replace({"reading": old})) == profile_hash(loaded)


ROLES = ("before", "subject", "attractor", "noun", "other")


def role_profile(
    means: Mapping[tuple[str, str], float], items: int = 100, layer: int = 0
) -> pd.DataFrame:
    """What readings do at roles, the same for both numbers and answers."""
    rows = [
        (layer, reading, units, by, stratum, number, answer, 2 * items, items, mean, 0.2)
        for (reading, stratum), mean in means.items()
        for units, by in (("all", "role"), ("number units", "role"), ("all", "to_verb"))
        for number in ("sg", "pl")
        for answer in ("right", "wrong")
    ]
    return pd.DataFrame(rows, columns=list(PROFILE_DTYPES)).astype(PROFILE_DTYPES)


def sampled_seed(rng: np.random.Generator, shift: float = 0.0) -> pd.DataFrame:
    """One seed: cells that move together and apart; `shift` in sd, of write at the subject."""
    common = rng.normal(0, 0.02)
    cells = {
        (reading, role): 0.5 + common + rng.normal(0, 0.02)
        for reading in ("keep", "write", "state_update")
        for role in ROLES
    }
    cells["write", "subject"] += shift * 0.02 * np.sqrt(2)
    return role_profile(cells)


def test_a_prediction_interval_worked_by_hand() -> None:
    seeds = [role_profile({("write", "subject"): mean}) for mean in (0.4, 0.5, 0.6)]
    table = seed_drift(role_profile({("write", "subject"): 0.9}), seeds)
    assert list(table) == list(SEED_DRIFT_COLUMNS)
    (row,) = table.to_dict("records")
    # sd 0.1, of a prediction 0.1 · sqrt(4/3); t with 2 degrees of freedom: 4.3027
    assert (row["mean_seeds"], row["sd_seeds"]) == pytest.approx((0.5, 0.1))
    half = 4.3027 * 0.1 * np.sqrt(4 / 3)
    assert (row["low"], row["high"]) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-4)
    t = 0.4 / (0.1 * np.sqrt(4 / 3))
    # the distribution of t with 2 degrees of freedom has a closed form
    assert row["p"] == row["p_holm"] == pytest.approx(1 - t / np.sqrt(2 + t**2), rel=1e-4)
    assert not row["drifted"]
    assert seed_drift(role_profile({("write", "subject"): 1.2}), seeds)["drifted"].all()


def test_only_roles_of_all_units_that_all_have_are_held_side_by_side() -> None:
    cells = {
        ("write", "subject"): 0.5,
        ("write", "noun"): 0.5,
        ("contribution_change", "noun"): 3.0,
    }
    one = role_profile(cells)
    few = role_profile({("write", "noun"): 0.5}, items=LEAST_ITEMS // 4 - 1)
    table = seed_drift(one, [one, pd.concat([role_profile({("write", "subject"): 0.4}), few]), one])
    assert list(zip(table["reading"], table["stratum"], strict=True)) == [("write", "subject")]
    assert table["items"].tolist() == [400], "singular and plural, right and wrong"
    assert seed_drift(one, [role_profile({("keep", "subject"): 0.4})]).empty
    assert seed_drift(one, [role_profile(cells, layer=1)]).empty


@pytest.mark.parametrize("n", range(1, LEAST_SEEDS))
def test_without_a_spread_nothing_is_judged(n: int) -> None:
    seeds = [role_profile({("write", "subject"): 0.2 + 0.1 * seed}) for seed in range(n)]
    (row,) = seed_drift(role_profile({("write", "subject"): 0.9}), seeds).to_dict("records")
    assert row["mean_seeds"] == pytest.approx(0.2 + 0.05 * (n - 1))
    assert all(np.isnan(row[name]) for name in ("sd_seeds", "low", "high", "p", "p_holm"))
    assert row["drifted"] is False


def test_noise_of_equal_networks_is_no_drift() -> None:
    same = [role_profile({("write", "subject"): 0.5}) for _ in range(5)]
    assert not seed_drift(role_profile({("write", "subject"): 0.5 + 1e-6}), same)["drifted"].any()
    assert seed_drift(role_profile({("write", "subject"): 0.501}), same)["drifted"].all()


def test_other_items_show() -> None:
    one = role_profile({("write", "subject"): 0.5})
    other = role_profile({("write", "subject"): 0.5}, items=90)
    (row,) = seed_drift(other, [one] * 3).to_dict("records")
    assert (row["items"], row["items_seeds"]) == (360, 400)


@pytest.mark.parametrize("n", [3, 5])
def test_one_more_seed_is_seldom_drift(n: int) -> None:
    rng = np.random.default_rng(n)
    runs = 40
    alarms = sum(
        seed_drift(sampled_seed(rng), [sampled_seed(rng) for _ in range(n)])["drifted"].any()
        for _ in range(runs)
    )
    # at most 5%; more than this in one of 1,000 such tests
    assert alarms <= stats.binom.ppf(0.999, runs, 0.05)


def test_a_large_shift_is_noticed_where_it_is() -> None:
    rng = np.random.default_rng(0)
    runs = 15
    noticed = [
        seed_drift(sampled_seed(rng, shift=12), [sampled_seed(rng) for _ in range(5)]).query(
            "drifted"
        )
        for _ in range(runs)
    ]
    where = [set(zip(rows["reading"], rows["stratum"], strict=True)) for rows in noticed]
    assert sum(("write", "subject") in cells for cells in where) > 0.8 * runs
