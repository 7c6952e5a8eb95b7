"""`memgate explain`: in the terminal, as JSON, as a page, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from rich.cells import cell_len

from memgate.baselines.fitted import Baselines
from memgate.baselines.last_words import LastWords
from memgate.cli import main
from memgate.data.items.tasks import INFLECTION, NUMBER, Task
from memgate.data.tagger import Tagger
from memgate.data.vocabulary import Vocabulary
from memgate.models.classifier import CellName, Classifier
from memgate.predictor import Predictor

TAGS = {"the": "DT", "a": "DT", "cat": "NN", "cats": "NNS", "keys": "NNS", "cabinet": "NN"}
WORDS = [*TAGS, "to", ",", "which", "already", "ate", "bunch", "of", "is"]
SENTENCE = "the cat , which already ate a bunch of food ,"
GRU = "gru"


def save(name: str, cell: CellName, layers: int = 1, task: Task = NUMBER) -> Predictor:
    torch.manual_seed(3)
    vocabulary = Vocabulary.from_words(WORDS, ["NNS"])
    classifier = Classifier(len(vocabulary), cell, 4, 6, layers).eval()
    predictor = Predictor(classifier, vocabulary, task)
    predictor.save(Path(name))
    return predictor


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: models ``gru``, ``lstm`` of two layers, and ``rnn``; no store."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "FORCE_COLOR", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    save("gru", "gru")
    save("lstm", "lstm", layers=2)
    save("rnn", "rnn")
    return tmp_path


@pytest.fixture
def tagged(folder: Path) -> Path:
    """As `folder`, and the GRU has baselines beside it, whose tagger knows the nouns."""
    tagger = Tagger(pa.array(list(TAGS)), pa.array(list(TAGS.values())))
    nothing = LastWords(pa.array([], pa.string()), np.zeros(0), 0.0)
    Baselines("sg", tagger, nothing, None).save(folder / "gru/baselines")
    return folder


def explain(*args: str) -> int:
    return main(["explain", *args])


def numbers(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    capsys.readouterr()
    assert explain(*args, "--json") == 0
    models: dict[str, Any] = json.loads(capsys.readouterr().out)["models"]
    return models


def error(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("memgate: error: ")
    return line


def test_json_has_the_models_words_and_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    found = numbers(capsys, "gru", "rnn", "--sentence", SENTENCE, "the keys", "--units", "0:3,0:5")
    assert list(found) == ["gru", "rnn"]
    assert [one["sentence"] for one in found["gru"]["sentences"]] == [SENTENCE, "the keys"]
    words = found["gru"]["sentences"][0]["words"]
    assert [word["text"] for word in words] == SENTENCE.split(" ")
    assert words[9]["text"] == "food"
    assert words[9]["read"] == "<unk>"
    prefixes = [" ".join(SENTENCE.split(" ")[: n + 1]) for n in range(len(words))]
    expected = Predictor.load(Path("gru")).predict(prefixes)
    assert [word["p"] for word in words] == pytest.approx(list(expected), abs=1e-6)
    for word in words:
        assert list(word["units"]) == ["0:3", "0:5"]
        for unit in word["units"].values():
            assert unit["write"] + unit["keep"] == pytest.approx(1, abs=1e-6)
            assert isinstance(unit["state_update"], float)
    unit = found["rnn"]["sentences"][1]["words"][1]["units"]["0:3"]
    assert (unit["write"], unit["keep"]) == (None, None)
    assert isinstance(unit["contribution"], float)


def test_the_terminal_shows_what_json_says(capsys: pytest.CaptureFixture[str]) -> None:
    model = numbers(capsys, "gru", "--sentence", "the keys", "--units", "0:3")["gru"]
    found = model["sentences"][0]["words"]
    assert explain("gru", "--sentence", "the keys", "--units", "0:3", "--detail") == 0
    lines = capsys.readouterr().out.splitlines()
    write = next(line for line in lines if line.startswith("unit 4 write"))
    shown = [float(number) for number in re.findall(r"\d\.\d\d", write)]
    expected = [word["units"]["0:3"]["write"] for word in found]
    assert shown == pytest.approx(expected, abs=0.00501)
    p = next(line for line in lines if line.startswith("P(plural)"))
    assert [float(number) for number in p.split()[1:]] == pytest.approx(
        [word["p"] for word in found], abs=0.00501
    )
    text = " ".join(" ".join(lines).split())
    assert f"gru (GRU): {answer(found[-1]['p'])}" in text
    assert "1 × 6 units; shown: as requested" in text
    assert "unit 4 is 0:3 in --units and in files, which count from 0" in text
    assert "torch's z keeps" in text
    assert "Ng's Γu writes" in text


def answer(p: float) -> str:
    return f"{'plural' if p > 0.5 else 'singular'}, {max(p, 1 - p):.1%}"


@pytest.mark.parametrize("columns", [80, 30, 10])
def test_a_long_sentence_is_cut_between_words(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    long = " ".join([SENTENCE, "of 日本語 cats", *WORDS, *WORDS])
    assert explain("gru", "lstm", "--sentence", long, "--detail") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cell_len, lines)) <= columns
    if columns < 80:  # longer words are cut
        return
    heads = [line for line in lines if line.startswith(" " * 13) and not re.search(r"\d", line)]
    shown = " ".join(heads).replace(" (<unk>)", "").split()
    assert shown == long.split() * 2


@pytest.mark.parametrize("sentence", ["the cat", SENTENCE, " ".join(WORDS * 4), "the cat " * 400])
@pytest.mark.parametrize("model", ["gru", "lstm", "rnn"])
def test_a_sentence_is_a_block_of_at_most_a_dozen_lines_a_model(
    model: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(model, "--sentence", sentence, "--subject", "1") == 0
    out = capsys.readouterr().out
    start = out.index(f"{model} ({model.upper()})")
    block, _, _ = out[start:].partition("\n\nstate" if model == "rnn" else "\n\nwrite")
    assert 4 <= len(block.splitlines()) <= 12
    more = len(sentence.split()) > 30
    assert more == ("--detail" in block)
    assert block.count("P(plural)") == 2 if more else "P(plural)" in block
    if more:
        assert re.search(r"… \d+ words in between: --detail", block)


def test_bars_have_one_width(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("gru", "--sentence", "the already which keys") == 0
    out = capsys.readouterr().out
    assert re.search("[░▒▓█]", out)
    assert not re.search("[░▒▓█]{2}", out)


def test_the_unit_that_takes_up_the_subject_comes_first(
    tagged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = [[0, unit] for unit in range(6)]
    Path("gru/number_units.json").write_text(json.dumps({"units": every}))
    model = numbers(capsys, "gru", "--sentence", "the keys to the cabinet")["gru"]
    at_subject = model["sentences"][0]["words"][1]["units"]
    taken_up = [abs(unit["contribution_change"]) for unit in at_subject.values()]
    assert taken_up == sorted(taken_up, reverse=True)
    requested = numbers(capsys, "gru", "--sentence", "the keys", "--units", "0:1,0:0,0:2")["gru"]
    assert list(requested["sentences"][0]["words"][0]["units"]) == ["0:1", "0:0", "0:2"]
    assert explain("gru", "--sentence", "the keys to the cabinet") == 0
    first = int(next(iter(at_subject)).partition(":")[2])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("unit ")]
    assert rows[0].startswith(f"unit {first + 1} write")


@pytest.mark.parametrize(
    ("sentence", "share", "alarm"),
    [
        ("the cat is", None, False),
        ("the cat slowly", "1 of 3 words unknown (33%)", True),  # its tag is unknown
        ("the keys quickly is", "1 of 4 words unknown (25%)", False),  # the tagger knows an adverb
        ("the dog is", "1 of 3 words unknown (33%)", True),  # the tagger knows a noun
    ],
)
def test_the_proportion_of_unknown_words_is_beside_the_answer_in_red_for_nouns(
    sentence: str,
    share: str | None,
    alarm: bool,
    tagged: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tags = {**TAGS, "is": "VBZ", "quickly": "RB", "dog": "NN"}
    Tagger(pa.array(list(tags)), pa.array(list(tags.values()))).save(
        Path("gru/baselines/tags.parquet")
    )
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert explain("gru", "--sentence", sentence) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "(GRU): " in line)
    assert (share is not None) == ("unknown" in line)
    assert (share or "") in line
    assert ("\x1b[1;31m" in line) == alarm
    assert explain("gru", "--sentence", sentence, "--out", "page.html") == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert (f"<b>{share}</b>" in page) == (share is not None and not alarm)
    assert (f'<b class="alarm">{share}</b>' in page) == alarm


def test_shades_are_colours_or_else_blocks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert explain("gru", "--sentence", SENTENCE) == 0
    plain = capsys.readouterr().out
    assert "\x1b" not in plain
    assert re.search("[░▒▓█]", plain)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert explain("gru", "--sentence", SENTENCE) == 0
    coloured = capsys.readouterr().out
    assert re.search(r"\x1b\[[0-9;]*48;5;\d+m", coloured)
    assert not re.search("[░▒▓█]", coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    assert explain("gru", "--sentence", SENTENCE) == 0
    assert re.search("[░▒▓█]", capsys.readouterr().out)


def test_markup_and_control_characters_are_only_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("gru", "--sentence", "the [red]cat \x1b[31mkeys") == 0
    out = capsys.readouterr().out
    assert "[ (<unk>) red (<unk>) ] (<unk>)" in " ".join(out.split())
    assert "\x1b" not in out


def test_unknown_words_are_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("gru", "--sentence", "The cat, NNS wugs") == 0
    out = capsys.readouterr().out
    assert "wugs (<unk>)" in out
    for word in ("The", "cat", ",", "NNS"):
        assert f"{word} (" not in out


def test_an_rnn_and_a_lower_layer_show_what_they_have(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("rnn", "--sentence", "the cat", "--units", "0:1", "--detail") == 0
    out = capsys.readouterr().out
    assert "unit 2 state" in out
    assert "       contribution" in out
    assert "write" not in out.split("an RNN has no gates")[0]
    assert explain("lstm", "--sentence", "the cat", "--units", "0:1", "--detail") == 0
    below = capsys.readouterr().out
    assert "unit 2 of layer 1 write" in below
    assert "Δ logit" not in below


def test_number_units_are_shown_if_a_model_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    def shown() -> tuple[list[str], str]:
        found = numbers(capsys, "gru", "--sentence", "the cat")["gru"]
        return list(found["sentences"][0]["words"][0]["units"]), found["units"]

    units, chosen = shown()
    assert len(units) == 3
    assert chosen == (
        "3 with the largest |readout weight × change over the sentence| (no number units are named)"
    )
    Path("gru/number_units.json").write_text('{"units": [[0, 4], [0, 1]]}')
    assert shown() == (["0:4", "0:1"], "its 2 number units")
    every = [[0, unit % 6] for unit in (5, 4, 3, 2, 1, 0, 5)]
    Path("gru/number_units.json").write_text(json.dumps({"units": every}))
    assert shown()[1] == "the first 6 of its 7 number units"
    Path("gru/number_units.json").write_text('{"units": []}')
    assert shown() == (units, chosen)


def roles(capsys: pytest.CaptureFixture[str], *args: str) -> list[list[str | None]]:
    (model,) = numbers(capsys, *args).values()
    return [[word["role"] for word in one["words"]] for one in model["sentences"]]


def test_roles_are_shown_where_they_are_asked_for(
    tagged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = ("gru", "--sentence", "the keys to the cabinet", "a cat")
    assert roles(capsys, *two) == [[None] * 5, [None] * 2]
    tags = ["before", "subject", None, "other", "attractor"]  # the tagger doesn't know "to"
    assert roles(capsys, *two, "--subject", "auto") == [tags, ["before", "subject"]]
    assert roles(capsys, *two, "--subject", "1") == [tags, ["before", "subject"]]
    assert roles(capsys, *two, "--subject", "1,0")[1] == ["subject", None]
    assert roles(capsys, "rnn", *two[1:3], "--subject", "1") == [["before", "subject", *[None] * 3]]
    assert explain(*two, "--subject", "auto") == 0
    assert "subject" in capsys.readouterr().out


def test_a_verb_that_is_read_is_marked(tagged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save("gru", "gru", task=INFLECTION)
    assert roles(capsys, "gru", "--sentence", "the keys is", "--subject", "auto") == [
        ["before", "subject", "verb"]
    ]


def test_a_page_is_written_and_only_its_path_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("gru", "lstm", "--sentence", SENTENCE, "--out", "new/page.html") == 0
    assert capsys.readouterr().out == "wrote new/page.html\n"
    text = Path("new/page.html").read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert text.endswith("</html>\n")
    assert [path.name for path in Path("new").iterdir()] == ["page.html"]
    assert explain("gru", "--sentence", SENTENCE, "--out", "two.html", "--json") == 0
    out, err = capsys.readouterr()
    assert list(json.loads(out)) == ["models"]
    assert err == "wrote two.html\n"


def test_a_page_that_is_too_large_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memgate.commands.explain.PAGE_SIZE", 10_000)
    assert explain("gru", "--sentence", SENTENCE, "--out", "large.html", "--json") == 0
    assert re.search(r"large.html, 0\.\d MB; fewer or smaller models", capsys.readouterr().err)


def test_play_writes_a_page_and_opens_it_where_there_is_a_screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert main(["play", "gru", "lstm"]) == 0
    assert capsys.readouterr().out == "wrote out/play.html\n"
    text = Path("out/play.html").read_text(encoding="utf-8")
    assert re.findall(r'"label":"([^"]+)"', text) == ["GRU, trained", "LSTM, trained"]
    assert opened == []
    monkeypatch.setenv("DISPLAY", ":0")
    assert main(["play", "rnn", "--out", "rnn.html"]) == 0
    assert opened == [Path("rnn.html").resolve().as_uri()]


def test_play_without_a_model_takes_champions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play"]) == 2
    assert "expected an MLflow store" in error(capsys)


def test_a_folder_is_no_page(capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (".", "gru"):
        assert explain("gru", "--sentence", SENTENCE, "--out", folder) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert f"{folder}: expected a file to write to, got a folder" in err


def test_a_page_has_the_name_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("README.md").write_text("mine")
    assert explain("gru", "--sentence", SENTENCE, "--out", "README.md") == 2
    assert "README.md: expected a page's name that ends in .html" in capsys.readouterr().err
    assert Path("README.md").read_text() == "mine"


def test_sentences_may_be_of_one_word_and_option_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    save("my models/gru", "gru")
    line = ["my models/gru", "--sentence", "the  cat", "the cat ", "--sentence", "cat"]
    found = numbers(capsys, *line)
    assert list(found) == ["my models/gru"]
    assert [one["sentence"] for one in found["my models/gru"]["sentences"]] == ["the cat", "cat"]
    assert explain("gru", "--sentence", "the cat " * 400) == 0


def test_without_a_sentence_it_is_the_lectures(capsys: pytest.CaptureFixture[str]) -> None:
    assert [one["sentence"] for one in numbers(capsys, "gru")["gru"]["sentences"]] == [
        SENTENCE.replace("the cat", "The cat")
    ]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["nowhere", "--sentence", SENTENCE], "nowhere: expected a model URI or a folder"),
        (
            ["models:/memgate-gru-x@champion", "--sentence", SENTENCE],
            "mlruns/mlflow.db: expected an MLflow store",
        ),
        (["empty", "--sentence", SENTENCE], "tokenizer.json: expected"),
        (["gru", "--sentence", ""], "gru: sentence: expected words separated by spaces, got none"),
        (
            ["gru", "--sentence", " \n "],
            "gru: sentence: expected words separated by spaces, got none",
        ),
        (
            ["gru", "--sentence", SENTENCE, "zrk frrp"],
            "gru: sentence: expected at least one word of the voc",
        ),
        (["gru", "the cat"], "the cat: expected a model URI or a folder"),
        (["--sentence", "the cat"], "expected MODEL; see `memgate explain --help`"),
        (
            ["gru", "--sentence", SENTENCE, "--units", "0:6"],
            "units: expected layers 0 to 0 and units 0 to 5 of",
        ),
        (["gru", "lstm", "--sentence", SENTENCE, "--units", "1:2"], "units 0 to 5 of gru, got 1:2"),
        (
            ["gru", "--sentence", SENTENCE, "--units", "3"],
            "units: expected layer:unit, such as 0:3, got '3'",
        ),
        (["gru", "--sentence", SENTENCE, "--units", ""], "units: expected layer:unit"),
        (
            ["gru", "--sentence", SENTENCE, "--subject", "11"],
            "subject: expected a word from 0 to 10",
        ),
        (
            ["gru", "--sentence", SENTENCE, "--subject", "cat"],
            "--subject: expected auto, or a word's position",
        ),
        (["gru", "--sentence", SENTENCE, "--subject", "1,2"], "one or 1, got '1,2'"),
        (["gru", "--sentence", SENTENCE, "--out", "empty"], "empty: expected a file to write to"),
        (
            ["gru", "--sentence", SENTENCE, "--out", "gru/config.json/x.html"],
            "expected a file to write to",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_input_is_one_line_and_writes_nothing(
    args: list[str], told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    before = sorted(folder.rglob("*"))
    out = [] if "--out" in args else ["--out", "page.html"]
    assert explain(*args, *out) == 2
    assert told in error(capsys)
    assert sorted(folder.rglob("*")) == before


def test_a_registered_model_is_explained_as_its_folder(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = "models:/memgate-gru-synthetic@champion"
    (found,) = numbers(capsys, uri, "--sentence", SENTENCE, "--subject", "auto").items()
    assert found[0] == "memgate-gru-synthetic@champion"
    (beside,) = (path.parent for path in Path("mlruns").rglob("baselines") if gated(path.parent))
    (again,) = numbers(capsys, str(beside), "--sentence", SENTENCE, "--subject", "auto").values()
    assert found[1] == again
    assert again["sentences"][0]["words"][1]["role"] == "subject"
    name = Path("memgate-gru-synthetic@champion")
    save(str(name), "gru")
    assert explain(uri, str(name), "--sentence", SENTENCE) == 2
    assert "expected models of different names" in error(capsys)


def gated(folder: Path) -> bool:
    return bool(json.loads((folder / "config.json").read_text())["cell"] == "gru")


def test_damaged_number_units_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("gru/number_units.json").write_text('{"units": [[0, 9]]}')
    assert explain("gru", "--sentence", SENTENCE) == 2
    assert "units 0 to 5 of gru, got 0:9" in error(capsys)
    Path("gru/number_units.json").write_text("{")
    assert explain("gru", "--sentence", SENTENCE) == 2
    assert "number_units.json: expected pairs of layer and unit" in error(capsys)


@pytest.mark.processes
def test_a_folder_is_explained_without_what_is_slow_to_import() -> None:
    code = (
        "import sys; from memgate.cli import main; "
        "assert main(sys.argv[1:]) == 0; "
        "slow = {'mlflow', 'lightning', 'datasets', 'matplotlib', 'sklearn', 'scipy'}; "
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "explain", "gru", "--sentence", SENTENCE],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "[]\n"
