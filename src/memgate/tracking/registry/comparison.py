"""Two models on the same items: `paired_items`, `paired_table`, and where B is worse: `judge`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from memgate.arrays import UNKNOWN_COUNT, Bools, Floats, Ints
from memgate.data import files
from memgate.data.items.schema import repeat_notes
from memgate.data.sources import jsonl
from memgate.errors import InputError
from memgate.evaluation import predictions
from memgate.evaluation.items import PREDICTIONS, read_predictions
from memgate.metrics.paired import difference_interval, holm, mcnemar, mcnemar_worse
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.predictor import Predictor
from memgate.tracking.registry.training_items import overlap_notes
from memgate.tracking.registry.versions import model_folder

LEAST_COMMON = 100
"""Items in common that a comparison needs: of 100, the exact test can show a loss of 5 points (5
lost, none won: one-sided p = 1/32)."""

PROMOTION_LEVEL = 0.05
"""How often an equally good model may be called worse: overall, and by attractors in any row."""

MARGIN = 0.01
"""Loss of accuracy by attractors, a proportion, up to which a challenger may be promoted."""

BY_ATTRACTORS = ("attractors", "attractors_or_more")
"""Breakdowns in which a loss counts against a model."""

PAIRED_COLUMNS = {
    **dict.fromkeys(("by", "stratum"), "string"),
    **dict.fromkeys(("n", "only_a", "only_b"), "int64"),
    **dict.fromkeys(("accuracy_a", "accuracy_b", "difference", "low", "high"), "float64"),
    **dict.fromkeys(("p", "p_holm"), "float64"),
}

COMPARED_COLUMNS = ("item", "label", "answer", "correct", "intervening", "attractors")
"""Columns of predictions that a comparison needs; ``answer`` is the right one."""


class PairedItems(NamedTuple):
    """The items that both models were evaluated on.

    Attributes:
        rows: One an item: label (``sg``/``pl``), intervening and attractors (null where unknown),
            and whether each model is right, ``a`` and ``b``.
        totals: How many items each model was evaluated on.
        source: Which items, in words.
        notes: Lines on what weakens the comparison.
    """

    rows: pd.DataFrame
    totals: tuple[int, int]
    source: str
    notes: list[str]

    def __str__(self) -> str:
        """Return how many items, of how many, and which."""
        a, b = self.totals
        return f"{len(self.rows)} items in common, of {a} and {b} {self.source}"


def paired_items(a: str, b: str, data: Sequence[str] = ()) -> PairedItems:
    """Pair the predictions of two models, item by item.

    Without `data` (files of agreement JSONL, or globs) each model's stored predictions for the test
    items of its run are used.

    Raises:
        InputError: A model, its predictions or a file is missing or damaged; fewer than
            `LEAST_COMMON` items are common; or the models have different tasks.
    """
    folders = [model_folder(model) for model in (a, b)]
    items = None
    if data:
        items = jsonl.read(files.paths(data, jsonl.FORMAT))
        tables = [predictions(Predictor.load(folder), items) for folder in folders]
        source = f"of {', '.join(data)}"
        advice = "name more of them"
    else:
        tables = [_stored(model, folder) for model, folder in zip((a, b), folders, strict=True)]
        source = "test items"
        advice = "with --data FILE both are evaluated on a file's items now"
    totals = (len(tables[0]), len(tables[1]))
    common = tables[0][list(COMPARED_COLUMNS)].merge(
        tables[1][["item", "answer", "correct"]], on="item", suffixes=("_a", "_b")
    )
    if len(common) < LEAST_COMMON:
        raise InputError(
            f"{a} and {b}: expected at least {LEAST_COMMON} items in common, got {len(common)} "
            f"of {totals[0]} and {totals[1]} {source}; {advice}"
        )
    different = common[common["answer_a"] != common["answer_b"]]
    if len(different):
        first = different.iloc[0]
        raise InputError(
            f"{a} and {b}: expected models of one task; the right answers to item {first['item']} "
            f"are {first['answer_a']!r} and {first['answer_b']!r}"
        )
    rows = common[["label", "intervening", "attractors"]].assign(
        a=common["correct_a"].astype(bool), b=common["correct_b"].astype(bool)
    )
    notes = [
        note
        for model, folder in zip((a, b), folders, strict=True)
        for note in overlap_notes(model, folder, "items in common", common["item"], items)
    ]
    notes += repeat_notes("items in common", common["item"])
    return PairedItems(rows, totals, source, notes)


def _stored(model: str, folder: Path) -> pd.DataFrame:
    """Read the predictions that were stored alongside a model."""
    path = folder / PREDICTIONS
    if not path.is_file():
        raise InputError(
            f"{model}: expected {PREDICTIONS} alongside the model, found none; "
            "with --data FILE both models are evaluated on a file's items now"
        )
    return read_predictions(path, COMPARED_COLUMNS)


def paired_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Tabulate how two models differ, overall and by stratum, from the rows of `PairedItems`.

    Each stratum with items has a row: ``only_a`` and ``only_b`` are items that only that model gets
    right; ``low`` and ``high`` the 95% interval of the difference, b less a (Tango 1998); ``p`` is
    McNemar's, exact and two-sided; ``p_holm`` is corrected over the strata of the breakdown. An
    item whose count is null is left out of that breakdown.
    """
    a, b = (rows[name].to_numpy(dtype=bool) for name in ("a", "b"))
    cells = []
    for by, stratum, inside in _strata(rows):
        if n := int(inside.sum()):
            only_a, only_b = int((a & ~b & inside).sum()), int((b & ~a & inside).sum())
            accuracies = [int((correct & inside).sum()) / n for correct in (a, b)]
            interval = difference_interval(only_a, only_b, n)
            difference, p = (only_b - only_a) / n, mcnemar(only_a, only_b)
            cells.append((by, stratum, n, only_a, only_b, *accuracies, difference, *interval, p, p))
    table = pd.DataFrame(cells, columns=list(PAIRED_COLUMNS)).astype(PAIRED_COLUMNS)
    table["p_holm"] = table.groupby("by")["p"].transform(lambda p: holm(p.to_numpy()))
    return table


