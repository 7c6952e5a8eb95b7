"""What all figures share: size, colours and legends, the checks of their tables, and `save`."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from memgate.errors import InputError
from memgate.metrics.systems import NETWORK, SYSTEM_NAMES

Look = dict[str, Any]
"""How a line looks, as `Line2D` takes it."""

Styles = dict[str, Look]
"""The look of each line, by what the line shows."""

WIDTH = 10.0  # inches
SMALL, MEDIUM, LARGE = 9.5, 11.0, 12.0  # points: 13, 15 and 17 pixels where the figure has 1,000
INK, GREY, GRID = "#222222", "#5c5c5c", "#dddddd"

# Okabe and Ito's palette, distinct with any colour vision; the marker repeats the cell.
CELLS = {"rnn": ("#D55E00", "o"), "gru": ("#009E73", "s"), "lstm": ("#0072B2", "^")}
OTHER_CELL = ("#CC79A7", "D")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
FILLS = ("full", "left", "bottom")
"""How much of a marker is filled: points have no dashes that distinguish models of one cell."""
DOTTED: dict[str, Any] = {"color": GREY, "linewidth": 1.2, "linestyle": ":"}
BASELINES = ("X", "P", "v", "*", "<", "p", ">", "h")
"""Markers of baselines; none of them is a cell's."""


def blank() -> Figure:
    """Return a white figure of the usual width, laid out so that nothing overlaps."""
    layout = ConstrainedLayoutEngine(h_pad=0.08)  # inches; twice the default parts the rows
    figure = Figure(figsize=(WIDTH, WIDTH / 2), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def only_text(text: str) -> Figure:
    """Return a low figure that explains in words why there is nothing to draw."""
    figure = blank()
    figure.set_figheight(1.5)
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=LARGE, color=INK)
    return figure


