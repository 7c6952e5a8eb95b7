"""What is known of each word of a block: its role, its places, and whether the answer was right."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from memgate.data.batches import Batch, Prefixes
from memgate.data.items.roles import ROLES
from memgate.metrics.strata import INTERVENING, UNKNOWN

ROLE_NAMES: tuple[str, ...] = (*ROLES, "unknown")
"""Groups of words: each role, and last the words without a known one."""

DISTANCES: tuple[str, ...] = INTERVENING.names
"""How far behind the subject a word stands: 0 the subject itself, 1–2, 3–5, 6–10, 11+ words."""

KINDS: tuple[tuple[str, str | None], ...] = (
    ("before", None),
    ("subject", DISTANCES[0]),
    *product(("attractor", "noun", "other", "unknown"), DISTANCES[1:]),
    ("verb", None),
    ("unknown", None),
)
"""The finest parts of the words: role, and distance of the subject and the words up to the verb.

Only those that occur: a word between has a place also where its role isn't known for want of a tag;
before the subject, from the verb on, and where no subject is known, there is no distance.
"""

FROM_SUBJECT = tuple(range(-3, 21))
"""Places behind the subject (0) that a profile shows; below 0 before it, above 0 up to the verb."""

TO_VERB = tuple(range(-5, 0))
"""Places before the verb that a profile shows; -1 is the last word. Words behind the subject only,
so that the subject itself isn't mixed in."""

STRATA: tuple[tuple[str, str], ...] = (
    *(("role", role) for role in ROLES),
    *(("from_subject", str(place)) for place in FROM_SUBJECT),
    *(("to_verb", str(place)) for place in TO_VERB),
)
"""What a profile tells apart: by, and stratum. A word is in at most one of each kind of three."""

CELLS = 4 * len(STRATA) + 1
"""Strata × (singular, plural) × (wrong, right), and last what belongs to none."""


class Words(NamedTuple):
    """What is known of each word, first words of all prefixes first, as in `state_updates.flat`."""

    kinds: Int[Tensor, " words"]
    """Place in `KINDS`."""
    signs: Int[Tensor, " words"]
    """1 where the right answer is the task's second, such as plural; -1 where its first; else 0."""
    numbers: Int[Tensor, " words"]
    """1 where the subject is plural, -1 where singular, whatever the task asks; 0 unknown."""
    cells: Int[Tensor, "3 words"]
    """The word's cells of the profile: by role, by place from the subject, by place to the verb."""


def unknown_words(inputs: Int[Tensor, "batch time"]) -> Words:
    """Return words of which nothing is known."""
    nothing = torch.full((inputs.numel(),), -1, device=inputs.device)
    return Words(
        nothing + len(KINDS),
        torch.zeros_like(nothing),
        torch.zeros_like(nothing),
        (nothing + CELLS).expand(3, -1),
    )


def words_of(prefixes: Prefixes, batch: Batch, right: Bool[Tensor, " batch"]) -> Words:
    """Look up what is known of the words of a block.

    Args:
        prefixes: Where the block comes from.
        batch: The block.
        right: Whether each prefix was answered rightly.
    """
    roles = prefixes.roles_of(batch).long()
    groups = torch.where(roles < 0, len(ROLES), roles)
    place = prefixes.after_subject(batch)
    to_verb = place - batch.intervening.unsqueeze(1) - 1
    between = (place > 0) & (to_verb < 0)
    strata = torch.stack(
        [
            roles,
            _strata(place, FROM_SUBJECT, (place <= 0) | between, start=len(ROLES)),
            _strata(to_verb, TO_VERB, between, start=len(ROLES) + len(FROM_SUBJECT)),
        ]
    )
    side = (2 * batch.labels + right).unsqueeze(1)
    known = (strata >= 0) & (batch.labels >= 0).unsqueeze(1)
    cells = torch.where(known, 4 * strata + side, CELLS - 1)
    return Words(
        _kinds(groups, place, to_verb).T.flatten(),
        _signs(batch.targets).repeat(roles.shape[1]),
        _signs(batch.labels).repeat(roles.shape[1]),
        cells.transpose(1, 2).flatten(1),
    )


def _kinds(
    groups: Int[Tensor, "batch time"],
    place: Int[Tensor, "batch time"],
    to_verb: Int[Tensor, "batch time"],
) -> Int[Tensor, "batch time"]:
    """Return the place in `KINDS` of each word, -1 for what can't be: that no count takes."""
    last = INTERVENING.starts[-1]
    within = torch.where((place >= 0) & (to_verb < 0), place.clamp(max=last), last + 1)
    return _kind_table(groups.device)[groups * (last + 2) + within]


@cache
def _kind_table(device: torch.device) -> Int[Tensor, " pairs"]:
    """Return the place in `KINDS` for each role with each number of words behind the subject.

    The numbers end where the last bin starts; then comes that of the words without a distance. It
    is kept, as blocks are small: to make it takes as long as 10,000 look-ups.
    """
    names = INTERVENING.names_of(np.array([*range(INTERVENING.starts[-1] + 1), UNKNOWN]))
    places = {kind: number for number, kind in enumerate(KINDS)}
    return torch.tensor([places.get(kind, -1) for kind in product(ROLE_NAMES, names)]).to(device)


def _signs(sides: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
    """Turn 0 and 1 into -1 and 1, and -1 (unknown) into 0."""
    return torch.where(sides < 0, 0, 2 * sides - 1)


def _strata(
    place: Int[Tensor, "batch time"],
    shown: tuple[int, ...],
    where: Bool[Tensor, "batch time"],
    start: int,
) -> Int[Tensor, "batch time"]:
    """Return the stratum of each place, -1 for one that isn't shown or not known."""
    inside = where & (place >= shown[0]) & (place <= shown[-1])
    return torch.where(inside, place - shown[0] + start, -1)
