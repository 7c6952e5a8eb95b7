"""The console that commands print to, and the writers of tables: `print_table`, `markdown_table`.

Both take a table of texts. The further lines of a cell, such as an interval, are secondary.
"""

from __future__ import annotations

import os
from collections.abc import Collection

import pandas as pd
from lightning_utilities.core.rank_zero import rank_zero_only
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

WIDTH_OF_A_LOG = 130
"""Columns where the output is no terminal: the widest table fits."""

DASH = "–"
"""What a table shows where there is no figure."""


def console(err: bool = False) -> Console:
    """Return the console: as wide as the terminal, or as `WIDTH_OF_A_LOG`; only rank 0 prints.

    Args:
        err: Whether it prints to stderr.
    """
    quiet = getattr(rank_zero_only, "rank", 0) != 0
    terminal = Console(highlight=False, emoji=False, quiet=quiet, stderr=err)
    if terminal.is_terminal or "COLUMNS" in os.environ:
        return terminal
    return Console(highlight=False, emoji=False, quiet=quiet, stderr=err, width=WIDTH_OF_A_LOG)


def echo(text: str = "", err: bool = False) -> None:
    """Print a line as it is: no markup, and a long line is not wrapped.

    Args:
        text: The line.
        err: Whether it is printed to stderr.
    """
    console(err).print(text, markup=False, soft_wrap=True)


def print_table(
    cells: pd.DataFrame,
    *,
    names: int = 1,
    title: str = "",
    sections: Collection[int] = (),
    dim_rows: Collection[int] = (),
) -> None:
    """Print a table of texts, figures to the right.

    Args:
        cells: The texts; the columns' names are the header.
        names: How many of the first columns are names, which stand to the left and may be folded.
        title: A line above the table.
        sections: Rows, by position, that have an empty line below them.
        dim_rows: Rows, by position, that are less important.
    """
    out = console()
    if title:
        out.print(f"\n{title}", markup=False)
    out.print(rich_table(cells, names=names, sections=sections, dim_rows=dim_rows))


def rich_table(
    cells: pd.DataFrame,
    *,
    names: int = 1,
    sections: Collection[int] = (),
    dim_rows: Collection[int] = (),
    dim_columns: Collection[int] = (),
    narrowest: int | None = None,
) -> Table:
    """Return the table that `print_table` prints, for those who need its width.

    Args:
        cells: As for `print_table`.
        names: As for `print_table`.
        sections: As for `print_table`.
        dim_rows: As for `print_table`.
        dim_columns: Columns, by position, that are less important.
        narrowest: Letters that a line of a name has at least.
    """
    table = Table(box=SIMPLE_HEAD, show_edge=False, collapse_padding=True)
    for position, name in enumerate(cells):
        if position < names:
            table.add_column(escape(str(name)), overflow="fold", min_width=narrowest)
        else:
            table.add_column(escape(str(name)), justify="right", no_wrap=True)
    for row, texts in enumerate(cells.itertuples(index=False)):
        shown = (_markup(str(text), at in dim_columns) for at, text in enumerate(texts))
        table.add_row(*shown, style="dim" if row in dim_rows else None, end_section=row in sections)
    return table


def _markup(text: str, dim: bool) -> str:
    """Return a cell's text as rich reads it, with its further lines dim, or all of it."""
    first, newline, further = text.partition("\n")
    if dim:
        return f"[dim]{escape(text)}[/dim]"
    return f"{escape(first)}\n[dim]{escape(further)}[/dim]" if newline else escape(first)


def markdown_table(cells: pd.DataFrame, names: int = 1) -> str:
    r"""Return a table of texts as Markdown; the further lines of a cell stand in brackets.

    Args:
        cells: The texts; the columns' names are the header.
        names: How many of the first columns are names, which stand to the left.

    >>> print(markdown_table(pd.DataFrame({"": ["gru"], "all": ["93.1\n92.0–94.2"]})))
    |     |              all |
    |:----|-----------------:|
    | gru | 93.1 (92.0–94.2) |
    """
    align = ["left" if at < names else "right" for at in range(len(cells.columns))]
    return str(
        cells.map(_one_line).to_markdown(
            index=False, tablefmt="pipe", colalign=align, disable_numparse=True
        )
    )


def _one_line(cell: object) -> str:
    first, newline, further = str(cell).replace("|", "\\|").partition("\n")
    return f"{first} ({further})" if newline else first
