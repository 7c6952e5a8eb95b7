"""Figures of a study: accuracy by two breakdowns, differences, learning curves, and the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from memgate.errors import InputError
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.metrics.systems import NETWORK, best_baseline
from memgate.reporting.plots import canvas

PAIR_COLORS = ("#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255", "#999933")
"""Colours of pairs of models (Okabe and Ito's, Tol's), none a cell's; then the marker changes."""

CURVE_TITLES = {
    "train/loss": "training loss",
    "val/loss": "validation loss",
    "val/accuracy": "validation accuracy",
}

DIFFERENCE_PANELS = (
    ("intervening", INTERVENING, "by intervening words"),
    ("attractors", ATTRACTORS, "by attractors"),
)
"""The panels of differences: breakdown, strata and title."""

BOTH = "intervening_x_attractors"
ACCURACY_COLUMNS = (
    "model",
    "system",
    "by",
    "stratum",
    "n",
    "correct",
    "items",
    "accuracy",
    "low",
    "high",
)

MIN_ITEMS_IN_RANGE = 30
"""Items from which on a stratum's interval has to fit its panel; of fewer it may reach beyond."""


def cross_figure(table: pd.DataFrame) -> Figure:
    """Draw accuracy against intervening words, a panel a number of attractors, a row a data set.

    Args:
        table: Columns data, model, system, by, stratum, n, correct, items, accuracy, low and high;
            drawn are the networks' rows by ``intervening_x_attractors``, and of the baselines the
            one that is best on all items.

    Raises:
        InputError: A column is missing, or there is no such row.
    """
    canvas.need(table, "accuracy", "data", *ACCURACY_COLUMNS)
    rows = table[table["by"] == BOTH]
    if not (rows["system"] == NETWORK).any():
        raise InputError(f"accuracy table: expected rows of networks by {BOTH}, got none")
    rows = _split_strata(rows)
    looks = canvas.network_styles(list(table.loc[table["system"] == NETWORK, "model"].unique()))
    datasets = list(rows["data"].unique())
    best = {data: best_baseline(table[table["data"] == data]) for data in datasets}
    greys = canvas.baseline_styles([baseline.name for baseline in best.values() if baseline])
    shown = [name for name in ATTRACTORS.names if (rows["attractors"] == name).any()]
    figure, grid = _grid(datasets, [*looks.values(), *greys.values()], len(shown))
    for row, (data, baseline) in zip(grid, best.items(), strict=True):
        for axes, attractors in zip(row, shown, strict=True):
            part = rows[(rows["data"] == data) & (rows["attractors"] == attractors)]
            _cross(axes, part[part["system"] == NETWORK], looks)
            if baseline:
                model = baseline.rows["model"].iloc[0]
                points = part[(part["system"] == baseline.system) & (part["model"] == model)]
                axes.add_line(_line(points, "accuracy", greys[baseline.name]))
            noun = "attractor" if attractors == "1" else "attractors"
            axes.set_title(f"{attractors} {noun}", fontsize=canvas.MEDIUM, color=canvas.INK)
        _name(row, data, "accuracy")
    certain = rows[(rows["system"] == NETWORK) & (rows["items"] >= MIN_ITEMS_IN_RANGE)]
    lines = [line.get_ydata() for axes in figure.axes for line in axes.lines]
    lowest = min(np.concatenate([np.asarray(y, dtype=float) for y in lines]).min(), *certain["low"])
    grid[0][0].set_ylim(lowest - 0.04, 1.03)
    note = "words between subject and verb; bars: 95% intervals over seeds and items"
    canvas.set_note(figure, note)
    return figure


def _split_strata(rows: pd.DataFrame) -> pd.DataFrame:
    """Split the strata of both breakdowns, and sort by intervening words."""
    names = rows["stratum"].str.split(" × ", expand=True)
    rows = rows.assign(intervening=names[0], attractors=names[1])
    return rows.sort_values(
        "intervening", key=lambda names: names.map(INTERVENING.names.index), kind="stable"
    )


