"""The accuracy table and its intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from memgate.arrays import UNKNOWN_COUNT
from memgate.metrics.accuracy import (
    ACCURACY_BREAKDOWNS,
    accuracy_table,
    answer_frame,
    left_out,
    wilson,
)
from memgate.metrics.strata import ATTRACTORS, INTERVENING

COLUMNS = ["label", "intervening", "attractors", "condition", "n", "correct"]

# 1,112 items: the last three rows lack something
FRAME = pd.DataFrame(
    [
        ("pl", "11+", "4+", "depth 10", 1, 1),
        ("pl", "6–10", "1", "depth 2", 10, 4),
        ("sg", "3–5", "0", "depth 2", 100, 90),
        ("sg", "1–2", "0", "depth 1", 200, 190),
        ("pl", "1–2", "1", "depth 1", 50, 40),
        ("sg", "0", "0", "Depth", 300, 300),
        ("pl", "0", "0", None, 400, 396),
        ("sg", None, "0", "depth 1", 20, 11),
        ("sg", "3–5", None, "depth 1", 30, 0),
        ("pl", None, None, None, 1, 0),
    ],
    columns=COLUMNS,
)


def rows(table: pd.DataFrame, by: str) -> dict[str, tuple[int, int]]:
    part = table[table["by"] == by]
    return {
        str(stratum): (int(n), int(correct))
        for stratum, n, correct in zip(part["stratum"], part["n"], part["correct"], strict=True)
    }


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_equal_those_of_statsmodels(counts: tuple[int, int]) -> None:
    correct, n = counts
    expected = proportion_confint(correct, n, alpha=0.05, method="wilson")
    np.testing.assert_allclose(wilson(correct, n), expected, rtol=1e-9, atol=1e-12)
    low, high = wilson(correct, n)
    assert 0 <= low <= correct / n <= high <= 1


def test_a_table_worked_out_by_hand() -> None:
    table = accuracy_table(FRAME)
    assert list(table) == ["by", "stratum", "n", "correct", "accuracy", "low", "high"]
    assert list(table["by"].drop_duplicates()) == list(ACCURACY_BREAKDOWNS)
    # lists of pairs, so that the order of the strata counts too
    assert list(rows(table, "overall").items()) == [("all", (1112, 1032))]
    assert list(rows(table, "label").items()) == [("sg", (650, 591)), ("pl", (462, 441))]
    assert list(rows(table, "intervening").items()) == [
        ("0", (700, 696)),
        ("1–2", (250, 230)),
        ("3–5", (130, 90)),
        ("6–10", (10, 4)),
        ("11+", (1, 1)),
    ]
    assert list(rows(table, "attractors").items()) == [
        ("0", (1020, 987)),
        ("1", (60, 44)),
        ("4+", (1, 1)),
    ]
    assert list(rows(table, "intervening_x_attractors").items()) == [
        ("0 × 0", (700, 696)),
        ("1–2 × 0", (200, 190)),
        ("1–2 × 1", (50, 40)),
        ("3–5 × 0", (100, 90)),
        ("6–10 × 1", (10, 4)),
        ("11+ × 4+", (1, 1)),
    ]
    assert list(rows(table, "condition").items()) == [
        ("Depth", (300, 300)),
        ("depth 1", (300, 241)),
        ("depth 2", (110, 94)),
        ("depth 10", (1, 1)),
    ]


def test_accuracy_and_limits_belong_to_their_row() -> None:
    table = accuracy_table(FRAME)
    np.testing.assert_allclose(table["accuracy"], table["correct"] / table["n"])
    low, high = proportion_confint(table["correct"], table["n"], method="wilson")
    np.testing.assert_allclose(table["low"], low, atol=1e-12)
    np.testing.assert_allclose(table["high"], high, atol=1e-12)
    assert [table[name].dtype for name in ("n", "correct")] == [np.int64, np.int64]


def test_left_out_counts_items_not_rows() -> None:
    assert left_out(FRAME) == {"intervening": 21, "attractors": 31, "condition": 401}


def test_without_a_column_condition_all_items_lack_it() -> None:
    frame = FRAME.drop(columns="condition")
    assert left_out(frame)["condition"] == 1112
    assert "condition" not in set(accuracy_table(frame)["by"])


TIDY = st.lists(
    st.tuples(
        st.sampled_from(["sg", "pl"]),
        st.sampled_from([*INTERVENING.names, None]),
        st.sampled_from([*ATTRACTORS.names, None]),
        st.sampled_from(["a", "b", None]),
        st.integers(0, 3),
    ).flatmap(lambda row: st.tuples(*map(st.just, row), st.integers(0, row[-1]))),
    max_size=30,
)


@settings(max_examples=40, deadline=None)  # pandas: 10 ms an example, more on busy cores
@given(TIDY)
def test_each_breakdown_and_what_it_leaves_out_add_up_to_all(
    items: list[tuple[str, str | None, str | None, str | None, int, int]],
) -> None:
    frame = pd.DataFrame(items, columns=COLUMNS)
    table = accuracy_table(frame)
    total, missing = int(frame["n"].sum()), left_out(frame)
    for by in ("overall", "label", "intervening", "attractors", "condition"):
        assert sum(n for n, _ in rows(table, by).values()) + missing.get(by, 0) == total
    assert (table["n"] > 0).all()
    pd.testing.assert_frame_equal(accuracy_table(frame[::-1]), table)


def test_answers_become_rows_worked_out_by_hand() -> None:
    right = np.array([True, False, True])
    labels, words, attractors = np.array([[0, 1, 1], [0, 12, UNKNOWN_COUNT], [UNKNOWN_COUNT, 1, 9]])
    condition = np.array(["depth 2", None, "depth 1"], dtype=object)
    frame = answer_frame(right, labels, words, attractors, condition)
    expected = [
        ("sg", "0", None, "depth 2", 1, 1),
        ("pl", "11+", "1", None, 1, 0),
        ("pl", None, "4+", "depth 1", 1, 1),
    ]
    pd.testing.assert_frame_equal(frame, pd.DataFrame(expected, columns=COLUMNS))
    bare = answer_frame(right, labels, words, attractors)
    assert "condition" not in set(accuracy_table(bare)["by"])
    assert left_out(bare) == {"intervening": 1, "attractors": 1, "condition": 3}
    with pytest.raises(ValueError, match="expected at least -1, got -2"):
        answer_frame(right, labels, words - 1, attractors)
    with pytest.raises(ValueError, match="label: expected one of"):
        accuracy_table(answer_frame(right, labels - 1, words, attractors))


def test_no_items_make_an_empty_table() -> None:
    table = accuracy_table(FRAME[:0])
    assert list(table) == ["by", "stratum", "n", "correct", "accuracy", "low", "high"]
    assert table.empty
    assert left_out(FRAME[:0]) == {"intervening": 0, "attractors": 0, "condition": 0}


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", "VBZ", "label: expected one of .*, got 'VBZ'"),
        ("label", None, "label: expected one of"),
        ("intervening", "1-2", "intervening: expected one of .*, got '1-2'"),
        ("attractors", "4", "attractors: expected one of .*, got '4'"),
        ("correct", 101, "correct: expected from 0 to n = 100, got 101"),
        ("correct", -1, "correct: expected from 0 to n = 100, got -1"),
    ],
)
def test_a_wrong_cell_is_refused(column: str, value: str | int | None, message: str) -> None:
    frame = FRAME.copy()
    frame.loc[2, column] = value
    with pytest.raises(ValueError, match=message):
        accuracy_table(frame)
    with pytest.raises(ValueError, match=message):
        left_out(frame)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match=r"expected also \['attractors'\]"):
        accuracy_table(FRAME.drop(columns="attractors"))
