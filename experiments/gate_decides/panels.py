"""Panels of figures over data sets, cells and sizes: a row a data set, and how sizes look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from memgate.reporting.plots.canvas import blank, dress, legend

NAMES = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}
MARKERS = ("o", "s", "^", "D", "v")
"""One a size, in their order; the colour, from light to dark, says the same."""


def panels(
    table: pd.DataFrame,
    columns: int,
    looks: Mapping[Any, dict[str, Any]],
    more: Sequence[Line2D] = (),
) -> tuple[Figure, dict[str, list[Axes]]]:
    """Return a figure with a legend and a row of panels for each data set.

    Args:
        table: Its column data names the rows.
        columns: Panels of a row.
        looks: How the lines look that the legend names, in their order.
        more: What the legend names besides.
    """
    data = list(dict.fromkeys(table["data"]))
    figure = blank()
    lines = legend(figure, [*(Line2D([], [], **each) for each in looks.values()), *more])
    figure.set_figheight(0.6 + 0.25 * lines + 3.1 * len(data))
    grid = figure.subplots(len(data), columns, squeeze=False, sharey=True)
    return figure, {name: list(row) for name, row in zip(data, grid, strict=True)}


def in_percent(axes: Axes) -> None:
    """Dress a panel whose vertical axis is a share."""
    dress(axes, grid="y")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))


def look_of(label: str, color: str, marker: str) -> dict[str, Any]:
    """Say how a line looks."""
    return {"label": label, "color": color, "marker": marker, "markersize": 5, "linewidth": 1.8}


def size_looks(units: pd.Series[int]) -> dict[int, dict[str, Any]]:
    """Say how the lines of each size look: the more units, the darker."""
    sizes = sorted(int(size) for size in units.unique())
    looks = {}
    for place, size in enumerate(sizes):
        color = to_hex(colormaps["viridis_r"](0.22 + 0.78 * place / max(1, len(sizes) - 1)))
        looks[size] = look_of(f"{size} units", color, MARKERS[place % len(MARKERS)])
    return looks