def _cross(axes: Axes, part: pd.DataFrame, looks: canvas.Styles) -> None:
    canvas.dress(axes, grid="y")
    axes.axhline(0.5, **canvas.DOTTED)
    axes.set_xlim(-0.5, len(INTERVENING.names) - 0.5)
    axes.set_xticks(range(len(INTERVENING.names)), INTERVENING.names)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    for (model, look), shift in zip(looks.items(), _shifts(len(looks)), strict=True):
        rows = part[part["model"] == model]
        line = _line(rows, "accuracy", look, shift)
        axes.vlines(line.get_xdata(), rows["low"], rows["high"], color=look["color"], alpha=0.6)
        axes.add_line(line)


def _line(rows: pd.DataFrame, value: str, look: dict[str, Any], shift: float = 0) -> Line2D:
    x = [INTERVENING.names.index(name) + shift for name in rows["intervening"]]
    return Line2D(x, rows[value].to_numpy(float), **look)


def difference_figure(table: pd.DataFrame) -> Figure:
    """Draw differences between models, by intervening words and by attractors.

    Args:
        table: Columns data, a, b, by, stratum, difference, low and high (proportions).

    Raises:
        InputError: A column is missing, or there is no row.
    """
    canvas.need(
        table, "differences", *("data", "a", "b", "by", "stratum", "difference", "low", "high")
    )
    if table.empty:
        raise InputError("differences table: expected at least one row, got none")
    table = table.assign(pair=table["a"] + " less " + table["b"])
    pairs = list(table["pair"].unique())
    looks = {
        pair: {
            "label": canvas.plain(pair, 60),
            "color": PAIR_COLORS[index % len(PAIR_COLORS)],
            "marker": "os^Dv<>"[index // len(PAIR_COLORS) % 7],
            "markersize": 5,
            "linewidth": 1.6,
        }
        for index, pair in enumerate(pairs)
    }
    datasets = list(table["data"].unique())
    figure, grid = _grid(datasets, list(looks.values()), 2)
    for row, data in zip(grid, datasets, strict=True):
        for axes, (by, strata, title) in zip(row, DIFFERENCE_PANELS, strict=True):
            part = table[(table["data"] == data) & (table["by"] == by)]
            _differences(axes, part, strata.names, looks)
            axes.set_title(title, fontsize=canvas.MEDIUM, color=canvas.INK)
        _name(row, data, "difference (points)")
    note = "accuracy, with 95% intervals over seeds and items; above 0 the first is better"
    canvas.set_note(figure, note)
    return figure


def _differences(
    axes: Axes, part: pd.DataFrame, names: Sequence[str], looks: canvas.Styles
) -> None:
    canvas.dress(axes, grid="y")
    axes.axhline(0, **canvas.DOTTED)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xticks(range(len(names)), names)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=""))
    for (pair, look), shift in zip(looks.items(), _shifts(len(looks)), strict=True):
        rows = part[part["pair"] == pair]
        x = [names.index(stratum) + shift for stratum in rows["stratum"]]
        axes.vlines(x, rows["low"], rows["high"], color=look["color"], alpha=0.6)
        axes.plot(x, rows["difference"].to_numpy(float), **look)


def curves_figure(table: pd.DataFrame) -> Figure:
    """Draw learning curves: a thin line a network, a thick one their mean as far as all went.

    Args:
        table: Columns data, model, run, metric (of `CURVE_TITLES`), step and value.

    Raises:
        InputError: A column is missing, or there is no row.
    """
    canvas.need(table, "curves", "data", "model", "run", "metric", "step", "value")
    if table.empty:
        raise InputError("curves table: expected at least one row, got none")
    looks = canvas.network_styles(list(table["model"].unique()))
    datasets = list(table["data"].unique())
    figure, grid = _grid(datasets, list(looks.values()), len(CURVE_TITLES), sharey=False)
    for row, data in zip(grid, datasets, strict=True):
        for axes, (metric, name) in zip(row, CURVE_TITLES.items(), strict=True):
            canvas.dress(axes, grid="y")
            axes.set_title(name, fontsize=canvas.MEDIUM, color=canvas.INK)
            part = table[(table["data"] == data) & (table["metric"] == metric)]
            for model, rows in part.groupby("model", sort=False):
                _curves(axes, rows, looks[str(model)])
            if metric == "val/accuracy":
                axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        _name(row, data, "")
    canvas.set_note(figure, "steps; thin lines: each seed, thick: their mean")
    return figure


