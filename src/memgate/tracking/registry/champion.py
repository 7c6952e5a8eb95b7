"""Which version is champion, and the record of which was: tags of the registered model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import mlflow
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from memgate.errors import InputError
from memgate.tracking.store import connect, tracking_uri

CHAMPION = "champion"
"""The alias."""

RECORD = "champion/"
"""What the tags of the record begin with: one a change, so that no two writers share one."""

How = Literal["registered", "promoted", "forced", "put back"]


@dataclass(frozen=True)
class Change:
    """A change of champion.

    Attributes:
        at: When, in UTC: ISO 8601 with microseconds and a Z.
        version: The new champion.
        replaced: The one before, or None.
        how: ``registered`` (the first of its name), ``promoted``, ``forced`` or ``put back``.
        why: What was said of it; mostly empty.
        lasted: Whether it was champion until the next change; not if whoever wrote the record was
            stopped before the alias moved, or the alias was moved outside memgate.
    """

    at: str
    version: str
    replaced: str | None
    how: How
    why: str = ""
    lasted: bool = True


def now() -> str:
    """Return the time as a record has it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def champion_of(name: str) -> str | None:
    """Return the version that is champion, or None.

    Raises:
        InputError: There is no such registered model, or no store.
    """
    return _champion(registered(connect(create=False), name))


def set_first_champion(client: mlflow.MlflowClient, name: str, version: str) -> None:
    """Make the first version of a name its champion; may be called again if it was stopped."""
    there = mlflow.search_model_versions(filter_string=f"name = '{name}'")
    model = registered(client, name)
    if CHAMPION in model.aliases or min(int(each.version) for each in there) < int(version):
        return
    if any(key.startswith(RECORD) for key in model.tags):  # stopped before the alias moved
        client.set_registered_model_alias(name, CHAMPION, version)
    else:
        change(client, name, Change(now(), version, None, "registered"))


def change(client: mlflow.MlflowClient, name: str, made: Change) -> None:
    """Record a change and then make it: a kill between the two leaves the old champion."""
    key = f"{RECORD}{made.at}/{made.version}"
    about = {"version": made.version, "replaced": made.replaced, "how": made.how, "why": made.why}
    value = {key: value for key, value in about.items() if value}
    client.set_registered_model_tag(name, key, json.dumps(value, ensure_ascii=False))
    client.set_registered_model_alias(name, CHAMPION, made.version)


def history(name: str) -> list[Change]:
    """Return the changes of champion, oldest first, by the clocks of who made them.

    Raises:
        InputError: There is no such registered model, no store, or a tag isn't memgate's.
    """
    model = registered(connect(create=False), name)
    changes = [
        _read(name, key, str(value))
        for key, value in sorted(model.tags.items())
        if key.startswith(RECORD)
    ]
    return _lasting(changes, _champion(model))


def champion_status(name: str, version: str) -> str:
    """Say who is champion where a version isn't, and how it can become it; "" where it is.

    Args:
        name: The registered model.
        version: One that was just registered.

    Raises:
        InputError: There is no such registered model, or no store.
    """
    champion = champion_of(name)
    if champion == version:
        return ""
    command = f"memgate promote {name} {version}"
    if champion is None:
        return f"{name} has no champion; {command} makes version {version} it"
    return f"champion is version {champion}; {command} holds version {version} against it"


def previous(name: str) -> str | None:
    """Return the version that was champion before the present one, or None.

    What was put back counts as never replaced, so that going back twice goes back by two.

    Raises:
        InputError: As `history`.
    """
    line: list[str] = []
    for made in history(name):
        if not made.lasted:
            continue
        if made.replaced and line[-1:] != [made.replaced]:
            line.append(made.replaced)  # before the record began, or outside memgate
        if made.how == "put back" and made.version in line:
            del line[len(line) - line[::-1].index(made.version) :]
        else:
            line.append(made.version)
    present = champion_of(name)
    if present is not None and line[-1:] != [present]:
        line.append(present)
    return line[-2] if len(line) > 1 else None


def registered(client: mlflow.MlflowClient, name: str) -> RegisteredModel:
    """Return a registered model.

    Raises:
        InputError: There is none of that name.
    """
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        raise InputError(
            f"{name}: expected the name of a registered model; {known_models()}"
        ) from error


def known_models() -> str:
    """Say which models are registered, for messages."""
    try:
        connect(create=False)
        names = sorted(model.name for model in mlflow.search_registered_models())
    except (InputError, MlflowException):
        return f"no store could be read at {tracking_uri()}"
    return f"registered models: {', '.join(names) or 'none'}"


def _champion(model: RegisteredModel) -> str | None:
    version = model.aliases.get(CHAMPION)
    return None if version is None else str(version)  # sqlite's is a number, http's a text


def _read(name: str, key: str, value: str) -> Change:
    at = key.removeprefix(RECORD).split("/")[0]
    try:
        told = json.loads(value)
        version, replaced = str(told["version"]), told.get("replaced")
        return Change(at, version, replaced and str(replaced), told["how"], told.get("why", ""))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{name}: tag {key}: expected a record of memgate's, got {value!r}"[:200]
        ) from error


def _lasting(changes: Sequence[Change], present: str | None) -> list[Change]:
    """Mark the changes that didn't last, by what later ones found and by who is champion."""
    marked: list[Change] = []
    needed = present
    for place in range(len(changes) - 1, -1, -1):
        made = changes[place]
        # one that never was recorded came from outside memgate, and the record goes on before it
        recorded = any(needed == earlier.version for earlier in changes[:place])
        lasted = made.version == needed or not recorded
        if lasted:
            needed = made.replaced
        marked.append(replace(made, lasted=lasted))
    return marked[::-1]
