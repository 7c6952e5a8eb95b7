from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from memgate.baselines.fitted import Baselines
from memgate.baselines.last_words import LastWords
from memgate.data.items.schema import FEATURES
from memgate.data.items.tasks import NOUNS
from memgate.data.tagger import Tagger
from memgate.errors import InputError
from memgate.predictor import BASELINES_FOLDER, Predictor
from memgate.tracking.registry.versions import (
    champions,
    load_predictor,
    model_folder,
    register,
)
from memgate.tracking.store import connect, experiment

NAME = "memgate-gru-synthetic"
WORDS = ["the keys", "a key near the keys"]


def champion(name: str = NAME) -> str:
    return str(connect().get_model_version_by_alias(name, "champion").version)


def add(predictor: Predictor, name: str = NAME, **scores: float) -> str:
    run_id = connect().create_run(experiment("synthetic")).info.run_id
    return register(run_id, predictor, name, scores)


def test_a_version_tells_what_it_is(project: Path, predictor: Predictor) -> None:
    run_id = connect().create_run(experiment("synthetic")).info.run_id
    scores = {"val_accuracy": 0.9512345678, "test_accuracy": 0.8}
    version = register(run_id, predictor, NAME, scores, {"cell": "gru", "seed": "3"}, "# Words")
    assert version == "2"
    found = connect().get_model_version(NAME, version)
    assert (found.run_id, found.description) == (run_id, "# Words")
    assert found.tags == {
        "val_accuracy": "0.951235",
        "test_accuracy": "0.800000",
        "cell": "gru",
        "seed": "3",
        "run_id": run_id,
    }
    about = str(connect().get_registered_model(NAME).description)
    assert f"`memgate promote {NAME} VERSION`" in about
    assert f"`memgate history {NAME}`" in about
    run = connect().get_run(run_id)
    assert run.data.metrics == scores
    assert run.outputs is not None
    (output,) = run.outputs.model_outputs
    model = connect().get_logged_model(output.model_id)
    assert {metric.key: metric.value for metric in model.metrics or []} == scores
    assert (model.name, model.status, model.experiment_id) == (
        "model",
        "READY",
        run.info.experiment_id,
    )


def test_the_first_version_is_champion_and_stays_it(project: Path, predictor: Predictor) -> None:
    assert champion() == "1"
    add(predictor, val_accuracy=0.99, test_accuracy=0.99)
    assert add(predictor, val_accuracy=0.95) == "3"
    assert champion() == "1", "a better score is no reason"
    connect().delete_model_version(NAME, "1")
    assert add(predictor, val_accuracy=1.0) == "4"
    assert champions() == [], "nobody is champion by default"


def test_registering_again_changes_nothing(project: Path, predictor: Predictor) -> None:
    client = connect()
    run_id = client.create_run(experiment("synthetic")).info.run_id
    scores = {"val_accuracy": 0.95}
    client.create_logged_model(experiment("synthetic"), "model", source_run_id=run_id)
    assert register(run_id, predictor, NAME, scores, {"seed": "1"}) == "2"
    before = client.get_model_version(NAME, "2")
    for _ in range(2):
        assert register(run_id, predictor, NAME, scores, {"seed": "1"}) == "2"
    assert client.get_model_version(NAME, "2").source == before.source
    models = client.search_logged_models(
        [experiment("synthetic")], filter_string=f"source_run_id = '{run_id}'"
    )
    assert [model.artifact_location for model in models] == [before.source], "none is left over"
    assert len(models[0].metrics or []) == 1


def test_models_are_apart(project: Path, predictor: Predictor) -> None:
    add(predictor, "memgate-rnn-corpus", val_accuracy=0.1)
    add(predictor, "another", val_accuracy=0.99)
    connect().create_registered_model("memgate-empty")
    assert champion("memgate-rnn-corpus") == champion() == "1"
    assert champions() == [f"models:/{NAME}@champion", "models:/memgate-rnn-corpus@champion"]


def test_load_from_every_kind_of_uri(project: Path, tmp_path: Path, predictor: Predictor) -> None:
    (version,) = connect().search_model_versions(f"name = '{NAME}'")
    predictor.save(tmp_path / "saved")
    uris = [
        f"models:/{NAME}@champion",
        f"models:/{NAME}/1",
        f"runs:/{version.run_id}/model",
        str(tmp_path / "saved"),
        str(version.source),
        f"{version.source}/artifacts/model",
        (project / str(version.source)).as_uri(),
    ]
    for uri in uris:
        loaded = load_predictor(uri)
        assert np.array_equal(loaded.predict(WORDS), predictor.predict(WORDS)), uri
        assert not loaded.classifier.training


