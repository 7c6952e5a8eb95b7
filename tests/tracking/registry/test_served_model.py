from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel

from memgate.gates.explain.explanation import Trace, explain
from memgate.gates.units.unit import NUMBER_UNITS, Unit
from memgate.predictor import Predictor
from memgate.tracking.registry.versions import model_folder
from memgate.tracking.store import connect

MODEL = "models:/memgate-gru-synthetic@champion"


@pytest.fixture
def model(project: Path) -> PyFuncModel:
    connect()
    loaded: PyFuncModel = mlflow.pyfunc.load_model(MODEL)
    return loaded


def predict(model: PyFuncModel, sentence: Any) -> pd.DataFrame:
    result = model.predict(sentence)
    assert isinstance(result, pd.DataFrame)
    return result


def test_signature_and_example(model: PyFuncModel) -> None:
    signature = model.metadata.signature
    assert signature is not None
    inputs = {column.name: str(column.type) for column in signature.inputs}
    assert inputs == {
        "prefix": "DataType.string",
        "text": "DataType.string",
        "verb_idx": "Any",
        "tags": "DataType.string",
    }
    assert not any(column.required for column in signature.inputs)
    assert [(each.name, each.default) for each in signature.params] == [("gates", False)]
    outputs = [column.name for column in signature.outputs]
    assert list(predict(model, model.input_example).columns) == outputs
    assert outputs == ["number", "probability", "p_plural", "unknown"]
    assert isinstance(model.input_example, pd.DataFrame)
    assert model.input_example["prefix"].tolist() == ["the keys to the cabinet"]


def test_number_and_probability_follow_p_plural(model: PyFuncModel, predictor: Predictor) -> None:
    words = ["the", "a", "key", "keys", "to", "cabinet", "near"]
    prefixes = [f"{a} {b}" for a in words for b in words]
    result = predict(model, pd.DataFrame({"prefix": prefixes}, index=range(100, 149)))
    p_plural = predictor.predict(prefixes)
    assert result.index.tolist() == list(range(100, 149))
    assert np.array_equal(result["p_plural"], p_plural)
    assert result["number"].tolist() == ["plural" if p >= 0.5 else "singular" for p in p_plural]
    assert set(result["number"]) == {"plural", "singular"}  # else the lines above show little
    assert np.allclose(
        result["probability"], np.maximum(p_plural, 1 - p_plural), atol=0, rtol=1e-15
    )


NAN = float("nan")
PREFIX = "the keys near the cabinet"
TEXT = f"{PREFIX} are new"


@pytest.mark.parametrize(
    "sentence",
    [
        pd.DataFrame({"prefix": [PREFIX]}),
        pd.Series([PREFIX], name="prefix"),
        [{"prefix": PREFIX}],
        {"prefix": PREFIX},
        {"prefix": [PREFIX]},
        pd.DataFrame({"text": [TEXT], "verb_idx": [5]}),
        pd.DataFrame({"text": [TEXT], "verb_idx": [5.0]}),
        pd.DataFrame({"text": [TEXT], "verb_idx": pd.array([5], dtype="Int64")}),
        pd.DataFrame({"text": [PREFIX], "verb_idx": [5]}),
        pd.DataFrame({"text": [TEXT], "verb_idx": [NAN], "prefix": [PREFIX]}),
        pd.DataFrame({"prefix": [f" {PREFIX}  "]}),
        pd.DataFrame({"prefix": [PREFIX], "tags": ["DT NNS IN DT NN"]}),
        pd.DataFrame({"prefix": [PREFIX], "label": ["pl"], "id": [7]}),
    ],
)
def test_forms_of_one_sentence(model: PyFuncModel, predictor: Predictor, sentence: Any) -> None:
    assert predict(model, sentence)["p_plural"].tolist() == predictor.predict([PREFIX]).tolist()


