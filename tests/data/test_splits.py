"""Splits by a hash of the text, and texts that are held out but for masked words."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from memgate.data.splits import masked_repeats, split_by_hash, unit_hashes
from memgate.errors import InputError


def test_hashes_are_the_same_on_any_machine() -> None:
    found = unit_hashes(["the keys", "the cabinet", "café"])
    # printf "0 the keys" | b2sum -l 64 says c759c6875aff2338
    assert found[0] == (0xC759C6875AFF2338 >> 11) / 2**53
    assert found.tolist() == [0.7787136154611258, 0.014336305833299368, 0.856802028460988]


def test_hashes_are_spread_evenly() -> None:
    found = unit_hashes([f"text {number}" for number in range(5000)])
    assert kstest(found, "uniform").pvalue > 0.01
    other = unit_hashes([f"text {number}" for number in range(5000)], seed=1)
    assert abs(np.corrcoef(found, other)[0, 1]) < 0.05


@given(st.lists(st.text(max_size=3), min_size=1, max_size=30), st.integers(0, 9))
def test_every_item_is_in_the_split_of_its_hash(texts: list[str], seed: int) -> None:
    many = [f"{number}" for number in range(60)]  # so that no split is empty
    items = datasets.Dataset.from_dict({"text": many + texts, "row": range(60 + len(texts))})
    splits = split_by_hash(items, {"a": 0.3, "b": 0.2, "c": 0.5}, seed)
    rows = [row for split in splits.values() for row in split["row"]]
    assert sorted(rows) == list(range(len(items)))
    edges = {"a": (0, 0.3), "b": (0.3, 0.5), "c": (0.5, 1)}
    for name, split in splits.items():
        low, high = edges[name]
        assert all(low <= number < high for number in unit_hashes(split["text"], seed))
        assert split["row"][:] == sorted(split["row"])


def test_an_empty_split_is_refused() -> None:
    items = datasets.Dataset.from_dict({"text": ["the keys"] * 5})
    with pytest.raises(
        InputError, match=r"^\w: expected items in a proportion of 0.5, got none of 5$"
    ):
        split_by_hash(items, {"a": 0.5, "b": 0.5})


WORDS = ("the", "keys", "to", "it", "NNS", "VBN")


@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=6, max_size=8).map(" ".join), max_size=12),
    st.lists(st.lists(st.sampled_from(WORDS), min_size=6, max_size=8).map(" ".join), max_size=12),
)
def test_a_masked_repeat_is_equal_where_neither_text_has_a_tag(
    texts: list[str], held_out: list[str]
) -> None:
    def same(one: str, two: str) -> bool:
        pairs = list(zip(one.split(), two.split(), strict=False))
        words = [pair for pair in pairs if not {"NNS", "VBN"} & set(pair)]
        same_length = len(one.split()) == len(two.split())
        return same_length and 6 <= len(words) < len(pairs) and all(a == b for a, b in words)

    marked = masked_repeats(texts, held_out)
    expected = [any(same(text, other) for other in held_out) for text in texts]
    # of a masked text the three rarest words are looked up: it may miss, but never invents
    assert not (marked & ~np.array(expected, dtype=bool)).any()


def test_texts_with_masked_words_are_found_either_way() -> None:
    spelt = "he was lambasted in 1987 for telling journalists that crime"
    masked = spelt.replace("lambasted", "VBN").replace("crime", "NN")
    other = "she was VBN in 1987 for telling journalists that NN"
    assert masked_repeats([spelt, other, "he was VBN in 1987"], [masked]).tolist() == [
        True,
        False,
        False,
    ]
    assert masked_repeats([masked.title().replace("Vbn", "VBN")], [spelt]).tolist() == [False]
    assert masked_repeats([masked], [spelt.title()]).tolist() == [True]
    assert masked_repeats([spelt], [spelt]).tolist() == [False], "no word is masked"
