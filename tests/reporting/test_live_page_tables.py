"""The tables below the live page: whole, self-contained, and with the numbers of explanations."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memgate.gates.explain.explanation import Explanation, UnitTrace, Word
from memgate.gates.units.unit import Unit
from memgate.reporting import live_page
from memgate.reporting.live_page import WORDS_PER_TABLE
from memgate.reporting.shades import GATE_COLORS, SIGNED, contrast, level, shades

VOID = {"meta", "col", "path", "br", "input"}


def explanation(
    words: list[str], units: int = 2, cell: str = "gru", model: str = "m", seed: int = 0
) -> Explanation:
    rng = np.random.default_rng(seed)
    n = len(words)
    gated = cell != "rnn"

    def trace(unit: int) -> UnitTrace:
        write, memory = rng.random(n), rng.normal(size=n)
        return UnitTrace(
            Unit(0, unit),
            write if gated else None,
            1 - write if gated else None,
            memory,
            rng.normal(size=n),
            rng.normal(size=n),
            rng.normal(size=n),
        )

    return Explanation(
        model=model,
        cell=cell,
        size=(1, 8),
        answers=("singular", "plural"),
        words=tuple(Word(word, word, None) for word in words),
        log_odds=rng.normal(size=n),
        units=tuple(trace(unit) for unit in range(units)),
        chosen="as requested",
    )


def page(explanations: list[Explanation]) -> str:
    return live_page.page(explanations, [])


class Reader(HTMLParser):
    """Reads a page: every tag closed in order, rows of tables cell by cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.tables: list[list[list[str]]] = []
        self.widths: list[list[int]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)
        span = int(dict(attrs).get("colspan") or 1)
        if tag == "table":
            self.tables.append([])
            self.widths.append([])
        elif tag == "tr":
            self.tables[-1].append([])
            self.widths[-1].append(0)
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.widths[-1][-1] += span

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & set(self.open):
            return
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data


SENTENCE = ["the", "cat", ",", "which", "already", "ate", "a", "bunch", "of", "food", ","]


def test_the_page_is_well_formed_and_the_numbers_are_those_of_the_table() -> None:
    one = explanation(SENTENCE)
    (table,) = Reader(page([one])).tables
    assert [cell.strip() for cell in table[0]] == ["", *SENTENCE, "answer"]
    rows = {row[-len(SENTENCE) - 2]: row[-len(SENTENCE) - 1 : -1] for row in table[2:6]}
    trace = one.units[0]
    assert trace.write is not None
    assert trace.keep is not None
    assert trace.contribution_change is not None
    assert rows["write"] == [f"{value:.2f}" for value in trace.write]
    assert rows["keep"] == [f"{value:.2f}" for value in trace.keep]
    for name, values in {
        "state update": trace.state_update,
        "Δ logit": trace.contribution_change,
    }.items():
        shown = [float(cell.replace("−", "-")) for cell in rows[name]]
        np.testing.assert_allclose(shown, values, atol=0.00501)
    p = next(row for row in table if row[0] == "P(plural)")
    assert p[1:-1] == [f"{value:.2f}" for value in one.p]
    end = float(one.p[-1])
    assert p[-1] == f"{'plural' if end > 0.5 else 'singular'}{max(end, 1 - end):.1%}"


def test_every_row_is_as_wide_as_the_table() -> None:
    models = [explanation(SENTENCE, 3, cell, cell) for cell in ("gru", "lstm", "rnn")]
    reader = Reader(page(models))
    for table, widths in zip(reader.tables, reader.widths, strict=True):
        for row, width in zip(table, widths, strict=True):
            inner = bool(row[0]) and row[0] in (
                "keep",
                "state update",
                "Δ logit",
                "contribution",
            )
            line = row[0].startswith(("plural", "singular"))  # the answer reaches down from above
            assert width == 2 + len(SENTENCE) + 1 - inner - line


def test_the_line_goes_through_the_probabilities_at_their_words() -> None:
    one = explanation(SENTENCE)
    (path,) = re.findall(r'class="trace" d="M([^"]+)"', page([one]))
    points = np.array([[float(x) for x in point.split()] for point in path.split("L")])
    np.testing.assert_allclose(points[:, 0], np.arange(len(SENTENCE)) + 0.5)
    np.testing.assert_allclose(1 - points[:, 1], one.p, atol=0.0005)


def test_models_of_one_sentence_share_a_table_and_come_in_order() -> None:
    other = ["it", "was"]
    text = page(
        [
            explanation(SENTENCE, model="first"),
            explanation(other, model="first"),
            explanation(SENTENCE, model="second", cell="rnn"),
        ]
    )
    tables = Reader(text).tables
    names = [[row[0].split("GRU")[0].split("RNN")[0] for row in t if len(row) == 1] for t in tables]
    assert names == [["first", "second"], ["first"]]


