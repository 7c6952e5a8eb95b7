"""The page of the study: its text and its tables say the same."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.gate_decides.page import TEMPLATE, Numbers, Seeds, render
from experiments.gate_decides.study import ANSWER_PAGE
from experiments.gate_decides.tables import TABLES, to_csv
from memgate.errors import InputError

DOCS = Path(__file__).parents[3] / "docs"


def prose(template: str) -> str:
    """A template without what Jinja2 fills in, code, formulas, links' targets and comments."""
    for mark in (
        r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}|<!--.*?-->",
        r"^```.*?^```",
        r"`[^`\n]+`",
        r"\$\$.*?\$\$|\$[^$\n]+\$",
        r"\]\([^)\n]*\)",
    ):
        template = re.sub(mark, "", template, flags=re.DOTALL | re.MULTILINE)
    return template


def typed_figures(template: str) -> list[str]:
    """Figures with a decimal point or a per cent sign that were typed by hand."""
    return re.findall(r"\d+[.,]\d+ ?%?|\d+ ?(?:%|per ?cent)|\.\d+", prose(template))


def test_the_page_is_what_its_template_and_its_tables_say() -> None:
    assert (DOCS / ANSWER_PAGE).read_text(encoding="utf-8") == render(DOCS / "answer" / TEMPLATE)


def test_no_measured_figure_is_typed_by_hand() -> None:
    template = (DOCS / "answer" / TEMPLATE).read_text(encoding="utf-8")
    assert typed_figures(template) == []
    assert len(re.findall(r"\{\{", template)) >= 5


def test_the_figures_of_the_page_are_there() -> None:
    for target in re.findall(r"\]\(([^):#]+)\)", (DOCS / ANSWER_PAGE).read_text(encoding="utf-8")):
        assert (DOCS / target).exists(), target


def test_the_tables_are_small_enough_for_git() -> None:
    for path in (DOCS / "answer").glob("*.csv"):
        assert path.stat().st_size < 350_000, path.name


def test_typed_figures_are_seen() -> None:
    good = '{{ accuracy("gru", 0.5) }} of 150 networks, `lr 0.02`, $z = 0.5$'
    good += "\n```\n0.98\n```\n[a](b1.2)"
    assert typed_figures(good) == []
    assert typed_figures("98% and 0.03, .5, 99.5 %, 7 percent") == [
        "98%",
        "0.03",
        ".5",
        "99.5 %",
        "7 percent",
    ]


