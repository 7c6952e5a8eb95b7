"""The agreement paradigms of BLiMP as published: minimal pairs of sentences, as prefixes."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from memgate.data import files
from memgate.data.items.numbers import Label
from memgate.errors import InputError

REPOSITORY = "nyu-mll/blimp"

ONE_PREFIX = (
    "distractor_agreement_relational_noun",
    "distractor_agreement_relative_clause",
    "irregular_plural_subject_verb_agreement_1",
    "regular_plural_subject_verb_agreement_1",
)
"""Paradigms whose sentences differ in the verb."""

TWO_PREFIX = (
    "irregular_plural_subject_verb_agreement_2",
    "regular_plural_subject_verb_agreement_2",
)
"""Paradigms whose sentences differ in the subject, the word before the verb."""

AUXILIARIES: dict[str, Label] = {
    **dict.fromkeys(("is", "was", "has", "does"), "sg"),
    **dict.fromkeys(("are", "were", "have", "do"), "pl"),
}


def minimal_pairs(repository: str = REPOSITORY) -> list[dict[str, Any]]:
    """Read the agreement paradigms of BLiMP (Warstadt et al. 2020) in their published form.

    Args:
        repository: A dataset repository of the Hub, or a local folder of the same layout, with a
            configuration a paradigm.

    Returns:
        Rows of agreement JSONL: id, condition (the paradigm), prefix, label, good, bad; and
        prefix_bad in the paradigms of `TWO_PREFIX`.

    Raises:
        InputError: The Hub can't be reached, a paradigm is missing, or a pair isn't a minimal one.
    """
    rows = []
    for paradigm in (*ONE_PREFIX, *TWO_PREFIX):
        where = f"{repository} ({paradigm})"
        pairs = files.load_repository(repository, paradigm, split="train")
        missing = {"sentence_good", "sentence_bad"}.difference(pairs.column_names)
        if missing:
            raise InputError(f"{where}: expected also the columns {', '.join(sorted(missing))}")
        sentences = zip(pairs["sentence_good"], pairs["sentence_bad"], strict=True)
        for number, (good, bad) in enumerate(sentences):
            try:
                pair = (
                    _two_prefixes(good, bad) if paradigm in TWO_PREFIX else _one_prefix(good, bad)
                )
            except InputError as error:
                raise InputError(f"{where}, row {number}: {error}") from error
            rows.append({"id": f"blimp:{paradigm}:{number}", "condition": paradigm, **pair})
    return rows


def _one_prefix(good: str, bad: str) -> dict[str, Any]:
    words, others, same = _compared(good, bad)
    if same == 0 or verb_number(words[same]) == verb_number(others[same]):
        raise InputError(f"expected sentences that differ in the verb's number, got {good!r}")
    label = verb_number(words[same])
    verbs = {"good": words[same], "bad": others[same]}
    return {"prefix": " ".join(words[:same]), "label": label, **verbs}


def _two_prefixes(good: str, bad: str) -> dict[str, Any]:
    words, others, same = _compared(good, bad)
    if words[same + 1 :] != others[same + 1 :] or len(words) < same + 2:
        raise InputError(
            f"expected sentences that differ in the word before the verb, got {good!r}"
        )
    verb = words[same + 1]
    prefix, prefix_bad = " ".join(words[: same + 1]), " ".join(others[: same + 1])
    return {"prefix": prefix, "prefix_bad": prefix_bad, "label": verb_number(verb), "good": verb}


def _compared(good: str, bad: str) -> tuple[list[str], list[str], int]:
    """Return the words of both sentences without the full stop, and how many first ones agree."""
    words, others = good.rstrip(".").split(), bad.rstrip(".").split()
    pairs = zip(words, others, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    if same >= min(len(words), len(others)):
        raise InputError(f"expected sentences that differ in a word, got {good!r} and {bad!r}")
    return words, others, same


def verb_number(verb: str) -> Label:
    """Return the number of a verb of BLiMP; its main verbs are in the present tense.

    >>> [verb_number(verb) for verb in ("wasn't", "do", "replies", "pass", "passes")]
    ['sg', 'pl', 'sg', 'pl', 'sg']
    """
    auxiliary = AUXILIARIES.get(verb.removesuffix("n't"))
    if auxiliary is not None:
        return auxiliary
    return "sg" if verb.endswith("s") and not verb.endswith("ss") else "pl"
