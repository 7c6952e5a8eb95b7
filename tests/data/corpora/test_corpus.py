"""Corpora made of raw text: what is written, read again, and gone on with."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import psutil
import pytest

from memgate.data.corpora import corpus, shards
from memgate.data.corpora.corpus import Corpus
from memgate.data.items.schema import FEATURES, SPLITS
from memgate.data.sources import jsonl
from memgate.errors import InputError

pytest.importorskip("spacy", reason="spaCy is in the extra memgate[corpus]")

Write = Callable[..., str]

NOUNS = (
    *("boy", "girl", "king", "queen", "dog", "cat", "horse"),
    *("teacher", "doctor", "farmer", "pilot", "poet", "singer", "judge"),
)
VERBS = ("sleeps", "laughs", "is here", "has left", "can wait", "sings and the birds fly")


@pytest.fixture
def text(write: Write) -> str:
    lines = [f"The {noun} near the old houses {verb} ." for noun in NOUNS for verb in VERBS]
    return write("text.txt", *(" ".join(lines[at : at + 3]) for at in range(0, len(lines), 3)))


def small(text: str, folder: Path, **settings: Any) -> Corpus:
    given = {"validation": 0.2, "test": 0.2, "num_proc": 1, "shard_size": 500, **settings}
    return Corpus(files=[text], folder=str(folder / "corpus"), **given)


def contents(folder: Path) -> dict[str, bytes]:
    names = [f"{split}.{kind}" for split in SPLITS for kind in ("jsonl", "parquet")]
    return {name: (folder / "corpus" / name).read_bytes() for name in names}


def every(splits: datasets.DatasetDict) -> list[dict[str, Any]]:
    return [row for split in SPLITS for row in splits[split]]


def test_a_source_has_three_splits_that_share_no_beginning(text: str, tmp_path: Path) -> None:
    splits = small(text, tmp_path).load()
    assert list(splits) == list(SPLITS)
    assert all(rows.features == FEATURES and len(rows) for rows in splits.values())
    rows = every(splits)
    assert len(rows) > 60
    assert Counter(row["verb_alt"] for row in rows).keys() >= {"sleep", "laugh", "are", "have"}
    assert all(row["n_attractors"] == 1 for row in rows if row["verb"] == "sleeps")
    beginnings = [{" ".join(row["text"].split()[:5]) for row in splits[split]} for split in SPLITS]
    assert sum(map(len, beginnings)) == len(set.union(*beginnings)) == len(NOUNS)


def test_all_that_is_written_is_the_same(text: str, tmp_path: Path) -> None:
    splits = small(text, tmp_path).load()
    folder = tmp_path / "corpus"
    for split in SPLITS:
        read = jsonl.read([str(folder / f"{split}.jsonl")])
        assert read[:] == splits[split][:]
        line = json.loads((folder / f"{split}.jsonl").read_text().splitlines()[0])
        assert line["target"] in ("main", "cop", "aux")
    manifest = json.loads((folder / "corpus.json").read_text())
    assert (manifest["finished"], manifest["asked"]["seed"]) == (True, 0)
    published = datasets.load_dataset(str(folder))  # finds the files through the card
    assert {split: len(rows) for split, rows in published.items()} == {
        split: len(rows) for split, rows in splits.items()
    }
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["README.md", "corpus.json", *contents(tmp_path)]
    )


def test_the_card_lists_what_was_extracted_and_left_out(text: str, tmp_path: Path) -> None:
    splits = small(text, tmp_path, linzen=True).load()
    card = re.sub(" +", " ", (tmp_path / "corpus/README.md").read_text())
    rows = every(splits)
    sg = sum(row["label"] == 0 for row in rows)
    assert f"\n{len(rows)} items from 84 sentences" in card
    assert "| source | text.txt |" in card
    assert "core_web_sm" in card
    assert "main verbs and copulas only" in card
    assert "| modal | 14 |" in card
    assert "| auxiliary | 14 |" in card
    for name, part in (*splits.items(),):
        label = Counter(part["label"])
        assert f"| {name} | {len(part)} | {label[0]} | {label[1]} |" in card
    between = [row["verb_idx"] - row["subj_idx"] - 1 for row in rows]
    near = sum(words == 0 for words in between)
    assert f"| 0 | {near} | 0 | 0 | 0 | 0 | {near} |" in card
    far = sum(3 <= words <= 5 for words in between)
    assert f"| 3–5 | 0 | {far} | 0 | 0 | 0 | {far} |" in card
    assert 0 < sg < len(rows)
    assert len({row["text"] for row in rows}) == len(rows)  # one item a sentence


@pytest.mark.processes
def test_parts_and_processes_change_nothing(text: str, tmp_path: Path) -> None:
    small(text, tmp_path / "one", shard_size=10**6).build()
    small(text, tmp_path / "many", num_proc=2).build()
    one, many = (contents(tmp_path / name) for name in ("one", "many"))
    assert all(one[f"{split}.jsonl"] == many[f"{split}.jsonl"] for split in SPLITS)


def test_another_seed_cuts_other_splits(text: str, tmp_path: Path) -> None:
    first = small(text, tmp_path / "0").load()
    second = small(text, tmp_path / "1", seed=1).load()
    assert sorted(row["id"] for row in every(first)) == sorted(row["id"] for row in every(second))
    assert set(first["test"]["id"]) != set(second["test"]["id"])


def test_a_finished_corpus_is_read_without_its_text(text: str, tmp_path: Path) -> None:
    made = small(text, tmp_path).load()
    Path(text).unlink()
    assert every(small(text, tmp_path, num_proc=2, shard_size=9).load()) == every(made)
    with pytest.raises(InputError, match=r"corpus: expected a corpus with seed 3, found one with"):
        small(text, tmp_path, seed=3).load()


MAKE = """
import sys
from memgate.data.corpora.corpus import Corpus
if __name__ == "__main__":
    Corpus(files=[sys.argv[1]], folder=sys.argv[2], validation=0.2, test=0.2,
           num_proc=int(sys.argv[3]), shard_size=2_000).build()
