"""Configurations by name: the user's own file, or one of those that memgate ships."""

from __future__ import annotations

from pathlib import Path

import memgate
from memgate.errors import InputError

PACKAGE = Path(memgate.__file__).parent

SHIPPED = PACKAGE / "configs" if (PACKAGE / "configs").is_dir() else PACKAGE.parents[1] / "configs"
"""In an installed wheel ``memgate/configs``; in a clone the folder at the top level."""


def config_file(name: str | Path) -> Path:
    """Return the path of a configuration.

    Args:
        name: A path; or the path of a shipped file below `SHIPPED`, such as ``cell/gru.yaml`` or
            ``configs/cell/gru.yaml``. A file of the user's own is preferred.

    Raises:
        InputError: There is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    inner = path.relative_to("configs") if path.parts[:1] == ("configs",) else path
    if not path.is_absolute() and (SHIPPED / inner).is_file():
        return SHIPPED / inner
    shipped = ", ".join(sorted(str(file.relative_to(SHIPPED)) for file in SHIPPED.rglob("*.yaml")))
    raise InputError(f"{name}: expected a configuration file, found none; memgate has {shipped}")
