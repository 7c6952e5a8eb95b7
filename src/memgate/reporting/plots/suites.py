"""Accuracy on the conditions of targeted suites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from memgate.metrics.systems import NETWORK, best_baseline
from memgate.reporting.plots import canvas

STRIPE = "#f3f3f3"
LANE = 0.12  # inches from one dot of a condition to the next
NO_LINE: dict[str, Any] = {"linestyle": "none", "clip_on": False}
ROW = 0.3  # inches that a condition has at least: two lines of its name
NAME = 50  # letters of a condition's name in one line: half of the figure's width


def suite_figure(table: pd.DataFrame) -> Figure:
    """Draw the accuracy on every condition, a panel a suite, conditions down the side.

    Args:
        table: As `suites.csv`.

    Returns:
        The figure. Each network has a dot and its interval in every condition; the best baseline
        of the suite (`memgate.metrics.systems.best_baseline`), if it has any, an open grey
        marker; the dotted line is chance. At the right stands n.

    Raises:
        InputError: The table has no row of a network, lacks a column, names a system that isn't
            one, or has two rows for one point.
    """
    keys = ["model", "suite", "system", "condition"]
    numbers = ["n", "correct", "accuracy", "low", "high", "chance", "questions"]
    canvas.need_points(table, "suite", keys, numbers)
    networks = table[table["system"] == NETWORK]
    suites = list(networks["suite"].unique())
    best = {suite: best_baseline(table[table["suite"] == suite]) for suite in suites}
    styles = canvas.network_styles(list(networks["model"].unique()))
    greys = canvas.baseline_styles([baseline.name for baseline in best.values() if baseline])
    figure = canvas.blank()
    handles = [
        Line2D([], [], **{**style, **NO_LINE}) for style in (*styles.values(), *greys.values())
    ]
    lines = canvas.legend(figure, [*handles, Line2D([], [], label="chance", **canvas.DOTTED)])
    rows = [networks.loc[networks["suite"] == suite, "condition"].nunique() for suite in suites]
    height = max(ROW, LANE * (len(styles) + bool(greys) + 1))
    figure.set_figheight(0.7 + 0.25 * lines + sum(height * count + 0.75 for count in rows))
    grid = figure.subplots(len(suites), 1, squeeze=False, height_ratios=rows)
    for axes, (suite, baseline) in zip(grid[:, 0], best.items(), strict=True):
        part = networks[networks["suite"] == suite]
        dots = [(part[part["model"] == model], style) for model, style in styles.items()]
        if baseline:  # without its intervals, which would hide those of the networks
            dots.append((baseline.rows.assign(low=np.nan, high=np.nan), greys[baseline.name]))
        _panel(axes, part, dots, LANE / height)
        canvas.set_title(axes, canvas.plain(suite, 60))
    grid[-1, 0].set_xlabel("accuracy")
    note = "bars: 95% intervals (Wilson)"
    if (networks["questions"] < networks["n"]).any():
        note += "; items that a model reads alike count once in them (in brackets, if fewer)"
    canvas.set_note(figure, note)
    return figure


def _panel(
    axes: Axes,
    networks: pd.DataFrame,
    dots: Sequence[tuple[pd.DataFrame, canvas.Look]],
    lane: float,
) -> None:
    """Draw a suite: a line of dots for each condition, the first one above."""
    canvas.dress(axes, grid="x")
    conditions = list(networks["condition"].unique())
    positions = np.arange(len(conditions))
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(len(conditions) - 0.5, -0.5)
    canvas.in_percent(axes.xaxis)
    axes.set_yticks(positions, [canvas.plain(condition, NAME) for condition in conditions])
    axes.tick_params(axis="y", length=0)
    for position in positions[1::2]:
        axes.axhspan(position - 0.5, position + 0.5, color=STRIPE, linewidth=0, zorder=0)
    first = networks.drop_duplicates("condition")
    axes.vlines(first["chance"], positions - 0.5, positions + 0.5, **canvas.DOTTED)
    for position, count in enumerate(_counts(networks, conditions)):
        canvas.note_at_right(axes, position, count)
    shifts = (np.arange(len(dots)) - (len(dots) - 1) / 2) * lane
    for (rows, style), shift in zip(dots, shifts, strict=True):
        by_condition = rows.set_index("condition").reindex(conditions)
        y = positions + shift
        has_interval = by_condition["low"].notna().to_numpy()
        low, high = (by_condition.loc[has_interval, end] for end in ("low", "high"))
        axes.hlines(y[has_interval], low, high, color=style["color"], alpha=0.6, linewidth=1.4)
        accuracy = by_condition["accuracy"].to_numpy(float)
        axes.add_line(Line2D(accuracy, y, **{**style, **NO_LINE}))


def _counts(networks: pd.DataFrame, conditions: Sequence[str]) -> list[str]:
    """Write n of each condition, and in brackets its distinct questions where they are fewer."""
    counts = []
    for condition in conditions:
        rows = networks[networks["condition"] == condition]
        n, fewest, most = rows["n"].max(), rows["questions"].min(), rows["questions"].max()
        questions = f"{fewest:,}" if fewest == most else f"{fewest:,}–{most:,}"
        counts.append(f"n {n:,}" + (f" ({questions})" if fewest < n else ""))
    return counts
