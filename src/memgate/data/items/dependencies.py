"""Agreement items of a parsed sentence: one definition for both schemes of dependency labels."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

from memgate.data.items.numbers import NOUN_NUMBER, VERB_NUMBER, Label

Target = Literal["main", "cop", "aux"]
"""What agrees: a main verb, a copula or an auxiliary."""

Reason = Literal[
    "subject is no common noun",
    "subject with digit or symbol",
    "50 tokens or more",
    "white space in a token",
    "no finite verb",
    "modal",
    "past",
    "verb before subject",
    "coordinated subject",
    "numbers differ",
    "clitic",
    "unknown inflection",
    "present equals past",
    "auxiliary",
    "another of its sentence was drawn",
]
"""Why a subject gives no item: the first that holds. `extract_items` adds the last two."""

ROOT = -1
"""The head of a sentence's root; spaCy gives the root's own place, which does as well."""

MAX_TOKENS = 50
"""A sentence has fewer tokens than this."""

FINITE = {"MD", "VBD", "VBZ", "VBP"}
"""PTB tags of finite verbs; modals and past tenses don't show number (but for "was", "were")."""

BE = {"am", "are", "is"}

WORD = re.compile(r"[^\W\d_]+(?:['’.-]+[^\W\d_]*)*")
"""Letters, with hyphens, apostrophes and full stops among them: no "83N", "S&S", "#"."""


class Scheme(NamedTuple):
    """The labels by which a scheme of dependencies names what agreement needs.

    Attributes:
        subjects: From a clause's head to its subject.
        auxiliaries: From a clause's head to its auxiliaries.
        copulas: From a predicate to its copula; none where the copula itself is the head.
        conjunct: From the first conjunct to another.
    """

    subjects: frozenset[str]
    auxiliaries: frozenset[str]
    copulas: frozenset[str]
    conjunct: str = "conj"


CLEAR = Scheme(
    subjects=frozenset({"nsubj", "nsubjpass"}),
    auxiliaries=frozenset({"aux", "auxpass"}),
    copulas=frozenset(),
)
"""CLEAR style labels (Choi & Palmer 2012), those of spaCy's English models."""

UD = Scheme(
    subjects=frozenset({"nsubj", "nsubj:pass", "nsubj:outer"}),
    auxiliaries=frozenset({"aux", "aux:pass"}),
    copulas=frozenset({"cop"}),
)
"""Universal Dependencies, version 2: auxiliaries and copulas are children of the predicate."""


class Tree(NamedTuple):
    """A parsed sentence; the four sequences have one entry a token.

    Attributes:
        words: The tokens as written.
        tags: PTB tags.
        heads: Place of each token's head, from 0; at the root `ROOT` or its own place.
        relations: Label of the arc from the head.
    """

    words: Sequence[str]
    tags: Sequence[str]
    heads: Sequence[int]
    relations: Sequence[str]


class Sentence(NamedTuple):
    """A parsed sentence and its id."""

    name: str
    tree: Tree


class Agreement(NamedTuple):
    """A subject and the word that agrees with it.

    Attributes:
        subj_idx: Place of the head of the subject.
        verb_idx: Place of the agreeing word, right of the subject.
        label: Their number.
        target: What the agreeing word is.
        verb_alt: Its form of the other number, in lower case.
    """

    subj_idx: int
    verb_idx: int
    label: Label
    target: Target
    verb_alt: str


def agreements(tree: Tree, scheme: Scheme) -> tuple[list[Agreement], Counter[Reason]]:
    """Find the agreeing subjects of a sentence, and say why its other subjects are left out.

    A subject is a common noun (NN, NNS: no pronouns, proper nouns, relativizers) left of its verb
    and not coordinated before it. The agreeing word is the leftmost finite auxiliary of the clause,
    a copula too, or else the clause's head; it must be a present tense (VBZ, VBP) of the subject's
    number, spelt with letters alone (no "'s", "'re") and unlike its past (no plural "put", "read",
    which taggers confuse; "puts" shows its tense). Differing numbers are parsing errors and
    notional agreement ("a number of people are"). After Linzen et al. (2016), section 2, who take
    main verbs and copulas only.

    Args:
        tree: The sentence.
        scheme: The scheme of its labels.

    Returns:
        The agreements from left to right by subject, and how many subjects were left out, by
        reason.

    >>> keys = Tree("the keys to it are".split(), "DT NNS IN PRP VBP".split(),
    ...             [1, 4, 1, 2, -1], "det nsubj prep pobj ROOT".split())
    >>> agreements(keys, CLEAR)[0]
    [Agreement(subj_idx=1, verb_idx=4, label='pl', target='cop', verb_alt='is')]
    """
    found: list[Agreement] = []
    dropped: Counter[Reason] = Counter()
    for place, relation in enumerate(tree.relations):
        if relation in scheme.subjects:
            result = _agreement(tree, scheme, place)
            if isinstance(result, Agreement):
                found.append(result)
            else:
                dropped[result] += 1
    return found, dropped


