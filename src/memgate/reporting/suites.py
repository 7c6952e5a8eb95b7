"""What `memgate evaluate --suite` shows: accuracy by condition, printed and written."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from memgate.metrics.systems import NETWORK, BaselineResult, baseline_results, best_baseline
from memgate.reporting import plots
from memgate.reporting.accuracy import AccuracyRow, note_baselines, percent, with_interval
from memgate.reporting.console import DASH, fits, note, print_table
from memgate.reporting.files import write_all


def print_suites(table: pd.DataFrame) -> None:
    """Print one table a suite: conditions down, networks and baselines across, in percent.

    Networks have their 95% intervals. Where not all fits, the table goes on below, each part with
    the best baseline, and of the other baselines the accuracy on all items is listed.

    Args:
        table: Columns model, suite, system, condition, n, correct, accuracy, low, high, chance and
            questions.
    """
    for suite, rows in table.groupby("suite", sort=False):
        networks = rows[rows["system"] == NETWORK]
        best = best_baseline(rows)
        others = [b for b in baseline_results(rows) if not best or b.name != best.name]
        others.sort(key=lambda baseline: -baseline.accuracy)
        cells = _cells(networks, [best, *others] if best else [])
        chance = 2 + networks["model"].nunique()
        listed = others if not fits(cells) else []
        if listed:
            cells = cells.iloc[:, : chance + 2]
        print_table(
            cells,
            title=f"{suite}: accuracy in %, and its 95% interval",
            dim_columns=range(chance, len(cells.columns)),
            repeated=(1, chance, chance + 1) if best else (1, chance),
        )
        if best:
            note(f"* best baseline: {best.name}, {100 * best.accuracy:.1f}% of all items right")
        note_baselines(listed)
        if (networks["questions"] < networks["n"]).any():
            note("(n): items that a model reads alike count once in its interval")


def write_suites(table: pd.DataFrame, out: Path, predicted: pd.DataFrame) -> None:
    """Write ``suites.csv``, ``suites.png`` and ``suite_predictions.parquet``: all files or none.

    Args:
        table: As for `print_suites`.
        out: Folder, created if it is missing.
        predicted: A row an item, model and suite.

    Raises:
        InputError: The folder can't be written.
    """
    write_all(
        out,
        {
            "suites.csv": partial(table.to_csv, index=False),
            "suites.png": partial(plots.save, plots.suite_figure(table)),
            "suite_predictions.parquet": partial(predicted.to_parquet, index=False),
        },
    )


def _cells(networks: pd.DataFrame, baselines: Sequence[BaselineResult]) -> pd.DataFrame:
    """Return a row a condition: its name, n, networks, chance and baselines; the best is first."""
    by_model = {
        str(model): _by_condition(rows) for model, rows in networks.groupby("model", sort=False)
    }
    by_baseline = {
        baseline.name if index else f"* {baseline.name}": _by_condition(baseline.rows)
        for index, baseline in enumerate(baselines)
    }
    cells = []
    for condition, rows in networks.groupby("condition", sort=False):
        n, fewest, most = rows["n"].max(), rows["questions"].min(), rows["questions"].max()
        questions = f"{fewest}" if fewest == most else f"{fewest}–{most}"
        name = str(condition)
        cells.append(
            [
                name,
                f"{n}\n({questions})" if fewest < n else f"{n}",
                *(
                    with_interval(rows[name]) if name in rows else DASH
                    for rows in by_model.values()
                ),
                f"{100 * rows['chance'].iloc[0]:.1f}",
                *(percent(rows[name]) if name in rows else DASH for rows in by_baseline.values()),
            ]
        )
    return pd.DataFrame(cells, columns=["condition", "n", *by_model, "chance", *by_baseline])


def _by_condition(rows: pd.DataFrame) -> dict[str, AccuracyRow]:
    return {str(row["condition"]): row for row in rows.to_dict("records")}
