"""What readers see of a study's tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from memgate.reporting.study_page import ShownTable
from memgate.studies.shown import (
    accuracy_tables,
    difference_table,
    labelled,
    paper_table,
    runs_shown,
    titled_markdown,
)


def accuracy(task: str = "number") -> pd.DataFrame:
    """A GRU of three seeds and an LSTM of one, the last noun's rule beside both."""
    rows = []
    shares = {"network": (0.9, 0.8), "last_noun": (0.75, 0.75), "nouns_only": (0.7, 0.6)}
    for at, (model, seeds) in enumerate((("gru", 3), ("lstm", 1))):
        for system, share in shares.items():
            for by, stratum, items in (
                ("overall", "all", 1000),
                ("attractors", "0", 600),
                ("attractors", "2", 400),
                ("intervening_x_attractors", "3–5 × 2", 400),
            ):
                n = items * seeds
                figures = (seeds, items, n, round(n * share[at]), share[at], 0.5, 0.95)
                rows.append(("x", task, model, system, by, stratum, *figures))
    columns = ["data", "task", "model", "system", "by", "stratum", "seeds", "items", "n"]
    return pd.DataFrame(rows, columns=[*columns, "correct", "accuracy", "low", "high"])


def test_models_of_more_seeds_were_not_asked_more_items() -> None:
    (by_attractors, both) = accuracy_tables(labelled(accuracy()), "x")
    names = by_attractors.cells[""].to_list()
    assert names == [
        "gru",
        "lstm",
        "* last noun",  # once, though of 3,000 answers beside the one and 1,000 beside the other
        "nouns only (gru)",
        "nouns only (lstm)",
        "test items",
    ]
    shown = by_attractors.cells.set_index("")
    assert list(shown) == ["all", "0", "2"], "no stratum without items"
    assert shown.loc["lstm", "2"] == "80.0\n50.0–95.0"
    assert list(shown.loc["test items"]) == ["1,000", "600", "400"]
    assert both.cells["words"].to_list() == ["3–5"] * 3
    assert both.cells["2"].to_list()[0] == "90.0\n50.0–95.0, n 400"
    assert both.cells["1"].to_list() == ["–"] * 3


def test_another_task_is_named_with_its_data() -> None:
    assert set(labelled(accuracy("inflection"))["data"]) == {"x, inflection"}
    assert set(labelled(accuracy())["data"]) == {"x"}


def test_differences_are_points_with_corrected_p_values() -> None:
    row = {"data": "x", "a": "gru", "b": "lstm", "by": "overall", "stratum": "all", "items": 1200}
    figures = {"difference": -0.0123, "low": -0.02, "high": 0.001}
    p = {"p_items": 0.001, "p_items_holm": 0.003, "p_seeds": np.nan, "p_seeds_holm": np.nan}
    rows = [row | figures | p, row | figures | p | {"by": "label", "stratum": "pl"}]
    table = pd.DataFrame(rows)
    shown = difference_table(table, "x", ["overall"]).cells
    assert shown.to_numpy().tolist() == [
        ["gru less lstm", "all", "1,200", "−1.23", "−2.00 to +0.10", "0.003", "–"]
    ]
    both = difference_table(table, "x", ["overall", "label"]).cells
    assert both["stratum"].to_list() == ["all", "label pl"]


def test_errors_beside_the_papers_leave_gaps() -> None:
    rows = [
        ("x", "gru", "ours", 0, 50, 0.01, 0.005, 0.02),
        ("x", "gru", "ours", 5, 7, 0.3, 0.2, 0.4),
        ("x", "LSTM (Linzen et al. 2016)", "paper", 0, pd.NA, 0.006, 0.0059, 0.0062),
    ]
    columns = ["data", "model", "whose", "attractors", "items", "error", "low", "high"]
    shown = paper_table(pd.DataFrame(rows, columns=columns), "x").cells.set_index("")
    assert shown.loc["gru", "5"] == "30.00\n20.00–40.00"
    assert shown.loc["LSTM (Linzen et al. 2016)", "0"] == "0.60\n0.59–0.62"
    assert shown.loc["LSTM (Linzen et al. 2016)", "5"] == "–"
    assert list(shown.loc["our test items"]) == ["50", "–", "–", "–", "–", "7"]


def test_a_run_without_answers_or_sizes_has_dashes() -> None:
    columns = ["run", "status", "data", "task", "model", "seed", "train", "test", "accuracy"]
    rows = [("r", "FAILED", "x", "number", "gru", 0, pd.NA, 1200, np.nan)]
    (shown,) = runs_shown(pd.DataFrame(rows, columns=columns)).cells.to_numpy().tolist()
    assert shown[5:] == ["0", "–", "1,200", "–"]


def test_markdown_has_intervals_in_brackets_and_bars_escaped() -> None:
    cells = pd.DataFrame({"": ["a|b"], "all": ["93.1\n92.0–94.2"]})
    assert titled_markdown(ShownTable("title", cells)).splitlines() == [
        "**title**",
        "",
        "|      |              all |",
        "|:-----|-----------------:|",
        "| a\\|b | 93.1 (92.0–94.2) |",
    ]
