"""Whether a version may replace the champion: `decide`, by predictions and by gates."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import yaml
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from memgate.errors import InputError
from memgate.gates.drift import (
    LEAST_SEEDS,
    PROFILE,
    SEED_DRIFT_COLUMNS,
    read_profile,
    seed_drift,
)
from memgate.metrics.paired import format_p
from memgate.tracking.registry.champion import registered_model
from memgate.tracking.registry.comparison import judge, paired_items, paired_table
from memgate.tracking.registry.versions import model_folder
from memgate.tracking.store import connect

LONGEST_TAG = 5000
"""Characters of a version's tag: older stores of MLflow took no more."""

RUN_CONFIG = "config.yaml"
"""The whole configuration of a run, among its artifacts."""

NOT_A_SETTING = {
    "": ("seed_everything", "ckpt_path", "track", "threads", "analyse_gates"),
    "data": ("seed", "source"),
    "trainer": ("default_root_dir",),
}
"""What seeds of one setting may have different in their configurations, by section.

Of the source only the paths may differ: the digests of the data are compared too.
"""


@dataclass(frozen=True, eq=False)
class Decision:
    """The result of comparing a challenger with the champion.

    Attributes:
        subject: What was compared: versions, margin and items, in words.
        pairs: A table of `memgate.tracking.registry.comparison.judge`, the champion as model A.
        gates: The result of the test for drift, in words.
        reasons: Why the challenger is refused, with numbers; none if it passes.
    """

    subject: str
    pairs: pd.DataFrame
    gates: str
    reasons: list[str]

    def record(self, outcome: str) -> str:
        """Return all of this and the outcome in lines of text, for a tag of the challenger."""
        rows = map(_row_in_words, self.pairs.to_dict("records"))
        lines = [f"{outcome}: {self.subject}", *self.reasons, self.gates, *rows]
        return "\n".join(lines)[:LONGEST_TAG]


def decide(
    name: str, version: str, champion: str, margin: float, data: Sequence[str] = ()
) -> Decision:
    """Compare a version with the champion, item by item, and its gates with those of the seeds.

    Raises:
        InputError: The two can't be compared, or a gate profile is damaged.
    """
    items = paired_items(f"models:/{name}/{champion}", f"models:/{name}/{version}", data)
    pairs = judge(paired_table(items.rows), margin)
    profiles = {seed: _profile(name, seed) for seed in seeds_of(name, champion, without=version)}
    seeds = {seed: profile for seed, profile in profiles.items() if profile is not None}
    profile = _profile(name, version)
    drift = pd.DataFrame(columns=list(SEED_DRIFT_COLUMNS))
    if profile is not None and champion in seeds:
        drift = seed_drift(profile, list(seeds.values()))
    gates, drifted = drift_in_words(drift, list(seeds))
    subject = f"A: champion {champion}, B: version {version}, margin {margin:g}, on {items}"
    return Decision(subject, pairs, gates, [*losses_in_words(pairs, margin), *drifted])


def _profile(name: str, version: str) -> pd.DataFrame | None:
    path = model_folder(f"models:/{name}/{version}") / PROFILE
    return read_profile(path) if path.is_file() else None


def losses_in_words(pairs: pd.DataFrame, margin: float) -> list[str]:
    """Return the reasons to refuse a challenger for its predictions: overall, and by attractors."""
    worse = pairs[pairs["verdict"] == "worse"].to_dict("records")
    overall = [_loss(row) for row in worse if row["by"] == "overall"]
    strata = [f"{row['stratum']}: {_loss(row)}" for row in worse if row["by"] != "overall"]
    reasons = [f"overall {loss}" for loss in overall]
    if strata:
        reasons.append(f"by attractors lower by more than {margin:g}: {'; '.join(strata)}")
    return reasons


def _loss(row: Mapping[Hashable, Any]) -> str:
    return (
        f"{100 * row['accuracy_b']:.1f}% right, the champion {100 * row['accuracy_a']:.1f}%, "
        f"of {row['n']} items {row['only_a']} lost and {row['only_b']} won "
        f"(one-sided p {format_p(row['p_worse'])})"
    )


