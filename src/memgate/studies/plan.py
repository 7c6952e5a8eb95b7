"""What a study consists of: a YAML file in, its runs out."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from memgate.data.items.tasks import NUMBER, TASKS
from memgate.errors import InputError
from memgate.fitting.config_files import config_file
from memgate.models.classifier import RECURRENCE
from memgate.tracking.study_runs import current_owner

KEYS = ("cells", "data", "tasks", "seeds", "settings", "vary", "search")
"""What a study's file may say; all but ``data`` have defaults."""

PLANNED = {
    "model.cell": "cells",
    "data.name": "data",
    "data.task": "tasks",
    "data.seed": "seeds",
    "seed_everything": "seeds",
}
"""Settings that the plan itself sets, with what says them; nothing else may."""

SEEDS = 5

NONE: Mapping[str, Mapping[str, Any]] = MappingProxyType({})


def digest_of(arguments: Sequence[str], *more: object) -> str:
    """Hash all that may change what comes of a fit but its seed and the code.

    ``MEMGATE_DATA`` counts where an argument names it, as the folder that it leads to.

    Args:
        arguments: Those of `memgate fit`; configurations as `Group` has them.
        more: What else counts, as JSON takes it.
    """
    seedless = [each for each in arguments if not each.startswith("--seed_everything=")]
    folder = os.environ.get("MEMGATE_DATA", "")
    named = bool(folder) and any("MEMGATE_DATA" in each for each in seedless)
    about = json.dumps([seedless, os.path.realpath(folder) if named else "", *more])
    return hashlib.sha256(about.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class StudyRun:
    """A run of a study.

    Attributes:
        study: Name of the study.
        name: Its own, such as ``gru-synthetic-seed0``; no other run of the study has it.
        arguments: Those of `memgate fit`, with the configurations themselves in place of their
            paths, so that another machine needs no files of this one.
        owner: Who makes it, as `memgate.tracking.study_runs.current_owner` says it on the machine
            that plans.
        varied: The settings that tell it from other runs of its cell, data, task and seed.
    """

    study: str
    name: str
    arguments: tuple[str, ...]
    owner: str
    varied: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """A hash of its settings; runs of one model, which differ by their seed alone, share it."""
        return digest_of(self.arguments)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of its run and its version."""
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
    """What is trained with several seeds: a cell, data and a task.

    Attributes:
        cell: ``rnn``, ``gru`` or ``lstm``.
        data: Name of a configuration of data.
        task: Name of a task.
        configurations: The configurations as YAML without comments, keys sorted; the later ones
            win.
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
        """Return the arguments of `memgate fit` with some settings, ``data`` before ``data.a``."""
        configs = [f"--config={text}" for text in self.configurations]
        given = [f"--{name}={_shown(value)}" for name, value in sorted(settings.items())]
        return (*configs, f"--data.task={self.task}", *given)


@dataclass(frozen=True)
class Study:
    """What a study's file says.

    Attributes:
        file: Where it says so.
        groups: Cells × data × tasks.
        seeds: Each of them for every group.
        settings: The same in every run, such as ``model.hidden_size: 50``.
        vary: Settings with several values, of which every combination is run.
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

    def runs(self, found: Mapping[str, Mapping[str, Any]] = NONE) -> list[StudyRun]:
        """Return every run, those of one seed together.

        Args:
            found: Settings that were searched for, by the name of their group; where a search
                found none, the group has no runs.

        Raises:
            InputError: Two runs would have the same name.
        """
        found = found if self.search else {group.name: {} for group in self.groups}
        combinations = [
            dict(zip(self.vary, values, strict=True)) for values in product(*self.vary.values())
        ]
        runs = []
        for seed, group, varied in product(self.seeds, self.groups, combinations):
            if group.name not in found:
                continue
            told = "".join(f"-{_leaf(name)}{value}" for name, value in varied.items())
            name = re.sub(r"[^\w.-]", "_", f"{group.name}{told}-seed{seed}")
            settings = {**self.settings, **found[group.name], **varied, "seed_everything": seed}
            runs.append(
                StudyRun(self.name, name, group.arguments(settings), current_owner(), varied)
            )
        names = [run.name for run in runs]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise InputError(
                f"{self.file}: vary: expected runs of different names, got several {min(twice)}"
            )
        return runs


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def read_study(path: Path) -> Study:
    """Read a study's file.

    Args:
        path: YAML with ``data`` and, where others than the defaults are meant, ``cells`` (all
            three), ``tasks`` (``number``), ``seeds`` (5: a number or a list), ``settings``,
            ``vary`` and ``search``.

    Raises:
        InputError: The file or a configuration is missing or no YAML, or says what can't be.
    """
    said = _mapping(_yaml(path), str(path))
    unknown = sorted(set(said) - set(KEYS))
    if unknown:
        raise InputError(f"{path}: expected {', '.join(KEYS)}; got {', '.join(map(str, unknown))}")
    cells = _names(path, "cells", said.get("cells", list(RECURRENCE)), tuple(RECURRENCE))
    tasks = _names(path, "tasks", said.get("tasks", [NUMBER.name]), tuple(TASKS))
    data = _names(path, "data", said.get("data", []))
    groups = tuple(
        Group(cell, name, task, tuple(_configuration(config_file(f)) for f in _files(cell, name)))
        for name, task, cell in product(data, tasks, cells)
    )
    vary = _mapping(said.get("vary", {}), f"{path}: vary")
    for name, values in vary.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"{path}: vary: {name}: expected a list of values, got {values!r}")
    study = Study(
        file=path,
        groups=groups,
        seeds=_seeds(path, said.get("seeds", SEEDS)),
        settings=_mapping(said.get("settings", {}), f"{path}: settings"),
        vary=vary,
        search=_mapping(said.get("search", {}), f"{path}: search"),
    )
    _require_open(study)
    return study


def _files(cell: str, data: str) -> tuple[str, ...]:
    return ("trainer/default.yaml", f"cell/{cell}.yaml", f"data/{data}.yaml")


def _seeds(path: Path, given: Any) -> tuple[int, ...]:
    seeds = range(given) if type(given) is int else given
    whole = isinstance(seeds, range | list) and all(type(s) is int and s >= 0 for s in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise InputError(
            f"{path}: seeds: expected how many, or a list of different ones, got {given!r}"
        )
    return tuple(seeds)


def _names(
    path: Path, what: str, given: Any, known: Sequence[str] | None = None
) -> tuple[str, ...]:
    listed = isinstance(given, list) and all(isinstance(one, str) for one in given)
    if not listed or not given or (known and not set(given) <= set(known)):
        among = f" among {', '.join(known)}" if known else ""
        raise InputError(f"{path}: {what}: expected a list of names{among}, got {given!r}")
    return tuple(dict.fromkeys(given))


def _mapping(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise InputError(f"{where}: expected names with values, got {given!r}")
    return given


def _require_open(study: Study) -> None:
    """See that no setting is one that the plan itself sets: names and tags would be wrong."""
    searched = study.search.get("settings")
    given = {"settings": study.settings, "vary": study.vary}
    given["search"] = searched if isinstance(searched, dict) else {}
    for where, name in ((where, name) for where, names in given.items() for name in names):
        for planned, key in PLANNED.items():
            if f"{planned}.".startswith(f"{name}."):
                raise InputError(
                    f"{study.file}: {where}: expected settings that {key} doesn't set, got {name}"
                )


def _configuration(path: Path) -> str:
    """Return a configuration in one form, whatever its comments, blanks and order of keys."""
    return yaml.safe_dump(_mapping(_yaml(path) or {}, str(path)))


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        there = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml"))) or "none"
        raise InputError(
            f"{path}: expected a configuration, found none; {path.parent} has {there}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a configuration, got: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: expected YAML, got: {' '.join(str(error).split())}") from error
