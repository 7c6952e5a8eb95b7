"""The screen with which several fits end: accuracy by attractors and on suites, cells across."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from memgate.metrics.strata import ATTRACTORS
from memgate.metrics.systems import NETWORK, SYSTEM_NAMES, best_baseline
from memgate.reporting.accuracy import percent
from memgate.reporting.console import DASH, note, print_table

STRATA = (
    ("overall", "all", "all items"),
    *(("attractors", name, f"attractors: {name}") for name in ATTRACTORS.names),
)
"""The breakdown and the stratum of each row, and what it is called."""


def print_fits(
    accuracy: pd.DataFrame, cells: Mapping[str, str], suites: pd.DataFrame | None = None
) -> None:
    """Print accuracy in percent: for each data set all items and by attractors, then the suites.

    Args:
        accuracy: Columns model, data, system, by, stratum, n, correct, accuracy.
        cells: The cell of each model.
        suites: Columns model, suite, system, condition, n and correct; None without suites.
    """
    columns = list(dict.fromkeys(cell.upper() for cell in cells.values()))
    rows: list[list[str]] = []
    sections: list[int] = []
    for data, part in accuracy.groupby("data", sort=False):
        sections.append(len(rows) - 1)
        rows += _strata(str(data), part, cells, columns)
    if suites is not None:
        sections.append(len(rows) - 1)
        rows += _suites(suites, cells, columns)
    table = pd.DataFrame(rows, columns=["", "", "n", *columns, "best baseline"])
    print_table(
        table,
        names=2,
        title="accuracy in %",
        sections=sections[1:],
        dim_columns=range(3 + len(columns), 4 + len(columns)),
    )
    note("attractors: nouns of the other number between subject and verb")


def _strata(
    data: str, rows: pd.DataFrame, cells: Mapping[str, str], columns: Sequence[str]
) -> list[list[str]]:
    best = best_baseline(rows)
    lines: list[list[str]] = []
    for by, stratum, name in STRATA:
        found = rows[(rows["by"] == by) & (rows["stratum"] == stratum)]
        networks = found[found["system"] == NETWORK]
        if networks.empty:
            continue
        by_cell = {cells[row["model"]].upper(): percent(row) for row in networks.to_dict("records")}
        baseline = DASH
        if best is not None:
            of_best = best.rows[(best.rows["by"] == by) & (best.rows["stratum"] == stratum)]
            figure = percent(of_best.iloc[0].to_dict()) if len(of_best) else DASH
            baseline = f"{figure} {SYSTEM_NAMES[best.system]}" if by == "overall" else figure
        figures = [by_cell.get(column, DASH) for column in columns]
        head = data if not lines else ""
        lines.append([head, name, f"{networks['n'].max():,}", *figures, baseline])
    return lines


def _suites(
    suites: pd.DataFrame, cells: Mapping[str, str], columns: Sequence[str]
) -> list[list[str]]:
    """Return a row a suite: the proportion right of all its items."""
    lines: list[list[str]] = []
    for suite, rows in suites.groupby("suite", sort=False):
        networks = rows[rows["system"] == NETWORK]
        pooled = networks.groupby("model", sort=False)[["n", "correct"]].sum()
        by_cell = {
            cells[str(model)].upper(): f"{100 * correct / n:.1f}"
            for model, n, correct in pooled.itertuples()
        }
        best = best_baseline(rows)
        baseline = (
            DASH if best is None else f"{100 * best.accuracy:.1f} {SYSTEM_NAMES[best.system]}"
        )
        figures = [by_cell.get(column, DASH) for column in columns]
        n = f"{int(pooled['n'].max()):,}"
        lines.append(["suites" if not lines else "", str(suite), n, *figures, baseline])
    return lines
