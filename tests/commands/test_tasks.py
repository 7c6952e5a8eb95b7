"""Every task with every cell: fitted, registered, evaluated; and the baselines beside each."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import yaml
from mlflow.entities import Run

import memgate
from memgate.cli import main
from memgate.data.items.schema import SPLITS
from memgate.data.items.tasks import TASKS
from memgate.metrics.systems import SYSTEM_NAMES
from memgate.tracking.registry.versions import champions, model_folder
from memgate.tracking.store import connect

CONFIG: dict[str, Any] = {
    "data": {
        "name": "synthetic",
        "batch_size": 64,
        "source": {
            "class_path": "memgate.data.sources.grammar.Grammar",
            "init_args": {"train": 300, "validation": 60, "test": 100, "max_intervening": 6},
        },
    },
    "model": {"hidden_size": 4, "embedding_size": 6},
    "trainer": {"max_epochs": 2, "accelerator": "cpu", "num_sanity_val_steps": 0},
}
# The three cells on number prediction are what `memgate train` makes, see conftest.py.
CELLS, POSED = ("rnn", "gru", "lstm"), ("inflection", "grammaticality")
FITS = [(cell, task) for cell in CELLS for task in POSED]


def fit(cell: str, task: str, *more: str) -> int:
    return main(["fit", "-c", "fit.yaml", f"--model.cell={cell}", f"--data.task={task}", *more])


def suite(rows: list[dict[str, Any]]) -> None:
    """Make items of pairs that colorless_green could hold: both orders of good and bad."""
    lines = [
        {
            "condition": "L__NOUN_VERB",
            "type": "generated" if number % 2 else "original",
            "prefix": " ".join(row["text"].split(" ")[: row["verb_idx"]]),
            "label": row["label"],
            "good": row["verb"],
            "bad": row["verb_alt"],
        }
        for number, row in enumerate(rows)
    ]
    path = Path("data/eval/colorless_green_en.jsonl.gz")
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))


@pytest.fixture(scope="module")
def fits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("MEMGATE_DATA", raising=False)
        patch.chdir(folder)
        Path("fit.yaml").write_text(yaml.safe_dump(CONFIG))
        for cell, task in FITS:
            assert fit(cell, task) == 0
        assert main(["generate", "--out", "items.jsonl", "--items", "80", "--seed", "1"]) == 0
        rows = [json.loads(line) for line in Path("items.jsonl").read_text().splitlines()]
        suite(rows)
    return folder


@pytest.fixture
def project(fits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: six registered models, items.jsonl, and a suite in data/eval."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MEMGATE_DATA", raising=False)
    folder = tmp_path / "project"
    shutil.copytree(fits, folder)
    monkeypatch.chdir(folder)
    return folder


def runs() -> dict[str, Run]:
    client = connect(create=False)
    experiment = client.get_experiment_by_name("memgate")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    return {str(run.info.run_name): run for run in found}


def table(run: Run) -> pd.DataFrame:
    path = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path="tables/accuracy.csv"
    )
    return pd.read_csv(path)


def error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("memgate: error: ")
    return lines[0]


def test_every_fit_has_a_run_and_a_model_of_its_own(project: Path) -> None:
    names = [f"{cell}-synthetic-{task}" for cell, task in FITS]
    found = runs()
    assert sorted(found) == sorted(f"{name}-seed0" for name in names)
    assert champions() == sorted(f"models:/memgate-{name}@champion" for name in names)
    for (cell, task), name in zip(FITS, names, strict=True):
        run = found[f"{name}-seed0"]
        assert run.info.status == "FINISHED"
        assert (run.data.tags["cell"], run.data.tags["task"]) == (cell, task)
        assert run.data.params["task"] == task
        version = connect().get_model_version(f"memgate-{name}", "1")
        assert version.run_id == run.info.run_id
        assert version.tags["task"] == task
        loaded = memgate.load(f"models:/memgate-{name}@champion")
        assert loaded.task is TASKS[task]
        assert loaded.classifier.cell == cell


def test_every_table_holds_all_baselines(project: Path) -> None:
    for run in runs().values():
        found = table(run)
        assert list(found["system"].unique()) == ["network", *SYSTEM_NAMES]
        overall = found[found["by"] == "overall"].set_index("system")
        assert (overall["n"] == 100).all()
        assert overall["accuracy"]["network"] == pytest.approx(run.data.metrics["test/accuracy"])
        best = overall["accuracy"].drop("network").max()
        metrics = run.data.metrics
        assert metrics["test_accuracy_best_baseline"] == best
        assert "best baseline: " in run.data.tags["mlflow.note.content"]


def test_baselines_are_the_same_whatever_the_task_is(project: Path) -> None:
    for cell in CELLS:
        names = [f"{cell}-synthetic-{task}-seed0" for task in POSED]
        first, second = (table(runs()[name]).drop(columns="model") for name in names)
        first, second = (part[part["system"] != "network"] for part in (first, second))
        pd.testing.assert_frame_equal(first, second)


def test_all_are_evaluated_together(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--data", "items.jsonl", "--out", "scores"]) == 0
    scored = pd.read_csv("scores/accuracy.csv")
    models = [uri.removeprefix("models:/") for uri in champions()]
    assert list(scored["model"].unique()) == models
    for _, rows in scored.groupby("model"):
        assert list(rows["system"].unique()) == ["network", *SYSTEM_NAMES]
    predicted = pd.read_parquet("scores/predictions.parquet")
    for model, rows in predicted.groupby("model"):
        task = TASKS["inflection" if "inflection" in str(model) else "grammaticality"]
        assert set(rows["answer"]) == set(task.answers)
        assert set(rows["predicted"]) <= set(task.answers)
        assert len(rows) == 80
    texts = [json.loads(line)["text"] for line in Path("items.jsonl").read_text().splitlines()]
    uri = "memgate-gru-synthetic-grammaticality@champion"
    mine = predicted[predicted["model"] == uri].reset_index(drop=True)
    kept = mine[mine["answer"] == "grammatical"].index
    judged = memgate.load(f"models:/{uri}").predict([texts[row] for row in kept])
    assert mine["p_right"][kept].to_numpy() == pytest.approx(1 - judged, abs=1e-6)
    assert 20 < len(kept) < 60
    printed = capsys.readouterr().out
    assert "last three words" in " ".join(printed.split())


def test_a_suite_of_pairs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMGATE_DATA", str(project / "data"))
    assert main(["evaluate", "--suite", "colorless_green", "--out", "scores"]) == 0
    scored = pd.read_csv("scores/suites.csv")
    assert set(scored["condition"]) == {"L__NOUN_VERB original", "L__NOUN_VERB nonce"}
    for _, rows in scored.groupby("model"):
        assert list(rows["system"].unique()) == ["network", *SYSTEM_NAMES]
        assert (rows["n"] == 40).all()
    assert set(scored["model"]) == {uri.removeprefix("models:/") for uri in champions()}


def test_a_checkpoint_of_a_task_is_scored_with_its_baselines(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["test", "-c", "fit.yaml", "--model.cell=lstm", "--data.task=grammaticality"]
    assert main([*args, "--ckpt_path", "best"]) == 0
    printed = capsys.readouterr().out
    expected = table(runs()["lstm-synthetic-grammaticality-seed0"])
    overall = expected[expected["by"] == "overall"].set_index("system")["accuracy"]
    # The best baseline has a column; the others follow below the table.
    (first,) = re.findall(r"^ all items +\d+ +([\d.]+) .* ([\d.]+) *$", printed, re.MULTILINE)
    (best,) = re.findall(r"\* (.+?) *$", printed.split("─")[0], re.MULTILINE)
    (others,) = re.findall(r"other baselines, on all items: ((?:.|\n)*?\d)\n", printed)
    shown = {best: first[1]} | {
        name: value
        for name, _, value in (
            part.rpartition(" ") for part in " ".join(others.split()).split(", ")
        )
    }
    assert first[0] == f"{100 * overall['network']:.1f}"
    expected_values = {name: f"{100 * overall[s]:.1f}" for s, name in SYSTEM_NAMES.items()}
    assert shown == expected_values
    assert main(["test", "-c", "fit.yaml", "--model.cell=lstm", "--ckpt_path", "best"]) == 2
    assert "lstm-synthetic-seed0, found none" in error(capsys)  # another task is another run


def rewritten(name: str, change: Any) -> list[str]:
    """Write items.jsonl with each row changed, and return what makes it the data of a fit."""
    rows = [json.loads(line) for line in Path("items.jsonl").read_text().splitlines()]
    changed = [json.dumps(change(number, row)) for number, row in enumerate(rows)]
    Path(name).write_text("\n".join(changed))
    config = {"class_path": "memgate.data.sources.jsonl.JsonLines"}
    splits = {split: [name] for split in SPLITS}
    Path("data.yaml").write_text(
        yaml.safe_dump({"data": {"source": {**config, "init_args": splits}}})
    )
    return ["-c", "data.yaml", "--data.name=other", "--trainer.max_epochs=1"]


def test_a_source_without_tags_has_two_baselines(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # masked nouns alone don't make tags
    more = rewritten(
        "untagged.jsonl",
        lambda _, row: (
            {**row, "tags": None, "text": "NNS " + row["text"]}
            | {"verb_idx": row["verb_idx"] + 1, "subj_idx": row["subj_idx"] + 1}
        ),
    )
    assert fit("rnn", "number", *more) == 0
    found = table(runs()["rnn-other-seed0"])
    assert list(found["system"].unique()) == ["network", "majority", "last_words"]
    uri = "models:/memgate-rnn-other@champion"
    assert sorted(path.name for path in (model_folder(uri) / "baselines").iterdir()) == [
        *("baselines.json", "last_words.parquet", "tags.parquet")
    ]
    assert main(["evaluate", uri, "--data", "items.jsonl", "untagged.jsonl", "--out", "o"]) == 0
    scored = pd.read_csv("o/accuracy.csv")
    systems = scored.groupby("data")["system"].unique()
    assert list(systems["items"]) == ["network", *(n for n in SYSTEM_NAMES if n != "nouns_only")]
    assert list(systems["untagged"]) == ["network", "majority", "last_words"]


def test_what_a_task_leaves_out_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = rewritten(
        "some.jsonl",
        lambda number, row: row if number % 4 else {**row, "verb_alt": None, "bad": None},
    )
    assert fit("rnn", "inflection", *more, "--track=false") == 0
    assert (
        "other (test): 20 of 80 items left out, without both forms of their verb "
        "(verb and verb_alt)" in capsys.readouterr().out
    )
    uri = "models:/memgate-rnn-synthetic-inflection@champion"
    assert main(["evaluate", uri, "--data", "some.jsonl", "--out", "o"]) == 0
    told = "some: 20 of 80 items lack what memgate-rnn-synthetic-inflection@champion reads"
    assert told in capsys.readouterr().out
    assert (pd.read_csv("o/accuracy.csv").query("by == 'overall'")["n"] == 60).all()


def test_a_task_that_cannot_be_asked_is_one_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(runs())
    more = rewritten("none.jsonl", lambda _, row: {**row, "verb": None, "good": None})
    assert fit("rnn", "grammaticality", *more) == 2
    assert error(capsys).endswith(
        "other, train: expected items with both forms of their verb (verb and verb_alt), which "
        "the task 'grammaticality' needs, got none of 80"
    )
    assert fit("rnn", "translation") == 2
    assert "data.task" in error(capsys)
    assert sorted(runs()) == before
    assert main(["evaluate", "--data", "none.jsonl", "--out", "o"]) == 2
    assert "none: memgate-gru-synthetic-grammaticality@champion: expected items" in error(capsys)
    assert not Path("o").exists()