def test_rows_of_mixed_kinds(model: PyFuncModel, predictor: Predictor) -> None:
    result = predict(
        model,
        [
            {"text": TEXT, "verb_idx": 2},
            {"prefix": "a key"},
            {"prefix": "the keys to"},
            {"text": TEXT, "verb_idx": 4, "prefix": "a key to"},
        ],
    )
    expected = predictor.predict(["the keys", "a key", "the keys to", "a key to"])
    assert result["p_plural"].tolist() == expected.tolist()


@pytest.mark.parametrize("tags", ["DT NNS VBP", ["DT", "NNS", "VBP"]])
def test_rare_words_are_read_as_their_tags(
    model: PyFuncModel, predictor: Predictor, tags: str | list[str]
) -> None:
    frame = pd.DataFrame({"text": ["the gnus are"], "verb_idx": [2], "tags": [tags]})
    expected = predictor.predict(["the gnus"], ["DT NNS"])
    assert predict(model, frame)["p_plural"].tolist() == expected.tolist()
    assert expected != predictor.predict(["the gnus"])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"text": ["the", "the key is"], "verb_idx": [1, None]},
            "row 1: verb_idx: expected the index of the verb in 'text', from 0, got none; the words"
            " before the verb alone are a 'prefix'",
        ),
        ({"text": [TEXT]}, "row 0: verb_idx: expected the index of the verb"),
        ({"text": [PREFIX], "verb_idx": [NAN]}, "row 0: verb_idx: expected the index of the verb"),
        (
            {"text": [PREFIX], "verb_idx": [None], "prefix": [None], "tags": [None]},
            "row 0: verb_idx: expected the index of the verb",
        ),
        ({"prefix": ["the", None]}, "row 1: expected a string 'prefix' or 'text', got neither"),
        ({"label": ["pl"]}, "expected a column 'prefix', or 'text' with 'verb_idx', got neither"),
        ({"text": ["the", "the key"], "verb_idx": [1, 3]}, "row 1: verb_idx: expected 1 to 2, .*3"),
        ({"text": ["the"], "verb_idx": [0]}, "row 0: verb_idx: expected 1 to 1, .* got 0"),
        ({"text": ["the"], "verb_idx": [-1]}, "row 0: verb_idx: expected 1 to 1, .* got -1"),
        ({"text": ["the"], "verb_idx": [0.5]}, "row 0: verb_idx: expected an integer, got 0.5"),
        ({"text": ["the"], "verb_idx": ["x"]}, "row 0: verb_idx: expected an integer, got 'x'"),
        ({"text": ["the"], "verb_idx": [True]}, "row 0: verb_idx: expected an integer, got True"),
        ({"prefix": ["the key"], "tags": ["DT"]}, "row 0: tags: expected 2, got 1"),
        ({"prefix": ["the"], "tags": [[1]]}, "row 0: tags: expected a string or a list of strings"),
        ({"prefix": [["the", "key"], "x"]}, "row 0: expected a string 'prefix' or 'text', got"),
    ],
)
def test_rows_that_cannot_be_read(
    model: PyFuncModel, columns: dict[str, list[Any]], message: str
) -> None:
    with pytest.raises(MlflowException, match=message) as caught:
        predict(model, pd.DataFrame(columns))
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert "\n" not in caught.value.message


def test_typed_text_and_tokens_are_read_alike(model: PyFuncModel, predictor: Predictor) -> None:
    typed = "The keys, near the cabinet's key,"
    tokens = "the keys , near the cabinet 's key ,"
    expected = predictor.predict([tokens])
    for row in (typed, tokens):
        assert predict(model, pd.DataFrame({"prefix": [row]}))["p_plural"].tolist() == [*expected]
    # the index of a verb counts tokens between spaces, and they stay as they are
    cut = pd.DataFrame({"text": [f"{tokens} are"], "verb_idx": [9]})
    assert predict(model, cut)["p_plural"].tolist() == [*expected]


