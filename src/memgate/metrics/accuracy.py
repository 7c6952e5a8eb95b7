"""Accuracies by stratum, each with its 95% interval, from counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pandas as pd

from memgate.arrays import UNKNOWN_COUNT, Bools, Floats, Ints
from memgate.metrics.strata import ATTRACTORS, INTERVENING, LABEL_NAMES, IntArray

ACCURACY_BREAKDOWNS = (
    "overall",
    "label",
    "intervening",
    "attractors",
    "intervening_x_attractors",
    "condition",
)
"""The values of the column `by`, in the order of the table."""

CHANCE = 0.5
"""Accuracy of guesses between two answers; also balanced accuracy."""

NORMAL_97_5 = 1.959963984540054
"""The 97.5% quantile of the normal distribution."""

STRATA: dict[str, Sequence[str]] = {
    "label": LABEL_NAMES,
    "intervening": INTERVENING.names,
    "attractors": ATTRACTORS.names,
    "intervening_x_attractors": [f"{i} × {a}" for i in INTERVENING.names for a in ATTRACTORS.names],
}
"""The strata of each breakdown that has a fixed list of them, in their natural order."""


@overload
def wilson(correct: int, n: int) -> tuple[float, float]: ...
@overload
def wilson(correct: Floats, n: Ints) -> tuple[Floats, Floats]: ...
def wilson(correct: Any, n: Any) -> Any:
    """Return the 95% interval of a proportion, or of many (Wilson 1927).

    Unlike mean ± 1.96 standard errors it stays within [0, 1] and has a width at 0 or n correct.

    Args:
        correct: From 0 to n; for arrays also fractions, as a mean over networks is.
        n: Of how many; where it is 0, both ends are NaN.

    >>> [round(limit, 4) for limit in wilson(9, 10)]
    [0.5958, 0.9821]
    >>> wilson(0, 0)
    (nan, nan)
    """
    z2 = NORMAL_97_5**2
    n = np.asarray(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        proportion = np.divide(correct, n)
        middle = (proportion + z2 / (2 * n)) / (1 + z2 / n)
        variance = proportion * (1 - proportion) / n + z2 / (4 * n**2)
        half = np.sqrt(z2 * variance) / (1 + z2 / n)
    # rounding must not put an end beyond the proportion itself, such as 1
    low = np.minimum(np.maximum(middle - half, 0), proportion)
    high = np.maximum(np.minimum(middle + half, 1), proportion)
    return (float(low), float(high)) if np.ndim(low) == 0 else (low, high)


def answer_frame(
    right: Bools,
    labels: IntArray,
    intervening: IntArray,
    attractors: IntArray,
    condition: npt.NDArray[np.object_] | None = None,
) -> pd.DataFrame:
    """Return the frame that `accuracy_table` reads, a row for each of N predictions.

    Args:
        right: Whether each prediction is right.
        labels: The number of the subject, 0 for singular, 1 for plural.
        intervening: Words between subject and verb, at least 0, or `UNKNOWN_COUNT`.
        attractors: Attractors between subject and verb, likewise.
        condition: Strings, null where unknown; None if there are none.

    Raises:
        ValueError: A number of words or attractors is below `UNKNOWN_COUNT`.
    """
    return pd.DataFrame(
        {
            "label": np.array([*LABEL_NAMES, None], dtype=object)[labels],
            "intervening": INTERVENING.names_of(intervening),
            "attractors": ATTRACTORS.names_of(attractors),
            "condition": condition,
            "n": 1,
            "correct": right.astype(int),
        }
    )


def accuracy_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Tabulate accuracy overall and by stratum; a breakdown omits items of unknown stratum.

    Args:
        frame: Columns label (``sg``/``pl``), intervening and attractors (names of bins or null), n
            and correct (integers), and condition (a string or null; may be missing). A row may
            stand for one item or for many; several rows may have the same strata.

    Returns:
        One row a stratum that has items: by (in the order of `ACCURACY_BREAKDOWNS`), stratum (in
        its natural order), n, correct (int64), accuracy, low and high (proportions; Wilson's 95%
        interval).

    Raises:
        ValueError: A column is missing, a stratum has an unknown name, or not 0 ≤ correct ≤ n.
    """
    _check(frame)
    rows = []
    for by in ACCURACY_BREAKDOWNS:
        strata, indices = _strata(frame, by)
        totals = _totals(frame, indices, len(strata))
        for stratum, (n, correct) in zip(strata, totals, strict=True):
            if n:
                rows.append((by, stratum, n, correct, correct / n, *wilson(correct, n)))
    columns = ["by", "stratum", "n", "correct", "accuracy", "low", "high"]
    kinds = dict(zip(columns[2:], ["int64"] * 2 + ["float64"] * 3, strict=True))
    return pd.DataFrame(rows, columns=columns).astype(kinds)


