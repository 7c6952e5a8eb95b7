"""What the networks of a study answered: every run's predictions, lined up item by item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from memgate.errors import InputError
from memgate.metrics.strata import ATTRACTORS, INTERVENING, UNKNOWN
from memgate.metrics.systems import NAMES, NETWORK
from memgate.tracking.study_runs import FINISHED, StudyRun, run_file

PREDICTIONS = "tables/predictions.parquet"
"""Where a run keeps what was answered to each test item."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Answers:
    """What the networks of one data set and task answered.

    Attributes:
        data: Name of the data.
        task: Name of the task.
        items: N test items that every run has: item (its key), label, intervening and attractors
            (names of bins or None), number_of_attractors (-1 where unknown), condition.
        runs: The runs of each model (cell and what else varies), by seed.
        correct: Whether the S networks of a model, and of the baselines that answered every item,
            are right, (S, N), by (model, system).
        notes: What a reader must know of them, in lines.
    """

    data: str
    task: str
    items: pd.DataFrame
    runs: Mapping[str, Sequence[StudyRun]]
    correct: Mapping[tuple[str, str], Bools]
    notes: Sequence[str]


def model_of(run: StudyRun) -> str:
    """Name what a run has in common with those of other seeds: ``lstm, hidden_size 50``."""
    return ", ".join([run.cell, *(f"{name} {value}" for name, value in run.settings.items())])


def gather(runs: Sequence[StudyRun]) -> tuple[list[Answers], list[str]]:
    """Read what the finished runs of a study answered.

    Args:
        runs: All runs of it.

    Returns:
        The answers by data and task, in the order of their names; and a line for each run that
        didn't finish or whose answers can't be read.

    Raises:
        InputError: No run can be used, or the networks of a model differ by more than their seed.
    """
    missing = [f"run {run.name}: {run.status}" for run in runs if run.status != FINISHED]
    finished = [run for run in runs if run.status == FINISHED]
    finished.sort(key=lambda run: (run.data, run.task, _cell_order(run), model_of(run), run.seed))
    _require_one_setting(finished)
    found = []
    for (data, task), own in groupby(finished, key=lambda run: (run.data, run.task)):
        tables: dict[str, pd.DataFrame] = {}  # of one data set at a time: 4 MB a run
        usable = []
        for run in own:
            try:
                tables[run.name] = read_predictions(run_file(run, PREDICTIONS))
                usable.append(run)
            except InputError as error:
                missing.append(str(error))
        answers = _line_up(data, task, usable, list(tables.values())) if usable else None
        if answers is not None:
            found.append(answers)
        else:
            missing += [f"run {run.name}: no test item that all runs have" for run in usable]
    if not found:
        raise InputError(f"expected at least one finished run with answers, got {missing[0]}")
    return found, missing


def _require_one_setting(runs: Sequence[StudyRun]) -> None:
    """See that the networks of each model differ by their seed alone: their mean is a model's.

    Raises:
        InputError: Two were made with other settings.
    """
    firsts: dict[tuple[str, str, str], StudyRun] = {}
    for run in runs:
        first = firsts.setdefault((run.data, run.task, model_of(run)), run)
        if run.digest != first.digest:
            raise InputError(
                f"{model_of(run)}: expected runs that differ by their seed alone, got {first.name} "
                f"and {run.name} of different settings; `memgate study` brings them to one"
            )


def read_predictions(path: Path) -> pd.DataFrame:
    """Read what `memgate.evaluation.predictions` returned, as far as a report needs it.

    Raises:
        InputError: The file is damaged, lacks a column, has no row, or an item twice.
    """
    needed = ["item", "label", "correct", "intervening", "attractors", "condition"]
    try:
        there = parquet.read_schema(path).names
        absent = [name for name in needed if name not in there]
        if absent:
            raise InputError(f"{path}: expected a column {absent[0]!r}, got {there}")
        table = pd.read_parquet(path, columns=[*needed, *(n for n in NAMES if n in there)])
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected predictions as Parquet, got: {reason}") from error
    if table.empty or table["item"].duplicated().any():
        raise InputError(f"{path}: expected rows of different items, got {len(table)} rows")
    return table


def _cell_order(run: StudyRun) -> int:
    cells = ("rnn", "gru", "lstm")
    return cells.index(run.cell) if run.cell in cells else len(cells)


def _line_up(
    data: str, task: str, runs: Sequence[StudyRun], tables: Sequence[pd.DataFrame]
) -> Answers | None:
    """Bring the runs' answers into one order of the items that all of them have, if any."""
    common = pd.Index(tables[0]["item"])
    for table in tables[1:]:
        common = common[common.isin(table["item"])]
    if common.empty:
        return None
    ordered = [table.set_index("item").loc[common] for table in tables]
    for run, table in zip(runs, ordered, strict=True):
        if not (table["label"] == ordered[0]["label"]).all():
            raise InputError(f"{run.name}: expected the labels of {runs[0].name} on the same items")
    by_model: dict[str, list[int]] = {}
    for place, run in enumerate(runs):
        by_model.setdefault(model_of(run), []).append(place)
    correct = {}
    for model, places in by_model.items():
        some = [ordered[place] for place in places]
        for system, column in ((NETWORK, "correct"), *((name, name) for name in NAMES)):
            if all(column in each and each[column].notna().all() for each in some):
                correct[model, system] = np.stack([each[column].to_numpy(bool) for each in some])
    return Answers(
        data,
        task,
        _items(ordered[0]),
        {model: [runs[place] for place in places] for model, places in by_model.items()},
        correct,
        [*_items_note(tables, len(common)), *_seed_notes(runs, by_model)],
    )


def _items(table: pd.DataFrame) -> pd.DataFrame:
    """Return the items with their strata."""
    intervening, attractors = (
        table[name].fillna(UNKNOWN).to_numpy(dtype=np.int64)
        for name in ("intervening", "attractors")
    )
    return pd.DataFrame(
        {
            "item": table.index.to_numpy(dtype=object),
            "label": table["label"].to_numpy(dtype=object),
            "intervening": INTERVENING.names_of(intervening),
            "attractors": ATTRACTORS.names_of(attractors),
            "number_of_attractors": attractors,
            "condition": table["condition"].to_numpy(dtype=object),
        }
    )


def _items_note(tables: Sequence[pd.DataFrame], common: int) -> list[str]:
    sizes = sorted({len(table) for table in tables})
    if sizes == [common]:
        return []
    most = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    return [
        f"the runs were tested on different items: {common:,} are in the test of every run, which "
        f"has {most}; everything here is of those {common:,}"
    ]


def _seed_notes(runs: Sequence[StudyRun], by_model: Mapping[str, Sequence[int]]) -> list[str]:
    notes = []
    for model, places in by_model.items():
        seeds = [runs[place].seed for place in places]
        if len(places) == 1:
            notes.append(
                f"{model}: a single seed ({seeds[0]}), so its intervals speak of other test items "
                "only, not of other networks"
            )
        elif len(set(seeds)) < len(seeds):
            notes.append(
                f"{model}: {len(seeds)} runs of {len(set(seeds))} seeds; each is a network"
            )
    return notes
