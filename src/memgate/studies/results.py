"""The results of a study: predictions lined up item by item, and the tables made from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from memgate.arrays import UNKNOWN_COUNT, Bools, Floats
from memgate.errors import InputError
from memgate.evaluation.items import PREDICTIONS, read_predictions
from memgate.metrics.accuracy import accuracy_table
from memgate.metrics.bootstrap import RESAMPLES, Resampled, two_level
from memgate.metrics.paired import holm, items_test, seeds_test
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.metrics.systems import NETWORK, SYSTEM_NAMES
from memgate.models.classifier import RECURRENCE
from memgate.tracking.study_runs import FINISHED, StudyRun, histories, run_file

PREDICTIONS_COLUMNS = ("item", "label", "correct", "intervening", "attractors", "condition")
"""Columns of predictions that a report needs."""

BY_NUMBER = "number_of_attractors"
"""The breakdown by the exact number of attractors, as in the paper's figures."""

MOST_ATTRACTORS = 5
"""The last number of that breakdown: the authors' files have 1 to 5."""

COMPARED = ("overall", "label", "intervening", "attractors")
"""Breakdowns in which models are compared; a cell of intervening × attractors has few items."""

CURVES = ("train/loss", "val/loss", "val/accuracy")

MODEL_DIFFERENCE_COLUMNS = [
    *("data", "task", "a", "b", "by", "stratum", "items", "seeds_a", "seeds_b"),
    *("difference", "low", "high", "p_items", "p_items_holm", "p_seeds", "p_seeds_holm"),
]
"""Columns of the table of differences."""

StratumNames = list[tuple[str, str]]


@dataclass(frozen=True, eq=False)
class StudyPredictions:
    """The predictions of all networks of one data set and task.

    Attributes:
        data: Name of the data.
        task: Name of the task.
        items: N test items that every run has: item (its key), label, intervening and attractors
            (names of bins or None), number_of_attractors (-1 where unknown), condition.
        runs: The runs of each model (cell and what else varies), by seed.
        correct: Whether the S networks of a model, and of the baselines that predict every item,
            are right, (S, N), by (model, system).
        notes: What a reader must know, in lines.
    """

    data: str
    task: str
    items: pd.DataFrame
    runs: Mapping[str, Sequence[StudyRun]]
    correct: Mapping[tuple[str, str], Bools]
    notes: Sequence[str]


@dataclass(frozen=True, eq=False)
class StudyResults:
    """The results of a study.

    Attributes:
        predictions: By data and task.
        missing: A line for each run that is in no table.
        accuracy, differences: As from `accuracy_and_differences`.
        curves: As from `learning_curves`.
        runs: As from `runs_table`.
    """

    predictions: Sequence[StudyPredictions]
    missing: Sequence[str]
    accuracy: pd.DataFrame
    differences: pd.DataFrame
    curves: pd.DataFrame
    runs: pd.DataFrame


def study_results(runs: Sequence[StudyRun]) -> StudyResults:
    """Read the predictions of a study's runs, and make the tables."""
    predictions, missing = gather_predictions(runs)
    tables = [accuracy_and_differences(part) for part in predictions]
    differences = [table for _, table in tables if len(table)] or [tables[0][1]]
    return StudyResults(
        predictions,
        missing,
        pd.concat([table for table, _ in tables], ignore_index=True),
        pd.concat(differences, ignore_index=True),
        pd.concat([learning_curves(part) for part in predictions], ignore_index=True),
        runs_table(runs, predictions),
    )


def model_of(run: StudyRun) -> str:
    """Return the name of a run's model: cell and settings without the seed, such as ``lstm``."""
    return ", ".join([run.cell, *(f"{name} {value}" for name, value in run.settings.items())])


