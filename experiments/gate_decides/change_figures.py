"""Figures of what changes do: write clamped by dose, and paths cut, by cell, size and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.gate_decides.panels import NAMES, in_percent, look_of, panels, size_looks
from memgate.errors import InputError
from memgate.reporting.plots.canvas import DOTTED, GREY, INK, LARGE, MEDIUM, SMALL, need

Tables = Mapping[str, pd.DataFrame]

FIRST_NOUN: dict[str, Any] = {"color": GREY, "linewidth": 1.2, "linestyle": (0, (6, 2, 1, 2))}

CUTS = {
    "none": ("as learned", "#222222", "o"),
    "write": ("nothing written (LSTM: and all kept)", "#0072B2", "s"),
    "recurrent_input": ("recurrent part of the candidate cut", "#D55E00", "^"),
    "reset": ("reset gate at its mean (GRU)", "#009E73", "D"),
    "output": ("output gate at its mean (LSTM)", "#CC79A7", "v"),
}
"""What is changed on the words between: the name, colour and marker of its line."""


def dose_figure(tables: Tables) -> Figure:
    """Draw accuracy against the number to which write is clamped; at the right, as learned.

    Args:
        tables: ``interventions``: cell, data, units, seed, edit, quantity, to, of, accuracy; and
            ``baselines``: data, system, by, accuracy.

    Raises:
        InputError: A table lacks a column, or has no gated network.
    """
    table, baselines = tables["interventions"], tables["baselines"]
    need(
        table, "interventions", "cell", "data", "units", "edit", "quantity", "to", "of", "accuracy"
    )
    need(baselines, "baselines", "data", "system", "by", "accuracy")
    clamp_values = table[(table["edit"] == "clamp") & (table["quantity"] == "write")]
    clamp_values = clamp_values[clamp_values["of"] == "all"]
    cells = [cell for cell in NAMES if (clamp_values["cell"] == cell).any()]
    if not cells:
        raise InputError("interventions table: expected rows of a GRU or an LSTM, got none")
    looks = size_looks(clamp_values["units"])
    named = {"chance": DOTTED, "first noun": FIRST_NOUN}
    lines = [Line2D([], [], label=name, **look) for name, look in named.items()]
    figure, grid = panels(clamp_values, len(cells), looks, lines)
    nouns = baselines[(baselines["system"] == "first_noun") & (baselines["by"] == "overall")]
    for data, row in grid.items():
        first = nouns.loc[nouns["data"] == data, "accuracy"]
        for axes, cell in zip(row, cells, strict=True):
            here = (table["cell"] == cell) & (table["data"] == data)
            own = clamp_values[(clamp_values["cell"] == cell) & (clamp_values["data"] == data)]
            _doses(axes, own, table[here & (table["edit"] == "none")], looks)
            for accuracy in first:
                axes.axhline(accuracy, **FIRST_NOUN)
            axes.set_title(f"{NAMES[cell]}, {data}", fontsize=LARGE, color=INK, loc="left")
        row[0].set_ylabel("accuracy", fontsize=MEDIUM, color=INK)
    note = "lines: means over seeds; bands: from the lowest to the highest seed"
    figure.supxlabel(note, fontsize=SMALL, color=GREY)
    return figure


def _doses(
    axes: Axes, own: pd.DataFrame, learned: pd.DataFrame, looks: Mapping[int, dict[str, Any]]
) -> None:
    in_percent(axes)
    axes.axhline(0.5, **DOTTED)
    for place, (size, look) in enumerate(looks.items()):
        seeds = own[own["units"] == size].groupby("to")["accuracy"]
        mean = seeds.mean()
        axes.fill_between(
            mean.index, seeds.min(), seeds.max(), color=look["color"], alpha=0.13, linewidth=0
        )
        axes.plot(mean.index, mean, **look)
        as_learned = learned.loc[learned["units"] == size, "accuracy"].mean()
        axes.plot([1.12 + 0.05 * place], [as_learned], **{**look, "linestyle": "none"})
    axes.axvline(1.06, color=GREY, linewidth=0.8)
    axes.set_xlim(-0.03, 1.16 + 0.05 * (len(looks) - 1))
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    middle = 1.12 + 0.025 * (len(looks) - 1)
    axes.set_xticks([*ticks, middle], [*(f"{tick:g}" for tick in ticks), "learned"])
    axes.set_xlabel("write clamped to, on the words between", fontsize=MEDIUM, color=INK)


def cut_figure(tables: Tables) -> Figure:
    """Draw accuracy by size as learned, with nothing written and with paths cut: a dot a seed.

    Args:
        tables: ``interventions``: cell, data, units, seed, edit, quantity, to, of, accuracy.

    Raises:
        InputError: The table lacks a column or has no row.
    """
    table = tables["interventions"]
    need(
        table, "interventions", "cell", "data", "units", "edit", "quantity", "to", "of", "accuracy"
    )
    own = table[table["of"] == "all"].assign(change=_change(table[table["of"] == "all"]))
    own = own[own["change"] != ""]
    if own.empty:
        raise InputError("interventions table: expected rows, got none")
    cells = [cell for cell in NAMES if (own["cell"] == cell).any()]
    looks = {name: look_of(*CUTS[name]) for name in CUTS if (own["change"] == name).any()}
    sizes = sorted(own["units"].unique())
    figure, grid = panels(own, len(cells), looks)
    for data, row in grid.items():
        for axes, cell in zip(row, cells, strict=True):
            in_percent(axes)
            axes.axhline(0.5, **DOTTED)
            here = own[(own["cell"] == cell) & (own["data"] == data)]
            _cuts(axes, here, looks, sizes)
            axes.set_title(f"{NAMES[cell]}, {data}", fontsize=LARGE, color=INK, loc="left")
            axes.set_xlabel("units", fontsize=MEDIUM, color=INK)
        row[0].set_ylabel("accuracy", fontsize=MEDIUM, color=INK)
    return figure


def _change(table: pd.DataFrame) -> list[str]:
    """Name the changes that are drawn by `CUTS`; others are empty."""
    names = []
    for row in table[["cell", "edit", "quantity", "to"]].itertuples(index=False):
        by_hand = (
            row.edit == ("hold" if row.cell == "lstm" else "clamp") and row.quantity == "write"
        )
        if by_hand and not (row.edit == "clamp" and row.to != 0):
            names.append("write")
        else:
            names.append({"none": "none", "cut": str(row.quantity)}.get(str(row.edit), ""))
    return names


def _cuts(
    axes: Axes, own: pd.DataFrame, looks: Mapping[str, dict[str, Any]], sizes: Sequence[int]
) -> None:
    shifts = np.linspace(-0.16, 0.16, len(looks))
    for (change, look), shift in zip(looks.items(), shifts, strict=True):
        part = own[own["change"] == change]
        if part.empty:
            continue
        x = part["units"].map({size: place for place, size in enumerate(sizes)}) + shift
        dots = {**look, "linestyle": "none", "markersize": 3, "alpha": 0.55}
        axes.plot(x, part["accuracy"], **dots)
        mean = part.groupby("units")["accuracy"].mean().reindex(np.array(sizes))
        axes.plot(np.arange(len(sizes)) + shift, mean, **{**look, "marker": "none"})
    axes.set_xlim(-0.4, len(sizes) - 0.6)
    axes.set_xticks(range(len(sizes)), [f"{size}" for size in sizes])
