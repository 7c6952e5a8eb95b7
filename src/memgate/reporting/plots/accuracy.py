"""Accuracy by stratum: networks, and the best of their baselines."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from memgate.errors import InputError
from memgate.metrics.strata import ATTRACTORS, INTERVENING, Strata
from memgate.metrics.systems import NETWORK, best_baseline
from memgate.reporting.plots import canvas

ACCURACY_PANELS = (
    ("intervening", INTERVENING, "words between subject and verb"),
    ("attractors", ATTRACTORS, "attractors between subject and verb"),
)


def accuracy_figure(table: pd.DataFrame) -> Figure:
    """Draw accuracy against intervening words and against attractors, one line a model.

    Args:
        table: As `accuracy.csv`; it may have breakdowns that are not drawn.

    Returns:
        One row of panels for each data set, with its best baseline
        (`memgate.metrics.systems.best_baseline`), if it has any, as a grey dashed line. A line
        breaks where a stratum has no item; bands and bars run from low to high; the dotted line is
        chance for two equally frequent labels, 50%.

    Raises:
        InputError: The table has no row of a network, lacks a column, names a stratum or a system
            that isn't one, or has two rows for one point.
    """
    _check(table)
    table = table[table["by"].isin(["overall", *(by for by, _, _ in ACCURACY_PANELS)])]
    networks = table[table["system"] == NETWORK]
    styles = canvas.network_styles(list(networks["model"].unique()))
    best = {data: best_baseline(table[table["data"] == data]) for data in networks["data"].unique()}
    greys = canvas.baseline_styles([baseline.name for baseline in best.values() if baseline])
    looks = [*styles.values(), *greys.values()]
    figure, grid = canvas.panels(looks, len(best), len(ACCURACY_PANELS), row_height=3.3)
    lowest = min(0.5, networks["low"].min())
    for row, (data, baseline) in zip(grid, best.items(), strict=True):
        rows = networks[networks["data"] == data]
        for axes, (by, strata, xlabel) in zip(row, ACCURACY_PANELS, strict=True):
            _panel(axes, rows[rows["by"] == by], strata, styles)
            axes.set_xlabel(xlabel)
            if baseline:
                points = baseline.rows[baseline.rows["by"] == by]
                _line(axes, points, strata, greys[baseline.name])
        if baseline:
            lowest = min(lowest, baseline.rows["accuracy"].min())
        canvas.set_title(row[0], canvas.plain(str(data), 60))
        row[0].set_ylabel("accuracy")
        canvas.note_at_right(row[-1], 0.5, "chance")
    grid[0][0].set_ylim(lowest - 0.04, 1.03)
    canvas.set_note(figure, "bands and bars: 95% intervals (Wilson)")
    return figure


def _check(table: pd.DataFrame) -> None:
    keys = ["model", "data", "system", "by", "stratum"]
    canvas.need_points(table, "accuracy", keys, ["n", "correct", "accuracy", "low", "high"])
    for by, strata, _ in ACCURACY_PANELS:
        for stratum in table.loc[table["by"] == by, "stratum"]:
            if stratum not in strata.names:
                names = ", ".join(strata.names)
                raise InputError(f"accuracy table: expected {by} among {names}, got {stratum!r}")


def _panel(axes: Axes, part: pd.DataFrame, strata: Strata, styles: canvas.Styles) -> None:
    canvas.dress(axes, grid="y")
    axes.axhline(0.5, **canvas.DOTTED)
    canvas.name_strata(axes, _tick_names(part, strata))
    canvas.in_percent(axes.yaxis)
    if part.empty:
        middle = (len(strata.names) - 1) / 2
        text = "not known for any item"
        axes.text(middle, 0.75, text, ha="center", fontsize=canvas.MEDIUM, color=canvas.GREY)
    alpha = min(0.15, 0.5 / len(styles))
    for (model, style), shift in zip(styles.items(), canvas.shifts(len(styles)), strict=True):
        rows = part[part["model"] == model].set_index("stratum").reindex(list(strata.names))
        x = np.arange(len(rows)) + shift
        low, high = (rows[name].to_numpy(float) for name in ("low", "high"))
        axes.fill_between(x, low, high, color=style["color"], alpha=alpha, linewidth=0)
        canvas.interval_line(axes, x, rows, "accuracy", style)


def _line(axes: Axes, part: pd.DataFrame, strata: Strata, style: canvas.Look) -> None:
    accuracy = part.set_index("stratum")["accuracy"].reindex(list(strata.names))
    axes.add_line(Line2D(np.arange(len(accuracy)), accuracy.to_numpy(float), **style))


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
