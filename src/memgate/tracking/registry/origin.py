"""The run that trained a registered model: its data, and its files."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import mlflow
from mlflow.entities import DatasetInput
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from memgate.errors import InputError
from memgate.tracking.store import connect

ORIGIN = "origin.json"
"""The record of the run in an exported folder, for those who don't have the store."""


@dataclass(frozen=True)
class DatasetRecord:
    """One split of a run's data, as MLflow has it.

    Attributes:
        data: The name of the data, such as ``synthetic``.
        split: ``train``, ``validation`` or ``test``.
        rows: Items.
        digest: Of all its rows.
        source: The class and arguments of their source, in YAML; of absolute paths only the names
            of the files.
    """

    data: str
    split: str
    rows: int
    digest: str
    source: str


@dataclass(frozen=True)
class Origin:
    """The run that trained a model.

    Attributes:
        run_id: Its id.
        name: Its name.
        commit: Of memgate's sources, or "".
        splits: Its data.
    """

    run_id: str
    name: str
    commit: str
    splits: tuple[DatasetRecord, ...]

    def save(self, path: Path) -> None:
        """Write JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: The file is damaged.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            splits = tuple(DatasetRecord(**record) for record in content.pop("splits"))
            return cls(**content, splits=splits)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"{path}: expected a run in JSON, got: {error!r}") from error


def origin_of(folder: Path) -> Origin | None:
    """Return the run that registered a model; None where it isn't known here.

    Args:
        folder: As `memgate.tracking.registry.versions.model_folder` returns it.

    Raises:
        InputError: The record in an exported folder is damaged.
    """
    if (folder / ORIGIN).is_file():
        return Origin.load(folder / ORIGIN)
    path = folder.parent.parent / "MLmodel"  # of the artifact artifacts/model
    if not path.is_file():
        return None
    try:
        run_id = str(Model.load(str(path)).run_id)
        run = connect(create=False).get_run(run_id)
    except (InputError, MlflowException):  # the store isn't here any more, or the run isn't
        return None
    splits = tuple(map(_dataset_record, run.inputs.dataset_inputs if run.inputs else ()))
    commit = run.data.tags.get("mlflow.source.git.commit", "")
    return Origin(run_id, str(run.info.run_name), commit, splits)


def fetch_artifact(origin: Origin, path: str) -> Path | None:
    """Return a file of a run, downloaded if need be; None where the run hasn't it."""
    try:
        connect(create=False)
        return Path(mlflow.artifacts.download_artifacts(run_id=origin.run_id, artifact_path=path))
    except (InputError, MlflowException, OSError):
        return None


def _dataset_record(logged: DatasetInput) -> DatasetRecord:
    """Read what `memgate.tracking.provenance.dataset_input` wrote."""
    dataset = logged.dataset
    context = {tag.key: tag.value for tag in logged.tags}.get("mlflow.data.context", "")
    source = _json(dataset.source).get("tags", {}).get("mlflow.source.name", "")
    rows = int(_json(dataset.profile).get("num_rows", 0))
    return DatasetRecord(dataset.name, context, rows, dataset.digest, without_folders(source))


def without_folders(source: str) -> str:
    """Cut the folders off absolute paths, which would show a machine and perhaps its user.

    >>> without_folders("- /home/ann/items/train.jsonl, $DATA/ud/*.gz, hf://a/b")
    '- …/train.jsonl, $DATA/ud/*.gz, hf://a/b'
    """
    return re.sub(r"(?<![^\s'\"=\[,])(?:/|~/|[A-Za-z]:\\)(?:[^\s/\\]+[/\\])*", "…/", source)


def _json(text: str | None) -> dict[str, Any]:
    content = json.loads(text) if text else {}
    return content if isinstance(content, dict) else {}
