"""A challenger and a champion on the same items: the paired table, and where it is worse."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from memgate.metrics.mcnemar import difference_interval, mcnemar, mcnemar_worse
from memgate.metrics.paired import holm
from memgate.metrics.strata import ATTRACTORS, INTERVENING, UNKNOWN, Strata

LEVEL = 0.05
"""How often one that is as good may be called worse: overall, and in any stratum of attractors."""

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


def paired_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Tabulate two models' answers to the same items, overall and by stratum.

    Args:
        rows: One an item: label (``sg``/``pl``), intervening and attractors (counts, null where
            unknown: then the item is left out of that breakdown), and whether each model is right,
            `a` and `b`.

    Returns:
        A row a stratum with items: by (overall, label, intervening, attractors), stratum, n items;
        only_a and only_b, items that one alone gets right; accuracy_a and accuracy_b; difference, b
        less a, all shares; low and high, its 95% interval (Tango 1998); p, of McNemar's exact test,
        two-sided, and p_holm, corrected over the strata of its breakdown.
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


def judged(table: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """Say where a challenger is worse than a champion.

    Overall it is where fewer items are right and the one-sided exact McNemar test has p below
    `LEVEL`. In a stratum of attractors it is where the accuracy is lower by more than `margin` and
    that test, Holm-corrected over the strata, has p below `LEVEL`. So a loss that chance explains
    refuses nobody, however small the stratum: with 3 items it can't refuse at all, where the share
    alone would at the first item lost; and a loss within the margin refuses nobody, however large.
    What isn't shown to be worse need not be as good: "not worse" is said only where the interval
    excludes a loss beyond the margin (non-inferiority, Tango 1998), else "open".

    Error rates, simulated on 8,000, 2,000, 500, 100 and 30 items with 0 to 4+ attractors, of which
    two models answer 2, 5, 10, 15 and 20% differently. Refused for the whole or for a stratum: of
    10,000 equally good models 5.8% (by the margin alone it were 71%); of 4,000 that are worse in
    one stratum by 3 points of 2,000 items all but one; by 2 points 97%; by 1, the margin itself,
    46%; by 10 points of 100 items 58%.

    Args:
        table: A `paired_table` with the champion as `a`.
        margin: In [0, 1).

    Returns:
        The rows overall and by attractors, with also ``p_worse`` (one-sided; by attractors
        Holm-corrected) and ``verdict``: ``worse``, ``not worse`` or ``open``.
    """
    rows = table[table["by"].isin(["overall", "attractors"])].reset_index(drop=True)
    counts = zip(rows["only_a"], rows["only_b"], strict=True)
    rows["p_worse"] = np.array([mcnemar_worse(a, b) for a, b in counts], dtype=np.float64)
    rows["p_worse"] = rows.groupby("by")["p_worse"].transform(lambda p: holm(p.to_numpy()))
    allowed = np.where(rows["by"] == "overall", 0.0, margin)
    worse = (-rows["difference"] > allowed) & (rows["p_worse"] < LEVEL)
    sure = rows["low"] >= -margin
    verdict = np.where(worse, "worse", np.where(sure, "not worse", "open"))
    return rows.assign(verdict=pd.array(verdict.tolist(), dtype="string"))
