"""One figure from one table: accuracies by stratum, and how often each gate is open or shut.

Figures are `matplotlib.figure.Figure` objects on the Agg canvas: no pyplot, no display, no global
state. They are 10 inches wide and meant to be read at 1,000 pixels.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from memgate.errors import InputError
from memgate.metrics.strata import ATTRACTORS, INTERVENING, Strata

WIDTH = 10.0  # inches
SMALL, MEDIUM, LARGE = 9.5, 11.0, 12.0  # points: 13, 15 and 17 pixels where the figure has 1,000
INK, GREY, GRID = "#222222", "#5c5c5c", "#dddddd"

# Okabe and Ito's palette, told apart with any colour vision; the marker says the cell once more.
CELLS = {"rnn": ("#D55E00", "o"), "gru": ("#009E73", "s"), "lstm": ("#0072B2", "^")}
OTHER = ("#CC79A7", "D")
LAYERS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
DOTTED: dict[str, Any] = {"color": GREY, "linewidth": 1.2, "linestyle": ":"}

PANELS = (
    ("intervening", INTERVENING, "words between subject and verb"),
    ("attractors", ATTRACTORS, "attractors between subject and verb"),
)

GATES = {
    ("forget", "keep"): "keep (forget)",
    ("update", "keep"): "keep (update, z)",
    ("input", "write"): "write (input)",
    ("update", "write"): "write (1 − z)",
}
"""Titles of the gates that keep or write, in the order of the panels; others follow, by name."""


def accuracy_figure(table: pd.DataFrame) -> Figure:
    """Draw accuracy against intervening words and against attractors, one line a model.

    Args:
        table: Columns model, data, by, stratum, n, accuracy, low and high, as `accuracy.csv` has
            them; rows whose `by` is neither intervening nor attractors are not drawn.

    Returns:
        One row of panels for each data set. A line breaks where a stratum has no item; bands and
        bars run from low to high; the dotted line is chance for two equally frequent labels, 50%.

    Raises:
        InputError: The table has no row, lacks a column, names a stratum that isn't one, or has
            two rows for one point.
    """
    _check_accuracies(table)
    styles = _styles(list(table["model"].unique()))
    datasets = list(table["data"].unique())
    figure = _figure()
    lines = _legend(figure, [Line2D([], [], **style) for style in styles.values()])
    figure.set_figheight(0.5 + 0.25 * lines + 3.3 * len(datasets))
    grid = figure.subplots(len(datasets), 2, sharey=True, squeeze=False)
    for row, data in zip(grid, datasets, strict=True):
        for axes, (by, strata, xlabel) in zip(row, PANELS, strict=True):
            part = table[(table["data"] == data) & (table["by"] == by)]
            _accuracy_panel(axes, part, strata, styles)
            axes.set_xlabel(xlabel, fontsize=MEDIUM, color=INK)
        row[0].set_ylabel("accuracy", fontsize=MEDIUM, color=INK)
        row[0].set_title(_plain(data, 60), fontsize=LARGE, color=INK, loc="left", weight="bold")
        beside = row[1].get_yaxis_transform()
        row[1].text(1.01, 0.5, "chance", transform=beside, va="center", fontsize=SMALL, color=GREY)
    drawn = table.loc[table["by"].isin([by for by, _, _ in PANELS]), "low"]
    grid[0, 0].set_ylim(min([0.5, *drawn]) - 0.04, 1.02)
    figure.supxlabel("bands and bars: 95% intervals (Wilson)", fontsize=SMALL, color=GREY)
    return figure


def gate_figure(table: pd.DataFrame) -> Figure:
    """Draw how often each unit's gates are nearly shut and nearly open.

    The saturation plot of Karpathy et al. (2015, "Visualizing and Understanding Recurrent
    Networks", section 4.2), one panel a gate and reading, one dot a unit.

    Args:
        table: Columns layer, gate, reading, below_0.1 and above_0.9 (shares of the words), a row a
            unit. The table of an RNN is empty.

    Returns:
        The figure; for an empty table one that says that an RNN has no gates.

    Raises:
        InputError: The table has rows but lacks a column.
    """
    figure = _figure()
    if table.empty:
        note = "An RNN has no gates: every word rewrites its whole state."
        figure.set_figheight(1.5)
        figure.text(0.5, 0.5, note, ha="center", va="center", fontsize=LARGE, color=INK)
        return figure
    _need(table, "gate", "layer", "gate", "reading", "below_0.1", "above_0.9")
    titles = [_gate_title(*pair) for pair in zip(table["gate"], table["reading"], strict=True)]
    panels = [title for title in GATES.values() if title in titles]
    panels += sorted(set(titles).difference(panels))
    layers = sorted(table["layer"].unique())
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, title in zip(grid[0], panels, strict=True):
        _gate_panel(axes, table[[each == title for each in titles]], layers)
        axes.set_title(title, fontsize=LARGE, color=INK, loc="left", weight="bold")
    grid[0, 0].set_ylabel("words with the gate above 0.9", fontsize=MEDIUM, color=INK)
    lines = _legend(figure, grid[0, 0].collections) if len(layers) > 1 else 0
    figure.set_figheight(0.8 + 0.25 * lines + WIDTH / max(2, len(panels)))
    note = "one dot a unit; on the dotted line a gate is never between 0.1 and 0.9"
    figure.supxlabel(note, fontsize=SMALL, color=GREY)
    return figure


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


def _need(table: pd.DataFrame, name: str, *columns: str) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"{name} table: expected a column {missing[0]!r}, got {list(table)}")


def _check_accuracies(table: pd.DataFrame) -> None:
    _need(table, "accuracy", "model", "data", "by", "stratum", "n", "accuracy", "low", "high")
    if table.empty:
        raise InputError("accuracy table: expected at least one row, got none")
    for by, strata, _ in PANELS:
        for stratum in table.loc[table["by"] == by, "stratum"]:
            if stratum not in strata.names:
                names = ", ".join(strata.names)
                raise InputError(f"accuracy table: expected {by} among {names}, got {stratum!r}")
    twice = table[table.duplicated(["model", "data", "by", "stratum"])]
    if len(twice):
        point = " ".join(twice[["model", "data", "by", "stratum"]].iloc[0])
        raise InputError(f"accuracy table: expected one row a point, got two for {point}")


def _figure() -> Figure:
    layout = ConstrainedLayoutEngine(h_pad=0.08)  # inches; twice the default parts the rows
    figure = Figure(figsize=(WIDTH, WIDTH / 2), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _styles(models: Sequence[str]) -> dict[str, dict[str, Any]]:
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
            "label": _plain(model, 90),
            "color": color,
            "marker": marker,
            "markersize": 6.5,
            "markerfacecolor": "white" if hollow else color,
            "linewidth": 2.0,
            "linestyle": DASHES[place % len(DASHES)],
        }
    return styles


def _accuracy_panel(
    axes: Axes, part: pd.DataFrame, strata: Strata, styles: dict[str, dict[str, Any]]
) -> None:
    _dress(axes)
    axes.axhline(0.5, **DOTTED)
    axes.set_xlim(-0.5, len(strata.names) - 0.5)
    axes.set_xticks(range(len(strata.names)), _tick_names(part, strata))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    if part.empty:
        middle = (len(strata.names) - 1) / 2
        axes.text(middle, 0.75, "not known for any item", ha="center", fontsize=MEDIUM, color=GREY)
    # side by side within a third of a stratum, so that intervals don't hide each other
    shifts = np.linspace(-1, 1, len(styles)) * min(0.16, 0.05 * (len(styles) - 1))
    alpha = min(0.15, 0.5 / len(styles))
    for (model, style), shift in zip(styles.items(), shifts, strict=True):
        own = part[part["model"] == model].set_index("stratum").reindex(list(strata.names))
        x = np.arange(len(own)) + shift
        low, high, accuracy = (own[name].to_numpy(float) for name in ("low", "high", "accuracy"))
        axes.fill_between(x, low, high, color=style["color"], alpha=alpha, linewidth=0)
        axes.vlines(x, low, high, color=style["color"], alpha=0.6, linewidth=1.2)
        axes.add_line(Line2D(x, accuracy, **style))


def _tick_names(part: pd.DataFrame, strata: Strata) -> list[str]:
    """Write the number of items below each stratum; models that saw different ones give a range."""
    names = []
    for stratum in strata.names:
        n = part.loc[part["stratum"] == stratum, "n"]
        if n.empty:
            count = "none"
        elif n.min() == n.max():
            count = f"n {n.min():,}"
        else:
            count = f"n {n.min():,}\nto {n.max():,}"
        names.append(f"{stratum}\n{count}")
    return names


def _gate_title(gate: str, reading: str | None) -> str:
    if (gate, reading) in GATES:
        return GATES[gate, str(reading)]
    return gate if pd.isna(reading) or reading == gate else f"{reading} ({gate})"


def _gate_panel(axes: Axes, part: pd.DataFrame, layers: Sequence[int]) -> None:
    _dress(axes)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set(aspect="equal", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([0, 0.5, 1])
        axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_xlabel("words with the gate below 0.1", fontsize=MEDIUM, color=INK)
    axes.add_line(Line2D([0, 1], [1, 0], **DOTTED))
    for place, layer in enumerate(layers):
        own = part[part["layer"] == layer]
        axes.scatter(
            own["below_0.1"],
            own["above_0.9"],
            label=f"layer {layer}",
            color=LAYERS[place % len(LAYERS)],
            s=34,
            alpha=0.6,  # units often lie on one another in the corners
            linewidth=0,
            clip_on=False,
        )


def _legend(figure: Figure, handles: Sequence[Artist]) -> int:
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
    if columns == 1:
        return sum(name.count("\n") + 1 for name in names)
    return -(-len(names) // columns)


def _dress(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=SMALL, labelcolor=INK, color=GREY)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _plain(text: str, width: int) -> str:
    """Break long names into lines, and keep a dollar sign from starting a formula."""
    return "\n".join(textwrap.wrap(text, width)).replace("$", r"\$")
