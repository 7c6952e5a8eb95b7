"""Source: several sources as one."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import datasets
import numpy as np

from memgate.arrays import Bools
from memgate.data.items.schema import SPLITS, Source
from memgate.data.splits import masked_repeats
from memgate.errors import InputError

MIN_WORDS = 6
"""Two equal prefixes of at least so many words are taken for one sentence.

Of the prefixes in ``numpred.val`` with fewer words 22% are also in a held-out file ("it", "there"),
of those with 6 or more 0.2%: 15 of 6,738.
"""

log = logging.getLogger(__name__)


class Joined:
    """The items of several sources, split by split, in their order.

    A training item is left out if its prefix has at least 6 words and is, ignoring case, the
    prefix of a held-out item of any of the sources; also where one file has a rare word's tag and
    another the word ("he was VBN in 1987 for", "he was lambasted in 1987 for"), see
    `memgate.data.splits.masked_repeats`.

    Args:
        sources: The sources; each has all three splits.
        max_words: Words of the longest prefix that is kept; None for any. Linzen et al. (2016)
            leave out sentences of 50 words and more.
        without_data: The sources that are read instead where ``MEMGATE_DATA`` is not set; none if
            `sources` don't need it.

    Raises:
        InputError: There is no source, or no word is allowed.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        max_words: int | None = None,
        without_data: Sequence[Source] = (),
    ) -> None:
        if without_data and not os.environ.get("MEMGATE_DATA"):
            sources = without_data
        if not sources:
            raise InputError("sources: expected at least one, got none")
        if max_words is not None and max_words < 1:
            raise InputError(f"max_words: expected at least 1, got {max_words}")
        self.sources = sources
        self.max_words = max_words

    def load(self) -> datasets.DatasetDict:
        """Return the splits ``train``, ``validation`` and ``test``.

        Raises:
            InputError: As the sources; or a split has no items that are kept.
        """
        loaded = [source.load() for source in self.sources]
        joined = {
            split: datasets.concatenate_datasets([splits[split] for splits in loaded])
            for split in SPLITS
        }
        prefixes = {split: _prefixes(items) for split, items in joined.items()}
        kept = {split: self._short(prefixes[split]) for split in SPLITS}
        prefixes_held_out = [prefix for split in SPLITS[1:] for prefix in prefixes[split]]
        held_out = {
            prefix.lower() for prefix in prefixes_held_out if prefix.count(" ") + 1 >= MIN_WORDS
        }
        repeated = np.array([prefix.lower() in held_out for prefix in prefixes["train"]])
        masked = ~repeated & masked_repeats(prefixes["train"], prefixes_held_out)
        if repeated.any():
            log.warning(
                "left out %d training items whose prefix is in validation or test", repeated.sum()
            )
        if masked.any():
            log.warning(
                "left out %d training items whose prefix is in validation or test but for masked "
                "words",
                masked.sum(),
            )
        repeated |= masked
        kept["train"] &= ~repeated
        return datasets.DatasetDict(
            {split: _select(split, items, kept[split]) for split, items in joined.items()}
        )

    def _short(self, prefixes: list[str]) -> Bools:
        words = np.array([prefix.count(" ") + 1 for prefix in prefixes])
        return words <= (self.max_words or words.max(initial=0))


def _select(split: str, items: datasets.Dataset, kept: Bools) -> datasets.Dataset:
    if not kept.any():
        raise InputError(f"{split}: expected items that are kept, got none of {len(items)}")
    return items if kept.all() else items.select(np.flatnonzero(kept)).flatten_indices()


def _prefixes(items: datasets.Dataset) -> list[str]:
    """Return the words before the verb of each item."""
    table = items.with_format("arrow")[:]
    pairs = zip(table["text"].to_pylist(), table["verb_idx"].to_pylist(), strict=True)
    return [" ".join(text.split(" ")[:verb_idx]) for text, verb_idx in pairs]
