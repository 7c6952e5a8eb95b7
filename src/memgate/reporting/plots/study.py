"""Figures of a study: accuracy by two breakdowns, differences, learning curves, and the paper's."""

from __future__ import annotations

from collections.abc import Sequence

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

MIN_ITEMS_IN_RANGE = 30
"""Items from which on a stratum's interval has to fit its panel; of fewer it may reach beyond."""


def cross_figure(table: pd.DataFrame) -> Figure:
    """Draw accuracy against intervening words, a panel a number of attractors, a row a data set.

    Drawn are the networks' rows by ``intervening_x_attractors``, and of the baselines the one that
    is best on all items.

    Raises:
        InputError: A column is missing, or there is no such row.
    """
    columns = ("data", "model", "system", "by", "stratum", "n", "correct", "items")
    canvas.need(table, "accuracy", *columns, "accuracy", "low", "high")
    rows = table[table["by"] == BOTH]
    if not (rows["system"] == NETWORK).any():
        raise InputError(f"accuracy table: expected rows of networks by {BOTH}, got none")
    rows = _split_strata(rows)
    looks = canvas.network_styles(list(table.loc[table["system"] == NETWORK, "model"].unique()))
    best = {data: best_baseline(table[table["data"] == data]) for data in rows["data"].unique()}
    greys = canvas.baseline_styles([baseline.name for baseline in best.values() if baseline])
    shown = [name for name in ATTRACTORS.names if (rows["attractors"] == name).any()]
    figure, grid = canvas.panels([*looks.values(), *greys.values()], len(best), len(shown))
    for row, (data, baseline) in zip(grid, best.items(), strict=True):
        for axes, attractors in zip(row, shown, strict=True):
            part = rows[(rows["data"] == data) & (rows["attractors"] == attractors)]
            _cross(axes, part[part["system"] == NETWORK], looks)
            if baseline:
                model = baseline.rows["model"].iloc[0]
                points = part[(part["system"] == baseline.system) & (part["model"] == model)]
                y = points["accuracy"].to_numpy(float)
                axes.add_line(Line2D(_positions(points), y, **greys[baseline.name]))
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


def _positions(rows: pd.DataFrame, shift: float = 0) -> list[float]:
    return [INTERVENING.names.index(name) + shift for name in rows["intervening"]]


def _cross(axes: Axes, part: pd.DataFrame, looks: canvas.Styles) -> None:
    canvas.dress(axes, grid="y")
    axes.axhline(0.5, **canvas.DOTTED)
    canvas.name_strata(axes, INTERVENING.names)
    canvas.in_percent(axes.yaxis)
    for (model, look), shift in zip(looks.items(), canvas.shifts(len(looks)), strict=True):
        rows = part[part["model"] == model]
        canvas.interval_line(axes, _positions(rows, shift), rows, "accuracy", look)


def difference_figure(table: pd.DataFrame) -> Figure:
    """Draw differences between models, by intervening words and by attractors.

    Raises:
        InputError: A column is missing, or there is no row.
    """
    columns = ("data", "a", "b", "by", "stratum", "difference", "low", "high")
    canvas.need(table, "differences", *columns)
    table = table.assign(pair=table["a"] + " less " + table["b"])
    looks = {
        pair: {
            "label": canvas.plain(pair, 60),
            "color": PAIR_COLORS[index % len(PAIR_COLORS)],
            "marker": "os^Dv<>"[index // len(PAIR_COLORS) % 7],
            "markersize": 5,
            "linewidth": 1.6,
        }
        for index, pair in enumerate(table["pair"].unique())
    }
    datasets = list(table["data"].unique())
    figure, grid = canvas.panels(looks.values(), len(datasets), len(DIFFERENCE_PANELS))
    for row, data in zip(grid, datasets, strict=True):
        for axes, (by, strata, title) in zip(row, DIFFERENCE_PANELS, strict=True):
            canvas.dress(axes, grid="y")
            axes.axhline(0, **canvas.DOTTED)
            canvas.name_strata(axes, strata.names)
            axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=""))
            for (pair, look), shift in zip(looks.items(), canvas.shifts(len(looks)), strict=True):
                selected = (table["data"] == data) & (table["by"] == by) & (table["pair"] == pair)
                rows = table[selected]
                x = [strata.names.index(stratum) + shift for stratum in rows["stratum"]]
                canvas.interval_line(axes, x, rows, "difference", look)
            axes.autoscale_view(scalex=False)
            axes.set_title(title, fontsize=canvas.MEDIUM, color=canvas.INK)
        _name(row, data, "difference (points)")
    note = "accuracy, with 95% intervals over seeds and items; above 0 the first is better"
    canvas.set_note(figure, note)
    return figure


