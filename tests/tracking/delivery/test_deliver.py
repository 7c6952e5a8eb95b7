from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import datasets
import mlflow
import pytest
from mlflow.exceptions import MlflowException

from memgate.predictor import Predictor
from memgate.tracking.delivery.deliver import deliver, deliver_backlog
from memgate.tracking.delivery.spool import Spool
from memgate.tracking.provenance import dataset_input
from memgate.tracking.registry.versions import model_folder
from memgate.tracking.store import connect, experiment, store_name

NAME = "memgate-gru-delivered"
SCORES = {"val_accuracy": 0.75, "test_accuracy": 0.5}


@pytest.fixture
def spool(project: Path, predictor: Predictor) -> Spool:
    """Of a run that could say nothing yet, with a thing of every kind."""
    run_id = connect().create_run(experiment("synthetic")).info.run_id
    about = {"run": "toy", "store": store_name()}
    made = Spool.create((project / "mlruns/spool" / run_id).absolute(), about)
    made.add_metrics([{"key": "n", "value": n / 7, "timestamp": 9, "step": n} for n in range(1200)])
    made.add_item("params", {f"p{n}": str(n) for n in range(150)})
    made.add_item("params", {"p0": "other"})
    split = dataset_input(datasets.Dataset.from_dict({"text": ["x"]}), "toy", "train", "here")
    made.add_item(
        "inputs", {"dataset": dict(split.dataset), "tags": {"mlflow.data.context": "train"}}
    )
    made.add_item("files", {}, {"a/b.txt": partial(Path.write_text, data="text")})
    made.add_item("tags", {"mlflow.note.content": "# About"})
    files: dict[str, Callable[[Path], object]] = {
        "model": predictor.save,
        "model/note.txt": partial(Path.write_text, data="beside"),
        "model/more/x.txt": partial(Path.write_text, data="below"),
    }
    values = {"name": NAME, "scores": SCORES, "tags": {"cell": "gru"}, "description": "text"}
    made.add_item("model", values, files)
    made.add_item("end", {"status": "FINISHED", "time": 1234})
    return made


def check(run_id: str, predictor: Predictor) -> None:
    """Everything is there, once."""
    client = connect()
    run = client.get_run(run_id)
    assert (run.info.status, run.info.end_time) == ("FINISHED", 1234)
    assert run.data.params == {f"p{n}": str(n) for n in range(150)}
    assert run.data.tags["changed/p0"] == "other"
    assert run.data.tags["mlflow.note.content"] == "# About"
    found = client.get_metric_history(run_id, "n")
    assert [(point.step, point.value) for point in found] == [(n, n / 7) for n in range(1200)]
    assert run.inputs is not None
    (split,) = run.inputs.dataset_inputs
    assert split.dataset.name == "toy"
    assert [(tag.key, tag.value) for tag in split.tags] == [("mlflow.data.context", "train")]
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/a/b.txt") == "text"
    (version,) = mlflow.search_model_versions(filter_string=f"run_id = '{run_id}'")
    assert (version.name, int(version.version)) == (NAME, 1)
    assert version.tags.items() >= {"cell": "gru", "val_accuracy": "0.750000"}.items()
    for key, value in SCORES.items():
        (point,) = client.get_metric_history(run_id, key)
        assert point.value == value
    folder = model_folder(f"models:/{NAME}@champion")
    assert (folder / "note.txt").read_text() == "beside"
    assert (folder / "more/x.txt").read_text() == "below"
    loaded, words = Predictor.load(folder), ["the keys to the cabinet"]
    assert loaded.predict(words).tolist() == predictor.predict(words).tolist()
    models = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"source_run_id = '{run_id}'"
    )
    assert [model.artifact_location for model in models] == [version.source]


