"""The baselines of a model, worked by hand on a small table; and what is saved of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from memgate.baselines.fitted import Baselines
from memgate.baselines.last_words import LastWords
from memgate.data.items.schema import FEATURES
from memgate.data.items.tasks import NOUNS
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.metrics.systems import SYSTEM_NAMES
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor

Row = dict[str, Any]


def items(*rows: tuple[str, str | None, int, str]) -> pa.Table:
    """Items of text, tags, place of the verb, label."""
    nothing: Row = dict.fromkeys(FEATURES)
    made = [
        {**nothing, "text": text, "tags": tags, "verb_idx": place, "label": ["sg", "pl"].index(n)}
        for text, tags, place, n in rows
    ]
    return pa.Table.from_pylist(made, schema=FEATURES.arrow_schema)


TRAINING = [
    ("the keys are", "DT NNS VBP", 2, "pl"),
    ("the keys near the cabinet are", "DT NNS IN DT NN VBP", 5, "pl"),
    ("the keys run", "DT NNS VBP", 2, "pl"),
    ("the key is", "DT NN VBZ", 2, "sg"),
    ("the cabinet near the key is", "DT NN IN DT NN VBZ", 5, "sg"),
]
ASKED = items(
    ("the key near the keys is", "DT NN IN DT NNS VBZ", 5, "sg"),
    ("the keys near the cabinet near the key are", None, 8, "pl"),  # tags as in training
    ("near it is", "IN PRP VBZ", 2, "sg"),  # no noun
    ("NNS near the wug are", None, 4, "pl"),  # a symbol is its own tag, wug has none
    ("a key cabinet", "DT NNS NNS", 3, "pl"),  # the tags that are given are believed
    ("the key near it is", "DT NN IN PRP VBZ", 4, "sg"),
)


def last_noun() -> Predictor:
    """An RNN of one unit set by hand to hold the last noun it reads; but "near" is a plural too."""
    vocabulary = Vocabulary.from_words(["key", "keys", "cabinet", "near"], ["NNS", "NN"])
    classifier = Classifier(len(vocabulary), "rnn", embedding_size=1, hidden_size=1)
    values = {"key": -4.0, "keys": 4.0, "cabinet": -4.0, "near": 40.0, "NNS": 4.0, "NN": -4.0}
    entries = vocabulary.tokenizer.get_vocab()
    with torch.no_grad():
        for weight in classifier.parameters():
            weight.zero_()
        for word, value in values.items():
            classifier.embedding.weight[entries[word]] = value
        for name in ("ih_l0", "hh_l0"):
            classifier.recurrence.get_parameter(f"weight_{name}").fill_(2.0)
        classifier.readout.weight.fill_(4.0)
    return Predictor(classifier.eval(), vocabulary, NOUNS)


def fitted(network: Predictor | None = None) -> Baselines:
    return Baselines.fit(items(*TRAINING), network)


def untagged() -> Baselines:
    rows = [(text, None, place, label) for text, _, place, label in TRAINING]
    return Baselines.fit(items(*rows), None)


def test_by_hand() -> None:
    baselines = fitted(last_noun())
    assert baselines.majority_label == "pl"
    found = baselines.p_plural(ASKED)
    assert list(found.columns) == list(SYSTEM_NAMES)
    assert (found.dtypes == np.float64).all()
    assert found["majority"].tolist() == [1, 1, 1, 1, 1, 1]
    assert found["first_noun"].tolist() == [0, 1, 1, 1, 1, 0]
    assert found["last_noun"].tolist() == [1, 0, 1, 1, 1, 0]
    assert found["noun_majority"].tolist() == [1, 0, 1, 1, 1, 0]  # a tie: plural is the majority
    sure = 1 / (1 + np.exp(-4 * np.tanh(10)))  # all that it reads before the last noun is lost
    # without a noun the majority label; of "key cabinet" the words are read, which it knows; and
    # of "key near it" the noun alone
    expected = [sure, 1 - sure, 1, sure, 1 - sure, 1 - sure]
    np.testing.assert_allclose(found["nouns_only"], expected, rtol=0, atol=1e-6)


def test_last_words_are_those_of_the_regression_on_filled_tags() -> None:
    table = items(*TRAINING[:4], (*TRAINING[4][:1], None, *TRAINING[4][2:]))
    baselines = Baselines.fit(table, None)
    filled = baselines.tagger.fill(table)
    assert filled["tags"].null_count == 0
    alone = LastWords.fit(filled)
    expected = alone.p_plural(baselines.tagger.fill(ASKED))
    assert baselines.p_plural(ASKED)["last_words"].tolist() == expected.tolist()
    assert len(set(expected)) > 3
    assert alone.p_plural(ASKED).tolist() != expected.tolist()  # tags matter, also guessed ones


def test_without_a_network_there_is_no_such_column() -> None:
    found = fitted().p_plural(ASKED)
    assert list(found.columns) == [name for name in SYSTEM_NAMES if name != "nouns_only"]
    assert found["first_noun"].tolist() == [0, 1, 1, 1, 1, 0]


def test_without_tags_only_majority_and_the_last_words_are_asked() -> None:
    baselines = untagged()
    none = items(("the keys near the key", None, 5, "sg"), ("the NNS", None, 2, "pl"))
    assert list(baselines.p_plural(none).columns) == ["majority", "last_words"]
    assert baselines.p_plural(none)["majority"].tolist() == [1, 1]
    # once some items have tags the rules can be asked, and find no noun in the others
    some = baselines.p_plural(pa.concat_tables([none, ASKED[:1]]))
    assert list(some.columns) == [name for name in SYSTEM_NAMES if name != "nouns_only"]
    assert some["first_noun"].tolist() == [1, 1, 0]


def test_where_singular_is_the_majority_it_is_the_answer_without_a_noun() -> None:
    baselines = Baselines.fit(items(*TRAINING[2:]), last_noun())
    assert baselines.majority_label == "sg"
    found = baselines.p_plural(ASKED[2:3])
    for name in set(SYSTEM_NAMES) - {"last_words"}:
        assert found[name].tolist() == [0]


def test_items_are_answered_one_by_one() -> None:
    baselines = fitted(last_noun())
    whole = baselines.p_plural(ASKED)
    alone = [baselines.p_plural(ASKED[row : row + 1]) for row in range(len(ASKED))]
    pd.testing.assert_frame_equal(pd.concat(alone, ignore_index=True), whole)
    turned = baselines.p_plural(ASKED.take([4, 2, 2, 0]))
    pd.testing.assert_frame_equal(turned, whole.iloc[[4, 2, 2, 0]].reset_index(drop=True))


@pytest.mark.parametrize("make", [lambda: fitted(last_noun()), fitted, untagged])
def test_what_is_saved_answers_the_same(make: Callable[[], Baselines], tmp_path: Path) -> None:
    saved = make()
    saved.save(tmp_path / "new" / "baselines")
    loaded = Baselines.load(tmp_path / "new" / "baselines")
    assert loaded.majority_label == saved.majority_label
    assert (loaded.nouns_only is None) == (saved.nouns_only is None)
    for table in (ASKED, ASKED[1:2]):
        pd.testing.assert_frame_equal(
            loaded.p_plural(table), saved.p_plural(table), check_exact=True
        )
    for path in tmp_path.rglob("*.*"):
        assert path.suffix in (".json", ".parquet", ".safetensors")
        assert not path.read_bytes().startswith(b"\x80")  # how pickles begin


FILES = [
    "baselines.json",
    "tags.parquet",
    "last_words.parquet",
    "nouns_only/config.json",
    "nouns_only/model.safetensors",
    "nouns_only/tokenizer.json",
]


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        Baselines.load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_damaged_file_is_named(name: str, tmp_path: Path) -> None:
    fitted(last_noun()).save(tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"\x80\x04\xff\xfe"):
        path.write_bytes(content)
        assert refused(tmp_path).startswith(f"{path}: expected ")
    path.unlink()
    assert refused(tmp_path).startswith(f"{path}: expected ")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "expected the majority label in JSON, got: "),
        ("{}", "expected the majority label in JSON, got: 'majority'"),
        ('{"majority": "du"}', "majority: expected 'sg' or 'pl', got 'du'"),
        ('{"majority": ["sg"]}', "majority: expected 'sg' or 'pl', got ['sg']"),
    ],
)
def test_settings_that_are_none_are_refused(content: str, told: str, tmp_path: Path) -> None:
    fitted().save(tmp_path)
    (tmp_path / "baselines.json").write_text(content, encoding="utf-8")
    assert refused(tmp_path).startswith(f"{tmp_path}/baselines.json: {told}")


def test_a_folder_without_baselines_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "none").startswith(f"{tmp_path}/none/baselines.json: expected ")
