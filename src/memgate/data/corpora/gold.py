"""How good the items of parsed text are: a parser's trees against gold ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from memgate.data import files
from memgate.data.corpora import parsing
from memgate.data.items.dependencies import CLEAR, UD, Agreement, agreements
from memgate.data.items.numbers import VERB_NUMBER
from memgate.data.sources import conllu
from memgate.errors import InputError

GOLD = (
    "$MEMGATE_DATA/conllu/en_ewt-ud-dev.conllu.gz",
    "$MEMGATE_DATA/conllu/en_ewt-ud-test.conllu.gz",
    "$MEMGATE_DATA/conllu/en_pud-ud-test.conllu.gz",
)
"""Web text, news and Wikipedia that en_core_web_sm (OntoNotes 5) was not trained on."""


class Quality(NamedTuple):
    """Counts of a comparison with gold trees; an item is a subject, its verb and their number.

    Attributes:
        parser: Name and version of the parser.
        sentences: Number of sentences.
        gold: Items of the gold trees.
        found: Items of the parser's trees.
        right: Items of both.
        number: Found items whose number is that of the verb's gold tag, VBZ or VBP.
    """

    parser: str
    sentences: int
    gold: int
    found: int
    right: int
    number: int

    @property
    def precision(self) -> float:
        """Share of the found items that are gold items."""
        return self.right / self.found

    @property
    def recall(self) -> float:
        """Share of the gold items that are found."""
        return self.right / self.gold

    @property
    def number_accuracy(self) -> float:
        """Share of the found items with the verb's true number."""
        return self.number / self.found


def check(patterns: Iterable[str] = GOLD, model: str | None = None) -> Quality:
    """Parse the words of gold trees, and compare the items of both.

    Args:
        patterns: CoNLL-U files with UD labels and PTB tags: paths or globs.
        model: The spaCy model, see `parsing.load`.

    Raises:
        InputError: A file is missing or malformed, there are no items, or spaCy is not installed.
    """
    paths = files.paths(patterns, "CoNLL-U")
    parser = parsing.load(model)
    sentences = [sentence for path in paths for sentence in conllu.read(path)]
    parsed = parsing.parse_words(parser, [sentence.tree.words for sentence in sentences])
    gold = found = right = number = 0
    for sentence, tree in zip(sentences, parsed, strict=True):
        wanted = _keys(agreements(sentence.tree, UD)[0])
        got = _keys(agreements(tree, CLEAR)[0])
        gold += len(wanted)
        found += len(got)
        right += len(wanted & got)
        number += sum(VERB_NUMBER.get(sentence.tree.tags[verb]) == label for _, verb, label in got)
    if not gold or not found:
        raise InputError(
            f"{', '.join(patterns)}: expected agreement items, found {gold} in the gold trees and "
            f"{found} in the parser's"
        )
    return Quality(parsing.version(parser), len(sentences), gold, found, right, number)


def _keys(found: Sequence[Agreement]) -> set[tuple[int, int, str]]:
    return {(agreement.subj_idx, agreement.verb_idx, agreement.label) for agreement in found}
