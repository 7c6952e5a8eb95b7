"""Result files are written all or not at all."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from memgate.errors import InputError
from memgate.reporting.files import write_all, write_file


def fail(path: Path) -> None:
    raise OSError("no room")


def test_all_files_or_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(InputError, match="expected a folder to write to, got: no room"):
        write_all(tmp_path, {"a": lambda path: path.write_text("new"), "b": fail})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_folder_in_the_way_of_a_file_leaves_the_others(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="b is a folder"):
        write_all(tmp_path, {name: lambda path: path.write_text("new") for name in "ab"})
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_file_that_is_replaced_is_named(tmp_path: Path) -> None:
    path = tmp_path / "new/items.jsonl"
    assert write_file(path, lambda part: part.write_text("12345")) == f"wrote {path}"
    line = write_file(path, lambda part: part.write_text("6"))
    assert re.fullmatch(
        rf"wrote {path}, in place of one of \d{{4}}-\d\d-\d\d \d\d:\d\d \(5 bytes\)", line
    )
    assert path.read_text() == "6"
    with pytest.raises(InputError, match="expected a file to write to, got: no room"):
        write_file(path, fail)
    assert path.read_text() == "6"
    assert [file.name for file in path.parent.iterdir()] == ["items.jsonl"]


def test_files_have_the_mode_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_file(tmp_path / "a", lambda part: part.write_text(""))
        write_all(tmp_path / "out", {"b": lambda path: path.write_text("")})
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "out", "out/b")] == [
        *(0o644, 0o755, 0o644)
    ]
