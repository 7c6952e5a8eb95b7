"""The folder of a classifier with its vocabulary: what is refused, and with which words."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, load_file, save_file

from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError
from memgate.models.classifier import CellName, Classifier
from memgate.predictor import Predictor

WORDS = ["the", "a", "key", "keys", "to", "cabinet", "cabinets", "near", "of", "by"]
TEXTS = ["the keys", "a key near the cabinets", "keys", "the NNS by"]
FILES = {"model.safetensors", "config.json", "tokenizer.json"}


def predictor(cell: CellName = "gru", seed: int = 0, num_layers: int = 1) -> Predictor:
    torch.manual_seed(seed)
    vocabulary = Vocabulary.from_words(WORDS, ["NN", "NNS"])
    classifier = Classifier(len(vocabulary), cell, 6, 5, num_layers)
    return Predictor(classifier.eval(), vocabulary)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_what_is_saved_is_what_is_loaded_bit_by_bit(tmp_path: Path, cell: CellName) -> None:
    saved = predictor(cell, num_layers=2)
    saved.save(tmp_path / "new" / "model")
    loaded = Predictor.load(tmp_path / "new" / "model")
    weights, again = saved.classifier.state_dict(), loaded.classifier.state_dict()
    assert list(weights) == list(again)
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert loaded.classifier.config == saved.classifier.config
    assert loaded.vocabulary.digest() == saved.vocabulary.digest()
    assert not loaded.classifier.training
    assert (loaded.predict(TEXTS) == saved.predict(TEXTS)).all()


def test_saving_again_replaces_what_was_there(tmp_path: Path) -> None:
    predictor("lstm", seed=1).save(tmp_path)
    second = predictor("gru", seed=2)
    second.save(tmp_path)
    assert (Predictor.load(tmp_path).predict(TEXTS) == second.predict(TEXTS)).all()


def test_the_folder_holds_safetensors_and_json_and_no_pickle(tmp_path: Path) -> None:
    model = predictor()
    model.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    for path in tmp_path.iterdir():
        assert not zipfile.is_zipfile(path)  # as torch.save writes
        with path.open("rb") as file, pytest.raises(pickle.UnpicklingError):
            pickle.load(file)
    assert set(load_file(tmp_path / "model.safetensors")) == set(model.classifier.state_dict())
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config == {
        "task": "number",
        "cell": "gru",
        "vocab_size": 13,
        "embedding_size": 6,
        "hidden_size": 5,
        "num_layers": 1,
        "dropout": 0.0,
        "word_dropout": 0.0,
        "keep_bias": None,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    predictor().save(tmp_path)
    return tmp_path


def refused(folder: Path) -> str:
    """The one line with which a folder is refused."""
    with pytest.raises(InputError) as error:
        Predictor.load(folder)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("name", sorted(FILES))
def test_refuses_a_missing_file_and_names_it(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refused(folder).startswith(f"{folder / name}: expected ")
    (folder / name).mkdir()
    assert refused(folder).startswith(f"{folder / name}: expected ")


def test_refuses_a_missing_folder(tmp_path: Path) -> None:
    assert refused(tmp_path / "x").startswith(f"{tmp_path}/x/tokenizer.json: expected ")


@pytest.mark.parametrize("name", sorted(FILES))
def test_refuses_a_truncated_file_and_names_it(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes().rstrip()
    for length in (0, 1, 7, 8, 9, len(whole) // 2, len(whole) - 1):
        (folder / name).write_bytes(whole[:length])
        assert refused(folder).startswith(f"{folder / name}: expected "), length


def pickled(path: Path) -> None:
    torch.save({"readout.bias": torch.zeros(1)}, path)


def overwritten(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 20)


def header_changed(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:20] + b"\0\xff{{" + content[24:])


def appended(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


@pytest.mark.parametrize("damage", [pickled, overwritten, header_changed, appended])
def test_refuses_damaged_weights(folder: Path, damage: Callable[[Path], None]) -> None:
    damage(folder / "model.safetensors")
    assert refused(folder).startswith(f"{folder}/model.safetensors: expected safetensors, got: ")


def test_refuses_weights_that_lack_something_or_have_more(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load(path.read_bytes())  # load_file would map the file that is to be changed
    for changed in (
        {name: weight for name, weight in weights.items() if name != "readout.bias"},
        {**weights, "another": torch.zeros(1)},
        {**weights, "readout.bias": torch.zeros(2)},
        {},
    ):
        save_file(changed, path)
        assert refused(folder).startswith(f"{path}: weights don't fit config.json: Error(s) in ")


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 6},
        {"embedding_size": 7},
        {"num_layers": 2},
        {"cell": "lstm"},
        {"cell": "rnn"},
        {"vocab_size": 14},
    ],
)
def test_refuses_sizes_that_are_not_the_weights(folder: Path, change: dict[str, Any]) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
    path = folder / "model.safetensors"
    assert refused(folder).startswith(f"{path}: weights don't fit config.json: ")


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 0},
        {"hidden_size": "five"},
        {"hidden_size": None},
        {"hidden_size": 2.5},
        {"dropout": 1},
        {"dropout": "none"},
        {"cell": "mgu"},
        {"cell": ["gru"]},
        {"colour": "red"},
        {"task": "translation"},
        {"task": ["number"]},
        {"task": None},
        {"vocab_size": 10**30},
    ],
)
def test_refuses_a_configuration_that_makes_no_classifier(
    folder: Path, change: dict[str, Any]
) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
    assert "config.json: " in refused(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1]", "expected a JSON object, got list"),
        (b'"gru"', "expected a JSON object, got str"),
        (b"null", "expected a JSON object, got NoneType"),
        (b"{cell: gru}", "expected the classifier's sizes in JSON, got: "),
        (b"\xff\xfe{}", "expected the classifier's sizes in JSON, got: "),
    ],
)
def test_refuses_a_configuration_that_is_no_object(
    folder: Path, content: bytes, message: str
) -> None:
    (folder / "config.json").write_bytes(content)
    assert refused(folder).startswith(f"{folder}/config.json: {message}")


def test_refuses_a_configuration_without_a_size(folder: Path) -> None:
    (folder / "config.json").write_text('{"task": "number"}', encoding="utf-8")
    message = refused(folder)
    assert message.startswith(f"{folder}/config.json: ")
    assert message.endswith("'vocab_size'")


def test_refuses_a_vocabulary_of_another_size(folder: Path) -> None:
    Vocabulary.from_words(WORDS).save(folder)
    assert refused(folder) == f"{folder}: expected 13 vocabulary entries, got 11"
