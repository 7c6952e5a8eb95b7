"""The figures of the study of how the gate decides: each from its tables alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.gate_decides.change_figures import Tables, cut_figure, dose_figure
from experiments.gate_decides.panels import NAMES, look_of, panels, size_looks
from memgate.errors import InputError
from memgate.reporting.plots.canvas import (
    CELLS,
    GREY,
    INK,
    LARGE,
    MEDIUM,
    OTHER,
    SMALL,
    dress,
    need,
)

ROLES = {
    "before": "before",
    "subject": "subject",
    "attractor": "attractor",
    "noun": "matching\nnoun",
    "other": "other\nbetween",
}
GATES = (
    ("gru", "write", "GRU: write (1 − keep)"),
    ("lstm", "write", "LSTM: write"),
    ("lstm", "keep", "LSTM: keep"),
)

MEMORY = {"rnn": "hidden", "gru": "hidden", "lstm": "cell"}
"""The state whose gradient is drawn: the one that carries a memory from word to word."""

LEAST = 1e-12
"""Norms that are not drawn, as in `memgate.reporting.plots.memory`."""


def role_figure(tables: Tables) -> Figure:
    """Draw where write and keep stand at the words of each role: a dot a seed, a line the mean.

    Args:
        tables: ``roles``: cell, data, units, seed, of, reading, role, mean.

    Raises:
        InputError: The table lacks a column, or has no gated network.
    """
    roles = tables["roles"]
    need(roles, "roles", "cell", "data", "units", "seed", "of", "reading", "role", "mean")
    roles = roles[roles["of"] == "all"]
    gates = [gate for gate in GATES if (roles["cell"] == gate[0]).any()]
    if not gates:
        raise InputError("roles table: expected rows of a GRU or an LSTM, got none")
    looks = size_looks(roles["units"])
    figure, grid = panels(roles, len(gates), looks)
    for data, row in grid.items():
        for axes, (cell, reading, title) in zip(row, gates, strict=True):
            own = roles[(roles["cell"] == cell) & (roles["reading"] == reading)]
            _roles(axes, own[own["data"] == data], looks)
            axes.set_title(f"{title}, {data}", fontsize=MEDIUM, color=INK, loc="left")
            axes.set_ylim(-0.03, 1.03)
        row[0].set_ylabel("mean gate, all units", fontsize=MEDIUM, color=INK)
    return figure


def _roles(axes: Axes, own: pd.DataFrame, looks: Mapping[int, dict[str, Any]]) -> None:
    dress(axes, grid="y")
    shifts = np.linspace(-0.26, 0.26, len(looks))
    for (size, look), shift in zip(looks.items(), shifts, strict=True):
        values = own[own["units"] == size].pivot_table(index="seed", columns="role", values="mean")
        values = values.reindex(columns=list(ROLES))
        x = np.arange(len(ROLES)) + shift
        for seed in values.to_numpy():
            axes.plot(x, seed, linestyle="none", **{**look, "markersize": 3, "alpha": 0.55})
        axes.plot(x, values.mean(), **{**look, "marker": "none"})
    axes.set_xticks(range(len(ROLES)), list(ROLES.values()), fontsize=SMALL - 1)


def gradient_figure(tables: Tables) -> Figure:
    """Draw how strongly an earlier state acts on the answer, trained and not, by distance.

    Args:
        tables: ``gradients``: cell, data, units, trained, state, distance, median, min, max.

    Returns:
        A panel a data set and size (the smallest, the middle and the largest), a line a cell:
        medians over seeds, bands from the lowest to the highest seed.

    Raises:
        InputError: The table lacks a column or has no row.
    """
    table = tables["gradients"]
    columns = ("cell", "data", "units", "trained", "state", "distance", "median", "min", "max")
    need(table, "gradients", *columns)
    own = table[table["state"] == table["cell"].map(MEMORY)]
    if own.empty:
        raise InputError("gradients table: expected rows, got none")
    sizes = sorted(own["units"].unique())
    shown = sorted({sizes[0], sizes[len(sizes) // 2], sizes[-1]})
    looks = _looks(own)
    figure, grid = panels(own, len(shown), looks)
    for data, row in grid.items():
        for axes, size in zip(row, shown, strict=True):
            part = own[(own["data"] == data) & (own["units"] == size)]
            _gradients(axes, part, looks)
            axes.set_title(f"{size} units, {data}", fontsize=LARGE, color=INK, loc="left")
        row[0].set_ylabel("gradient (norm)", fontsize=MEDIUM, color=INK)
    note = "with respect to the hidden state, of the LSTM to its cell; bands: range over seeds"
    figure.supxlabel(note, fontsize=SMALL, color=GREY)
    return figure


def _looks(own: pd.DataFrame) -> dict[tuple[str, bool], dict[str, Any]]:
    """Say how the line of each cell looks, trained and not."""
    return {
        (cell, trained): {
            **look_of(f"{NAMES[cell]}{'' if trained else ', untrained'}", *CELLS.get(cell, OTHER)),
            "linestyle": "-" if trained else (0, (2, 2)),
            "marker": "none",
        }
        for trained in (True, False)
        for cell in NAMES
        if (own["cell"] == cell).any()
    }


def _gradients(
    axes: Axes, own: pd.DataFrame, looks: Mapping[tuple[str, bool], dict[str, Any]]
) -> None:
    dress(axes, grid="both")
    axes.set_yscale("log")
    for (cell, trained), look in looks.items():
        part = own[(own["cell"] == cell) & (own["trained"] == trained)].sort_values("distance")
        seen = part[part["median"] > LEAST]
        if trained:
            low, high = seen["min"].clip(lower=LEAST), seen["max"]
            axes.fill_between(
                seen["distance"], low, high, color=look["color"], alpha=0.13, linewidth=0
            )
        axes.plot(seen["distance"], seen["median"], **look)
    axes.set_xlabel("words before the last", fontsize=MEDIUM, color=INK)


FIGURES: Mapping[str, Callable[[Tables], Figure]] = {
    "roles": role_figure,
    "doses": dose_figure,
    "cuts": cut_figure,
    "gradients": gradient_figure,
}
"""Each figure by the name of its file."""
