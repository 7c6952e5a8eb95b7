"""`memgate rollback`: the champion before the present one is put back."""

from __future__ import annotations

from memgate.errors import InputError
from memgate.reporting.console import echo
from memgate.tracking.registry.champion import (
    Change,
    champion_of,
    check_reason,
    now,
    previous,
    set_champion,
)
from memgate.tracking.registry.promotion import find_version


def rollback(name: str, why: str = "") -> None:
    """Put the champion before the present one back.

    Args:
        name: The registered model.
        why: A reason, kept with the change.

    Raises:
        InputError: There is no such model or no earlier champion, it was deleted, or the store
            can't be written.
    """
    check_reason(why)
    champion, version = champion_of(name), previous(name)
    if version is None:
        raise InputError(
            f"{name}: expected a champion before version {champion}, found none; "
            f"see `memgate history {name}`"
        )
    find_version(name, version)
    set_champion(name, Change(now(), version, champion, "put back", why))
    echo(f"{name}: version {version} is champion now (put back), in place of version {champion}")
