"""What is named is found once; what is wrong is said in one line."""

from __future__ import annotations

import types
import zlib
from pathlib import Path

import datasets
import pytest

from memgate.data import files
from memgate.errors import InputError


def test_each_file_once_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.txt", "a.txt", "odd[1].txt"):
        (tmp_path / name).write_text("x\n", encoding="utf-8")
    monkeypatch.setenv("HERE", str(tmp_path))
    url = "https://example.org/a*.tsv?dl=1"
    found = files.paths(["$HERE/b.txt", url, f"{tmp_path}/*.txt", url, "$HERE/odd[1].txt"], "x")
    names = [path if files.is_url(path) else Path(path).name for path in found]
    assert names == ["b.txt", url, "a.txt", "odd[1].txt"]
    lines = files.lines(str(tmp_path / "odd[1].txt"))
    assert lines["text"][:] == ["x"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError("gone\nfor good"), "there: can't be loaded: gone"),
        (EOFError("torn"), "there: can't be loaded: torn"),
        (zlib.error("damaged"), "there: can't be loaded: damaged"),
        (ValueError(), "there: can't be loaded: ValueError"),
        (datasets.exceptions.DatasetNotFoundError("none"), "there: can't be loaded: none"),
        (datasets.exceptions.DatasetGenerationError(), "there: can't be read: None"),
        (InputError("said already"), "said already"),
    ],
)
def test_errors_become_one_line(error: Exception, message: str) -> None:
    with pytest.raises(InputError) as found, files.reported("there"):
        raise error
    assert str(found.value) == message


def test_a_defect_stays_a_defect() -> None:
    with pytest.raises(ZeroDivisionError), files.reported("there"):
        raise ZeroDivisionError


def test_the_digest_follows_the_source() -> None:
    assert files.digest(files) == files.digest(files)
    assert files.digest(files) != files.digest(files, types)
