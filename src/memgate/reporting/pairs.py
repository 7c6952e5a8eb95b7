"""The paired table of two models on the same items, in the terminal."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from memgate.metrics.paired import format_p
from memgate.reporting.console import echo, print_table

STRATUM_NAMES = {
    "label": "subject",
    "intervening": "between",
    "attractors": "attractors",
    "attractors_or_more": "attractors",
}
"""What stands before a stratum, by breakdown."""

JUDGED_COLUMNS = ["", "B is", "B less A, 95%", "p", "items", "A", "B", "only A:B"]
"""What decides stands first: the last columns may need a further table."""


def print_pairs(table: pd.DataFrame) -> None:
    """Print a table of `memgate.tracking.registry.comparison`, in percent, and what it means.

    In a table of `judge` p is one-sided, and corrected over all rows by attractors.
    """
    judged = "verdict" in table
    rows = table.to_dict("records")
    cells = pd.DataFrame([_cells(row, "p_worse" if judged else "p_holm") for row in rows])
    if judged:
        cells["B is"] = table["verdict"]
        cells = cells[JUDGED_COLUMNS]
    last = table.groupby("by", sort=False).tail(1).index
    print_table(cells, names=2 if judged else 1, sections=set(last))
    echo("only A:B: items that only one model gets right; 95%: Tango (1998)")
    if judged:
        echo("p: McNemar's exact test, one-sided (is B worse?), Holm over attractors")
        echo("–: too few items differ for any p < 0.05 (Tarone 1990)")
    else:
        echo("p: McNemar's exact test, Holm over the rows of a block")


def _cells(row: Mapping[Hashable, Any], p: str) -> dict[str, str]:
    overall = row["by"] == "overall"
    difference, low, high = (100 * row[name] for name in ("difference", "low", "high"))
    return {
        "": "all" if overall else f"{STRATUM_NAMES[row['by']]} {row['stratum']}",
        "items": f"{row['n']}",
        "A": f"{100 * row['accuracy_a']:.1f}",
        "B": f"{100 * row['accuracy_b']:.1f}",
        "B less A, 95%": f"{difference:+.1f} ({low:+.1f} to {high:+.1f})",
        "only A:B": f"{row['only_a']}:{row['only_b']}",
        "p": format_p(row[p]),
    }
