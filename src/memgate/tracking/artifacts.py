"""Artifacts of a sqlite store lie alongside its file, wherever a command runs: `StoreArtifacts`.

MLflow makes a location absolute (then a store can't be moved), or resolves a relative one against
the working directory (then a store is torn in two when it is used from another one).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import mlflow
from mlflow.entities import ViewType
from mlflow.store.artifact.artifact_repository_registry import get_registered_artifact_repositories
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.utils.file_utils import local_file_uri_to_path

from memgate.tracking.sqlite_file import SQLITE

ARTIFACTS = "artifacts"
"""The folder of all artifacts, alongside the sqlite file."""


class StoreArtifacts(LocalArtifactRepository):
    """MLflow's local artifacts, with locations resolved against the sqlite file of the store.

    Each time anew: MLflow keeps these objects by the id of a run, which a copied store has too.
    """

    @property
    def artifact_dir(self) -> str:
        """The folder of the artifacts."""
        store = mlflow.get_tracking_uri()
        if not store.startswith(SQLITE):
            return str(super().artifact_dir)
        folder = Path(store.removeprefix(SQLITE)).parent.resolve()
        return str(located(self.artifact_uri, folder))


def use_store_artifacts() -> None:
    """Let MLflow use `StoreArtifacts` for every local location, in this process."""
    repositories: dict[str, Any] = get_registered_artifact_repositories()
    repositories |= {"": StoreArtifacts, "file": StoreArtifacts}


@contextmanager
def server_folder(client: mlflow.MlflowClient, store: Path) -> Iterator[Path]:
    """Yield a folder in which MLflow without memgate finds the artifacts of a sqlite store.

    It has a link to the store's folder wherever a relative location of an experiment begins.
    """
    with TemporaryDirectory(prefix="memgate-") as name:
        for experiment in client.search_experiments(ViewType.ALL):
            path = _path(experiment.artifact_location)
            link = Path(name, path.parent)
            if path.name == ARTIFACTS and not path.is_absolute() and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(store.parent)
        yield Path(name)


def relative_location(folder: Path) -> str:
    """Return the location of artifacts that a database in this folder holds.

    MLflow without memgate finds them if it runs in the folder above.
    """
    return f"{quote(folder.name)}/{ARTIFACTS}"


def located(location: str, folder: Path) -> Path:
    """Return where artifacts lie whose location is in a database in this folder.

    Of a relative location the part above ``artifacts`` is where the folder was, seen from where
    the store was created. An absolute one counts as moved if it is gone and the folder has it.

    >>> located("mlruns/artifacts/0a1b/artifacts", Path("/team/My%20runs")).as_posix()
    '/team/My%20runs/artifacts/0a1b/artifacts'
    """
    path = _path(location)
    starts = [at for at, part in enumerate(path.parts) if part == ARTIFACTS]
    if not starts or (path.is_absolute() and path.exists()):
        return path.absolute()
    below = [at for at in starts if path.parts[at - 1] == folder.name]
    alongside = folder.joinpath(*path.parts[(below or starts)[0] :])
    return path if path.is_absolute() and not alongside.exists() else alongside


def _path(location: str) -> Path:
    return Path(local_file_uri_to_path(location))  # type: ignore[no-untyped-call]
