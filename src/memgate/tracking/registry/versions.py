"""The model registry: a version a run, a champion a model, and predictors loaded from any URI."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version as installed
from pathlib import Path
from types import MappingProxyType

import mlflow
import pandas as pd
from mlflow.entities import Metric
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import AnyType, ColSpec, DataType, ParamSchema, ParamSpec, Schema

import memgate
from memgate.data.items.tasks import Task, TaskName
from memgate.errors import InputError
from memgate.predictor import Predictor
from memgate.tracking.registry import hub
from memgate.tracking.registry.champion import CHAMPION, registered_names, set_first_champion
from memgate.tracking.registry.uris import is_uri
from memgate.tracking.store import connect

PREFIX = "memgate-"

REQUIREMENTS = ("mlflow", "numpy", "pandas", "pyarrow", "safetensors", "tokenizers", "torch")

INPUTS = Schema(
    [
        ColSpec(DataType.string, "prefix", required=False),
        ColSpec(DataType.string, "text", required=False),
        # Any, not long: MLflow refuses a long column with a null in it.
        ColSpec(AnyType(), "verb_idx", required=False),  # type: ignore[no-untyped-call]
        ColSpec(DataType.string, "tags", required=False),
    ]
)

PARAMS = ParamSchema([ParamSpec("gates", DataType.boolean, False)])
"""Whether the answer says what the gates did at each word: `memgate.gates.explain.traces`."""

EXAMPLES: Mapping[TaskName, str] = MappingProxyType(
    {
        "number": "the keys to the cabinet",
        "inflection": "the keys to the cabinet is",
        "grammaticality": "the keys to the cabinet is here",
        "nouns": "keys cabinet",
    }
)
"""What a model of each task reads, as an example in its signature."""


def register(
    run_id: str,
    predictor: Predictor,
    name: str,
    scores: Mapping[str, float],
    tags: Mapping[str, str] | None = None,
    description: str = "",
    beside: Mapping[str, Callable[[Path], object]] = MappingProxyType({}),
) -> str:
    """Log a predictor as the model of a run, and register it; the first of its name is champion.

    Args:
        run_id: Run that trained it.
        predictor: What is registered.
        name: Registered model, ``memgate-<cell>-<data>``, and ``-<task>`` if not number prediction.
        scores: Shares in [0, 1], such as ``val_accuracy``: tags of the version (six digits), and
            metrics linked to the model.
        tags: More tags of the version, such as cell, data and seed.
        description: Markdown shown at the version.
        beside: What lies beside the weights in the model's folder: for each file or folder the
            function that writes it to a path.

    Returns:
        The version, counted from 1.
    """
    client = connect()
    model_id = _log_model(client, run_id, predictor, beside)
    _ensure_name(client, name, predictor.task)
    version = client.create_model_version(
        name,
        source=client.get_logged_model(model_id).artifact_location,
        tags=_labels(run_id, scores, tags or {}),
        description=description,
        run_id=run_id,
        model_id=model_id,
    )
    _finish(client, version, model_id, scores)
    return str(version.version)


def register_once(
    run_id: str,
    predictor: Predictor,
    name: str,
    scores: Mapping[str, float],
    tags: Mapping[str, str],
    description: str,
    beside: Mapping[str, Callable[[Path], object]],
) -> str:
    """Register as `register` does, unless an earlier try with the same arguments got that far.

    What such a try left, a model without a version or a version without linked scores, is removed
    or finished: so it may be stopped anywhere and called again.

    Returns:
        The version, counted from 1.
    """
    client = connect()
    labels = _labels(run_id, scores, tags)
    versions = mlflow.search_model_versions(filter_string=f"run_id = '{run_id}'")
    experiment_id = client.get_run(run_id).info.experiment_id
    models = {
        model.artifact_location: model.model_id
        for model in client.search_logged_models(
            [experiment_id], filter_string=f"source_run_id = '{run_id}'"
        )
    }
    for unregistered in models.keys() - {str(version.source) for version in versions}:
        client.delete_logged_model(models[unregistered])
    for version in versions:
        if version.name == name and labels.items() <= version.tags.items():
            _finish(client, version, models[str(version.source)], scores)
            return str(version.version)
    return register(run_id, predictor, name, scores, tags, description, beside)


def _finish(
    client: mlflow.MlflowClient, version: ModelVersion, model_id: str, scores: Mapping[str, float]
) -> None:
    """Link the scores to the version's model, crown the first of its name; may be done twice."""
    when = int(version.creation_timestamp)  # equal each time: MLflow keeps one of equal metrics
    metrics = [
        Metric(key, value, when, 0, model_id=model_id, run_id=version.run_id)
        for key, value in scores.items()
    ]
    client.log_batch(str(version.run_id), metrics=metrics)
    set_first_champion(client, str(version.name), str(version.version))


