"""`memgate corpus`: what it makes and says, how it stops, and what it refuses."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from memgate.cli import main
from memgate.data.corpora import parsing
from memgate.data.items.schema import SPLITS
from memgate.data.sources import jsonl

pytest.importorskip("spacy", reason="spaCy is in the extra memgate[corpus]")

DATA = os.environ.get("MEMGATE_DATA")
MAKE = ("corpus", "--validation", "0.2", "--test", "0.2", "--out", "made", "--files")
NOUNS = ("boy", "girls", "king", "queens", "dog", "cats", "horse", "poets", "pilot", "judges")


def write(path: str, times: int = 1) -> None:
    lines = [
        f"The {noun} near the {place} {'are' if noun.endswith('s') else 'is'} here .\n"
        for noun in NOUNS
        for place in ("house", "old houses")
    ]
    Path(path).write_text("".join(lines) * times)


@pytest.fixture
def text(empty: Path) -> str:
    """The working directory with configurations and a file of text."""
    write("text.txt")
    return "text.txt"


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """Run a command that fails, and return its one line."""
    capsys.readouterr()
    assert main(args) == 2
    said = capsys.readouterr().err.splitlines()
    (line,) = [line for line in said if line and not line.startswith(("parsing", "Generating"))]
    assert line.startswith("memgate: error: ")
    return line.removeprefix("memgate: error: ")


def test_a_corpus_is_made_told_and_trained_on(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*MAKE, text]) == 0
    printed = capsys.readouterr().out
    for split in SPLITS:
        items = len(jsonl.read([f"made/{split}.jsonl"]))
        assert re.search(rf"^ {split} +{items} ", printed, re.MULTILINE)
    assert re.search(r"^ 3–5 +10 +10 +0 +0 +0 +20 *$", printed, re.MULTILINE)
    hint = printed.splitlines()[-1].removeprefix("this trains on it: memgate ")
    args = ["--track=false", "--trainer.max_epochs=1"]
    assert main([*hint.split(), *args]) == 0
    assert "lstm-made-seed0" in capsys.readouterr().out


def test_the_second_time_it_is_there(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*MAKE, text]) == 0
    first = capsys.readouterr().out
    made = {path: path.read_bytes() for path in Path("made").iterdir()}
    assert main([*MAKE, text]) == 0
    assert capsys.readouterr().out == f"made: the corpus is there already\n{first}"
    assert {path: path.read_bytes() for path in Path("made").iterdir()} == made
    assert "seed 1, found one with 0" in refused(capsys, *MAKE, text, "--seed", "1")


ENTRIES = [[sys.executable, "-m", "memgate"], [str(Path(sys.executable).parent / "memgate")]]


@pytest.mark.processes
@pytest.mark.parametrize("entry", ENTRIES, ids=["module", "script"])
def test_it_parses_in_processes_of_its_own(empty: Path, entry: list[str]) -> None:
    write("text.txt", times=700)  # 500 kB: two parts
    command = [*entry, *MAKE, "text.txt", "--num-proc", "2"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "parsing: 2/2 parts, 14000 items" in run.stderr.replace(",000", "000")
    assert "Traceback" not in run.stderr
    assert Path("made/train.parquet").is_file()


@pytest.mark.processes
@pytest.mark.parametrize("seconds", [0.0, 1.0, 3.0])
def test_ctrl_c_ends_it_in_one_line(empty: Path, seconds: float) -> None:
    write("text.txt", times=7000)  # 5 MB
    command = [*ENTRIES[0], *MAKE, "text.txt", "--num-proc", "2"]
    making = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not Path("made/corpus.json").exists():
        assert making.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(seconds)  # its processes are starting, or they parse
    workers = psutil.Process(making.pid).children(recursive=True)
    os.killpg(making.pid, signal.SIGINT)  # as a terminal does: they get it too
    _, told = making.communicate(timeout=60)
    assert making.returncode == 130
    stopped, interrupted = [line for line in told.splitlines() if "parsing" not in line]
    assert re.fullmatch(r"stopped; the same command resumes \(\d+ parts are done\)", stopped)
    assert interrupted == "memgate: interrupted"
    assert psutil.wait_procs(workers, timeout=60)[1] == []


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--files", "text.txt"], "expected --out; see `memgate corpus --help`"),
        (["--out", "made"], "expected either a dataset or files, got neither"),
        (
            ["--out", "made", "--files", "text.txt", "--dataset", "a/b"],
            "expected either a dataset or files, got both",
        ),
        ([*MAKE[1:], "text.txt", "--num-proc", "0"], "num_proc: expected at least 1, got 0"),
        ([*MAKE[1:], "table.jsonl"], "table.jsonl: expected a column 'text', found content"),
        ([*MAKE[1:], "latin.txt"], "latin.txt, line 1: expected UTF-8, got the byte 0xe9"),
        ([*MAKE[1:], "none.txt"], "none.txt: expected sentences with agreement, found none in 1"),
        ([*MAKE[1:], "no.txt"], "no.txt: expected a file of text, found none"),
        (["--out", "text.txt", "--files", "text.txt"], "text.txt: expected a corpus or an empty"),
        (["--out", "configs", "--files", "text.txt"], "configs: expected a corpus or an empty"),
        ([*MAKE[1:], "text.txt", "--model", "xx_none"], "xx_none: expected an installed spaCy m"),
    ],
)
def test_wrong_input_leaves_nothing(
    args: list[str], told: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("table.jsonl").write_text('{"content": "x"}\n')
    Path("latin.txt").write_bytes("é\n".encode("latin-1"))
    Path("none.txt").write_text("It was red .\n")
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    assert refused(capsys, "corpus", *args).startswith(told)
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


def test_a_missing_parser_is_told_first(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parsing, "MODELS", ("xx_none",))
    assert "pip install 'memgate[corpus]'" in refused(capsys, *MAKE, "no.txt")
    assert not Path("made").exists()


def test_no_network_is_told_at_once(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    started = time.monotonic()
    told = refused(capsys, "corpus", "--dataset", "Salesforce/wikitext", "--out", "made")
    assert "the Hugging Face Hub can't be reached" in told
    assert time.monotonic() - started < 15
    assert not Path("made").exists()


TREE = """\
1	The	_	_	DT	_	2	det	_	_
2	keys	_	_	NNS	_	7	nsubj	_	_
3	to	_	_	IN	_	5	case	_	_
4	the	_	_	DT	_	5	det	_	_
5	cabinet	_	_	NN	_	2	nmod	_	_
6	are	_	_	{tag}	_	7	cop	_	_
7	red	_	_	JJ	_	0	root	_	_
8	.	_	_	.	_	7	punct	_	_

