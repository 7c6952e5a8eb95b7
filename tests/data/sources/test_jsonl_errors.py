"""Agreement JSONL: the one line that each kind of wrong input gets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from memgate.data.items.schema import FEATURES, parse_item
from memgate.data.sources.jsonl import JsonLines, OnError, read
from memgate.errors import InputError

Write = Callable[..., str]


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
    assert items.to_list() == [{**parse_item(row(text)), "label": 1} for text in "abc"]
    messages = [record.getMessage() for record in caplog.records]
    expected = "left out: {}, line {}: label: expected 'sg' or 'pl', got {!r}"
    assert messages[0] == expected.format(first, 2, "x")
    assert messages[1].startswith(f"left out: {second}, line 1: expected JSON, got '{{' (")
    assert messages[2] == expected.format(only_bad, 1, "y")
    assert messages[3:] == ["left out 3 bad rows, kept 3"]


def test_without_bad_rows_nothing_is_logged(write: Write, caplog: pytest.LogCaptureFixture) -> None:
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
    blank, no_line = write("blank.jsonl", "", "  "), write("nothing.jsonl.gz")
    assert problem(blank) == f"{blank}: expected agreement items, found none"
    assert problem(no_line) == f"{no_line}: expected at least one line, got none"


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
def test_refuses_another_encoding_and_names_file_and_line(write: Write, name: str) -> None:
    good, bad = write("a.jsonl", row()), write(name, row("é"), encoding="utf-16")
    latin = write("c.jsonl", *[row()] * 50, '{"prefix": "é", "label": "sg"}', encoding="latin-1")
    assert problem([good, bad]) == f"{bad}, line 1: expected UTF-8, got the byte 0xff"
    assert problem([good, latin]) == f"{latin}, line 51: expected UTF-8, got the byte 0xe9"


def test_a_byte_order_mark_is_read_over(write: Write) -> None:
    path = write("a.jsonl", row(), encoding="utf-8-sig")
    assert read([path]).to_list() == read([write("b.jsonl", row())]).to_list()


def test_refuses_damaged_gzip_and_names_the_file(write: Write) -> None:
    good = write("a.jsonl", row())
    bad = write("b.jsonl.gz", *[row(f"w{n} x{n * n % 9973}") for n in range(2000)])
    whole = Path(bad).read_bytes()
    half = len(whole) // 2
    damaged = {
        "cut": whole[:half],
        "changed": whole[:half] + bytes(byte ^ 255 for byte in whole[half:]),
        "checksum": whole[:-6] + b"\0" + whole[-5:],
        "header only": b"\x1f\x8b\x08" + b"\0" * 20,
    }
    for kind, content in damaged.items():
        Path(bad).write_bytes(content)
        assert problem([good, bad], "skip").startswith(f"{bad}: can't be read: "), kind


def test_refuses_a_split_without_files(write: Write) -> None:
    path = write("a.jsonl", row())
    with pytest.raises(InputError, match=r"^test: expected files or a repository, got neither$"):
        JsonLines(train=[path], validation=[path]).load()
