"""The description of a run and of its version in MLflow: a sentence, a table, and links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from memgate.gates.profile import pooled
from memgate.metrics.systems import NETWORK, best_baseline
from memgate.reporting.accuracy import in_line, markdown, percent

DESCRIBED_ROLES = {
    "subject": "the subject",
    "attractor": "attractors",
    "other": "other words between",
}
"""Roles whose gates are described, and what readers call them."""


def run_description(
    network: str,
    table: pd.DataFrame,
    notes: Sequence[str],
    profile: pd.DataFrame | None,
    links: Mapping[str, str],
) -> str:
    """Return Markdown: what was trained, what it reached and what its gates do; table; links.

    Args:
        network: A sentence on what was trained, and on what.
        table: As for `memgate.reporting.accuracy.markdown`.
        notes: Lines below the table.
        profile: Of its gates; None where they weren't read.
        links: Addresses of files of the run, by what they show.
    """
    overall = table[table["by"] == "overall"].set_index("system", drop=False).loc[NETWORK].to_dict()
    reached = f"It predicts {in_line(overall, '%')} of {overall['n']:,} test items correctly"
    best = best_baseline(table)
    if best is not None:
        whole = best.rows[best.rows["by"] == "overall"].iloc[0].to_dict()
        reached += f"; its best baseline, {best.name}, {percent(whole)}%"
    sentences = [network, f"{reached}.", *gates_in_words(profile)]
    shown = " · ".join(f"[{name}]({address})" for name, address in links.items())
    return "\n\n".join([" ".join(sentences), markdown(table, notes), *([shown] if shown else [])])


def gates_in_words(profile: pd.DataFrame | None) -> list[str]:
    """Return a sentence on how far write and keep stand open at each role, if they were read."""
    if profile is None:
        return []
    rows = profile[
        (profile["by"] == "role")
        & (profile["units"] == "all")
        & profile["reading"].isin(["write", "keep"])
        & profile["stratum"].isin(list(DESCRIBED_ROLES))
    ]
    if rows.empty:
        return []
    cells = pooled(rows, "answer", "number").groupby(["reading", "stratum"])["mean"].mean()
    gates = [
        f"{reading} is "
        + ", ".join(
            f"{cells[reading, role]:.2f} at {name}"
            for role, name in DESCRIBED_ROLES.items()
            if (reading, role) in cells.index
        )
        for reading in ("write", "keep")
        if reading in cells.index.get_level_values(0)
    ]
    return [f"On average over its units, {'; '.join(gates)}."]
