"""The registered model of each task: what it predicts, what it refuses, and its signature."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel

from memgate.data.items.tasks import GRAMMATICALITY, INFLECTION, NOUNS, Task
from memgate.predictor import Predictor
from memgate.tracking.registry.versions import load_predictor, register
from memgate.tracking.store import connect, experiment

TEXTS = ["the keys near the cabinet", "a key", "keys", "the key to", "a cabinet near the keys"]


def registered(predictor: Predictor, task: Task) -> tuple[Predictor, PyFuncModel]:
    """The same network, registered as a model of another task."""
    name = f"memgate-gru-synthetic-{task.name}"
    run_id = connect().create_run(experiment("synthetic")).info.run_id
    register(run_id, replace(predictor, task=task), name, {"val_accuracy": 0.9})
    uri = f"models:/{name}@champion"
    return load_predictor(uri), mlflow.pyfunc.load_model(uri)


def predict(model: PyFuncModel, **columns: Any) -> pd.DataFrame:
    result = model.predict(pd.DataFrame(columns))
    assert isinstance(result, pd.DataFrame)
    return result


def refused(model: PyFuncModel, **columns: Any) -> str:
    with pytest.raises(MlflowException) as caught:
        predict(model, **columns)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert "\n" not in caught.value.message
    return str(caught.value.message)


@pytest.mark.parametrize(
    ("task", "column", "words", "example"),
    [
        (INFLECTION, "number", ("singular", "plural"), "the keys to the cabinet is"),
        (
            GRAMMATICALITY,
            "judgment",
            ("grammatical", "ungrammatical"),
            "the keys to the cabinet is here",
        ),
    ],
    ids=["inflection", "grammaticality"],
)
def test_a_model_of_another_task(
    project: Path,
    predictor: Predictor,
    task: Task,
    column: str,
    words: tuple[str, str],
    example: str,
) -> None:
    loaded, model = registered(predictor, task)
    assert loaded.task is task
    signature = model.metadata.signature
    assert signature is not None
    columns = [column, "probability", f"p_{words[1]}", "unknown"]
    assert [column.name for column in signature.outputs] == columns
    types = [str(column.type) for column in signature.outputs]
    assert types == ["DataType.string", *["DataType.double"] * 3]

    second = predictor.predict(TEXTS)
    for field in ("prefix", "text"):
        found = predict(model, **{field: TEXTS})
        assert list(found.columns) == columns
        assert np.array_equal(found[columns[2]], second)
        assert found[column].tolist() == [words[int(p > 0.5)] for p in second]
        assert np.array_equal(found["probability"], np.maximum(second, 1 - second))
        assert set(found[column]) == set(words)  # else the lines above show little
    tagged = predict(model, text=["the gnus are"], tags=["DT NNS VBP"])
    assert tagged[columns[2]].tolist() == predictor.predict(["the NNS VBP"]).tolist()

    assert isinstance(model.input_example, pd.DataFrame)
    assert model.input_example["prefix"].tolist() == [example]
    assert list(predict(model, prefix=[example]).columns) == columns
    about = connect().get_registered_model(f"memgate-gru-synthetic-{task.name}").description
    assert f"Reads {task.reads} and predicts {words[0]} or {words[1]}. " in str(about)

    message = refused(model, text=[TEXTS[0], TEXTS[1]], verb_idx=[None, 1])
    assert message == (
        f"row 1: verb_idx: a model of {task.name} reads {task.reads}; send that as 'text' or "
        "'prefix', without verb_idx"
    )
    assert refused(model, prefix=["keys"], verb_idx=[0]).startswith("row 0: verb_idx: a model of ")
    assert len(predict(model, text=TEXTS, verb_idx=[None] * len(TEXTS))) == len(TEXTS)
    assert predict(model, prefix=["keys", "gnus"])["unknown"].tolist() == [0.0, 1.0]


def test_a_model_of_nouns_reads_what_it_is_given(project: Path, predictor: Predictor) -> None:
    _, model = registered(predictor, NOUNS)
    found = predict(model, text=["keys cabinet", "keys cabinet are"], verb_idx=[None, 2])
    assert list(found.columns) == ["number", "probability", "p_plural", "unknown"]
    assert found["p_plural"].tolist() == list(predictor.predict(["keys cabinet"])) * 2
