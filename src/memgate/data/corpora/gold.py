"""The quality of extracted items: those of a parser's trees against those of gold trees."""

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
"""Web text, news and Wikipedia; en_core_web_sm was trained on others (OntoNotes 5)."""


class Quality(NamedTuple):
    """Counts of a comparison with gold trees; an item is a subject, its verb and their number.

    Attributes:
        parser: Name and version of the parser.
        sentences: Number of sentences.
        gold: Items of the gold trees.
        extracted: Items of the parser's trees.
        correct: Items of both.
        correct_number: Extracted items whose number is that of the verb's gold tag, VBZ or VBP.
    """

    parser: str
    sentences: int
    gold: int
    extracted: int
    correct: int
    correct_number: int

    @property
    def precision(self) -> float:
        """Proportion of the extracted items that are gold items."""
        return self.correct / self.extracted

    @property
    def recall(self) -> float:
        """Proportion of the gold items that are extracted."""
        return self.correct / self.gold

    @property
    def number_accuracy(self) -> float:
        """Proportion of the extracted items with the verb's true number."""
        return self.correct_number / self.extracted


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
    gold = extracted = correct = correct_number = 0
    for sentence, tree in zip(sentences, parsed, strict=True):
        gold_items = _items(agreements(sentence.tree, UD)[0])
        items = _items(agreements(tree, CLEAR)[0])
        gold += len(gold_items)
        extracted += len(items)
        correct += len(gold_items & items)
        tags = sentence.tree.tags
        correct_number += sum(VERB_NUMBER.get(tags[verb]) == label for _, verb, label in items)
    if not gold or not extracted:
        raise InputError(
            f"{', '.join(patterns)}: expected agreement items, got {gold} in the gold trees and "
            f"{extracted} in the parser's"
        )
    version = parsing.version(parser)
    return Quality(version, len(sentences), gold, extracted, correct, correct_number)


def _items(agreeing: Sequence[Agreement]) -> set[tuple[int, int, str]]:
    return {(pair.subj_idx, pair.verb_idx, pair.label) for pair in agreeing}
