"""Where gate profiles differ: two of them beyond sampling error, one from those of other seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import stats

from memgate.arrays import Floats
from memgate.errors import InputError
from memgate.gates.profile import OLD_READINGS, PROFILE_DTYPES, pooled, variance_of_mean
from memgate.metrics.paired import holm

PROFILE = "profile.parquet"
"""File of a gate profile, alongside the model or in a folder that `memgate gates --out` wrote."""

DRIFT_LEVEL = 0.05
"""Level of significance, over all cells of a table."""

LEAST_ITEMS = 30
"""Items that a cell needs in each profile.

The test takes means for normal, but gates stand near 0 or 1 and most words write nothing; and of
hundreds of cells Holm's smallest level is 1e-4, in the tails, which few items don't reach. Of 100
random halvings of 10,000 Wikipedia items read by an LSTM of 100 units 4 had a false alarm with a
limit of 5, 3 with 10, and 2 with 20, 30 or 50 (grammar, GRU of 8: 1 of 200 with each).
"""

LEAST_SEEDS = 3
"""Networks of different seeds that `seed_drift` needs to judge.

A prediction from two has one degree of freedom, and a t quantile of 191 for the first of 15 cells;
from three it is 17, from five 6.3, from ten 4.0.
"""

NOISE = 1e-5
"""Standard error below which no mean is known, relative for means beyond 1.

A cell may hold the same word at the same position in every item; then it has no variance, but
batches of other sizes still move a float32 gate by 1e-7, at most 1e-5.
"""

HASH_STEP = 0.01
"""To what the means of a hash are rounded."""

CELL = ["layer", "reading", "units", "by", "stratum", "number"]

ROLE_CELL = ["layer", "reading", "stratum"]
"""A cell of `seed_drift`: the stratum is a role, and all units and both numbers count together."""

SEED_READINGS = ("keep", "write", "state_update")
"""Readings that mean the same in networks of other seeds."""

DIFFERENCE_COLUMNS = {
    **{name: PROFILE_DTYPES[name] for name in CELL},
    **dict.fromkeys(("mean_a", "mean_b", "difference", "low", "high"), "float64"),
    **dict.fromkeys(("items_a", "items_b"), "int64"),
    **dict.fromkeys(("p", "p_holm"), "float64"),
    "differs": "bool",
}

SEED_DRIFT_COLUMNS = {
    **{name: PROFILE_DTYPES[name] for name in ROLE_CELL},
    **dict.fromkeys(("items", "items_seeds"), "int64"),
    **dict.fromkeys(("mean", "mean_seeds", "sd_seeds"), "float64"),
    **dict.fromkeys(("low", "high", "p", "p_holm"), "float64"),
    "drifted": "bool",
}


def read_profile(path: Path) -> pd.DataFrame:
    """Read a profile that `memgate.gates.profile.profile_table` made.

    Raises:
        InputError: The file is missing or damaged, or lacks a column.
    """
    try:
        table = pd.read_parquet(path)
        missing = [name for name in PROFILE_DTYPES if name not in table]
        if not missing:
            table = table[list(PROFILE_DTYPES)].replace({"reading": OLD_READINGS})
            return table.astype(PROFILE_DTYPES)
    except (OSError, pa.ArrowException, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected a gate profile as Parquet, got: {reason}") from error
    raise InputError(
        f"{path}: expected a gate profile with a column {missing[0]!r}, got {list(table)}"
    )


def profile_hash(profile: pd.DataFrame) -> str:
    """Return the SHA-256 of a profile, in hexadecimal.

    It covers each cell (right and wrong answers together): its names, n, items, and the mean in
    whole steps of `HASH_STEP`. No rounding is safe from noise: one that moves a mean by d changes
    the step once in 0.01 / d cells. For the 680 cells of a network of one layer with number units
    and a probe, noise of 1e-9, as batches of other sizes make on average (measured: at most
    1.5e-7), changes one hash in 15,000; 1e-6 one in 15; 1e-4, far within sampling error, nearly
    all.
    """
    # hashed by the names of memgate 0.1, so that the tags of its models still fit
    old = {new: name for name, new in OLD_READINGS.items()}
    cells = pooled(profile, "answer").replace({"reading": old}).sort_values(CELL)
    cells["mean"] = np.rint(cells["mean"] / HASH_STEP).astype("int64")
    text = cells[[*CELL, "n", "items", "mean"]].to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def profile_differences(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Test in each cell whether two profiles differ beyond sampling error.

    It is Welch's t-test of each cell that both profiles have (singular and plural apart, right and
    wrong answers together), with Holm's (1979) correction over all of them. The test takes the
    items of the two profiles for independent samples. Two networks that read the same items usually
    differ by less, so the test is conservative there.

    Args:
        a: A table of `memgate.gates.profile.profile_table`.
        b: Another, of any network; layers, readings and number units that only one has are omitted.

    Returns:
        A row for each cell with at least `LEAST_ITEMS` items in both, in the order of `a`: its
        names (`CELL`); ``mean_a`` and ``mean_b``; ``difference``, b less a, and its 95% interval
        ``low`` to ``high``; ``items_a`` and ``items_b``; ``p`` (two-sided), ``p_holm``, and
        ``differs``: whether that is below `DRIFT_LEVEL`.

    Raises:
        InputError: They have no cell in common, or none has enough items.
    """
    cells = pooled(a, "answer").merge(pooled(b, "answer"), on=CELL, suffixes=("_a", "_b"))
    if cells.empty:
        raise InputError(
            f"profiles: expected some cell in common, got {_contents(a)} and {_contents(b)}"
        )
    items = cells[["items_a", "items_b"]].min(axis=1)
    if items.max() < LEAST_ITEMS:
        raise InputError(
            f"profiles: expected a cell with at least {LEAST_ITEMS} items in both, "
            f"got {items.max()}"
        )
    cells = cells[items >= LEAST_ITEMS].reset_index(drop=True)
    difference = cells["mean_b"] - cells["mean_a"]
    error, freedom = _welch(cells)
    p = np.asarray(2 * stats.t.sf(np.abs(difference / error), freedom))
    half = stats.t.ppf(0.975, freedom) * error
    p_holm = holm(p)
    return cells.assign(
        difference=difference,
        low=difference - half,
        high=difference + half,
        p=p,
        p_holm=p_holm,
        differs=p_holm < DRIFT_LEVEL,
    )[list(DIFFERENCE_COLUMNS)].astype(DIFFERENCE_COLUMNS)


