"""What each word of a single sentence is for the dependency, as far as that can be known."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from memgate.data.items.numbers import NOUN_NUMBER, SUBJECT_NUMBER
from memgate.data.items.roles import Role, roles
from memgate.data.tagger import UNKNOWN_TAG, Tagger
from memgate.errors import InputError


def find_roles(
    words: Sequence[str],
    subject: int | None = None,
    tagger: Tagger | None = None,
    verb: int | None = None,
) -> list[Role | None]:
    """Say what each word is for the dependency.

    Args:
        words: A sentence, or the words before its verb.
        subject: Place of the head of the subject, from 0; None for the first common noun.
        tagger: Tags for the words; without it what stands behind the subject has no role.
        verb: Place of the verb, or None where it follows the words.

    Returns:
        One role a word, None where it isn't known; all None where no subject is found.

    Raises:
        InputError: The subject's place isn't before the verb.

    >>> find_roles("the keys to the".split(), subject=1)
    ['before', 'subject', None, None]
    """
    end = len(words) if verb is None else verb
    tags = [UNKNOWN_TAG] * len(words) if tagger is None else _tags(tagger, words)
    nouns = (place for place in range(end) if tags[place] in NOUN_NUMBER)
    subject = next(nouns, None) if subject is None else subject
    if subject is None:
        return [None] * len(words)
    if not 0 <= subject < end:
        what = f"a word from 0 to {end - 1} of {' '.join(words)!r}"
        raise InputError(f"subject: expected {what}, got {subject}")
    label = SUBJECT_NUMBER.get(tags[subject])
    unclear = {UNKNOWN_TAG} if label else {UNKNOWN_TAG, *NOUN_NUMBER}
    found: list[Role | None] = [
        None if place > subject and tags[place] in unclear else role
        for place, role in enumerate(roles(tags, subject, end, label or "sg"))
    ]
    behind: list[Role | None] = ["verb", *[None] * len(words)]
    return [*found, *behind[: len(words) - end]]


def _tags(tagger: Tagger, words: Sequence[str]) -> list[str]:
    tags: list[str] = tagger.tag(pa.array(words, pa.string())).to_pylist()
    return tags
