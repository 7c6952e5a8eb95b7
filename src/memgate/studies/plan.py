"""What a study consists of: `read_study` reads a YAML file, `Study.runs` are its planned runs."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from memgate.data.items.tasks import NUMBER, TASKS
from memgate.errors import InputError, did_you_mean
from memgate.fitting.config_files import config_file, read_yaml
from memgate.models.classifier import RECURRENCE

STUDY_KEYS = ("cells", "data", "tasks", "seeds", "settings", "vary", "search")
"""The keys of a study's file; all but ``data`` have defaults."""

SET_BY_PLAN = {
    "model.cell": "cells",
    "data.name": "data",
    "data.task": "tasks",
    "data.seed": "seeds",
    "seed_everything": "seeds",
}
"""Settings that the plan itself sets, and the key of the file that determines each."""

DEFAULT_SEEDS = 5


def digest_of(arguments: Sequence[str], *more: object) -> str:
    """Hash everything that may change the result of a fit, except its seed and the code.

    ``MEMGATE_DATA`` counts where an argument names it, as the folder that it leads to.
    """
    seedless = [text for text in arguments if not text.startswith("--seed_everything=")]
    folder = os.environ.get("MEMGATE_DATA", "")
    is_named = bool(folder) and any("MEMGATE_DATA" in text for text in seedless)
    values = json.dumps([seedless, os.path.realpath(folder) if is_named else "", *more])
    return hashlib.sha256(values.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class PlannedRun:
    """A run that a study plans.

    Attributes:
        study: Name of the study.
        name: Such as ``gru-synthetic-seed0``; no other run of the study has it.
        arguments: Those of `memgate fit`. They contain the configurations and not their paths, so
            that another machine needs no files of this one.
        owner: Machine and folder that run it, see `memgate.tracking.study_runs.current_owner`.
        varied: The settings that distinguish it from other runs of its cell, data, task and seed.
    """

    study: str
    name: str
    arguments: tuple[str, ...]
    owner: str
    varied: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """A hash of its settings; runs that differ only in their seed share it."""
        return digest_of(self.arguments)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the run and of the registered version."""
        varied = {f"setting/{name}": str(value) for name, value in self.varied.items()}
        return {
            "study": self.study,
            "study_run": self.name,
            "study_setting": self.digest,
            "study_owner": self.owner,
            **varied,
        }


@dataclass(frozen=True)
class Group:
    """A cell, data and a task, trained with several seeds.

    Attributes:
        cell: ``rnn``, ``gru`` or ``lstm``.
        data: Name of a configuration of data.
        task: Name of a task.
        configurations: The configurations as YAML without comments, keys sorted; a later one
            overrides an earlier one.
    """

    cell: str
    data: str
    task: str
    configurations: tuple[str, ...]

    @property
    def name(self) -> str:
        """Such as ``gru-synthetic`` or ``gru-synthetic-inflection``."""
        task = "" if self.task == NUMBER.name else f"-{self.task}"
        return f"{self.cell}-{self.data}{task}"

    def arguments(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the arguments of `memgate fit`; of the settings ``data`` is before ``data.a``."""
        configs = [f"--config={text}" for text in self.configurations]
        options = [f"--{name}={_as_argument(value)}" for name, value in sorted(settings.items())]
        return (*configs, f"--data.task={self.task}", *options)


def _as_argument(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class Study:
    """The content of a study's file.

    Attributes:
        file: The file.
        groups: Cells × data × tasks.
        seeds: Of every group.
        settings: The same in every run, such as ``model.hidden_size: 50``.
        vary: Settings with several values; every combination is run.
        search: Settings that are searched for, see `memgate.studies.search`; or none.
    """

    file: Path
    groups: tuple[Group, ...]
    seeds: tuple[int, ...]
    settings: Mapping[str, Any]
    vary: Mapping[str, Sequence[Any]]
    search: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the file without its ending."""
        return self.file.stem

    def runs(
        self, best_settings: Mapping[str, Mapping[str, Any]] | None = None, owner: str = ""
    ) -> list[PlannedRun]:
        """Return every run, those of one seed together.

        Args:
            best_settings: Result of the search, by the name of the group. A group without an entry
                has no runs, if the study has a search.
            owner: Of the runs; "" for a plan that isn't run.

        Raises:
            InputError: Two runs would have the same name.
        """
        searched = (best_settings or {}) if self.search else {g.name: {} for g in self.groups}
        combinations = [
            dict(zip(self.vary, values, strict=True)) for values in product(*self.vary.values())
        ]
        runs = []
        for seed, group, varied in product(self.seeds, self.groups, combinations):
            if group.name not in searched:
                continue
            suffix = "".join(f"-{key.rpartition('.')[2]}{value}" for key, value in varied.items())
            name = re.sub(r"[^\w.-]", "_", f"{group.name}{suffix}-seed{seed}")
            settings = {**self.settings, **searched[group.name], **varied, "seed_everything": seed}
            runs.append(PlannedRun(self.name, name, group.arguments(settings), owner, varied))
        names = [run.name for run in runs]
        duplicates = {name for name in names if names.count(name) > 1}
        if duplicates:
            raise InputError(
                f"{self.file}: vary: expected runs of different names, got several "
                f"{min(duplicates)}"
            )
        return runs


def read_study(path: Path) -> Study:
    """Read a study's file.

    Args:
        path: YAML with ``data``. Optional keys are ``cells`` (default: all three), ``tasks``
            (``number``), ``seeds`` (5: a number or a list), ``settings``, ``vary`` and ``search``.

    Raises:
        InputError: The file or a configuration is missing or isn't YAML, or a value is impossible.
    """
    content = _mapping(read_yaml(path), str(path))
    unknown = sorted(set(content) - set(STUDY_KEYS))
    if unknown:
        raise InputError(
            f"{path}: expected {', '.join(STUDY_KEYS)}; got {', '.join(unknown)}"
            f"{did_you_mean(unknown[0], STUDY_KEYS)}"
        )
    cells = _names(path, "cells", content.get("cells", list(RECURRENCE)), tuple(RECURRENCE))
    tasks = _names(path, "tasks", content.get("tasks", [NUMBER.name]), tuple(TASKS))
    data = _names(path, "data", content.get("data", []))
    vary = _mapping(content.get("vary", {}), f"{path}: vary")
    for name, values in vary.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"{path}: vary: {name}: expected a list of values, got {values!r}")
    study = Study(
        file=path,
        groups=tuple(
            Group(cell, name, task, _configurations(cell, name))
            for name, task, cell in product(data, tasks, cells)
        ),
        seeds=_seeds(path, content.get("seeds", DEFAULT_SEEDS)),
        settings=_mapping(content.get("settings", {}), f"{path}: settings"),
        vary=vary,
        search=_mapping(content.get("search", {}), f"{path}: search"),
    )
    _refuse_planned_settings(study)
    return study


def _configurations(cell: str, data: str) -> tuple[str, ...]:
    """Return the configurations in one form, whatever their comments, blanks and order of keys."""
    files = ("trainer/default.yaml", f"cell/{cell}.yaml", f"data/{data}.yaml")
    paths = [config_file(file) for file in files]
    return tuple(yaml.safe_dump(_mapping(read_yaml(path) or {}, str(path))) for path in paths)


def _seeds(path: Path, value: Any) -> tuple[int, ...]:
    seeds = range(value) if type(value) is int else value
    is_whole = isinstance(seeds, range | list) and all(type(s) is int and s >= 0 for s in seeds)
    if not is_whole or not seeds or len(set(seeds)) < len(seeds):
        raise InputError(
            f"{path}: seeds: expected how many, or a list of different ones, got {value!r}"
        )
    return tuple(seeds)


def _names(path: Path, key: str, value: Any, allowed: Sequence[str] | None = None) -> list[str]:
    is_list = isinstance(value, list) and all(isinstance(name, str) for name in value)
    if not is_list or not value or (allowed and not set(value) <= set(allowed)):
        among = f" among {', '.join(allowed)}" if allowed else ""
        raise InputError(f"{path}: {key}: expected a list of names{among}, got {value!r}")
    return list(dict.fromkeys(value))


def _mapping(value: Any, position: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{position}: expected names with values, got {value!r}")
    return value


def _refuse_planned_settings(study: Study) -> None:
    """Refuse settings that the plan itself sets, because names and tags would be wrong."""
    searched = study.search.get("settings")
    settings = {"settings": study.settings, "vary": study.vary}
    settings["search"] = searched if isinstance(searched, dict) else {}
    for key, name in ((key, name) for key, names in settings.items() for name in names):
        for planned, planned_by in SET_BY_PLAN.items():
            if f"{planned}.".startswith(f"{name}."):
                raise InputError(
                    f"{study.file}: {key}: expected settings that {planned_by} doesn't set, "
                    f"got {name}"
                )