def _agreement(tree: Tree, scheme: Scheme, subj_idx: int) -> Agreement | Reason:
    reason = _bad_subject(tree, subj_idx)
    if reason is not None:
        return reason
    verb_idx, target = _finite(tree, scheme, tree.heads[subj_idx])
    reason = _bad_pair(tree, scheme, subj_idx, verb_idx)
    if reason is not None:
        return reason
    forms = inflections(tree.words[verb_idx].lower(), tree.tags[verb_idx])
    if forms is None:
        return "unknown inflection"
    alternative, is_past = forms
    if is_past:
        return "present equals past"
    label = NOUN_NUMBER[tree.tags[subj_idx]]
    return Agreement(subj_idx, verb_idx, label, target, alternative)


def _bad_subject(tree: Tree, subj_idx: int) -> Reason | None:
    """Say why a subject makes no item, whatever its verb is."""
    if tree.tags[subj_idx] not in NOUN_NUMBER:
        return "subject is no common noun"
    if not WORD.fullmatch(tree.words[subj_idx]):
        return "subject with digit or symbol"
    if len(tree.words) >= MAX_TOKENS:
        return "50 tokens or more"
    if any(len(token.split()) != 1 for token in (*tree.words, *tree.tags)):
        return "white space in a token"
    return "no finite verb" if tree.heads[subj_idx] in (ROOT, subj_idx) else None


def _finite(tree: Tree, scheme: Scheme, head: int) -> tuple[int, Target]:
    """Return the leftmost finite auxiliary or copula of a clause, or else its head."""
    for place, parent in enumerate(tree.heads):
        if parent == head and tree.tags[place] in FINITE:
            if tree.relations[place] in scheme.auxiliaries:
                return place, "aux"
            if tree.relations[place] in scheme.copulas:
                return place, "cop"
    is_copula = not scheme.copulas and tree.words[head].lower() in BE
    return head, "cop" if is_copula else "main"


def _bad_pair(tree: Tree, scheme: Scheme, subj_idx: int, verb_idx: int) -> Reason | None:
    """Say why a subject and the finite word of its clause make no item."""
    tag = tree.tags[verb_idx]
    if tag not in FINITE:
        return "no finite verb"
    if tag in ("MD", "VBD"):
        return "modal" if tag == "MD" else "past"
    if verb_idx < subj_idx:
        return "verb before subject"
    between = range(subj_idx + 1, verb_idx)
    if any(tree.heads[k] == subj_idx and tree.relations[k] == scheme.conjunct for k in between):
        return "coordinated subject"
    if VERB_NUMBER[tag] != NOUN_NUMBER[tree.tags[subj_idx]]:
        return "numbers differ"
    return None if tree.words[verb_idx].isalpha() else "clitic"


@functools.lru_cache(maxsize=100_000)
def inflections(verb: str, tag: str) -> tuple[str, bool] | None:
    """Return the form of the other number of a verb in the present tense.

    Args:
        verb: The form, in lower case.
        tag: ``VBZ`` or ``VBP``.

    Returns:
        Its counterpart, and whether `verb` is its own past; or None if lemminflect doesn't know
        `verb` with this tag.

    >>> inflections("is", "VBZ"), inflections("put", "VBP"), inflections("keies", "VBZ")
    (('are', False), ('puts', True), None)
    """
    import lemminflect  # noqa: PLC0415  it loads spaCy where that is installed: 1.3 s

    for lemma in lemminflect.getLemma(verb, upos="VERB"):
        singular, plural, past = (
            lemminflect.getInflection(lemma, tag=kind, inflect_oov=False)
            for kind in ("VBZ", "VBP", "VBD")
        )
        if singular and plural and verb in (singular if tag == "VBZ" else plural):
            # of "be" lemminflect lists "am" before "are"
            return (plural[-1] if tag == "VBZ" else singular[0]), verb in past
    return None
