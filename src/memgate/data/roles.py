"""Roles: what each word is for the dependency between subject and verb. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from memgate.data.numbers import LABELS, NOUN_NUMBER, Label
from memgate.data.vocabulary import Index

Role = Literal["before", "subject", "attractor", "noun", "other", "verb"]

ROLES: tuple[Role, ...] = get_args(Role)
"""The roles in the order of their codes: before the subject; the subject's head; between subject
and verb a common noun of the other number, one of the same number, another word; the verb."""

NO_ROLE = -1
"""The code of a word whose role is not known, or that stands behind the verb."""


def roles(tags: Sequence[str], subj_idx: int, verb_idx: int, label: Label) -> list[Role]:
    """Say what each word of a prefix is for the dependency.

    Args:
        tags: PTB tags, at least `verb_idx` of them.
        subj_idx: Place of the head of the subject.
        verb_idx: Place of the agreeing verb; the prefix has this many words.
        label: Number of the subject.

    Returns:
        One role for each of the `verb_idx` words.

    >>> roles("DT NNS TO DT NN VBP".split(), subj_idx=1, verb_idx=5, label="pl")
    ['before', 'subject', 'other', 'other', 'attractor']
    """

    def role(place: int) -> Role:
        if place <= subj_idx:
            return "subject" if place == subj_idx else "before"
        number = NOUN_NUMBER.get(tags[place])
        if number is None:
            return "other"
        return "noun" if number == label else "attractor"

    return [role(place) for place in range(verb_idx)]


def role_codes(
    tags: pa.Array | None, lengths: Index, subj_idx: Index, verb_idx: Index, labels: Index
) -> npt.NDArray[np.int8]:
    """Say what each of many items' words is, as `roles` does of one; places in `ROLES`.

    Args:
        tags: PTB tags of all words that are read, flat, null where unknown; or None.
        lengths: Words of each of the N items.
        subj_idx: Place of the head of each subject, -1 where unknown.
        verb_idx: Place of each verb; words from there on may be read too.
        labels: Number of each subject, 0 or 1.

    Returns:
        A code a word, flat; `NO_ROLE` for all words of an item without a known subject, for an
        intervening word without a tag, and behind the verb.
    """
    place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    subject, verb, label = (np.repeat(column, lengths) for column in (subj_idx, verb_idx, labels))
    between = np.full(len(place), NO_ROLE)
    if tags is not None:
        for number, name in enumerate(LABELS):
            noun = [tag for tag, its in NOUN_NUMBER.items() if its == name]
            found = pc.is_in(tags, value_set=pa.array(noun)).to_numpy(zero_copy_only=False)
            between[found & (label == number)] = ROLES.index("noun")
            between[found & (label != number)] = ROLES.index("attractor")
        known = tags.is_valid().to_numpy(zero_copy_only=False)
        between[known & (between == NO_ROLE)] = ROLES.index("other")
    codes = np.select(
        [subject < 0, place < subject, place == subject, place < verb, place == verb],
        [NO_ROLE, ROLES.index("before"), ROLES.index("subject"), between, ROLES.index("verb")],
        NO_ROLE,
    )
    return codes.astype(np.int8)
