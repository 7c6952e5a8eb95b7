"""What each word of a single sentence is for the dependency, as far as that can be known."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from memgate.data.numbers import NOUN_NUMBER, SUBJECT_NUMBER
from memgate.data.roles import Role, roles
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
        InputError: The sentence has no such place before the verb.

    >>> find_roles("the keys to the".split(), subject=1)
    ['before', 'subject', None, None]
    """
    end = len(words) if verb is None else verb
    tags = [UNKNOWN_TAG] * len(words)
    tags = tags if tagger is None else tagger.tag(pa.array(words, pa.string())).to_pylist()
    if subject is None:
        nouns = (place for place, tag in enumerate(tags[:end]) if tag in NOUN_NUMBER)
        subject = next(nouns, None)
    if subject is None:
        return [None] * len(words)
    if not 0 <= subject < end:
        raise InputError(
            f"subject: expected a word from 0 to {end - 1} of {' '.join(words)!r}, got {subject}"
        )
    found = [*_clear(tags, subject, end), *[None] * (len(words) - end)]
    return found if verb is None else [*found[:verb], "verb", *found[verb + 1 :]]


def _clear(tags: Sequence[str], subject: int, end: int) -> list[Role | None]:
    """Return the roles of the words before the verb, None where tags don't tell them."""
    label = SUBJECT_NUMBER.get(tags[subject])

    def is_clear(place: int) -> bool:
        known = tags[place] != UNKNOWN_TAG and (label is not None or tags[place] not in NOUN_NUMBER)
        return place <= subject or known

    found = roles(tags, subject, end, label or "sg")
    return [role if is_clear(place) else None for place, role in enumerate(found)]
