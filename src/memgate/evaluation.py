"""A classifier and examples in, tidy tables out."""

from __future__ import annotations

import datasets
import numpy as np
import numpy.typing as npt
import pandas as pd

from memgate.data.batches import Prefixes
from memgate.data.example import LABELS
from memgate.errors import InputError
from memgate.metrics.accuracy import accuracy_table, left_out
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
        [0, 1]), correct, known_word (whether any word is in the vocabulary), intervening and
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
