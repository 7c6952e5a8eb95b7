"""The MLflow model (models from code: MLflow runs this file on load): sentences in, answers out.

It reads the exchange format: ``prefix``, or ``text`` cut at ``verb_idx`` (whole where that is
null), and ``tags`` where known. Models of other tasks than number prediction read prefix or text
whole: the verb's singular form, or the whole sentence, stands there too. Nothing is pickled:
weights are safetensors, the vocabulary JSON. With ``params={"gates": true}`` it also says what
the gates of the units that carry the number did at each word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from memgate.data.items.tasks import GRAMMATICALITY, INFLECTION, Task
from memgate.errors import InputError
from memgate.gates.explain.traces import Traces, known_units, traces
from memgate.predictor import Predictor

COLUMNS = ("prefix", "text", "verb_idx", "tags")


class AgreementModel(PythonModel):
    """Answers what its task asks, such as the number of the verb that follows a prefix."""

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
            params: ``gates``: whether there is a column of that name too.

        Returns:
            ``number`` (singular or plural), ``probability`` (of that answer, in [0.5, 1]) and
            ``p_plural`` (in [0, 1]), with the index of the input; of a model of grammaticality
            ``judgment`` (grammatical or ungrammatical), ``probability`` and ``p_ungrammatical``.
            On demand ``gates``: what was read, and write and keep of the number units at each word
            (`memgate.gates.explain.traces.Traces`).

        Raises:
            MlflowException: A row can't be read, or gates are asked of a model without gates or
                known number units; the message is one line and names the row, from 0.
        """
        frame = _frame(model_input)
        try:
            rows = [self._read(n, row) for n, row in enumerate(frame.to_dict(orient="records"))]
            second = self._predictor.predict([r[0] for r in rows], [r[1] for r in rows])
            gates = {"gates": self._gates(rows)} if (params or {}).get("gates") else {}
        except InputError as error:  # a ValueError would reach users of the server as a traceback
            raise MlflowException.invalid_parameter_value(str(error)) from error
        return pd.DataFrame({**_answers(self._predictor.task, second), **gates}, index=frame.index)

    def _gates(self, rows: Sequence[tuple[str, str | None]]) -> list[Traces]:
        units = known_units(self._predictor, self._folder)
        return traces(self._predictor, units, [r[0] for r in rows], [r[1] for r in rows])

    def _read(self, row: int, record: dict[Any, Any]) -> tuple[str, str | None]:
        task = self._predictor.task
        if task in (INFLECTION, GRAMMATICALITY) and _known(record.get("verb_idx")) is not None:
            raise InputError(
                f"row {row}: verb_idx: a model of {task.name} reads {task.reads}; send that as "
                "'text' or 'prefix', without verb_idx"
            )
        return _prefix(row, record)


def _answers(task: Task, second: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[Any]]:
    return {
        task.asks: np.where(second > 0.5, task.words[1], task.words[0]),
        "probability": np.maximum(second, 1 - second),
        f"p_{task.words[1]}": second,
    }


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


def _prefix(row: int, record: dict[Any, Any]) -> tuple[str, str | None]:
    """Return the words before the verb and their tags."""
    prefix, text, verb_idx, tags = (_known(record.get(name)) for name in COLUMNS)
    field, sentence = ("prefix", prefix) if prefix is not None else ("text", text)
    if not isinstance(sentence, str):
        got = "neither" if sentence is None else f"{field} {sentence!r}"
        raise InputError(f"row {row}: expected a string 'prefix' or 'text', got {got}")
    words, symbols = sentence.split(), _symbols(row, tags)
    if field == "text" and verb_idx is not None:
        if isinstance(verb_idx, bool) or not isinstance(verb_idx, (int, float)) or verb_idx % 1:
            raise InputError(f"row {row}: verb_idx: expected an integer, got {verb_idx!r}")
        if not 1 <= verb_idx <= len(words):
            raise InputError(
                f"row {row}: verb_idx: expected 1 to {len(words)}, the words of the text, "
                f"got {int(verb_idx)}"
            )
        words = words[: int(verb_idx)]
    if symbols is None:
        return " ".join(words), None
    if len(symbols) < len(words):
        raise InputError(f"row {row}: tags: expected {len(words)}, got {len(symbols)}")
    return " ".join(words), " ".join(symbols[: len(words)])


def _symbols(row: int, tags: Any) -> list[str] | None:
    symbols = tags.split() if isinstance(tags, str) else tags
    if symbols is None or (
        isinstance(symbols, list) and all(isinstance(symbol, str) for symbol in symbols)
    ):
        return symbols
    raise InputError(f"row {row}: tags: expected a string or a list of strings, got {tags!r}")


def _known(value: Any) -> Any:
    """Turn the nulls of pandas (NaN, NA, NaT) into None."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    return None if not isinstance(value, list) and pd.isna(value) else value


set_model(AgreementModel())