def test_delivered_twice_is_there_once(spool: Spool, predictor: Predictor, tmp_path: Path) -> None:
    shutil.copytree(spool.folder, tmp_path / "kept")
    done = deliver(connect(), spool)
    assert [version for version in done.values() if version] == ["1"]
    spool.close()
    check(spool.run_id, predictor)
    shutil.copytree(tmp_path / "kept", spool.folder)  # as if killed before anything was taken away
    again = Spool.open(spool.folder)
    assert again is not None
    assert deliver(connect(), again) == done
    again.close()
    check(spool.run_id, predictor)


def test_what_an_earlier_try_began_is_removed(spool: Spool, predictor: Predictor) -> None:
    client = connect()
    run = client.get_run(spool.run_id)
    place = (run.info.experiment_id, "model")
    client.create_logged_model(*place, source_run_id=spool.run_id)  # and then it was killed
    other = client.create_logged_model(*place, source_run_id="another")
    deliver(client, spool)
    spool.close()
    check(spool.run_id, predictor)
    assert client.get_logged_model(other.model_id).source_run_id == "another"


def test_a_refusal_keeps_all_behind_it(spool: Spool, predictor: Predictor) -> None:
    client = connect()
    client.delete_run(spool.run_id)
    with pytest.raises(MlflowException):
        deliver(client, spool)
    waiting = "1200 metrics, params, params, inputs, files, tags, model, end"
    assert spool.pending() == waiting
    spool.close()
    (delivery,) = deliver_backlog(client, 5)
    assert delivery.content == waiting
    assert "active" in delivery.error
    client.restore_run(spool.run_id)
    (delivery,) = deliver_backlog(client, 5)
    assert (delivery.run, delivery.error) == (f"toy ({spool.run_id})", "")
    check(spool.run_id, predictor)


@pytest.mark.parametrize("file", ["run.json", "metrics.jsonl", "0003/item.json"])
def test_a_damaged_folder_hinders_no_other(spool: Spool, predictor: Predictor, file: str) -> None:
    damaged = spool.folder.with_name("damaged")
    shutil.copytree(spool.folder, damaged)
    (damaged / file).write_text("{\n")
    os.utime(damaged / "run.json", (0, 0))  # the oldest comes first
    spool.close()
    first, second = deliver_backlog(connect(), 60)
    assert first.folder == damaged
    assert first.error.startswith(f"{damaged / file}: expected an object with")
    assert (second.run, second.error) == (f"toy ({spool.run_id})", "")
    check(spool.run_id, predictor)


RACE = """
import multiprocessing
from pathlib import Path
import datasets
from memgate.tracking.delivery.deliver import deliver
from memgate.tracking.provenance import dataset_input
from memgate.tracking.delivery.spool import Spool
from memgate.tracking.store import connect, experiment

def race(barrier):
    client = connect()
    run_id = client.create_run(experiment("race")).info.run_id
    spool = Spool.create(Path(run_id).absolute(), {"run": "one", "store": "x"})
    for number in range(25):
        split = dataset_input(datasets.Dataset.from_dict({"n": [number]}), "toy", "train", "here")
        spool.add_item("inputs", {"dataset": dict(split.dataset), "tags": {}})
        barrier.wait(60)
        deliver(client, spool)
    spool.close()

fork = multiprocessing.get_context("fork")
barrier = fork.Barrier(3)
runs = [fork.Process(target=race, args=[barrier]) for _ in range(3)]
for run in runs:
    run.start()
for run in runs:
    run.join()
raise SystemExit(max(run.exitcode for run in runs))
"""


@pytest.mark.processes
def test_runs_that_log_the_same_data_at_once(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RACE], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    runs = connect().search_runs([experiment("race")])
    assert len(runs) == 3
    for run in runs:
        assert run.inputs is not None
        assert len(run.inputs.dataset_inputs) == 25


def test_no_run_is_begun_after_the_time(spool: Spool) -> None:
    spool.close()
    assert list(deliver_backlog(connect(), 0)) == []
    assert spool.folder.exists()
