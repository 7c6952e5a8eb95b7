"""The figure of `make bench-growth`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from memgate.reporting.plots import canvas

LOOKS = {
    "training": canvas.CELLS["lstm"],
    "gates": canvas.CELLS["gru"],
    "memory": canvas.OTHER_CELL,
}
PANELS = {"items": "items", "length": "words of a prefix", "units": "units"}
NAMES = {"training": "an epoch of training", "gates": "reading every gate", "memory": "peak"}
GIB = 2**30


def growth_figure(
    table: pd.DataFrame, slopes: Mapping[tuple[str, str], float], end: float
) -> Figure:
    """Draw time by items, words and units, and memory by items.

    Args:
        table: Columns what (training, gates, memory), by (items, length, units), n, and value
            (seconds, or bytes of memory).
        slopes: In log-log, by what and by.
        end: Items at which memory ends, on the line through what was measured.
    """
    figure = canvas.blank()
    grid = figure.subplots(2, 2).ravel()
    for axes, (by, name) in zip(grid, PANELS.items(), strict=False):
        _lines(axes, table[(table["by"] == by) & (table["what"] != "memory")], slopes)
        axes.set_xlabel(name, fontsize=canvas.MEDIUM, color=canvas.INK)
        axes.set_ylabel("seconds", fontsize=canvas.MEDIUM, color=canvas.INK)
    held = table[table["what"] == "memory"].assign(value=lambda rows: rows["value"] / GIB)
    _lines(grid[3], held, slopes)
    each, fixed = np.polyfit(held["n"], held["value"], 1)
    line = np.geomspace(held["n"].min(), end, 50)
    grid[3].plot(line, fixed + each * line, color=canvas.GREY, linestyle=":", linewidth=1.2)
    grid[3].set_title(
        f"24 GiB end at {end / 1e6:.1f} million items", fontsize=canvas.LARGE, color=canvas.INK
    )
    grid[3].set_xlabel(
        "items of JSONL, read, trained on and their gates read", fontsize=canvas.MEDIUM
    )
    grid[3].set_ylabel("GiB", fontsize=canvas.MEDIUM, color=canvas.INK)
    figure.set_figheight(8)
    return figure


def _lines(axes: Axes, table: pd.DataFrame, slopes: Mapping[tuple[str, str], float]) -> None:
    canvas.dress(axes, grid="both")
    for (what, by), rows in table.groupby(["what", "by"], sort=False):
        color, marker = LOOKS[str(what)]
        label = f"{NAMES[str(what)]}, slope {slopes[str(what), str(by)]:.2f}"
        axes.plot(rows["n"], rows["value"], color=color, marker=marker, linewidth=2, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    if (table["what"] != "memory").all():
        ticks = sorted(table["n"].unique())
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], minor=False)
    axes.legend(fontsize=canvas.SMALL, frameon=False, labelcolor=canvas.INK)