def network_styles(models: Sequence[str]) -> Styles:
    """Return the look of each model's line: the cell's colour and marker, and dashes of its own."""
    styles = {}
    models_of_color: dict[str, int] = {}
    for model in models:
        # the last cell named counts, as in runs/lstm/gru-synthetic; "congruence" names none
        cells = re.findall(r"(?:rnn|gru|lstm)(?![a-z])", model.lower())
        color, marker = CELLS[cells[-1]] if cells else OTHER_CELL
        index = models_of_color.get(color, 0)
        models_of_color[color] = index + 1
        hollow = (index + index // len(DASHES)) % 2 == 1  # 8 looks before one comes again
        styles[model] = {
            "label": plain(model, 90),
            "color": color,
            "marker": marker,
            "markersize": 6.5,
            "markerfacecolor": "white" if hollow else color,
            "fillstyle": FILLS[index // 2 % len(FILLS)],
            "markerfacecoloralt": "white",
            "linewidth": 2.0,
            "linestyle": DASHES[index % len(DASHES)],
        }
    return styles


def baseline_styles(names: Sequence[str]) -> Styles:
    """Return the look of the best baselines: grey, dashed and open, a marker for each name."""
    return {
        name: {
            "label": plain(f"best baseline: {name}", 40),
            "color": GREY,
            "marker": BASELINES[index % len(BASELINES)],
            "markersize": 7.5,
            "markerfacecolor": "white",
            "linewidth": 1.4,
            "linestyle": (0, (4, 2)),
            "zorder": 1.9,  # below the networks' lines, which have 2
        }
        for index, name in enumerate(dict.fromkeys(names))
    }


def panels(
    looks: Iterable[Look], rows: int, columns: int, *, row_height: float = 3.1, sharey: bool = True
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with a legend of the looks, and below it rows of panels."""
    figure = blank()
    lines = legend(figure, [Line2D([], [], **look) for look in looks])
    figure.set_figheight(0.7 + 0.25 * lines + row_height * rows)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    return figure, [list(row) for row in grid]


def legend(figure: Figure, handles: Sequence[Artist]) -> int:
    """Name the handles above the panels, row by row, and return the lines of text that takes."""
    names = [str(handle.get_label()) for handle in handles]
    longest = max(len(line) for name in names for line in name.split("\n"))
    columns = max(1, min(3, 110 // (longest + 10)))  # 110 letters a line; a handle takes 10
    order = [i for column in range(columns) for i in range(column, len(names), columns)]
    figure.legend(
        [handles[i] for i in order],  # matplotlib fills columns first
        [names[i] for i in order],
        loc="outside upper left",
        ncols=columns,
        fontsize=MEDIUM,
        labelcolor=INK,
        frameon=False,
        handlelength=3,
    )
    heights = [name.count("\n") + 1 for name in names]
    return sum(max(heights[i : i + columns]) for i in range(0, len(heights), columns))


def dress(axes: Axes, grid: Literal["x", "y", "both"]) -> None:
    """Give a panel quiet spines, ticks and labels, and grid lines from the ticks of an axis."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=SMALL, labelcolor=INK, color=GREY)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(fontsize=MEDIUM, color=INK)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def in_percent(*axes: Axis) -> None:
    """Write the ticks of axes of proportions in percent."""
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))


def name_strata(axes: Axes, names: Sequence[str]) -> None:
    """Give every stratum its place on the horizontal axis."""
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xticks(range(len(names)), names)


def shifts(lines: int) -> list[float]:
    """Set lines side by side within a third of a stratum, so that intervals show."""
    return [float(s) for s in np.linspace(-1, 1, lines) * min(0.16, 0.05 * (lines - 1))]


def interval_line(axes: Axes, x: npt.ArrayLike, rows: pd.DataFrame, value: str, look: Look) -> None:
    """Draw a line through the values of the rows, and bars from their ``low`` to ``high``."""
    axes.vlines(x, rows["low"], rows["high"], color=look["color"], alpha=0.6, linewidth=1.4)
    axes.add_line(Line2D(x, rows[value].to_numpy(float), **look))


def set_title(axes: Axes, title: str) -> None:
    """Write the title of a panel, bold and at the left."""
    axes.set_title(title, fontsize=LARGE, color=INK, loc="left", weight="bold")


def note_at_right(axes: Axes, y: float, text: str) -> None:
    """Write a text at the right of a panel, at a height of its vertical axis."""
    outside = axes.get_yaxis_transform()
    axes.text(1.01, y, text, transform=outside, va="center", fontsize=SMALL, color=GREY)


def set_note(figure: Figure, note: str) -> None:
    """Write a line below all panels that explains the marks."""
    figure.supxlabel(note, fontsize=SMALL, color=GREY)


def plain(text: str, width: int) -> str:
    """Break long names into lines, and keep a dollar sign from starting a formula."""
    lines = textwrap.wrap(text, width, break_on_hyphens=False)  # hyphens are within models' names
    return "\n".join(lines).replace("$", r"\$")


def need(table: pd.DataFrame, name: str, *columns: str) -> None:
    """Refuse a table that lacks a column or has no row; `name` is its name in the message.

    Raises:
        InputError: It does.
    """
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"{name} table: expected a column {missing[0]!r}, got {list(table)}")
    if table.empty:
        raise InputError(f"{name} table: expected at least one row, got none")


def need_points(
    table: pd.DataFrame, name: str, keys: Sequence[str], columns: Sequence[str]
) -> None:
    """Refuse a table of networks and baselines that can't be drawn; `keys` identify its rows.

    Raises:
        InputError: A column is missing, no row is a network's, a system is unknown, or two rows
            are of the same point.
    """
    need(table, name, *keys, *columns)
    known = table["system"].isin([NETWORK, *SYSTEM_NAMES])
    if not known.all():
        expected = ", ".join([NETWORK, *SYSTEM_NAMES])
        got = table.loc[~known, "system"].iloc[0]
        raise InputError(f"{name} table: expected system among {expected}, got {got!r}")
    if not (table["system"] == NETWORK).any():
        raise InputError(f"{name} table: expected at least one row of a network, got none")
    twice = table[table.duplicated(list(keys))]
    if len(twice):
        point = " ".join(map(str, twice[list(keys)].iloc[0]))
        raise InputError(f"{name} table: expected one row a point, got two for {point}")


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, 1,500 pixels wide: whole or not at all, same bytes for the same table.

    Raises:
        OSError: The folder is missing or can't be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # matplotlib writes its version into the file unless Software is None
        figure.savefig(partial, format="png", dpi=150, metadata={"Software": None})
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
