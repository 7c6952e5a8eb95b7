"""The model that MLflow serves: sentences in, predictions out, and on request the gates.

Input rows follow the exchange format: ``prefix``, or ``text`` that is cut at ``verb_idx``. A prefix
without tags may be typed text.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from memgate.data.items.tasks import GRAMMATICALITY, INFLECTION, NUMBER, Task
from memgate.data.vocabulary import UNKNOWN_WORD
from memgate.errors import InputError
from memgate.gates.explain.traces import known_units, traces
from memgate.predictor import Predictor

UNKNOWN = "unknown"
"""Column of predictions with the proportion of unknown words, as `memgate evaluate` names it."""


class Sentence(NamedTuple):
    """What the network reads of an input row: text, its PTB tags, and whether it is typed text."""

    text: str
    tags: str | None
    typed: bool


class AgreementModel(PythonModel):
    """Predicts what its task is about, such as the number of the verb that follows a prefix."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the classifier and its vocabulary from the artifact ``model``."""
        self._folder = Path(context.artifacts["model"])
        self._predictor = Predictor.load(self._folder)

    def predict(
        self,
        context: PythonModelContext | None,  # noqa: ARG002  # MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return one row a sentence.

        Args:
            context: Unused; `load_context` read what is needed.
            model_input: Columns ``prefix``, or ``text`` and ``verb_idx``, and optionally ``tags``.
                A model of inflection or grammaticality reads ``prefix`` or ``text`` whole, so it
                takes no ``verb_idx``.
            params: ``gates``: whether the result has a column of that name too.

        Returns:
            ``number`` (singular or plural), ``probability`` (of that answer, in [0.5, 1]),
            ``p_plural`` (in [0, 1]) and ``unknown`` (proportion of words outside the vocabulary, in
            [0, 1]), with the index of the input. A model of grammaticality returns ``judgment``
            (grammatical or ungrammatical), ``probability``, ``p_ungrammatical`` and ``unknown``.
            On request ``gates``: the words as the model read them, and write and keep of its number
            units at each word (`memgate.gates.explain.traces.Traces`). A sentence without a known
            word, or without any, has ``unknown`` 1 and null in all other columns.

        Raises:
            MlflowException: A row can't be read, or gates are requested from a model that has no
                gates or no number units. The message is one line and names the row, from 0.
        """
        frame, task = _frame(model_input), self._predictor.task
        second = f"p_{task.words[1]}"
        if len(frame) == 0:
            return pd.DataFrame(columns=[task.predicts, "probability", second, UNKNOWN])
        try:
            records = frame.to_dict(orient="records")
            sentences = [_sentence(row, record, task) for row, record in enumerate(records)]
            tokens = self._predictor.tokenize([sentence.text for sentence in sentences])
            pairs = zip(sentences, tokens, strict=True)
            texts = [token if sentence.typed else sentence.text for sentence, token in pairs]
            texts = [text or UNKNOWN_WORD for text in texts]
            tags = [sentence.tags or None for sentence in sentences]
            prefixes = self._predictor.encode_tokens(texts, tags)
            unknown = self._predictor.unknown_proportion(prefixes)
            p_second = self._predictor.probability(prefixes)
            columns: dict[str, Any] = {
                task.predicts: np.where(p_second > 0.5, task.words[1], task.words[0]),
                "probability": np.maximum(p_second, 1 - p_second),
                second: p_second,
                UNKNOWN: unknown,
            }
            if params and params.get("gates"):
                units = known_units(self._predictor, self._folder)
                columns["gates"] = traces(self._predictor, units, texts, tags)
        except InputError as error:  # a ValueError would reach users of the server as a traceback
            raise MlflowException.invalid_parameter_value(str(error)) from error
        result = pd.DataFrame(columns, index=frame.index)
        if (unknown < 1).all():
            return result
        nullable = result.columns.drop(UNKNOWN)
        # None, as MLflow's server writes NaN, which is no JSON.
        result[nullable] = result[nullable].astype(object)
        result.loc[unknown == 1, nullable] = None
        return result


def _frame(data: Any) -> pd.DataFrame:
    """Bring what callers send into columns; MLflow makes one row of lists of a dict of lists."""
    if isinstance(data, list) and all(isinstance(entry, str) for entry in data):
        return pd.DataFrame({"prefix": data})
    frame = pd.DataFrame(data)
    if not {"prefix", "text"} & set(frame.columns):
        raise MlflowException.invalid_parameter_value(
            "expected a column 'prefix', or 'text' with 'verb_idx', got "
            f"{list(frame.columns) or 'neither'} (MLflow drops unnamed columns: "
            'send [{"prefix": "the keys to the cabinet"}], not a list of strings)'
        )
    if len(frame) == 1 and all(isinstance(cell, list) for cell in frame.iloc[0]):
        return frame.explode(list(frame.columns), ignore_index=True)
    return frame


def _sentence(row: int, record: Mapping[Any, Any], task: Task) -> Sentence:
    """Return what the network reads of a row.

    Raises:
        InputError: The row can't be read; the message names it.
    """
    values = {name: _plain(record.get(name)) for name in ("prefix", "text", "verb_idx", "tags")}
    field = "text" if values["prefix"] is None else "prefix"
    text, verb_idx = values[field], values["verb_idx"]
    if verb_idx is not None and task in (INFLECTION, GRAMMATICALITY):
        raise InputError(
            f"row {row}: verb_idx: a model of {task.name} reads {task.reads}; send that as "
            "'text' or 'prefix', without verb_idx"
        )
    if not isinstance(text, str):
        got = "neither" if text is None else f"{field} {text!r}"
        raise InputError(f"row {row}: expected a string 'prefix' or 'text', got {got}")
    words = text.split()
    if field == "text" and verb_idx is not None:
        words = words[: _index(row, verb_idx, len(words))]
    elif field == "text" and task is NUMBER and words:
        raise InputError(
            f"row {row}: verb_idx: expected the index of the verb in 'text', from 0, got none; "
            "the words before the verb alone are a 'prefix'"
        )
    tags = _tags(row, values["tags"], len(words))
    return Sentence(" ".join(words), tags, typed=tags is None and verb_idx is None)


def _index(row: int, verb_idx: Any, n_words: int) -> int:
    """Check the index of a verb in, or right after, a text of `n_words`."""
    if isinstance(verb_idx, bool) or not isinstance(verb_idx, (int, float)) or verb_idx % 1:
        raise InputError(f"row {row}: verb_idx: expected an integer, got {verb_idx!r}")
    if not 1 <= verb_idx <= n_words:
        raise InputError(
            f"row {row}: verb_idx: expected 1 to {n_words}, the words of the text, "
            f"got {int(verb_idx)}"
        )
    return int(verb_idx)


def _tags(row: int, tags: Any, n_words: int) -> str | None:
    """Return the tags of the first `n_words`, joined by one space."""
    if tags is None:
        return None
    symbols = tags.split() if isinstance(tags, str) else tags
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        raise InputError(f"row {row}: tags: expected a string or a list of strings, got {tags!r}")
    if len(symbols) < n_words:
        raise InputError(f"row {row}: tags: expected {n_words}, got {len(symbols)}")
    return " ".join(symbols[:n_words])


def _plain(value: Any) -> Any:
    """Return NumPy's values as Python's, and the nulls of pandas (NaN, NA, NaT) as None."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    return None if not isinstance(value, list) and pd.isna(value) else value
