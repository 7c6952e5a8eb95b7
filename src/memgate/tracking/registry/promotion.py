"""A version takes the champion's place, or may not: what was decided is written on both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import yaml
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from memgate.errors import InputError
from memgate.tracking.registry.champion import Change, champion_of, change, now, registered
from memgate.tracking.store import connect, storing

DECISION = "decision/"
"""What the tags with a decision begin with; the time follows, so that none replaces another."""

DRIFT = "drift"
"""The tag that says what the last decision on a version found about its gates, in words."""

CONFIG = "config.yaml"
"""The whole configuration of a run, among its artifacts."""

NO_SETTING = {
    "": ("seed_everything", "ckpt_path", "track", "threads"),
    "data": ("seed", "source"),
    "trainer": ("default_root_dir",),
}
"""What in a configuration leaves the setting as it is, by section.

The seed; where a fit went on from; whether it is logged, and in how many threads it runs; where
files lie; and the source, whose rows the digests tell.
"""


def require_version(name: str, version: str) -> ModelVersion:
    """Return a version of a registered model.

    Raises:
        InputError: There is no such model or version.
    """
    client = connect(create=False)
    registered(client, name)
    try:
        return client.get_model_version(name, version)
    except MlflowException as error:
        there = mlflow.search_model_versions(filter_string=f"name = '{name}'")
        known = ", ".join(sorted((str(each.version) for each in there), key=int))
        raise InputError(
            f"{name}: expected a version, one of {known or 'none'}; got {version}"
        ) from error


def set_champion(name: str, change_to: Change, decision: str = "", drift: str = "") -> None:
    """Move the alias to another version, after what was decided is written on both and recorded.

    The old champion stays until the last step. Where another was made champion meanwhile nothing
    is written; within the few milliseconds that the writing takes a second writer isn't noticed:
    then the later one is champion, and the record has both.

    Args:
        name: The registered model.
        change_to: The change; its ``replaced`` is whom the version was held against.
        decision: By what numbers, as JSON; or "" without any.
        drift: What was found about its gates, in words, for the new champion; or "".

    Raises:
        InputError: The champion is another by now, or the store can't be written.
    """
    version, old = change_to.version, change_to.replaced
    present = champion_of(name)
    if present != old:
        raise InputError(
            f"{name}: version {present} became champion while version {version} was held against "
            f"{old or 'none'}; try again"
        )
    client = connect(create=False)
    with storing():
        what = {"promoted": change_to.how, "promoted_at": change_to.at, "replaced": old or "none"}
        told = {"why": change_to.why, DRIFT: drift}
        what |= {key: value for key, value in told.items() if value}
        _tag(client, name, version, _with(what, change_to.at, decision))
        stale = ["replaced_by", "replaced_at", *([] if change_to.why else ["why"])]
        _untag(client, name, version, stale)
        if old is not None:
            by = {"replaced_by": version, "replaced_at": change_to.at}
            _tag(client, name, old, _with(by, change_to.at, decision))
        change(client, name, change_to)


def refuse(name: str, version: str, champion: str, decision: str, drift: str) -> None:
    """Write on a version and on the champion that it may not replace that, and by what numbers.

    Args:
        name: The registered model.
        version: The challenger.
        champion: Whom it was held against.
        decision: By what numbers, as JSON.
        drift: What was found about its gates, in words.

    Raises:
        InputError: The store can't be written.
    """
    at, client = now(), connect(create=False)
    with storing():
        what = {"refused_at": at, "refused_against": champion, DRIFT: drift}
        _tag(client, name, version, _with(what, at, decision))
        withstood = {"withstood": version, "withstood_at": at}
        _tag(client, name, champion, _with(withstood, at, decision))


def same_setting(name: str, champion: str, without: str) -> list[str]:
    """Return the versions that differ from the champion by their seed alone, one a seed.

    Runs are alike that were configured alike but for the seed and `NO_SETTING` (their `CONFIG` is
    compared whole, so also what no param names: weight decay, patience, shares of batches), that
    have equal params but for ``seed``, the same settings of a study (tags ``setting/…``), and
    inputs of the same digests. A run that kept no configuration is like none. Of several versions
    of a seed the newest counts.

    Args:
        name: The registered model.
        champion: The version they are like; it comes first.
        without: A version that isn't counted.

    Raises:
        InputError: There is no such model or version.
    """
    client = connect(create=False)
    own = require_version(name, champion)
    like, configured = _setting(client, own), _configured(own)
    if like is None or configured is None:
        return [champion]
    newest = {_seed(own): champion}
    versions = mlflow.search_model_versions(filter_string=f"name = '{name}'")
    for each in sorted(versions, key=lambda one: -int(one.version)):
        seed = _seed(each)
        wanted = str(each.version) != without and seed is not None and seed not in newest
        # the configuration is a file, fetched last and only if all else is equal
        if wanted and _setting(client, each) == like and _configured(each) == configured:
            newest[seed] = str(each.version)
    return [champion, *sorted((each for each in newest.values() if each != champion), key=int)]


def _seed(version: ModelVersion) -> str | None:
    seed = version.tags.get("seed")
    return None if seed is None else str(seed)


def _setting(client: mlflow.MlflowClient, version: ModelVersion) -> object | None:
    """Return what the store knows of a run's setting but its seed; None if the run is gone."""
    try:
        run = client.get_run(str(version.run_id))
    except MlflowException:
        return None
    params = {key: value for key, value in run.data.params.items() if key != "seed"}
    settings = {key: value for key, value in run.data.tags.items() if key.startswith("setting/")}
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return params, settings, sorted(str(each.dataset.digest) for each in inputs)


def _configured(version: ModelVersion) -> dict[str, Any] | None:
    """Return how a version's run was configured, less `NO_SETTING`; None if that isn't known."""
    try:
        path = mlflow.artifacts.download_artifacts(run_id=str(version.run_id), artifact_path=CONFIG)
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (MlflowException, OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(config, dict):
        return None
    for section, names in NO_SETTING.items():
        within = config.get(section) if section else config
        if isinstance(within, dict):
            for name in names:
                within.pop(name, None)
    return config


def _with(tags: Mapping[str, str], at: str, decision: str) -> dict[str, str]:
    return {**tags, **({DECISION + at: decision} if decision else {})}


def _tag(client: mlflow.MlflowClient, name: str, version: str, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        try:
            client.set_model_version_tag(name, version, key, value)
        except MlflowException:
            # MLflow looks whether a tag is there and then inserts it: where another writer was
            # faster by a moment, the second time it is there (seen in 1 of 7 races on sqlite).
            client.set_model_version_tag(name, version, key, value)


def _untag(client: mlflow.MlflowClient, name: str, version: str, keys: list[str]) -> None:
    there = client.get_model_version(name, version).tags
    for key in keys:
        if key in there:
            client.delete_model_version_tag(name, version, key)
