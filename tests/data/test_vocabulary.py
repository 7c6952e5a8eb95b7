"""Words and ids, against dictionaries and loops in plain Python and against `tokenizers`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from memgate.data.vocabulary import SYMBOLS, UNKNOWN_WORD, Vocabulary, flat_words, prefix_words
from memgate.errors import InputError

# Small enough for words to meet again; lower-casing changes some, the last lies beyond 16 bits.
words = st.text("abABéÉß∂𝔸", min_size=1, max_size=2)
tags = st.sampled_from(["NN", "NNS", "IN", "DT", ",", "VBZ"])
sentences = st.lists(words, min_size=1, max_size=8)


def strings(values: list[Any]) -> pa.Array:
    return pa.array(values, pa.string())


def ids(vocabulary: Vocabulary, words: list[str], tags: list[str | None] | None = None) -> Any:
    found = vocabulary.encode(strings(words), None if tags is None else strings(tags))
    assert found.dtype == np.int32
    assert all(0 <= i < len(vocabulary) for i in found)
    return found.tolist()


@given(st.lists(sentences, max_size=6))
def test_flat_words_are_those_of_split(texts: list[list[str]]) -> None:
    flat, offsets = flat_words(strings([" ".join(text) for text in texts]))
    assert flat.to_pylist() == [word for text in texts for word in text]
    assert offsets.tolist() == np.cumsum([0, *map(len, texts)]).tolist()


def test_a_slice_of_an_array_is_read_from_where_it_starts() -> None:
    flat, offsets = flat_words(strings(["a b", "c", "d e f"])[1:])
    assert (flat.to_pylist(), offsets.tolist()) == (["c", "d", "e", "f"], [0, 1, 4])


@st.composite
def tagged_prefixes(
    draw: st.DrawFn,
) -> list[tuple[list[str], list[str] | None, int]]:
    """Sentences, their tags where known, and the words that belong to the prefix."""
    rows = []
    for text in draw(st.lists(sentences, min_size=1, max_size=6)):
        known = draw(st.lists(tags, min_size=len(text), max_size=len(text)) | st.none())
        rows.append((text, known, draw(st.integers(1, len(text)))))
    return rows


@given(tagged_prefixes(), st.booleans())
def test_words_of_prefixes_are_those_of_a_loop(
    rows: list[tuple[list[str], list[str] | None, int]], whole: bool
) -> None:
    texts = strings([" ".join(text) for text, _, _ in rows])
    all_tags = strings([known and " ".join(known) for _, known, _ in rows])
    ends = np.array([len(text) if whole else end for text, _, end in rows])
    found, found_tags, lengths = prefix_words(texts, all_tags, None if whole else ends)
    expected: list[str] = []
    expected_tags: list[str | None] = []
    for (text, known, _), end in zip(rows, ends, strict=True):
        expected += text[:end]
        expected_tags += [None] * end if known is None else known[:end]
    assert found.to_pylist() == expected
    assert lengths.tolist() == ends.tolist()
    if all(known is None for _, known, _ in rows):
        assert found_tags is None
    else:
        assert found_tags is not None
        assert found_tags.to_pylist() == expected_tags
    untagged, nothing, _ = prefix_words(texts, None, None if whole else ends)
    assert (untagged.to_pylist(), nothing) == (expected, None)


@given(
    st.lists(st.tuples(words, tags | st.none()), min_size=1, max_size=60),
    st.integers(1, 12),
    st.booleans(),
)
def test_words_are_kept_by_frequency_and_looked_up_word_first_tag_next(
    training: list[tuple[str, str | None]], size: int, lowercase: bool
) -> None:
    vocabulary = Vocabulary.build(
        strings([word for word, _ in training]), strings([t for _, t in training]), size, lowercase
    )
    read = [word.lower() if lowercase else word for word, _ in training]
    kept = [w for w, _ in sorted(Counter(read).items(), key=lambda e: (-e[1], e[0]))][:size]
    rare = {tag for word, (_, tag) in zip(read, training, strict=True) if word not in kept}
    entries = [UNKNOWN_WORD, *kept, *sorted(tag for tag in rare if tag)]
    place = {entry: i for i, entry in enumerate(dict.fromkeys(entries))}
    assert vocabulary.tokenizer.get_vocab() == place
    for word, tag in training:
        low = word.lower() if lowercase else word
        expected = place.get(low, place.get(word, place.get(tag or "", 0)))
        assert ids(vocabulary, [word], [tag]) == [expected]
        assert ids(vocabulary, [word]) == [place.get(low, place.get(word, 0))]


def test_of_equally_frequent_words_the_first_code_point_is_kept() -> None:
    text = strings(["z", "z", "b", "é", "𝔸", "a", "B", "\uffee"])
    ignoring_case = Vocabulary.build(text, None, 5)  # b and z twice, the others once
    assert ids(ignoring_case, ["b", "z", "a", "é", "\uffee", "𝔸"]) == [1, 2, 3, 4, 5, 0]
    cased = Vocabulary.build(text, None, 3, lowercase=False)
    assert ids(cased, ["z", "B", "a", "b"]) == [1, 2, 3, 0]


def test_rare_words_are_read_as_their_tag_where_known_else_as_unknown() -> None:
    vocabulary = Vocabulary.build(
        strings(["the", "the", "cat", "dogs", "cats"]), strings([None, "DT", "NN", "NNS", "NNS"]), 1
    )
    assert len(vocabulary) == 4  # <unk>, the, NN, NNS
    assert ids(
        vocabulary, ["The", "cat", "mice", "ran", "ox"], ["DT", "NN", "NNS", "VBD", None]
    ) == [
        1,
        2,
        3,
        0,
        0,
    ]


def test_there_is_no_symbol_that_training_never_reads() -> None:
    text = ["the", "the", "<unk>", "cat", "cat", "dogs"]
    vocabulary = Vocabulary.build(strings(text), strings(["DT", "DT", "JJ", "NN", "NN", "NNS"]), 2)
    assert set(vocabulary.tokenizer.get_vocab()) == {UNKNOWN_WORD, "the", "cat", "NNS"}
    everything = Vocabulary.build(strings(text), strings(["DT"] * 6), 10)
    assert set(everything.tokenizer.get_vocab()) == {UNKNOWN_WORD, "the", "cat", "dogs"}


def test_unk_in_a_text_is_the_unknown_word() -> None:
    vocabulary = Vocabulary.build(strings(["<unk>", "<unk>", "cat"]), None, 1)
    assert ids(vocabulary, ["<unk>", "cat"]) == [0, 1]


def test_a_tag_in_a_text_is_read_as_the_symbol_unless_it_is_a_word() -> None:
    vocabulary = Vocabulary.from_words(["in", "the"], ["NNS", "IN"])  # 1, 2, 3, 4
    assert ids(vocabulary, ["NNS", "nns", "IN", "In", "THE"]) == [3, 0, 1, 1, 2]
    cased = Vocabulary.from_words(["in", "the"], ["NNS", "IN"], lowercase=False)
    assert ids(cased, ["NNS", "nns", "IN", "In", "in"]) == [3, 0, 4, 0, 1]


def entries(vocabulary: Vocabulary) -> set[str]:
    return set(vocabulary.tokenizer.get_vocab()) - {UNKNOWN_WORD}


def test_masked_words_stay_symbols() -> None:
    """As in Linzen et al.'s files: lower case, rare words replaced by their tag, no tags."""
    text = strings(["the", "NNS", "near", "the", "NN", "VBZ", "the", "NNS"])
    vocabulary = Vocabulary.build(text, None, size=2)
    assert entries(vocabulary) == {"the", "near", "NN", "NNS", "VBZ"}  # beside the two words
    assert len(set(ids(vocabulary, ["the", "near", "NN", "NNS", "VBZ", "VBP"]))) == 6
    assert ids(vocabulary, ["VBP", "nn", "nns"]) == [0, 0, 0]
    cased = Vocabulary.build(text, None, size=2, lowercase=False)
    assert entries(cased) == entries(vocabulary)


