"""The files of Linzen et al.: what is read of either form, and what is refused."""

from __future__ import annotations

import csv
import gzip
import io
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from memgate.data.items.schema import FEATURES
from memgate.data.sources.linzen import ELSEWHERE, Linzen, read
from memgate.errors import InputError
from memgate.fitting.configuration import configure

DATA = os.environ.get("MEMGATE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")

KEYS = {
    "sentence": "the keys to the NN are here .",
    "orig_sentence": "the keys to the armoire are here .",
    "pos_sentence": "DT NNS TO DT NN VBP RB .",
    "subj": "keys",
    "verb": "are",
    "subj_pos": "NNS",
    "has_rel": "False",
    "has_nsubj": "False",
    "verb_pos": "VBP",
    "subj_index": "2",
    "verb_index": "6",
    "n_intervening": "1",
    "last_intervening": "NN",
    "n_diff_intervening": "1",
    "distance": "4",
    "max_depth": "0",
    "all_nouns": "keys NN",
    "nouns_up_to_verb": "keys NN",
}
FIELDS = list(KEYS)
QUOTED = {
    **KEYS,
    "sentence": 'null " weighs 10\u00a0km',
    "orig_sentence": 'null " weighs 10\u00a0km',
    "pos_sentence": "NN '' VBZ CD",
    "subj": "null",
    "verb": "weighs",
    "subj_pos": "NN",
    "verb_pos": "VBZ",
    "subj_index": "1",
    "verb_index": "3",
    "n_intervening": "0",
    "last_intervening": "na",
    "n_diff_intervening": "0",
    "distance": "2",
    "all_nouns": "null",
    "nouns_up_to_verb": "null",
}

Write = Callable[..., str]