"""


def test_the_check_prints_counts_and_intervals(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")  # in 80, names take two lines
    Path("a.conllu").write_text(3 * TREE.format(tag="VBP") + TREE.format(tag="VBD"))
    assert main(["corpus-check", "--gold", "a.conllu"]) == 0
    first, _, _, precision, recall, number = capsys.readouterr().out.splitlines()
    assert first.startswith("4 sentences with gold trees, parsed by core_web_sm")
    # by hand: Wilson's interval of 3 of 4 is 30.1 to 95.4%, of 3 of 3 from 43.9%
    assert precision.split()[-5:] == ["items", "3", "4", "75.0", "30.1–95.4"]
    assert recall.split()[-5:] == ["parser", "3", "3", "100.0", "43.9–100.0"]
    assert number.split()[-5:] == ["number", "3", "4", "75.0", "30.1–95.4"]


def test_the_check_says_what_to_set(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "MEMGATE_DATA is not set" in refused(capsys, "corpus-check")


@pytest.mark.skipif(DATA is None, reason="MEMGATE_DATA is not set")
def test_the_check_on_the_treebanks(
    empty: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEMGATE_DATA", str(DATA))
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["corpus-check"]) == 0
    lines = capsys.readouterr().out.splitlines()[3:]
    for line, floor in zip(lines, (93, 86, 99), strict=True):
        right, n, share = line.split()[-4:-1]
        assert floor <= float(share) == round(100 * int(right) / int(n), 1)
