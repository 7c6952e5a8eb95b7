"""The model card: its tables, from numbers that can be checked by eye, and where data come from."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from memgate.export.card import accuracy_table as accuracy_markdown
from memgate.export.card import cross_table, is_grammar, limitations, role_table, split_table
from memgate.gates.profile import PROFILE_DTYPES
from memgate.metrics.accuracy import accuracy_table
from memgate.tracking.registry.origin import DatasetRecord, Origin

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


def lines_of(markdown: str) -> list[str]:
    """The lines of a table without the spaces that align its columns."""
    return [re.sub(" +", " ", line) for line in markdown.splitlines()]


def test_accuracy_beside_the_baselines() -> None:
    lines = lines_of(accuracy_markdown(table()))
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
    lines = lines_of(cross_table(table()))
    assert lines[0] == "| words | 0 | 1 | 2 | 3 | 4+ |"
    assert lines[2].startswith("| 0 | 100.0 (94.0–100.0) [60] | – |")
    assert lines[4] == "| 3–5 | 75.0 (53.1–88.8) [20] | – | 25.0 (11.2–46.9) [20] | – | – |"
    assert lines[3] == "| 1–2 | – | – | – | – | – |"


def test_limits() -> None:
    first, second = limitations(table())
    assert first.startswith("Accuracy without an attractor: 93.8 (")  # 75 of 80
    assert "% of 80; with one or more: 25.0 (11.2–46.9)% of 20." in first
    assert second.startswith("Accuracy with a singular subject: 100.0 (94.0–100.0)% of 60; ")
    assert "plural: 50.0 (" in second
    assert limitations(table().query("by == 'overall'")) == []


def test_roles_pool_numbers_and_answers_of_the_last_layer() -> None:
    common = {"units": "all", "by": "role", "sd": 0.0}
    rows = [
        {"layer": 0, "reading": "write", "stratum": "subject", "n": 9, "mean": 0.9},
        {"layer": 1, "reading": "write", "stratum": "subject", "n": 1, "mean": 0.2},
        {"layer": 1, "reading": "write", "stratum": "subject", "n": 3, "mean": 0.6, "number": "pl"},
        {"layer": 1, "reading": "write", "stratum": "other", "n": 2, "mean": 0.1},
        {"layer": 1, "reading": "contribution_change", "stratum": "other", "n": 2, "mean": -0.001},
        {"layer": 1, "reading": "write", "stratum": "3", "n": 2, "mean": 0.7, "by": "from_subject"},
    ]
    full = [{"number": "sg", "answer": "right", "items": 1, **common, **row} for row in rows]
    header, ruler, *body = lines_of(role_table(pd.DataFrame(full, columns=list(PROFILE_DTYPES))))
    assert header == "| units | reading | subject | other |"
    assert set(ruler) == set("|:-")
    assert body == ["| all | write | 0.50 | 0.10 |", "| all | Δ logit | – | 0.00 |"]


def origin(*sources: str) -> Origin:
    splits = [DatasetRecord("d", "train", 1200, "0a1b", source) for source in sources]
    return Origin("f00", "run", "", tuple(splits))


def test_splits() -> None:
    assert lines_of(split_table(origin("x")))[2] == "| train | 1,200 | `0a1b` |"


GRAMMAR = "class_path: memgate.data.sources.grammar.source.Grammar\ninit_args: {seed: 0}\n"
FORMER = "class_path: memgate.data.grammar.Grammar\ninit_args: {seed: 0}\n"
JOINED = "class_path: memgate.data.sources.joined.Joined\ninit_args:\n  sources:\n"


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ([GRAMMAR, GRAMMAR], True),
        ([FORMER], True),
        ([f"{JOINED}  - {GRAMMAR}"], True),
        ([f"{JOINED}  - {GRAMMAR}  - class_path: memgate.data.sources.jsonl.Jsonl\n"], False),
        ([GRAMMAR, "class_path: memgate.data.sources.linzen.Linzen\n"], False),
        (["class_path: somebody.Grammar\n"], False),
        (["items.jsonl"], False),
        ([], False),
    ],
)
def test_only_items_of_the_grammar_alone_are_the_grammars(
    sources: list[str], expected: bool
) -> None:
    assert is_grammar(origin(*sources)) == expected
