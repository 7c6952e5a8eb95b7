"""Tags of words outside a vocabulary: those that they, or words with their ending, usually have."""

from __future__ import annotations

import functools
import gzip
from collections import Counter, defaultdict
from importlib import resources
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from memgate.arrays import Bools
from memgate.data import parquet

TAG_LEXICON_FILE = "lexicon.parquet"
"""File of a tag lexicon alongside ``tokenizer.json``."""

LONGEST_ENDING = 4
"""Letters of the longest ending; TnT (Brants 2000, section 2.3) goes to 10.

Fitted on corpus/, endings give 86.0% of the nouns of UD that are not in it their tag, and 1.5% the
tag of the other number; with 3 or 6 letters, or other `MIN_WORDS`, 84 to 86% and 1.5 to 1.9%. With
lemminflect's nouns it is 88.4%.
"""

MIN_WORDS = 10
"""An ending counts if at least so many words have it."""

PROPER_NOUN = "NNP"

PROPER_NOUNS = ("NNP", "NNPS")

_SCHEMA = pa.schema([("entry", pa.string()), ("tag", pa.string()), ("is_ending", pa.bool_())])


class TagLexicon:
    """Gives a word that is not in the vocabulary a PTB tag.

    1. A word that training has: the tag that it most often has there; also a noun of lemminflect's
       dictionary, such as "lice", whose ending would mislead.
    2. A capitalised word that doesn't begin its text: ``NNP``.
    3. Any other word: the tag that most rare words with the same ending have, the longest ending
       that is known. This is the guess by suffix of TnT (Brants 2000, "TnT: a statistical
       part-of-speech tagger", section 2.3), without its smoothing. Proper nouns are not counted.

    Case is ignored but in step 2.

    Args:
        words: Words in lower case, each once.
        tags: The tag of each.
        endings: Tags by ending in lower case; ``""`` is the ending of all words.
    """

    def __init__(self, words: pa.Array, tags: pa.Array, endings: dict[str, str]) -> None:
        self.words = words
        self.tags = tags
        self.endings = endings

    @classmethod
    def fit(cls, words: pa.Array, tags: pa.Array, known: pa.Array) -> Self:
        """Keep the tags of rare words, and count those of their endings.

        Args:
            words: The words of the training split in lower case, each once.
            tags: The tag that each most often has (`memgate.data.tagger.Tagger`).
            known: The words of the vocabulary, in lower case.
        """
        is_rare = pc.invert(pc.is_in(words, value_set=known))
        rare, rare_tags = words.filter(is_rare), tags.filter(is_rare)
        lexicon = cls(rare, rare_tags, _endings(rare.to_pylist(), rare_tags.to_pylist()))
        if not lexicon.endings:
            return lexicon
        nouns, noun_tags = _nouns()
        is_new = pc.invert(pc.is_in(nouns, value_set=pa.concat_arrays([words, known])))
        misled = pc.and_(is_new, pc.not_equal(lexicon.tag(nouns), noun_tags))
        return cls(
            pa.concat_arrays([rare, nouns.filter(misled)]),
            pa.concat_arrays([rare_tags, noun_tags.filter(misled)]),
            lexicon.endings,
        )

    def tag(self, words: pa.Array, is_first: Bools | None = None) -> pa.Array:
        """Return a tag for each word, null for a word that is no word, such as a comma.

        Args:
            words: Words, flat, none null.
            is_first: Whether each begins its text; all do by default.

        >>> lexicon = TagLexicon(pa.array(["zebras"]), pa.array(["NNS"]), {"": "NN", "s": "NNS"})
        >>> first = np.array([True, False, False, False])
        >>> lexicon.tag(pa.array(["Wugs", "zebras", "Wugs", "?"]), first).to_pylist()
        ['NNS', 'NNS', 'NNP', None]
        """
        tags = self.tags.take(pc.index_in(pc.utf8_lower(words), value_set=self.words))
        unknown = np.flatnonzero(tags.is_null().to_numpy(zero_copy_only=False))
        if not len(unknown):
            return tags
        guesses = [
            self._guess(word, is_first is None or bool(is_first[index]))
            for index, word in zip(unknown, words.take(pa.array(unknown)).to_pylist(), strict=True)
        ]
        mask = np.zeros(len(words), dtype=bool)
        mask[unknown] = True
        return pc.replace_with_mask(tags, pa.array(mask), pa.array(guesses, pa.string()))

    def _guess(self, word: str, is_first: bool) -> str | None:
        if not any(character.isalnum() for character in word):
            return None
        if word[0].isupper() and not is_first:
            return PROPER_NOUN
        lower = word.lower()
        for start in range(max(0, len(lower) - LONGEST_ENDING), len(lower) + 1):
            if lower[start:] in self.endings:
                return self.endings[lower[start:]]
        return None

    def save(self, path: Path) -> None:
        """Write a Parquet file with the columns entry, tag and is_ending."""
        words = pa.table([self.words, self.tags, pa.repeat(False, len(self.words))], schema=_SCHEMA)
        endings = pa.table(
            [list(self.endings), list(self.endings.values()), pa.repeat(True, len(self.endings))],
            schema=_SCHEMA,
        )
        pq.write_table(pa.concat_tables([words, endings]), path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: The file is missing, damaged or holds something else.
        """
        table = parquet.read(path, _SCHEMA, "the tags of rare words")
        words = table.filter(pc.invert(table["is_ending"]))
        endings = table.filter(table["is_ending"])
        return cls(
            words["entry"].combine_chunks(),
            words["tag"].combine_chunks(),
            dict(zip(endings["entry"].to_pylist(), endings["tag"].to_pylist(), strict=True)),
        )


@functools.cache
def _nouns() -> tuple[pa.Array, pa.Array]:
    """Return the words that are only nouns in lemminflect's dictionary, and ``NN`` or ``NNS``.

    lemminflect looks words up, but has no function that lists them; this is the file it reads, with
    lines such as "lice,noun,louse".
    """
    content = (resources.files("lemminflect") / "resources" / "lemma_lu.csv.gz").read_bytes()
    lemmas: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for line in gzip.decompress(content).decode("utf-8").splitlines():
        form, part_of_speech, forms = line.split(",", 2)
        lemmas[form][part_of_speech] = forms.split("/")
    nouns = {
        form: "NN" if form in by_class["noun"] else "NNS"
        for form, by_class in lemmas.items()
        if [*by_class] == ["noun"] and form.isalpha() and form.islower()
    }
    return pa.array(nouns.keys(), pa.string()), pa.array(nouns.values(), pa.string())


def _endings(words: list[str], tags: list[str]) -> dict[str, str]:
    """Return the most frequent tag of each ending, where it differs from that of shorter ones."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for word, tag in zip(words, tags, strict=True):
        if tag not in PROPER_NOUNS and any(character.isalnum() for character in word):
            for length in range(min(LONGEST_ENDING, len(word)) + 1):
                counts[word[len(word) - length :]][tag] += 1
    endings: dict[str, str] = {}
    for ending in sorted(counts, key=len):
        tag, _ = min(counts[ending].items(), key=lambda pair: (-pair[1], pair[0]))
        shorter = next((endings[e] for e in _shorter(ending) if e in endings), None)
        if counts[ending].total() >= MIN_WORDS and tag != shorter:
            endings[ending] = tag
    return endings


def _shorter(ending: str) -> list[str]:
    """Return the endings of an ending, the longest first."""
    return [ending[start:] for start in range(1, len(ending) + 1)]
