"""The console that commands print to, and the writers of tables: `print_table`, `markdown_table`.

Both take a table of texts. The further lines of a figure, such as its interval, are secondary.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Sequence

import pandas as pd
from lightning_utilities.core.rank_zero import rank_zero_only
from rich.box import SIMPLE_HEAD, Box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

WIDTH_OF_A_LOG = 80
"""Columns where the output is no terminal: a log is read in an editor, a mail or a terminal."""

DASH = "–"
"""What a table shows where there is no figure."""

NARROW_NAME = 18
"""Columns down to which a name is folded so that more figures stand beside it."""

NARROW_HEAD = 10
"""Columns down to which the name above figures is folded: as many as ``99.1–100.0`` has."""

PIECES = re.compile(r"[^\s/@-]*[/@-]+|[^\s/@-]+|\s+")
"""What a line of a name ends with: a word, or within it what ends in ``-``, ``/`` or ``@``."""

GAP = 2
"""Columns between two columns of a table."""

ASCII_HEAD = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
"""`SIMPLE_HEAD` for an output that has no box characters."""


def console(err: bool = False) -> Console:
    """Return the console: as wide as the terminal, or as `WIDTH_OF_A_LOG`; only rank 0 prints.

    Args:
        err: Whether it prints to stderr.
    """
    quiet = getattr(rank_zero_only, "rank", 0) != 0
    terminal = Console(highlight=False, emoji=False, quiet=quiet, stderr=err)
    width = WIDTH_OF_A_LOG
    if terminal.is_terminal or "COLUMNS" in os.environ:
        width = shutil.get_terminal_size().columns  # rich takes COLUMNS=0 for a width of nothing
    return Console(highlight=False, emoji=False, quiet=quiet, stderr=err, width=width)


def echo(text: str = "", err: bool = False) -> None:
    """Print a line as it is: no markup, and a long line is not wrapped.

    Args:
        text: The line.
        err: Whether it is printed to stderr.
    """
    console(err).print(text, markup=False, soft_wrap=True)


def paragraph(text: str) -> None:
    """Print sentences as they are, in lines that end between words."""
    console().print(text, markup=False)


def alarm(text: str) -> None:
    """Print a note in red: what is above it can't be relied on."""
    console().print(text, markup=False, style="bold red")


def note(text: str) -> None:
    """Print what a table means below it, in lines that end between words."""
    console().print(f"[dim]{escape(text)}[/dim]")


def print_table(
    cells: pd.DataFrame,
    *,
    names: int = 1,
    title: str = "",
    sections: Collection[int] = (),
    dim_rows: Collection[int] = (),
    dim_columns: Collection[int] = (),
    repeated: Collection[int] = (),
) -> None:
    """Print a table of texts, figures to the right, no wider than the console.

    Where it doesn't fit, names are folded between words; if that isn't enough, it goes on in
    further tables, each with the names.

    Args:
        cells: The texts; the columns' names are the header.
        names: How many of the first columns are names, which stand to the left and may be folded.
        title: A line above the table.
        sections: Rows, by position, that have an empty line below them.
        dim_rows: Rows, by position, that are less important.
        dim_columns: Columns, by position, that are less important.
        repeated: Further columns, by position, that each of the tables has.
    """
    out = console()
    cells = _with_folded_heads(cells, names, out.width)
    if title:
        out.print(f"\n{title}", markup=False)
    for index, columns in enumerate(_parts(cells, names, repeated, out.width)):
        if index:
            out.print()
        dim = [at for at, column in enumerate(columns) if column in dim_columns]
        part = cells.iloc[:, columns]
        widths = _name_widths(part, names, out.width)
        box = ASCII_HEAD if out.options.ascii_only else SIMPLE_HEAD
        out.print(_table(part, widths, box, sections, dim_rows, dim))


def fits(cells: pd.DataFrame, names: int = 1) -> bool:
    """Return whether `print_table` prints these texts as a single table."""
    width = console().width
    return len(_parts(_with_folded_heads(cells, names, width), names, (), width)) == 1


