"""The figure of the number units: a probe, ablations and the weights, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from memgate.gates.units.ablation import SET_DTYPES
from memgate.gates.units.number_units import UNIT_DTYPES
from memgate.gates.units.probe import LAST_WORD, PROBE_DTYPES, PROBED_WORDS
from memgate.metrics.accuracy import CHANCE
from memgate.reporting.plots import canvas

LAYER_STYLES = (("#0072B2", "o"), ("#CC79A7", "s"), ("#009E73", "^"), (canvas.INK, "D"))
"""Colour and marker of each layer; a fifth looks as the first."""

NUMBER_UNIT_COLOR, OTHER_UNIT_COLOR = "#D55E00", "#8c8c8c"
"""Colours of number units and of the others."""

ORDERS = {
    "greedy": ("by the cost of ablation", "#D55E00", "o", "-"),
    "probe": ("by probe weight", "#0072B2", "s", (0, (5, 2))),
    "readout": ("by readout weight", "#009E73", "^", (0, (1, 1.5))),
}
"""How the sets of an order are called, and their look."""

NOTE = (
    "bars and bands: 95% intervals over items; grey band: all random sets\n"
    "control: the same probe, for labels assigned to the subjects' words at random"
)

NAMED, MANY = 8, 24
"""The most units whose names are written, and the units from which these are chosen."""

UnitLooks = dict[tuple[bool, int], canvas.Look]
"""The look of units, by whether they are number units, and by layer."""


def number_units_figure(units: pd.DataFrame, sets: pd.DataFrame, probe: pd.DataFrame) -> Figure:
    """Draw the three readings of which units carry the number side by side.

    At the top left: the accuracy of a probe that reads the number off the state after each word. At
    the top right: the accuracy as more and more units are ablated together. At the bottom: the cost
    of ablating each unit alone, against its weight in the probe and in the readout.

    The tables are those of `memgate.gates.units.number_units.NumberUnits`.

    Raises:
        InputError: A table lacks a column or has no row.
    """
    canvas.need(units, "units", *UNIT_DTYPES)
    canvas.need(sets, "sets", *SET_DTYPES)
    canvas.need(probe, "probe", *PROBE_DTYPES)
    figure = canvas.blank()
    figure.set_figheight(0.95 * canvas.WIDTH)
    (words, ablated), (by_probe, by_readout) = figure.subplots(2, 2)
    _probe(words, probe)
    _sets(ablated, sets, int(units["number"].sum()))
    below = units[units["readout"].notna()]  # the readout sees the last layer alone
    several = len(below) < len(units)
    looks = _looks(units, several)
    _units(by_probe, units, "probe", looks, several)
    _units(by_readout, below, "readout", looks, several)
    by_readout.sharey(by_probe)
    hollow = Line2D([], [], color=canvas.INK, marker="o", markerfacecolor="white", linestyle="none")
    hollow.set_label("hollow: without attractors, filled: with")
    _legend(figure, [*(Line2D([], [], **look) for look in looks.values()), hollow])
    return figure


def _legend(where: Axes | Figure, handles: Sequence[Artist]) -> None:
    """Name what is drawn below a panel, or at the bottom of the figure."""
    look: dict[str, Any] = {"fontsize": canvas.SMALL, "labelcolor": canvas.INK, "frameon": False}
    if isinstance(where, Figure):
        note = {"title": NOTE, "title_fontsize": canvas.SMALL}
        where.legend(handles=handles, loc="outside lower center", ncols=3, **look, **note)
    else:
        below = (0, -0.15)
        where.legend(handles=handles, loc="upper left", bbox_to_anchor=below, ncols=2, **look)


def _finish(axes: Axes, title: str, x: str, y: str) -> None:
    """Name a panel and its axes."""
    canvas.set_title(axes, title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _probe(axes: Axes, probe: pd.DataFrame) -> None:
    """Draw accuracies by word after the subject, a line a layer, and the last word apart."""
    canvas.dress(axes, grid="y")
    several = len(probe["layer"].unique()) > 1
    positions = [*map(str, range(PROBED_WORDS + 1)), "", LAST_WORD]  # the gap parts the lines
    x = np.arange(len(positions))
    for layer, rows in probe.groupby("layer"):
        by_position = rows.set_index("position").reindex(positions)
        color, marker = LAYER_STYLES[int(str(layer)) % len(LAYER_STYLES)]
        look: canvas.Look = {"color": color, "marker": marker, "markersize": 5}
        end = f", layer {int(str(layer)) + 1}" if several else ""
        axes.vlines(x, by_position["low"], by_position["high"], color=color, linewidth=1.4)
        axes.plot(x, by_position["accuracy"], label=f"number{end}", linewidth=1.8, **look)
        look |= {"markerfacecolor": "white", "linestyle": (0, (4, 2)), "linewidth": 1.2}
        axes.plot(x, by_position["control"], label=f"control{end}", **look)
    axes.plot(x, by_position["majority"], label="majority", **canvas.DOTTED)
    bottom = min(0.4, float(probe[["low", "control"]].min().min()) - 0.03)
    axes.set(xlim=(-0.5, len(positions) - 0.5), ylim=(bottom, 1.02))
    axes.set_xticks(x[::2], ["subject", *positions[2::2]])
    canvas.in_percent(axes.yaxis)
    _finish(
        axes, "Read off the state by a probe", "words after the subject", "accuracy of the probe"
    )
    _legend(axes, axes.lines)


def _sets(axes: Axes, sets: pd.DataFrame, named: int) -> None:
    """Draw the accuracy by the size of the ablated set, a line an order."""
    canvas.dress(axes, grid="y")
    intact = sets[sets["size"] == 0]
    for order, (name, color, marker, dashes) in ORDERS.items():
        rows = pd.concat([intact, sets[sets["order"] == order]]).sort_values("size")
        if len(rows) > len(intact):
            look: canvas.Look = {"color": color, "marker": marker, "linewidth": 1.8}
            step = 1 + len(rows) // 12
            x, y = rows["size"], rows["accuracy"]
            axes.plot(x, y, label=name, markersize=5, markevery=step, ls=dashes, **look)
            if order == "greedy":
                band: canvas.Look = {"color": color, "alpha": 0.15, "linewidth": 0}
                axes.fill_between(x, rows["low"], rows["high"], **band)
    random = pd.concat([intact, sets[sets["order"] == "random"]]).groupby("size")["accuracy"]
    mean, low, high = random.mean(), random.min(), random.max()
    axes.fill_between(mean.index, low, high, color=canvas.GREY, alpha=0.2, linewidth=0)
    axes.plot(mean.index, mean, color=canvas.GREY, linewidth=1.4, label="random (mean)")
    axes.axhline(CHANCE, **canvas.DOTTED, label="chance")
    largest = max(1, int(sets["size"].max()))
    label, at, side = "no set brings accuracy to chance", 0.0, "left"
    if named:
        axes.axvline(named, color=NUMBER_UNIT_COLOR, linewidth=1, linestyle=(0, (2, 2)))
        label, at = f"number units: {named}", float(named)
        side = "left" if named < largest / 2 else "right"
    bottom = min(0.42, float(sets["low"].min()) - 0.06)
    axes.text(
        at, bottom + 0.01, f" {label} ", ha=side, fontsize=canvas.SMALL, color=NUMBER_UNIT_COLOR
    )
    axes.set(xlim=(0, largest * 1.02), ylim=(bottom, 1.02))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    canvas.in_percent(axes.yaxis)
    _finish(axes, "Units ablated together", "units ablated", "balanced accuracy")
    _legend(axes, axes.lines[: len(axes.lines) - bool(named)])


def _looks(units: pd.DataFrame, several: bool) -> UnitLooks:
    """Return the look of the units of each kind and layer; number units last, and so on top."""
    size = float(np.clip(60 / np.sqrt(len(units)), 2.5, 7))  # points; 2.5 from 576 units on
    looks = {}
    for number, layer in sorted({*zip(units["number"], units["layer"], strict=True)}):
        name = "number units" if number else "other units"
        looks[bool(number), int(layer)] = {
            "label": f"{name}, layer {layer + 1}" if several else name,
            "color": NUMBER_UNIT_COLOR if number else OTHER_UNIT_COLOR,
            "marker": LAYER_STYLES[layer % len(LAYER_STYLES)][1],
            "markersize": size,
            "linestyle": "none",
        }
    return looks


def _units(axes: Axes, units: pd.DataFrame, weight: str, looks: UnitLooks, several: bool) -> None:
    """Draw what ablating each unit costs, in points, against its weight of either sign."""
    canvas.dress(axes, grid="both")
    drops = ["drop_without", "drop_with"]
    units = units.assign(x=units[weight].abs(), **{name: 100 * units[name] for name in drops})
    faint = 0.6 if len(units) <= 50 else 0.2  # that the bars of many units don't hide their dots
    for (number, layer), look in looks.items():
        part = units[(units["number"] == number) & (units["layer"] == layer)]
        color = look["color"]
        bar: canvas.Look = {"color": color, "linewidth": 0.8, "alpha": faint}
        axes.vlines(part["x"], part[drops[0]], part[drops[1]], **bar)
        hollow = {**look, "markerfacecolor": "white", "label": "_"}
        for name, marker in zip(drops, (hollow, look), strict=True):
            axes.plot(part["x"], part[name], zorder=3 if number else 2, **marker)
    _names(axes, units, several)
    axes.axhline(0, **canvas.DOTTED)
    axes.set_xlim(left=0)
    _finish(
        axes,
        f"Ablated alone, by {weight} weight",
        "|weight|: log-odds of plural a standard deviation",
        "loss of accuracy (points)",
    )


def _names(axes: Axes, units: pd.DataFrame, several: bool) -> None:
    """Name the number units, or where there are none the outermost, as far as there is room."""
    y = units["drop_with"].fillna(units["drop_without"])
    units = units.assign(y=y)[y.notna()]
    scale = units[["x", "y"]].abs().max().replace(0, 1)
    outer = ((units[["x", "y"]] / scale) ** 2).sum(axis=1)
    order = units.assign(outer=outer).sort_values(["number", "outer"], ascending=False)
    wide = np.array([0.13, 0.06]) * [units["x"].max() or 1, np.ptp(units["y"]) or 1]
    taken: list[tuple[float, float]] = []
    for x, height, layer, unit in order[["x", "y", "layer", "unit"]].to_numpy()[:MANY]:
        if len(taken) < NAMED and all((np.abs((x - a, height - b)) > wide).any() for a, b in taken):
            taken.append((x, height))
            right = x > 0.9 * scale["x"]
            axes.annotate(
                f"{unit + 1:.0f}, layer {layer + 1:.0f}" if several else f"{unit + 1:.0f}",
                (x, height),
                xytext=(-5 if right else 5, 4),
                textcoords="offset points",
                ha="right" if right else "left",
                fontsize=canvas.SMALL,
                color=canvas.INK,
                zorder=4,
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )
