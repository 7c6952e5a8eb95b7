"""Whether a gate profile lies beyond what networks of other seeds do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from memgate.gates.drift import LEAST, NOISE
from memgate.gates.profile import pooled
from memgate.metrics.paired import holm

LEAST_SEEDS = 3
"""Networks of different seeds from which on there is a spread to judge by.

A prediction from two has one degree of freedom, and a t quantile of 191 for the first of 15 cells;
from three it is 17, from five 6.3, from ten 4.0.
"""

READINGS = ("keep", "write", "effect")
"""What is held against the spread: readings that mean the same in networks of other seeds."""

Numbers = npt.NDArray[np.float64]

CELL = ["layer", "reading", "stratum"]

COLUMNS = {
    "layer": "int64",
    **dict.fromkeys(("reading", "stratum"), "string"),
    **dict.fromkeys(("items", "items_seeds"), "int64"),
    **dict.fromkeys(("mean", "mean_seeds", "sd_seeds"), "float64"),
    **dict.fromkeys(("low", "high", "p", "p_holm"), "float64"),
    "drifted": "bool",
}
"""The columns of a table of drift."""


def seed_drift(challenger: pd.DataFrame, seeds: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Hold a gate profile against those of networks that differ by their seed alone.

    A cell is what a reading does at the words of a role, on average over all units (which unit does
    what differs from seed to seed), numbers and answers pooled. Were the challenger one more seed,
    its mean less that of n others had the variance s² (1 + 1/n), and t with n - 1 degrees of
    freedom says how far it may lie (prediction interval of one further observation: Hahn & Meeker
    1991, section 4.7); Holm's correction over the cells. All are read on the same items, so that no
    sampling of items is in it: where they aren't, ``items`` and ``items_seeds`` show it.

    Simulated with 15 cells that correlate by 0.5: false alarms in any cell in 5.3% of 10,000 with 3
    seeds, 4.2% with 5, 4.0% with 10. What is noticed in 9 of 10 cases is a shift of one cell by 30
    of the seeds' standard deviations with 3 of them, by 10 with 5, by 6 with 10: train five.

    Args:
        challenger: A table of `memgate.gates.profile.profile_table`.
        seeds: Such tables of the champion, the first, and its like, each of another seed; with
            fewer than `LEAST_SEEDS` nothing is judged.

    Returns:
        A row a cell with at least `LEAST` items in all: ``layer``, ``reading``, ``stratum`` (the
        role); ``items`` of the challenger and of the champion; ``mean`` of the challenger;
        ``mean_seeds`` and ``sd_seeds`` (the sample's); ``low`` to ``high``, where one further seed
        is expected in 95 of 100 cells; ``p``, ``p_holm``, and ``drifted``: whether that is below
        0.05. Without a spread those after ``mean_seeds`` are null, and nothing drifted. No row
        where they have no cell in common.
    """
    cells = _cells(challenger)
    for place, profile in enumerate(seeds):
        cells = cells.merge(_cells(profile), on=CELL, suffixes=("", f"_{place}"))
    means = cells[[f"mean_{place}" for place in range(len(seeds))]].to_numpy(dtype=np.float64)
    found = cells.assign(items_seeds=cells["items_0"], **_prediction(cells["mean"], means))
    return found[list(COLUMNS)].astype(COLUMNS)


def _prediction(mean: pd.Series[float], seeds: Numbers) -> dict[str, Numbers]:
    """Predict each cell (rows of `seeds`) from the seeds (its columns), and test its `mean`."""
    n = seeds.shape[1]
    center = seeds.mean(axis=1)
    unknown = np.full(len(center), np.nan)
    if n < LEAST_SEEDS:
        spread = dict.fromkeys(("sd_seeds", "low", "high", "p", "p_holm"), unknown)
        return {"mean_seeds": center, **spread, "drifted": np.zeros(len(center))}
    # Where all seeds do the same to the last digit (a cell may hold one word), noise isn't drift.
    sd = np.hypot(seeds.std(axis=1, ddof=1), NOISE * np.abs(center).clip(min=1))
    error = sd * np.sqrt(1 + 1 / n)
    half = stats.t.ppf(0.975, n - 1) * error
    p = np.asarray(2 * stats.t.sf(np.abs(mean - center) / error, n - 1))
    corrected = holm(p)
    return {
        "mean_seeds": center,
        "sd_seeds": sd,
        "low": center - half,
        "high": center + half,
        "p": p,
        "p_holm": corrected,
        "drifted": (corrected < 0.05).astype(float),
    }


def _cells(profile: pd.DataFrame) -> pd.DataFrame:
    """Return what all units do at each role: `CELL`, items and mean."""
    rows = profile[
        (profile["by"] == "role")
        & (profile["units"] == "all")
        & profile["reading"].isin(list(READINGS))
    ]
    pool = pooled(rows, "answer", "number")
    return pool.loc[pool["items"] >= LEAST, [*CELL, "items", "mean"]]