def _labels(run_id: str, scores: Mapping[str, float], tags: Mapping[str, str]) -> dict[str, str]:
    return {**tags, "run_id": run_id, **{key: f"{value:.6f}" for key, value in scores.items()}}


def _ensure_name(client: mlflow.MlflowClient, name: str, task: Task) -> None:
    try:
        client.create_registered_model(name, description=_about(name, task))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def champions() -> list[str]:
    """Return the URIs ``models:/memgate-…@champion`` of all registered models that have one."""
    connect(create=False)
    return sorted(
        f"models:/{model.name}@{CHAMPION}"
        for model in mlflow.search_registered_models()
        if model.name.startswith(PREFIX) and CHAMPION in model.aliases
    )


def load_predictor(uri: str) -> Predictor:
    """Load a predictor from what `model_folder` takes.

    Raises:
        InputError: There is no such model, or its files are damaged.
    """
    return Predictor.load(model_folder(uri))


def model_folder(uri: str) -> Path:
    """Return the folder with a predictor and, where it was registered, what lies beside it.

    Args:
        uri: ``models:/name@alias``, ``models:/name/version``, ``runs:/…/model``, any other URI that
            MLflow can fetch, ``hf://owner/name`` of the Hugging Face Hub, or a folder that
            `Predictor.save`, `memgate export` or MLflow wrote.

    Raises:
        InputError: There is no such model, or its files are damaged.
    """
    folder = Path(uri)
    if uri.startswith(hub.HUB):
        folder = hub.fetch(uri)
    elif is_uri(uri):
        folder = _fetch(uri)
    elif not folder.is_dir():
        raise InputError(
            f"{uri}: expected a model URI or a folder, found neither; {registered_names()}"
        )
    if not (folder / "MLmodel").is_file():
        return folder
    try:
        artifacts = Model.load(str(folder)).flavors["python_function"]["artifacts"]
        return folder / str(artifacts["model"]["path"])
    except Exception as error:  # YAML's errors, missing keys: all mean the same
        raise InputError(f"{folder / 'MLmodel'}: expected a model of memgate's") from error


def _log_model(
    client: mlflow.MlflowClient,
    run_id: str,
    predictor: Predictor,
    beside: Mapping[str, Callable[[Path], object]],
) -> str:
    """Write the MLflow model of a run and return its id."""
    # Made by hand, in the run's experiment: without an active run Model.log would make it in
    # experiment 0, whose artifact location is absolute.
    experiment_id = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment_id, "model", source_run_id=run_id)
    with tempfile.TemporaryDirectory() as folder:
        predictor.save(Path(folder, "model"))
        for file, write in beside.items():
            write(Path(folder, "model", file))
        Model.log(
            artifact_path=None,
            name="model",
            flavor=mlflow.pyfunc,
            run_id=run_id,
            model_id=logged.model_id,
            python_model=str(Path(__file__).with_name("model_code.py")),
            artifacts={"model": str(Path(folder, "model"))},
            signature=ModelSignature(INPUTS, _outputs(predictor.task), PARAMS),
            input_example=pd.DataFrame({"prefix": [EXAMPLES[predictor.task.name]]}),
            pip_requirements=[  # a list of our own: guessing it costs MLflow 6 to 9 s
                f"memgate=={memgate.__version__}",
                *(f"{name}=={installed(name).partition('+')[0]}" for name in REQUIREMENTS),
            ],
        )
    return str(logged.model_id)


def _outputs(task: Task) -> Schema:
    return Schema(
        [
            ColSpec(DataType.string, task.predicts),
            ColSpec(DataType.double, "probability"),
            ColSpec(DataType.double, f"p_{task.words[1]}"),
        ]
    )


def _about(name: str, task: Task) -> str:
    return (
        f"Reads {task.reads} and answers {task.words[0]} or {task.words[1]}. Load it by "
        f'`memgate.load("models:/{name}@{CHAMPION}")` or `mlflow.pyfunc.load_model`; '
        f"`{CHAMPION}` is the first version, or the last that `memgate promote {name} VERSION` let "
        f"take its place; `memgate history {name}` shows which was champion when."
    )


def _fetch(uri: str) -> Path:
    """Return the local folder of a model, downloaded if it lies elsewhere."""
    connect(create=False)
    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except Exception as error:  # MLflow's, and those of whichever file system it asks
        reason = " ".join(str(error).split())
        raise InputError(f"{uri}: expected a model, got: {reason}; {registered_names()}") from error