def _strata(rows: pd.DataFrame) -> Iterator[tuple[str, str, Bools]]:
    """Yield breakdown, stratum, and which rows are in it."""
    yield "overall", "all", np.ones(len(rows), dtype=bool)
    for label in ("sg", "pl"):
        yield "label", label, rows["label"].to_numpy(dtype=object) == label
    bins = {
        by: strata.of_array(rows[by].fillna(UNKNOWN_COUNT).to_numpy(dtype=np.int64))
        for by, strata in (("intervening", INTERVENING), ("attractors", ATTRACTORS))
    }
    for by, strata in (("intervening", INTERVENING), ("attractors", ATTRACTORS)):
        for position, name in enumerate(strata.names):
            yield by, name, bins[by] == position
    for position, start in list(enumerate(ATTRACTORS.starts))[1:-1]:
        exactly, more = bins["attractors"] == position, bins["attractors"] > position
        if exactly.any() and more.any():  # else the row would repeat another one
            yield "attractors_or_more", f"{start}+", exactly | more


def judge(table: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """Add to each row whether model B is worse than model A there.

    - ``worse`` overall: fewer items are right, and McNemar's one-sided exact test has a p below
      `PROMOTION_LEVEL`.
    - ``worse`` by attractors: the accuracy is lower by more than `margin`, and that test, corrected
      over all rows by attractors (`_corrected`), has a p below `PROMOTION_LEVEL`. Few items have
      several attractors, so a number of attractors alone shows little; "so many or more" shows
      more.
    - ``not worse``: the interval excludes a loss beyond the margin (non-inferiority, Tango 1998).
    - ``inconclusive``: neither is shown.

    How often any row is worse, simulated (10,000 equally good models, 4,000 worse ones): on 1,910
    items, of which 150, 30, 20 and 10 have 1, 2, 3 and 4+ attractors, for 4.8% of equally good
    models (by the margin alone, without a test, it would be 86%), and for 99.5% of those that lose
    20, 25 and 30 points with 2, 3 and 4+ attractors and win elsewhere. On 8,000, 2,000, 500, 100
    and 30 items: for 5.9% of equally good models, for all that lose 3 points of the 2,000, for 95%
    that lose 2, and for 60% of those that lose 10 points of the 100.

    Returns:
        The rows of a `paired_table` overall and by attractors, with two more columns: ``p_worse``
        (one-sided; by attractors corrected, NaN where no loss could be significant) and
        ``verdict``.
    """
    rows = table[table["by"].isin(["overall", *BY_ATTRACTORS])].reset_index(drop=True)
    counts = rows[["only_a", "only_b"]].to_numpy(dtype=np.int64)
    p = np.array([mcnemar_worse(int(a), int(b)) for a, b in counts], dtype=np.float64)
    by_attractors = rows["by"].isin(BY_ATTRACTORS).to_numpy()
    p[by_attractors] = _corrected(p[by_attractors], counts[by_attractors].sum(axis=1))
    worse = (-rows["difference"] > np.where(by_attractors, margin, 0.0)) & (p < PROMOTION_LEVEL)
    verdict = np.where(
        worse, "worse", np.where(rows["low"] >= -margin, "not worse", "inconclusive")
    )
    return rows.assign(p_worse=p, verdict=pd.array(verdict.tolist(), dtype="string"))


def _corrected(p: Floats, discordant: Ints) -> Floats:
    """Correct one-sided p-values of McNemar's tests by Holm's procedure over those that can reject.

    Of d items that only one model gets right, the smallest possible p is 2^-d. Tarone (1990): with
    the least K for which at most K tests have 2^-d <= `PROMOTION_LEVEL` / K, the others can't
    reject; they don't count and become NaN. Which tests these are depends only on d, which the
    exact test holds fixed, so Holm's procedure over the rest keeps its level.
    """
    smallest = 0.5**discordant
    k = 1
    while (smallest <= PROMOTION_LEVEL / k).sum() > k:
        k += 1
    return holm(np.where(smallest <= PROMOTION_LEVEL / k, p, np.nan))
