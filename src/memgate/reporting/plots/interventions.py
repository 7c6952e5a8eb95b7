"""The figure of interventions: accuracy as a gate is clamped."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from memgate.errors import InputError
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.reporting.plots import canvas

INTERVENTION_PANELS: tuple[tuple[str, Sequence[str], str], ...] = (
    ("overall", ("all",), "all items"),
    ("intervening", INTERVENING.names, "by words between"),
    ("attractors", ATTRACTORS.names, "by attractors"),
)

MARKERS = ("o", "s", "^", "D", "v")
"""One a stratum, in their order; its colour repeats it, from light to dark."""


def intervention_figure(table: pd.DataFrame) -> Figure:
    """Draw accuracy against the number to which write is clamped.

    Args:
        table: As `interventions.csv`; it may have changes that the figure leaves out.

    Returns:
        Three panels: all items, by words between subject and verb, by attractors; one line a
        stratum, bands from low to high for all items. Grey: the mean of as many random units, and
        in the first panel their range. Horizontal, dashed: without any edit. The dotted line is
        chance for two equally frequent labels, 50%. For an RNN, a figure of text.

    Raises:
        InputError: The table lacks a column, or has no row without an edit.
    """
    columns = ("edit", "quantity", "to", "units", "draw", "by", "stratum", "n")
    canvas.need(table, "intervention", *columns, "accuracy", "low", "high")
    unedited = table[table["edit"] == "none"]
    if unedited.empty:
        raise InputError("intervention table: expected rows without an edit, got none")
    clamp_values = table[(table["edit"] == "clamp") & (table["quantity"] == "write")]
    if clamp_values.empty:
        return canvas.only_text("An RNN has no gates: there is no write to clamp.")
    figure = canvas.blank()
    grid = figure.subplots(1, len(INTERVENTION_PANELS), sharey=True)
    for axes, (by, strata, title) in zip(grid, INTERVENTION_PANELS, strict=True):
        clamped, intact = (part[part["by"] == by] for part in (clamp_values, unedited))
        _panel(axes, clamped, intact, [name for name in strata if name in set(clamped["stratum"])])
        canvas.set_title(axes, title)
    grid[0].set_ylabel("accuracy")
    both = pd.concat([clamp_values, unedited])
    lowest = both.loc[both["by"].isin([by for by, _, _ in INTERVENTION_PANELS]), "accuracy"].min()
    grid[0].set_ylim(min(0.5, lowest) - 0.04, 1.03)
    figure.set_figheight(4.6)
    canvas.set_note(figure, _note(clamp_values))
    return figure


def _panel(
    axes: Axes, clamp_values: pd.DataFrame, unedited: pd.DataFrame, strata: Sequence[str]
) -> None:
    canvas.dress(axes, grid="y")
    axes.axhline(0.5, **canvas.DOTTED)
    axes.set_xlim(-0.03, 1.03)
    axes.set_xlabel("write clamped to")
    canvas.in_percent(axes.yaxis)
    for index, stratum in enumerate(strata):
        rows = clamp_values[clamp_values["stratum"] == stratum].sort_values("to")
        color = to_hex(colormaps["viridis_r"](1 - 0.78 * (1 - (index + 1) / len(strata))))
        chosen, random = rows[rows["units"] != "random"], rows[rows["units"] == "random"]
        marker = MARKERS[index % len(MARKERS)]
        look: canvas.Look = {"color": color, "marker": marker, "markersize": 5, "linewidth": 2}
        name = f"{stratum}\nn {rows['n'].max():,}"
        axes.plot(chosen["to"], chosen["accuracy"], label=name, **look)
        for accuracy in unedited.loc[unedited["stratum"] == stratum, "accuracy"]:
            axes.axhline(accuracy, color=color, linewidth=1.2, linestyle=(0, (5, 3)))
        sets = random.groupby("to")["accuracy"]
        mean = sets.mean()
        grey: canvas.Look = {"color": canvas.GREY, "alpha": 0.7, "linewidth": 1}
        axes.plot(mean.index, mean, marker=marker, markersize=3, **grey)
        if len(strata) == 1:
            axes.fill_between(chosen["to"], chosen["low"], chosen["high"], color=color, alpha=0.15)
            axes.fill_between(mean.index, sets.min(), sets.max(), color=canvas.GREY, alpha=0.2)
    if len(strata) > 1:
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.17),
            ncols=5,
            frameon=False,
            fontsize=canvas.SMALL - 1,  # five in a row below a third of the width
            handlelength=1,
            columnspacing=0.4,
            handletextpad=0.3,
        )


def _note(clamp_values: pd.DataFrame) -> str:
    note = "dashed: no edit; band: 95% interval (Wilson)"
    if (clamp_values["units"] == "random").any():
        draws = clamp_values["draw"].nunique()
        note += "; grey: as many random units, "
        note += f"mean (and range) of {draws} sets" if draws > 1 else "1 set"
    return note
