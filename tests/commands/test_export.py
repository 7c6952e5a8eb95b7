"""`memgate export`: the folder, its card, and what is refused."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import stat
import sys
from pathlib import Path

import huggingface_hub
import mlflow
import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard

import memgate
from memgate.cli import main
from memgate.export.folder import FILES
from memgate.predictor import Predictor
from memgate.tracking.registry.versions import model_folder
from memgate.tracking.store import connect

GRU = "models:/memgate-gru-synthetic@champion"
TEXTS = ["the keys to the cabinet", "the key near the keys", "a dog that saw the cats"]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["export", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_the_folder_loads_and_its_card_says_what_the_run_measured(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", GRU, "out/gru", "--onnx"]) == 0
    out = capsys.readouterr().out
    folder = trained / "out/gru"
    names = {path.name for path in folder.iterdir()}
    assert names <= FILES
    assert names >= {"model.safetensors", "config.json", "tokenizer.json", "README.md"}
    assert names >= {"baselines", "profile.parquet", "predictions.parquet", "origin.json"}
    assert names >= {"model.onnx", "accuracy.csv", "accuracy.png", "profile.png"}
    assert all(name in out for name in names)
    assert (memgate.load("out/gru").predict(TEXTS) == memgate.load(GRU).predict(TEXTS)).all()

    run_id = connect().get_model_version_by_alias("memgate-gru-synthetic", "champion").run_id
    measured = pd.read_csv(
        mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="tables/accuracy.csv")
    )
    columns = ["data", "system", "by", "stratum", "n", "correct", "accuracy", "low", "high"]
    table = pd.read_csv(folder / "accuracy.csv")
    table, measured = (  # a run doesn't count the network's answers by condition
        each[each["by"] != "condition"].reset_index(drop=True) for each in (table, measured)
    )
    pd.testing.assert_frame_equal(table[columns], measured[columns])

    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "memgate"
    assert card.data.pipeline_tag == "text-classification"
    assert "gru" in card.data.tags
    results = card.data.eval_results
    assert results is not None
    own = measured[
        (measured["system"] == "network")
        & measured["by"].isin(["overall", "intervening", "attractors"])
    ]
    assert [each.metric_value for each in results] == own["accuracy"].round(6).tolist()
    assert {each.dataset_name for each in results} == {"synthetic (test)"}
    text = re.sub(" +", " ", card.text)
    for row in own.to_dict("records"):
        share, low, high = (f"{100 * row[name]:.1f}" for name in ("accuracy", "low", "high"))
        assert f"| {row['n']:,} | {share} ({low}–{high}) |" in text
    assert "| train | 600 |" in text
    assert "class_path: memgate.data.sources.grammar.Grammar" in card.text
    shown = set(re.findall(r"!\[[^]]*\]\(([^)]*)\)", card.text))
    assert shown == {name for name in names if name.endswith(".png")}


@pytest.mark.processes
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_code_of_the_card_runs_and_gives_what_memgate_gives(
    trained: Path, cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["export", f"models:/memgate-{cell}-synthetic@champion", "out/m", "--onnx"]) == 0
    text = (trained / "out/m/README.md").read_text("utf-8")
    assert ("An RNN has no gates" in text) == (cell == "rnn")
    assert ("**keep**" in text) == (cell != "rnn")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) == 3
    monkeypatch.chdir("out/m")
    expected = memgate.load(".").predict(["the keys to the cabinet"])[0]
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(block, {})
        found = re.search(r"\d\.\d+(e-\d+)?", printed.getvalue())
        assert found is not None, printed.getvalue()
        assert np.isclose(float(found[0]), expected, atol=1e-4)  # torch prints four decimals


def test_an_export_again_is_the_same_wherever_it_is_taken_from(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", GRU, "a", "--onnx", "--license", "mit"]) == 0
    first = contents(Path("a"))
    capsys.readouterr()
    assert main(["export", "a", "a", "--onnx"]) == 0
    assert "replaced the earlier export in a\n" in capsys.readouterr().out
    assert contents(Path("a")) == first
    Path("b").mkdir()
    assert main(["export", "a", "b"]) == 0
    assert "mit" in first["README.md"].decode()
    assert first.keys() - contents(Path("b")).keys() == {"model.onnx"}
    assert not [path for path in trained.iterdir() if path.name.startswith(".")]


def test_whoever_may_read_the_folder_may_read_its_files(trained: Path) -> None:
    assert main(["export", GRU, "made", "--onnx"]) == 0
    plain = Path("plain")
    plain.write_text("of this umask")
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in Path("made").rglob("*.*")}
    assert {mode for path, mode in modes.items() if path.is_file()} == {
        stat.S_IMODE(plain.stat().st_mode)
    }


def test_models_that_little_is_known_of(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    memgate.load(GRU).save(trained / "plain")
    assert main(["export", "plain", "made"]) == 0
    assert "licence: unknown" in capsys.readouterr().out
    card = ModelCard.load("made/README.md")
    assert card.data.license == "unknown"
    assert card.data.eval_results is None
    assert "# memgate-gru\n" in card.text
    assert "Not measured: " in card.text
    assert "Unknown: the run that trained the model" in card.text
    Path("plain/README.md").write_bytes(b"# caf\xe9")  # of others, and no UTF-8
    assert main(["export", "plain", "made"]) == 0

    (model_folder(GRU) / "predictions.parquet").unlink()  # as models of earlier versions
    assert main(["export", GRU, "old"]) == 0
    assert main(["export", "models:/memgate-lstm-synthetic@champion", "new"]) == 0
    old, new = (pd.read_csv(f"{name}/accuracy.csv") for name in ("old", "new"))
    assert list(old) == list(new)
    assert set(old["model"]) == {"memgate-gru-synthetic"}
    assert re.search(r"\| all +\| 200 +\|", Path("old/README.md").read_text("utf-8"))


def test_a_folder_that_holds_something_else_is_left_alone(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", GRU, "export"]) == 0
    capsys.readouterr()
    shutil.copytree("export", "with_notes")
    Path("with_notes/notes.txt").write_text("mine")
    memgate.load(GRU).save(trained / "plain")
    shutil.copytree("export", "other_card")
    Path("other_card/README.md").write_text("---\nlibrary_name: other\n---\n# mine\n")
    shutil.copytree("export", "no_header")
    Path("no_header/README.md").write_text("# mine\n")
    Path("file").write_text("mine")
    start = "expected no folder, an empty one or an earlier export, got one with "
    for name, reason in {
        "with_notes": f"{start}notes.txt",
        "plain": f"{start}files that aren't an export's",
        "other_card": f"{start}files that aren't an export's",
        "no_header": f"{start}files that aren't an export's",
        "file": "expected a folder, got a file",
        "file/inside": "expected a folder to write to, got: ",
    }.items():
        before = contents(trained)
        assert f"memgate: error: {name}: {reason}" in refused(capsys, GRU, name)
        assert contents(trained) == before


def test_nothing_is_half_written(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", GRU, "export", "--onnx"]) == 0
    capsys.readouterr()
    before, folder = contents(Path("export")), model_folder(GRU)
    (folder / "baselines" / "gone").symlink_to("nowhere")
    assert "export: expected a folder to write to, got: " in refused(capsys, GRU, "export")
    assert "new: expected a folder to write to, got: " in refused(capsys, GRU, "new")
    (folder / "predictions.parquet").write_text("torn")
    assert "expected predictions as Parquet, got: " in refused(capsys, GRU, "export")
    pd.DataFrame({"item": [1]}).to_parquet(folder / "predictions.parquet")
    assert "predictions.parquet: expected a column 'label', got item" in refused(
        capsys, GRU, "export"
    )
    assert contents(Path("export")) == before
    assert not [path for path in trained.iterdir() if path.name in ("new", ".new", ".export")]
    assert not [path for path in trained.iterdir() if path.name.startswith(".")]


def test_what_is_missing_is_told_before_anything_is_written(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    push = (GRU, "made", "--push", "someone/model")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert "--push: nobody is logged in to the Hugging Face Hub" in refused(capsys, *push)
    monkeypatch.setenv("HF_TOKEN", "hf_token_of_a_test")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "--push: the Hugging Face Hub can't be reached (" in refused(capsys, *push)
    monkeypatch.setitem(sys.modules, "onnx", None)  # as Python marks what can't be imported
    assert "pip install 'memgate[onnx]'" in refused(capsys, GRU, "made", "--onnx")
    assert "expected a model" in refused(capsys, "models:/none@champion", "made")
    assert not Path("made").exists()


def test_an_exported_model_answers_as_any_other(trained: Path) -> None:
    """It has what `evaluate` wants beside a model: its baselines."""
    assert main(["export", GRU, "export"]) == 0
    assert main(["evaluate", "export", "--data", "items.jsonl", "--out", "mine"]) == 0
    table = pd.read_csv("mine/accuracy.csv")
    assert {"network", "last_noun", "last_words"} <= set(table["system"])
    assert isinstance(memgate.load("export"), Predictor)


def test_a_space_is_a_page_that_runs_the_model(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", GRU, "out/space", "--space"]) == 0
    assert "index.html, README.md" in capsys.readouterr().out
    assert set(contents(trained / "out/space")) == {"index.html", "README.md"}
    card = huggingface_hub.RepoCard.load(trained / "out/space/README.md")
    assert card.data.sdk == "static"
    assert card.data.app_file == "index.html"
    assert card.data.title == "memgate-gru-synthetic"
    html = (trained / "out/space/index.html").read_text(encoding="utf-8")
    assert '"cell":"gru"' in html
    assert not re.search(r"<script[^>]* src=|<link|url\(", html)  # nothing from elsewhere
    error = refused(capsys, GRU, "out/other", "--space", "--onnx")
    assert "--space: expected no --onnx, --push or --license" in error
    assert not (trained / "out/other").exists()
