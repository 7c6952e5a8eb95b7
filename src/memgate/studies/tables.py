"""The tables of a study's report: accuracies, differences, learning curves, runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from memgate.metrics.accuracy import accuracy_table
from memgate.metrics.bootstrap import RESAMPLES, Resampled, two_level
from memgate.metrics.paired import holm, items_test, seeds_test
from memgate.metrics.systems import NETWORK
from memgate.studies.predictions import Answers, model_of
from memgate.tracking.study_runs import StudyRun, histories

EACH = "number_of_attractors"
"""The breakdown by the exact number of attractors, which the paper's figures have."""

MOST = 5
"""Attractors up to which it goes: the authors' files have 1 to 5."""

COMPARED = ("overall", "label", "intervening", "attractors")
"""Breakdowns in which models are compared; a cell of intervening × attractors has few items."""

CURVES = ("train/loss", "val/loss", "val/accuracy")

Numbers = npt.NDArray[np.float64]
Strata = list[tuple[str, str]]


def accuracies(answers: Answers, resamples: int = RESAMPLES) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tabulate accuracies, and differences between models, of one data set and task.

    Args:
        answers: What was answered.
        resamples: Of the bootstrap.

    Returns:
        Accuracies: data, task, model, system (``network`` or a baseline), by, stratum, seeds,
        items, n (answers: seeds × items), correct, accuracy, low and high (95%,
        `memgate.metrics.bootstrap`), least and most (accuracy of the worst and the best
        network). Differences: as `differences` has them.
    """
    strata, masks = strata_of(answers.items)
    found = two_level(answers.correct, masks, resamples)
    low, high = found.intervals()
    tables = []
    for place, (model, system) in enumerate(answers.correct):
        own = answers.correct[model, system]
        by_network = _by_network(own, masks)
        table = _named(strata, data=answers.data, task=answers.task, model=model, system=system)
        figures: dict[str, Any] = {
            "seeds": len(own),
            "items": found.n,
            "n": found.n * len(own),
            "correct": np.rint(by_network * found.n).sum(axis=0).astype(np.int64),
            "accuracy": found.measured[place],
            "low": low[place],
            "high": high[place],
            "least": by_network.min(axis=0),
            "most": by_network.max(axis=0),
        }
        tables.append(table.assign(**figures))
    return pd.concat(tables, ignore_index=True), differences(answers, found, strata, masks)


def _named(strata: Strata, **names: str) -> pd.DataFrame:
    """Return a row a stratum: the names, by and stratum."""
    table = pd.DataFrame(strata, columns=["by", "stratum"])
    for place, (column, name) in enumerate(names.items()):
        table.insert(place, column, name)
    return table


def strata_of(items: pd.DataFrame) -> tuple[Strata, npt.NDArray[np.bool_]]:
    """Name the strata that have items, and say which items are in each, (K, N).

    Those of `memgate.metrics.accuracy.BREAKDOWNS` in their order, then each number of attractors
    from 0 to `MOST`.
    """
    counted = accuracy_table(items.assign(n=1, correct=0))
    named = {
        "overall": pd.Series("all", index=items.index),
        "label": items["label"],
        "intervening": items["intervening"],
        "attractors": items["attractors"],
        # None where either is unknown
        "intervening_x_attractors": items["intervening"] + " × " + items["attractors"],
        "condition": items["condition"],
    }
    strata = [(str(by), str(stratum)) for by, stratum in counted[["by", "stratum"]].to_numpy()]
    masks = [(named[by] == stratum).to_numpy(bool) for by, stratum in strata]
    for number in range(MOST + 1):
        mask = (items["number_of_attractors"] == number).to_numpy(bool)
        if mask.any():
            strata.append((EACH, str(number)))
            masks.append(mask)
    return strata, np.array(masks)


def differences(
    answers: Answers, found: Resampled, strata: Strata, masks: npt.NDArray[np.bool_]
) -> pd.DataFrame:
    """Compare the models that differ in one thing: the cell, or one setting.

    Holm's correction is over all pairs and strata of a breakdown, within the data set and
    task.

    Args:
        answers: What was answered.
        found: Its resamples.
        strata: Names of the strata.
        masks: Their items.

    Returns:
        data, task, a, b, by, stratum, items, seeds_a, seeds_b, difference (accuracy of a less
        b), low, high; p_items and p_seeds of `memgate.metrics.paired.items_test` and
        `seeds_test`, each with its corrected ``…_holm``; p_seeds is NaN where either has one
        seed. Empty where there is no such pair.
    """
    shown = [place for place, (by, _) in enumerate(strata) if by in COMPARED]
    names = [strata[place] for place in shown]
    tables = []
    for a, b in _pairs(answers.runs):
        table = _named(names, data=answers.data, task=answers.task, a=a, b=b)
        limits = found.difference((a, NETWORK), (b, NETWORK))
        difference, low, high = (each[shown] for each in limits)
        tests = _tested(answers.correct[a, NETWORK], answers.correct[b, NETWORK], masks[shown])
        figures = {"items": found.n[shown], "difference": difference, "low": low, "high": high}
        tables.append(table.assign(**figures, **tests))
    if not tables:
        return pd.DataFrame(columns=DIFFERENCES)
    table = pd.concat(tables, ignore_index=True)
    for name in ("p_items", "p_seeds"):
        for rows in table.groupby("by").indices.values():
            table.loc[rows, f"{name}_holm"] = holm(table.loc[rows, name].to_numpy(float))
    return table[DIFFERENCES]


def _tested(
    one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_], masks: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Test two models in each stratum; over seeds only where both have several."""
    p_seeds = np.full(len(masks), np.nan)
    if min(len(one), len(other)) > 1:
        p_seeds = seeds_test(_by_network(one, masks), _by_network(other, masks))
    p_items = [items_test(one[:, mask], other[:, mask]) for mask in masks]
    return {"seeds_a": len(one), "seeds_b": len(other), "p_items": p_items, "p_seeds": p_seeds}


