"""How often each gate is open or shut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from memgate.reporting.plots import canvas

LAYER_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")

GATE_TITLES = {
    ("forget", "keep"): "keep (forget)",
    ("update", "keep"): "keep (update, z)",
    ("input", "write"): "write (input)",
    ("update", "write"): "write (1 − z)",
}
"""Titles of the gates that keep or write, in the order of the panels; others follow, by name."""


def gate_figure(table: pd.DataFrame) -> Figure:
    """Draw how often each unit's gates are nearly shut and nearly open.

    The saturation plot of Karpathy et al. (2015, "Visualizing and Understanding Recurrent
    Networks", section 4.2), one panel a gate and reading, one dot a unit. The table of an RNN is
    empty: a text says that it has no gates.

    Raises:
        InputError: The table has rows but lacks a column.
    """
    if table.empty:
        return canvas.only_text("An RNN has no gates: every word rewrites its whole state.")
    figure = canvas.blank()
    canvas.need(table, "gate", "layer", "gate", "reading", "below_0.1", "above_0.9")
    pairs = zip(table["gate"], table["reading"], strict=True)
    titles = np.array([_title(gate, reading) for gate, reading in pairs])
    panels = [title for title in GATE_TITLES.values() if title in titles]
    panels += sorted(set(titles).difference(panels))
    layers = sorted(table["layer"].unique())
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)
    for axes, title in zip(grid[0], panels, strict=True):
        _panel(axes, table[titles == title], layers)
        canvas.set_title(axes, title)
    grid[0, 0].set_ylabel("words with the gate above 0.9")
    lines = canvas.legend(figure, grid[0, 0].collections) if len(layers) > 1 else 0
    figure.set_figheight(0.8 + 0.25 * lines + canvas.WIDTH / max(2, len(panels)))
    note = "one dot a unit; on the dotted line a gate is never between 0.1 and 0.9"
    canvas.set_note(figure, note)
    return figure


def _title(gate: str, reading: str | None) -> str:
    if (gate, reading) in GATE_TITLES:
        return GATE_TITLES[gate, str(reading)]
    return gate if pd.isna(reading) or reading == gate else f"{reading} ({gate})"


def _panel(axes: Axes, part: pd.DataFrame, layers: Sequence[int]) -> None:
    canvas.dress(axes, grid="both")
    axes.set(aspect="equal", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set(xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    canvas.in_percent(axes.xaxis, axes.yaxis)
    axes.set_xlabel("words with the gate below 0.1")
    axes.add_line(Line2D([0, 1], [1, 0], **canvas.DOTTED))
    for index, layer in enumerate(layers):
        rows = part[part["layer"] == layer]
        axes.scatter(
            rows["below_0.1"],
            rows["above_0.9"],
            label=f"layer {layer + 1}",
            color=LAYER_COLORS[index % len(LAYER_COLORS)],
            s=34,
            alpha=0.6,  # units often lie on one another in the corners
            linewidth=0,
            clip_on=False,
        )