def _curves(axes: Axes, rows: pd.DataFrame, look: dict[str, Any]) -> None:
    by_run = rows.pivot_table(index="step", columns="run", values="value", aggfunc="last")
    for name in by_run:
        line = by_run[name].dropna()
        axes.plot(line.index, line, color=look["color"], linewidth=0.7, alpha=0.45)
    mean = by_run.dropna().mean(axis=1)
    plain_look = {**look, "marker": None, "linewidth": 2}
    axes.plot(mean.index.to_numpy(), mean.to_numpy(), **plain_look)


def paper_figure(table: pd.DataFrame) -> Figure:
    """Draw error by attractors together with the paper's, both with their 95% intervals.

    Args:
        table: Columns data, model, whose (``ours`` or ``paper``), attractors, error, low, high.

    Raises:
        InputError: A column is missing, or there is no row.
    """
    canvas.need(table, "paper", *("data", "model", "whose", "attractors", "error", "low", "high"))
    if table.empty:
        raise InputError("paper table: expected at least one row, got none")
    looks = canvas.network_styles(list(table.loc[table["whose"] == "ours", "model"].unique()))
    for model in table.loc[table["whose"] == "paper", "model"].unique():
        color, marker = canvas.CELLS["lstm" if "lstm" in model.lower() else "rnn"]
        dashed = {"linestyle": (0, (4, 2)), "linewidth": 1.4, "markerfacecolor": "white"}
        looks[model] = {"label": model, "color": color, "marker": marker, **dashed}
    datasets = list(table["data"].unique())
    figure, grid = _grid(datasets, list(looks.values()), 1)
    for row, data in zip(grid, datasets, strict=True):
        axes = row[0]
        canvas.dress(axes, grid="y")
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.set_xticks(range(int(table["attractors"].max()) + 1))
        for (model, look), shift in zip(looks.items(), _shifts(len(looks)), strict=True):
            rows = table[(table["data"] == data) & (table["model"] == model)]
            x = rows["attractors"].to_numpy(float) + shift
            axes.vlines(x, rows["low"], rows["high"], color=look["color"], alpha=0.6)
            axes.plot(x, rows["error"].to_numpy(float), **look)
        _name(row, data, "error")
    note = "attractors between subject and verb; bars: 95% intervals"
    canvas.set_note(figure, note)
    return figure


def _grid(
    datasets: Sequence[str], looks: Sequence[dict[str, Any]], columns: int, sharey: bool = True
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with its legend and a row of panels for each data set."""
    figure = canvas.blank()
    lines = canvas.legend(figure, [Line2D([], [], **look) for look in looks])
    figure.set_figheight(0.7 + 0.25 * lines + 3.1 * len(datasets))
    grid = figure.subplots(len(datasets), columns, squeeze=False, sharey=sharey)
    return figure, [list(row) for row in grid]


def _name(row: Sequence[Axes], data: str, value: str) -> None:
    """Name a row of panels by its data, and its vertical axis."""
    label = f"{canvas.plain(data, 40)}\n{value}" if value else canvas.plain(data, 40)
    row[0].set_ylabel(label, fontsize=canvas.LARGE, color=canvas.INK)


def _shifts(lines: int) -> list[float]:
    """Set lines side by side within a third of a stratum, so that intervals show."""
    return [float(s) for s in np.linspace(-1, 1, lines) * min(0.16, 0.05 * (lines - 1))]