NETWORK = {"cell": "gru", "data": "corpus", "units": 8}
OVER = {"seeds": 2, "mean": 0.5, "low": 0.4, "high": 0.6, "min": 0.25, "max": 0.75}
ROWS: dict[str, list[dict[str, object]]] = {
    "accuracy": [
        {"by": by, "stratum": stratum, "n": 9, "seed": seed, "accuracy": accuracy}
        for by, stratum, *accuracies in (
            ("overall", "all", 0.98, 0.99),
            ("label", "sg", 0.5, 0.5),
            ("intervening", "0", 0.1, 0.3),
            ("attractors", "0", 0.2, 0.4),
        )
        for seed, accuracy in enumerate(accuracies)
    ],
    "roles": [
        {"of": "all", "reading": "write", "role": "noun", "seed": 0, "mean": 0.031, "median": 0.02},
        {"of": "all", "reading": "write", "role": "noun", "seed": 1, "mean": 0.033, "median": 0.04},
        {"of": "all", "reading": "contribution_change", "role": "noun", "seed": 0, "mean": -0.5},
        {"of": "all", "reading": "contribution_change", "role": "noun", "seed": 1, "mean": -0.001},
        {"of": "number", "reading": "write", "role": "noun", "seed": 1, "mean": 0.7, "median": 0.8},
    ],
    "positions": [{"reading": "write", "position": 5, **OVER}],
    "interventions": [],
    "strata": [
        {"edit": "clamp", "quantity": "write", "to": 0.0, "of": "all", **OVER},
        {"edit": "none", "of": "all", **OVER, "mean": 0.9},
    ],
    "units": [
        {"seed": 0, "size": 0, "members": "", "drop": 0.01},
        {"seed": 1, "size": 2, "members": "0:1 0:3", "drop": 0.03, "rho": 0.5},
    ],
    "gradients": [{"trained": True, "state": "hidden", "distance": 10, "median": 0.000123}],
    "timescales": [],
    "oracle": [
        {"measure": "accuracy", "by": "overall", "stratum": "all", "n": 9, "value": 0.7},
        {"measure": "write", "by": "role", "stratum": "subject", "n": 9, "value": 0.4},
    ],
    "baselines": [{"system": "first_noun", "by": "overall", "stratum": "all", "accuracy": 0.694}],
    "summary": [],
}


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    for name, rows in ROWS.items():
        extra = {"by": "overall", "stratum": "all"} if name == "strata" else {}
        frame = pd.DataFrame([{**NETWORK, **extra, **row} for row in rows])
        to_csv(frame.reindex(columns=list(TABLES[name])), tmp_path / f"{name}.csv")
    return tmp_path


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ('accuracy("gru", "corpus", 8)', "98.5%"),
        ('accuracy("gru", "corpus", 8).seed_range', "98.0–99.0%"),
        # t of 0.975 with one degree of freedom is 12.706; sd / √2 of two numbers is half their gap
        ('accuracy("gru", "corpus", 8).interval', "92.1–104.9%"),
        ('accuracy("gru", "corpus", 8, "sg")', "50.0%"),
        ('accuracy("gru", "corpus", 8, "0")', "20.0%"),
        ('accuracy("gru", "corpus", 8, "0", by="attractors")', "30.0%"),
        ('role("write", "gru", "corpus", 8, "noun")', "0.03"),
        ('role("write", "gru", "corpus", 8, "noun", of="number")', "0.70"),
        ('role("write", "gru", "corpus", 8, "noun", of="number").interval', "–"),
        ('role("contribution_change", "gru", "corpus", 8, "noun")', "−0.25"),
        ('role("contribution_change", "gru", "corpus", 8, "noun").seed_range', "−0.50 to 0.00"),
        ('median("write", "gru", "corpus", 8, "noun")', "0.03"),
        ('position("write", "gru", "corpus", 8, 5).seed_range', "0.25–0.75"),
        ('under("clamp", "write", 0, "gru", "corpus", 8)', "50.0%"),
        ('under("none", None, None, "gru", "corpus", 8)', "90.0%"),
        ('number_units("drop", "gru", "corpus", 8)', "2.0%"),
        ('number_units("rho", "gru", "corpus", 8).seeds', "1"),
        ('networks_with_units("gru", "corpus", 8)', "1 of 2"),
        ('gradient("gru", "corpus", 8, 10)', "0.00012"),
        ('oracle("gru", "corpus")', "70.0%"),
        ('oracle_role("write", "gru", "corpus", "subject")', "0.40"),
        ('baseline("first_noun", "corpus")', "69.4%"),
        ("seeds()", "2"),
        ("networks()", "2"),
    ],
)
def test_a_template_says_numbers_as_text(tables: Path, asked: str, said: str) -> None:
    template = tables / TEMPLATE
    template.write_text("{{ " + asked + " }}\n")
    assert render(template) == f"{said}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '{{ accuracy("lstm", "corpus", 8) }}',
            "accuracy.csv: expected a row with cell lstm, data corpus, units 8, by overall, "
            "stratum all, got none",
        ),
        (
            '{{ median("contribution_change", "gru", "corpus", 8, "noun") }}',
            "roles.csv: expected median of a row with cell gru",
        ),
        ('{{ number_units("weight", "gru", "corpus", 8) }}', "units.csv: expected weight of a row"),
        ("{{ accuracies() }}", "page.md.j2: 'accuracies' is undefined"),
        ('{{ accuracy("gru") }}', "page.md.j2: .*missing 2 required positional arguments"),
        ("one\n{{ accuracy( }}", "page.md.j2, line 2: "),
        ('{{ accuracy("gru", "corpus", 8).mode }}', "has no attribute 'mode'"),
    ],
)
def test_a_template_that_asks_for_what_there_is_not(tables: Path, text: str, told: str) -> None:
    (tables / TEMPLATE).write_text(text)
    with pytest.raises(InputError, match=told.replace("(", r"\(")):
        render(tables / TEMPLATE)


def test_what_is_missing_is_told(tables: Path) -> None:
    with pytest.raises(InputError, match=r"page\.md\.j2: expected the page's template, found none"):
        render(tables / TEMPLATE)
    (tables / "roles.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"roles.csv: expected the columns \['cell'"):
        Numbers(tables)
    (tables / "roles.csv").unlink()
    with pytest.raises(InputError, match=r"roles\.csv: expected a table of `make answer`"):
        Numbers(tables)


def test_a_number_of_no_seed_is_a_dash() -> None:
    assert str(Seeds(np.nan, np.nan, np.nan, np.nan, np.nan, 0, percent=False)) == "–"
