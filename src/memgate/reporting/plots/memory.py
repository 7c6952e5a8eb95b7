"""How long memory lasts: timescales of the gates, and the gradient that reaches back."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from memgate.errors import InputError
from memgate.reporting.plots import canvas

CELL_OF = {"forget": ("lstm", "LSTM, keep = forget"), "update": ("gru", "GRU, keep = z")}
"""Which cell keeps with which gate, and how its line is called."""

STATES = {"hidden": "hidden state", "cell": "cell (LSTM)"}

MIN_NORM = 1e-12
"""Norms that are not drawn: a trained RNN's fall to 1e-29, and would press all others together."""

SHORTEST = 0.1
"""Words at which the axis of timescales begins; a unit there keeps 0.00005 at a word."""


def timescale_figure(table: pd.DataFrame) -> Figure:
    """Draw the proportion of the units that last at least so many words.

    Args:
        table: As from `memgate.gates.timescales.timescale_table`, of one model, or of an LSTM's and
            a GRU's together. The table of an RNN is empty: a text says that it has no keep gate.

    Raises:
        InputError: The table has rows but lacks a column, or a gate doesn't keep.
    """
    if table.empty:
        return canvas.only_text("An RNN has no gate to keep with, and so no timescale.")
    figure = canvas.blank()
    canvas.need(table, "timescale", "layer", "gate", "timescale")
    wrong = set(table["gate"]).difference(CELL_OF)
    if wrong:
        raise InputError(f"timescale table: expected gate forget or update, got {min(wrong)!r}")
    axes = figure.subplots()
    right = _survivals(axes, table)
    axes.set(xscale="log", xlim=(SHORTEST, right), ylim=(0, 1.03))
    canvas.in_percent(axes.yaxis)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("effective timescale, −1 / ln(mean keep), in words")
    axes.set_ylabel("units that last at least so long")
    lines = canvas.legend(figure, axes.patches)
    figure.set_figheight(4.2 + 0.25 * lines)
    return figure


def _survivals(axes: Axes, table: pd.DataFrame) -> float:
    """Draw a line a gate and layer, and return where the axis of words ends."""
    canvas.dress(axes, grid="both")
    several = len(table["layer"].unique()) > 1
    finite = table["timescale"].replace(np.inf, np.nan)
    right = max(100.0, 2 * float(finite.max())) if finite.notna().any() else 100.0
    for (gate, layer), part in table.groupby(["gate", "layer"]):
        cell, name = CELL_OF[str(gate)]
        words = np.sort(part["timescale"].to_numpy(dtype=np.float64).clip(SHORTEST, right))
        proportion = 1 - np.arange(len(words) + 1) / len(words)
        axes.stairs(
            proportion,
            np.concatenate([[SHORTEST], words, [right]]),
            baseline=None,
            color=canvas.CELLS[cell][0],
            linewidth=2.0,
            linestyle=canvas.DASHES[int(str(layer)) % len(canvas.DASHES)],
            label=f"{name}, layer {int(str(layer)) + 1}" if several else name,
        )
    return right


def gradient_figure(table: pd.DataFrame) -> Figure:
    """Draw how strongly the state after an earlier word still acts on the answer.

    One panel a state (hidden, and an LSTM's cell), one line a cell, layer and training: the median
    over items, with the band from the 10% to the 90% quantile behind that of a trained network.

    Args:
        table: As from `memgate.gates.gradients.gradients`, one or several of them.

    Raises:
        InputError: A column is missing, or there is no row.
    """
    columns = ("cell", "trained", "state", "layer", "distance", "q10", "median", "q90")
    canvas.need(table, "gradient", *columns)
    figure = canvas.blank()
    states = [state for state in STATES if (table["state"] == state).any()]
    grid = figure.subplots(1, len(states), sharey=True, squeeze=False)[0]
    for axes, state in zip(grid, states, strict=True):
        _gradients(axes, table[table["state"] == state])
        canvas.set_title(axes, STATES[state])
    seen = table.loc[table["median"] > MIN_NORM, "median"]
    if len(seen):
        grid[0].set_ylim(seen.min() / 3, table["q90"].max() * 3)
    grid[0].set_ylabel("gradient of the log-odds at the verb (norm)")
    named = {str(line.get_label()): line for axes in grid for line in axes.lines}
    # the trained networks in the first row, and below each the same without training
    order = sorted(named, key=lambda name: "untrained" in name)
    lines = canvas.legend(figure, [named[name] for name in order])
    figure.set_figheight(1.2 + 0.25 * lines + canvas.WIDTH * (0.35 if len(states) > 1 else 0.4))
    note = "lines: medians over items; bands: 10% to 90% quantile of trained networks"
    if (table["median"] <= MIN_NORM).any():
        note += f"; not below {MIN_NORM:.0e}"
    canvas.set_note(figure, note)
    return figure


def _gradients(axes: Axes, part: pd.DataFrame) -> None:
    canvas.dress(axes, grid="both")
    several = len(part["layer"].unique()) > 1
    lines = part.sort_values("distance").groupby(["cell", "layer", "trained"], sort=False)
    for (cell, layer, trained), rows in lines:
        color, _ = canvas.CELLS.get(str(cell), canvas.OTHER_CELL)
        name = f"{str(cell).upper()}, {'trained' if trained else 'untrained'}"
        axes.add_line(
            Line2D(
                rows["distance"],
                rows["median"],
                color=color,
                linewidth=2.0 if layer == part["layer"].max() else 1.2,
                linestyle="-" if trained else "--",
                label=f"{name}, layer {int(str(layer)) + 1}" if several else name,
            )
        )
        if trained:
            axes.fill_between(
                rows["distance"], rows["q10"], rows["q90"], color=color, alpha=0.15, linewidth=0
            )
    axes.set_yscale("log")
    axes.set_xlim(float(part["distance"].max()) + 0.5, -0.5)  # as read: the verb is on the right
    axes.set_xlabel("words between the word and the verb")