def left_out(frame: pd.DataFrame) -> dict[str, int]:
    """Count the items that each breakdown omits because their stratum is unknown.

    Args:
        frame: As for `accuracy_table`; without a column `condition`, that breakdown omits all.

    Returns:
        Number of items for ``intervening``, ``attractors`` and ``condition``.

    Raises:
        ValueError: As `accuracy_table`.
    """
    _check(frame)
    return {
        by: int(frame.loc[_strata(frame, by)[1] < 0, "n"].sum())
        for by in ("intervening", "attractors", "condition")
    }


def _check(frame: pd.DataFrame) -> None:
    missing = {"label", "intervening", "attractors", "n", "correct"}.difference(frame.columns)
    if missing:
        raise ValueError(f"frame: expected also {sorted(missing)}, got {list(frame.columns)}")
    for column in ("label", "intervening", "attractors"):
        valid = frame[column].isin(STRATA[column])
        if column != "label":
            valid |= frame[column].isna()
        if not valid.all():
            unknown = frame.loc[~valid, column].iloc[0]
            raise ValueError(f"{column}: expected one of {STRATA[column]}, got {unknown!r}")
    impossible = frame[(frame["correct"] < 0) | (frame["correct"] > frame["n"])]
    if len(impossible):
        n, correct = impossible[["n", "correct"]].iloc[0]
        raise ValueError(f"correct: expected from 0 to n = {n}, got {correct}")


def _strata(frame: pd.DataFrame, by: str) -> tuple[Sequence[str], IntArray]:
    """Return the strata of a breakdown in their order, and the index of each row's stratum.

    Returns:
        The names, and for each row the index of its stratum, or `UNKNOWN_COUNT`.
    """
    if by == "overall":
        return ["all"], np.zeros(len(frame), dtype=np.int64)
    if by == "intervening_x_attractors":
        _, intervening = _strata(frame, "intervening")
        _, attractors = _strata(frame, "attractors")
        both = (intervening >= 0) & (attractors >= 0)
        return STRATA[by], np.where(
            both, intervening * len(ATTRACTORS.names) + attractors, UNKNOWN_COUNT
        )
    if by == "condition":
        values = frame[by] if by in frame else pd.Series([None] * len(frame), dtype=object)
        names: Sequence[str] = sorted(values.dropna().unique(), key=_natural)
    else:
        values, names = frame[by], STRATA[by]
    indices = values.map({name: index for index, name in enumerate(names)})
    return names, indices.fillna(UNKNOWN_COUNT).to_numpy(dtype=np.int64)


def _totals(frame: pd.DataFrame, indices: IntArray, strata: int) -> list[tuple[int, int]]:
    """Add up n and correct of the rows of each stratum."""
    has_stratum = indices >= 0
    totals = np.zeros((strata, 2), dtype=np.int64)
    np.add.at(
        totals,
        indices[has_stratum],
        frame.loc[has_stratum, ["n", "correct"]].to_numpy(dtype=np.int64),
    )
    return [(int(n), int(correct)) for n, correct in totals]


def _natural(name: str) -> list[str | int]:
    # "depth 10" after "depth 2": every second part of the split is a number
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"(\d+)", name))]