def _contents(profile: pd.DataFrame) -> str:
    """Name the readings and layers of a profile."""
    readings = ", ".join(profile["reading"].unique()) or "nothing"
    return f"{readings} of layers {', '.join(map(str, profile['layer'].unique())) or '–'}"


def _welch(cells: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return the standard error of each difference and its degrees of freedom (Welch 1947)."""
    variances = np.zeros(len(cells))
    squares = np.zeros(len(cells))
    for side in ("_a", "_b"):
        moments = cells[["mean" + side, "sd" + side, "items" + side]].set_axis(
            ["mean", "sd", "items"], axis=1
        )
        floor = NOISE * moments["mean"].abs().clip(lower=1).to_numpy()
        variance = variance_of_mean(moments) + floor**2
        variances += variance
        squares += variance**2 / (moments["items"].to_numpy() - 1)
    return np.sqrt(variances), variances**2 / squares


def seed_drift(profile: pd.DataFrame, seeds: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Test whether a gate profile lies beyond those of networks that differ only in their seed.

    A cell is the mean of a reading at the words of a role, over all units (which unit does what
    differs from seed to seed), both numbers and all answers. If the network were one more seed, the
    difference between its mean and that of n others would have the variance s² (1 + 1/n). So the
    test is t with n - 1 degrees of freedom (prediction interval of one further observation: Hahn &
    Meeker 1991, section 4.7), with Holm's correction over the cells. It contains no sampling of
    items: all profiles must be read on the same ones, which ``items`` and ``items_seeds`` show.

    Simulated with 15 cells that correlate by 0.5: false alarms in any cell in 5.3% of 10,000 with 3
    seeds, 4.2% with 5, 4.0% with 10. A shift of one cell is noticed in 9 of 10 cases if it is 30
    of the seeds' standard deviations with 3 of them, 10 with 5, 6 with 10: train five.

    Args:
        profile: A table of `memgate.gates.profile.profile_table`.
        seeds: Such tables of at least one network, each of another seed; with fewer than
            `LEAST_SEEDS` nothing is tested.

    Returns:
        A row for each cell with at least `LEAST_ITEMS` items in all profiles: its names
        (`ROLE_CELL`); ``items`` of the profile and ``items_seeds`` of the first seed; ``mean`` of
        the profile; ``mean_seeds`` and ``sd_seeds`` (the sample's); ``low`` to ``high``, where one
        further seed is expected in 95 of 100 cells; ``p``, ``p_holm``, and ``drifted``: whether
        that is below `DRIFT_LEVEL`. Where nothing is tested, ``sd_seeds`` to ``p_holm`` are null.
        No row where they have no cell in common.
    """
    cells = _role_cells(profile)
    for seed, seed_profile in enumerate(seeds):
        cells = cells.merge(_role_cells(seed_profile), on=ROLE_CELL, suffixes=("", f"_{seed}"))
    means = cells[[f"mean_{seed}" for seed in range(len(seeds))]].to_numpy(dtype=np.float64)
    tests = _one_more_seed(cells["mean"].to_numpy(dtype=np.float64), means)
    table = cells.assign(items_seeds=cells["items_0"], **tests)
    return table[list(SEED_DRIFT_COLUMNS)].astype(SEED_DRIFT_COLUMNS)


def _one_more_seed(mean: Floats, seeds: Floats) -> dict[str, Floats]:
    """Predict each cell (rows of `seeds`) from the seeds (its columns), and test its `mean`."""
    n = seeds.shape[1]
    center = seeds.mean(axis=1)
    if n < LEAST_SEEDS:
        unknown = dict.fromkeys(
            ("sd_seeds", "low", "high", "p", "p_holm"), np.full(len(center), np.nan)
        )
        return {"mean_seeds": center, **unknown, "drifted": np.zeros(len(center))}
    # Where all seeds agree to the last digit (a cell may hold one word), noise isn't drift.
    sd = np.hypot(seeds.std(axis=1, ddof=1), NOISE * np.abs(center).clip(min=1))
    error = sd * np.sqrt(1 + 1 / n)
    half = stats.t.ppf(0.975, n - 1) * error
    p = np.asarray(2 * stats.t.sf(np.abs(mean - center) / error, n - 1))
    p_holm = holm(p)
    return {
        "mean_seeds": center,
        "sd_seeds": sd,
        "low": center - half,
        "high": center + half,
        "p": p,
        "p_holm": p_holm,
        "drifted": (p_holm < DRIFT_LEVEL).astype(float),
    }


def _role_cells(profile: pd.DataFrame) -> pd.DataFrame:
    """Return the means of all units at each role: `ROLE_CELL`, items and mean."""
    rows = profile[
        (profile["by"] == "role")
        & (profile["units"] == "all")
        & profile["reading"].isin(list(SEED_READINGS))
    ]
    cells = pooled(rows, "answer", "number")
    return cells.loc[cells["items"] >= LEAST_ITEMS, [*ROLE_CELL, "items", "mean"]]
