"""A classifier and examples in, tidy tables out."""

from __future__ import annotations

import datasets
import numpy as np
import numpy.typing as npt
import pandas as pd

from memgate.data import suites
from memgate.data.batches import Prefixes
from memgate.data.example import LABELS
from memgate.errors import InputError
from memgate.metrics.accuracy import accuracy_table, left_out, wilson
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.predictor import BATCH_SIZE, Predictor


def predictions(
    predictor: Predictor, items: datasets.Dataset, batch_size: int = BATCH_SIZE
) -> pd.DataFrame:
    """Predict the number of each item's verb.

    Args:
        predictor: A classifier with its vocabulary.
        items: Agreement items with `memgate.data.example.FEATURES`.
        batch_size: Prefixes computed at once; probabilities don't depend on it beyond 1e-6.

    Returns:
        One row an item, in their order: id, label and predicted (``sg``/``pl``), p_plural (in
        [0, 1]), correct, known_word (whether any word is in the vocabulary), unknown
        (share of the words that are not, in [0, 1]), intervening and
        attractors (null where unknown) and condition.

    Raises:
        InputError: No item has a word of the vocabulary.
    """
    table = items.with_format("arrow")[:]
    prefixes = Prefixes.from_table(predictor.vocabulary, table)
    known_word = _known_words(predictor, prefixes)
    p_plural = predictor.p_plural(prefixes, batch_size)
    names = pd.array(list(LABELS), dtype="string")
    labels = prefixes.labels.numpy()
    predicted = (p_plural > 0.5).astype(int)
    return pd.DataFrame(
        {
            "id": table["id"].to_pandas(),
            "label": names[labels],
            "predicted": names[predicted],
            "p_plural": p_plural,
            "correct": predicted == labels,
            "known_word": known_word,
            "unknown": predictor.unknown_share(prefixes),
            "intervening": _nullable(prefixes.intervening.numpy()),
            "attractors": _nullable(prefixes.attractors.numpy()),
            "condition": table["condition"].to_pandas(),
        }
    )


def _known_words(predictor: Predictor, prefixes: Prefixes) -> npt.NDArray[np.bool_]:
    unread = predictor.without_known_word(prefixes)
    if unread.all():
        raise InputError(
            f"expected items with words of the model's vocabulary ({len(predictor.vocabulary)} "
            f"entries), got {len(prefixes)} items without any"
        )
    return ~unread


def _nullable(counts: object) -> pd.Series[int]:
    series = pd.Series(counts, dtype="Int64")
    return series.mask(series < 0)


def accuracy(predicted: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the accuracy of every model on every data set.

    Args:
        predicted: Rows of `predictions` with two more columns, model and data.

    Returns:
        Columns model, data, by, stratum, n, correct, accuracy, low, high (Wilson's 95% interval);
        models and data in their order of appearance.
    """
    tables = []
    for (model, data), rows in predicted.groupby(["model", "data"], sort=False):
        table = accuracy_table(_counted(rows))
        table.insert(0, "model", str(model))
        table.insert(1, "data", str(data))
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def unknown(predicted: pd.DataFrame) -> dict[str, int]:
    """Count the items that each breakdown leaves out because what it needs is unknown."""
    return left_out(_counted(predicted))


def _counted(rows: pd.DataFrame) -> pd.DataFrame:
    """Bring predictions into the form that the metrics count."""
    intervening = rows["intervening"].fillna(-1).to_numpy(dtype=int)
    attractors = rows["attractors"].fillna(-1).to_numpy(dtype=int)
    return pd.DataFrame(
        {
            "label": rows["label"].to_numpy(dtype=object),
            "intervening": INTERVENING.names_of(intervening),
            "attractors": ATTRACTORS.names_of(attractors),
            "condition": rows["condition"].to_numpy(dtype=object),
            "n": 1,
            "correct": rows["correct"].to_numpy(dtype=int),
        }
    )


def suite_predictions(
    predictor: Predictor, items: datasets.Dataset, batch_size: int = BATCH_SIZE
) -> pd.DataFrame:
    """Predict the items of a targeted suite, and compare as its paper does.

    Args:
        predictor: A classifier with its vocabulary.
        items: Items with `memgate.data.suites.SUITE_FEATURES`.
        batch_size: Prefixes computed at once.

    Returns:
        One row an item, in their order: the columns of `predictions`, where `correct` is by
        `memgate.data.suites.right`; p_plural_bad (NaN where the item has one prefix); and
        question, the same for items that put the same prefixes to the classifier.

    Raises:
        InputError: No item has a word of the vocabulary.
    """
    predicted = predictions(predictor, items, batch_size)
    columns = ["text", "verb_idx", "prefix_bad", "label"]
    table = items.select_columns(columns).with_format("arrow")[:]
    second = table["prefix_bad"].combine_chunks()
    two = second.is_valid().to_numpy(zero_copy_only=False)
    p_bad = np.full(len(predicted), np.nan)
    if two.any():
        prefixes = Prefixes.encode(predictor.vocabulary, second.drop_null())
        p_bad[two] = predictor.p_plural(prefixes, batch_size)
    labels: npt.NDArray[np.int64] = table["label"].to_numpy()
    correct = suites.right(labels, predicted["p_plural"].to_numpy(), p_bad)
    read = table.to_pandas()
    words = [text.split(" ")[:n] for text, n in zip(read["text"], read["verb_idx"], strict=True)]
    asked = [*zip(map(" ".join, words), read["prefix_bad"].fillna(""), labels, strict=True)]
    question, _ = pd.factorize(pd.Series(asked, dtype=object))
    return predicted.assign(correct=correct, p_plural_bad=p_bad, question=question)


def suite_accuracy(predicted: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the accuracy of every model on every condition of every suite.

    The templates repeat prefixes under other verbs, which a classifier of number doesn't see: the
    600 items of Lakretz's ``simple`` ask 40 questions. n and accuracy are over items, as in the
    papers; the interval is that of as many draws as there are distinct questions.

    Args:
        predicted: Rows of `suite_predictions` with two more columns, model and suite.

    Returns:
        Columns model, suite, condition, n, correct, accuracy, low, high (Wilson's 95% interval),
        chance (a coin's share), questions; everything in its order of appearance.
    """
    rows = []
    groups = predicted.groupby(["model", "suite", "condition"], sort=False)
    for names, items in groups:
        n, correct = len(items), int(items["correct"].sum())
        questions = int(items["question"].nunique())
        low, high = wilson(round(correct / n * questions), questions)
        rows.append((*names, n, correct, correct / n, low, high, suites.CHANCE, questions))
    columns = ["model", "suite", "condition", "n", "correct", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "chance", "questions"])
