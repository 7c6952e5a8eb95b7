"""Targeted suites: how items are compared, predictions, and accuracies by condition."""

from __future__ import annotations

from typing import Any, NamedTuple

import datasets
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from memgate.arrays import Bools, Floats, Ints
from memgate.baselines.fitted import Baselines
from memgate.data.batches import Prefixes
from memgate.data.items.tasks import GRAMMATICALITY, Task, TaskInputs
from memgate.data.vocabulary import flat_words
from memgate.evaluation.items import prediction_frame, systems
from memgate.metrics.accuracy import CHANCE, wilson
from memgate.predictor import BATCH_SIZE, Predictor


class Comparison(NamedTuple):
    """The inputs of a task on the items of a suite.

    Attributes:
        first: The items.
        second: What some of them are compared with; its rows are rows of the same table.
    """

    first: TaskInputs
    second: TaskInputs


def is_right(targets: npt.NDArray[np.integer[Any]], p_first: Floats, p_second: Floats) -> Bools:
    """Return which items a classifier gets right.

    One prefix: P(label | prefix) > ½. Two prefixes before the same verb (BLiMP's ``*_2``):
    P(label | prefix) > P(label | prefix_bad), whatever both are. Two sentences likewise. If both
    are equal, for example without any known word, the classifier would guess: the first such item
    is right, the second wrong, and so on. ½ itself is wrong.

    Args:
        targets: N right answers, 0 or 1.
        p_first: P(1 | what is read), in [0, 1].
        p_second: P(1 | what that is compared with), in [0, 1]; NaN if there is nothing.

    >>> is_right(np.array([1, 0, 1]), np.array([0.6, 0.6, 0.4]), np.array([np.nan, np.nan, 0.3]))
    array([ True, False,  True])
    """
    other = np.where(np.isnan(p_second), 0.5, p_second)
    toward = np.where(targets == 1, p_first - other, other - p_first)
    result: Bools = toward > 0
    result[np.flatnonzero(p_first == p_second)[::2]] = True
    return result


def suite_inputs(task: Task, table: pa.Table) -> Comparison:
    """Return the inputs of a task on the items of a suite.

    A model of grammaticality judges minimal pairs: the prefix and its verb against the prefix and
    the verb of the other number, or against `prefix_bad` and the verb.
    """
    if task is GRAMMATICALITY:
        return _sentences(table)
    others = second_prefixes(table)
    first, second = task.make_inputs(table, 0), task.make_inputs(others.items, 0)
    return Comparison(first, second._replace(rows=others.rows[second.rows]))


class SecondPrefixes(NamedTuple):
    """The second prefixes of a suite, as items.

    Attributes:
        rows: Rows of the items that have one.
        items: Those items with the second prefix as `text`, without tags and subject.
    """

    rows: Ints
    items: pa.Table


def second_prefixes(table: pa.Table) -> SecondPrefixes:
    """Return the items with two prefixes, with the second one instead of the first."""
    rows = np.flatnonzero(table["prefix_bad"].is_valid().to_numpy())
    items = table.take(rows)
    texts = items["prefix_bad"].combine_chunks()
    _, offsets = flat_words(texts)
    columns = {"text": texts, "verb_idx": pa.array(np.diff(offsets), pa.int32())}
    for name in ("tags", "subj_idx", "n_attractors"):
        columns[name] = pa.nulls(len(items), table.schema.field(name).type)
    for name, column in columns.items():
        index = items.schema.get_field_index(name)
        items = items.set_column(index, items.schema.field(index), column)
    return SecondPrefixes(rows, items)


def _sentences(table: pa.Table) -> Comparison:
    columns = ("text", "verb_idx", "prefix_bad", "good", "bad", "verb", "verb_alt")
    rows, good_texts, bad_texts = [], [], []
    for index, row in enumerate(table.select(columns).to_pylist()):
        good, bad = row["good"] or row["verb"], row["bad"] or row["verb_alt"]
        prefix = " ".join(row["text"].split(" ")[: row["verb_idx"]])
        other = row["prefix_bad"]
        if good and (other or (bad and bad.lower() != good.lower())):  # "lie" has no other form
            rows.append(index)
            good_texts.append(f"{prefix} {good}")
            bad_texts.append(f"{other} {good}" if other else f"{prefix} {bad}")
    return Comparison(*(_task_inputs(rows, texts) for texts in (good_texts, bad_texts)))


