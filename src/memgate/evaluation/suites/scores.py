"""Targeted suites: what a predictor and its baselines answer, and the accuracies of that."""

from __future__ import annotations

import datasets
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from memgate.baselines.fitted import Baselines
from memgate.data.batches import Prefixes
from memgate.data.items.tasks import TaskInputs
from memgate.evaluation.items import answered, systems
from memgate.evaluation.suites import comparisons
from memgate.metrics.accuracy import wilson
from memgate.predictor import BATCH_SIZE, Predictor


def suite_predictions(
    predictor: Predictor,
    items: datasets.Dataset,
    baselines: Baselines | None = None,
    batch_size: int = BATCH_SIZE,
) -> pd.DataFrame:
    """Predict the items of a targeted suite, and compare as its paper does.

    Args:
        predictor: A classifier with its vocabulary and task.
        items: Items with `memgate.evaluation.suites.loading.SUITE_FEATURES`.
        baselines: The model's baselines, if it has any.
        batch_size: Prefixes computed at once.

    Returns:
        One row an item on which the task could be posed, in their order: the columns of
        `predictions`, where `correct` and the baselines are by
        `memgate.evaluation.suites.comparisons.right`;
        p_right_second (the probability of the right answer after what the item is compared with,
        NaN where there is nothing); and question, the same for items that put the same to the
        classifier.

    Raises:
        InputError: The task can't be posed on any item, or none has a word of the vocabulary.
    """
    whole = items.with_format("arrow")[:]
    first, second = comparisons.compare(predictor.task, whole)
    table, prefixes = predictor.read(whole, first)
    p_first = predictor.probability(prefixes, batch_size)
    frame = answered(predictor, table, prefixes, p_first)
    p_second, texts = _read_second(predictor, whole, first, second, batch_size)
    targets = first.targets
    frame["correct"] = comparisons.right(targets, p_first, p_second)
    asked = pd.Series([*zip(_texts(first), texts, targets, strict=True)], dtype=object)
    return frame.assign(
        p_right_second=np.where(targets == 1, p_second, 1 - p_second),
        question=pd.factorize(asked)[0],
        **({} if baselines is None else _compared(baselines, table)),
    )


def _read_second(
    predictor: Predictor, whole: pa.Table, first: TaskInputs, second: TaskInputs, batch_size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.object_]]:
    """Return P(1) after what the items are compared with, NaN for nothing; and its text."""
    p = np.full(len(first.rows), np.nan)
    texts = np.full(len(first.rows), "", dtype=object)
    if len(second.rows):
        places = np.searchsorted(first.rows, second.rows)
        encoded = Prefixes.from_table(predictor.vocabulary, whole.take(second.rows), second)
        p[places] = predictor.probability(encoded, batch_size)
        texts[places] = _texts(second)
    return p, texts


def _texts(task_inputs: TaskInputs) -> list[str]:
    """Return what is read of each item."""
    pairs = zip(task_inputs.texts.to_pylist(), task_inputs.lengths, strict=True)
    return [" ".join(text.split(" ")[:length]) for text, length in pairs]


def _compared(baselines: Baselines, table: pa.Table) -> dict[str, npt.NDArray[np.bool_]]:
    """Say for each baseline which items of a suite it gets right, by the number of the subject."""
    labels = table["label"].to_numpy()
    first, others = baselines.p_plural(table), comparisons.second_prefixes(table)
    if not len(others.rows):
        nothing = np.full(len(table), np.nan)
        return {
            str(name): comparisons.right(labels, first[name].to_numpy(), nothing) for name in first
        }
    compared = baselines.p_plural(others.items)
    found = {}
    for name in first.columns.intersection(compared.columns):
        p_first, p_second = first[name].to_numpy(), np.full(len(table), np.nan)
        p_second[others.rows] = compared[name]
        found[str(name)] = comparisons.right(labels, p_first, p_second)
    return found


def suite_accuracy(predicted: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the accuracy of every model, and of its baselines, on every condition of a suite.

    The templates repeat prefixes under other verbs, which a classifier of number doesn't see: the
    600 items of Lakretz's ``simple`` ask 40 questions. n and accuracy are over items, as in the
    papers; the interval is that of as many draws as there are distinct questions.

    Args:
        predicted: Rows of `suite_predictions` with two more columns, model and suite.

    Returns:
        Columns model, suite, system (``network`` or a baseline), condition, n, correct,
        accuracy, low, high (Wilson's 95% interval), chance (a coin's share), questions;
        everything in its order of appearance.
    """
    rows = []
    for names, items in predicted.groupby(["model", "suite"], sort=False):
        for system, correct in systems(items):
            scored = items.assign(correct=correct)
            for condition, part in scored.groupby("condition", sort=False):
                rows.append((*names, system, condition, *_score(part)))
    columns = ["model", "suite", "system", "condition", "n", "correct", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "chance", "questions"])


def _score(items: pd.DataFrame) -> tuple[int, int, float, float, float, float, int]:
    n, correct = len(items), int(items["correct"].sum())
    questions = int(items["question"].nunique())
    low, high = wilson(round(correct / n * questions), questions)
    return n, correct, correct / n, low, high, comparisons.CHANCE, questions
