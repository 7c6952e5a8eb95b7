"""The figures of the study, each from its tables alone: roles, clamp values, cuts, gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from memgate.errors import InputError
from memgate.reporting.plots import canvas
from memgate.reporting.plots.canvas import Look

Tables = Mapping[str, pd.DataFrame]

NAMES = {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"}

MARKERS = ("o", "s", "^", "D", "v")
"""One a size, in their order; its colour repeats it, from light to dark."""

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

SMALLEST = 1e-12
"""Norms that are not drawn, as in `memgate.reporting.plots.memory`."""

FIRST_NOUN: Look = {"color": canvas.GREY, "linewidth": 1.2, "linestyle": (0, (6, 2, 1, 2))}

INTERVENTION_COLUMNS = ("cell", "data", "units", "edit", "quantity", "to", "of", "accuracy")

CUTS = {
    "none": ("as trained", "#222222", "o"),
    "write": ("nothing written (LSTM: and all kept)", "#0072B2", "s"),
    "recurrent_input": ("recurrent part of the candidate cut", "#D55E00", "^"),
    "reset": ("reset gate at its mean (GRU)", "#009E73", "D"),
    "output": ("output gate at its mean (LSTM)", "#CC79A7", "v"),
}
"""What is changed on the words between: the name, colour and marker of its line."""


def role_figure(tables: Tables) -> Figure:
    """Draw where write and keep stand at the words of each role: a dot a seed, a line the mean."""
    roles = tables["roles"]
    canvas.need(roles, "roles", "cell", "data", "units", "seed", "of", "reading", "role", "mean")
    roles = roles[roles["of"] == "all"]
    gates = [gate for gate in GATES if (roles["cell"] == gate[0]).any()]
    if not gates:
        raise InputError("roles table: expected rows of a GRU or an LSTM, got none")
    looks = _size_looks(roles["units"])
    figure, grid = _panels(roles, len(gates), looks.values())
    for data, row in grid.items():
        for axes, (cell, reading, title) in zip(row, gates, strict=True):
            rows = roles[(roles["cell"] == cell) & (roles["reading"] == reading)]
            _roles(axes, rows[rows["data"] == data], looks)
            _set_title(axes, f"{title}, {data}")
            axes.set_ylim(-0.03, 1.03)
        row[0].set_ylabel("mean gate, all units")
    return figure


def _roles(axes: Axes, rows: pd.DataFrame, looks: Mapping[int, Look]) -> None:
    canvas.dress(axes, grid="y")
    shifts = np.linspace(-0.26, 0.26, len(looks))
    for (size, look), shift in zip(looks.items(), shifts, strict=True):
        values = rows[rows["units"] == size].pivot_table(
            index="seed", columns="role", values="mean"
        )
        values = values.reindex(columns=list(ROLES))
        x = np.arange(len(ROLES)) + shift
        for seed in values.to_numpy():
            axes.plot(x, seed, linestyle="none", **{**look, "markersize": 3, "alpha": 0.55})
        axes.plot(x, values.mean(), **{**look, "marker": "none"})
    axes.set_xticks(range(len(ROLES)), list(ROLES.values()), fontsize=canvas.SMALL - 1)


def clamp_figure(tables: Tables) -> Figure:
    """Draw accuracy against the number to which write is clamped; at the right, as trained."""
    table, baselines = tables["interventions"], tables["baselines"]
    canvas.need(table, "interventions", *INTERVENTION_COLUMNS)
    canvas.need(baselines, "baselines", "data", "system", "by", "accuracy")
    clamp_values = table[(table["edit"] == "clamp") & (table["quantity"] == "write")]
    clamp_values = clamp_values[clamp_values["of"] == "all"]
    cells = [cell for cell in NAMES if (clamp_values["cell"] == cell).any()]
    if not cells:
        raise InputError("interventions table: expected rows of a GRU or an LSTM, got none")
    looks = _size_looks(clamp_values["units"])
    levels = [{"label": "chance", **canvas.DOTTED}, {"label": "first noun", **FIRST_NOUN}]
    figure, grid = _panels(clamp_values, len(cells), [*looks.values(), *levels])
    nouns = baselines[(baselines["system"] == "first_noun") & (baselines["by"] == "overall")]
    for data, row in grid.items():
        first = nouns.loc[nouns["data"] == data, "accuracy"]
        for axes, cell in zip(row, cells, strict=True):
            here = (table["cell"] == cell) & (table["data"] == data)
            rows = clamp_values[(clamp_values["cell"] == cell) & (clamp_values["data"] == data)]
            _clamped(axes, rows, table[here & (table["edit"] == "none")], looks)
            for accuracy in first:
                axes.axhline(accuracy, **FIRST_NOUN)
            _set_title(axes, f"{NAMES[cell]}, {data}")
        row[0].set_ylabel("accuracy")
    note = "lines: means over seeds; bands: from the lowest to the highest seed"
    canvas.set_note(figure, note)
    return figure


def _clamped(
    axes: Axes, rows: pd.DataFrame, trained: pd.DataFrame, looks: Mapping[int, Look]
) -> None:
    _in_percent(axes)
    axes.axhline(0.5, **canvas.DOTTED)
    for index, (size, look) in enumerate(looks.items()):
        seeds = rows[rows["units"] == size].groupby("to")["accuracy"]
        mean = seeds.mean()
        axes.fill_between(
            mean.index, seeds.min(), seeds.max(), color=look["color"], alpha=0.13, linewidth=0
        )
        axes.plot(mean.index, mean, **look)
        as_trained = trained.loc[trained["units"] == size, "accuracy"].mean()
        axes.plot([1.12 + 0.05 * index], [as_trained], **{**look, "linestyle": "none"})
    axes.axvline(1.06, color=canvas.GREY, linewidth=0.8)
    axes.set_xlim(-0.03, 1.16 + 0.05 * (len(looks) - 1))
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    middle = 1.12 + 0.025 * (len(looks) - 1)
    axes.set_xticks([*ticks, middle], [*(f"{tick:g}" for tick in ticks), "trained"])
    axes.set_xlabel("write clamped to, on the words between")


def cut_figure(tables: Tables) -> Figure:
    """Draw accuracy by size as trained, with nothing written and with paths cut: a dot a seed."""
    table = tables["interventions"]
    canvas.need(table, "interventions", *INTERVENTION_COLUMNS)
    rows = table[table["of"] == "all"].assign(change=_change(table[table["of"] == "all"]))
    rows = rows[rows["change"] != ""]
    cells = [cell for cell in NAMES if (rows["cell"] == cell).any()]
    looks = {name: _look(*CUTS[name]) for name in CUTS if (rows["change"] == name).any()}
    sizes = sorted(rows["units"].unique())
    figure, grid = _panels(rows, len(cells), looks.values())
    for data, row in grid.items():
        for axes, cell in zip(row, cells, strict=True):
            _in_percent(axes)
            axes.axhline(0.5, **canvas.DOTTED)
            here = rows[(rows["cell"] == cell) & (rows["data"] == data)]
            _cuts(axes, here, looks, sizes)
            _set_title(axes, f"{NAMES[cell]}, {data}")
            axes.set_xlabel("units")
        row[0].set_ylabel("accuracy")
    return figure


def _change(table: pd.DataFrame) -> list[str]:
    """Name the changes that are drawn by `CUTS`; others are empty."""
    names = []
    for row in table[["cell", "edit", "quantity", "to"]].itertuples(index=False):
        shut = row.edit == "hold" if row.cell == "lstm" else row.edit == "clamp" and row.to == 0
        if shut and row.quantity == "write":
            names.append("write")
        else:
            names.append({"none": "none", "cut": str(row.quantity)}.get(str(row.edit), ""))
    return names


def _cuts(axes: Axes, rows: pd.DataFrame, looks: Mapping[str, Look], sizes: Sequence[int]) -> None:
    shifts = np.linspace(-0.16, 0.16, len(looks))
    for (change, look), shift in zip(looks.items(), shifts, strict=True):
        part = rows[rows["change"] == change]
        if part.empty:
            continue
        x = part["units"].map({size: index for index, size in enumerate(sizes)}) + shift
        dots = {**look, "linestyle": "none", "markersize": 3, "alpha": 0.55}
        axes.plot(x, part["accuracy"], **dots)
        mean = part.groupby("units")["accuracy"].mean().reindex(np.array(sizes))
        axes.plot(np.arange(len(sizes)) + shift, mean, **{**look, "marker": "none"})
    axes.set_xlim(-0.4, len(sizes) - 0.6)
    axes.set_xticks(range(len(sizes)), [f"{size}" for size in sizes])


def gradient_figure(tables: Tables) -> Figure:
    """Draw how strongly an earlier state acts on the answer, trained and not, by distance.

    A panel is a data set and a size (the smallest, the middle and the largest), a line a cell:
    medians over seeds, bands from the lowest to the highest seed.
    """
    table = tables["gradients"]
    columns = ("cell", "data", "units", "trained", "state", "distance", "median", "min", "max")
    canvas.need(table, "gradients", *columns)
    rows = table[table["state"] == table["cell"].map(MEMORY)]
    sizes = sorted(rows["units"].unique())
    shown = sorted({sizes[0], sizes[len(sizes) // 2], sizes[-1]})
    looks = _cell_looks(rows)
    figure, grid = _panels(rows, len(shown), looks.values())
    for data, row in grid.items():
        for axes, size in zip(row, shown, strict=True):
            part = rows[(rows["data"] == data) & (rows["units"] == size)]
            _gradients(axes, part, looks)
            _set_title(axes, f"{size} units, {data}")
        row[0].set_ylabel("gradient (norm)")
    note = "with respect to the hidden state, of the LSTM to its cell; bands: range over seeds"
    canvas.set_note(figure, note)
    return figure


def _cell_looks(rows: pd.DataFrame) -> dict[tuple[str, bool], Look]:
    """Return the look of the line of each cell, trained and not."""
    return {
        (cell, trained): {
            **_look(
                f"{NAMES[cell]}{'' if trained else ', untrained'}",
                *canvas.CELLS.get(cell, canvas.OTHER_CELL),
            ),
            "linestyle": "-" if trained else (0, (2, 2)),
            "marker": "none",
        }
        for trained in (True, False)
        for cell in NAMES
        if (rows["cell"] == cell).any()
    }


def _gradients(axes: Axes, rows: pd.DataFrame, looks: Mapping[tuple[str, bool], Look]) -> None:
    canvas.dress(axes, grid="both")
    axes.set_yscale("log")
    for (cell, trained), look in looks.items():
        part = rows[(rows["cell"] == cell) & (rows["trained"] == trained)].sort_values("distance")
        seen = part[part["median"] > SMALLEST]
        if trained:
            low, high = seen["min"].clip(lower=SMALLEST), seen["max"]
            axes.fill_between(
                seen["distance"], low, high, color=look["color"], alpha=0.13, linewidth=0
            )
        axes.plot(seen["distance"], seen["median"], **look)
    axes.set_xlabel("words before the last")


def _panels(
    table: pd.DataFrame, columns: int, looks: Iterable[Look]
) -> tuple[Figure, dict[str, list[Axes]]]:
    """Return a figure with a legend of the looks and a row of panels for each data set."""
    data = list(dict.fromkeys(table["data"]))
    figure, grid = canvas.panels(looks, len(data), columns)
    return figure, dict(zip(data, grid, strict=True))


def _set_title(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=canvas.MEDIUM, color=canvas.INK, loc="left")


def _in_percent(axes: Axes) -> None:
    """Dress a panel whose vertical axis is a proportion."""
    canvas.dress(axes, grid="y")
    canvas.in_percent(axes.yaxis)


def _look(label: str, color: str, marker: str) -> Look:
    """Return the look of a line."""
    return {"label": label, "color": color, "marker": marker, "markersize": 5, "linewidth": 1.8}


def _size_looks(units: pd.Series[int]) -> dict[int, Look]:
    """Return the look of the lines of each size: the more units, the darker."""
    sizes = sorted(int(size) for size in units.unique())
    looks = {}
    for index, size in enumerate(sizes):
        color = to_hex(colormaps["viridis_r"](0.22 + 0.78 * index / max(1, len(sizes) - 1)))
        looks[size] = _look(f"{size} units", color, MARKERS[index % len(MARKERS)])
    return looks


FIGURES: Mapping[str, Callable[[Tables], Figure]] = {
    "roles": role_figure,
    "clamp_values": clamp_figure,
    "cuts": cut_figure,
    "gradients": gradient_figure,
}
"""Each figure by the name of its file."""