@pytest.mark.parametrize("with_network", [True, False])
def test_baselines_lie_beside_the_model(
    project: Path, predictor: Predictor, with_network: bool
) -> None:
    baselines = Baselines(
        "pl",
        Tagger(pa.array(["keys"]), pa.array(["NNS"])),
        LastWords(pa.array(["tag-1=NNS"]), np.array([0.1]), -0.3),
        replace(predictor, task=NOUNS) if with_network else None,
    )
    run_id = connect().create_run(experiment("synthetic")).info.run_id
    scores = {"val_accuracy": 0.99}
    register(run_id, predictor, NAME, scores, sidecars={BASELINES_FOLDER: baselines.save})
    row = {"text": "the keys near it", "verb_idx": 4, "label": 1}
    table = pa.Table.from_pylist([{**dict.fromkeys(FEATURES), **row}], FEATURES.arrow_schema)
    expected = baselines.p_plural(table)
    assert len(expected.columns) == 5 + with_network
    for uri in (f"models:/{NAME}/2", f"runs:/{run_id}/model"):
        folder = model_folder(uri)
        loaded = Baselines.load(folder / BASELINES_FOLDER)
        pd.testing.assert_frame_equal(loaded.p_plural(table), expected, check_exact=True)
        again = Predictor.load(folder).predict(WORDS)
        assert np.array_equal(again, predictor.predict(WORDS))
    without = model_folder(f"models:/{NAME}/1")
    assert not (without / BASELINES_FOLDER).exists()
    assert np.array_equal(Predictor.load(without).predict(WORDS), again)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".parquet", ".safetensors"}


@pytest.mark.parametrize(
    "uri",
    [
        f"models:/{NAME}@best",
        f"models:/{NAME}/9",
        "models:/nope/1",
        "models:/nope@champion",
        "models:/",
        f"models:/{NAME}",
        "runs:/f00/model",
        "foo:/x",
        "no/folder",
        NAME,
    ],
)
def test_unknown_models(project: Path, uri: str) -> None:
    with pytest.raises(InputError) as caught:
        load_predictor(uri)
    message = str(caught.value)
    assert message.startswith(f"{uri}: expected a model")
    assert message.endswith(f"; registered models: {NAME}")
    assert "\n" not in message


def test_a_name_alone_is_answered_with_the_champion_s_uri(project: Path) -> None:
    with pytest.raises(InputError, match=f"as in models:/{NAME}@champion or models:/{NAME}/1; "):
        load_predictor(f"models:/{NAME}")


def test_nothing_is_made_where_nothing_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="; no store could be read at sqlite:///mlruns/"):
        load_predictor("no/folder")
    with pytest.raises(InputError, match="found no file"):
        load_predictor(f"models:/{NAME}@champion")
    with pytest.raises(InputError, match="found no file"):
        champions()
    assert not list(tmp_path.iterdir())


def spoil(folder: Path, kind: str) -> None:
    """Damage a registered model."""
    weights, config = (
        folder / "artifacts" / "model" / name for name in ("model.safetensors", "config.json")
    )
    if kind == "weights cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif kind == "weights gone":
        weights.unlink()
    elif kind == "config":
        config.write_text("{")
    elif kind == "MLmodel":
        (folder / "MLmodel").write_text("flavors: [")
    elif kind == "another's MLmodel":
        (folder / "MLmodel").write_text("flavors: {sklearn: {}}")
    elif kind == "folder gone":
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    "kind",
    ["weights cut", "weights gone", "config", "MLmodel", "another's MLmodel", "folder gone"],
)
def test_damaged_models(project: Path, kind: str) -> None:
    source = connect().get_model_version(NAME, "1").source
    spoil(project / str(source), kind)
    with pytest.raises(InputError) as caught:
        load_predictor(f"models:/{NAME}@champion")
    assert "\n" not in str(caught.value)


def test_no_pickle_anywhere(project: Path) -> None:
    files = [path for path in (project / "mlruns" / "artifacts").rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert names >= {
        "MLmodel",
        "model.safetensors",
        "config.json",
        "tokenizer.json",
        "model_code.py",
    }
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".bin"))]
    for path in files:
        assert not path.read_bytes().startswith(b"\x80"), path  # how pickles begin
    (path,) = (path for path in files if path.name == "MLmodel")
    flavor = yaml.safe_load(path.read_text())["flavors"]
    assert flavor.keys() == {"python_function"}
    assert flavor["python_function"]["loader_module"] == "mlflow.pyfunc.loaders.code_model"
    assert "python_model" not in flavor["python_function"]


LOAD = """
import mlflow, sys
model = mlflow.pyfunc.load_model("models:/memgate-gru-synthetic@champion")
print(model.predict([{"prefix": "the keys"}])["p_plural"][0])
print(sorted({"lightning", "pytorch_lightning", "datasets", "torchmetrics"} & sys.modules.keys()))
"""


@pytest.mark.processes
def test_mlflow_alone_loads_it_without_lightning_datasets_or_pickle(
    project: Path, predictor: Predictor
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        env={
            **os.environ,
            "MLFLOW_TRACKING_URI": "sqlite:///mlruns/mlflow.db",
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    probability, modules = done.stdout.splitlines() or (done.stderr, "")
    assert float(probability) == predictor.predict(["the keys"])[0]
    assert modules == "[]"
