"""What is named is found once; what is wrong is said in one line."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import types
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

from memgate.data import files
from memgate.data.corpora import texts
from memgate.data.sources import conllu, jsonl, linzen
from memgate.errors import InputError


def zipped(data: bytes, names: tuple[str, ...] = ("items",)) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, data)
    return buffer.getvalue()


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zip": zipped,
}
MARK = "\ufeff"

CONLLU = """1\tThe\tthe\tDET\tDT\t_\t2\tdet\t_\t_
2\t{}\tx\tNOUN\tNN\t_\t3\tnsubj\t_\t_
3\tsleeps\tsleep\tVERB\tVBZ\t_\t0\troot\t_\t_

"""


def words(path: str) -> list[str]:
    """Return what the reader of a file reads: the second word of each item."""
    if "conllu" in path:
        return [sentence.tree.words[1] for sentence in conllu.read(path)]
    if "tsv" in path:
        return [text.split()[1] for text in linzen.read([path])["text"]]
    if "items" in path:
        return [text.split()[1] for text in jsonl.read([path])["text"]]
    return [text.split()[1] for text in texts.from_files([path], "text").rows["text"]]


FORMS = {
    "tree.conllu": CONLLU,
    "numpred.tsv": "VBZ\tthe {}\n",
    "items.jsonl": '{{"prefix": "the {}", "label": "sg"}}\n',
    "raw.txt": "the {} sleeps\n",
    "raw.jsonl": '{{"text": "the {} sleeps"}}\n',
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ending", COMPRESSORS)
def test_a_file_is_read_by_its_content(tmp_path: Path, form: str, ending: str) -> None:
    path = tmp_path / f"{form}{ending}"
    for word in ("cat", "dog"):  # of one size and one time, as two archives unpack them
        path.write_bytes(COMPRESSORS[ending](FORMS[form].format(word).encode()))
        os.utime(path, (0, 0))
        assert words(str(path)) == [word]


@pytest.mark.parametrize("form", ["tree.conllu", "numpred.tsv", "items.jsonl", "raw.txt"])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path, form: str, ending: str) -> None:
    path = tmp_path / f"{form}{ending}"
    path.write_bytes(COMPRESSORS[ending]((MARK + FORMS[form].format("cat")).encode()))
    assert words(str(path)) == ["cat"]


@pytest.mark.parametrize("form", FORMS)
def test_a_name_says_nothing_about_compression(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"{form}.gz"
    path.write_text(FORMS[form].format("cat"))
    assert words(str(path)) == ["cat"]


@pytest.mark.parametrize("form", FORMS)
def test_zstandard_needs_a_package(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    path = tmp_path / f"{form}.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(30))
    with pytest.raises(InputError) as error:
        words(str(path))
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "pip install zstandard" in message
    assert "\n" not in message


def test_an_archive_has_one_file(tmp_path: Path) -> None:
    path = tmp_path / "tree.conllu.zip"
    path.write_bytes(zipped(b"", ("a", "b")))
    with pytest.raises(InputError, match="expected a zip archive of one file, got 2"):
        words(str(path))


@pytest.mark.parametrize("form", FORMS)
def test_another_encoding_is_refused_with_its_line(tmp_path: Path, form: str) -> None:
    path = tmp_path / form
    path.write_bytes(FORMS[form].format("chat").encode() + "é".encode("latin-1"))
    line = FORMS[form].count("\n") + 1
    with pytest.raises(InputError) as error:
        words(str(path))
    assert str(error.value).startswith(f"{path}, line {line}: expected UTF-8, got the byte 0xe9")


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


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("form", FORMS)
def test_lines_end_as_on_any_system(tmp_path: Path, form: str, end: str) -> None:
    path = tmp_path / form
    text = FORMS[form].format("cat") + FORMS[form].format("dog")
    path.write_bytes(text.replace("\n", end).encode())
    assert words(str(path)) == ["cat", "dog"]
