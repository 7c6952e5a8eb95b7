"""How figures look: colours, markers, letters, legends."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

WIDTH = 10.0  # inches
SMALL, MEDIUM, LARGE = 9.5, 11.0, 12.0  # points: 13, 15 and 17 pixels where the figure has 1,000
INK, GREY, GRID = "#222222", "#5c5c5c", "#dddddd"

# Okabe and Ito's palette, told apart with any colour vision; the marker says the cell once more.
CELLS = {"rnn": ("#D55E00", "o"), "gru": ("#009E73", "s"), "lstm": ("#0072B2", "^")}
OTHER = ("#CC79A7", "D")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
FILLS = ("full", "left", "bottom")
"""How much of a marker is filled: points have no dashes to tell models of one cell apart."""
DOTTED: dict[str, Any] = {"color": GREY, "linewidth": 1.2, "linestyle": ":"}
BASELINES = ("X", "P", "v", "*", "<", "p", ">", "h")
"""Markers of baselines; none of them is a cell's."""


def blank() -> Figure:
    """Return a white figure of the usual width, laid out so that nothing overlaps."""
    layout = ConstrainedLayoutEngine(h_pad=0.08)  # inches; twice the default parts the rows
    figure = Figure(figsize=(WIDTH, WIDTH / 2), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def network_styles(models: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Say how each model's line looks: the cell's colour and marker; dashes tell models apart."""
    styles = {}
    seen: dict[str, int] = {}
    for model in models:
        # the last cell named counts, as in runs/lstm/gru-synthetic; "congruence" names none
        found = re.findall(r"(?:rnn|gru|lstm)(?![a-z])", model.lower())
        color, marker = CELLS[found[-1]] if found else OTHER
        place = seen[color] = seen.get(color, -1) + 1
        hollow = (place + place // len(DASHES)) % 2 == 1  # 8 looks before one comes again
        styles[model] = {
            "label": plain(model, 90),
            "color": color,
            "marker": marker,
            "markersize": 6.5,
            "markerfacecolor": "white" if hollow else color,
            "fillstyle": FILLS[place // 2 % len(FILLS)],
            "markerfacecoloralt": "white",
            "linewidth": 2.0,
            "linestyle": DASHES[place % len(DASHES)],
        }
    return styles


def baseline_styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Say how the best baselines look: grey, dashed and open, a marker for each name."""
    return {
        name: {
            "label": plain(f"best baseline: {name}", 40),
            "color": GREY,
            "marker": BASELINES[place % len(BASELINES)],
            "markersize": 7.5,
            "markerfacecolor": "white",
            "linewidth": 1.4,
            "linestyle": (0, (4, 2)),
            "zorder": 1.9,  # below the networks' lines, which have 2
        }
        for place, name in enumerate(dict.fromkeys(names))
    }


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
    """Give a panel quiet spines and ticks, and grid lines from the ticks of an axis."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=SMALL, labelcolor=INK, color=GREY)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def plain(text: str, width: int) -> str:
    """Break long names into lines, and keep a dollar sign from starting a formula."""
    lines = textwrap.wrap(text, width, break_on_hyphens=False)  # hyphens are within models' names
    return "\n".join(lines).replace("$", r"\$")
