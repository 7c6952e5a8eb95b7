"""Effective timescales: how many words the memory of a unit lasts, by its gate."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from memgate.arrays import Floats
from memgate.errors import InputError

TIMESCALE_DTYPES = {
    "layer": "int64",
    "gate": "string",
    "unit": "int64",
    "keep": "float64",
    "timescale": "float64",
}
"""The columns of the table of units."""

SUMMARY_QUANTILES = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "max": 1.0}

SUMMARY_DTYPES = {
    "layer": "int64",
    "gate": "string",
    "n": "int64",
    **dict.fromkeys(SUMMARY_QUANTILES, "float64"),
}
"""The columns of the summary."""

MIN_UNITS = 4
"""Units that a correlation of timescales and half-lives needs."""


class Correlation(NamedTuple):
    """Spearman's rank correlation of n pairs with its 95% interval; NaN if it is undefined."""

    rho: float
    low: float
    high: float
    n: int


def timescale(keep: Floats) -> Floats:
    """Return −1 / ln(keep): words until 1/e = 37% of the memory remains.

    A memory that is only kept falls by exp(−1/timescale) a word (Tallec and Ollivier 2018; Mahto et
    al. 2021, who take an LSTM unit's mean forget gate). A timescale of 10 words is keep = 0.905.

    Args:
        keep: Proportion of the memory that is kept at a word, in [0, 1].

    Returns:
        Words: 0 if nothing is kept, infinity if everything is.

    >>> timescale(np.array([0.0, np.exp(-0.1), 1.0])).round(3).tolist()
    [0.0, 10.0, inf]
    """
    with np.errstate(divide="ignore"):
        decay: Floats = -np.log(keep)
        return np.asarray(1 / np.abs(decay))


def timescale_table(gates: pd.DataFrame) -> pd.DataFrame:
    """Return the effective timescale of each unit.

    Args:
        gates: As `memgate.gates.statistics.gate_table`: columns layer, gate, reading, unit, mean.

    Returns:
        A row a unit whose memory is kept by a gate (LSTM: forget, GRU: update; an RNN has none):
        layer, gate, unit, keep (its mean over words), timescale (words, see `timescale`).

    Raises:
        InputError: A column is missing.
    """
    missing = {"layer", "gate", "reading", "unit", "mean"}.difference(gates.columns)
    if missing:
        raise InputError(f"gate table: expected also {sorted(missing)}, got {list(gates.columns)}")
    kept = gates[gates["reading"] == "keep"].rename(columns={"mean": "keep"})
    kept = kept.assign(timescale=timescale(kept["keep"].to_numpy(dtype=np.float64)))
    return kept[list(TIMESCALE_DTYPES)].astype(TIMESCALE_DTYPES).reset_index(drop=True)


def with_half_lives(table: pd.DataFrame, decay: pd.DataFrame) -> pd.DataFrame:
    """Add to the timescale of each unit the half-life of its gradient.

    Args:
        table: As from `timescale_table`.
        decay: As `memgate.gates.gradients.Gradients.units`, of one network.

    Returns:
        The table with a further column, half_life (words; NaN if it couldn't be measured).
    """
    return table.merge(decay[["layer", "unit", "half_life"]], how="left", on=["layer", "unit"])


def half_life_correlation(both: pd.DataFrame) -> Correlation:
    """Correlate the timescales of gates with the half-lives of gradients, by rank over units.

    Args:
        both: As from `with_half_lives`; fewer than 4 units give NaN.
    """
    pairs = both[["timescale", "half_life"]].dropna().to_numpy(np.float64)
    return rank_correlation(*(pairs if len(pairs) >= MIN_UNITS else pairs[:0]).T)


def timescale_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return the distribution of timescales over the units of each layer.

    Args:
        table: As from `timescale_table`.

    Returns:
        A row a layer: layer, gate, n (units), min, q25, median, q75 and max (words; a quantile is
        the timescale of a unit, so that infinite ones do no harm).
    """
    rows = [
        (
            *keys,
            len(part),
            *np.quantile(part["timescale"], [*SUMMARY_QUANTILES.values()], method="lower"),
        )
        for keys, part in table.groupby(["layer", "gate"])
    ]
    return pd.DataFrame(rows, columns=list(SUMMARY_DTYPES)).astype(SUMMARY_DTYPES)


def rank_correlation(
    first: Floats, second: Floats, seed: int = 0, resamples: int = 2000
) -> Correlation:
    """Return Spearman's rank correlation with a bootstrap interval over the pairs.

    Args:
        first: A number a unit (or a seed), such as its timescale; infinity ranks last.
        second: Another, such as its measured half-life.
        seed: Seed of the bootstrap.
        resamples: Resamples of the pairs; the interval runs between the 2.5% and the 97.5% quantile
            of their correlations (Efron and Tibshirani 1993, section 13.3). Resamples without a
            correlation, because all their numbers are the same, don't count.

    Raises:
        InputError: The numbers don't pair up, or one is NaN.
    """
    if first.shape != second.shape or np.isnan([first, second]).any():
        raise InputError("rank correlation: expected pairs of numbers, none of them NaN")
    n = len(first)
    if min(len(np.unique(first)), len(np.unique(second))) < 2:
        return Correlation(np.nan, np.nan, np.nan, n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        bootstrap = stats.bootstrap(
            (first, second),
            _spearman,
            n_resamples=resamples,
            vectorized=True,
            paired=True,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    low, high = np.nanquantile(bootstrap.bootstrap_distribution, [0.025, 0.975])
    return Correlation(float(_spearman(first, second)), float(low), float(high), n)


def _spearman(first: Floats, second: Floats, axis: int = -1) -> Floats:
    """Return the correlation of ranks along an axis; `scipy.stats.spearmanr` takes no batch."""
    ranks = (stats.rankdata(numbers, axis=axis) for numbers in (first, second))
    return np.asarray(stats.pearsonr(*ranks, axis=axis).statistic)
