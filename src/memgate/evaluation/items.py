"""Predictions of a model and its baselines on agreement items, and their accuracies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from pyarrow import parquet

from memgate.arrays import UNKNOWN_COUNT, Bools, Floats
from memgate.baselines.fitted import Baselines
from memgate.data.batches import Prefixes
from memgate.data.items.numbers import LABELS
from memgate.data.items.schema import item_keys
from memgate.errors import InputError
from memgate.metrics.accuracy import accuracy_table, answer_frame, left_out
from memgate.metrics.systems import NETWORK, SYSTEM_NAMES
from memgate.predictor import BATCH_SIZE, Predictor

PREDICTIONS = "predictions.parquet"
"""File of the predictions for a model's test items, alongside the model and in its run."""


def predictions(
    predictor: Predictor,
    items: datasets.Dataset,
    baselines: Baselines | None = None,
    batch_size: int = BATCH_SIZE,
) -> pd.DataFrame:
    """Evaluate a model and its baselines on each item.

    Args:
        predictor: A classifier with its vocabulary and task.
        items: Agreement items with `memgate.data.items.schema.FEATURES`.
        baselines: The model's baselines, if it has any.
        batch_size: Prefixes computed at once; probabilities don't depend on it beyond 1e-6.

    Returns:
        One row an item that the task can use, in their order: item (its key, the same
        in every model's table: `memgate.data.items.schema`), id, label (number of the
        subject, ``sg``/``pl``), answer and predicted (of the task's answers), p_right (probability
        of the right answer, in [0, 1]), correct, known_word (whether any word is in the
        vocabulary), unknown (proportion of the words that are not, in [0, 1]), unknown_noun
        (whether the subject or a noun after it is not), intervening and attractors (null where
        unknown), condition, and for each baseline whether it is right.

    Raises:
        InputError: The task can use no item, or none has a word of the vocabulary.
    """
    table = items.with_format("arrow")[:]
    table, prefixes = predictor.read(table)
    frame = prediction_frame(
        predictor, table, prefixes, predictor.probability(prefixes, batch_size)
    )
    if baselines is None:
        return frame
    numbers = table["label"].to_numpy()
    plural = baselines.p_plural(table)
    return frame.assign(**{str(name): (plural[name] > 0.5) == (numbers == 1) for name in plural})


def prediction_frame(
    predictor: Predictor, table: pa.Table, prefixes: Prefixes, p: Floats
) -> pd.DataFrame:
    """Return the predictions of a model; `p` is the probability of its second answer."""
    predicted = (p > 0.5).astype(int)
    targets = prefixes.targets.numpy()
    answers = pd.array(list(predictor.task.answers), dtype="string")
    return pd.DataFrame(
        {
            "item": item_keys(table),
            "id": table["id"].to_pandas(),
            "label": pd.array(list(LABELS), dtype="string")[prefixes.labels.numpy()],
            "answer": answers[targets],
            "predicted": answers[predicted],
            "p_right": np.where(targets == 1, p, 1 - p),
            "correct": predicted == targets,
            "known_word": ~predictor.without_known_word(prefixes),
            "unknown": predictor.unknown_proportion(prefixes),
            "unknown_noun": predictor.with_unknown_noun(prefixes),
            "intervening": _nullable(prefixes.intervening.numpy()),
            "attractors": _nullable(prefixes.attractors.numpy()),
            "condition": table["condition"].to_pandas(),
        }
    )


def read_predictions(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read the named columns of a table of `predictions`, and those of its baselines.

    Raises:
        InputError: The file is missing or damaged, or lacks a column.
    """
    try:
        stored = parquet.read_schema(path).names
        missing = [name for name in columns if name not in stored]
        if missing:
            raise InputError(f"{path}: expected a column {missing[0]!r}, got {', '.join(stored)}")
        baselines = [name for name in SYSTEM_NAMES if name in stored]
        return pd.read_parquet(path, columns=[*columns, *baselines])
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected predictions as Parquet, got: {reason}") from error


def _nullable(counts: object) -> pd.Series[int]:
    series = pd.Series(counts, dtype="Int64")
    return series.mask(series < 0)


def accuracy(predicted: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the accuracy of every model, and of its baselines, on every data set.

    Args:
        predicted: Rows of `predictions` with two more columns, model and data.

    Returns:
        Columns model, data, system (``network`` or a baseline), by, stratum, n, correct, accuracy,
        low, high (Wilson's 95% interval); models and data in their order of appearance.
    """
    tables = []
    for (model, data), rows in predicted.groupby(["model", "data"], sort=False):
        for system, correct in systems(rows):
            table = accuracy_table(_counted(rows, correct))
            for index, (name, value) in enumerate(
                {"model": str(model), "data": str(data), "system": system}.items()
            ):
                table.insert(index, name, value)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def baseline_accuracy(baselines: Baselines, table: pa.Table) -> pd.DataFrame:
    """Tabulate the accuracy of baselines.

    Returns:
        Columns system, by, stratum, n, correct, accuracy, low, high.
    """
    labels = table["label"].to_numpy()
    verb_idx, subj_idx, attractors = (
        table[name].to_pandas().astype("Int64") for name in ("verb_idx", "subj_idx", "n_attractors")
    )
    rows = pd.DataFrame(
        {
            "label": np.array(LABELS)[labels],
            "intervening": verb_idx - subj_idx - 1,
            "attractors": attractors,
            "condition": table["condition"].to_pandas(),
        }
    )
    plural = baselines.p_plural(table)
    parts = []
    for name in plural:
        part = accuracy_table(_counted(rows, (plural[name] > 0.5).to_numpy() == (labels == 1)))
        part.insert(0, "system", str(name))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def systems(rows: pd.DataFrame) -> Iterator[tuple[str, Bools]]:
    """Yield the model and the baselines that all rows have, with whether each row is right."""
    yield NETWORK, rows["correct"].to_numpy(dtype=bool)
    for name in SYSTEM_NAMES:
        if name in rows and rows[name].notna().all():
            yield name, rows[name].to_numpy(dtype=bool)


def count_left_out(predicted: pd.DataFrame) -> dict[str, int]:
    """Count the items that each breakdown omits because what it needs is unknown."""
    return left_out(_counted(predicted, predicted["correct"].to_numpy(dtype=bool)))


def _counted(rows: pd.DataFrame, correct: Bools) -> pd.DataFrame:
    """Return predictions in the form that the metrics count."""
    labels = pd.Index(LABELS).get_indexer(pd.Index(rows["label"]))
    intervening, attractors = (
        rows[name].fillna(UNKNOWN_COUNT).to_numpy(dtype=int)
        for name in ("intervening", "attractors")
    )
    condition = rows["condition"].to_numpy(dtype=object)
    return answer_frame(correct, labels, intervening, attractors, condition)


def one_quiet_thread() -> None:
    """Compute in one thread and turn off the progress bars of `datasets`."""
    datasets.disable_progress_bars()
    torch.set_num_threads(1)  # a fit of a small cell took 7 s, 35 with two threads on busy cores
