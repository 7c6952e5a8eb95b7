"""Agreement items of parsed sentences: one definition for two schemes of dependency labels."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from memgate.data.items.numbers import NOUN_NUMBER, VERB_NUMBER, Label
from memgate.data.items.roles import roles
from memgate.data.items.schema import Item
from memgate.data.splits import unit_hashes

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
    "another item of its sentence was sampled",
]
"""Why a subject gives no item: the first reason that holds. `extract_items` adds the last two."""

ROOT = -1
"""The head of a sentence's root; spaCy gives the index of the root itself, which works too."""

MAX_TOKENS = 50
"""A sentence has fewer tokens than this."""

FINITE = {"MD", "VBD", "VBZ", "VBP"}
"""PTB tags of finite verbs; modals and past tenses don't show number (but for "was", "were")."""

BE = {"am", "are", "is"}

WORD = re.compile(r"[^\W\d_]+(?:['’.-]+[^\W\d_]*)*")
"""Letters, with hyphens, apostrophes and full stops among them; not "83N", "S&S" or "#"."""


class Scheme(NamedTuple):
    """The dependency labels of a scheme, as far as agreement needs them.

    Attributes:
        subjects: From a clause's head to its subject.
        auxiliaries: From a clause's head to its auxiliaries.
        copulas: From a predicate to its copula; empty where the copula itself is the head.
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
    """The dependency tree of a sentence; the four sequences have one entry a token.

    Attributes:
        words: The tokens as written.
        tags: PTB tags.
        heads: Index of each token's head; at the root `ROOT` or its own index.
        relations: Label of the arc from the head.
    """

    words: Sequence[str]
    tags: Sequence[str]
    heads: Sequence[int]
    relations: Sequence[str]


class ParsedSentence(NamedTuple):
    """A sentence's id and tree."""

    name: str
    tree: Tree


class Agreement(NamedTuple):
    """A subject and the word that agrees with it.

    Attributes:
        subj_idx: Index of the head of the subject.
        verb_idx: Index of the agreeing word, right of the subject.
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
    """Find the agreeing subjects of a sentence, and why its other subjects are left out.

    A subject is a common noun (NN or NNS; no pronoun, proper noun or relativizer) left of its verb
    and not coordinated before it. The agreeing word is the leftmost finite auxiliary of the clause,
    a copula included, or else the clause's head. It is in the present tense (VBZ or VBP), has the
    subject's number, is written in letters alone (no "'s" or "'re") and differs from its past: a
    plural "put" or "read" confuses taggers, "puts" shows its tense. Where the numbers differ, the
    parser is wrong or the agreement is notional ("a number of people are"). The rules follow
    Linzen et al. (2016), section 2, who take main verbs and copulas only.

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
    agreeing: list[Agreement] = []
    dropped: Counter[Reason] = Counter()
    for index, relation in enumerate(tree.relations):
        if relation in scheme.subjects:
            result = _agreement(tree, scheme, index)
            if isinstance(result, Agreement):
                agreeing.append(result)
            else:
                dropped[result] += 1
    return agreeing, dropped


def _agreement(tree: Tree, scheme: Scheme, subj_idx: int) -> Agreement | Reason:
    reason = _bad_subject(tree, subj_idx)
    if reason is not None:
        return reason
    verb_idx, target = _finite_verb(tree, scheme, tree.heads[subj_idx])
    reason = _bad_pair(tree, scheme, subj_idx, verb_idx)
    if reason is not None:
        return reason
    forms = inflections(tree.words[verb_idx].lower(), tree.tags[verb_idx])
    if forms is None:
        return "unknown inflection"
    verb_alt, is_past = forms
    if is_past:
        return "present equals past"
    label = NOUN_NUMBER[tree.tags[subj_idx]]
    return Agreement(subj_idx, verb_idx, label, target, verb_alt)


def _bad_subject(tree: Tree, subj_idx: int) -> Reason | None:
    """Return why a subject makes no item, whatever its verb is."""
    if tree.tags[subj_idx] not in NOUN_NUMBER:
        return "subject is no common noun"
    if not WORD.fullmatch(tree.words[subj_idx]):
        return "subject with digit or symbol"
    if len(tree.words) >= MAX_TOKENS:
        return "50 tokens or more"
    if any(len(token.split()) != 1 for token in (*tree.words, *tree.tags)):
        return "white space in a token"
    return "no finite verb" if tree.heads[subj_idx] in (ROOT, subj_idx) else None


