"""The main job, run once in small, and what it leaves in MLflow."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml
from mlflow.entities import DatasetInput, Run

import memgate
from memgate.cli import main
from memgate.data.corpora import parsing
from memgate.gates.drift import profile_hash, read_profile
from memgate.gates.units.number_units import NumberUnits
from memgate.gates.units.unit import saved_units
from memgate.tracking.registry.versions import model_folder
from memgate.tracking.store import connect

CELLS = ["rnn", "gru", "lstm"]


def runs() -> list[Run]:
    client = connect(create=False)
    experiment = client.get_experiment_by_name("memgate")
    assert experiment is not None
    found: list[Run] = client.search_runs([experiment.experiment_id])
    return sorted(found, key=lambda run: CELLS.index(run.data.tags["cell"]))


def artifact(run: Run, path: str) -> Path:
    return Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=path))


def commit() -> str:
    command = ["git", "-C", str(Path(memgate.__file__).parent), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_every_cell_has_a_finished_run_with_all_that_was_promised(trained: Path) -> None:
    assert [run.data.tags["cell"] for run in runs()] == CELLS
    for run in runs():
        tags, cell = run.data.tags, run.data.tags["cell"]
        assert run.info.status == "FINISHED"
        assert run.info.run_name == f"{cell}-synthetic-seed0"
        assert tags["data"] == "synthetic"
        assert tags["seed"] == "0"
        assert tags["memgate.version"] == memgate.__version__
        assert tags["mlflow.source.git.commit"] == commit()
        note = re.sub(r"(&nbsp;| )+", " ", tags["mlflow.note.content"])
        assert "| overall | all | 200 |" in note
        assert run.data.params["hidden_size"] == "4"
        assert run.data.params["cell"] == cell
        metrics = run.data.metrics
        for stage in ("val", "test"):
            for name in ("loss", "accuracy", "balanced_accuracy"):
                assert f"{stage}/{name}" in metrics
        assert "train/loss" in metrics


def test_metrics_are_kept_for_every_epoch(trained: Path) -> None:
    client = connect(create=False)
    for run in runs():
        for name in ("train/loss", "val/accuracy"):
            history = client.get_metric_history(run.info.run_id, name)
            assert len(history) == 2
            assert history[0].step < history[1].step


def test_the_configuration_of_a_run_makes_the_same_run_again(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (gru,) = [run for run in runs() if run.data.tags["cell"] == "gru"]
    path = artifact(gru, "config.yaml")
    assert yaml.safe_load(path.read_text())["model"]["cell"] == "gru"
    assert main(["fit", "-c", str(path)]) == 0
    again = [run for run in runs() if run.data.tags["cell"] == "gru"]
    assert len(again) == 2
    assert again[0].data.metrics["test/loss"] == again[1].data.metrics["test/loss"]


def recorded(run: Run) -> list[DatasetInput]:
    assert run.inputs is not None
    return list(run.inputs.dataset_inputs)


def test_the_data_are_recorded_with_digests(trained: Path) -> None:
    first = recorded(runs()[0])
    assert {tag.value for one in first for tag in one.tags} >= {"train", "validation", "test"}
    digests = {one.dataset.digest for one in first}
    assert len(digests) == 3
    for run in runs():  # every cell saw the same items
        assert {one.dataset.digest for one in recorded(run)} == digests


def test_tables_and_figures_are_there(trained: Path) -> None:
    for run in runs():
        table = pd.read_csv(artifact(run, "tables/accuracy.csv"))
        overall = table[table["by"] == "overall"].set_index("system")["accuracy"]["network"]
        assert overall == pytest.approx(run.data.metrics["test/accuracy"], abs=1e-6)
        for by in ("intervening", "attractors", "label"):
            sums = table[table["by"] == by].groupby("system")["n"].sum()
            assert len(sums) == 7  # the network and six baselines
            assert (sums == 200).all()
        for figure in ("accuracy", "gates", "profile", "timescales", "gradients", "number_units"):
            png = artifact(run, f"figures/{figure}.png").read_bytes()
            assert png.startswith(b"\x89PNG")
        gates = pd.read_parquet(artifact(run, "tables/gate_statistics.parquet"))
        expected = {
            "rnn": set(),
            "gru": {("update", "keep"), ("update", "write"), ("reset", None)},
            "lstm": {("forget", "keep"), ("input", "write"), ("output", None)},
        }
        found = {
            (gate, None if pd.isna(reading) else reading)
            for gate, reading in zip(gates["gate"], gates["reading"], strict=True)
        }
        assert found == expected[run.data.tags["cell"]]


def test_what_the_gates_do_is_in_the_run_and_beside_the_model(trained: Path) -> None:
    client = connect(create=False)
    for run in runs():
        name = f"memgate-{run.data.tags['cell']}-synthetic"
        version = client.get_model_version_by_alias(name, "champion")
        folder = model_folder(f"models:/{name}@champion")
        profile = read_profile(artifact(run, "tables/profile.parquet"))
        pd.testing.assert_frame_equal(read_profile(folder / "profile.parquet"), profile)
        assert version.tags["gate_profile"] == profile_hash(profile)
        units = NumberUnits.load(folder / "number_units.json")
        assert saved_units(folder).units == list(units.units)
        carriers = pd.read_csv(artifact(run, "tables/number_units.csv"))
        assert carriers["number"].tolist() == units.unit_table["number"].tolist()
        norms = pd.read_csv(artifact(run, "tables/gradients.csv"))
        assert set(norms["trained"]) == {True, False}
        page = artifact(run, "explain.html").read_text()
        assert page.count("<section aria-labelledby") == 6
        assert "the cats , which already ate" in page.replace("<u>", "").replace("</u>", "")
        assert f'"cell":"{run.data.tags["cell"]}"' in page
        assert len(page.encode()) < 400_000
        reading = "state_update" if run.data.tags["cell"] == "rnn" else "write"
        steps = [
            e.step for e in client.get_metric_history(run.info.run_id, f"gates/{reading}_subject")
        ]
        assert steps[0] == 0
        assert steps == sorted(set(steps))


def test_every_run_registers_a_champion(trained: Path) -> None:
    client = connect(create=False)
    for run in runs():
        name = f"memgate-{run.data.tags['cell']}-synthetic"
        version = client.get_model_version_by_alias(name, "champion")
        assert version.run_id == run.info.run_id
        assert float(version.tags["val_accuracy"]) == pytest.approx(
            max(
                entry.value for entry in client.get_metric_history(run.info.run_id, "val/accuracy")
            ),
            abs=1e-6,
        )
        assert memgate.load(f"models:/{name}@champion").classifier.cell == run.data.tags["cell"]


def test_one_cell_of_one_kind_of_data_with_a_seed(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--cell", "gru", "--data", "synthetic", "--seed", "3"]) == 0
    (run,) = runs()
    assert run.info.run_name == "gru-synthetic-seed3"
    printed = capsys.readouterr().out
    assert "gru-synthetic-seed3" in printed
    assert "epoch 2/2" in printed
    table = pd.read_csv("out/train/accuracy.csv")
    assert set(table["model"]) == {"gru-synthetic-seed3"}
    assert Path("out/train/accuracy.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.processes
def test_fits_in_parallel_end_on_one_screen_though_one_fails(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (empty / "configs/cell/rnn.yaml").write_text("model: {cell: rnn, num_layers: -1}")
    assert main(["train", "--data", "synthetic", "--jobs", "2"]) == 2
    assert [run.data.tags["cell"] for run in runs()] == ["gru", "lstm"]
    assert {run.info.status for run in runs()} == {"FINISHED"}
    out, err = capsys.readouterr()
    printed, errors = out.splitlines(), err.splitlines()
    assert any(line.startswith("rnn-synthetic: ") for line in errors)
    assert errors[-1] == "memgate: error: 1 of 3 fits failed, see above"
    done = [line for line in printed if line.startswith("[")]
    assert len(done) == 3
    screen = printed[printed.index(done[-1]) + 1 :]
    assert len(screen) <= 30
    assert all(len(line) <= 80 for line in screen)
    (head,) = (line for line in screen if "best baseline" in line)
    assert head.split()[:3] == ["n", "GRU", "LSTM"]
    assert any(line.split()[:3] == ["synthetic", "(test)", "all"] for line in screen)
    text = " ".join(" ".join(screen).split())
    assert "the write gate of unit" in text
    assert "out/train/explain.html" in text
    assert Path("out/train/explain.html").stat().st_size > 10_000


ARTICLES = """
data:
  name: english
  source:
    class_path: memgate.data.sources.joined.Joined
    init_args:
      sources:
        - class_path: memgate.data.sources.jsonl.JsonLines
          init_args: {train: [$MEMGATE_DATA/items.jsonl]}
      without_data:
        - class_path: memgate.data.corpora.corpus.Corpus
          init_args: {files: [articles.txt], folder: data/wikipedia, validation: 0.2, test: 0.2}
