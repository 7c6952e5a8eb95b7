"""Result files are written all or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from memgate.errors import InputError
from memgate.reporting.files import write_all


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
