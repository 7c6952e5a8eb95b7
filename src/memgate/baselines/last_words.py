"""A logistic regression on the last three words before the verb and their tags."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy import sparse
from threadpoolctl import threadpool_limits

from memgate.arrays import Floats, Ints
from memgate.data import parquet
from memgate.data.vocabulary import prefix_words
from memgate.errors import InputError

WORDS_READ = 3
"""Words before the verb that are read."""

INTERCEPT = "intercept"
"""The row of the intercept among the weights."""

INVERSE_REGULARISATION = 1.0
"""scikit-learn's `C`. In 10-fold cross-validation over 67,021 items of real text: 0.1 0.8892, 0.3
0.8905, 0.5 0.8907, 1 0.8912, 2 0.8894 right."""

SCHEMA = pa.schema([("feature", pa.string()), ("weight", pa.float64())])


class LastWords:
    """A logistic regression of the number of the verb on the words right before it.

    Each of the last three positions has an indicator for its word (in lower case, if training has
    it there at least twice) and for its tag if known; the second and third also for a shorter
    prefix: ``word-1=cabinet``, ``tag-3=IN``, ``none-3``. Words and tags that training doesn't have
    are ignored.

    Args:
        features: Names of the indicators, each once.
        weights: Their weights, in the log odds of plural.
        intercept: The log odds of plural without any indicator.
    """

    def __init__(self, features: pa.Array, weights: Floats, intercept: float) -> None:
        self.features = features
        self.weights = weights
        self.intercept = intercept

    @classmethod
    def fit(cls, table: pa.Table) -> Self:
        """Fit scikit-learn's LogisticRegression, with its penalty on squared weights.

        Newton's method ends at the one optimum, whatever the order of the items, without any
        randomness. 67,021 items with 13,058 indicators take 0.8 s on one core, 0.4 s of it in
        scikit-learn; there lbfgs takes 1.4 s and ends farther from the optimum. If all items have
        one label, or there is no indicator, the log odds are those of the labels, each counted ½
        times more than it occurs.

        Args:
            table: N items with the columns of `memgate.data.items.schema.FEATURES`.

        Raises:
            InputError: There is no item.
        """
        labels: Ints = table["label"].to_numpy().astype(np.int64)
        if len(labels) == 0:
            raise InputError("expected items to fit the last words on, got none")
        plural = int(labels.sum())
        indicators = _indicators(table)
        features = _frequent(indicators)
        if plural in (0, len(labels)) or len(features) == 0:
            odds = (plural + 0.5) / (len(labels) - plural + 0.5)
            return cls(pa.array([], pa.string()), np.zeros(0), float(np.log(odds)))
        linear_model = importlib.import_module("sklearn.linear_model")  # 1 s, and fitting only
        model = linear_model.LogisticRegression(
            C=INVERSE_REGULARISATION, solver="newton-cg", tol=1e-10, max_iter=1000
        )
        with threadpool_limits(1):  # 48,700 items: 0.6 s; 8 to 13 s with two threads on busy cores
            model.fit(_matrix(_indices(indicators, features), len(features)), labels)
        return cls(features, model.coef_[0], float(model.intercept_[0]))

    def p_plural(self, table: pa.Table) -> Floats:
        """Return the probability that each item's verb is plural, in [0, 1].

        Args:
            table: N items with the columns of `memgate.data.items.schema.FEATURES`.
        """
        indices = _indices(_indicators(table), self.features)
        log_odds = self.intercept + np.append(self.weights, 0.0)[indices].sum(axis=1)
        p: Floats = (1 + np.tanh(log_odds / 2)) / 2  # the logistic function, without overflow
        return p

    def save(self, path: Path) -> None:
        """Write a Parquet file with the columns feature and weight, the intercept first."""
        names = pa.concat_arrays([pa.array([INTERCEPT], pa.string()), self.features])
        weights = pa.array(np.append(self.intercept, self.weights))
        pq.write_table(pa.table([names, weights], schema=SCHEMA), path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; neither this nor `p_plural` needs scikit-learn.

        Raises:
            InputError: The file is missing, damaged or holds something else.
        """
        table = parquet.read(path, SCHEMA, "the weights of the last words")
        features, weights = (column.combine_chunks() for column in table.columns)
        if len(features) == 0 or features[0].as_py() != INTERCEPT:
            raise InputError(f"{path}: expected the {INTERCEPT} in the first row")
        values: Floats = weights.to_numpy()
        return cls(features[1:], values[1:], float(values[0]))


def _indicators(table: pa.Table) -> list[pa.Array]:
    """Return the name of the indicator of each kind for each item, or null.

    Returns:
        The words at the last positions (or that there is none), and the tags if any are known.
    """
    words, tags, lengths = prefix_words(
        pc.utf8_lower(table["text"].combine_chunks()),
        table["tags"].combine_chunks(),
        table["verb_idx"].to_numpy().astype(np.int64),
    )
    ends = np.cumsum(lengths)
    indicators = []
    for back in range(1, WORDS_READ + 1):
        position = pa.array(ends - back, mask=lengths < back)
        indicators.append(pc.fill_null(_named("word", back, words.take(position)), f"none-{back}"))
        if tags is not None:
            indicators.append(_named("tag", back, tags.take(position)))
    return indicators


def _named(kind: str, back: int, values: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(f"{kind}-{back}", values, "=")


def _frequent(indicators: Sequence[pa.Array]) -> pa.Array:
    """Return the indicators of training in the order of their code points, without rare words."""
    counted = pc.value_counts(pa.concat_arrays(indicators).drop_null())
    names = counted.field("values")
    rare = pc.and_(pc.starts_with(names, "word-"), pc.less(counted.field("counts"), 2))
    names = names.filter(pc.invert(rare))
    return names.take(pc.array_sort_indices(names))


def _indices(indicators: Sequence[pa.Array], features: pa.Array) -> Ints:
    """Return the index in `features` of every indicator, or -1: (N, kinds)."""
    columns = [pc.fill_null(pc.index_in(names, value_set=features), -1) for names in indicators]
    indices = [column.to_numpy(zero_copy_only=False).astype(np.int64) for column in columns]
    return np.stack(indices, axis=1)


def _matrix(indices: Ints, width: int) -> sparse.csr_array:
    """Return an (N, width) matrix with a 1 at each index that isn't -1."""
    occurs = indices >= 0
    starts = np.concatenate([[0], np.cumsum(occurs.sum(axis=1))])
    columns = indices[occurs]
    return sparse.csr_array((np.ones(len(columns)), columns, starts), (len(indices), width))
