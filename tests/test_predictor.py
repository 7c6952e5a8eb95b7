"""A classifier with its vocabulary: what it says of a sentence."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.pre_tokenizers import WhitespaceSplit

from memgate.data.batches import Prefixes
from memgate.data.tag_lexicon import TagLexicon
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.models.classifier import CellName, Classifier
from memgate.predictor import Predictor

every_cell = pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])

WORDS = ["the", "a", "key", "keys", "to", "cabinet", "cabinets", "near", "of", "by"]


def predictor(cell: CellName = "gru", seed: int = 0, **sizes: int) -> Predictor:
    torch.manual_seed(seed)
    vocabulary = Vocabulary.from_words(WORDS, ["NN", "NNS"])
    classifier = Classifier(
        len(vocabulary), cell, **{"embedding_size": 6, "hidden_size": 5} | sizes
    )
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.mul_(4)  # so that words matter and probabilities differ
    return Predictor(classifier.eval(), vocabulary)


def sentences(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 12))) for _ in range(count)]


def encode(predictor: Predictor, texts: list[str]) -> Prefixes:
    return Prefixes.encode(predictor.vocabulary, pa.array(texts))


@every_cell
def test_probabilities_are_the_classifiers_own_row_by_row(cell: CellName) -> None:
    model = predictor(cell, num_layers=2)
    texts = sentences(50)
    expected = [
        float(model.classifier.probability(torch.tensor([[1 + WORDS.index(w) for w in t.split()]])))
        for t in texts
    ]
    found = model.predict(texts)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.ptp(found) > 0.2  # they do differ


@every_cell
def test_probabilities_do_not_depend_on_the_batch_size(cell: CellName) -> None:
    model = predictor(cell)
    prefixes = encode(model, sentences(200))
    whole = model.probability(prefixes, 1024)
    for batch_size in (1, 2, 3, 7, 64):
        found = model.probability(prefixes, batch_size)
        np.testing.assert_allclose(found, whole, rtol=0, atol=1e-6)


MODELS = {cell: predictor(cell) for cell in ("rnn", "gru", "lstm")}
TEXTS = sentences(30)
ALONE = {
    cell: [float(model.predict([text])[0]) for text in TEXTS] for cell, model in MODELS.items()
}


@given(st.sampled_from(sorted(MODELS)), st.lists(st.integers(0, 29), min_size=1, max_size=40))
def test_a_sentence_is_read_alike_in_any_order_and_company(cell: str, chosen: list[int]) -> None:
    found = MODELS[cell].predict([TEXTS[place] for place in chosen])
    expected = [ALONE[cell][place] for place in chosen]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_dropout_is_off_even_if_the_classifier_was_training() -> None:
    torch.manual_seed(0)
    classifier = Classifier(13, "gru", 6, 5, dropout=0.5).train()
    model = Predictor(classifier, predictor().vocabulary)
    assert (model.predict(TEXTS) == model.predict(TEXTS)).all()


def test_case_and_white_space_do_not_count() -> None:
    model = predictor()
    expected = model.predict(["the keys to the cabinet"])
    assert model.predict(["  The KEYS\tto\u00a0the\ncabinet "]) == expected


def test_rare_words_are_read_as_their_tag_where_it_is_known() -> None:
    model = predictor()
    symbols, unknown = model.predict(["the NNS", "the xyz"])  # the word of the symbol, <unk>
    found = model.predict(["the gnus", "the gnus", "the gnus"], ["DT NNS", None, " DT  NNS "])
    np.testing.assert_allclose(found, [symbols, unknown, symbols], rtol=0, atol=1e-6)
    assert abs(symbols - unknown) > 0.01
    assert model.predict(["gnus"], ["NNS"]) != model.predict(["gnus"], ["NN"])


def test_no_tags_are_as_good_as_null_tags() -> None:
    model = predictor()
    assert (model.predict(TEXTS, [None] * len(TEXTS)) == model.predict(TEXTS)).all()


@pytest.mark.parametrize(
    ("prefixes", "tags", "message"),
    [
        ([], None, r"expected at least one sentence, got none"),
        (["the", ""], None, r"row 1: expected at least one word, got an empty sentence"),
        (["the", "key", " \t\n"], None, r"row 2: expected at least one word, got an empty sent.*"),
        (["the", ""], ["DT", ""], r"row 1: expected at least one word, got an empty sentence"),
        (
            ["the", "xyz qrs", "uvw"],
            None,
            r"row 1: expected a sentence with at least one word of the vocabulary \(13 entries\), "
            r"got 'xyz qrs'",
        ),
        (["xyz"], ["VBZ"], r"row 0: expected a sentence with at least one word .* got 'xyz'"),
        ("the keys", None, r"expected a list of sentences, got one string: 'the keys'"),
        (["the", "the gnus"], [None, "NNS"], r"row 1: tags: expected 2, one a word, got 1"),
        # as many tags as words in all: nothing else would notice
        (["the gnus", "gnus"], ["NNS", "DT NNS"], r"row 0: tags: expected 2, one a word, got 1"),
        (["gnus"], [""], r"row 0: tags: expected 1, one a word, got 0"),
        (["the", "gnus"], ["DT"], r"tags: expected 2, one string a sentence, got 1"),
    ],
)
def test_refuses_what_it_cannot_read_and_names_the_row(
    prefixes: Any, tags: Any, message: str
) -> None:
    with pytest.raises(InputError, match=rf"^{message}$"):
        predictor().predict(prefixes, tags)


def test_marks_the_rows_without_a_known_word() -> None:
    model = predictor()
    prefixes = encode(model, ["xyz", "the xyz", "xyz the", "xyz xyz xyz", "the", "NNS"])
    unread = Predictor.without_known_word(prefixes)
    assert unread.tolist() == [True, False, False, True, False, False]


def with_lexicon() -> Predictor:
    """A predictor that reads "wugs" and all words in -s as NNS, "gnu" as NN."""
    plain = predictor()
    empty = pa.array(["gnu"]), pa.array(["NN"])
    lexicon = TagLexicon(*empty, {"": "VB", "s": "NNS"})
    return Predictor(plain.classifier, Vocabulary(plain.vocabulary.tokenizer, lexicon))


def test_typed_text_is_read_as_tokens() -> None:
    model = predictor()
    typed, tokens = "The KEYS, near (a) cabinet's key.", "the keys , near ( a ) cabinet 's key ."
    assert model.tokenize([typed])[0].lower() == tokens
    assert model.predict([typed]) == model.predict([tokens])
    assert model.unknown([typed]) == 5 / 11  # , ( ) 's .


def test_a_word_without_tag_is_read_by_the_lexicon() -> None:
    model = with_lexicon()
    assert model.predict(["the wugs to"]) == model.predict(["the NNS to"])
    assert model.predict(["the gnu to"]) == model.predict(["the NN to"])
    assert model.predict(["the wugs to"], ["DT NN TO"]) == model.predict(["the NN to"])
    assert model.predict(["Wugs to"]) == model.predict(["NNS to"])
    assert model.unknown(["the Wugs , blicked"]).tolist() == [3 / 4]  # NNP and VB have no symbol


def test_what_is_saved_reads_unknown_words_alike(tmp_path: Path) -> None:
    model = with_lexicon()
    model.save(tmp_path)
    texts = ["the wugs to", "a gnu, the key's", "Blickets near"]
    assert (Predictor.load(tmp_path).predict(texts) == model.predict(texts)).all()


def test_a_model_that_splits_at_white_space_still_does() -> None:
    """As models registered up to November 2026 do."""
    old = predictor()
    old.vocabulary.tokenizer.pre_tokenizer = WhitespaceSplit()
    assert old.tokenize(["the key, a\tcabinet"]) == ["the key, a cabinet"]
    assert old.unknown(["the key, a cabinet"]) == 1 / 4