def gather_predictions(runs: Sequence[StudyRun]) -> tuple[list[StudyPredictions], list[str]]:
    """Read the predictions of a study's finished runs.

    Returns:
        The predictions by data and task, in the order of their names; and a line for each run that
        isn't finished or whose predictions can't be read.

    Raises:
        InputError: No run can be used, or the networks of a model differ by more than their seed.
    """
    missing = [f"run {run.name}: {run.status}" for run in runs if run.status != FINISHED]
    finished = [run for run in runs if run.status == FINISHED]
    finished.sort(key=lambda run: (run.data, run.task, _cell_order(run), model_of(run), run.seed))
    _require_one_setting(finished)
    predictions = []
    for (data, task), group in groupby(finished, key=lambda run: (run.data, run.task)):
        tables: dict[str, pd.DataFrame] = {}  # of one data set at a time: 4 MB a run
        usable = []
        for run in group:
            try:
                tables[run.name] = read_run_predictions(run_file(run, f"tables/{PREDICTIONS}"))
                usable.append(run)
            except InputError as error:
                missing.append(str(error))
        lined_up = _line_up(data, task, usable, list(tables.values())) if usable else None
        if lined_up is not None:
            predictions.append(lined_up)
        else:
            missing += [f"run {run.name}: no test item that all runs have" for run in usable]
    if not predictions:
        raise InputError(f"expected at least one finished run with predictions, got {missing[0]}")
    return predictions, missing


def _cell_order(run: StudyRun) -> int:
    cells = list(RECURRENCE)
    return cells.index(run.cell) if run.cell in cells else len(cells)


def _require_one_setting(runs: Sequence[StudyRun]) -> None:
    """Check that the networks of each model differ only in their seed, before they are averaged."""
    first_runs: dict[tuple[str, str, str], StudyRun] = {}
    for run in runs:
        first = first_runs.setdefault((run.data, run.task, model_of(run)), run)
        if run.digest != first.digest:
            raise InputError(
                f"{model_of(run)}: expected runs that differ by their seed alone, got {first.name} "
                f"and {run.name} of different settings; `memgate study` removes runs that its file "
                "doesn't plan"
            )


def read_run_predictions(path: Path) -> pd.DataFrame:
    """Read a run's table of predictions.

    Raises:
        InputError: The file is damaged, lacks a column, has no row, or an item twice.
    """
    table = read_predictions(path, PREDICTIONS_COLUMNS)
    if table.empty or table["item"].duplicated().any():
        raise InputError(f"{path}: expected rows of different items, got {len(table)} rows")
    return table


def _line_up(
    data: str, task: str, runs: Sequence[StudyRun], tables: Sequence[pd.DataFrame]
) -> StudyPredictions | None:
    """Bring the runs' predictions into one order of the items that all of them have, if any."""
    common = pd.Index(tables[0]["item"])
    for table in tables[1:]:
        common = common[common.isin(table["item"])]
    if common.empty:
        return None
    ordered = [table.set_index("item").loc[common] for table in tables]
    for run, table in zip(runs, ordered, strict=True):
        if not (table["label"] == ordered[0]["label"]).all():
            raise InputError(f"{run.name}: expected the labels of {runs[0].name} on the same items")
    positions: dict[str, list[int]] = {}
    for position, run in enumerate(runs):
        positions.setdefault(model_of(run), []).append(position)
    runs_of = {model: [runs[at] for at in some] for model, some in positions.items()}
    correct = {}
    for model, some in positions.items():
        of_model = [ordered[at] for at in some]
        for system in (NETWORK, *SYSTEM_NAMES):
            column = "correct" if system == NETWORK else system
            if all(column in table and table[column].notna().all() for table in of_model):
                correct[model, system] = np.stack([t[column].to_numpy(bool) for t in of_model])
    notes = [*_items_note(tables, len(common)), *_seed_notes(runs_of)]
    return StudyPredictions(data, task, _items(ordered[0]), runs_of, correct, notes)


def _items(table: pd.DataFrame) -> pd.DataFrame:
    """Return the items with their strata."""
    intervening, attractors = (
        table[name].fillna(UNKNOWN_COUNT).to_numpy(dtype=np.int64)
        for name in ("intervening", "attractors")
    )
    return pd.DataFrame(
        {
            "item": table.index.to_numpy(dtype=object),
            "label": table["label"].to_numpy(dtype=object),
            "intervening": INTERVENING.names_of(intervening),
            "attractors": ATTRACTORS.names_of(attractors),
            BY_NUMBER: attractors,
            "condition": table["condition"].to_numpy(dtype=object),
        }
    )


