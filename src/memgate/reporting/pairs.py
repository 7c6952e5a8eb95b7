"""The paired table of two models on the same items, in the terminal."""

from __future__ import annotations

import pandas as pd

from memgate.reporting.console import format_p, print_table

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
    cells, sections = [], []
    for by, rows in table.groupby("by", sort=False):
        for row in rows.to_dict("records"):
            difference, low, high = (100 * row[name] for name in ("difference", "low", "high"))
            cells.append(
                {
                    "": "all" if by == "overall" else f"{TITLES[str(by)]} {row['stratum']}",
                    "items": row["n"],
                    "A": f"{100 * row['accuracy_a']:.1f}",
                    "B": f"{100 * row['accuracy_b']:.1f}",
                    "B less A, 95%": f"{difference:+.1f} ({low:+.1f} to {high:+.1f})",
                    "only A:B": f"{row['only_a']}:{row['only_b']}",
                    "p": format_p(row["p_worse" if judged else "p_holm"]),
                }
                | ({"B is": row["verdict"]} if judged else {})
            )
        sections.append(len(cells) - 1)
    print_table(pd.DataFrame(cells), sections=sections)
    print("only A:B: items that one alone gets right; 95%: Tango (1998)")
    if judged:
        print("p: McNemar's exact test, one-sided (is B worse?), Holm over attractors")
        print("–: too few items differ for any p < 0.05 (Tarone 1990)")
    else:
        print("p: McNemar's exact test, Holm over the rows of a block")
