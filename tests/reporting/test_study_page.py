"""The page of a study is one file that needs nothing else."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pandas as pd

from memgate.reporting.study_page import Section, ShownTable, study_page

VOID = {"meta", "img", "br"}


class Tags(HTMLParser):
    """Collects tags, and complains of those that are not closed in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.optional = {"tr", "td", "th"}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID | self.optional:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.optional:
            assert self.open.pop() == tag


def parsed(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    tags.close()
    assert tags.open == []
    return tags


CELLS = pd.DataFrame({"": ["gru", "<b>"], "all": ["93.1\n92.0–94.2", "–"]})
PAGE = study_page(
    "Study a < b",
    [
        Section("Accuracy", ["5 < 6"], [ShownTable('of "x"', CELLS)], b"png", 'a "figure"'),
        Section("Runs"),
    ],
)


def test_it_loads_nothing_and_runs_nothing() -> None:
    seen = parsed(PAGE).seen
    assert not {"script", "link", "iframe"} & {tag for tag, _ in seen}
    assert not re.search(r"https?:|url\(|@import| on\w+=", PAGE)
    (image,) = [attributes for tag, attributes in seen if tag == "img"]
    kind, _, data = str(image["src"]).partition(",")
    assert (kind, base64.b64decode(data)) == ("data:image/png;base64", b"png")
    assert image["alt"] == 'a "figure"'


def test_what_users_name_is_text() -> None:
    assert "<b>" not in PAGE
    assert "Study a &lt; b" in PAGE
    assert "5 &lt; 6" in PAGE
    assert '<td class="name">&lt;b&gt;</td>' in PAGE


def test_intervals_stand_below_their_figures() -> None:
    assert "<td>93.1<small>92.0–94.2</small></td>" in PAGE
    assert '<td class="name">gru</td>' in PAGE


def test_its_links_lead_to_its_sections() -> None:
    seen = parsed(PAGE).seen
    links = [str(each["href"]) for tag, each in seen if tag == "a"]
    assert links == ["#s0", "#s1"]
    assert [f"#{each['id']}" for tag, each in seen if tag == "section"] == links


def test_it_follows_a_dark_setting() -> None:
    assert "color-scheme: light dark" in PAGE
    assert "prefers-color-scheme: dark" in PAGE