model: {hidden_size: 4, embedding_size: 6}
trainer: {max_epochs: 1}
"""


@pytest.fixture
def articles(empty: Path) -> Path:
    """The working directory, with a configuration of a small corpus."""
    nouns = ("boy", "girls", "king", "queens", "dog", "cats", "horse", "poets", "pilot", "judges")
    lines = [
        f"The {noun} near the {place} {'are' if noun.endswith('s') else 'is'} here .\n"
        for noun in nouns
        for place in ("house", "old houses")
    ]
    (empty / "articles.txt").write_text("".join(lines))
    (empty / "configs/data/english.yaml").write_text(ARTICLES)
    return empty


def about_real_text(capsys: pytest.CaptureFixture[str]) -> str:
    (told,) = [line for line in capsys.readouterr().out.splitlines() if "MEMGATE_DATA" in line]
    assert told.startswith("real text: ")
    return told


def test_without_corpora_wikipedia_is_the_real_text(
    trained_template: Path, articles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("spacy", reason="spaCy is in the extra memgate[corpus]")
    pytest.importorskip("gensim", reason="gensim is in the extra memgate[corpus]")
    assert main(["train", "--cell", "rnn", "--jobs", "1"]) == 0
    assert "Wikipedia" in about_real_text(capsys)
    assert {run.data.tags["data"] for run in runs()} == {"synthetic", "english"}
    card = Path("data/wikipedia/README.md")
    assert "20 items from 20 sentences" in card.read_text()

    made = card.stat().st_mtime_ns
    with pytest.MonkeyPatch.context() as patch:  # what is made needs no parser
        patch.setattr(parsing, "MODELS", ("xx_none",))
        assert main(["train", "--cell", "gru", "--data", "english"]) == 0
    assert card.stat().st_mtime_ns == made
    assert "built once" not in capsys.readouterr().out
    assert [run.data.tags["cell"] for run in runs()] == ["rnn", "rnn", "gru"]


def test_without_a_parser_the_extra_is_named(
    articles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parsing, "MODELS", ("xx_none",))
    assert main(["train", "--cell", "rnn"]) == 0
    assert "none; pip install 'memgate[corpus]'" in about_real_text(capsys)
    assert [run.data.tags["data"] for run in runs()] == ["synthetic"]
    assert not Path("data").exists()

    assert main(["train", "--cell", "rnn", "--data", "english"]) == 2
    printed = capsys.readouterr()
    assert "pip install 'memgate[corpus]'" in printed.err
    assert "reading the data" not in printed.out  # before any fit


def test_corpora_that_are_not_there_are_told_before_any_fit(
    articles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEMGATE_DATA", str(articles))
    assert main(["train"]) == 2
    assert "expected a folder with corpus/, found none" in capsys.readouterr().err


def test_data_without_a_configuration_are_refused_with_what_there_is(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (empty / "configs/data/mine.yaml").write_text("data: {name: mine}")
    assert main(["train", "--data", "nowhere"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("memgate: error: data/nowhere.yaml: expected a configuration file")
    assert "data/mine.yaml, data/synthetic.yaml" in line
    assert "data/wikipedia.yaml" in line, "shipped"
    assert not (empty / "mlruns").exists()
