"""A challenger and a champion on the same items: the paired table, and where it is worse."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from memgate.metrics.paired import difference_interval, holm, mcnemar, mcnemar_worse
from memgate.metrics.strata import ATTRACTORS, INTERVENING, UNKNOWN, Strata

LEVEL = 0.05
"""How often one that is as good may be called worse: overall, and by attractors in any row."""

BY_ATTRACTORS = ("attractors", "attractors_or_more")
"""Breakdowns in which a loss refuses: each number of attractors, and each number or more."""

MARGIN = 0.01
"""Loss of accuracy in a stratum, a share, up to which a challenger may be promoted."""

COLUMNS = {
    **dict.fromkeys(("by", "stratum"), "string"),
    **dict.fromkeys(("n", "only_a", "only_b"), "int64"),
    **dict.fromkeys(("accuracy_a", "accuracy_b", "difference", "low", "high"), "float64"),
    **dict.fromkeys(("p", "p_holm"), "float64"),
}
"""The columns of a paired table."""

Bools = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


def paired_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Tabulate two models' answers to the same items, overall and by stratum.

    Args:
        rows: One an item: label (``sg``/``pl``), intervening and attractors (counts, null where
            unknown: then the item is left out of that breakdown), and whether each model is right,
            `a` and `b`.

    Returns:
        A row a stratum with items: by (overall, label, intervening, attractors,
        attractors_or_more), stratum, n items; only_a and only_b, items that one alone gets right;
        accuracy_a and accuracy_b; difference, b less a, all shares; low and high, its 95% interval
        (Tango 1998); p, of McNemar's exact test, two-sided, and p_holm, corrected over the strata
        of its breakdown.
    """
    a, b = (rows[name].to_numpy(dtype=bool) for name in ("a", "b"))
    found = []
    for by, stratum, inside in _strata(rows):
        n = int(inside.sum())
        if n:
            only_a, only_b = int((a & ~b & inside).sum()), int((b & ~a & inside).sum())
            accuracies = [int((each & inside).sum()) / n for each in (a, b)]
            interval = difference_interval(only_a, only_b, n)
            difference, p = (only_b - only_a) / n, mcnemar(only_a, only_b)
            found.append((by, stratum, n, only_a, only_b, *accuracies, difference, *interval, p, p))
    table = pd.DataFrame(found, columns=list(COLUMNS)).astype(COLUMNS)
    table["p_holm"] = table.groupby("by")["p"].transform(lambda p: holm(p.to_numpy()))
    return table


def _strata(rows: pd.DataFrame) -> Iterator[tuple[str, str, Bools]]:
    """Yield breakdown, stratum, and which rows are in it."""
    yield "overall", "all", np.ones(len(rows), dtype=bool)
    for label in ("sg", "pl"):
        yield "label", label, rows["label"].to_numpy(dtype=object) == label
    binned: dict[str, Strata] = {"intervening": INTERVENING, "attractors": ATTRACTORS}
    for by, strata in binned.items():
        places = strata.of_array(rows[by].fillna(UNKNOWN).to_numpy(dtype=np.int64))
        for place, name in enumerate(strata.names):
            yield by, name, places == place
    places = ATTRACTORS.of_array(rows["attractors"].fillna(UNKNOWN).to_numpy(dtype=np.int64))
    for place, start in list(enumerate(ATTRACTORS.starts))[1:-1]:
        # where only one number of attractors is left, its own row says the same
        if (places == place).any() and (places > place).any():
            yield "attractors_or_more", f"{start}+", places >= place


def judged(table: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """Say where a challenger is worse than a champion.

    Overall it is where fewer items are right and the one-sided exact McNemar test has p below
    `LEVEL`. By attractors, each number and each number or more, it is where the accuracy is lower
    by more than `margin` and that test, corrected for the many rows (`_corrected`), has p below
    `LEVEL`. So a loss within the margin refuses nobody, however large the stratum, and neither does
    one that chance explains. Few items have several attractors, each number alone tells little:
    together they do. What isn't shown to be worse need not be as good: "not worse" is said only
    where the interval excludes a loss beyond the margin (non-inferiority, Tango 1998), else "open",
    which doesn't refuse.

    Error rates of the whole decision, simulated (10,000 equally good models, 4,000 worse ones). On
    1,910 items, of which 150, 30, 20 and 10 have 1, 2, 3 and 4+ attractors, 4.8% of equally good
    models are refused (by the margin alone it were 86%), and 99.5% of those that lose 20, 25 and
    30 points with 2, 3 and 4+ attractors while they win elsewhere (by single numbers of attractors
    it were 52%). On 8,000, 2,000, 500, 100 and 30 items, answered differently by 2, 5, 10, 15 and
    20%: 5.9% of equally good ones; all that lose 3 points of the 2,000, 95% at 2, 43% at 1, the
    margin itself; 60% of those that lose 10 points of the 100.

    Args:
        table: A `paired_table` with the champion as `a`.
        margin: In [0, 1).

    Returns:
        The rows overall and by attractors, with also ``p_worse`` (one-sided; by attractors
        corrected, NaN where no loss could be significant) and ``verdict``: ``worse``, ``not worse``
        or ``open``.
    """
    rows = table[table["by"].isin(["overall", *BY_ATTRACTORS])].reset_index(drop=True)
    counts = rows[["only_a", "only_b"]].to_numpy(dtype=np.int64)
    p = np.array([mcnemar_worse(int(a), int(b)) for a, b in counts], dtype=np.float64)
    many = rows["by"].isin(BY_ATTRACTORS).to_numpy()
    p[many] = _corrected(p[many], counts[many].sum(axis=1))
    rows["p_worse"] = p
    worse = (-rows["difference"] > np.where(many, margin, 0.0)) & (p < LEVEL)
    sure = rows["low"] >= -margin
    verdict = np.where(worse, "worse", np.where(sure, "not worse", "open"))
    return rows.assign(verdict=pd.array(verdict.tolist(), dtype="string"))


def _corrected(p: Numbers, discordant: npt.NDArray[np.int64]) -> Numbers:
    """Correct one-sided p-values of McNemar's tests by Holm's procedure over those that can reject.

    Of d discordant items the smallest p is 2^-d. Tarone (1990): with the least K for which at most
    K tests have 2^-d <= `LEVEL` / K, the others can't reject and don't count. Which they are
    depends on d alone, that the exact test holds fixed, so Holm's procedure over the rest keeps its
    level.

    Args:
        p: M p-values.
        discordant: Items that only one of the two models gets right, of each.

    Returns:
        Corrected p-values; NaN of tests that can't reject.

    >>> _corrected(np.array([0.5, 1 / 64]), np.array([1, 6])).tolist()  # 1/2 can't reject
    [nan, 0.015625]
    """
    least = 0.5**discordant
    k = 1
    while (least <= LEVEL / k).sum() > k:
        k += 1
    return holm(np.where(least <= LEVEL / k, p, np.nan))
