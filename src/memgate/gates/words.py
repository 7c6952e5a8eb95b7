"""The words of a block by role and position, and by whether the prediction was right."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from memgate.arrays import UNKNOWN_COUNT
from memgate.data.batches import Batch, Prefixes
from memgate.data.items.roles import ROLES
from memgate.metrics.strata import INTERVENING

ROLE_NAMES: tuple[str, ...] = (*ROLES, "unknown")
"""The roles, and last the words of unknown role."""

DISTANCES: tuple[str, ...] = INTERVENING.names
"""Words after the subject: 0 is the subject itself, then 1–2, 3–5, 6–10 and 11+."""

KINDS: tuple[tuple[str, str | None], ...] = (
    ("before", None),
    ("subject", DISTANCES[0]),
    *product(("attractor", "noun", "other", "unknown"), DISTANCES[1:]),
    ("verb", None),
    ("unknown", None),
)
"""The kinds of words: role, and distance of the words from the subject up to the verb.

These are the pairs that occur. A word between subject and verb has a distance even if its role is
unknown for lack of a tag. Other words have none.
"""

FROM_SUBJECT = tuple(range(-3, 21))
"""Positions from the subject (0) that a profile shows, up to the verb; negative before it."""

TO_VERB = tuple(range(-5, 0))
"""Positions before the verb that a profile shows; -1 is the last word. Only words after the subject
count."""

PROFILE_STRATA: tuple[tuple[str, str], ...] = (
    *(("role", role) for role in ROLES),
    *(("from_subject", str(position)) for position in FROM_SUBJECT),
    *(("to_verb", str(position)) for position in TO_VERB),
)
"""The strata of a profile: by, and stratum. A word is in at most one stratum of each `by`."""

PROFILE_CELLS = 4 * len(PROFILE_STRATA) + 1
"""Strata × (singular, plural) × (wrong, right), and last the words that belong to none."""


class WordGroups(NamedTuple):
    """The groups of each word, in the order of `state_updates.flat`."""

    kinds: Int[Tensor, " words"]
    """Index in `KINDS`."""
    signs: Int[Tensor, " words"]
    """1 if the second answer of the task, such as plural, is right; -1 if the first; else 0."""
    numbers: Int[Tensor, " words"]
    """1 if the subject is plural, -1 if singular, 0 if unknown, whatever the task."""
    cells: Int[Tensor, "3 words"]
    """Cells of the profile: by role, by position from the subject, by position to the verb."""


def words_of(prefixes: Prefixes, batch: Batch, right: Bool[Tensor, " batch"]) -> WordGroups:
    """Return the groups of the words of a block.

    Args:
        prefixes: The prefixes of the block.
        batch: The block.
        right: Whether the prediction for each prefix is right.
    """
    roles = prefixes.roles_of(batch).long()
    groups = torch.where(roles < 0, len(ROLES), roles)
    from_subject = prefixes.after_subject(batch)
    to_verb = from_subject - batch.intervening.unsqueeze(1) - 1
    between = (from_subject > 0) & (to_verb < 0)
    strata = torch.stack(
        [
            roles,
            _strata(from_subject, FROM_SUBJECT, (from_subject <= 0) | between, start=len(ROLES)),
            _strata(to_verb, TO_VERB, between, start=len(ROLES) + len(FROM_SUBJECT)),
        ]
    )
    side = (2 * batch.labels + right).unsqueeze(1)
    in_cell = (strata >= 0) & (batch.labels >= 0).unsqueeze(1)
    cells = torch.where(in_cell, 4 * strata + side, PROFILE_CELLS - 1)
    return WordGroups(
        _kinds(groups, from_subject, to_verb).T.flatten(),
        _signs(batch.targets).repeat(roles.shape[1]),
        _signs(batch.labels).repeat(roles.shape[1]),
        cells.transpose(1, 2).flatten(1),
    )


def _kinds(
    groups: Int[Tensor, "batch time"],
    from_subject: Int[Tensor, "batch time"],
    to_verb: Int[Tensor, "batch time"],
) -> Int[Tensor, "batch time"]:
    """Return the index in `KINDS` of each word, -1 for a pair that isn't there."""
    last = INTERVENING.starts[-1]
    within = torch.where(
        (from_subject >= 0) & (to_verb < 0), from_subject.clamp(max=last), last + 1
    )
    return _kind_table(groups.device)[groups * (last + 2) + within]


@cache
def _kind_table(device: torch.device) -> Int[Tensor, " pairs"]:
    """Return the index in `KINDS` of each role with each number of words after the subject.

    The numbers end where the last bin starts; after them comes that of words without a distance.
    The table is cached because blocks are small: making it takes as long as 10,000 look-ups.
    """
    names = INTERVENING.names_of(np.array([*range(INTERVENING.starts[-1] + 1), UNKNOWN_COUNT]))
    indices = {kind: index for index, kind in enumerate(KINDS)}
    return torch.tensor([indices.get(kind, -1) for kind in product(ROLE_NAMES, names)]).to(device)


def _signs(sides: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
    """Turn 0 and 1 into -1 and 1, and -1 (unknown) into 0."""
    return torch.where(sides < 0, 0, 2 * sides - 1)


def _strata(
    position: Int[Tensor, "batch time"],
    shown: tuple[int, ...],
    where: Bool[Tensor, "batch time"],
    start: int,
) -> Int[Tensor, "batch time"]:
    """Return the stratum of each position, -1 for one that isn't shown."""
    inside = where & (position >= shown[0]) & (position <= shown[-1])
    return torch.where(inside, position - shown[0] + start, -1)
