"""Words and ids: a `tokenizers` WordLevel model, looked up for whole corpora at once by Arrow."""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import cached_property
from pathlib import Path

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


def prefix_words(
    texts: pa.Array, tags: pa.Array | None, lengths: Index | None = None
) -> tuple[pa.Array, pa.Array | None, Index]:
    """Return the words of prefixes as one flat array, and beside each its tag.

    Args:
        texts: N sentences, tokens joined by one space.
        tags: Their PTB tags in the same form, null where a sentence has none; or None.
        lengths: Words of each text that belong to the prefix; all of them by default.

    Returns:
        Words; tags, null where unknown, or None if no sentence has any; and the lengths.
    """
    words, offsets = flat_words(texts)
    whole = np.diff(offsets)
    lengths = whole if lengths is None else lengths
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], whole)
    read = place < np.repeat(lengths, whole)
    words = words.filter(pa.array(read))
    if tags is None or tags.null_count == len(tags):
        return words, None, lengths
    flat, _ = flat_words(tags.drop_null())
    tagged = np.repeat(tags.is_valid().to_numpy(zero_copy_only=False), whole)
    tag_of = np.full(len(read), -1, dtype=np.int64)
    tag_of[tagged] = np.arange(len(flat))
    tag_of = tag_of[read]
    return words, flat.take(pa.array(tag_of, mask=tag_of < 0)), lengths


def _masked(words: pa.Array, tags: pa.Array | None) -> pa.Array:
    """Mark the words that are the symbol of their tag, or of a tag where theirs is unknown."""
    masked = pc.is_in(words, value_set=pa.array(SYMBOLS, pa.string()))
    if tags is None:
        return masked
    return pc.and_(masked, pc.fill_null(pc.equal(words, tags), True))


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
        masked = _masked(words, tags)
        symbols = pc.unique(words.filter(masked)).to_pylist()
        unmasked = pc.invert(masked)
        words = words.filter(unmasked)
        words = pc.utf8_lower(words) if lowercase else words
        counts = Counter(
            {entry["values"]: entry["counts"] for entry in pc.value_counts(words).to_pylist()}
        )
        counts.pop(UNKNOWN, None)
        kept = sorted(counts, key=lambda word: (-counts[word], word))[:size]
        if tags is not None:  # only symbols that training reads: the others would stay random
            rare = pc.invert(pc.is_in(words, value_set=pa.array([UNKNOWN, *kept], pa.string())))
            symbols += pc.unique(pc.drop_null(tags.filter(unmasked).filter(rare))).to_pylist()
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
        found = pc.index_in(pc.utf8_lower(words) if self.lowercase else words, value_set=entries)
        if found.null_count:
            found = pc.coalesce(found, pc.index_in(words, value_set=entries))
        if found.null_count and tags is not None:
            found = pc.coalesce(found, pc.index_in(tags, value_set=entries))
        ids: Ids = pc.fill_null(found, 0).to_numpy(zero_copy_only=False).astype(np.int32)
        return ids

    def digest(self) -> str:
        """Return a short digest of the entries and the lower-casing."""
        return hashlib.sha256(self.tokenizer.to_str().encode()).hexdigest()[:16]

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
