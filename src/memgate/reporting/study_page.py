"""The page of a study's report: one HTML file with its tables and figures, without scripts."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd

STYLE = """
:root{color-scheme:light dark;--ink:#222;--soft:#5c5c5c;--ground:#fff;--line:#ccc;--head:#f3f3f0}
@media(prefers-color-scheme:dark){
:root{--ink:#e8e8e8;--soft:#a8a8a8;--ground:#16181a;--line:#444;--head:#22262a}}
body{margin:0 auto;padding:20px 24px 40px;max-width:1240px;background:var(--ground);
color:var(--ink);font:14px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif}
h1{font-size:22px;margin:0 0 8px}h2{font-size:18px;margin:34px 0 6px}
p,li{max-width:900px}p{margin:6px 0}nav a{margin-right:14px}a{color:inherit}
.scroll{overflow-x:auto;margin:10px 0 18px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
caption{text-align:left;font-weight:600;padding:4px 0}
th,td{padding:3px 9px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap;
vertical-align:top}
th{background:var(--head);font-weight:600}
.t{text-align:left}td.t{white-space:normal;min-width:90px}
td small{display:block;color:var(--soft);font-size:12px}
figure{margin:12px 0;background:#fff;padding:6px;border-radius:4px;display:inline-block}
img{max-width:100%;width:1000px;height:auto;display:block}
@media print{body{padding:0;max-width:none}figure,tr{break-inside:avoid}.scroll{overflow:visible}}
"""


@dataclass(frozen=True, eq=False)
class ShownTable:
    """A table as readers see it.

    Attributes:
        title: What stands above it.
        cells: Text; a second line of a cell, such as an interval, is set smaller.
        names: How many of the first columns are names and not figures.
    """

    title: str
    cells: pd.DataFrame
    names: int = 1


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the page.

    Attributes:
        title: Its heading.
        lines: Paragraphs.
        tables: Its tables.
        figure: A PNG, or None.
        about: What the figure shows, for those who can't see it.
    """

    title: str
    lines: Sequence[str] = ()
    tables: Sequence[ShownTable] = ()
    figure: bytes | None = None
    about: str = ""


def study_page(title: str, sections: Sequence[Section]) -> str:
    """Write the page; it loads nothing, and follows the reader's light or dark setting.

    Args:
        title: Of the page.
        sections: In their order.
    """
    links = " ".join(
        f'<a href="#s{place}">{escape(each.title)}</a>' for place, each in enumerate(sections)
    )
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>memgate: {escape(title)}</title><style>{STYLE}</style></head><body>",
        f"<header><h1>{escape(title)}</h1><nav>{links}</nav></header><main>",
        *(line for place, each in enumerate(sections) for line in _section(place, each)),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _section(place: int, section: Section) -> Iterator[str]:
    yield f'<section id="s{place}"><h2>{escape(section.title)}</h2>'
    yield from (f"<p>{escape(line)}</p>" for line in section.lines)
    if section.figure is not None:
        data = base64.b64encode(section.figure).decode()
        alt = escape(section.about, quote=True)
        yield f'<figure><img src="data:image/png;base64,{data}" alt="{alt}"></figure>'
    for table in section.tables:
        yield from _table(table)
    yield "</section>"


def _table(table: ShownTable) -> Iterator[str]:
    title = escape(table.title, quote=True)
    yield f'<div class=scroll tabindex=0 role=region aria-label="{title}">'
    yield f"<table><caption>{title}</caption><thead><tr>"
    for place, name in enumerate(table.cells):
        yield f"<th scope=col{' class=t' * (place < table.names)}>{escape(str(name))}</th>"
    yield "</tr></thead><tbody>"
    for row in table.cells.itertuples(index=False):
        yield "<tr>" + "".join(_cell(str(each), at < table.names) for at, each in enumerate(row))
    yield "</tbody></table></div>"


def _cell(text: str, name: bool) -> str:
    first, _, rest = text.partition("\n")
    more = f"<small>{escape(rest)}</small>" if rest else ""
    return f"<td{' class=t' * name}>{escape(first)}{more}</td>"