def _finite_verb(tree: Tree, scheme: Scheme, head: int) -> tuple[int, Target]:
    """Return the leftmost finite auxiliary or copula of a clause, or else its head."""
    for index, parent in enumerate(tree.heads):
        if parent == head and tree.tags[index] in FINITE:
            if tree.relations[index] in scheme.auxiliaries:
                return index, "aux"
            if tree.relations[index] in scheme.copulas:
                return index, "cop"
    is_copula = not scheme.copulas and tree.words[head].lower() in BE
    return head, "cop" if is_copula else "main"


def _bad_pair(tree: Tree, scheme: Scheme, subj_idx: int, verb_idx: int) -> Reason | None:
    """Return why a subject and the finite verb of its clause make no item."""
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
            # lemminflect lists "am" before "are"
            return (plural[-1] if tag == "VBZ" else singular[0]), verb in past
    return None


class Extraction(NamedTuple):
    """The items of many sentences, and what was left out.

    Attributes:
        items: Rows of `memgate.data.items.schema.FEATURES`; an item's id is its sentence's name, a
            colon and the index of the verb.
        targets: What agrees in each item.
        dropped: How many subjects were left out, by reason.
        sentences: Number of sentences.
        tokens: Number of their tokens.
    """

    items: list[Item]
    targets: list[Target]
    dropped: Counter[Reason]
    sentences: int
    tokens: int


def extract_items(
    sentences: Iterable[ParsedSentence], scheme: Scheme, linzen: bool = False, seed: int = 0
) -> Extraction:
    """Collect the items of sentences, in their order.

    Args:
        sentences: The sentences.
        scheme: The scheme of their labels.
        linzen: Whether to keep main verbs and copulas only, and one random item a sentence, as
            Linzen et al. (2016), section 2, do.
        seed: Seed of that choice, which depends on it and on the sentence's text alone.
    """
    items: list[Item] = []
    targets: list[Target] = []
    dropped: Counter[Reason] = Counter()
    sentence_count = token_count = 0
    for name, tree in sentences:
        agreeing, reasons = agreements(tree, scheme)
        dropped.update(reasons)
        if linzen and agreeing:
            agreeing = _sample_one(tree, agreeing, seed, dropped)
        items += [make_item(tree, pair, f"{name}:{pair.verb_idx}") for pair in agreeing]
        targets += [pair.target for pair in agreeing]
        sentence_count += 1
        token_count += len(tree.words)
    return Extraction(items, targets, dropped, sentence_count, token_count)


def _sample_one(
    tree: Tree, agreeing: Sequence[Agreement], seed: int, dropped: Counter[Reason]
) -> list[Agreement]:
    """Keep one agreement that is not an auxiliary's, at random; count the others in `dropped`."""
    kept = [pair for pair in agreeing if pair.target != "aux"]
    if len(kept) < len(agreeing):
        dropped["auxiliary"] += len(agreeing) - len(kept)
    if len(kept) > 1:
        dropped["another item of its sentence was sampled"] += len(kept) - 1
        kept = [kept[int(unit_hashes([" ".join(tree.words)], seed)[0] * len(kept))]]
    return kept


def make_item(tree: Tree, agreement: Agreement, item_id: str) -> Item:
    """Return the row of `memgate.data.items.schema.FEATURES` for an agreement."""
    subj_idx, verb_idx, label = agreement.subj_idx, agreement.verb_idx, agreement.label
    return Item(
        id=item_id,
        text=" ".join(tree.words),
        verb_idx=verb_idx,
        subj_idx=subj_idx,
        label=label,
        tags=" ".join(tree.tags),
        n_attractors=roles(tree.tags, subj_idx, verb_idx, label).count("attractor"),
        verb=tree.words[verb_idx],
        verb_alt=agreement.verb_alt,
        condition=None,
        good=None,
        bad=None,
    )