def test_a_long_sentence_goes_on_in_further_tables() -> None:
    words = [f"w{i}" for i in range(2 * WORDS_PER_TABLE + 3)]
    tables = Reader(page([explanation(words)])).tables
    heads = [[cell.strip() for cell in table[0]][1:] for table in tables]
    assert heads == [
        words[:WORDS_PER_TABLE],
        words[WORDS_PER_TABLE : 2 * WORDS_PER_TABLE],
        [*words[2 * WORDS_PER_TABLE :], "answer"],
    ]


def test_it_needs_nothing_from_elsewhere() -> None:
    reader = Reader(text := page([explanation(SENTENCE)]))
    for forbidden in ("http:", "https:", "<link", "@import", "url(", "javascript:"):
        assert forbidden not in text.lower()
    assert not re.search(r"^(import|export) ", text, re.MULTILINE)
    assert not {name for name, _ in reader.attributes} & {"src", "href", "srcset", "onclick"}


def test_six_sentences_of_three_models_and_eight_units_stay_small() -> None:
    sentences = [[*SENTENCE, "and", "then", f"s{i}"] for i in range(6)]
    cells = ("gru", "lstm", "gru")
    found = [
        explanation(words, 8, cell, f"memgate-{cell}-corpus@{place}", seed=place)
        for words in sentences
        for place, cell in enumerate(cells)
    ]
    assert len(page(found).encode()) < 400_000


NASTY = ["<b>bold</b>", "&amp;", '"quoted"', "<script>alert(1)</script>", "'", "日本", "a\u0301"]


@given(
    st.lists(
        st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=9)
        | st.sampled_from(NASTY),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=40, deadline=None)
def test_words_are_shown_as_they_are_whatever_they_hold(words: list[str]) -> None:
    one = explanation(words, 1, model="<i>model</i>")
    one = replace(one, words=tuple(Word(word, "<unk>", None) for word in words), chosen="<u>")
    reader = Reader(page([one]))
    heads = [cell for table in reader.tables for cell in table[0][1:]]
    assert heads == [*words, "answer"]
    read = [row for table in reader.tables for row in table if row[0] == "read as"]
    assert [cell for row in read for cell in row[1:] if cell] == ["<unk>"] * len(words)
    assert "<i>model</i>" in reader.text


def test_roles_are_marked_where_known() -> None:
    one = explanation(["the", "keys", "are"])
    assert 'class="subject"' not in page([one])
    roles = ("before", "subject", "verb")
    known = tuple(Word(w.text, w.read, role) for w, role in zip(one.words, roles, strict=True))  # type: ignore[arg-type]
    text = page([replace(one, model="other"), replace(one, words=known)])
    (table,) = Reader(text).tables
    assert table[0] == ["", "thebefore", "keyssubject", "areverb", "answer"]
    assert "the <u>keys</u> <em>are</em></h2>" in text
    assert re.search(r'<th scope="col" class="subject">keys', text)


def test_an_rnn_has_no_gates_to_show() -> None:
    text = page([explanation(["a", "b"], cell="rnn")])
    rows = {cell for table in Reader(text).tables for row in table for cell in row}
    assert {"state", "contribution"} <= rows
    assert {"state update", "Δ logit"} <= rows
    assert not rows & {"write", "keep"}
    _, _, tables = text.partition('class="paper"')
    assert "Γu" not in tables.partition("<script")[0]
    assert "an RNN has no gates" in text


def test_both_conventions_are_told() -> None:
    text = Reader(page([explanation(["a"])])).text
    assert "torch's z keeps" in text
    assert "Ng's Γu writes" in text


def test_small_print_can_be_read_on_every_shade() -> None:
    assert min(contrast(ink, ground) for ground, ink in shades().values()) >= 4.5
    text = page([explanation(["a"])])
    for kind in shades():
        assert f".{kind} {{ background-color: #" in text


@given(st.floats(-1e9, 1e9))
def test_every_value_has_a_shade(value: float) -> None:
    for name in (*GATE_COLORS, *SIGNED):
        kind = level(name, value)
        assert kind in shades() or (kind == "" and name in SIGNED)


@pytest.mark.parametrize("name", list(GATE_COLORS))
def test_gates_run_from_white_to_dark(name: str) -> None:
    grounds = [shades()[level(name, value / 20)][0] for value in range(21)]
    assert grounds[0] == (255, 255, 255)
    assert all(sum(a) > sum(b) for a, b in itertools.pairwise(grounds))
    assert contrast(grounds[-1], (255, 255, 255)) > 9
    assert GATE_COLORS[name] == grounds[-1]  # the terminal shows the same