def test_what_looks_like_a_symbol_but_has_another_tag_is_a_word() -> None:
    text, known = ["an", "NN", "NN", "CD", "NNS"], ["DT", "NNP", "NNP", "NN", "NNS"]
    vocabulary = Vocabulary.build(strings(text), strings(known), size=10)
    assert entries(vocabulary) == {"an", "nn", "cd", "NNS"}  # the last one is its tag's symbol
    assert ids(vocabulary, ["NN", "Cd"], ["NNP", "NN"]) == ids(vocabulary, ["nn", "cd"])
    small = Vocabulary.build(strings(text), strings(known), size=1)
    assert entries(small) == {"nn", "DT", "NN", "NNS"}  # CD is rare, and read as NN
    assert ids(small, ["CD"], ["NN"]) == ids(small, ["ox"], ["NN"]) != [0]


def test_where_the_tag_is_unknown_what_looks_like_a_symbol_is_one() -> None:
    text, known = ["NN", "the", "NN", "VB"], [None, "DT", "NNP", None]
    vocabulary = Vocabulary.build(strings(text), strings(known), size=10)
    assert entries(vocabulary) == {"the", "nn", "NN", "VB"}


# Any text, but white space inside a word, surrogates, and İ (see `Vocabulary`).
anything = st.text(
    st.characters(exclude_categories=["Cs", "Z", "Cc"], exclude_characters="İ"), min_size=1
)


