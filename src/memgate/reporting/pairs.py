"""The paired table of two models on the same items, in the terminal."""

from __future__ import annotations

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from memgate.reporting.console import console, format_p

TITLES = {
    "label": "subject",
    "intervening": "between",
    "attractors": "attractors",
    "attractors_or_more": "attractors",
}
"""What the strata of a breakdown are called."""


def print_pairs(table: pd.DataFrame) -> None:
    """Print a paired table, in percent; what it means is said below it.

    Args:
        table: As `memgate.tracking.registry.challenge.paired_table` makes it, or `judged` with its
        verdicts:
            then p is one-sided, and corrected over all rows by attractors.
    """
    judged = "verdict" in table
    grid = Table(box=SIMPLE_HEAD, show_edge=False, collapse_padding=True)  # 80 columns
    for name in ("", "items", "A", "B", "B less A, 95%", "only A:B", "p"):
        grid.add_column(name, justify="right" if name else "left", no_wrap=True)
    if judged:
        grid.add_column("B is")
    for by, rows in table.groupby("by", sort=False):
        for row in rows.to_dict("records"):
            shares = (f"{100 * row[name]:.1f}" for name in ("accuracy_a", "accuracy_b"))
            difference, low, high = (100 * row[name] for name in ("difference", "low", "high"))
            interval = f"{difference:+.1f} ({low:+.1f} to {high:+.1f})"
            name = "all" if by == "overall" else f"{TITLES[str(by)]} {row['stratum']}"
            p = format_p(row["p_worse" if judged else "p_holm"])
            discordant = f"{row['only_a']}:{row['only_b']}"
            verdict = [row["verdict"]] if judged else []
            grid.add_row(name, f"{row['n']}", *shares, interval, discordant, p, *verdict)
        grid.add_section()
    console().print(grid)
    print("only A:B: items that one alone gets right; 95%: Tango (1998)")
    if judged:
        print("p: McNemar's exact test, one-sided (is B worse?), Holm over attractors")
        print("–: too few items differ for any p < 0.05 (Tarone 1990)")
    else:
        print("p: McNemar's exact test, Holm over the rows of a block")
