"""The paired table, worked by hand, and how often the rule errs, by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from memgate.metrics.challenge import COLUMNS, LEVEL, judged, paired_table
from memgate.metrics.mcnemar import difference_interval, mcnemar


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
    assert list(table) == list(COLUMNS)
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
    assert judged(table, 0.05)["verdict"].tolist() == ["not worse", "not worse"]
    assert judged(table, 0.01)["verdict"].tolist() == ["open", "open"], "100 items tell no more"


def table_of(strata: dict[str, tuple[int, int, int]]) -> pd.DataFrame:
    """A paired table of n, only_a and only_b by attractors."""
    whole = tuple(map(sum, zip(*strata.values(), strict=True)))
    rows = [("overall", "all", whole), *(("attractors", key, n) for key, n in strata.items())]
    found = [
        (by, name, n, a, b, 1 - b / n, 1 - a / n, (b - a) / n, *difference_interval(a, b, n), 1, 1)
        for by, name, (n, a, b) in rows
    ]
    return pd.DataFrame(found, columns=list(COLUMNS)).astype(COLUMNS)


def verdicts(margin: float = 0.01, **strata: tuple[int, int, int]) -> dict[str, str]:
    table = judged(table_of({key.removeprefix("n"): n for key, n in strata.items()}), margin)
    return dict(zip(table["stratum"], table["verdict"], strict=True))


def test_a_loss_needs_evidence_and_size() -> None:
    small = verdicts(n0=(5000, 50, 50), n4=(3, 3, 0))
    assert small == {"all": "not worse", "0": "not worse", "4": "open"}, "3 items tell nothing"
    large = verdicts(n0=(5000, 50, 50), n4=(300, 15, 0))
    assert large["4"] == "worse"
    assert verdicts(0.06, n0=(5000, 50, 50), n4=(300, 15, 0))["4"] == "open", "5 points lost of 6"
    within = verdicts(n0=(20_000, 150, 20), n4=(300, 5, 5))
    assert (within["all"], within["0"]) == ("worse", "not worse"), "surely worse, by 0.65 points"
    better = verdicts(n0=(5000, 10, 200), n4=(100, 0, 30))
    assert better == {"all": "not worse", "0": "not worse", "4": "not worse"}


def test_strata_are_corrected_for_being_many() -> None:
    # one-sided p of 5:0 is 1/32: below 0.05 alone, not among two
    assert verdicts(n4=(100, 5, 0))["4"] == "worse"
    assert verdicts(n3=(5000, 50, 50), n4=(100, 5, 0))["4"] == "open"


STRATA = {"0": (8000, 0.02), "1": (2000, 0.05), "2": (500, 0.1), "3": (100, 0.15), "4+": (30, 0.2)}


def refusals(losses: dict[str, float], runs: int = 200) -> tuple[float, float]:
    """How often a challenger is called worse, and how often the bare margin would call it so."""
    rng = np.random.default_rng(0)
    refused = naive = 0
    for _ in range(runs):
        drawn = {}
        for name, (n, discordant) in STRATA.items():
            loss = losses.get(name, 0.0)
            counts = rng.multinomial(
                n, [(discordant + loss) / 2, (discordant - loss) / 2, 1 - discordant]
            )
            drawn[name] = (n, int(counts[0]), int(counts[1]))
        table = judged(table_of(drawn))
        refused += int((table["verdict"] == "worse").any())
        naive += int((table["difference"][1:] < -0.01).any())
    return refused / runs, naive / runs


def test_equally_good_models_are_seldom_refused() -> None:
    refused, naive = refusals({})
    assert refused <= 2 * LEVEL - LEVEL**2 + 0.02, "two families of tests, each at the level"
    assert naive > 0.5, "what the margin alone would do"


def test_a_loss_in_one_stratum_is_noticed() -> None:
    assert refusals({"1": 0.03})[0] > 0.98
    assert refusals({"3": 0.10})[0] > 0.45
