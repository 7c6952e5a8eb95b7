"""Words and ids: a `tokenizers` WordLevel model, and look-up of whole corpora at once by Arrow."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer, models, normalizers

from memgate.arrays import Bools, Ints
from memgate.data.tag_lexicon import TAG_LEXICON_FILE, TagLexicon
from memgate.data.tokenization import pre_tokenizer
from memgate.errors import InputError

TOKENIZER_FILE = "tokenizer.json"

UNKNOWN_WORD = "<unk>"

SYMBOLS: tuple[str, ...] = (
    *("CC", "CD", "DT", "EX", "FW", "IN", "JJ", "JJR", "JJS", "LS", "MD", "NN", "NNP", "NNPS"),
    *("NNS", "PDT", "POS", "PRP", "PRP$", "RB", "RBR", "RBS", "RP", "SYM", "TO", "UH", "VB"),
    *("VBD", "VBG", "VBN", "VBP", "VBZ", "WDT", "WP", "WP$", "WRB"),
)
"""The 36 PTB tags of words (Marcus et al. 1993, table 2), in capitals.

Linzen et al.'s files write them in place of rare words, in text that is lower case otherwise. In
67,021 items of real text in its own case, 69 tokens look like one, the noun "CD" 23 times.
"""

Ids = npt.NDArray[np.int32]


class Words(NamedTuple):
    """The words of N prefixes, flat, from `prefix_words`."""

    words: pa.Array
    """All words, text by text."""
    tags: pa.Array | None
    """The PTB tag of each, null where unknown; None if no text has any."""
    lengths: Ints
    """Words of each text."""


def flat_words(texts: pa.Array) -> tuple[pa.Array, Ints]:
    """Split texts at single spaces into one flat array.

    Args:
        texts: N strings, none null.

    Returns:
        All words, and the N + 1 offsets at which each text's words begin and end.

    >>> words, offsets = flat_words(pa.array(["the cat", "it"]))
    >>> words.to_pylist(), offsets.tolist()
    (['the', 'cat', 'it'], [0, 2, 3])
    """
    lists = pc.split_pattern(texts, " ").cast(pa.large_list(pa.string()))
    words = lists.flatten()
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    return words, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def prefix_words(texts: pa.Array, tags: pa.Array | None, lengths: Ints | None = None) -> Words:
    """Return the words of prefixes and their tags as flat arrays.

    Args:
        texts: N sentences, tokens joined by one space.
        tags: Their PTB tags in the same form, null where a sentence has none; or None.
        lengths: Words of each text that belong to the prefix; all of them by default.
    """
    words, offsets = flat_words(texts)
    text_lengths = np.diff(offsets)
    lengths = text_lengths if lengths is None else lengths
    in_prefix = np.arange(offsets[-1]) < np.repeat(offsets[:-1] + lengths, text_lengths)
    words = words.filter(pa.array(in_prefix))
    if tags is None or tags.null_count == len(tags):
        return Words(words, None, lengths)
    flat_tags, _ = flat_words(tags.drop_null())
    if tags.null_count == 0:
        return Words(words, flat_tags.filter(pa.array(in_prefix)), lengths)
    tagged = np.repeat(tags.is_valid().to_numpy(zero_copy_only=False), text_lengths)
    tag_index = np.full(len(in_prefix), -1, dtype=np.int64)
    tag_index[tagged] = np.arange(len(flat_tags))
    tag_index = tag_index[in_prefix]
    return Words(words, flat_tags.take(pa.array(tag_index, mask=tag_index < 0)), lengths)


def _distinct(words: pa.Array) -> tuple[pa.Array, Ids]:
    """Return the distinct words in the order of first occurrence, and each word's index in them.

    A corpus has dozens of words for each distinct one, so only the distinct ones are looked up.
    """
    encoded = words.dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False)


def _is_among(words: pa.Array, entries: Collection[str]) -> Bools:
    is_in = pc.is_in(words, value_set=pa.array(entries, pa.string()))
    mask: Bools = is_in.to_numpy(zero_copy_only=False)
    return mask


class Vocabulary:
    """Maps words to ids, rarer words to the symbol of their PTB tag, the rest to ``<unk>``.

    The recipe is that of Linzen et al. (2016, section 3): a word outside the most frequent ones is
    replaced by its part-of-speech tag. Symbols are written in capitals as in their files, so a
    token such as ``NNS`` that is no word itself is read as the symbol.

    The `tokenizers.Tokenizer` holds words, symbols, lower-casing and the splitting of typed text,
    and is what is saved. It gives words the same ids as `encode`, with two exceptions: it reads no
    tags, so it gives rare words ``<unk>``; and it lower-cases ``İ`` to two characters.

    Args:
        tokenizer: A WordLevel model whose first entry is ``<unk>``.
        lexicon: Tags of words outside the vocabulary, for text without tags; None reads these words
            as ``<unk>``, as Linzen et al. do.
    """

    def __init__(self, tokenizer: Tokenizer, lexicon: TagLexicon | None = None) -> None:
        if not isinstance(tokenizer.model, models.WordLevel):
            kind = type(tokenizer.model).__name__
            raise InputError(f"vocabulary: expected a WordLevel tokenizer, got {kind}")
        vocab = tokenizer.get_vocab()
        if vocab.get(UNKNOWN_WORD) != 0:
            raise InputError(f"vocabulary: expected {UNKNOWN_WORD} to have id 0")
        if sorted(vocab.values()) != list(range(len(vocab))):
            raise InputError(f"vocabulary: expected the ids 0 to {len(vocab) - 1}, each once")
        self.tokenizer = tokenizer
        self.lexicon = lexicon
        self.lowercase = tokenizer.normalizer is not None

    @classmethod
    def from_words(
        cls, words: list[str], symbols: list[str] | None = None, lowercase: bool = True
    ) -> Vocabulary:
        """Make a vocabulary of words and tag symbols, with ids in their order after ``<unk>``.

        >>> Vocabulary.from_words(["the", "cat"], ["NNS"]).encode(pa.array(["The", "dogs", "NNS"]))
        array([1, 0, 3], dtype=int32)
        """
        entries = dict.fromkeys([UNKNOWN_WORD, *words, *(symbols or [])])
        model = models.WordLevel(
            {entry: i for i, entry in enumerate(entries)}, unk_token=UNKNOWN_WORD
        )
        tokenizer = Tokenizer(model)
        if lowercase:
            tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizer()
        return cls(tokenizer)

    @classmethod
    def build(
        cls,
        words: pa.Array,
        tags: pa.Array | None,
        size: int = 10_000,
        lowercase: bool = True,
        min_count: int = 1,
    ) -> Vocabulary:
        """Make the vocabulary of a training split.

        Args:
            words: All words read in training, flat.
            tags: Their PTB tags (null where unknown), or None.
            size: How many of the most frequent words are kept; of equally frequent ones the
                first in the order of their code points. Symbols (`SYMBOLS`) are not among them.
            lowercase: Whether case is ignored.
            min_count: How often a word that is kept occurs at least.

        Raises:
            InputError: `size` is below 1, or there is no word.
        """
        if size < 1:
            raise InputError(f"vocabulary: expected a size of at least 1, got {size}")
        if len(words) == 0:
            raise InputError("vocabulary: expected words, got an empty training split")
        distinct, index = _distinct(words)
        lower = pc.utf8_lower(distinct) if lowercase else distinct
        is_symbol = _is_among(distinct, SYMBOLS)[index]
        if tags is not None:  # a symbol stands for a word only where that has this tag, or none
            positions = np.flatnonzero(is_symbol)
            same = pc.equal(words.take(pa.array(positions)), tags.take(pa.array(positions)))
            is_symbol[positions] = pc.fill_null(same, True).to_numpy(zero_copy_only=False)
        symbols = distinct.take(pa.array(np.unique(index[is_symbol]))).to_pylist()
        counts = Counter[str]()
        distinct_counts = np.bincount(index[~is_symbol], minlength=len(distinct)).tolist()
        for word, count in zip(lower.to_pylist(), distinct_counts, strict=True):
            counts[word] += count  # "The" and "the" are two distinct words
        del counts[UNKNOWN_WORD]
        frequent = sorted(
            (word for word, count in counts.items() if count >= min_count),
            key=lambda word: (-counts[word], word),
        )[:size]
        if tags is not None:  # only symbols that training reads: the others would stay random
            is_rare = ~_is_among(lower, [UNKNOWN_WORD, *frequent])[index] & ~is_symbol
            symbols += pc.unique(pc.drop_null(tags.filter(pa.array(is_rare)))).to_pylist()
        return cls.from_words(frequent, sorted(set(symbols)), lowercase)

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    @cached_property
    def entries(self) -> pa.Array:
        """What ids stand for: ``<unk>``, words (in lower case unless case counts), and symbols."""
        vocab: dict[str, int] = self.tokenizer.get_vocab()
        return pa.array(sorted(vocab, key=vocab.__getitem__), pa.string())

    def tokenize(self, texts: Sequence[str]) -> list[str]:
        """Split text as people type it into tokens, joined by one space.

        >>> Vocabulary.from_words(["the"]).tokenize(["The cat, which isn't in,"])
        ["The cat , which is n't in ,"]
        """
        split = self.tokenizer.pre_tokenizer.pre_tokenize_str
        return [" ".join(token for token, _ in split(text)) for text in texts]

    def encode(
        self, words: pa.Array, tags: pa.Array | None = None, lengths: Ints | None = None
    ) -> Ids:
        """Return the id of each word: the word's own, else that of its tag, else 0.

        The tag of a word without one is that of the lexicon, where there is a lexicon.

        Args:
            words: Words, flat, none null.
            tags: One PTB tag a word, null where unknown.
            lengths: Words of each text; they are one text by default.
        """
        entries = self.entries
        distinct, index = _distinct(words)
        lower = pc.utf8_lower(distinct) if self.lowercase else distinct
        entry = pc.index_in(lower, value_set=entries)
        entry = pc.fill_null(pc.coalesce(entry, pc.index_in(distinct, value_set=entries)), -1)
        ids: Ids = entry.to_numpy(zero_copy_only=False).astype(np.int32)[index]
        missing = np.flatnonzero(ids < 0)
        ids[missing] = 0
        if len(missing) and tags is not None:
            symbols = tags.take(pa.array(missing))
            ids[missing] = self._symbol_ids(symbols)
            missing = missing[symbols.is_null().to_numpy(zero_copy_only=False)]
        if len(missing) and self.lexicon is not None:
            is_first = np.zeros(len(words), dtype=bool)
            is_first[0 if lengths is None else np.cumsum(lengths) - lengths] = True
            rare = words.take(pa.array(missing))
            ids[missing] = self._symbol_ids(self.lexicon.tag(rare, is_first[missing]))
        return ids

    def _symbol_ids(self, tags: pa.Array) -> Ids:
        ids: Ids = pc.fill_null(pc.index_in(tags, value_set=self.entries), 0).to_numpy()
        return ids

    def digest(self) -> str:
        """Return a short digest of the entries and the lower-casing."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:16]

    def text(self) -> str:
        """Return the tokenizer as JSON, which `parse` reads."""
        text: str = self.tokenizer.to_str()
        return text

    @classmethod
    def parse(cls, text: str) -> Vocabulary:
        """Read a vocabulary from the JSON that `text` returns."""
        return cls(Tokenizer.from_str(text))

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json``, and ``lexicon.parquet`` if there is a lexicon."""
        (folder / TOKENIZER_FILE).write_text(self.tokenizer.to_str(pretty=True), encoding="utf-8")
        if self.lexicon is not None:
            self.lexicon.save(folder / TAG_LEXICON_FILE)

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Read what `save` wrote.

        Raises:
            InputError: A file is damaged, or there is no tokenizer.json, or it isn't a WordLevel
                tokenizer with ``<unk>`` first.
        """
        path = folder / TOKENIZER_FILE
        if not path.is_file():
            raise InputError(f"{path}: expected a tokenizer.json, found no file")
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises a bare Exception
            raise InputError(f"{path}: expected a tokenizer.json, got: {error}") from error
        lexicon = folder / TAG_LEXICON_FILE
        try:
            return cls(tokenizer, TagLexicon.load(lexicon) if lexicon.is_file() else None)
        except InputError as error:
            where = "" if str(lexicon) in str(error) else f"{path}: "
            raise InputError(f"{where}{error}") from error
