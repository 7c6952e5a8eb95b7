"""Agreement JSONL: what is read."""

from __future__ import annotations

import gzip
import json
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memgate.data.items.numbers import LABELS
from memgate.data.items.schema import FEATURES, SPLITS, parse_item
from memgate.data.sources.jsonl import JsonLines, read
from memgate.errors import InputError

DATA = os.environ.get("MEMGATE_DATA")

Write = Callable[..., str]


def row(prefix: str = "the keys", label: Any = "pl", **more: Any) -> dict[str, Any]:
    return {"prefix": prefix, "label": label, **more}


def texts(items: datasets.Dataset) -> list[str]:
    assert items.features == FEATURES
    return list(items["text"])


def test_a_source_has_three_splits(write: Write) -> None:
    train, validation, test = ([write(f"{split}.jsonl", row(split))] for split in SPLITS)
    splits = JsonLines(train, validation, test).load()
    assert {name: texts(rows) for name, rows in splits.items()} == {s: [s] for s in SPLITS}


def test_a_source_can_skip_bad_rows(write: Write) -> None:
    path, bad = write("a.jsonl", row()), write("b.jsonl", row(), "{")
    with pytest.raises(InputError, match=rf"^{bad}, line 2: expected JSON"):
        JsonLines([path], [bad], [path]).load()
    assert len(JsonLines([path], [bad], [path], on_error="skip").load()["validation"]) == 1


def test_rows_come_with_every_field(write: Write) -> None:
    full = {
        "id": "1",
        "text": "the keys to it are",
        "verb_idx": 4,
        "subj_idx": 1,
        "label": "pl",
        "tags": "DT NNS TO PRP VBP",
        "n_attractors": 0,
        "verb": "are",
        "verb_alt": "is",
        "condition": "pp",
        "good": "a",
        "bad": "b",
    }
    items = read([write("a.jsonl", full, row())])
    assert items[0] == {**full, "label": 1}
    assert items[1] == {**parse_item(row()), "label": 1}


def test_plain_and_gzipped_files_and_globs_in_their_order(write: Write, tmp_path: Path) -> None:
    write("b/2.jsonl.gz", row("the second"))
    write("b/1.jsonl", row("the first"), row("the first too"))
    last = write("a.jsonl", row("the last"))
    both = ["the first", "the first too", "the second"]
    assert texts(read([f"{tmp_path}/b/*", last])) == [*both, "the last"]
    assert texts(read([last, f"{tmp_path}/**/[12].jsonl*"])) == ["the last", *both]


def test_gzip_is_known_by_its_content_too(write: Write, tmp_path: Path) -> None:
    Path(write("a.jsonl.gz", row())).rename(tmp_path / "a.jsonl")
    assert texts(read([str(tmp_path / "a.jsonl")])) == ["the keys"]


def test_a_file_that_is_named_twice_is_read_once(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write("a.jsonl", row())
    write("b.jsonl", row("b"))
    (tmp_path / "c.jsonl").symlink_to("b.jsonl")
    patterns = [path, f"{tmp_path}/*.jsonl", "a.jsonl", f"{tmp_path}/[a-c].jsonl", "./b.jsonl"]
    assert texts(read(patterns)) == ["the keys", "b"]


@pytest.mark.parametrize("name", ["a b#?%&.jsonl", "a[1].jsonl", "[x]*/a.jsonl", ".a.jsonl"])
def test_odd_names_are_names(write: Write, tmp_path: Path, name: str) -> None:
    assert texts(read([write(name, row())])) == ["the keys"]
    assert texts(read([f"{tmp_path}/**/{'.*' if name[0] == '.' else '*'}.jsonl"])) == ["the keys"]


@pytest.mark.parametrize("pattern", ["$CORPORA/a.jsonl", "${CORPORA}/*.jsonl", "~/a.jsonl"])
def test_variables_and_the_home_folder_are_replaced(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    write("a.jsonl", row())
    monkeypatch.setenv("CORPORA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert texts(read([pattern])) == ["the keys"]


def test_blank_lines_are_passed_over(write: Write) -> None:
    blank = ["", "  "] * 1500  # `datasets` reads 1,000 at a time
    assert texts(read([write("a.jsonl", *blank, row("a"), "\t", row("b"), *blank)])) == ["a", "b"]


def test_lines_end_where_files_end_lines(write: Write) -> None:
    unicode = json.dumps(row("a", id="line\u2028\x85\x0bend"), ensure_ascii=False)
    windows = write("a.jsonl", unicode + "\r", row("b"))
    assert texts(read([windows])) == ["a", "b"]
    Path(windows).write_bytes(Path(windows).read_bytes().rstrip())
    assert texts(read([windows])) == ["a", "b"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_changed_file_is_read_again(write: Write, name: str) -> None:
    path = write(name, row("cats"))
    assert texts(read([path])) == ["cats"]
    write(name, row("dogs"))
    assert texts(read([path])) == ["dogs"]


def test_local_files_need_no_network(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def resolve(host: str, *_: Any, **__: Any) -> Any:
        asked.append(host)
        raise OSError(f"{host}: no network")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for split in SPLITS:
        write(f"{split}.jsonl", row())
    read([f"{tmp_path}/*.jsonl"])
    JsonLines(repository=str(tmp_path)).load()
    assert asked == []


# Unicode without surrogates, which no file can hold
unicode = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
token = unicode.filter(lambda text: text.split() == [text])


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    tokens = draw(st.lists(token, min_size=1, max_size=5))
    verb_idx = draw(st.integers(1, len(tokens)))
    known = draw(st.lists(token.map(str.lower), min_size=len(tokens), max_size=len(tokens)))
    optional = {
        "subj_idx": st.integers(0, verb_idx - 1),
        "tags": st.just(" ".join(known)),
        "n_attractors": st.integers(0, verb_idx - 1),
        **dict.fromkeys(["id", "verb", "verb_alt", "condition", "good", "bad"], unicode),
    }
    row = {
        "text": " ".join(tokens),
        "verb_idx": verb_idx,
        "label": draw(st.sampled_from(LABELS)),
        **draw(st.fixed_dictionaries({}, optional=optional)),
    }
    if "tags" in row and "subj_idx" in row and "n_attractors" in row:
        row["n_attractors"] = 0  # of tags in lower case none is a noun's
    return row


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows(), min_size=1, max_size=8), st.booleans(), st.booleans())
def test_what_is_written_is_read(given: list[dict[str, Any]], escape: bool, zipped: bool) -> None:
    lines = "\n".join(json.dumps(row, ensure_ascii=escape) for row in given)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "items.jsonl"
        path.write_bytes(gzip.compress(lines.encode()) if zipped else lines.encode())
        found = read([str(path)]).to_list()
    assert found == [{**parse_item(row), "label": LABELS.index(row["label"])} for row in given]


@pytest.mark.skipif(DATA is None, reason="set MEMGATE_DATA to the folder of the corpora")
def test_the_real_training_files_hold_the_items_they_should() -> None:
    items = read(["$MEMGATE_DATA/corpus/*_train.jsonl.gz", "$MEMGATE_DATA/ud/*_train.jsonl.gz"])
    assert len(items) == 67_021
    table = items.to_pandas()
    assert table["verb_idx"].min() >= 1
    # shares of plural by the files' own description, of each file weighted by its items
    plural = 0.341 * 9873 + 0.335 * 4692 + 0.396 * 48700 + 0.317 * 1952 + 0.360 * 1804
    assert table["label"].mean() == pytest.approx(plural / 67_021, abs=5e-4)
    assert (table["n_attractors"] >= 4).sum() == 44 + 5 + 98 + 4 + 1
