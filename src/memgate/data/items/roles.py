"""Roles: what each word is for the dependency between subject and verb."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from memgate.arrays import Ints
from memgate.data.items.numbers import LABELS, NOUN_NUMBER, Label

Role = Literal["before", "subject", "attractor", "noun", "other", "verb"]

ROLES: tuple[Role, ...] = get_args(Role)
"""The roles in the order of their codes: before the subject; the subject's head; between subject
and verb a common noun of the other number, one of the same number, another word; the verb."""

NO_ROLE = -1
"""The code of a word whose role is unknown, or that follows the verb."""


def roles(tags: Sequence[str], subj_idx: int, verb_idx: int, label: Label) -> list[Role]:
    """Return the role of each word of a prefix.

    Args:
        tags: PTB tags, at least `verb_idx` of them.
        subj_idx: Index of the head of the subject.
        verb_idx: Index of the agreeing verb; the prefix has this many words.
        label: Number of the subject.

    Returns:
        One role for each of the `verb_idx` words.

    >>> roles("DT NNS TO DT NN VBP".split(), subj_idx=1, verb_idx=5, label="pl")
    ['before', 'subject', 'other', 'other', 'attractor']
    """

    def role(index: int) -> Role:
        if index <= subj_idx:
            return "subject" if index == subj_idx else "before"
        number = NOUN_NUMBER.get(tags[index])
        if number is None:
            return "other"
        return "noun" if number == label else "attractor"

    return [role(index) for index in range(verb_idx)]


def role_codes(
    tags: pa.Array | None, lengths: Ints, subj_idx: Ints, verb_idx: Ints, labels: Ints
) -> npt.NDArray[np.int8]:
    """Return the role of each word of many items, as `roles` does for one, as an index in `ROLES`.

    Args:
        tags: PTB tags of all words that are read, flat, null where unknown; or None.
        lengths: Words of each of the N items.
        subj_idx: Index of the head of each subject, -1 where unknown.
        verb_idx: Index of each verb; words from there on may be read too.
        labels: Number of each subject, 0 or 1.

    Returns:
        A code a word, flat; `NO_ROLE` for all words of an item whose subject is unknown, for an
        intervening word without a tag, and after the verb.
    """
    starts, index = np.cumsum(lengths) - lengths, np.arange(lengths.sum())
    numbers = np.full(len(index), len(LABELS) + 1)
    if tags is not None:
        numbers = _noun_numbers(tags)
    # By label (the last row: unknown) and number of the word: singular, plural, no noun, no tag.
    noun, attractor, other = (ROLES.index(role) for role in ("noun", "attractor", "other"))
    between = [[noun, attractor], [attractor, noun], [attractor, attractor]]
    table = np.array([[*nouns, other, NO_ROLE] for nouns in between], dtype=np.int8)
    codes: npt.NDArray[np.int8] = table[np.repeat(labels, lengths), numbers]
    after_verb = index - np.repeat(starts + verb_idx, lengths)
    codes[after_verb >= 0] = NO_ROLE
    codes[after_verb == 0] = ROLES.index("verb")
    after_subject = index - np.repeat(starts + subj_idx, lengths)
    codes[after_subject == 0] = ROLES.index("subject")
    codes[after_subject < 0] = ROLES.index("before")
    codes[np.repeat(subj_idx < 0, lengths)] = NO_ROLE
    return codes


def _noun_numbers(tags: pa.Array) -> Ints:
    """Return the number of each tag as an index in `LABELS`; 2 if it is no noun's, 3 for null."""
    coded = tags.dictionary_encode()
    of_tag = [
        LABELS.index(NOUN_NUMBER[tag]) if tag in NOUN_NUMBER else len(LABELS)
        for tag in coded.dictionary.to_pylist()
    ]
    of_tag.append(len(LABELS) + 1)  # the last entry, at index -1
    numbers: Ints = np.array(of_tag)[pc.fill_null(coded.indices, -1).to_numpy()]
    return numbers
