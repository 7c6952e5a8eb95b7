"""Which baseline is whose, and which is best: cases worked by hand, and laws."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgate.metrics.accuracy import accuracy_table
from memgate.metrics.systems import (
    NETWORK,
    SYSTEM_NAMES,
    BaselineResult,
    baseline_results,
    best_baseline,
)

Counts = dict[str, tuple[int, int]]
"""n and correct of each condition."""


def suite(figures: dict[tuple[str, str], Counts]) -> pd.DataFrame:
    """Rows of a suite from counts by model and system."""
    rows = [
        (model, system, condition, n, correct)
        for (model, system), counts in figures.items()
        for condition, (n, correct) in counts.items()
    ]
    return pd.DataFrame(rows, columns=["model", "system", "condition", "n", "correct"])


def best(rows: pd.DataFrame) -> BaselineResult:
    found = best_baseline(rows)
    assert found is not None
    return found


def test_the_best_has_the_most_items_right_not_the_most_conditions() -> None:
    table = suite(
        {
            ("m", NETWORK): {"a": (10, 1), "b": (10, 1), "c": (100, 2)},
            ("m", "majority"): {"a": (10, 9), "b": (10, 9), "c": (100, 50)},
            ("m", "last_noun"): {"a": (10, 1), "b": (10, 1), "c": (100, 90)},
        }
    )
    found = best(table)
    assert (found.system, found.name) == ("last_noun", "last noun")
    assert found.accuracy == 92 / 120
    assert found.rows["correct"].tolist() == [1, 1, 90]


def test_breakdowns_of_a_data_set_are_not_added_up() -> None:
    frame = pd.DataFrame({"label": "sg", "intervening": ["0", None], "attractors": [None, None]})
    first = accuracy_table(frame.assign(n=10, correct=[0, 10]))  # 10 of 20; wrong in its stratum
    second = accuracy_table(frame.assign(n=10, correct=[9, 0]))  # 9 of 20; right in its stratum
    table = pd.concat(
        [
            first.assign(model="m", system="noun_majority"),
            second.assign(model="m", system="last_words"),
        ]
    )
    assert [each.accuracy for each in baseline_results(table)] == [0.5, 0.45]
    assert best(table).system == "noun_majority"


@pytest.mark.parametrize("systems", [list(SYSTEM_NAMES), list(SYSTEM_NAMES)[::-1]])
def test_of_equally_good_ones_the_first_by_name_counts(systems: list[str]) -> None:
    table = suite({("m", system): {"a": (10, 5)} for system in systems})
    assert [each.system for each in baseline_results(table)] == list(SYSTEM_NAMES)
    assert best(table).system == next(iter(SYSTEM_NAMES))


def test_of_equally_good_ones_the_first_model_counts() -> None:
    table = suite(
        {
            ("z", "nouns_only"): {"a": (10, 5), "b": (10, 7)},
            ("a", "nouns_only"): {"a": (10, 7), "b": (10, 5)},
        }
    )
    assert best(table).name == "nouns only (z)"


def test_the_same_figures_of_all_models_are_one_baseline() -> None:
    same = {"a": (10, 5), "b": (10, 6)}
    other = {"a": (10, 6), "b": (10, 5)}  # as many in all, but not in every condition
    table = suite(
        {
            **{(model, NETWORK): {"a": (10, 9), "b": (10, 9)} for model in "xyz"},
            **{(model, "majority"): same for model in "xyz"},
            **{
                (model, "nouns_only"): counts
                for model, counts in zip("xyz", (same, other, same), strict=True)
            },
            ("y", "last_words"): same,
        }
    )
    names = [each.name for each in baseline_results(table)]
    assert names == [
        "majority",
        "nouns only (x and 1 more)",
        "nouns only (y)",
        "last three words (y)",
    ]
    for each in baseline_results(table):
        assert each.rows["condition"].tolist() == ["a", "b"]  # once
    assert best(table).name == "majority"


def test_one_that_left_items_out_is_no_candidate() -> None:
    table = suite(
        {
            ("m", NETWORK): {"a": (10, 9), "b": (10, 9)},
            ("m", "majority"): {"a": (10, 5), "b": (10, 5)},
            ("m", "first_noun"): {"a": (10, 10)},
            ("m", "last_noun"): {"a": (10, 10), "b": (9, 9)},
        }
    )
    found = {each.name: each.complete for each in baseline_results(table)}
    assert found == {
        "majority": True,
        "first noun, 10 of 20 items": False,
        "last noun, 19 of 20 items": False,
    }
    assert best(table).name == "majority"
    assert best_baseline(table[table["system"] != "majority"]) is None


def test_without_baselines_there_is_no_best() -> None:
    table = suite({("m", NETWORK): {"a": (10, 9)}})
    assert baseline_results(table) == []
    assert best_baseline(table) is None


def test_an_unknown_system_is_refused() -> None:
    with pytest.raises(ValueError, match=r"system: expected one of network, majority, .*'oracle'"):
        baseline_results(suite({("m", "oracle"): {"a": (10, 9)}}))


counts = st.fixed_dictionaries({name: st.integers(0, 3) for name in "ab"})
figures = st.dictionaries(
    st.tuples(st.sampled_from("xy"), st.sampled_from([NETWORK, *SYSTEM_NAMES])), counts, min_size=1
)


@given(figures)
@settings(max_examples=40, deadline=None)
def test_no_baseline_is_better_than_the_best_and_none_is_lost(
    correct: dict[tuple[str, str], dict[str, int]],
) -> None:
    table = suite(
        {key: {name: (3, right) for name, right in own.items()} for key, own in correct.items()}
    )
    found = baseline_results(table)
    shares = {key: sum(own.values()) / 6 for key, own in correct.items() if key[1] != NETWORK}
    assert len({each.name for each in found}) == len(found)
    assert {(each.system, each.accuracy) for each in found} == {
        (system, share) for (_, system), share in shares.items()
    }
    if shares:
        assert best(table).accuracy == max(shares.values())
