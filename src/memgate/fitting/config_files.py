"""Configurations by name: the user's own file, or one of those that memgate ships."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml

import memgate
from memgate.errors import InputError

PACKAGE = Path(memgate.__file__).parent

SHIPPED = PACKAGE / "configs" if (PACKAGE / "configs").is_dir() else PACKAGE.parents[1] / "configs"
"""In an installed wheel ``memgate/configs``; in a clone the folder at the top level."""

CONFIGS = Path("configs")
"""The folder in which a project keeps its own configurations."""

OPTIONS = ("-c", "--config")


def config_file(name: str | Path) -> Path:
    """Return the path of a configuration.

    A file at the path itself is preferred, then one below the project's own `CONFIGS`, then a
    shipped one.

    Args:
        name: A path, or one below a folder of configurations, such as ``cell/gru.yaml`` or
            ``configs/cell/gru.yaml``.

    Raises:
        InputError: There is no such file.
    """
    path = Path(name)
    inner = path.relative_to(CONFIGS) if path.is_relative_to(CONFIGS) else path
    for candidate in (path, CONFIGS / inner, SHIPPED / inner):
        if candidate.is_file():
            return candidate
    raise InputError(f"{name}: expected a configuration file, found none; {_alternatives(inner)}")


def _alternatives(inner: Path) -> str:
    """Return which configurations there are of the same kind, or of all kinds."""
    files = {
        str(file.relative_to(folder))
        for folder in (CONFIGS, SHIPPED)
        for file in folder.rglob("*.yaml")
    }
    same_kind = {file for file in files if Path(file).parent == inner.parent}
    return "there are " + ", ".join(sorted(same_kind or files))


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        InputError: It can't be read, or isn't YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a configuration, got: {error}") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split()).replace('in "<unicode string>", ', "")
        raise InputError(f"{path}: expected YAML, got: {reason}") from error


def _settings_file(name: str) -> str:
    """Return the path of a configuration that has settings."""
    path = config_file(name)
    settings = read_yaml(path)
    if not isinstance(settings, dict):
        raise InputError(f"{path}: expected settings, such as model or trainer, got {settings!r}")
    return str(path)


def option_values(arguments: Sequence[str]) -> list[tuple[str, str]]:
    """Return the options of a command line with their values.

    >>> option_values(["-c", "a.yaml", "--data.name=b"])
    [('-c', 'a.yaml'), ('--data.name', 'b')]
    >>> option_values([])
    []
    """
    pairs = []
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        option, equals, value = argument.partition("=")
        if option.startswith("-"):
            pairs.append((option, value if equals else following))
    return pairs


def with_config_paths(arguments: Sequence[str]) -> list[str]:
    """Return a command line whose ``-c`` and ``--config`` name files with settings."""
    resolved: list[str] = []
    for argument in arguments:
        option, equals, name = argument.partition("=")
        if resolved and resolved[-1] in OPTIONS:
            resolved.append(_settings_file(argument))
        elif option in OPTIONS and equals:
            resolved.append(f"{option}={_settings_file(name)}")
        else:
            resolved.append(argument)
    return resolved
