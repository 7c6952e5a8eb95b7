"""The tables of a card, from numbers that can be checked by eye."""

from __future__ import annotations

import pandas as pd

from memgate.export.card_tables import accuracy_lines, both_lines, limits, role_lines
from memgate.gates.profile import DTYPES
from memgate.metrics.accuracy import accuracy_table

ROWS = pd.DataFrame(
    [
        ("sg", "0", "0", 60, 60, 60),
        ("pl", "3–5", "0", 20, 15, 10),
        ("pl", "3–5", "2", 20, 5, 0),
    ],
    columns=["label", "intervening", "attractors", "n", "correct", "last_noun"],
)


def table() -> pd.DataFrame:
    parts = []
    for system, column in {"network": "correct", "last_noun": "last_noun"}.items():
        part = accuracy_table(ROWS.assign(correct=ROWS[column]))
        parts.append(part.assign(model="m", data="d", system=system))
    return pd.concat(parts, ignore_index=True)


def test_accuracy_beside_the_baselines() -> None:
    lines = accuracy_lines(table())
    assert lines[0] == "| test items | n | this model | last noun |"
    # Wilson's interval of 80 of 100: (0.8 + 0.0192) / 1.0384 ± 0.0783 (by hand, z = 1.96)
    assert lines[2] == "| all | 100 | 80.0 (71.1–86.7) | 70.0 |"
    assert lines[3].startswith("| subject sg | 60 | 100.0 (94.0–100.0) | 100.0 |")
    assert [line.split(" |")[0] for line in lines[5:]] == [
        "| 0 words between",
        "| 3–5 words between",
        "| attractors: 0",
        "| attractors: 2",
    ]
    assert lines[-1].endswith("| 20 | 25.0 (11.2–46.9) | 0.0 |")


def test_words_by_attractors() -> None:
    lines = both_lines(table())
    assert lines[0] == "| words | 0 | 1 | 2 | 3 | 4+ |"
    assert lines[2].startswith("| 0 | 100.0 (94.0–100.0) [60] | – |")
    assert lines[4] == "| 3–5 | 75.0 (53.1–88.8) [20] | – | 25.0 (11.2–46.9) [20] | – | – |"
    assert lines[3] == "| 1–2 | – | – | – | – | – |"


def test_limits() -> None:
    first, second = limits(table())
    assert first.startswith("Right without an attractor: 93.8 (")  # 75 of 80
    assert "% of 80; with one or more: 25.0 (11.2–46.9)% of 20." in first
    assert second.startswith("Right where the subject is singular: 100.0 (94.0–100.0)% of 60; ")
    assert "plural: 50.0 (" in second
    assert limits(table().query("by == 'overall'")) == []


def test_roles_pool_numbers_and_answers_of_the_last_layer() -> None:
    common = {"units": "all", "by": "role", "sd": 0.0}
    rows = [
        {"layer": 0, "reading": "write", "stratum": "subject", "n": 9, "mean": 0.9},
        {"layer": 1, "reading": "write", "stratum": "subject", "n": 1, "mean": 0.2},
        {"layer": 1, "reading": "write", "stratum": "subject", "n": 3, "mean": 0.6, "number": "pl"},
        {"layer": 1, "reading": "write", "stratum": "other", "n": 2, "mean": 0.1},
        {"layer": 1, "reading": "evidence", "stratum": "other", "n": 2, "mean": -0.001},
        {"layer": 1, "reading": "write", "stratum": "3", "n": 2, "mean": 0.7, "by": "from_subject"},
    ]
    full = [{"number": "sg", "answer": "right", "items": 1, **common, **row} for row in rows]
    assert role_lines(pd.DataFrame(full, columns=list(DTYPES))) == [
        "| units | reading | subject | other |",
        "| --- | --- | --- | --- |",
        "| all | write | 0.50 | 0.10 |",
        "| all | evidence | – | 0.00 |",
    ]
