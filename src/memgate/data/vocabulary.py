"""Words and ids: a `tokenizers` WordLevel model, looked up for whole corpora at once by Arrow."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from memgate.errors import InputError

UNKNOWN = "<unk>"

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
Index = npt.NDArray[np.int64]


class Words(NamedTuple):
    """What is read of N texts, flat: as `prefix_words` returns it."""

    words: pa.Array
    """All words, one text behind another."""
    tags: pa.Array | None
    """The PTB tag of each, null where unknown; None if no text has any."""
    lengths: Index
    """Words of each text."""


def flat_words(texts: pa.Array) -> tuple[pa.Array, Index]:
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


def prefix_words(texts: pa.Array, tags: pa.Array | None, lengths: Index | None = None) -> Words:
    """Return the words of prefixes as one flat array, and beside each its tag.

    Args:
        texts: N sentences, tokens joined by one space.
        tags: Their PTB tags in the same form, null where a sentence has none; or None.
        lengths: Words of each text that belong to the prefix; all of them by default.
    """
    words, offsets = flat_words(texts)
    whole = np.diff(offsets)
    lengths = whole if lengths is None else lengths
    read = np.arange(offsets[-1]) < np.repeat(offsets[:-1] + lengths, whole)
    words = words.filter(pa.array(read))
    if tags is None or tags.null_count == len(tags):
        return Words(words, None, lengths)
    flat, _ = flat_words(tags.drop_null())
    if tags.null_count == 0:
        return Words(words, flat.filter(pa.array(read)), lengths)
    tagged = np.repeat(tags.is_valid().to_numpy(zero_copy_only=False), whole)
    tag_of = np.full(len(read), -1, dtype=np.int64)
    tag_of[tagged] = np.arange(len(flat))
    tag_of = tag_of[read]
    return Words(words, flat.take(pa.array(tag_of, mask=tag_of < 0)), lengths)


def _distinct(words: pa.Array) -> tuple[pa.Array, Ids]:
    """Return the distinct words in the order of their first place, and the number of each word.

    A corpus has dozens of words for each distinct one, so it is these that are looked up.
    """
    coded = words.dictionary_encode()
    return coded.dictionary, coded.indices.to_numpy(zero_copy_only=False)


def _marked(distinct: pa.Array, among: Collection[str]) -> npt.NDArray[np.bool_]:
    found = pc.is_in(distinct, value_set=pa.array(among, pa.string()))
    marks: npt.NDArray[np.bool_] = found.to_numpy(zero_copy_only=False)
    return marks


class Vocabulary:
    """Maps words to ids, rarer words to the symbol of their PTB tag, the rest to ``<unk>``.

    The recipe is that of Linzen et al. (2016, section 3): a word outside the most frequent ones is
    replaced by its part-of-speech tag. Symbols are written in capitals as in their files, so a
    token such as ``NNS`` that is no word itself is read as the symbol.

    The `tokenizers.Tokenizer` holds words, symbols and lower-casing, and is what is saved; on words
    it gives the same ids (only the symbols of tags it doesn't know of, since those need the tags;
    and of all characters it lower-cases ``İ`` alone otherwise, to two characters).
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        if not isinstance(tokenizer.model, models.WordLevel):
            kind = type(tokenizer.model).__name__
            raise InputError(f"vocabulary: expected a WordLevel tokenizer, got {kind}")
        vocab = tokenizer.get_vocab()
        if vocab.get(UNKNOWN) != 0:
            raise InputError(f"vocabulary: expected {UNKNOWN} to have id 0")
        if sorted(vocab.values()) != list(range(len(vocab))):
            raise InputError(f"vocabulary: expected the ids 0 to {len(vocab) - 1}, each once")
        self.tokenizer = tokenizer
        self.lowercase = tokenizer.normalizer is not None

    @classmethod
    def from_words(
        cls, words: list[str], symbols: list[str] | None = None, lowercase: bool = True
    ) -> Vocabulary:
        """Make a vocabulary of the given words and tag symbols, ids in their order after ``<unk>``.

        >>> Vocabulary.from_words(["the", "cat"], ["NNS"]).encode(pa.array(["The", "dogs", "NNS"]))
        array([1, 0, 3], dtype=int32)
        """
        entries = dict.fromkeys([UNKNOWN, *words, *(symbols or [])])
        model = models.WordLevel({entry: i for i, entry in enumerate(entries)}, unk_token=UNKNOWN)
        tokenizer = Tokenizer(model)
        if lowercase:
            tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        return cls(tokenizer)

    @classmethod
    def build(
        cls, words: pa.Array, tags: pa.Array | None, size: int = 10_000, lowercase: bool = True
    ) -> Vocabulary:
        """Make the vocabulary of a training split.

        Args:
            words: All words read in training, flat.
            tags: Their PTB tags (null where unknown), or None.
            size: How many of the most frequent words are kept; of equally frequent ones the
                first in the order of their code points. Symbols (`SYMBOLS`) are not among them.
            lowercase: Whether case is ignored.

        Raises:
            InputError: `size` is below 1, or there is no word.
        """
        if size < 1:
            raise InputError(f"vocabulary: expected a size of at least 1, got {size}")
        if len(words) == 0:
            raise InputError("vocabulary: expected words, got an empty training split")
        distinct, number = _distinct(words)
        lower = pc.utf8_lower(distinct) if lowercase else distinct
        masked = _marked(distinct, SYMBOLS)[number]
        if tags is not None:  # a symbol stands for a word only where that has this tag, or none
            places = np.flatnonzero(masked)
            same = pc.equal(words.take(pa.array(places)), tags.take(pa.array(places)))
            masked[places] = pc.fill_null(same, True).to_numpy(zero_copy_only=False)
        symbols = distinct.take(pa.array(np.unique(number[masked]))).to_pylist()
        counts = Counter[str]()
        of_each = np.bincount(number[~masked], minlength=len(distinct)).tolist()
        for word, count in zip(lower.to_pylist(), of_each, strict=True):
            counts[word] += count  # "The" and "the" are two distinct words
        del counts[UNKNOWN]
        kept = sorted(+counts, key=lambda word: (-counts[word], word))[:size]
        if tags is not None:  # only symbols that training reads: the others would stay random
            rare = ~_marked(lower, [UNKNOWN, *kept])[number] & ~masked
            symbols += pc.unique(pc.drop_null(tags.filter(pa.array(rare)))).to_pylist()
        return cls.from_words(kept, sorted(set(symbols)), lowercase)

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    @cached_property
    def _entries(self) -> pa.Array:
        vocab: dict[str, int] = self.tokenizer.get_vocab()
        return pa.array(sorted(vocab, key=vocab.__getitem__), pa.string())

    def encode(self, words: pa.Array, tags: pa.Array | None = None) -> Ids:
        """Return the id of each word, in [0, len(self)): the word's, else its tag's, else 0.

        Args:
            words: Words, flat, none null.
            tags: One PTB tag a word, null where unknown.
        """
        entries = self._entries
        distinct, number = _distinct(words)
        lower = pc.utf8_lower(distinct) if self.lowercase else distinct
        found = pc.index_in(lower, value_set=entries)
        found = pc.fill_null(pc.coalesce(found, pc.index_in(distinct, value_set=entries)), -1)
        ids: Ids = found.to_numpy(zero_copy_only=False).astype(np.int32)[number]
        missing = np.flatnonzero(ids < 0)
        ids[missing] = 0
        if len(missing) and tags is not None:
            symbols = pc.index_in(tags.take(pa.array(missing)), value_set=entries)
            ids[missing] = pc.fill_null(symbols, 0).to_numpy(zero_copy_only=False)
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
        """Make the vocabulary that `text` is of."""
        return cls(Tokenizer.from_str(text))

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json``."""
        path.write_text(self.tokenizer.to_str(pretty=True), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read what `save` wrote.

        Raises:
            InputError: The file is missing or isn't a WordLevel tokenizer with ``<unk>`` first.
        """
        if not path.is_file():
            raise InputError(f"{path}: expected a tokenizer.json, found no file")
        try:
            return cls(Tokenizer.from_file(str(path)))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except Exception as error:  # tokenizers raises a bare Exception
            raise InputError(f"{path}: expected a tokenizer.json, got: {error}") from error
