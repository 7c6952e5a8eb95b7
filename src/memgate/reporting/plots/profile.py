"""The figure of a profile: what gates do at each role and at each position."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from memgate.gates.profile import PROFILE_DTYPES, pooled, variance_of_mean
from memgate.reporting.plots import canvas

NUMBER_STYLES = {"sg": ("singular", "#0072B2", "o"), "pl": ("plural", "#E69F00", "D")}
"""How a number looks: two colours of Okabe and Ito's, distinct with any colour vision."""

ROLE_LABELS = {
    "before": "before",
    "subject": "subject",
    "attractor": "attractor",
    "noun": "matching\nnoun",
    "other": "other word\nbetween",
    "verb": "verb",
}

TITLES = {
    "write": "write: 1 lets the word in",
    "keep": "keep: 1 holds what was there",
    "state_update": "state update: how far the memory moves",
    "contribution_change": "Δ logit: towards the right answer",
    "probe": "probe: towards the subject's number",
}
AXES = {
    "write": "mean write gate",
    "keep": "mean keep gate",
    "state_update": "absolute change",
    "contribution_change": "change of log-odds",
    "probe": "change of its log-odds",
}

READING_PAIRS = (("write", "keep"), ("state_update", "contribution_change"), ("probe",))
"""What stands side by side."""

FIRST, LAST, VERB = -3, 20, 27
"""Positions from the subject that are drawn, and where the verb stands on their axis."""

Points = npt.NDArray[np.float64]
UnitStyles = dict[tuple[str, str], canvas.Look]


def profile_figure(profile: pd.DataFrame) -> Figure:
    """Draw what the gates of the last layer do by role, and below it by position from the subject.

    Write stands at the left and keep at the right; below them in the same order state update and
    change of the contribution, and last probe if the table of
    `memgate.gates.profile.profile_table` has it. Singular and plural apart, right and wrong answers
    together; filled markers are the number units, if there are any, open ones all units. Bars and
    bands are 95% intervals of the mean; none where a single item has words. Of items without a
    known subject the profile is empty, and the figure a text.

    Raises:
        InputError: The table lacks a column.
    """
    if profile.empty:
        return canvas.only_text("No item has a known subject: its words have no roles.")
    canvas.need(profile, "profile", *PROFILE_DTYPES)
    last = profile[profile["layer"] == profile["layer"].max()]
    means = pooled(last, "answer")
    looks = _looks(means)
    pairs = [pair for pair in READING_PAIRS if means["reading"].isin(pair).any()]
    figure, grid = canvas.panels(looks.values(), 2 * len(pairs), 2, row_height=2.6, sharey=False)
    for upper, lower, pair in zip(grid[::2], grid[1::2], pairs, strict=True):
        for above, below, reading in zip(upper, lower, pair, strict=False):
            _reading(above, below, reading, means[means["reading"] == reading], looks)
        for axes in (*upper[len(pair) :], *lower[len(pair) :]):
            axes.remove()
    note = "bars and bands: 95% intervals of the mean; a prefix counts once, however many its words"
    canvas.set_note(figure, note)
    return figure


def _reading(
    upper: Axes, lower: Axes, reading: str, means: pd.DataFrame, looks: UnitStyles
) -> None:
    """Draw a reading by role, and below it by position."""
    _by_role(upper, means[means["by"] == "role"], looks)
    _by_position(lower, means[means["by"] != "role"], looks)
    canvas.set_title(upper, TITLES[reading])
    for axes in (upper, lower):
        axes.set_ylabel(AXES[reading])
        if reading in ("write", "keep"):
            axes.set_ylim(-0.03, 1.03)
        else:
            axes.axhline(0, **canvas.DOTTED)


def _looks(means: pd.DataFrame) -> UnitStyles:
    """Return the look of each set of units and number, number units first."""
    return {
        (units, number): {
            "label": f"{units if filled else 'all units'}, {name}",
            "color": color,
            "marker": marker,
            "markersize": 5.5,
            "markerfacecolor": color if filled else "white",
            "linewidth": 2.0 if filled else 1.4,
            "linestyle": "-" if filled else (0, (4, 2)),
        }
        for units, filled in (("number units", True), ("all", False))
        for number, (name, color, marker) in NUMBER_STYLES.items()
        if (means["units"] == units).any()
    }


def _by_role(axes: Axes, part: pd.DataFrame, looks: UnitStyles) -> None:
    """Draw roles; the verb only where the model reads it."""
    canvas.dress(axes, grid="y")
    counts = part[part["units"] == "all"].groupby("stratum")["n"].sum()
    roles = [role for role in ROLE_LABELS if role != "verb" or role in counts]
    shifts = np.linspace(-0.24, 0.24, len(looks))
    for ((units, number), look), shift in zip(looks.items(), shifts, strict=True):
        mean, half = _points(part, units, number, roles)
        x = np.arange(len(roles)) + shift
        axes.vlines(x, mean - half, mean + half, color=look["color"], linewidth=1.4)
        axes.add_line(Line2D(x, mean, **{**look, "linestyle": "none"}))
    axes.autoscale_view()
    axes.set_xlim(-0.5, len(roles) - 0.5)
    names = [f"{ROLE_LABELS[role]}\n(n {counts.get(role, 0):,})" for role in roles]
    axes.set_xticks(range(len(roles)), names)


def _by_position(axes: Axes, part: pd.DataFrame, looks: UnitStyles) -> None:
    """Draw positions from the subject on, and right of the line those up to the verb."""
    canvas.dress(axes, grid="y")
    from_subject, to_verb = np.arange(FIRST, LAST + 1), np.arange(-5, 0)
    for (units, number), look in looks.items():
        for by, positions, shift in (("from_subject", from_subject, 0), ("to_verb", to_verb, VERB)):
            rows = part[part["by"] == by]
            mean, half = _points(rows, units, number, [str(position) for position in positions])
            x = positions.astype(float) + shift
            axes.fill_between(
                x, mean - half, mean + half, color=look["color"], alpha=0.15, linewidth=0
            )
            small = {**look, "markersize": 3.5, "label": "_" if shift else look["label"]}
            axes.add_line(Line2D(x, mean, **small))
    axes.autoscale_view()
    axes.axvline(LAST + 1, **canvas.DOTTED)
    axes.set_xlim(FIRST - 0.7, VERB - 0.3)
    ticks = {0: "subject", 5: "5", 10: "10", 15: "15", 20: "20", VERB - 5: "-5", VERB - 1: "-1"}
    axes.set_xticks(list(ticks), [name.replace("-", "−") for name in ticks.values()])
    axes.set_xlabel("words after the subject  |  before the verb", loc="right")


def _points(
    part: pd.DataFrame, units: str, number: str, strata: list[str]
) -> tuple[Points, Points]:
    """Return mean and half of its 95% interval in each stratum, NaN where there is no word."""
    part = part[(part["units"] == units) & (part["number"] == number)].set_index("stratum")
    rows = part.assign(half=1.96 * np.sqrt(variance_of_mean(part))).reindex(strata)
    half = rows["half"].replace(np.inf, np.nan)
    return rows["mean"].to_numpy(float), half.to_numpy(float)
