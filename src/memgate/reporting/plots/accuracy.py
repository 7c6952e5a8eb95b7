"""Accuracy by stratum: networks, and the best of their baselines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

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
        table: Columns model, data, system, by, stratum, n, correct, accuracy, low and high, as
            `accuracy.csv` has them; it may have breakdowns that are not drawn.

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
    datasets = list(networks["data"].unique())
    best = {data: best_baseline(table[table["data"] == data]) for data in datasets}
    greys = canvas.baseline_styles([baseline.name for baseline in best.values() if baseline])
    figure = canvas.blank()
    looks = [*styles.values(), *greys.values()]
    lines = canvas.legend(figure, [Line2D([], [], **look) for look in looks])
    figure.set_figheight(0.5 + 0.25 * lines + 3.3 * len(datasets))
    grid = figure.subplots(len(datasets), 2, sharey=True, squeeze=False)
    lowest = 0.5
    for row, (data, baseline) in zip(grid, best.items(), strict=True):
        rows = networks[networks["data"] == data]
        _row(row[0], row[1], rows, styles)
        lowest = min(lowest, rows["low"].min())
        if baseline:
            lowest = min(lowest, baseline.rows["accuracy"].min())
            _baseline(row[0], row[1], baseline.rows, greys[baseline.name])
    grid[0, 0].set_ylim(lowest - 0.04, 1.03)
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


def _row(left: Axes, right: Axes, networks: pd.DataFrame, styles: canvas.Styles) -> None:
    """Draw one data set: a panel for intervening words, and one for attractors."""
    for axes, (by, strata, xlabel) in zip((left, right), ACCURACY_PANELS, strict=True):
        _panel(axes, networks[networks["by"] == by], strata, styles)
        axes.set_xlabel(xlabel)
    title = canvas.plain(networks["data"].iloc[0], 60)
    canvas.set_title(left, title)
    left.set_ylabel("accuracy")
    outside = right.get_yaxis_transform()
    right.text(
        1.01,
        0.5,
        "chance",
        transform=outside,
        va="center",
        fontsize=canvas.SMALL,
        color=canvas.GREY,
    )


def _baseline(left: Axes, right: Axes, rows: pd.DataFrame, style: dict[str, Any]) -> None:
    for axes, (by, strata, _) in zip((left, right), ACCURACY_PANELS, strict=True):
        _line(axes, rows[rows["by"] == by], strata, style)


def _panel(axes: Axes, part: pd.DataFrame, strata: Strata, styles: canvas.Styles) -> None:
    canvas.dress(axes, grid="y")
    axes.axhline(0.5, **canvas.DOTTED)
    axes.set_xlim(-0.5, len(strata.names) - 0.5)
    axes.set_xticks(range(len(strata.names)), _tick_names(part, strata))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    if part.empty:
        middle = (len(strata.names) - 1) / 2
        axes.text(
            middle,
            0.75,
            "not known for any item",
            ha="center",
            fontsize=canvas.MEDIUM,
            color=canvas.GREY,
        )
    # side by side within a third of a stratum, so that intervals don't hide each other
    shifts = np.linspace(-1, 1, len(styles)) * min(0.16, 0.05 * (len(styles) - 1))
    alpha = min(0.15, 0.5 / len(styles))
    for (model, style), shift in zip(styles.items(), shifts, strict=True):
        rows = part[part["model"] == model].set_index("stratum").reindex(list(strata.names))
        x = np.arange(len(rows)) + shift
        low, high = (rows[name].to_numpy(float) for name in ("low", "high"))
        axes.fill_between(x, low, high, color=style["color"], alpha=alpha, linewidth=0)
        axes.vlines(x, low, high, color=style["color"], alpha=0.6, linewidth=1.2)
        _line(axes, part[part["model"] == model], strata, style, shift)


def _line(
    axes: Axes, part: pd.DataFrame, strata: Strata, style: dict[str, Any], shift: float = 0
) -> None:
    accuracy = part.set_index("stratum")["accuracy"].reindex(list(strata.names))
    axes.add_line(Line2D(np.arange(len(accuracy)) + shift, accuracy.to_numpy(float), **style))


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
