"""The page of a study's report: one HTML file with its tables and figures, without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from memgate.reporting.pages import render


@dataclass(frozen=True, eq=False)
class ShownTable:
    """A table of texts as readers see it; its first columns are names and not figures."""

    title: str
    cells: pd.DataFrame
    names: int = 1


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the page; `figure` is a PNG, and `about` tells what it shows to the blind."""

    title: str
    lines: Sequence[str] = ()
    tables: Sequence[ShownTable] = ()
    figure: bytes | None = None
    about: str = ""


def study_page(title: str, sections: Sequence[Section]) -> str:
    """Write the page; it loads nothing, and follows the reader's light or dark setting."""
    return render("study.html", title=title, sections=sections)
