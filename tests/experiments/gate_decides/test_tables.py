"""Tables of the study: what is summarised over seeds, and files that read as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.gate_decides.tables import OVER_SEEDS, _by_stratum, over_seeds, to_csv


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_over_seeds_is_the_t_interval(numbers: list[float]) -> None:
    table = pd.DataFrame({"cell": "gru", "to": np.nan, "value": numbers})
    (row,) = over_seeds(table, "value", ["cell", "to"]).to_dict("records")
    n, mean, error = len(numbers), np.mean(numbers), stats.sem(numbers)
    assert list(row) == ["cell", "to", *OVER_SEEDS]
    assert (row["seeds"], row["min"], row["max"]) == (n, min(numbers), max(numbers))
    assert row["mean"] == pytest.approx(mean)
    half = error * stats.t.ppf(0.975, n - 1)
    assert [row["low"], row["high"]] == pytest.approx([mean - half, mean + half])


def test_one_seed_has_no_interval_and_nulls_are_left_out() -> None:
    table = pd.DataFrame({"key": ["a", "a", "b"], "value": [0.25, np.nan, np.nan]})
    (row,) = over_seeds(table, "value", ["key"]).to_dict("records")
    assert (row["key"], row["seeds"], row["mean"], row["min"], row["max"]) == ("a", 1, *[0.25] * 3)
    assert np.isnan([row["low"], row["high"]]).all()


def test_strata_are_kept_where_someone_asks_for_them() -> None:
    rows = [
        (edit, to, of, by)
        for edit, to, of in (
            ("none", None, "all"),
            ("control", None, "all"),
            ("clamp", 0.0, "all"),
            ("clamp", 0.5, "all"),
            ("clamp", 1.0, "number"),
            ("clamp", 1.0, "random"),
        )
        for by in ("overall", "label", "attractors")
    ]
    kept = _by_stratum(pd.DataFrame(rows, columns=["edit", "to", "of", "by"]))
    assert (kept["by"] == "overall").sum() == 6
    strata = kept[kept["by"] != "overall"]
    assert set(strata["by"]) == {"attractors"}
    assert strata[["edit", "of"]].apply(tuple, axis=1).tolist() == [
        ("none", "all"),
        ("clamp", "all"),
        ("clamp", "number"),
    ]


def test_floats_have_six_digits(tmp_path: Path) -> None:
    to_csv(pd.DataFrame({"a": [1 / 3, 1e-9 / 3], "b": [1, 2]}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == b"a,b\n0.333333,1\n3.33333e-10,2\n"
