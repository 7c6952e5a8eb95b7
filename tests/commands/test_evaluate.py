"""`memgate evaluate` on trained models: tables, figures, and what is refused."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pandas as pd
import pytest

import memgate
from memgate.baselines.fitted import Baselines
from memgate.cli import main
from memgate.data.sources import jsonl
from memgate.data.sources.grammar import Grammar
from memgate.metrics.systems import SYSTEM_NAMES
from memgate.predictor import BASELINES_FOLDER
from memgate.tracking.registry import versions

GRU = "models:/memgate-gru-synthetic@champion"
LSTM = "models:/memgate-lstm-synthetic/1"


def error(capsys: pytest.CaptureFixture[str]) -> str:
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("memgate: error: ")
    return lines[0]


def evaluate(*args: str, out: str = "scores") -> int:
    return main(["evaluate", *args, "--out", out])


def test_table_predictions_and_figure_agree_with_the_model(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(GRU, LSTM, "--data", "items.jsonl") == 0
    table = pd.read_csv("scores/accuracy.csv")
    assert list(table.columns) == [
        *("model", "data", "system", "by", "stratum", "n", "correct", "accuracy", "low", "high")
    ]
    assert list(table["model"].unique()) == [uri.removeprefix("models:/") for uri in (GRU, LSTM)]
    assert set(table["by"]) == {
        *("overall", "label", "intervening", "attractors", "intervening_x_attractors", "condition")
    }
    predicted = pd.read_parquet("scores/predictions.parquet")
    assert len(predicted) == 2 * 300
    rows = [json.loads(line) for line in Path("items.jsonl").read_text().splitlines()]
    prefixes = [" ".join(row["text"].split(" ")[: row["verb_idx"]]) for row in rows]
    tags = [" ".join(row["tags"].split(" ")[: row["verb_idx"]]) for row in rows]
    p_plural = memgate.load(GRU).predict(prefixes, tags)
    mine = predicted[predicted["model"] == "memgate-gru-synthetic@champion"]
    plural = [row["label"] == "pl" for row in rows]
    p_right = [p if label else 1 - p for p, label in zip(p_plural, plural, strict=True)]
    assert mine["p_right"].to_numpy() == pytest.approx(p_right, abs=1e-6)
    right = [(p > 0.5) == label for p, label in zip(p_plural, plural, strict=True)]
    own = table[(table["model"] == mine["model"].iloc[0]) & (table["by"] == "overall")]
    assert list(own["system"]) == ["network", *SYSTEM_NAMES]
    baselines = Baselines.load(versions.model_folder(GRU) / BASELINES_FOLDER)
    answers = baselines.p_plural(jsonl.read(["items.jsonl"]).with_format("arrow")[:]) > 0.5
    expected = [sum(right), *(int((answers[name] == plural).sum()) for name in SYSTEM_NAMES)]
    assert own["correct"].tolist() == expected
    assert Path("scores/accuracy.png").read_bytes().startswith(b"\x89PNG")
    printed = "".join(capsys.readouterr().out.split())
    assert "memgate-gru-" in printed  # a name above figures is folded after a hyphen
    assert "11+" in printed


def test_without_a_model_the_champions_are_scored(trained: Path) -> None:
    assert evaluate("--data", "items.jsonl") == 0
    table = pd.read_csv("scores/accuracy.csv")
    assert set(table["model"]) == {
        f"memgate-{c}-synthetic@champion" for c in ("rnn", "gru", "lstm")
    }


def test_probabilities_do_not_depend_on_the_batch_size(trained: Path) -> None:
    assert evaluate(GRU, "--data", "items.jsonl") == 0
    assert evaluate(GRU, "--data", "items.jsonl", "--batch-size", "1", out="one") == 0
    whole, one = (pd.read_parquet(f"{name}/predictions.parquet") for name in ("scores", "one"))
    assert whole["p_right"].to_numpy() == pytest.approx(one["p_right"].to_numpy(), abs=1e-6)


def test_names_are_there_on_a_narrow_terminal(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("memgate.reporting.console.WIDTH_OF_A_LOG", 80)
    Path("odd[bold].jsonl").write_bytes(Path("items.jsonl").read_bytes())
    assert evaluate(GRU, LSTM, "--data", "odd[bold].jsonl") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "odd[bold]: accuracy in %, and its 95% interval" in lines
    heads = lines[2 : lines.index(next(line for line in lines if line.startswith("─")))]
    end = heads[-1].index("n ") + 1  # the network's column is the first one after n
    first = [line[end : end + 20].strip() for line in heads]
    assert "".join(first) == "memgate-gru-synthetic@champion"
    assert max(map(len, lines)) <= 80


def test_a_folder_is_a_model_too_though_it_has_no_baselines(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memgate.load(GRU).save(Path("saved"))
    assert evaluate(GRU, "saved", "--data", "items.jsonl") == 0
    predicted = pd.read_parquet("scores/predictions.parquet")
    first, second = (rows["p_right"].to_numpy() for _, rows in predicted.groupby("model"))
    assert (first == second).all()
    table = pd.read_csv("scores/accuracy.csv")
    alone = table[table["model"] == "saved"]
    assert set(alone["system"]) == {"network"}
    both = table[table["system"] == "network"].groupby("model")["correct"]
    assert len({tuple(correct) for _, correct in both}) == 1
    lines = capsys.readouterr().out.splitlines()
    told = "saved: no baselines alongside it; `memgate fit` registers them with a model"
    assert [line for line in lines if "no baselines" in line] == [told]


def test_damaged_baselines_are_told(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = versions.model_folder(GRU) / BASELINES_FOLDER
    (folder / "last_words.parquet").unlink()
    assert evaluate(GRU, "--data", "items.jsonl") == 2
    assert "baselines/last_words.parquet: expected the weights of the last words" in error(capsys)
    assert not Path("scores").exists()


def test_several_files_are_several_data_sets_and_what_lacks_is_said(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in Path("items.jsonl").read_text().splitlines()]
    kept = ("text", "verb_idx", "label")
    bare = [json.dumps({name: row[name] for name in kept}) for row in rows[:50]]
    Path("sub").mkdir()
    with gzip.open("sub/items.jsonl.gz", "wt") as file:
        file.write("\n".join(bare))
    assert evaluate(GRU, "--data", "items.jsonl", "sub/*.gz") == 0
    table = pd.read_csv("scores/accuracy.csv")
    assert set(table["data"]) == {"items.jsonl", "sub/items.jsonl.gz"}  # one stem, so the paths
    printed = capsys.readouterr().out
    assert "sub/items.jsonl.gz: 50 of 50 items left out of intervening (no subj_idx)" in printed
    assert "sub/items.jsonl.gz: 50 of 50 items left out of attractors" in printed


def test_repeated_items_are_reported(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Path("items.jsonl").read_text().splitlines(keepends=True)
    Path("twice.jsonl").write_text("".join([*lines[:200], *lines[:5]]))
    note = "5 of 205 items repeat an earlier one, so the intervals are too narrow"
    assert evaluate(GRU, "--data", "twice.jsonl", "items.jsonl") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"twice: {note}" in printed
    assert "items: 5" not in printed
    assert main(["compare", GRU, LSTM, "--data", "twice.jsonl"]) == 0
    assert note in " ".join(capsys.readouterr().out.split())


def test_words_a_model_does_not_know_are_said(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ['{"prefix": "xyzzy", "label": "sg"}', '{"prefix": "the cat", "label": "sg"}']
    Path("odd.jsonl").write_text("\n".join(rows))
    assert evaluate(GRU, "--data", "odd.jsonl") == 0
    assert "odd: 1 items without a word that memgate-gru-synthetic" in capsys.readouterr().out


def test_items_of_the_training_split_are_reported(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = Grammar(train=600, validation=100, test=200, max_intervening=6).load()
    rows = [*splits["train"].select(range(600)), *splits["test"].select(range(30))]
    lines = [json.dumps({**row, "label": ("sg", "pl")[row["label"]]}) for row in rows]
    Path("train.jsonl").write_text("\n".join(lines[:600]))
    Path("mixed.jsonl").write_text("\n".join(lines[590:]))
    Path("test.jsonl").write_text("\n".join(lines[600:]))
    assert main(["export", GRU, "exported"]) == 0
    files = ("train.jsonl", "mixed.jsonl", "test.jsonl")
    capsys.readouterr()
    assert evaluate(GRU, "exported", "--data", *files) == 0
    assert _overlaps(capsys) == [
        ("train", "memgate-gru-synthetic@champion", "600 of these 600"),
        ("mixed", "memgate-gru-synthetic@champion", "10 of these 40"),
        ("train", "exported", "600 of these 600"),
        ("mixed", "exported", "10 of these 40"),
    ]
    assert main(["compare", GRU, LSTM, "--data", "train.jsonl"]) == 0
    assert [n for _, _, n in _overlaps(capsys)] == ["600 of these 600"] * 2

    # Models of earlier versions have no hashes: the run has a digest of the whole split.
    (versions.model_folder(GRU) / "training_items.parquet").unlink()
    assert evaluate(GRU, "--data", *files) == 0
    assert _overlaps(capsys) == [("train", "memgate-gru-synthetic@champion", "600 of these 600")]


def _overlaps(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, ...]]:
    printed = " ".join(capsys.readouterr().out.split())
    return re.findall(
        r"(\w+|items in common): (\S+) was trained on (\d+ of these \d+) items;", printed
    )


def test_models_of_one_name_are_not_mixed(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memgate.load(GRU).save(Path("memgate-gru-synthetic/1"))
    same = ("models:/memgate-gru-synthetic/1", "memgate-gru-synthetic/1")
    assert evaluate(*same, "--data", "items.jsonl") == 2
    assert "expected models of different names" in error(capsys)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["models:/memgate-gru-corpus@champion", "--data", "items.jsonl"], "memgate-gru-corpus"),
        (["models:/memgate-gru-synthetic/99", "--data", "items.jsonl"], "99"),
        (["runs:/0123/model", "--data", "items.jsonl"], "0123"),
        (["nowhere", "--data", "items.jsonl"], "nowhere: expected a model URI or a folder"),
        (["configs", "--data", "items.jsonl"], "tokenizer.json: expected"),
        ([GRU, "--data", "none.jsonl"], "none.jsonl: expected a file"),
        ([GRU, "--data", "empty.jsonl"], "empty.jsonl: expected agreement JSONL, got an empty"),
        ([GRU, "--data", "bad.jsonl"], "bad.jsonl, line 2: label: expected 'sg' or 'pl', got 'x'"),
        ([GRU, "--data", "blank.jsonl"], "blank.jsonl, line 1: prefix: expected tokens"),
        ([GRU, "--data", "alien.jsonl"], "words of the model's vocabulary"),
        ([GRU, "--data", "items.jsonl", "--batch-size", "0"], "--batch-size"),
        ([GRU], "expected --data FILE or --suite NAME, got neither"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_input_is_one_line_and_writes_nothing(
    args: list[str], told: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = '{"prefix": "the cat", "label": "sg"}\n'
    Path("empty.jsonl").write_text("")
    Path("bad.jsonl").write_text(good + '{"prefix": "the cat", "label": "x"}\n')
    Path("blank.jsonl").write_text('{"prefix": " ", "label": "sg"}\n')
    Path("alien.jsonl").write_text('{"prefix": "zrk frrp", "label": "sg"}\n')
    assert evaluate(*args) == 2
    assert told in error(capsys)
    assert not Path("scores").exists()


def test_bad_rows_are_skipped_when_asked(trained: Path) -> None:
    Path("bad.jsonl").write_text('{"prefix": "the cat", "label": "sg"}\nnot json\n')
    assert evaluate(GRU, "--data", "bad.jsonl", "--on-error", "skip") == 0
    assert len(pd.read_parquet("scores/predictions.parquet")) == 1


def test_a_corrupt_model_is_told(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for weights in Path("mlruns").rglob("model.safetensors"):
        weights.write_bytes(weights.read_bytes()[:100])
    assert evaluate(GRU, "--data", "items.jsonl") == 2
    assert "model.safetensors: expected safetensors" in error(capsys)
    assert not Path("scores").exists()


def test_a_folder_that_can_not_be_written_is_told(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("a file")
    assert evaluate(GRU, "--data", "items.jsonl", out="taken") == 2
    assert "taken: expected a folder to write to" in error(capsys)
    assert Path("taken").read_text() == "a file"


def test_without_a_store_the_way_to_one_is_told(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("items.jsonl").write_text('{"prefix": "the cat", "label": "sg"}\n')
    assert evaluate("--data", "items.jsonl") == 2
    assert error(capsys)
    assert not Path("mlruns").exists()


def test_unknown_words_are_named_and_in_red_where_nouns_are_among_them(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in Path("items.jsonl").read_text().splitlines()[:20]]
    plain = [{**row, "text": row["text"].replace("the ", "thee ")} for row in rows]
    for row in rows:
        words = row["text"].split()
        words[row["subj_idx"]] = "zrk"
        row["text"] = " ".join(words)
    for name, items in {"plain": plain, "nouns": rows}.items():
        Path(f"{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    assert evaluate(GRU, "--data", "plain.jsonl", "nouns.jsonl") == 0
    by_data = dict.fromkeys(("plain", "nouns"), "")
    for line in capsys.readouterr().out.splitlines():
        for data in by_data:
            if f"{data}: {GRU.removeprefix('models:/')} doesn't know " in line:
                by_data[data] = line
    assert re.search(r"know [\d.]+% of the words \(<unk>\)", by_data["plain"])
    assert by_data["nouns"].startswith("\x1b[1;31mnouns: ")
    assert ", nor the subject or a noun after it of 20 items" in by_data["nouns"]
    predicted = pd.read_parquet("scores/predictions.parquet")
    alarming = bool(predicted.loc[predicted["data"] == "plain", "unknown_noun"].any())
    assert by_data["plain"].startswith("\x1b[1;31m") == alarming
