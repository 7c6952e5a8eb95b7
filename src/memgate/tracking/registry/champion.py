"""The alias ``champion`` of a registered model, and the record of its changes in MLflow tags."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import mlflow
from mlflow.entities.model_registry import RegisteredModel
from mlflow.exceptions import MlflowException

from memgate.errors import InputError
from memgate.tracking.store import connect, storing, tracking_uri

CHAMPION = "champion"
"""The alias."""

CHANGE = "champion/"
"""Prefix of the registered model's tags that record changes, ``champion/TIME/VERSION``.

Each change has a tag of its own, so two writers never write the same one.
"""

DECISION = "decision/"
"""Prefix of a version's tags that keep what `memgate promote` decided, ``decision/TIME``."""

LONGEST_REASON = 1000
"""Characters of a user's reason."""

How = Literal["registered", "promoted", "forced", "put back"]

RECORD = re.compile(
    r"version (?P<version>\d+) (?P<how>registered|promoted|forced|put back)"
    r"(, in place of version (?P<replaced>\d+))?(: (?P<why>.*))?",
    re.DOTALL,
)
"""What `Change.record` writes."""


@dataclass(frozen=True)
class Change:
    """A change of champion.

    Attributes:
        at: When, in UTC: ISO 8601 with microseconds and a Z.
        version: The new champion.
        replaced: The champion before, or None.
        how: ``registered`` (the first of its name), ``promoted``, ``forced`` or ``put back``.
        why: The user's reason, or "".
        took_effect: Whether the version was champion until the next change. It was not if the
            writer was stopped before the alias moved, or if another program moved the alias.
    """

    at: str
    version: str
    replaced: str | None
    how: How
    why: str = ""
    took_effect: bool = True

    def record(self) -> str:
        """Return the value of its tag.

        >>> Change("", "2", "1", "forced", "it is faster").record()
        'version 2 forced, in place of version 1: it is faster'
        """
        replaced = f", in place of version {self.replaced}" if self.replaced else ""
        why = f": {self.why}" if self.why else ""
        return f"version {self.version} {self.how}{replaced}{why}"


def now() -> str:
    """Return the time as a record has it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def champion_of(name: str) -> str | None:
    """Return the version that is champion, or None."""
    return _alias(registered_model(connect(create=False), name))


def set_champion(name: str, change: Change, decision: str = "") -> None:
    """Keep the decision as a tag of the version, record a change, and then move the alias.

    A process that is stopped in between leaves the old champion. A second writer within the few
    milliseconds of the writing isn't noticed: the later one is champion, and the record has both.

    Raises:
        InputError: The champion isn't ``change.replaced`` any more, or the store can't be written.
    """
    champion = champion_of(name)
    if champion != change.replaced:
        raise InputError(
            f"{name}: version {champion} became champion while version {change.version} was "
            f"compared with {change.replaced or 'none'}; try again"
        )
    client = connect()
    with storing():
        if decision:
            client.set_model_version_tag(name, change.version, DECISION + change.at, decision)
        _record_and_set(client, name, change)


def check_reason(why: str) -> None:
    """Check that a user's reason fits a tag.

    Raises:
        InputError: It is too long.
    """
    if len(why) > LONGEST_REASON:
        raise InputError(f"--why: expected at most {LONGEST_REASON} characters, got {len(why)}")


def keep_refusal(name: str, version: str, decision: str) -> None:
    """Keep as a tag of a version why it wasn't promoted."""
    client = connect()
    with storing():
        client.set_model_version_tag(name, version, DECISION + now(), decision)


def set_first_champion(client: mlflow.MlflowClient, name: str, version: str) -> None:
    """Make the first version of a name its champion; may be called again if it was stopped."""
    versions = mlflow.search_model_versions(filter_string=f"name = '{name}'")
    model = registered_model(client, name)
    if CHAMPION in model.aliases or min(int(other.version) for other in versions) < int(version):
        return
    if any(key.startswith(CHANGE) for key in model.tags):  # stopped before the alias moved
        client.set_registered_model_alias(name, CHAMPION, version)
    else:
        _record_and_set(client, name, Change(now(), version, None, "registered"))