def _parts(
    cells: pd.DataFrame, names: int, repeated: Collection[int], width: int
) -> list[list[int]]:
    """Return the columns of each table, by position: as few tables as the width needs."""
    kept = [*range(names), *repeated]
    waiting = [column for column in range(len(cells.columns)) if column not in kept]
    parts: list[list[int]] = []
    while waiting or not parts:
        size = len(waiting)
        while size > 1 and _least_width(cells, names, [*kept, *waiting[:size]]) > width:
            size -= 1
        parts.append(sorted([*kept, *waiting[:size]]))
        waiting = waiting[size:]
    return parts


def _least_width(cells: pd.DataFrame, names: int, columns: Sequence[int]) -> int:
    widths = [
        min(_width(cells, column), max(_longest_word(cells, column), NARROW_NAME))
        if column < names
        else _width(cells, column)
        for column in columns
    ]
    return sum(widths) + GAP * len(widths)


def _texts(cells: pd.DataFrame, column: int) -> list[str]:
    return [str(cells.columns[column]), *map(str, cells.iloc[:, column])]


def _width(cells: pd.DataFrame, column: int) -> int:
    texts = _texts(cells, column)
    return max(cell_len(line) for text in texts for line in text.split("\n"))


def _with_folded_heads(cells: pd.DataFrame, names: int, width: int) -> pd.DataFrame:
    """Where the width needs it, fold names above figures to these, but not below `NARROW_HEAD`."""
    if len(_parts(cells, names, (), width)) == 1:
        return cells
    heads = [str(name) for name in cells.columns]
    for column in range(names, len(heads)):
        lines = [line for text in _texts(cells, column)[1:] for line in text.split("\n")]
        heads[column] = fold(heads[column], max(NARROW_HEAD, *map(cell_len, lines), 0))
    return cells.set_axis(heads, axis=1)


def _longest_word(cells: pd.DataFrame, column: int) -> int:
    texts = _texts(cells, column)
    return max((cell_len(word) for text in texts for word in PIECES.findall(text)), default=0)


def _name_widths(part: pd.DataFrame, names: int, width: int) -> list[int]:
    """Return the width of each column of names: as wide as it is, or as there is room."""
    widths = [_width(part, column) for column in range(names)]
    figures = sum(_width(part, column) + GAP for column in range(names, len(part.columns)))
    least = [_longest_word(part, column) for column in range(names)]
    while sum(widths) + GAP * names + figures > width:
        slack = [have - need for have, need in zip(widths, least, strict=True)]
        if max(slack, default=0) <= 0:
            break  # the terminal is narrower than a word
        widths[max(range(names), key=lambda at: (slack[at] > 0, widths[at]))] -= 1
    return widths


def fold(text: str, width: int) -> str:
    r"""Break a text into lines of at most so many columns, between words.

    >>> fold("memgate-gru-synthetic@champion", 18)
    'memgate-gru-\nsynthetic@champion'
    """
    lines = []
    for line in text.split("\n"):
        lines.append("")
        for piece in PIECES.findall(line):
            if cell_len((lines[-1] + piece).rstrip()) > width and lines[-1].strip():
                lines.append("")
            lines[-1] += piece
    return "\n".join(line.strip() for line in lines)


def _table(
    part: pd.DataFrame,
    widths: Sequence[int],
    box: Box,
    sections: Collection[int],
    dim_rows: Collection[int],
    dim_columns: Collection[int],
) -> Table:
    """Return a table whose names are folded to their widths."""
    table = Table(box=box, show_edge=False, collapse_padding=True)
    for at, name in enumerate(part):
        if at < len(widths):
            header = fold(str(name), widths[at])
            table.add_column(escape(header), overflow="fold", min_width=widths[at])
        else:
            table.add_column(escape(str(name)), justify="right", no_wrap=True)
    for row, texts in enumerate(part.itertuples(index=False)):
        shown = [
            escape(fold(str(text), widths[at]))
            if at < len(widths)
            else _markup(str(text), at in dim_columns)
            for at, text in enumerate(texts)
        ]
        table.add_row(*shown, style="dim" if row in dim_rows else None, end_section=row in sections)
    return table


def _markup(text: str, dim: bool) -> str:
    """Return a figure as rich reads it, with its further lines dim, or all of it."""
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