def curves_figure(table: pd.DataFrame) -> Figure:
    """Draw learning curves: a thin line a network, a thick one their mean as far as all went.

    Raises:
        InputError: A column is missing, or there is no row.
    """
    canvas.need(table, "curves", "data", "model", "run", "metric", "step", "value")
    looks = canvas.network_styles(list(table["model"].unique()))
    datasets = list(table["data"].unique())
    figure, grid = canvas.panels(looks.values(), len(datasets), len(CURVE_TITLES), sharey=False)
    for row, data in zip(grid, datasets, strict=True):
        for axes, (metric, name) in zip(row, CURVE_TITLES.items(), strict=True):
            canvas.dress(axes, grid="y")
            axes.set_title(name, fontsize=canvas.MEDIUM, color=canvas.INK)
            part = table[(table["data"] == data) & (table["metric"] == metric)]
            for model, rows in part.groupby("model", sort=False):
                _curves(axes, rows, looks[str(model)])
            if metric == "val/accuracy":
                canvas.in_percent(axes.yaxis)
        _name(row, data)
    canvas.set_note(figure, "steps; thin lines: each seed, thick: their mean")
    return figure


def _curves(axes: Axes, rows: pd.DataFrame, look: canvas.Look) -> None:
    by_run = rows.pivot_table(index="step", columns="run", values="value", aggfunc="last")
    for name in by_run:
        line = by_run[name].dropna()
        axes.plot(line.index, line, color=look["color"], linewidth=0.7, alpha=0.45)
    mean = by_run.dropna().mean(axis=1)
    axes.plot(mean.index.to_numpy(), mean.to_numpy(), **{**look, "marker": None, "linewidth": 2})


def paper_figure(table: pd.DataFrame) -> Figure:
    """Draw error by attractors together with the paper's, both with their 95% intervals.

    In the table, ``whose`` is ``ours`` or ``paper``.

    Raises:
        InputError: A column is missing, or there is no row.
    """
    canvas.need(table, "paper", *("data", "model", "whose", "attractors", "error", "low", "high"))
    looks = canvas.network_styles(list(table.loc[table["whose"] == "ours", "model"].unique()))
    for model in table.loc[table["whose"] == "paper", "model"].unique():
        color, marker = canvas.CELLS["lstm" if "lstm" in model.lower() else "rnn"]
        dashed = {"linestyle": (0, (4, 2)), "linewidth": 1.4, "markerfacecolor": "white"}
        looks[model] = {"label": model, "color": color, "marker": marker, **dashed}
    datasets = list(table["data"].unique())
    figure, grid = canvas.panels(looks.values(), len(datasets), 1)
    for (axes,), data in zip(grid, datasets, strict=True):
        canvas.dress(axes, grid="y")
        canvas.in_percent(axes.yaxis)
        axes.set_xticks(range(int(table["attractors"].max()) + 1))
        for (model, look), shift in zip(looks.items(), canvas.shifts(len(looks)), strict=True):
            rows = table[(table["data"] == data) & (table["model"] == model)]
            x = rows["attractors"].to_numpy(float) + shift
            canvas.interval_line(axes, x, rows, "error", look)
        axes.autoscale_view()
        _name([axes], data, "error")
    note = "attractors between subject and verb; bars: 95% intervals"
    canvas.set_note(figure, note)
    return figure


def _name(row: Sequence[Axes], data: str, value: str = "") -> None:
    """Name a row of panels by its data, and its vertical axis."""
    label = "\n".join(text for text in (canvas.plain(data, 40), value) if text)
    row[0].set_ylabel(label, fontsize=canvas.LARGE, color=canvas.INK)