def _items_note(tables: Sequence[pd.DataFrame], common: int) -> list[str]:
    sizes = sorted({len(table) for table in tables})
    if sizes == [common]:
        return []
    size = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    return [
        f"the runs were tested on different items: {common:,} are in the test of every run, which "
        f"has {size}; all results are of those {common:,}"
    ]


def _seed_notes(runs_of: Mapping[str, Sequence[StudyRun]]) -> list[str]:
    notes = []
    for model, runs in runs_of.items():
        seeds = {run.seed for run in runs}
        if len(runs) == 1:
            notes.append(
                f"{model}: a single seed ({runs[0].seed}), so its intervals hold for other test "
                "items only, not for other networks"
            )
        elif len(seeds) < len(runs):
            notes.append(f"{model}: {len(runs)} runs of {len(seeds)} seeds; each is a network")
    return notes


def accuracy_and_differences(
    predictions: StudyPredictions, resamples: int = RESAMPLES
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tabulate accuracies, and differences between models, of one data set and task.

    Returns:
        Accuracies: data, task, model, system (``network`` or a baseline), by, stratum, seeds,
        items, n (predictions: seeds × items), correct, accuracy, low and high (95%,
        `memgate.metrics.bootstrap`), least and most (accuracy of the worst and the best
        network). Differences: as `model_differences` has them.
    """
    strata, masks = strata_of(predictions.items)
    resampled = two_level(predictions.correct, masks, resamples)
    low, high = resampled.intervals()
    tables = []
    for position, ((model, system), correct) in enumerate(predictions.correct.items()):
        by_network = _by_network(correct, masks)
        names = {"data": predictions.data, "task": predictions.task}
        table = _strata_table(strata, **names, model=model, system=system)
        figures: dict[str, Any] = {
            "seeds": len(correct),
            "items": resampled.n,
            "n": resampled.n * len(correct),
            "correct": np.rint(by_network * resampled.n).sum(axis=0).astype(np.int64),
            "accuracy": resampled.measured[position],
            "low": low[position],
            "high": high[position],
            "least": by_network.min(axis=0),
            "most": by_network.max(axis=0),
        }
        tables.append(table.assign(**figures))
    accuracy = pd.concat(tables, ignore_index=True)
    return accuracy, model_differences(predictions, resampled, strata, masks)


def _strata_table(strata: StratumNames, **names: str) -> pd.DataFrame:
    """Return a row for each stratum: the names, by and stratum."""
    table = pd.DataFrame(strata, columns=["by", "stratum"])
    for position, (column, name) in enumerate(names.items()):
        table.insert(position, column, name)
    return table


def strata_of(items: pd.DataFrame) -> tuple[StratumNames, Bools]:
    """Name the strata that have items, and return which items are in each, (K, N).

    They are those of `memgate.metrics.accuracy.ACCURACY_BREAKDOWNS` in their order, then each
    number of attractors from 0 to `MOST_ATTRACTORS`.
    """
    counted = accuracy_table(items.assign(n=1, correct=0))
    columns = {
        "overall": pd.Series("all", index=items.index),
        "label": items["label"],
        "intervening": items["intervening"],
        "attractors": items["attractors"],
        # None where either is unknown
        "intervening_x_attractors": items["intervening"] + " × " + items["attractors"],
        "condition": items["condition"],
    }
    strata = [(str(by), str(stratum)) for by, stratum in counted[["by", "stratum"]].to_numpy()]
    masks = [(columns[by] == stratum).to_numpy(bool) for by, stratum in strata]
    for number in range(MOST_ATTRACTORS + 1):
        mask = (items[BY_NUMBER] == number).to_numpy(bool)
        if mask.any():
            strata.append((BY_NUMBER, str(number)))
            masks.append(mask)
    return strata, np.array(masks)


def model_differences(
    predictions: StudyPredictions, resampled: Resampled, strata: StratumNames, masks: Bools
) -> pd.DataFrame:
    """Compare the models that differ in one thing: the cell, or one setting.

    Holm's correction is over all pairs and strata of a breakdown, within the data set and task.

    Returns:
        data, task, a, b, by, stratum, items, seeds_a, seeds_b, difference (accuracy of a less
        b), low, high; p_items and p_seeds of `memgate.metrics.paired.items_test` and
        `seeds_test`, each with its corrected ``…_holm``; p_seeds is NaN where either has one
        seed. Empty where there is no such pair.
    """
    rows = [position for position, (by, _) in enumerate(strata) if by in COMPARED]
    compared = [strata[row] for row in rows]
    tables = []
    for a, b in _pairs(predictions.runs):
        table = _strata_table(compared, data=predictions.data, task=predictions.task, a=a, b=b)
        limits = resampled.difference((a, NETWORK), (b, NETWORK))
        difference, low, high = (values[rows] for values in limits)
        correct = predictions.correct
        tests = _tests(correct[a, NETWORK], correct[b, NETWORK], masks[rows])
        figures = {"items": resampled.n[rows], "difference": difference, "low": low, "high": high}
        tables.append(table.assign(**figures, **tests))
    if not tables:
        return pd.DataFrame(columns=MODEL_DIFFERENCE_COLUMNS)
    table = pd.concat(tables, ignore_index=True)
    for name in ("p_items", "p_seeds"):
        for indices in table.groupby("by").indices.values():
            table.loc[indices, f"{name}_holm"] = holm(table.loc[indices, name].to_numpy(float))
    return table[MODEL_DIFFERENCE_COLUMNS]


def _tests(a: Bools, b: Bools, masks: Bools) -> dict[str, Any]:
    """Test two models in each stratum; over seeds only where both have several."""
    p_seeds = np.full(len(masks), np.nan)
    if min(len(a), len(b)) > 1:
        p_seeds = seeds_test(_by_network(a, masks), _by_network(b, masks))
    p_items = [items_test(a[:, mask], b[:, mask]) for mask in masks]
    return {"seeds_a": len(a), "seeds_b": len(b), "p_items": p_items, "p_seeds": p_seeds}


def _by_network(correct: Bools, masks: Bools) -> Floats:
    """Return the accuracy of each of S networks in each of K strata, (S, K)."""
    return np.stack([correct[:, mask].mean(axis=1) for mask in masks], axis=1)


def _pairs(runs_of: Mapping[str, Sequence[StudyRun]]) -> list[tuple[str, str]]:
    """Return the pairs of models that differ in one thing."""
    pairs = []
    for a, b in combinations(runs_of, 2):
        run_a, run_b = runs_of[a][0], runs_of[b][0]
        names = {*run_a.settings, *run_b.settings}
        differing = [name for name in names if run_a.settings.get(name) != run_b.settings.get(name)]
        if len(differing) + (run_a.cell != run_b.cell) == 1:
            pairs.append((a, b))
    return pairs


def learning_curves(predictions: StudyPredictions) -> pd.DataFrame:
    """Tabulate what the runs logged while they were trained.

    Returns:
        data, task, model, seed, run, metric (of `CURVES`), step (of the optimiser), value.
    """
    tables = []
    for model, runs in predictions.runs.items():
        for run in runs:
            names: dict[str, Any] = {
                "data": predictions.data,
                "task": predictions.task,
                "model": model,
                "seed": run.seed,
                "run": run.name,
            }
            history = histories(run, CURVES)
            tables.append(history.assign(**names)[[*names, *history]])
    return pd.concat(tables, ignore_index=True)


def runs_table(runs: Sequence[StudyRun], predictions: Sequence[StudyPredictions]) -> pd.DataFrame:
    """Tabulate every run, the unfinished too.

    Returns:
        run, status, data, task, model, seed, train and test (rows of these splits, null where the
        run has no such input), accuracy (on the items that all runs of its data and task have;
        NaN where it has no predictions).
    """
    accuracy = {
        run.run_id: float(part.correct[model, NETWORK][position].mean())
        for part in predictions
        for model, runs_of_model in part.runs.items()
        for position, run in enumerate(runs_of_model)
    }
    rows = [
        (
            *(run.name, run.status, run.data, run.task, model_of(run), run.seed),
            *(run.items.get("train"), run.items.get("test"), accuracy.get(run.run_id, np.nan)),
        )
        for run in runs
    ]
    columns = ["run", "status", "data", "task", "model", "seed", "train", "test", "accuracy"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"train": "Int64", "test": "Int64"})