DIFFERENCES = [
    *("data", "task", "a", "b", "by", "stratum", "items", "seeds_a", "seeds_b"),
    *("difference", "low", "high", "p_items", "p_items_holm", "p_seeds", "p_seeds_holm"),
]
"""Columns of the table of differences."""


def _by_network(correct: npt.NDArray[np.bool_], masks: npt.NDArray[np.bool_]) -> Numbers:
    """Return the share of right answers of each of S networks in each of K strata, (S, K)."""
    return np.stack([correct[:, mask].mean(axis=1) for mask in masks], axis=1)


def _pairs(runs: Mapping[str, Sequence[StudyRun]]) -> list[tuple[str, str]]:
    """Return the pairs of models that differ in one thing."""
    found = []
    for a, b in combinations(runs, 2):
        one, other = runs[a][0], runs[b][0]
        names = sorted({*one.settings, *other.settings})
        differing = [name for name in names if one.settings.get(name) != other.settings.get(name)]
        if len(differing) + (one.cell != other.cell) == 1:
            found.append((a, b))
    return found


def curves(answers: Answers) -> pd.DataFrame:
    """Tabulate what the runs logged as they learned.

    Returns:
        data, task, model, seed, run, metric (of `CURVES`), step, value.
    """
    tables = []
    for model, runs in answers.runs.items():
        for run in runs:
            table = histories(run, CURVES)
            table.insert(0, "run", run.name)
            table.insert(0, "seed", run.seed)
            for name, value in (("model", model), ("task", answers.task), ("data", answers.data)):
                table.insert(0, name, value)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def runs_table(runs: Sequence[StudyRun], answers: Sequence[Answers]) -> pd.DataFrame:
    """Tabulate every run, the unfinished too.

    Returns:
        run, status, data, task, model, seed, train and test (rows of these splits, null where the
        run has no such input), accuracy (on the items that all runs of its data and task have;
        NaN where it gave no answers).
    """
    scored = {
        run.run_id: float(each.correct[model, NETWORK][place].mean())
        for each in answers
        for model, own in each.runs.items()
        for place, run in enumerate(own)
    }
    rows = [
        (
            *(run.name, run.status, run.data, run.task, model_of(run), run.seed),
            *(run.items.get("train"), run.items.get("test"), scored.get(run.run_id, np.nan)),
        )
        for run in runs
    ]
    columns = ["run", "status", "data", "task", "model", "seed", "train", "test", "accuracy"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"train": "Int64", "test": "Int64"})
