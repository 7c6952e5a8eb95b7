"""Drift beyond the spread of seeds: worked by hand, and its false alarms by simulation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from memgate.gates.drift import LEAST
from memgate.gates.profile import DTYPES
from memgate.gates.seed_drift import COLUMNS, LEAST_SEEDS, seed_drift

ROLES = ("before", "subject", "attractor", "noun", "other")


def profile(
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
    return pd.DataFrame(rows, columns=list(DTYPES)).astype(DTYPES)


def drawn(rng: np.random.Generator, shift: float = 0.0) -> pd.DataFrame:
    """One seed: cells that move together and apart; `shift` in sd, of write at the subject."""
    common = rng.normal(0, 0.02)
    cells = {
        (reading, role): 0.5 + common + rng.normal(0, 0.02)
        for reading in ("keep", "write", "effect")
        for role in ROLES
    }
    cells["write", "subject"] += shift * 0.02 * np.sqrt(2)
    return profile(cells)


def test_a_prediction_interval_worked_by_hand() -> None:
    seeds = [profile({("write", "subject"): mean}) for mean in (0.4, 0.5, 0.6)]
    table = seed_drift(profile({("write", "subject"): 0.9}), seeds)
    assert list(table) == list(COLUMNS)
    (row,) = table.to_dict("records")
    # sd 0.1, of a prediction 0.1 · sqrt(4/3); t with 2 degrees of freedom: 4.3027
    assert (row["mean_seeds"], row["sd_seeds"]) == pytest.approx((0.5, 0.1))
    half = 4.3027 * 0.1 * np.sqrt(4 / 3)
    assert (row["low"], row["high"]) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-4)
    t = 0.4 / (0.1 * np.sqrt(4 / 3))
    # the distribution of t with 2 degrees of freedom has a closed form
    assert row["p"] == row["p_holm"] == pytest.approx(1 - t / np.sqrt(2 + t**2), rel=1e-4)
    assert not row["drifted"]
    assert seed_drift(profile({("write", "subject"): 1.2}), seeds)["drifted"].all()


def test_only_roles_of_all_units_that_all_have_are_held_side_by_side() -> None:
    cells = {("write", "subject"): 0.5, ("write", "noun"): 0.5, ("evidence", "noun"): 3.0}
    one = profile(cells)
    few = profile({("write", "noun"): 0.5}, items=LEAST // 4 - 1)
    table = seed_drift(one, [one, pd.concat([profile({("write", "subject"): 0.4}), few]), one])
    assert list(zip(table["reading"], table["stratum"], strict=True)) == [("write", "subject")]
    assert table["items"].tolist() == [400], "singular and plural, right and wrong"
    assert seed_drift(one, [profile({("keep", "subject"): 0.4})]).empty
    assert seed_drift(one, [profile(cells, layer=1)]).empty


@pytest.mark.parametrize("n", range(1, LEAST_SEEDS))
def test_without_a_spread_nothing_is_judged(n: int) -> None:
    seeds = [profile({("write", "subject"): 0.2 + 0.1 * seed}) for seed in range(n)]
    (row,) = seed_drift(profile({("write", "subject"): 0.9}), seeds).to_dict("records")
    assert row["mean_seeds"] == pytest.approx(0.2 + 0.05 * (n - 1))
    assert all(np.isnan(row[name]) for name in ("sd_seeds", "low", "high", "p", "p_holm"))
    assert row["drifted"] is False


def test_noise_of_equal_networks_is_no_drift() -> None:
    same = [profile({("write", "subject"): 0.5}) for _ in range(5)]
    assert not seed_drift(profile({("write", "subject"): 0.5 + 1e-6}), same)["drifted"].any()
    assert seed_drift(profile({("write", "subject"): 0.501}), same)["drifted"].all()


def test_other_items_show() -> None:
    one = profile({("write", "subject"): 0.5})
    other = profile({("write", "subject"): 0.5}, items=90)
    (row,) = seed_drift(other, [one] * 3).to_dict("records")
    assert (row["items"], row["items_seeds"]) == (360, 400)


@pytest.mark.parametrize("n", [3, 5])
def test_one_more_seed_is_seldom_drift(n: int) -> None:
    rng = np.random.default_rng(n)
    runs = 40
    alarms = sum(
        seed_drift(drawn(rng), [drawn(rng) for _ in range(n)])["drifted"].any() for _ in range(runs)
    )
    # at most 5%; more than this in one of 1,000 such tests
    assert alarms <= stats.binom.ppf(0.999, runs, 0.05)


def test_a_large_shift_is_noticed_where_it_is() -> None:
    rng = np.random.default_rng(0)
    runs = 15
    noticed = [
        seed_drift(drawn(rng, shift=12), [drawn(rng) for _ in range(5)]).query("drifted")
        for _ in range(runs)
    ]
    where = [set(zip(rows["reading"], rows["stratum"], strict=True)) for rows in noticed]
    assert sum(("write", "subject") in cells for cells in where) > 0.8 * runs
