"""A decision: its reasons in words, and a record that fits a tag."""

from __future__ import annotations

import json

import pandas as pd

from memgate.gates.drift import SEED_DRIFT_COLUMNS, seed_drift
from memgate.tracking.registry.challenge import judged, paired_table
from memgate.tracking.registry.decision import LONGEST, MOST, Decision
from tests.rivals import answers, profile


def pairs(wrong: dict[int, int], margin: float = 0.01) -> pd.DataFrame:
    both = answers({}).rename(columns={"correct": "a"})
    return judged(paired_table(both.assign(b=answers(wrong)["correct"])), margin)


def layers(write: float, n: int) -> pd.DataFrame:
    one = profile(write)
    return pd.concat([one.assign(layer=layer) for layer in range(n)], ignore_index=True)


def decision(
    wrong: dict[int, int], write: float = 0.4, seeds: int = 3, n: int = 1, margin: float = 0.01
) -> Decision:
    spread = [layers(0.4 + 0.01 * seed, n) for seed in range(seeds)]
    versions = [str(10_000 + seed) for seed in range(seeds)]
    drift = seed_drift(layers(write, n), spread)
    items = "10000000 items in common, of 10000000 and 10000000 of " + "x" * 5000
    return Decision("20000", versions[0], items, margin, pairs(wrong, margin), drift, versions)


def test_the_longest_record_fits_a_tag() -> None:
    everything = decision(dict.fromkeys(range(5), 13), write=5.0, seeds=40, n=9)
    assert len(everything.reasons) > MOST
    text = everything.record("refused")
    assert 1500 < len(text) <= LONGEST
    record = json.loads(text)
    assert record["gates"]["drifted"] == record["gates"]["cells"] == 15 * 9
    assert len(record["gates"]["farthest"]) == MOST
    assert len(record["gates"]["seeds"]) == 20


def test_nothing_against_it() -> None:
    fair = decision({})
    assert fair.passed
    assert fair.reasons == []
    assert fair.unjudged == ""
    record = json.loads(fair.record("promoted"))
    assert record["pairs"]["overall all"]["verdict"] == "not worse"
    assert record["gates"]["why_not"] is None


def test_each_reason_has_its_numbers() -> None:
    worse = decision({0: 20}, write=0.9)
    overall, stratum, *gates = worse.reasons
    assert overall == (
        "overall 98.0% right, the champion 100.0%: of 1000 items it loses 20 and wins 0 "
        "(one-sided p = 9.5e-07, below 0.05)"
    )
    assert stratum.startswith("with 0 attractors 96.0% right, the champion 100.0%, lower by more ")
    assert "than 0.01: of 500 items it loses 20 and wins 0" in stratum
    assert len(gates) == MOST + 1
    assert gates[-1] == "gates drifted in 7 more cells"
    assert not worse.passed
    lenient = decision({0: 20}, margin=0.05)
    assert [reason[:7] for reason in lenient.reasons] == ["overall"]


def test_without_profiles_the_answers_decide() -> None:
    none = pd.DataFrame(columns=list(SEED_DRIFT_COLUMNS))
    bare = Decision("2", "1", "items", 0.01, pairs({}), none, [])
    assert bare.passed
    assert bare.gates == (
        "gates: drift isn't judged: a gate profile is missing, or they have too little in common\n"
        "the gates speak neither for it nor against it; the answers decide"
    )
    assert bare.drifting.startswith("not judged: a gate profile is missing")
    assert json.loads(bare.record("promoted"))["gates"]["judged"] is False
    assert not Decision("2", "1", "items", 0.01, pairs({0: 20}), none, []).passed


def test_numbers_that_are_not_known_are_null() -> None:
    record = json.loads(decision({}, seeds=2).record("promoted"))
    assert {cell["p_holm"] for cell in record["gates"]["farthest"].values()} == {None}
