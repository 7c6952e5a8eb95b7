"""MediaWiki dumps: prose comes out, and nothing else."""

from __future__ import annotations

import bz2
import importlib.util
import re
import sys
from pathlib import Path

import pytest

from memgate.data import files
from memgate.data.corpora import dumps, texts
from memgate.errors import InputError

pytest.importorskip("gensim", reason="gensim is in the extra memgate[corpus]")

WIKIPEDIA = "package://gensim/test/test_data/enwiki-latest-pages-articles1.*.bz2"


def page(markup: str, namespace: int = 0) -> str:
    escaped = markup.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return (
        f"<page><title>A</title><ns>{namespace}</ns><id>1</id>"
        f"<revision><text>{escaped}</text></revision></page>"
    )


def dump(path: Path, *pages: str) -> str:
    head = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/"><siteinfo/>'
    path.write_bytes(bz2.compress(f"{head}{''.join(pages)}</mediawiki>".encode()))
    return str(path)


def test_articles_are_rows_and_redirects_are_none(tmp_path: Path) -> None:
    path = dump(
        tmp_path / "wiki.xml.bz2",
        page("'''Keys''' are [[metal|old metal]]."),
        page("#REDIRECT [[Keys]]"),
        page("Talk is cheap.", namespace=1),
        page("Doors are open.\n\nThey are red."),
    )
    found = texts.from_files([path], "other")
    assert found.rows["text"][:] == ["Keys are old metal.", "Doors are open.\nThey are red."]
    assert found.source == "wiki.xml.bz2"


def test_a_changed_dump_is_read_again(tmp_path: Path) -> None:
    path = dump(tmp_path / "wiki.bz2", page("The key is red."))
    assert dumps.read(path)["text"][:] == ["The key is red."]
    dump(tmp_path / "wiki.bz2", page("The key is not red."))
    assert dumps.read(path)["text"][:] == ["The key is not red."]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("It is {{convert|5|km|mi}} long.", "It is 5 km long."),
        ("It is {{convert|5|to|6|km}} long.", "It is 5 to 6 km long."),
        ("It is {{convert|5|and(-)|6|km|abbr=on}} long.", "It is 5 and 6 km long."),
        ("The {{lang|fr|nom}} is red.{{sfn|Li|2001|p=3}}", "The nom is red."),
        ("The key{{citation needed|date=May 2010}} is red.", "The key is red."),
        ("{{Infobox key\n| metal = {{flag|Peru}}\n}}\nThe key is red.", "The key is red."),
        ("{{pp}}{{Infobox}}The key is red.", "The key is red."),
        ("A {{unheard|of}} is red. A key is old.", "A key is old."),
        ("A key ({{IPAc-en|k|i}}; {{respell|kee}}) is red.", "A key is red."),
        ("Keys are <math>x</math> long. They are red.", "They are red."),
        ("Keys<ref name='a'>See [[b]].</ref> are<ref name=c/> red.", "Keys are red."),
        ("Keys are red.<!-- not\nreally -->", "Keys are red."),
        ("[[File:a.png|thumb|Keys [[b|are]] red.]]\nA key is old.", "A key is old."),
        ("{| class=wikitable\n| Keys are red.\n{|\n| b\n|}\n|}\nA key is old.", "A key is old."),
        ("<gallery>\nFile:a.png|Keys are red.\n</gallery>\nA key is old.", "A key is old."),
        ("* Keys are red.\n# It is.\n: So.\nA key is old.", "A key is old."),
        ("It is.\n==See also==\nNo.\n===More===\nNo.\n==Use==\nSo.", "It is.\nSo."),
        ("==Use==\nOf it.\n===Notes===\nNone.\n===Sorts===\nMany.", "Of it.\nMany."),
        ("''Nature'''s '''keys''' are \"red\".", 'Nature\'s keys are "red".'),
        ("Keys without an end\nkeys are red.\nKeys are:", "Keys are:"),
        ("&quot;Keys&quot; are old.<br />They open.", '"Keys" are old.\nThey open.'),
        ("They \"uphold[ing]\" it [all].", 'They "upholding" it all.'),
        ("Keys are ''old.<ref>''Locks'', p. 2</ref>\n\nThey open.", "Keys are old.\nThey open."),
        ("Keys are 35&amp;nbsp;mm [http://a.org long].", "Keys are 35\u00a0mm long."),
        ("", ""),
    ],
)  # fmt: skip
def test_what_is_left_of_markup(markup: str, text: str) -> None:
    assert dumps.prose(markup) == text


def test_wikipedia_articles_are_prose() -> None:
    (path,) = files.paths([WIKIPEDIA], "text")
    rows = dumps.read(path)["text"][:]
    assert len(rows) == 106
    lines = [line for row in rows for line in row.splitlines()]
    assert 2_300_000 < sum(map(len, lines)) < 2_600_000
    for line in lines:
        assert re.fullmatch(r'["“(]?[A-Z0-9].*[.!?:]["”)]*', line), line
        assert not re.search(r"\[\[|\]\]|\{\{|\}\}|''|==|<ref|\|\||thumb\||\ufffc", line), line


def test_gensim_is_found_but_not_imported() -> None:
    before = {name for name in sys.modules if name.startswith("gensim.test")}
    (path,) = files.paths([WIKIPEDIA], "text")
    assert path.startswith(str(Path(importlib.util.find_spec("gensim").origin or "").parent))  # type: ignore[union-attr]
    assert {name for name in sys.modules if name.startswith("gensim.test")} == before


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("package://no_such/a.txt", "expected an installed package 'no_such', found none; pip"),
        ("package://../a.txt", "expected an installed package '..', found none"),
        ("package://gensim/none.bz2", "gensim/none.bz2: expected a file of text, found"),
    ],
)  # fmt: skip
def test_bad_paths_in_packages(path: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        files.paths([path], "text")


def test_damaged_dumps(tmp_path: Path) -> None:
    whole = Path(dump(tmp_path / "a.bz2", page("The key is red.") * 9))
    for name, content, message in (
        ("no.bz2", b"not bz2", "Invalid data stream"),
        ("torn.bz2", whole.read_bytes()[:-20], "ended before"),
        ("other.bz2", bz2.compress(b"<a><b/></a>"), "not recognized as MediaWiki"),
        ("xml.bz2", bz2.compress(b"<a"), "unclosed token"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: can't be read: .*{message}"):
            texts.from_files([str(tmp_path / name)], "text")


@pytest.mark.parametrize("package", ["gensim.corpora.wikicorpus", "mwparserfromhell"])
def test_without_a_package_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str
) -> None:
    path = dump(tmp_path / "wiki.bz2", page("The key is red."))
    monkeypatch.setitem(sys.modules, package, None)
    name = package.split(".", maxsplit=1)[0]
    with pytest.raises(InputError, match=rf"takes {name}, .* pip install 'memgate\[corpus\]'"):
        texts.from_files([path], "text")