def test_a_plain_list_of_strings(model: PyFuncModel, predictor: Predictor) -> None:
    """MLflow drops unnamed columns before the model sees them; without MLflow the list is read."""
    with pytest.raises(MlflowException, match=r'send \[\{"prefix": "the keys to the cabinet"\}\]'):
        predict(model, [PREFIX])
    inner = model.unwrap_python_model()  # type: ignore[no-untyped-call]
    direct = inner.predict(None, [PREFIX])
    assert direct["p_plural"].tolist() == predictor.predict([PREFIX]).tolist()


def test_a_sentence_without_a_known_word_has_no_answer_and_the_others_have(
    model: PyFuncModel, predictor: Predictor
) -> None:
    result = predict(model, pd.DataFrame({"prefix": [PREFIX, "gnus run", "the gnus"]}))
    assert result["unknown"].tolist() == [0.0, 1.0, 0.5]
    assert result.drop(columns="unknown").to_numpy()[1].tolist() == [None] * 3
    expected = predictor.predict([PREFIX, "the gnus"])
    assert np.allclose(result["p_plural"].drop(1).tolist(), expected, rtol=0, atol=1e-6)
    assert predictor.unknown([PREFIX, "gnus run", "the gnus"]).tolist() == [0.0, 1.0, 0.5]
    assert predict(model, [{"prefix": "gnus"}])["number"].tolist() == [None]


@pytest.mark.parametrize("empty", ["", " \t"])
def test_a_sentence_without_any_word_has_no_answer_and_the_others_have(
    model: PyFuncModel, predictor: Predictor, empty: str
) -> None:
    for frame in (
        pd.DataFrame({"prefix": [empty, PREFIX], "tags": ["", None]}),
        pd.DataFrame({"text": [empty, f"{PREFIX} are"], "verb_idx": [None, 5]}),
    ):
        result = predict(model, frame)
        assert result.iloc[0].tolist() == [None, None, None, 1.0]
        assert result["p_plural"][1] == predictor.predict([PREFIX])[0]


@pytest.mark.parametrize("columns", [["prefix"], ["text", "verb_idx"], ["prefix", "tags"]])
def test_an_empty_table_gives_an_empty_table(model: PyFuncModel, columns: list[str]) -> None:
    result = predict(model, pd.DataFrame(columns=columns))
    assert len(result) == 0
    assert list(result.columns) == ["number", "probability", "p_plural", "unknown"]


def close(found: list[float], expected: Trace | None) -> bool:
    return expected is not None and np.allclose(found, expected, rtol=0, atol=1e-6)


@pytest.fixture
def units(project: Path) -> list[Unit]:
    """Number units alongside the registered model."""
    connect()
    (model_folder(MODEL) / NUMBER_UNITS).write_text('{"units": [[0, 3], [0, 1]]}')
    return [Unit(0, 3), Unit(0, 1)]


def test_gates_on_demand(units: list[Unit], predictor: Predictor) -> None:
    model = mlflow.pyfunc.load_model(MODEL)
    frame = pd.DataFrame({"prefix": ["a key", PREFIX, "The gnus"], "tags": [None, None, "DT NNS"]})
    frame.index = pd.Index([7, 5, 6])
    plain = model.predict(frame)
    for params in ({}, {"gates": False}):
        assert model.predict(frame, params=params).equals(plain)
    found = model.predict(frame, params={"gates": True})
    assert list(found.columns) == [*plain.columns, "gates"]
    assert found.drop(columns="gates").equals(plain)
    assert found.index.tolist() == [7, 5, 6]
    for (_, row), tags in zip(frame.iterrows(), [(), (), ("DT", "NNS")], strict=True):
        gates = found.loc[row.name, "gates"]
        alone = explain(predictor, row["prefix"], units, tags=tags)
        assert gates["words"] == row["prefix"].split()
        assert gates["read"] == [word.read for word in alone.words]
        for unit, expected in zip(("0:3", "0:1"), alone.units, strict=True):
            assert close(gates["units"][unit]["write"], expected.write)
            assert close(gates["units"][unit]["keep"], expected.keep)
    assert found.loc[6, "gates"]["read"] == ["the", "NNS"]
    unread = model.predict([{"prefix": "a"}, {"prefix": "gnus"}], params={"gates": True})
    assert unread["gates"][0]["words"] == ["a"]
    assert unread["gates"][1] is None


