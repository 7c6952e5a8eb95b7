"""The model registry: `register` a predictor, and find the folder of any model (`model_folder`)."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version as installed
from pathlib import Path
from types import MappingProxyType
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
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
"""Whether the prediction has a column with the gates at each word."""

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
    tags: Mapping[str, str] = MappingProxyType({}),
    description: str = "",
    sidecars: Mapping[str, Callable[[Path], object]] = MappingProxyType({}),
) -> str:
    """Log a predictor as the model of a run, and register it; the first of its name is champion.

    It may be stopped anywhere and called again with the same arguments. What was finished then is
    not done again, and a model that was logged without becoming a version is removed.

    Args:
        run_id: Run that trained it.
        predictor: What is registered.
        name: Registered model, ``memgate-<cell>-<data>``, and ``-<task>`` if not number prediction.
        scores: Proportions, such as ``val_accuracy``: tags of the version (six digits), and metrics
            linked to the model.
        tags: More tags of the version, such as cell, data and seed.
        description: Markdown shown at the version.
        sidecars: Files and folders alongside the weights: for each name a function that writes it
            to a path.

    Returns:
        The version, counted from 1.
    """
    client = connect()
    shown = {key: f"{value:.6f}" for key, value in scores.items()}
    version_tags = {**tags, "run_id": run_id, **shown}
    versions = mlflow.search_model_versions(filter_string=f"run_id = '{run_id}'")
    models = _logged_models(client, run_id)
    for location in models.keys() - {str(version.source) for version in versions}:
        client.delete_logged_model(models[location])
    version = next(
        (v for v in versions if v.name == name and version_tags.items() <= v.tags.items()), None
    )
    if version is None:
        model_id = _log_model(client, run_id, predictor, sidecars)
        _ensure_name(client, name, predictor.task)
        version = client.create_model_version(
            name,
            source=client.get_logged_model(model_id).artifact_location,
            tags=version_tags,
            description=description,
            run_id=run_id,
            model_id=model_id,
        )
    else:
        model_id = models[str(version.source)]
    when = int(version.creation_timestamp)  # equal each time: MLflow keeps one of equal metrics
    metrics = [
        Metric(key, value, when, 0, model_id=model_id, run_id=run_id)
        for key, value in scores.items()
    ]
    client.log_batch(run_id, metrics=metrics)
    set_first_champion(client, name, str(version.version))
    return str(version.version)


def _logged_models(client: mlflow.MlflowClient, run_id: str) -> dict[str, str]:
    """Return the ids of the models that a run logged, by where their files are."""
    experiment_id = client.get_run(run_id).info.experiment_id
    models = client.search_logged_models(
        [experiment_id], filter_string=f"source_run_id = '{run_id}'"
    )
    return {model.artifact_location: model.model_id for model in models}


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
    """Return the folder of a predictor, with its sidecar files if it was registered.

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
    sidecars: Mapping[str, Callable[[Path], object]],
) -> str:
    """Write the MLflow model of a run and return its id."""
    # Model.log would create it in experiment 0, whose artifact location is absolute, for there is
    # no active run.
    experiment_id = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment_id, "model", source_run_id=run_id)
    with tempfile.TemporaryDirectory() as folder:
        predictor.save(Path(folder, "model"))
        for file, write in sidecars.items():
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
            pip_requirements=[  # to infer them takes MLflow 6 to 9 s
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
            ColSpec(DataType.double, "unknown"),
        ]
    )


def _about(name: str, task: Task) -> str:
    return (
        f"Reads {task.reads} and predicts {task.words[0]} or {task.words[1]}. Load it by "
        f'`memgate.load("models:/{name}@{CHAMPION}")` or `mlflow.pyfunc.load_model`; '
        f"`{CHAMPION}` is the first version until `memgate promote {name} VERSION` replaces it; "
        f"`memgate history {name}` shows which was champion when."
    )


def _fetch(uri: str) -> Path:
    """Return the local folder of a model, downloaded if it lies elsewhere."""
    connect(create=False)
    if re.fullmatch(r"models:/(?!m-[0-9a-f]{32}$)[^/@]+", uri):
        raise InputError(
            f"{uri}: expected a model's version, as in {uri}@{CHAMPION} or {uri}/1; "
            f"{registered_names()}"
        )
    try:
        if not uri.startswith("models:/"):
            return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
        # Read from where its files lie: of models:/… MLflow writes a file alongside them, which
        # fails in a store that is read-only.
        repository: Any = ModelsArtifactRepository  # whose methods have no annotations
        version, path = repository.split_models_uri(uri)
        location = repository.get_underlying_uri(version)
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=location), path)
    except Exception as error:  # MLflow's, and those of whichever file system it asks
        reason = " ".join(str(error).split())
        raise InputError(f"{uri}: expected a model, got: {reason}; {registered_names()}") from error
