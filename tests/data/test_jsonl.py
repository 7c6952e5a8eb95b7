"""Agreement JSONL: what is read, and the one line that each kind of wrong input gets."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memgate.data import jsonl
from memgate.data.example import FEATURES, LABELS, SPLITS, item
from memgate.data.jsonl import JsonLines, OnError, read
from memgate.errors import InputError

DATA = os.environ.get("MEMGATE_DATA")

Write = Callable[..., str]


@pytest.fixture(autouse=True)
def no_progress_bars() -> Iterator[None]:
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, *lines: str | dict[str, Any], encoding: str = "utf-8") -> str:
        """Write lines, gzipped if the name says so, and return the path."""
        text = "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines)
        content = text.encode(encoding)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return str(path)

    return write


def row(prefix: str = "the keys", label: Any = "pl", **more: Any) -> dict[str, Any]:
    return {"prefix": prefix, "label": label, **more}


def texts(items: datasets.Dataset) -> list[str]:
    assert items.features == FEATURES
    return list(items["text"])


def problem(patterns: str | list[str], on_error: OnError = "stop") -> str:
    """The message with which these files are refused."""
    with pytest.raises(InputError) as error:
        read([patterns] if isinstance(patterns, str) else patterns, on_error)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


# --- what is read


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
    assert items[1] == {**item(row()), "label": 1}


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
    return {
        "text": " ".join(tokens),
        "verb_idx": verb_idx,
        "label": draw(st.sampled_from(LABELS)),
        **draw(st.fixed_dictionaries({}, optional=optional)),
    }


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows(), min_size=1, max_size=8), st.booleans(), st.booleans())
def test_what_is_written_is_read(given: list[dict[str, Any]], escape: bool, zipped: bool) -> None:
    lines = "\n".join(json.dumps(row, ensure_ascii=escape) for row in given)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "items.jsonl"
        path.write_bytes(gzip.compress(lines.encode()) if zipped else lines.encode())
        found = read([str(path)]).to_list()
    assert found == [{**item(row), "label": LABELS.index(row["label"])} for row in given]


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


# --- what is refused


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (row(label="x"), r"label: expected 'sg' or 'pl', got 'x'"),
        (row(label=1), r"label: expected 'sg' or 'pl', got 1"),
        (row(label=True), r"label: expected 'sg' or 'pl', got True"),
        ({"label": "sg"}, r"expected 'text' with 'verb_idx', or 'prefix'; got neither"),
        (row(text="a b", verb_idx=3), r"verb_idx: expected an integer from 0 to 2, got 3"),
        (row(tags="DT NN", subj_idx=1), r"label: 'pl' contradicts the subject's tag 'NN'"),
        ('{"prefix": "a", "label"', 'expected JSON, got \'{"prefix": "a", "label"\' (Expe'),
        ("[1, 2]", r"expected a JSON object, got '[1, 2]'"),
        ("null", r"expected a JSON object, got 'null'"),
        ('{"prefix": "\\ud800", "label": "sg"}', 'expected JSON, got \'{"prefix": "\\\\ud800",'),
        ("[" * 100_000, r"expected JSON, got '[[[["),
        ('{"verb_idx": ' + "9" * 5000 + "}", 'expected JSON, got \'{"verb_idx": 999'),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_bad_row_is_reported_with_file_and_line(
    write: Write, name: str, line: str | dict[str, Any], message: str
) -> None:
    path = write(name, row(), "", "", line, row())
    assert problem(path).startswith(f"{path}, line 4: {message}")


def test_of_several_bad_rows_the_first_is_named_and_the_others_counted(write: Write) -> None:
    first = write("a.jsonl", row(), row(label="x"), row(), "{")
    second = write("b.jsonl", "{", row())
    message = problem([first, second])
    assert message.startswith(f"{first}, line 2: label: expected 'sg' or 'pl', got 'x'")
    assert message.endswith(" (and 2 more bad rows)")


def test_the_line_is_right_beyond_the_first_thousand(write: Write) -> None:
    path = write("a.jsonl", *[row()] * 2345, "{")
    assert problem(path).startswith(f"{path}, line 2346: expected JSON")


def test_bad_rows_may_be_skipped_and_are_counted_and_listed(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    first = write("a.jsonl", row("a"), row(label="x"), "", row("b"))
    second = write("b.jsonl", "{", row("c"))
    only_bad = write("c.jsonl", row(label="y"))
    with caplog.at_level(logging.WARNING, "memgate"):
        items = read([first, second, only_bad], on_error="skip")
    assert texts(items) == ["a", "b", "c"]
    assert items.to_list() == [{**item(row(text)), "label": 1} for text in "abc"]
    messages = [record.getMessage() for record in caplog.records]
    expected = "left out: {}, line {}: label: expected 'sg' or 'pl', got {!r}"
    assert messages[0] == expected.format(first, 2, "x")
    assert messages[1].startswith(f"left out: {second}, line 1: expected JSON, got '{{' (")
    assert messages[2] == expected.format(only_bad, 1, "y")
    assert messages[3:] == ["left out 3 bad rows, kept 3"]


def test_without_bad_rows_nothing_is_said(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    read([write("a.jsonl", row())], on_error="skip")
    assert caplog.records == []


def test_skipping_does_not_hide_that_nothing_is_left(write: Write) -> None:
    bad = write("a.jsonl", "{", row(label="x"))
    assert problem(bad, "skip") == f"{bad}: expected agreement items, found none"
    good, blank = write("b.jsonl", row()), write("c.jsonl", "", " ")
    for patterns in ([blank, good], [good, blank], [bad, blank, good]):
        assert problem(patterns, "skip") == f"{blank}: expected agreement items, found none"


def test_refuses_files_without_items(write: Write, tmp_path: Path) -> None:
    (tmp_path / "nothing.jsonl").touch()
    nothing = f"{tmp_path}/nothing.jsonl"
    assert problem(nothing) == f"{nothing}: expected agreement JSONL, got an empty file"
    for path in (write("blank.jsonl", "", "  "), write("nothing.jsonl.gz")):
        assert problem(path) == f"{path}: expected agreement items, found none"


def test_refuses_missing_files_folders_and_globs_that_match_nothing(
    write: Write, tmp_path: Path
) -> None:
    good = write("folder/a.jsonl", row())
    for missing in (f"{tmp_path}/a.jsonl", f"{tmp_path}/b*.jsonl", f"{good}/a.jsonl"):
        expected = f"{missing}: expected a file of agreement JSONL, found none"
        assert problem([good, missing]) == expected
    for pattern in (f"{tmp_path}/folder", f"{tmp_path}/*"):
        expected = f"{tmp_path}/folder: expected a file of agreement JSONL, got a folder"
        assert problem(pattern) == expected


@pytest.mark.parametrize("pattern", ["$MEMGATE_NOT_SET/a.jsonl", "x/${MEMGATE_NOT_SET}/*"])
def test_refuses_a_variable_that_is_not_set(pattern: str) -> None:
    assert problem(pattern) == (
        f"{pattern}: the environment variable MEMGATE_NOT_SET is not set; set it to the folder "
        "that holds these files, as in MEMGATE_NOT_SET=/path/to/corpora"
    )


@pytest.mark.parametrize("name", ["b.jsonl", "b.jsonl.gz"])
def test_refuses_another_encoding_and_names_the_file(write: Write, name: str) -> None:
    good, bad = write("a.jsonl", row()), write(name, row("é"), encoding="utf-16")
    latin = write("c.jsonl", *[row()] * 50, '{"prefix": "é", "label": "sg"}', encoding="latin-1")
    assert problem([good, bad]).startswith(f"{bad}: can't be read: 'utf-8' codec can't decode")
    assert problem([good, latin]).startswith(f"{latin}: can't be read: 'utf-8' codec can't decode")


def test_a_byte_order_mark_is_told_by_its_name(write: Write) -> None:
    path = write("a.jsonl", row(), encoding="utf-8-sig")
    assert problem(path).startswith(f"{path}, line 1: expected JSON, got ")
    assert "UTF-8 BOM" in problem(path)


def test_refuses_damaged_gzip_and_names_the_file(write: Write) -> None:
    good = write("a.jsonl", row())
    bad = write("b.jsonl.gz", *[row(f"w{n} x{n * n % 9973}") for n in range(2000)])
    whole = Path(bad).read_bytes()
    half = len(whole) // 2
    damaged = {
        "cut": whole[:half],
        "changed": whole[:half] + bytes(byte ^ 255 for byte in whole[half:]),
        "checksum": whole[:-6] + b"\0" + whole[-5:],
        "no gzip": b'{"prefix": "a", "label": "sg"}\n',
        "header only": b"\x1f\x8b\x08" + b"\0" * 20,
    }
    for kind, content in damaged.items():
        Path(bad).write_bytes(content)
        assert problem([good, bad], "skip").startswith(f"{bad}: can't be read: "), kind


# --- splits, and repositories


def test_a_source_has_three_splits(write: Write) -> None:
    train, validation, test = ([write(f"{split}.jsonl", row(split))] for split in SPLITS)
    splits = JsonLines(train, validation, test).load()
    assert {name: texts(rows) for name, rows in splits.items()} == {s: [s] for s in SPLITS}


def test_refuses_a_split_without_files(write: Write) -> None:
    path = write("a.jsonl", row())
    with pytest.raises(InputError, match=r"^test: expected files or a repository, got neither$"):
        JsonLines(train=[path], validation=[path]).load()


def test_a_source_skips_bad_rows_if_told_to(write: Write) -> None:
    path, bad = write("a.jsonl", row()), write("b.jsonl", row(), "{")
    with pytest.raises(InputError, match=rf"^{bad}, line 2: expected JSON"):
        JsonLines([path], [bad], [path]).load()
    assert len(JsonLines([path], [bad], [path], on_error="skip").load()["validation"]) == 1


@pytest.fixture
def repository(write: Write, tmp_path: Path) -> str:
    """A folder in the layout of a Hub repository, with columns that are not ours."""
    for split in SPLITS:
        text = {"text": f"the keys of {split} are", "verb_idx": 4, "label": "pl"}
        write(f"repository/{split}.jsonl", {**text, "source": ["x"], "subj_idx": None}, text)
    return str(tmp_path / "repository")


def test_a_folder_gives_its_own_splits(repository: str) -> None:
    splits = JsonLines(repository=repository).load()
    assert {s: texts(rows) for s, rows in splits.items()} == {
        split: [f"the keys of {split} are"] * 2 for split in SPLITS
    }
    assert splits["test"][0] == {**item(row("the keys of test")), "label": 1} | {
        "text": "the keys of test are",
        "verb_idx": 4,
    }


def test_files_named_within_a_folder_go_before_its_own_splits(
    repository: str, write: Write
) -> None:
    write("repository/more/x.jsonl.gz", row("named"))
    splits = JsonLines(["test.jsonl", "more/*.gz"], test=["more/x.jsonl.gz"], repository=repository)
    found = {split: texts(rows) for split, rows in splits.load().items()}
    assert found == {
        "train": ["the keys of test are"] * 2 + ["named"],
        "validation": ["the keys of validation are"] * 2,
        "test": ["named"],
    }


@pytest.mark.parametrize("names", [["sg", "pl"], ["pl", "sg"], ["none", "pl", "sg"]])
def test_labels_of_a_table_go_by_their_names(tmp_path: Path, names: list[str]) -> None:
    features = datasets.Features(
        {"prefix": datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    table = {"prefix": ["the keys", "the key"], "label": ["pl", "sg"]}
    for split in SPLITS:
        data = datasets.Dataset.from_dict(table, features=features)
        data.to_parquet(tmp_path / f"{split}.parquet")
    assert list(JsonLines(repository=str(tmp_path)).load()["train"]["label"]) == [1, 0]


@pytest.mark.parametrize(
    ("feature", "label", "got"),
    [
        (datasets.ClassLabel(names=["singular", "plural"]), "plural", "'plural'"),
        (datasets.ClassLabel(names=["sg", "pl"]), None, "None"),
        (datasets.ClassLabel(names=["sg", "pl"]), -1, "None"),
        (datasets.Value("int64"), 1, "1"),  # which one is 1?
    ],
)
def test_refuses_labels_without_the_right_names(
    tmp_path: Path, feature: Any, label: Any, got: str
) -> None:
    features = datasets.Features({"prefix": datasets.Value("string"), "label": feature})
    for split in SPLITS:
        data = datasets.Dataset.from_dict({"prefix": ["it"], "label": [label]}, features=features)
        data.to_parquet(tmp_path / f"{split}.parquet")
    message = rf"^{tmp_path} \(train\), line 1: label: expected 'sg' or 'pl', got {got}$"
    with pytest.raises(InputError, match=message):
        JsonLines(repository=str(tmp_path)).load()


def refused(**arguments: Any) -> str:
    """The message with which a repository is refused."""
    with pytest.raises(InputError) as error:
        JsonLines(**arguments).load()
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


def test_refuses_a_folder_without_the_split(repository: str) -> None:
    (Path(repository) / "validation.jsonl").unlink()
    assert refused(repository=repository) == (
        f"{repository}: expected a split 'validation', found train, test; "
        "name the files of validation instead"
    )


def test_refuses_a_folder_with_bad_rows_broken_files_or_none(
    repository: str, write: Write, tmp_path: Path
) -> None:
    text = {"text": "the keys are", "verb_idx": 2, "source": [], "subj_idx": None}
    write("repository/test.jsonl", {**text, "label": "pl"}, {**text, "label": "x"})
    message = refused(repository=repository)
    assert message == f"{repository} (test), line 2: label: expected 'sg' or 'pl', got 'x'"
    write("repository/test.jsonl", row(), '{"prefix":')
    assert refused(repository=repository).startswith(f"{repository}: can't be read: ")
    write("repository/test.jsonl", row(text={"unlike": "train"}))
    assert refused(repository=repository).startswith(f"{repository}: can't be read: ")
    (tmp_path / "bare").mkdir()
    assert refused(repository=f"{tmp_path}/bare").startswith(f"{tmp_path}/bare: can't be loaded: ")
    assert "bare/a.jsonl: expected a file" in refused(
        train=["a.jsonl"], repository=f"{tmp_path}/bare"
    )


@contextlib.contextmanager
def hub(monkeypatch: pytest.MonkeyPatch, port: int) -> Iterator[None]:
    """Take another server on this machine for the Hub, and see that it is done with soon."""
    with monkeypatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        patch.setenv("NO_PROXY", "127.0.0.1")
        start = time.monotonic()
        yield
        assert time.monotonic() - start < 5


UNREACHABLE = (
    "someone/agreement: no such local folder, and the Hugging Face Hub can't be reached; "
    "download the files and name them, or set HF_HUB_OFFLINE=1 to use the local cache"
)


def test_says_soon_that_there_is_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with hub(monkeypatch, closed.getsockname()[1]):  # bound, but nobody listens
            assert refused(repository="someone/agreement") == UNREACHABLE
            files = {split: ["a.jsonl"] for split in SPLITS}
            assert refused(repository="someone/agreement", **files) == UNREACHABLE


def test_says_soon_that_the_hub_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "HUB_TIMEOUT", 0.2)
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, hub(monkeypatch, silent.getsockname()[1]):
        assert refused(repository="someone/agreement") == UNREACHABLE


class NotFound(BaseHTTPRequestHandler):
    """A Hub that doesn't know the repository."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_says_that_there_is_no_such_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), NotFound) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with hub(monkeypatch, server.server_port):
                message = refused(repository="someone/agreement", revision="v1")
        finally:
            server.shutdown()
            thread.join()
    assert message.startswith("someone/agreement: no such dataset on the Hub: 404 Client Error.")


def test_refuses_a_name_that_can_be_no_repository() -> None:
    message = refused(repository="no such/folder at all")
    assert message.startswith("no such/folder at all: no such dataset on the Hub: Repo id must ")


def test_offline_it_looks_in_the_local_cache_only() -> None:
    """In a process of its own: the libraries read HF_HUB_OFFLINE when they are imported."""
    code = (
        "from memgate.data.jsonl import JsonLines\n"
        "from memgate.errors import InputError\n"
        "for files in ([], ['a.jsonl']):\n"
        "    try:\n"
        "        JsonLines(files, repository='someone/agreement').load()\n"
        "    except InputError as error:\n"
        "        print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    own, named = ran.stdout.splitlines()
    assert own.startswith("someone/agreement: can't be loaded: ")
    assert named.startswith("hf://datasets/someone/agreement/a.jsonl: can't be loaded: ")
    assert "HF_HUB_OFFLINE" in named