@given(st.lists(anything, min_size=1), st.lists(anything), st.integers(1, 20), st.booleans())
def test_on_words_tokenizers_gives_the_same_ids(
    training: list[str], others: list[str], size: int, lowercase: bool
) -> None:
    vocabulary = Vocabulary.build(strings(training), None, size, lowercase)
    text = [*training, *others, *map(str.upper, training)]
    text = [word for word in text if "İ" not in word and word not in SYMBOLS]
    text = [word for word in text if vocabulary.tokenize([word]) == [word]]  # one token each
    text = vocabulary.tokenize([" ".join(text)])[0].split()  # "@", "-", "@" are one if they meet
    assert ids(vocabulary, text) == vocabulary.tokenizer.encode(" ".join(text)).ids


@pytest.mark.parametrize("lowercase", [True, False])
def test_what_is_saved_is_what_is_loaded(tmp_path: Path, lowercase: bool) -> None:
    entries = ["zebra", "the", "été", "𝔸", '"', "\\", "Ox"]
    saved = Vocabulary.from_words(entries, ["NNS", "NN"], lowercase)
    saved.save(tmp_path)
    loaded = Vocabulary.load(tmp_path)
    text, known = ["The", "ÉTÉ", "Ox", "ox", "𝔸", "NN", "mice"], [None] * 6 + ["NNS"]
    assert ids(loaded, text, known) == ids(saved, text, known)
    assert loaded.lowercase == lowercase
    assert len(loaded) == len(saved) == 10
    assert loaded.digest() == saved.digest()
    other = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))  # without memgate
    assert other.encode("the zebra").ids == [2, 1]


def test_digests_of_different_vocabularies_differ() -> None:
    made = [
        Vocabulary.from_words(["a", "b"]),
        Vocabulary.from_words(["b", "a"]),
        Vocabulary.from_words(["a"], ["b"], lowercase=False),
        Vocabulary.from_words(["a", "b", "c"]),
    ]
    assert len({vocabulary.digest() for vocabulary in made}) == 4
    assert Vocabulary.from_words(["a"], ["b"]).digest() == made[0].digest()  # the same entries


@pytest.mark.parametrize("size", [0, -1])
def test_refuses_a_size_below_one(size: int) -> None:
    with pytest.raises(InputError, match=rf"^vocabulary: expected a size .* 1, got {size}$"):
        Vocabulary.build(strings(["a"]), None, size)


def test_refuses_an_empty_training_split() -> None:
    with pytest.raises(InputError, match=r"^vocabulary: expected words, got an empty"):
        Vocabulary.build(strings([]), None)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(InputError, match=rf"^{path}: expected a tokenizer.json, found no"):
        Vocabulary.load(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"version": "1.0"}', b"\xff\xfe{}", b"\x80\x04N."]
)
def test_refuses_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{path}: expected a tokenizer.json, got: .+$"):
        Vocabulary.load(tmp_path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            models.WordLevel({"a": 0, UNKNOWN_WORD: 1}, UNKNOWN_WORD),
            r"expected <unk> to have id 0",
        ),
        (models.WordLevel({"a": 0, "b": 1}, "a"), r"expected <unk> to have id 0"),
        (
            models.WordLevel({UNKNOWN_WORD: 0, "a": 7}, UNKNOWN_WORD),
            r"expected the ids 0 to 1, each once",
        ),
        (models.BPE({UNKNOWN_WORD: 0, "a": 1}, []), r"expected a WordLevel tokenizer, got BPE"),
    ],
)
def test_refuses_a_tokenizer_that_is_no_vocabulary(
    tmp_path: Path, model: models.Model, message: str
) -> None:
    path = tmp_path / "tokenizer.json"
    Tokenizer(model).save(str(path))
    with pytest.raises(InputError, match=rf"^{path}: vocabulary: {message}"):
        Vocabulary.load(tmp_path)


def test_the_file_is_json_that_names_its_model(tmp_path: Path) -> None:
    Vocabulary.from_words(["a"]).save(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert content["model"] == {
        "type": "WordLevel",
        "vocab": {"<unk>": 0, "a": 1},
        "unk_token": "<unk>",
    }
