"""Where two gate profiles differ beyond sampling error, and a hash by which profiles are told."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy import stats

from memgate.errors import InputError
from memgate.gates.profile import DTYPES, pooled, variance_of_mean
from memgate.metrics.paired import holm

PROFILE = "profile.parquet"
"""File of a gate profile, beside the model or in a folder that `memgate gates --out` wrote."""

LEAST = 30
"""Items that a cell needs in either profile.

The test takes means for normal, but gates stand near 0 or 1 and most words write nothing; and of
hundreds of cells Holm's smallest level is 1e-4, far out in the tails, where few items don't reach.
Of 100 random halvings of 10,000 Wikipedia items read by an LSTM of 100 units 4 held a false alarm
with a limit of 5, 3 with 10, and 2 with 20, 30 or 50 (synthetic, GRU of 8: 1 of 200 with each).
"""

NOISE = 1e-5
"""Standard error below which no mean is known, relative for means beyond 1.

A cell may hold the same word in the same place in every item and has no spread; there batches of
other sizes still move a float32 gate by 1e-7, at most 1e-5.
"""

STEP = 0.01
"""To what the means of a hash are rounded."""

CELL = ["layer", "reading", "units", "by", "stratum", "number"]

COLUMNS = {
    **{name: DTYPES[name] for name in CELL},
    **dict.fromkeys(("mean_a", "mean_b", "difference", "low", "high"), "float64"),
    **dict.fromkeys(("items_a", "items_b"), "int64"),
    **dict.fromkeys(("p", "p_holm"), "float64"),
    "differs": "bool",
}
"""The columns of a table of differences."""

Numbers = npt.NDArray[np.float64]


def read_profile(path: Path) -> pd.DataFrame:
    """Read a profile that `memgate.gates.profile.profile_table` made.

    Raises:
        InputError: The file is missing or damaged, or lacks a column.
    """
    try:
        table = pd.read_parquet(path)
        missing = [name for name in DTYPES if name not in table]
        if not missing:
            return table[list(DTYPES)].astype(DTYPES)
    except (OSError, pa.ArrowException, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected a gate profile as Parquet, got: {reason}") from error
    raise InputError(
        f"{path}: expected a gate profile with a column {missing[0]!r}, got {list(table)}"
    )


def profile_hash(profile: pd.DataFrame) -> str:
    """Return the SHA-256 of a profile, in hexadecimal.

    Of each cell, right and wrong answers together, in order of its names: n, items, and the mean in
    whole steps of 0.01. No rounding is safe from noise: one that moves a mean by d turns it over to
    the next step once in 0.01 / d profiles. For the 680 cells of a network of one layer with number
    units and a probe: by 1e-9, as batches of other sizes do on average (measured: at most 1.5e-7),
    one hash in 15,000 changes, by 1e-6 one in 15; by 1e-4, far within sampling error, nearly all.

    Args:
        profile: A table of `memgate.gates.profile.profile_table`; its rows in any order.
    """
    cells = pooled(profile, "answer").sort_values(CELL)
    cells["mean"] = np.rint(cells["mean"] / STEP).astype("int64")
    text = cells[[*CELL, "n", "items", "mean"]].to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def profile_differences(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Say where two profiles differ beyond sampling error.

    Welch's t-test of each cell (singular and plural apart, right and wrong answers together) that
    both have, as if their items were drawn apart: two networks read on the same items usually
    differ by less than that, so that the test is careful. Holm's (1979) correction over all of
    them, which holds however they depend on each other.

    Args:
        a: A table of `memgate.gates.profile.profile_table`.
        b: Another, of any network; what only one has (layers, readings, number units) is left out.

    Returns:
        A row a cell with at least `LEAST` items in both, in the order of `a`: ``layer``,
        ``reading``, ``units``, ``by``, ``stratum``, ``number``; ``mean_a`` and ``mean_b``;
        ``difference``, b less a, and its 95% interval ``low`` to ``high``; ``items_a`` and
        ``items_b``; ``p`` (two-sided), ``p_holm``, and ``differs``: whether that is below 0.05.

    Raises:
        InputError: They have no cell in common, or none has items enough.
    """
    both = _side_by_side(a, b)
    difference = both["mean_b"] - both["mean_a"]
    error, freedom = _welch(both)
    p = np.asarray(2 * stats.t.sf(np.abs(difference / error), freedom))
    half = stats.t.ppf(0.975, freedom) * error
    p_holm = holm(p)
    return both.assign(
        difference=difference,
        low=difference - half,
        high=difference + half,
        p=p,
        p_holm=p_holm,
        differs=p_holm < 0.05,
    )[list(COLUMNS)].astype(COLUMNS)


def _side_by_side(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that both have, with items enough."""
    both = pooled(a, "answer").merge(pooled(b, "answer"), on=CELL, suffixes=("_a", "_b"))
    if both.empty:
        raise InputError(f"profiles: expected some cell in common, got {_named(a)} and {_named(b)}")
    least = both[["items_a", "items_b"]].min(axis=1)
    if least.max() < LEAST:
        raise InputError(
            f"profiles: expected a cell with at least {LEAST} items in both, got {least.max()}"
        )
    return both[least >= LEAST].reset_index(drop=True)


def _named(profile: pd.DataFrame) -> str:
    """Name layers and readings of a profile."""
    readings = ", ".join(profile["reading"].unique()) or "nothing"
    return f"{readings} of layers {', '.join(map(str, profile['layer'].unique())) or '–'}"


def _welch(both: pd.DataFrame) -> tuple[Numbers, Numbers]:
    """Return the standard error of each difference and its degrees of freedom (Welch 1947)."""
    variances = np.zeros(len(both))
    squares = np.zeros(len(both))
    for side in ("_a", "_b"):
        own = both[["mean" + side, "sd" + side, "items" + side]].set_axis(
            ["mean", "sd", "items"], axis=1
        )
        floor = NOISE * own["mean"].abs().clip(lower=1).to_numpy()
        variance = variance_of_mean(own) + floor**2
        variances += variance
        squares += variance**2 / (own["items"].to_numpy() - 1)
    return np.sqrt(variances), variances**2 / squares