def full(*rows: dict[str, str], fields: list[str] = FIELDS) -> str:
    """The text of a TSV as the authors wrote it: csv's defaults, but for the tab."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t")
    writer.writerow(fields)
    writer.writerows([row[field] for field in fields] for row in rows)
    return text.getvalue()


@pytest.fixture
def put(tmp_path: Path) -> Write:
    def put(name: str, text: str | bytes) -> str:
        """Write a file below `tmp_path`, gzipped if the name says so, and return the path."""
        path = tmp_path / name
        data = text.encode() if isinstance(text, str) else text
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return str(path)

    return put


def refused(*patterns: str, **options: Any) -> str:
    """The one line with which files are refused."""
    with pytest.raises(InputError) as error:
        read(patterns, **options)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.mark.parametrize("name", ["agr.tsv", "agr.tsv.gz"])
def test_a_row_of_the_full_tsv(put: Write, name: str) -> None:
    path = put(name, full(KEYS, QUOTED))
    assert "\r\n" in full(KEYS)
    assert '"null "" weighs' in full(QUOTED)
    items = read([path])
    assert items.features == FEATURES
    nothing = dict.fromkeys(FEATURES)
    assert list(items) == [
        {
            **nothing,
            "id": "agr:2",
            "text": "the keys to the NN are here .",
            "tags": "DT NNS TO DT NN VBP RB .",
            "subj_idx": 1,
            "verb_idx": 5,
            "label": 1,
            "verb": "are",
            "verb_alt": "is",
            "n_attractors": 1,
        },
        {
            **nothing,
            "id": "agr:3",
            "text": 'null " weighs 10_km',
            "tags": "NN '' VBZ CD",
            "subj_idx": 0,
            "verb_idx": 2,
            "label": 0,
            "verb": "weighs",
            "verb_alt": "weigh",
            "n_attractors": 0,
        },
    ]
    for item in items:  # indices from 0, on the words they stand for
        assert item["text"].split(" ")[item["verb_idx"]] == item["verb"]
    assert read([path], masked=False)["text"][0] == "the keys to the armoire are here ."


def test_columns_may_come_in_any_order_but_none_may_be_missing(put: Write) -> None:
    turned = put("turned.tsv", full(KEYS, fields=FIELDS[::-1]))
    assert list(read([turned])["text"]) == ["the keys to the NN are here ."]
    short = put("short.tsv", full(KEYS, fields=[f for f in FIELDS if "index" not in f]))
    assert refused(short) == f"{short}, line 1: expected also the columns subj_index, verb_index"


def test_long_sentences_are_left_out_as_by_the_authors(put: Write) -> None:
    def row(words: int) -> dict[str, str]:
        filler = words - 8
        return {
            **KEYS,
            "sentence": KEYS["sentence"] + " ." * filler,
            "pos_sentence": KEYS["pos_sentence"] + " ." * filler,
        }

    path = put("long.tsv", full(row(51), row(50)))
    assert list(read([path])["id"]) == ["long:3"]
    only = put("only.tsv", full(row(51)))
    assert refused(only) == f"{only}: expected Linzen et al.'s items, found none"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verb_pos": "VBD"}, "verb_pos: expected VBZ or VBP, got 'VBD'"),
        (
            {"verb_pos": "VBZ"},
            "verb_index: expected the index of a VBZ in pos_sentence, from 1; got 6, a VBP",
        ),
        (
            {"verb_index": "5"},  # counted from 0
            "verb_index: expected the index of a VBP in pos_sentence, from 1; got 5, a NN",
        ),
        ({"verb_index": "9"}, "verb_index: expected 1 to 8, got '9'"),
        ({"subj_index": "0"}, "subj_index: expected 1 to 8, got '0'"),
        ({"subj_index": "two"}, "subj_index: expected 1 to 8, got 'two'"),
        (
            {"subj_pos": "VBP", "subj_index": "6"},
            "subj_index: expected below verb_index, got 6",
        ),
        (
            {"subj_pos": "NN", "subj_index": "5", "n_diff_intervening": "0"},
            "label: 'pl' contradicts the subject's tag 'NN'",
        ),
        ({"pos_sentence": "DT NNS TO DT NN VBP"}, "tags: expected 8, one a token, got 6"),
        (
            {"n_diff_intervening": "0"},
            "n_diff_intervening: expected 1, as in pos_sentence, got '0'",
        ),
        ({"sentence": "the  keys to the NN are here ."}, "text: expected tokens joined by one "),
    ],
)
def test_malformed_rows_of_the_full_tsv(put: Write, change: dict[str, str], message: str) -> None:
    path = put("bad.tsv", full(QUOTED, {**KEYS, **change}))
    assert refused(path).startswith(f"{path}, line 3: {message}")


def test_lines_that_are_no_rows(put: Write) -> None:
    short = put("short.tsv", full(KEYS) + "the keys\tare\r\n")
    assert refused(short) == f"{short}, line 3: expected 18 columns between tabs, got 2"
    quote = put("quote.tsv", full(KEYS) + '"the keys\r\n')
    assert refused(quote).startswith(f"{quote}, line 3: expected 18 columns between tabs, got: ")


def test_the_simple_files_with_words_that_look_like_nothing(put: Write) -> None:
    path = put(
        "numpred.val.tsv.gz",
        'VBZ\tnull\n\nVBP\tNNS , none of the NaN\nVBZ\tthe " NN\nVBP\tn/a , NA and nan\n',
    )
    items = read([path])
    assert items.features == FEATURES
    assert list(items["text"]) == ["null", "NNS , none of the NaN", 'the " NN', "n/a , NA and nan"]
    assert list(items["label"]) == [0, 1, 0, 1]
    assert list(items["verb_idx"]) == [1, 6, 3, 5]
    assert list(items["id"]) == [f"numpred.val:{line}" for line in (1, 3, 4, 5)]
    for unknown in ("n_attractors", "subj_idx", "tags"):
        assert set(items[unknown]) == {None}


def test_the_name_of_a_test_file_is_its_number_of_attractors(put: Write) -> None:
    for k in (0, 3, 12):
        path = put(f"numpred.test.{k}.tsv", "VBP\t" + "NNS of NN " * 5 + "here\n")
        assert read([path])["n_attractors"][:] == [k]
    plain = put("numpred.test.4", "VBP\tNNS of NN of NN of NN of NN\n")
    assert read([plain])["n_attractors"][:] == [4]
    many = put("numpred.test.5.tsv", "VBP\tNNS\n")
    assert refused(many) == f"{many}, line 1: n_attractors: expected an integer from 0 to 0, got 5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("VBZ\tthe cat\nVBD\tthe cat\n", "line 2: expected VBZ or VBP, a tab and a prefix"),
        ("VBZ the cat\n", "line 1: expected VBZ or VBP, a tab and a prefix"),
        ("<!DOCTYPE html>\n", "line 1: expected VBZ or VBP, a tab and a prefix"),
        ("VBZ\t\n", "line 1: prefix: expected tokens joined by one space, got an empty string"),
        ("VBZ\tthe\tcat\n", "line 1: prefix: expected tokens joined by one space, got other "),
    ],
)
def test_malformed_rows_of_the_simple_files(put: Write, text: str, message: str) -> None:
    path = put("numpred.val.tsv", text)
    assert refused(path).startswith(f"{path}, {message}")


def test_files_that_cannot_be_read(put: Write, tmp_path: Path) -> None:
    latin = put("latin.tsv", "VBZ\tthe café\n".encode("latin-1"))
    assert refused(latin).startswith(f"{latin}, line 1: expected UTF-8, got the byte 0xe9")
    whole = gzip.compress(b"VBZ\tthe cat\n" * 999)
    torn = put("torn.tsv", whole[:-20])
    assert refused(torn).startswith(f"{torn}: can't be ")
    damaged = put("damaged.tsv", whole[:20] + b"\0\0\0" + whole[23:])
    assert refused(damaged).startswith(f"{damaged}: can't be ")
    empty = put("empty.tsv", "")
    assert refused(empty) == f"{empty}: expected Linzen et al.'s items, got an empty file"
    nothing = put("nothing.tsv.gz", "")
    assert refused(nothing) == f"{nothing}: expected at least one line, got none"
    blank = put("blank.tsv", "\n \n")
    assert refused(blank) == f"{blank}: expected Linzen et al.'s items, found none"
    head = put("head.tsv", full())
    assert refused(head) == f"{head}: expected Linzen et al.'s items, found none"
    missing = f"{tmp_path}/none.tsv"
    assert refused(missing) == f"{missing}: expected a file of Linzen et al.'s items, found none"
    assert "got a folder" in refused(str(tmp_path))
    assert "NOWHERE is not set" in refused("$NOWHERE/numpred.val.tsv")
    assert refused() == "expected files of Linzen et al.'s items, got none"
    with pytest.raises(InputError, match=r"^expected a list of files, got one string: 'a.tsv'$"):
        read("a.tsv")


class Web(BaseHTTPRequestHandler):
    """Serves the full TSV, gzipped, and a page in its place; all else is a dead link."""

    pages = {  # noqa: RUF012
        "/agr.tsv.gz": gzip.compress(full(KEYS, QUOTED).encode()),
        "/page": b"<!DOCTYPE html><title>Sorry</title>\n",
    }

    def do_GET(self) -> None:
        body = self.pages.get(self.path.partition("?")[0])
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body or b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_full_tsv_from_the_web(web: str) -> None:
    items = read([f"{web}/agr.tsv.gz?dl=1"])
    assert list(items["id"]) == ["agr:2", "agr:3"]


def test_an_error_of_a_dead_link_names_another_address(
    web: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = f"{web}/gone.tsv.gz"
    assert refused(dead) == f"{dead}: can't be loaded: Unable to find '{dead}'; {ELSEWHERE}"
    page = refused(f"{web}/page")
    assert page.startswith(f"{web}/page, line 1: expected VBZ or VBP, a tab and a prefix")
    assert page.endswith(ELSEWHERE)
    with socket.socket() as closed:  # bound, but nobody listens: no network
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}/agr.tsv"
        assert refused(nowhere).endswith(ELSEWHERE)
    assert "github.com/TalLinzen/rnn_agreement" in ELSEWHERE
    assert "local copy" in ELSEWHERE


def simple(count: int, start: int = 0) -> str:
    return "".join(f"VBZ\tthe cat no{number}\n" for number in range(start, start + count))


def test_proportions_of_one_file_are_its_three_splits(put: Write) -> None:
    path = put("all.tsv", simple(2000) * 2)
    splits = Linzen([path]).load()
    assert list(splits) == ["train", "validation", "test"]
    texts = {name: set(rows["text"]) for name, rows in splits.items()}
    assert sum(len(rows) for rows in splits.values()) == 4000
    assert sum(map(len, texts.values())) == 2000  # both copies of a text are in one split
    sizes = {name: len(rows) / 4000 for name, rows in splits.items()}
    assert sizes == pytest.approx({"train": 0.09, "validation": 0.01, "test": 0.9}, abs=0.02)
    again = Linzen([path]).load()
    assert {name: set(rows["text"]) for name, rows in again.items()} == texts
    other = Linzen([path], seed=1).load()
    assert set(other["train"]["text"]) != texts["train"]


def test_more_files_move_no_item(put: Write) -> None:
    first, second = put("first.tsv", simple(500)), put("second.tsv", simple(500, start=500))
    one = Linzen([first], 0.2, 0.3).load()
    two = Linzen([second, first], 0.2, 0.3).load()
    for name, rows in one.items():
        assert set(rows["text"]) <= set(two[name]["text"])


def test_a_proportion_of_the_training_files_alongside_test_files(put: Write) -> None:
    train, test = put("numpred.val.tsv", simple(500)), put("numpred.test.1.tsv", simple(9))
    splits = Linzen([train], validation=0.1, test=[test]).load()
    assert len(splits["train"]) + len(splits["validation"]) == 500
    assert 20 < len(splits["validation"]) < 90
    assert splits["test"]["n_attractors"][:] == [1] * 9
    files = Linzen([train], [test], [test]).load()
    assert [len(rows) for rows in files.values()] == [500, 9, 9]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"validation": 0},
            r"^validation: expected files, or a proportion between 0 and 1; got 0$",
        ),
        ({"test": 1.0}, r"^test: expected files, or a proportion between 0 and 1; got 1.0$"),
        ({"test": -0.1}, r"^test: expected files, or a proportion between 0 and 1; got -0.1$"),
        ({"validation": 0.1}, r"^validation \+ test: expected proportions below 1, got "),
        (
            {"validation": 0.001, "test": 0.5},
            r"^validation: expected items in a proportion of 0.001, got none of 3$",
        ),
    ],
)
def test_wrong_proportions(put: Write, options: dict[str, Any], message: str) -> None:
    path = put("three.tsv", simple(3))
    with pytest.raises(InputError, match=message):
        Linzen([path], **options).load()


def test_a_configuration_may_give_a_proportion_or_files(put: Write) -> None:
    path = put("all.tsv", simple(300))
    args = ["--track=false", "--data.source=memgate.data.sources.linzen.Linzen"]
    for validation in ("0.25", f"[{path}]"):
        given = [f"--data.source.train=[{path}]", f"--data.source.validation={validation}"]
        fit = configure([*args, *given, f"--data.source.test=[{path}]"])
        validated = len(fit.data.source.load()["validation"])
        assert validated == 300 if validation.startswith("[") else 40 < validated < 110


@needs_data
def test_the_project_trains_on_val_and_tests_by_attractors() -> None:
    config = Path(__file__).parents[3] / "configs/data/linzen.yaml"
    splits = configure(["-c", str(config), "--track=false"]).data.source.load()
    assert len(splits["train"]) + len(splits["validation"]) == 15_497
    assert len(splits["validation"]) == 1_493
    assert set(splits["train"]["text"]).isdisjoint(splits["validation"]["text"])
    attractors = splits["test"]["n_attractors"][:]
    counts = {k: attractors.count(k) for k in range(1, 6)}
    assert counts == {1: 49_535, 2: 7_625, 3: 880, 4: 269, 5: 159}


@needs_data
@pytest.mark.parametrize(
    ("name", "rows", "plural"),
    [
        ("val", 15_497, 0.317),
        ("test.1", 49_535, 0.577),
        ("test.2", 7_625, 0.760),
        ("test.3", 880, 0.840),
        ("test.4", 269, 0.911),
        ("test.5", 159, 0.918),
    ],
)
def test_the_real_files_word_for_word(name: str, rows: int, plural: float) -> None:
    path = f"{DATA}/linzen/numpred.{name}.tsv.gz"
    items = read([path])
    assert len(items) == rows
    assert sum(items["label"]) / rows == pytest.approx(plural, abs=0.0005)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        assert list(items["text"]) == [line.rstrip("\n").split("\t")[1] for line in lines]
