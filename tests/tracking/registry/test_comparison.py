"""The paired table, worked by hand, and how often the rule errs, by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from memgate.metrics.paired import difference_interval, mcnemar
from memgate.tracking.registry.comparison import (
    PAIRED_COLUMNS,
    PROMOTION_LEVEL,
    judge,
    paired_table,
)


def frame(
    a: list[int], b: list[int], attractors: list[int | None], intervening: list[int | None]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": ["sg", "pl"] * (len(a) // 2),
            "attractors": pd.array(attractors, dtype="Int64"),
            "intervening": pd.array(intervening, dtype="Int64"),
            "a": np.array(a, dtype=bool),
            "b": np.array(b, dtype=bool),
        }
    )


def test_a_table_worked_by_hand() -> None:
    rows = frame(
        [1, 1, 1, 0, 0, 1], [1, 0, 1, 1, 0, 0], [0, 0, None, 5, 4, 0], [0, 12, None, 3, 5, 1]
    )
    table = paired_table(rows)
    assert list(table) == list(PAIRED_COLUMNS)
    found = {
        (row["by"], row["stratum"]): (row["n"], row["only_a"], row["only_b"])
        for row in table.to_dict("records")
    }
    assert found == {
        ("overall", "all"): (6, 2, 1),
        ("label", "sg"): (3, 0, 0),
        ("label", "pl"): (3, 2, 1),
        ("intervening", "0"): (1, 0, 0),
        ("intervening", "1–2"): (1, 1, 0),
        ("intervening", "3–5"): (2, 0, 1),
        ("intervening", "11+"): (1, 1, 0),
        ("attractors", "0"): (3, 2, 0),
        ("attractors", "4+"): (2, 0, 1),
    }
    whole = table.iloc[0]
    assert (whole["accuracy_a"], whole["accuracy_b"]) == (4 / 6, 3 / 6)
    assert whole["difference"] == pytest.approx(-1 / 6)
    assert (whole["low"], whole["high"]) == difference_interval(2, 1, 6)
    assert whole["p"] == whole["p_holm"] == mcnemar(2, 1)
    plural = table[table["stratum"] == "0"].iloc[-1]
    assert (plural["p"], plural["p_holm"]) == (0.5, 1.0), "Holm over two strata"


def test_two_equal_models_differ_nowhere() -> None:
    rows = frame([1, 0] * 50, [1, 0] * 50, [0] * 100, [None] * 100)
    table = paired_table(rows)
    assert set(table["by"]) == {"overall", "label", "attractors"}
    assert (table[["only_a", "only_b", "difference"]] == 0).all(axis=None)
    assert (table["p_holm"] == 1).all()
    assert judge(table, 0.05)["verdict"].tolist() == ["not worse", "not worse"]
    assert judge(table, 0.01)["verdict"].tolist() == ["inconclusive", "inconclusive"], (
        "100 items tell no more"
    )


def test_attractors_are_also_counted_as_so_many_or_more() -> None:
    right = [1] * 8
    attractors: list[int | None] = [None, 0, 1, 1, 3, 3, 4, 6]
    table = paired_table(frame(right, [1, 0, 1, 0, 1, 0, 0, 0], attractors, [None] * 8))
    or_more = table[table["by"] == "attractors_or_more"]
    found = or_more[["stratum", "n", "only_a", "only_b"]].to_numpy().tolist()
    # none has 2, so that 2+ were 3+ again
    assert found == [["1+", 6, 4, 0], ["3+", 4, 3, 0]]
    alone = paired_table(frame(right, right, [0, 0, 0, 0, 0, 0, 3, 3], [None] * 8))
    assert "attractors_or_more" not in set(alone["by"]), "3+ were 3 again"


def table_of(strata: dict[str, tuple[int, int, int]]) -> pd.DataFrame:
    """A paired table of n, only_a and only_b by attractors."""
    whole = summed(strata)
    rows = [("overall", "all", whole), *(("attractors", key, n) for key, n in strata.items())]
    for least in "123":
        more = {key: n for key, n in strata.items() if key >= least}
        if least in more and len(more) > 1:
            rows.append(("attractors_or_more", f"{least}+", summed(more)))
    found = [
        (by, name, n, a, b, 1 - b / n, 1 - a / n, (b - a) / n, *difference_interval(a, b, n), 1, 1)
        for by, name, (n, a, b) in rows
    ]
    return pd.DataFrame(found, columns=list(PAIRED_COLUMNS)).astype(PAIRED_COLUMNS)


def summed(strata: dict[str, tuple[int, int, int]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*strata.values(), strict=True)))


def verdicts(margin: float = 0.01, **strata: tuple[int, int, int]) -> dict[str, str]:
    table = judge(table_of({key.removeprefix("n"): n for key, n in strata.items()}), margin)
    return dict(zip(table["stratum"], table["verdict"], strict=True))


def test_a_loss_needs_evidence_and_size() -> None:
    small = verdicts(n0=(5000, 50, 50), n4=(3, 3, 0))
    assert small == {"all": "not worse", "0": "not worse", "4": "inconclusive"}, (
        "3 items tell nothing"
    )
    large = verdicts(n0=(5000, 50, 50), n4=(300, 15, 0))
    assert large["4"] == "worse"
    assert verdicts(0.06, n0=(5000, 50, 50), n4=(300, 15, 0))["4"] == "inconclusive", (
        "5 points lost of 6"
    )
    within = verdicts(n0=(20_000, 150, 20), n4=(300, 5, 5))
    assert (within["all"], within["0"]) == ("worse", "not worse"), "surely worse, by 0.65 points"
    better = verdicts(n0=(5000, 10, 200), n4=(100, 0, 30))
    assert better == {"all": "not worse", "0": "not worse", "4": "not worse"}


def test_strata_are_corrected_for_being_many() -> None:
    # one-sided p of 5:0 is 1/32: below 0.05 alone, not among two
    assert verdicts(n4=(100, 5, 0))["4"] == "worse"
    assert verdicts(n3=(5000, 50, 50), n4=(100, 5, 0))["4"] == "inconclusive"


LOSING = {
    "0": (1700, 10, 25),
    "1": (150, 4, 8),
    "2": (30, 6, 0),
    "3": (20, 5, 0),
    "4+": (10, 3, 0),
}
"""87 → 67, 85 → 60 and 80 → 50% with 2, 3 and 4+ attractors, and better with fewer."""


def test_losses_that_are_small_one_by_one_are_put_together() -> None:
    table = judge(table_of(LOSING)).set_index("stratum")
    assert table.index[table["verdict"] == "worse"].tolist() == ["2+", "3+"]
    # 0, 1, 1+, 2+ and 3+ can reject, with 35, 12, 26, 14 and 8 discordant of K = 6: 2^-6 > 0.05/6
    assert table.index[table["p_worse"].isna()].tolist() == ["2", "3", "4+"]
    assert table.loc["2+", "p_worse"] == pytest.approx(5 * 0.5**14)
    assert table.loc["3+", "p_worse"] == pytest.approx(4 * 0.5**8)
    assert table.loc["1+", "p_worse"] == pytest.approx(3 * stats.binom.sf(17, 26, 0.5))


def test_strata_that_cannot_reject_do_not_count() -> None:
    # 7:0 is 1/128: below 0.05 / 2, whatever the other rows hold
    small = {"2": (40, 2, 1), "3": (40, 1, 2), "4+": (9, 2, 2)}
    crowded = judge(table_of({"1": (300, 7, 0), **small})).set_index("stratum")
    # 1+ and 2+ have 17 and 10 discordant items, 3+ has 7 as 1 has: K is 4
    assert crowded.loc["1", "p_worse"] == pytest.approx(4 / 128)
    assert crowded.loc["1", "verdict"] == "worse"
    assert crowded["p_worse"].isna().sum() == 3


STRATA = {"0": (8000, 0.02), "1": (2000, 0.05), "2": (500, 0.1), "3": (100, 0.15), "4+": (30, 0.2)}


def refusals(
    losses: dict[str, float], runs: int = 200, strata: dict[str, tuple[int, float]] = STRATA
) -> tuple[float, float]:
    """How often a challenger is called worse, and how often the bare margin would call it so."""
    rng = np.random.default_rng(0)
    refused = naive = 0
    for _ in range(runs):
        counts_by_stratum = {}
        for name, (n, discordant) in strata.items():
            loss = losses.get(name, 0.0)
            counts = rng.multinomial(
                n, [(discordant + loss) / 2, (discordant - loss) / 2, 1 - discordant]
            )
            counts_by_stratum[name] = (n, int(counts[0]), int(counts[1]))
        table = judge(table_of(counts_by_stratum))
        refused += int((table["verdict"] == "worse").any())
        naive += int((table["difference"][table["by"] == "attractors"] < -0.01).any())
    return refused / runs, naive / runs


def test_equally_good_models_are_seldom_refused() -> None:
    refused, naive = refusals({})
    assert refused <= 2 * PROMOTION_LEVEL - PROMOTION_LEVEL**2 + 0.02, (
        "two families of tests, each at the level"
    )
    assert naive > 0.5, "what the margin alone would do"


def test_with_few_items_of_many_attractors_too() -> None:
    few = {key: (n, (a + b) / n) for key, (n, a, b) in LOSING.items()}
    refused, naive = refusals({}, strata=few)
    assert refused <= 0.08, "4.8% of 10,000"
    assert naive > 0.7
    assert refusals({key: (a - b) / n for key, (n, a, b) in LOSING.items()}, strata=few)[0] > 0.95


def test_a_loss_in_one_stratum_is_noticed() -> None:
    assert refusals({"1": 0.03})[0] > 0.98
    assert refusals({"3": 0.10})[0] > 0.45