def changes_of(name: str) -> list[Change]:
    """Return the changes of champion, oldest first, by the clocks of their writers.

    Raises:
        InputError: There is no such registered model, no store, or a tag isn't memgate's.
    """
    model = registered_model(connect(create=False), name)
    changes = [
        _read(name, key, str(value))
        for key, value in sorted(model.tags.items())
        if key.startswith(CHANGE)
    ]
    return _with_effect(changes, _alias(model))


def champion_status(name: str, version: str) -> str:
    """Return which version is champion, and the command that promotes this one; "" if it is it."""
    champion = champion_of(name)
    if champion == version:
        return ""
    command = f"memgate promote {name} {version}"
    if champion is None:
        return f"{name} has no champion; {command} makes version {version} champion"
    return f"champion is version {champion}; {command} compares version {version} with it"


def previous(name: str) -> str | None:
    """Return the version that was champion before the present one, or None.

    A version that was put back counts as never replaced, so going back twice goes back by two.
    """
    stack: list[str] = []
    for change in changes_of(name):
        if not change.took_effect:
            continue
        if change.replaced and stack[-1:] != [change.replaced]:
            stack.append(change.replaced)  # set before the record began, or by another program
        if change.how == "put back" and change.version in stack:
            del stack[len(stack) - stack[::-1].index(change.version) :]
        else:
            stack.append(change.version)
    champion = champion_of(name)
    if champion is not None and stack[-1:] != [champion]:
        stack.append(champion)
    return stack[-2] if len(stack) > 1 else None


def registered_model(client: mlflow.MlflowClient, name: str) -> RegisteredModel:
    """Return a registered model.

    Raises:
        InputError: There is none of that name.
    """
    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        raise InputError(
            f"{name}: expected the name of a registered model; {registered_names()}"
        ) from error


def registered_names() -> str:
    """Return which models are registered, for messages."""
    try:
        connect(create=False)
        names = sorted(model.name for model in mlflow.search_registered_models())
    except (InputError, MlflowException):
        return f"no store could be read at {tracking_uri()}"
    return f"registered models: {', '.join(names) or 'none'}"


def _record_and_set(client: mlflow.MlflowClient, name: str, change: Change) -> None:
    key = f"{CHANGE}{change.at}/{change.version}"
    client.set_registered_model_tag(name, key, change.record())
    client.set_registered_model_alias(name, CHAMPION, change.version)


def _alias(model: RegisteredModel) -> str | None:
    version = model.aliases.get(CHAMPION)
    return None if version is None else str(version)  # sqlite gives a number, http a text


def _read(name: str, key: str, value: str) -> Change:
    match = RECORD.fullmatch(value)
    try:
        # up to November 2026 the record was JSON with the same names
        record: dict[str, Any] = match.groupdict() if match else json.loads(value)
        fields = {field: text for field, text in record.items() if text}
        return Change(at=key.removeprefix(CHANGE).split("/")[0], **{"replaced": None, **fields})
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{name}: tag {key}: expected a record of memgate's, got {value!r}"[:200]
        ) from error


def _with_effect(changes: Sequence[Change], champion: str | None) -> list[Change]:
    """Mark the changes that took effect.

    A change did if its version is what the next change replaced, or for the last one the present
    champion. If that version was never recorded, another program made it champion after the change.
    """
    marked: list[Change] = []
    expected = champion
    for position in reversed(range(len(changes))):
        change = changes[position]
        recorded = any(expected == earlier.version for earlier in changes[:position])
        took_effect = change.version == expected or not recorded
        if took_effect:
            expected = change.replaced
        marked.append(replace(change, took_effect=took_effect))
    return marked[::-1]
