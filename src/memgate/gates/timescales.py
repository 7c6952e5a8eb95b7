"""Effective timescales: how many words a unit's gate lets its memory last."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from memgate.errors import InputError

TIMESCALES = {
    "layer": "int64",
    "gate": "string",
    "unit": "int64",
    "keep": "float64",
    "timescale": "float64",
}
"""The columns of the table of units."""

QUANTILES = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "max": 1.0}

SUMMARY = {
    "layer": "int64",
    "gate": "string",
    "n": "int64",
    **dict.fromkeys(QUANTILES, "float64"),
}
"""The columns of the summary."""

FEW = 4
"""Units from which on timescales and half-lives are correlated."""

Floats = npt.NDArray[np.float64]


class Correlation(NamedTuple):
    """Spearman's rank correlation of n pairs with its 95% interval; NaN where it isn't defined."""

    rho: float
    low: float
    high: float
    n: int


def timescale(keep: Floats) -> Floats:
    """Return −1 / ln(keep): words until a unit that keeps so much at each has 1/e = 37% left.

    A memory that only keeps falls by exp(−1/timescale) a word (Tallec and Ollivier 2018; Mahto et
    al. 2021, who take an LSTM unit's mean forget gate). At 10 words 0.905 is kept at each.

    Args:
        keep: Share of the memory that is kept at a word, in [0, 1].

    Returns:
        Words: 0 where nothing is kept, infinity where everything is.

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
    return kept[list(TIMESCALES)].astype(TIMESCALES).reset_index(drop=True)


def with_half_lives(table: pd.DataFrame, decay: pd.DataFrame) -> pd.DataFrame:
    """Put beside each unit's timescale the measured thing: how its gradient falls, word by word.

    Args:
        table: As from `timescale_table`.
        decay: As `memgate.gates.gradients.Gradients.units`, of one network.

    Returns:
        The table with a further column, half_life (words; NaN where it couldn't be measured).
    """
    return table.merge(decay[["layer", "unit", "half_life"]], how="left", on=["layer", "unit"])


def prediction(both: pd.DataFrame) -> Correlation:
    """Say whether the gates' timescales predict the half-lives, by rank over units.

    Args:
        both: As from `with_half_lives`; of fewer than 4 units nothing is said (NaN).
    """
    pairs = both[["timescale", "half_life"]].dropna().to_numpy(np.float64)
    return rank_correlation(*(pairs if len(pairs) >= FEW else pairs[:0]).T)


def timescale_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return how timescales are spread over the units of each layer.

    Args:
        table: As from `timescale_table`.

    Returns:
        A row a layer: layer, gate, n (units), min, q25, median, q75 and max (words; a quantile is
        the timescale of a unit, so that infinite ones do no harm).
    """
    rows = [
        (*keys, len(part), *np.quantile(part["timescale"], [*QUANTILES.values()], method="lower"))
        for keys, part in table.groupby(["layer", "gate"])
    ]
    return pd.DataFrame(rows, columns=list(SUMMARY)).astype(SUMMARY)


def rank_correlation(
    first: Floats, second: Floats, seed: int = 0, draws: int = 2000
) -> Correlation:
    """Return Spearman's rank correlation with a bootstrap interval over the pairs.

    Args:
        first: A number a unit (or a seed), such as its timescale; infinity ranks last.
        second: Another, such as its measured half-life.
        seed: Seed of the bootstrap.
        draws: Samples of the pairs with replacement; the interval is between the 2.5% and the 97.5%
            quantile of their correlations (Efron and Tibshirani 1993, section 13.3). Samples in
            which all numbers are the same are left out.

    Raises:
        InputError: There are not as many of the one as of the other, or one is NaN.
    """
    if first.shape != second.shape or np.isnan([first, second]).any():
        raise InputError("rank correlation: expected pairs of numbers, none of them NaN")
    n = len(first)
    places = (
        np.random.default_rng(seed).integers(n, size=(draws, n)) if n else np.zeros((1, 0), int)
    )
    rho = _spearman(first[None], second[None])[0]
    drawn = _spearman(first[places], second[places])
    drawn = drawn[~np.isnan(drawn)]
    if np.isnan(rho) or not len(drawn):
        return Correlation(np.nan, np.nan, np.nan, n)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Correlation(float(rho), float(low), float(high), n)


def _spearman(first: Floats, second: Floats) -> Floats:
    """Correlate the ranks of each row; NaN where all of a row are the same."""
    if first.shape[1] == 0:
        return np.full(len(first), np.nan)
    ranks = [rankdata(each, axis=1) for each in (first, second)]
    a, b = (each - each.mean(axis=1, keepdims=True) for each in ranks)
    with np.errstate(invalid="ignore"):
        rho: Floats = (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return rho