def test_gates_that_a_model_has_not(model: PyFuncModel) -> None:
    with pytest.raises(MlflowException, match="gates: no number units are known of this") as caught:
        model.predict([{"prefix": PREFIX}], params={"gates": True})
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert "\n" not in caught.value.message
    with pytest.raises(MlflowException, match="Failed to validate type and shape for 'gates'"):
        model.predict([{"prefix": PREFIX}], params={"gates": "often"})


@pytest.fixture
def server(project: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with (project / "server.log").open("w") as log:
        process = subprocess.Popen(
            ["mlflow", "models", "serve", "-m", MODEL, "--env-manager", "local"]  # noqa: RUF005
            + ["--host", "127.0.0.1", "--port", str(port)],
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # mlflow, uvicorn
                "MLFLOW_TRACKING_URI": "sqlite:///mlruns/mlflow.db",
                "OMP_NUM_THREADS": "1",
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/ping", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (project / "server.log").read_text()
                time.sleep(0.2)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the server and its workers
        process.wait(timeout=10)


def post(address: str, body: Any) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.processes
def test_serving(server: str, predictor: Predictor) -> None:
    expected = predictor.predict([PREFIX])[0]
    for body in (
        {"dataframe_split": {"columns": ["prefix"], "data": [[PREFIX]]}},
        {"dataframe_split": {"columns": ["text", "verb_idx"], "data": [[TEXT, 5]]}},
        {
            "dataframe_records": [
                {"prefix": PREFIX},
                {"text": TEXT, "verb_idx": 5},
                {"prefix": PREFIX},
            ]
        },
        {"inputs": [{"prefix": PREFIX}]},
        {"inputs": {"prefix": [PREFIX]}},
        {"instances": [{"prefix": PREFIX}]},
    ):
        status, answer = post(server, body)
        assert status == 200, (body, answer)
        assert all(abs(row["p_plural"] - expected) < 1e-7 for row in answer["predictions"])
        assert answer["predictions"][0]["number"] in ("singular", "plural")
    assert len(post(server, {"inputs": [{"prefix": "a key"}] * 3})[1]["predictions"]) == 3
    status, answer = post(server, {"dataframe_records": [{"prefix": "a"}, {"prefix": "gnus"}]})
    assert status == 200
    unread = {"number": None, "probability": None, "p_plural": None, "unknown": 1.0}
    assert answer["predictions"][1] == unread
    assert answer["predictions"][0]["number"] in ("singular", "plural")
    empty = {"dataframe_split": {"columns": ["prefix"], "data": []}}
    assert post(server, empty) == (200, {"predictions": []})
    status, answer = post(server, {"dataframe_records": [{"text": TEXT}]})
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "row 0: verb_idx: expected the index of the verb in 'text'" in answer["message"]
    asked = {"dataframe_records": [{"prefix": PREFIX}], "params": {"gates": True}}
    status, answer = post(server, asked)
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "gates: no number units are known of this model" in answer["message"]
    (model_folder(MODEL) / NUMBER_UNITS).write_text('{"units": [[0, 3]]}')
    status, answer = post(server, asked)
    assert status == 200, answer
    (row,) = answer["predictions"]
    assert list(row) == ["number", "probability", "p_plural", "unknown", "gates"]
    (unit,) = explain(predictor, PREFIX, [Unit(0, 3)]).units
    assert row["gates"]["words"] == row["gates"]["read"] == PREFIX.split()
    assert close(row["gates"]["units"]["0:3"]["write"], unit.write)
    assert close(row["gates"]["units"]["0:3"]["keep"], unit.keep)
