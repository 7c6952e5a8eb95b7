"""Agreement data of a repository: a folder in the layout of the Hub's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from memgate.data.items.schema import FEATURES, SPLITS, parse_item
from memgate.data.sources.jsonl import JsonLines
from memgate.errors import InputError

Write = Callable[..., str]


def row(prefix: str = "the keys", label: Any = "pl", **more: Any) -> dict[str, Any]:
    return {"prefix": prefix, "label": label, **more}


def texts(items: datasets.Dataset) -> list[str]:
    assert items.features == FEATURES
    return list(items["text"])


@pytest.fixture
def repository(write: Write, tmp_path: Path) -> str:
    """A folder in the layout of a Hub repository, with columns that are not ours."""
    for split in SPLITS:
        text = {"text": f"the keys of {split} are", "verb_idx": 4, "label": "pl"}
        write(f"repository/{split}.jsonl", {**text, "source": ["x"], "subj_idx": None}, text)
    return str(tmp_path / "repository")


def test_a_folder_gives_its_own_splits(repository: str) -> None:
    splits = JsonLines(repository=repository).load()
    assert {s: texts(rows) for s, rows in splits.items()} == {
        split: [f"the keys of {split} are"] * 2 for split in SPLITS
    }
    assert splits["test"][0] == {**parse_item(row("the keys of test")), "label": 1} | {
        "text": "the keys of test are",
        "verb_idx": 4,
    }


def test_files_named_within_a_folder_go_before_its_own_splits(
    repository: str, write: Write
) -> None:
    write("repository/more/x.jsonl.gz", row("named"))
    splits = JsonLines(["test.jsonl", "more/*.gz"], test=["more/x.jsonl.gz"], repository=repository)
    found = {split: texts(rows) for split, rows in splits.load().items()}
    assert found == {
        "train": ["the keys of test are"] * 2,  # "named" is in test
        "validation": ["the keys of validation are"] * 2,
        "test": ["named"],
    }


@pytest.mark.parametrize("names", [["sg", "pl"], ["pl", "sg"], ["none", "pl", "sg"]])
def test_labels_of_a_table_go_by_their_names(tmp_path: Path, names: list[str]) -> None:
    features = datasets.Features(
        {"prefix": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    table = {"prefix": ["the keys", "the key"], "label": ["pl", "sg"]}
    for split in SPLITS:
        data = datasets.Dataset.from_dict(table, features=features)
        data.to_parquet(tmp_path / f"{split}.parquet")
    assert list(JsonLines(repository=str(tmp_path)).load()["train"]["label"]) == [1, 0]


@pytest.mark.parametrize(
    ("feature", "label", "got"),
    [
        (datasets.ClassLabel(names=["singular", "plural"]), "plural", "'plural'"),
        (datasets.ClassLabel(names=["sg", "pl"]), None, "None"),
        (datasets.ClassLabel(names=["sg", "pl"]), -1, "None"),
        (datasets.Value("int64"), 1, "1"),  # which one is 1?
    ],
)
def test_refuses_labels_without_the_right_names(
    tmp_path: Path, feature: Any, label: Any, got: str
) -> None:
    features = datasets.Features({"prefix": datasets.Value("string"), "label": feature})
    for split in SPLITS:
        data = datasets.Dataset.from_dict({"prefix": ["it"], "label": [label]}, features=features)
        data.to_parquet(tmp_path / f"{split}.parquet")
    message = rf"^{tmp_path} \(train\), line 1: label: expected 'sg' or 'pl', got {got}$"
    with pytest.raises(InputError, match=message):
        JsonLines(repository=str(tmp_path)).load()


def refused(**arguments: Any) -> str:
    """The message with which a repository is refused."""
    with pytest.raises(InputError) as error:
        JsonLines(**arguments).load()
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


def test_refuses_a_folder_without_the_split(repository: str) -> None:
    (Path(repository) / "validation.jsonl").unlink()
    assert refused(repository=repository) == (
        f"{repository}: expected a split 'validation', found train, test; "
        "name the files of validation instead"
    )


def test_refuses_a_folder_with_bad_rows_broken_files_or_none(
    repository: str, write: Write, tmp_path: Path
) -> None:
    text = {"text": "the keys are", "verb_idx": 2, "source": [], "subj_idx": None}
    write("repository/test.jsonl", {**text, "label": "pl"}, {**text, "label": "x"})
    message = refused(repository=repository)
    assert message == f"{repository} (test), line 2: label: expected 'sg' or 'pl', got 'x'"
    write("repository/test.jsonl", row(), '{"prefix":')
    assert refused(repository=repository).startswith(f"{repository}: can't be read: ")
    write("repository/test.jsonl", row(text={"unlike": "train"}))
    assert refused(repository=repository).startswith(f"{repository}: can't be read: ")
    (tmp_path / "bare").mkdir()
    assert refused(repository=f"{tmp_path}/bare").startswith(f"{tmp_path}/bare: can't be loaded: ")
    assert "bare/a.jsonl: expected a file" in refused(
        train=["a.jsonl"], repository=f"{tmp_path}/bare"
    )


def test_sentences_of_validation_and_test_are_left_out_of_training(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    train = write("train.jsonl", row("a"), row("b"), row("c"), row("a"), row("d"))
    dev, test = write("dev.jsonl", row("b")), write("test.jsonl", row("a"), row("e"))
    splits = JsonLines([train], [dev], [test]).load()
    assert {split: texts(rows) for split, rows in splits.items()} == {
        "train": ["c", "d"],
        "validation": ["b"],
        "test": ["a", "e"],
    }
    assert "left out 3 training items whose sentences are in validation or test" in caplog.text
    same = JsonLines([train], [train], [train]).load()  # for trying out
    assert len(same["train"]) == 5
    assert "all training sentences are in validation or test" in caplog.text