"""


@pytest.mark.processes
@pytest.mark.parametrize("processes", [1, 2])
def test_what_was_killed_goes_on_where_it_was(write: Write, tmp_path: Path, processes: int) -> None:
    lines = [f"The {n} near the {m} {v} ." for n in NOUNS for m in NOUNS[:9] for v in VERBS[:5]]
    text = write("long.txt", *lines)
    script = write("make.py", MAKE)
    folder = tmp_path / "corpus"
    making = subprocess.Popen([sys.executable, script, text, str(folder), str(processes)])
    unfinished = folder / corpus.SHARDS
    deadline = time.monotonic() + 120
    while len(list(unfinished.glob("*.parquet"))) < 2:
        assert making.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    workers = psutil.Process(making.pid).children(recursive=True)
    making.send_signal(signal.SIGKILL)
    making.wait()
    assert psutil.wait_procs(workers, timeout=60)[1] == []  # none stays behind
    assert (processes > 1) == bool(workers)
    (unfinished / "000099.unfinished").write_bytes(b"half of a part")
    kept = {path: path.stat().st_mtime_ns for path in unfinished.glob("*.parquet")}
    parts = json.loads((folder / corpus.MANIFEST).read_text())
    assert parts["finished"] is False

    watched: dict[Path, int] = {}
    save = shards.save

    def saving(where: Path, number: int, found: Any) -> None:
        save(where, number, found)
        watched.update({path: path.stat().st_mtime_ns for path in where.glob("*.parquet")})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "save", saving)
        settings = {"shard_size": 2_000, "num_proc": 1}
        small(text, tmp_path, **settings).build()
    assert kept.items() <= watched.items()  # not written again
    assert len(kept) < len(watched)
    small(text, tmp_path / "whole", **settings).build()
    assert contents(tmp_path) == contents(tmp_path / "whole")


def test_an_interrupted_corpus_is_gone_on_with_as_it_was_begun(text: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "_assemble", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            small(text, tmp_path).build()
    with pytest.raises(InputError, match=r"expected a corpus with shard_size 600, found one with"):
        small(text, tmp_path, shard_size=600).build()
    Path(text).write_text("Another text .\n")
    with pytest.raises(InputError, match=r"expected a corpus with revision '"):
        small(text, tmp_path).build()


def test_shards_have_about_the_size_asked_for() -> None:
    rows = datasets.Dataset.from_dict({"text": ["abc", "de", None, "f" * 9, "", "g"]})
    assert shards.bounds(rows, 5) == [(0, 2), (2, 4), (4, 6)]
    assert shards.bounds(rows, 100) == [(0, 6)]
    assert shards.bounds(rows.select([]), 5) == []
    long = datasets.Dataset.from_dict({"text": ["é"] * 25_000})
    assert shards.bounds(long, 10_000) == [(0, 10_000), (10_000, 20_000), (20_000, 25_000)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "expected either a dataset or files, got neither"),
        ({"dataset": "a", "files": ["b"]}, "expected either a dataset or files, got both"),
        ({"files": "b"}, "files: expected a list of files, got one string: 'b'"),
        (
            {"dataset": "a", "test": 0.0},
            "expected proportions above 0, together below 1; got 0.05 and ",
        ),
        (
            {"dataset": "a", "test": 0.96},
            "expected proportions above 0, together below 1; got 0.05 a",
        ),
        ({"dataset": "a", "num_proc": 0}, "num_proc: expected at least 1, got 0"),
        ({"dataset": "a", "shard_size": 0}, "shard_size: expected at least 1, got 0"),
    ],
)
def test_bad_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Corpus(**settings)


def test_text_without_items_is_an_error(write: Write, tmp_path: Path) -> None:
    none = write("none.txt", "It was red .", "They slept .")
    with pytest.raises(InputError, match=r"^none.txt: expected sentences with agreement, found"):
        small(none, tmp_path / "a").build()
    one = write("one.txt", "The key is red .")
    (tmp_path / "b/corpus").mkdir(parents=True)
    with pytest.raises(InputError, match=r"expected items, got none of 1; parse more text"):
        small(one, tmp_path / "b").build()
    assert not list((tmp_path / "a").iterdir())  # nothing half-made
    assert list((tmp_path / "b").rglob("*")) == [tmp_path / "b/corpus"]


def test_a_folder_that_can_not_be_made(text: str, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(InputError, match=r"taken/corpus: expected a folder to write to: "):
        small(text, tmp_path / "taken").build()


def test_a_missing_parser_is_reported_before_the_text_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)  # what an import of it then meets
    with pytest.raises(InputError, match=r"not installed; pip install 'memgate\[corpus\]'"):
        small(str(tmp_path / "none.txt"), tmp_path).build()
    assert not list(tmp_path.iterdir())


@pytest.mark.processes
def test_a_killed_process_leaves_the_parts_that_are_done(text: str, tmp_path: Path) -> None:
    save = shards.save

    def saving(where: Path, number: int, found: Any) -> None:
        save(where, number, found)
        for worker in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # a zombie, killed at the part before
                if "spawn_main" in " ".join(worker.cmdline()):
                    worker.kill()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "save", saving)
        with pytest.raises(InputError, match=r"ended suddenly, .* the same command resumes"):
            small(text, tmp_path, num_proc=2).build()
    assert list((tmp_path / "corpus" / corpus.SHARDS).glob("*.parquet"))
    small(text, tmp_path, num_proc=1).build()


def test_progress_is_printed_in_lines_where_there_is_no_terminal(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small(text, tmp_path).build()
    lines = capsys.readouterr().err.splitlines()  # `datasets` has lines of its own
    first, last = (line for line in lines if line.startswith("parsing: "))
    parts = int(first.removeprefix("parsing: 0/").removesuffix(" parts done"))
    assert parts > 3
    items = len(every(small(text, tmp_path).load()))
    assert last.startswith(f"parsing: {parts}/{parts} parts, {items} items, ")
    assert last.endswith(" items/s, about 0 s left")
    assert "parsing" not in capsys.readouterr().err  # the second time there is nothing to do


def test_a_folder_with_something_else_is_left_alone(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "mine").touch()
    with pytest.raises(InputError, match=r"corpus: expected a corpus or an empty folder"):
        small(text, tmp_path).build()
    for content in ("{", "[]", "{}"):
        (folder / corpus.MANIFEST).write_text(content)
        with pytest.raises(InputError, match=r"corpus.json: expected"):
            small(text, tmp_path).build()
    assert (folder / "mine").exists()


def test_no_network_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    source = Corpus("Salesforce/wikitext", "wikitext-2-raw-v1", folder=str(tmp_path / "c"))
    with pytest.raises(InputError, match=r"the Hugging Face Hub can't be reached") as error:
        source.load()
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
