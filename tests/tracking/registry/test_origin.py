"""The run that a model comes from: found in the store, kept in a file, or not known."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest

from memgate.errors import InputError
from memgate.predictor import Predictor
from memgate.tracking.provenance import dataset_input
from memgate.tracking.registry.origin import (
    ORIGIN,
    Origin,
    fetch_artifact,
    origin_of,
    without_folders,
)
from memgate.tracking.registry.versions import model_folder
from memgate.tracking.store import connect

MODEL = "models:/memgate-gru-synthetic@champion"


def test_a_registered_model_knows_its_run(project: Path, tmp_path: Path) -> None:
    client = connect()
    folder = model_folder(MODEL)
    found = origin_of(folder)
    assert found is not None
    assert (found.name, found.commit, found.splits) == ("first", "", ())
    rows = datasets.Dataset.from_dict({"text": ["the cat", "it"]})
    source = "files: [/home/ann/x/train.jsonl, $DATA/dev.jsonl]"
    client.log_inputs(found.run_id, datasets=[dataset_input(rows, "mine", "train", source)])
    client.set_tag(found.run_id, "mlflow.source.git.commit", "abc")
    found = origin_of(folder)
    assert found is not None
    assert found.commit == "abc"
    (split,) = found.splits
    assert (split.data, split.split, split.rows) == ("mine", "train", 2)
    assert split.source == "files: […/train.jsonl, $DATA/dev.jsonl]"
    assert len(split.digest) == 10

    path = fetch_artifact(found, "note.txt")
    assert path is not None
    assert path.read_text() == "kept"
    assert fetch_artifact(found, "tables/none.csv") is None

    found.save(tmp_path / ORIGIN)
    assert Origin.load(tmp_path / ORIGIN) == origin_of(tmp_path) == found


def test_what_is_not_known(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, predictor: Predictor
) -> None:
    connect()
    folder = model_folder(MODEL)
    found = origin_of(folder)
    assert found is not None
    connect().delete_run(found.run_id)  # still readable, as MLflow keeps it
    predictor.save(tmp_path / "plain" / "a" / "b")
    assert origin_of(tmp_path / "plain" / "a" / "b") is None
    monkeypatch.chdir(tmp_path)  # no store here
    assert origin_of(folder) is None
    assert fetch_artifact(found, "note.txt") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"splits": [{"rows": 1}]}', '{"splits": []}'])
def test_a_damaged_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / ORIGIN).write_text(text)
    with pytest.raises(InputError, match="expected a run in JSON, got: ") as caught:
        origin_of(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("- /home/ann/a b.jsonl", "- …/a b.jsonl"),
        ("['/home/ann/a.jsonl', \"/x/b.gz\"]", "['…/a.jsonl', \"…/b.gz\"]"),
        ("~/own/a.jsonl", "…/a.jsonl"),
        ("- C:\\Users\\ann\\a.jsonl", "- …/a.jsonl"),
        ("$MEMGATE_DATA/ud/*.gz corpora/a.jsonl", "$MEMGATE_DATA/ud/*.gz corpora/a.jsonl"),
        ("https://host/a/b.jsonl hf://datasets/a/b", "https://host/a/b.jsonl hf://datasets/a/b"),
        ("repository: someone/agreement", "repository: someone/agreement"),
    ],
)
def test_absolute_paths_lose_their_folders(source: str, kept: str) -> None:
    assert without_folders(source) == kept
