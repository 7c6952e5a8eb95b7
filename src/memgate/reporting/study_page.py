"""The page of a study's report: one HTML file with its tables and figures, without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from memgate.reporting.pages import render


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
    return render("study.html", title=title, sections=sections)
