"""The items of many parsed sentences, and how many subjects were left out for which reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from memgate.data.items.dependencies import (
    Agreement,
    Reason,
    Scheme,
    Sentence,
    Target,
    Tree,
    agreements,
)
from memgate.data.items.roles import roles
from memgate.data.items.schema import Item
from memgate.data.splits import places


class Extraction(NamedTuple):
    """The items of many sentences, and what was left out.

    Attributes:
        items: Rows of `example.FEATURES`; the id is the sentence's, a colon and the verb's place.
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
    sentences: Iterable[Sentence], scheme: Scheme, linzen: bool = False, seed: int = 0
) -> Extraction:
    """Collect the items of sentences.

    Args:
        sentences: In the order of the items.
        scheme: The scheme of their labels.
        linzen: Whether to keep main verbs and copulas only, and one random item a sentence, as
            Linzen et al. (2016), section 2, do.
        seed: Seed of that choice; it depends on nothing else but the sentence's text.
    """
    items: list[Item] = []
    targets: list[Target] = []
    dropped: Counter[Reason] = Counter()
    count = tokens = 0
    for name, tree in sentences:
        found, left_out = agreements(tree, scheme)
        dropped.update(left_out)
        if linzen and found:
            found = _as_linzen(tree, found, seed, dropped)
        items += [item(tree, agreement, f"{name}:{agreement.verb_idx}") for agreement in found]
        targets += [agreement.target for agreement in found]
        count += 1
        tokens += len(tree.words)
    return Extraction(items, targets, dropped, count, tokens)


def _as_linzen(
    tree: Tree, found: Sequence[Agreement], seed: int, dropped: Counter[Reason]
) -> list[Agreement]:
    kept = [agreement for agreement in found if agreement.target != "aux"]
    if len(kept) < len(found):
        dropped["auxiliary"] += len(found) - len(kept)
    if len(kept) > 1:
        dropped["another of its sentence was drawn"] += len(kept) - 1
        kept = [kept[int(places([" ".join(tree.words)], seed)[0] * len(kept))]]
    return kept


def item(tree: Tree, agreement: Agreement, name: str) -> Item:
    """Return the row of `example.FEATURES` for an agreement, with `name` as its id."""
    subj_idx, verb_idx, label = agreement.subj_idx, agreement.verb_idx, agreement.label
    return Item(
        id=name,
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