def _task_inputs(rows: list[int], texts: list[str]) -> TaskInputs:
    """Return sentences with the target "grammatical"; both sides of a pair have it."""
    read = pa.array(texts, pa.string())
    _, offsets = flat_words(read)
    return TaskInputs(
        np.array(rows, dtype=np.int64),
        read,
        pa.nulls(len(rows), pa.string()),
        np.diff(offsets),
        np.zeros(len(rows), dtype=np.int64),
    )


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
        One row an item that the task can use, in their order: the columns of
        `predictions`, where `correct` and the baselines are by
        `memgate.evaluation.suites.scores.is_right`;
        p_right_second (the probability of the right answer after what the item is compared with,
        NaN where there is nothing); and question, equal for items whose
        texts and right answer are equal.

    Raises:
        InputError: The task can use no item, or none has a word of the vocabulary.
    """
    whole = items.with_format("arrow")[:]
    first, second = suite_inputs(predictor.task, whole)
    table, prefixes = predictor.read(whole, first)
    p_first = predictor.probability(prefixes, batch_size)
    frame = prediction_frame(predictor, table, prefixes, p_first)
    p_second, texts = _read_second(predictor, whole, first, second, batch_size)
    targets = first.targets
    frame["correct"] = is_right(targets, p_first, p_second)
    questions = pd.Series([*zip(_texts(first), texts, targets, strict=True)], dtype=object)
    return frame.assign(
        p_right_second=np.where(targets == 1, p_second, 1 - p_second),
        question=pd.factorize(questions)[0],
        **({} if baselines is None else _compared(baselines, table)),
    )


def _read_second(
    predictor: Predictor, whole: pa.Table, first: TaskInputs, second: TaskInputs, batch_size: int
) -> tuple[Floats, npt.NDArray[np.object_]]:
    """Return P(1) of what the items are compared with, NaN for nothing; and its text."""
    p = np.full(len(first.rows), np.nan)
    texts = np.full(len(first.rows), "", dtype=object)
    if len(second.rows):
        indices = np.searchsorted(first.rows, second.rows)
        encoded = Prefixes.from_table(predictor.vocabulary, whole.take(second.rows), second)
        p[indices] = predictor.probability(encoded, batch_size)
        texts[indices] = _texts(second)
    return p, texts


def _texts(task_inputs: TaskInputs) -> list[str]:
    """Return what is read of each item."""
    pairs = zip(task_inputs.texts.to_pylist(), task_inputs.lengths, strict=True)
    return [" ".join(text.split(" ")[:length]) for text, length in pairs]


def _compared(baselines: Baselines, table: pa.Table) -> dict[str, Bools]:
    """Return which items of a suite each baseline gets right, by the number of the subject."""
    labels = table["label"].to_numpy()
    first, others = baselines.p_plural(table), second_prefixes(table)
    if not len(others.rows):
        nothing = np.full(len(table), np.nan)
        return {str(name): is_right(labels, first[name].to_numpy(), nothing) for name in first}
    compared = baselines.p_plural(others.items)
    correct = {}
    for name in first.columns.intersection(compared.columns):
        p_first, p_second = first[name].to_numpy(), np.full(len(table), np.nan)
        p_second[others.rows] = compared[name]
        correct[str(name)] = is_right(labels, p_first, p_second)
    return correct


def suite_accuracy(predicted: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the accuracy of every model, and of its baselines, on every condition of a suite.

    Templates repeat prefixes with other verbs, which a classifier of number doesn't read: the 600
    items of Lakretz's ``simple`` are 40 questions. n and accuracy are over items, as in the papers;
    the interval is that of the number of distinct questions.

    Args:
        predicted: Rows of `suite_predictions` with two more columns, model and suite.

    Returns:
        Columns model, suite, system (``network`` or a baseline), condition, n, correct,
        accuracy, low, high (Wilson's 95% interval), chance (accuracy of guesses), questions;
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
    return n, correct, correct / n, low, high, CHANCE, questions