def drift_in_words(drift: pd.DataFrame, seeds: Sequence[str]) -> tuple[str, list[str]]:
    """Return the result of the test for drift in words, and the reasons to refuse the challenger.

    Where drift can't be tested, there are no reasons: the predictions alone decide. Otherwise no
    challenger could replace a champion that has fewer than `LEAST_SEEDS` seeds.
    """
    untested = "gates: drift isn't tested, the predictions decide: "
    if drift.empty:
        missing = "a gate profile is missing, or the profiles have too little in common"
        return untested + missing, []
    distance = (drift["mean"] - drift["mean_seeds"]).abs()
    order = drift.assign(distance=distance).sort_values(["p", "distance"], ascending=[True, False])
    cells = order.to_dict("records")
    names = [
        f"{c['reading']} at words of role {c['stratum']} (layer {c['layer'] + 1})" for c in cells
    ]
    farthest = (
        f"; farthest apart: {names[0]}, {cells[0]['mean']:.3f} against {cells[0]['mean_seeds']:.3f}"
    )
    if not drift["items"].equals(drift["items_seeds"]):
        return untested + "the two profiles were read on other items" + farthest, []
    if len(seeds) < LEAST_SEEDS:
        few = (
            f"expected {LEAST_SEEDS} versions of the champion's setting, each of another seed, "
            f"found {len(seeds)} (version {', '.join(seeds)})"
        )
        return untested + few + farthest, []
    count = int(drift["drifted"].sum())
    gates = (
        f"gates: {count} of {len(drift)} cells beyond the variability of {len(seeds)} seeds "
        f"(versions {', '.join(seeds)})"
    )
    if not count:
        return gates, []
    cell = cells[0]
    return gates, [
        f"gates drifted in {count} of {len(drift)} cells; most: {names[0]} is {cell['mean']:.3f} "
        f"on average, and one more seed is expected from {cell['low']:.3f} to {cell['high']:.3f} "
        f"(p {format_p(cell['p_holm'])}, Holm)"
    ]


def _row_in_words(row: Mapping[Hashable, Any]) -> str:
    return (
        f"{row['by']} {row['stratum']}: {row['n']} items, {100 * row['accuracy_a']:.1f}% and "
        f"{100 * row['accuracy_b']:.1f}% right, only A {row['only_a']}, only B {row['only_b']}, "
        f"one-sided p {format_p(row['p_worse'])}, {row['verdict']}"
    )


def find_version(name: str, version: str) -> ModelVersion:
    """Return a version of a registered model.

    Raises:
        InputError: There is no such model or version.
    """
    client = connect(create=False)
    registered_model(client, name)
    try:
        return client.get_model_version(name, version)
    except MlflowException as error:
        versions = mlflow.search_model_versions(filter_string=f"name = '{name}'")
        numbers = ", ".join(sorted((str(other.version) for other in versions), key=int))
        raise InputError(
            f"{name}: expected a version, one of {numbers or 'none'}; got {version}"
        ) from error


def seeds_of(name: str, champion: str, without: str) -> list[str]:
    """Return the versions that differ from the champion only in their seed, one a seed.

    Two runs are seeds of each other if their configurations (`RUN_CONFIG`, compared whole but for
    `NOT_A_SETTING`) and the digests of their data are equal. A run without a configuration has no
    other seeds. Of several versions of a seed the newest counts.

    The champion comes first. The version `without` isn't counted, nor are its twins: versions of
    its seed, if its setting is the champion's. They have its weights.

    Raises:
        InputError: There is no such model or version.
    """
    client = connect(create=False)
    champion_version = find_version(name, champion)
    digests, config = _digests(client, champion_version), _config(champion_version)
    if config is None:
        return [champion]
    by_seed = {champion_version.tags.get("seed"): champion}
    challenger = find_version(name, without)
    challenger_seed = None
    if _digests(client, challenger) == digests and _config(challenger) == config:
        challenger_seed = challenger.tags.get("seed")
    versions = mlflow.search_model_versions(filter_string=f"name = '{name}'")
    for version in sorted(versions, key=lambda version: -int(version.version)):
        number, seed = str(version.version), version.tags.get("seed")
        if number == without or seed in (None, challenger_seed) or seed in by_seed:
            continue
        # The configuration is a file, fetched only if the data are the same
        if _digests(client, version) == digests and _config(version) == config:
            by_seed[seed] = number
    return [champion, *sorted(set(by_seed.values()) - {champion}, key=int)]


def _digests(client: mlflow.MlflowClient, version: ModelVersion) -> list[str] | None:
    """Return the digests of the data of a version's run; None if the run is gone."""
    try:
        run = client.get_run(str(version.run_id))
    except MlflowException:
        return None
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return sorted(str(entry.dataset.digest) for entry in inputs)


def _config(version: ModelVersion) -> dict[str, Any] | None:
    """Return the configuration of a version's run without `NOT_A_SETTING`; None if unknown."""
    try:
        path = mlflow.artifacts.download_artifacts(
            run_id=str(version.run_id), artifact_path=RUN_CONFIG
        )
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (MlflowException, OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(config, dict):
        return None
    for section, names in NOT_A_SETTING.items():
        values = config.get(section) if section else config
        if isinstance(values, dict):
            for name in names:
                values.pop(name, None)
    return config
