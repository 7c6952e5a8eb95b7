"""What docs/how-the-gate-decides.md says in words is what its tables say."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest

from experiments.gate_decides.page import Numbers
from experiments.gate_decides.study import CELLS, DATA, UNITS

FOLDER = Path(__file__).parents[1] / "docs/answer"
BOTH = pytest.mark.parametrize("data", DATA)
SIZES = pytest.mark.parametrize("units", UNITS)
GATED = pytest.mark.parametrize("cell", ["gru", "lstm"])


@pytest.fixture(scope="module")
def said() -> Numbers:
    return Numbers(FOLDER)


def one_a_seed(edit: str, quantity: str | None, to: float | None, **where: object) -> list[float]:
    """The accuracy of each seed under a change of all units, by seed."""
    table = pd.read_csv(FOLDER / "interventions.csv")
    given = {"edit": edit, "quantity": quantity, "to": to, "of": "all", **where}
    for column, value in given.items():
        own = table[column]
        table = table[own.isna() if value is None else own == value]
    return [float(x) for x in table.sort_values("seed")["accuracy"]]


def test_the_study_is_whole(said: Numbers) -> None:
    assert said.networks() == len(CELLS) * len(DATA) * len(UNITS) * 5
    assert said.seeds() == 5


@BOTH
@GATED
@SIZES
def test_write_is_higher_at_the_subject_than_behind_it(
    said: Numbers, data: str, cell: str, units: int
) -> None:
    subject = said.role("write", cell, data, units, "subject")
    other = said.role("write", cell, data, units, "other")
    assert subject.mean > other.mean
    assert subject.max < 0.95
    assert other.min > 0.05


@pytest.mark.parametrize("units", [32, 100])
@GATED
def test_on_real_text_nouns_between_are_written_less_than_other_words(
    said: Numbers, cell: str, units: int
) -> None:
    other = said.role("write", cell, "corpus", units, "other").mean
    assert said.role("write", cell, "corpus", units, "noun").mean < other
    assert said.role("write", cell, "corpus", units, "attractor").mean < other


@pytest.mark.parametrize("units", [8, 100])
def test_number_units_come_nearer_to_the_lecture(said: Numbers, units: int) -> None:
    for role, nearer in (("subject", 1), ("attractor", -1), ("other", -1)):
        number = said.role("write", "gru", "synthetic", units, role, "number").mean
        assert nearer * (number - said.role("write", "gru", "synthetic", units, role).mean) > 0.05


def test_number_units_of_small_grus_are_mostly_shut_and_those_of_wide_ones_less(
    said: Numbers,
) -> None:
    of = ("write", "gru", "synthetic")
    assert said.median(*of, 8, "other", "number").max < 0.05
    assert said.median(*of, 8, "subject", "number").min > 0.7
    assert said.median(*of, 8, "other").mean > 0.05
    assert said.median(*of, 100, "other", "number").mean < 0.15


@BOTH
@GATED
def test_the_subject_moves_the_answer_and_attractors_little(
    said: Numbers, data: str, cell: str
) -> None:
    subject = said.role("contribution_change", cell, data, 100, "subject").mean
    attractor = said.role("contribution_change", cell, data, 100, "attractor").mean
    assert subject > 3 * -attractor > 0
    on_grammar = said.role("contribution_change", cell, "synthetic", 100, "attractor").mean
    assert said.role("contribution_change", cell, "corpus", 100, "attractor").mean < on_grammar


@SIZES
def test_a_gru_shut_by_hand_is_at_least_as_good_as_learned(units: int) -> None:
    for data in DATA:
        of = {"cell": "gru", "data": data, "units": units}
        shut = one_a_seed("clamp", "write", 0.0, **of)
        learned = one_a_seed("none", None, None, **of)
        assert len(shut) == len(learned) == 5
        better = [s - own for s, own in zip(shut, learned, strict=True)]
        assert sum(better) / 5 > -0.001
        if data == "corpus":
            assert min(better) > 0


@SIZES
def test_a_gru_held_open_is_at_chance_beyond_ten_words(said: Numbers, units: int) -> None:
    held = said.under("clamp", "write", 1, "gru", "synthetic", units, "11+")
    assert held.mean == pytest.approx(0.5, abs=0.04)
    assert said.under("clamp", "write", 1, "gru", "synthetic", units).mean < 0.7


def test_an_lstm_needs_keep_and_write_open_rather_than_shut(said: Numbers) -> None:
    of = ("lstm", "synthetic", 100)
    learned = said.under("none", None, None, *of).mean
    assert said.under("clamp", "write", 1, *of).mean > learned - 0.03
    assert said.under("clamp", "write", 0, *of).mean < learned - 0.1
    assert said.under("hold", "write", None, *of).mean > learned - 0.005
    assert said.under("clamp", "keep", 0, *of).mean < 0.7
    assert said.under("clamp", "keep", 0, *of, "11+").mean < 0.6


@SIZES
def test_a_gru_keeps_and_an_lstm_renews(said: Numbers, units: int) -> None:
    def cost(cell: str, path: str) -> float:
        learned = said.under("none", None, None, cell, "synthetic", units).mean
        return learned - said.under("cut", path, None, cell, "synthetic", units).mean

    assert cost("lstm", "recurrent_input") > cost("gru", "recurrent_input") + 0.05
    keeping = one_a_seed("cut", "recurrent_input", None, cell="lstm", data="synthetic", units=8)
    assert sum(accuracy > 0.95 for accuracy in keeping) == 2
    assert cost("gru", "reset") < 0.02
    assert cost("lstm", "output") < 0.02


@BOTH
@GATED
def test_with_units_enough_no_single_one_carries_the_number(
    said: Numbers, data: str, cell: str
) -> None:
    for units in (32, 100):
        assert said.carriers("drop", cell, data, units).mean < 0.06
        rows = pd.read_csv(FOLDER / "units.csv").query(
            "cell == @cell and data == @data and units == @units and size > 0"
        )
        assert rows["size"].min() >= 5
    assert said.carriers("drop", cell, "synthetic", 2).mean > 0.3


def test_the_gradient_vanishes_untrained_and_training_undoes_it(said: Numbers) -> None:
    def ratio(cell: str, data: str, back: int, trained: bool) -> float:
        state = "cell" if cell == "lstm" else "hidden"
        last, earlier = (
            float(said.gradient(cell, data, 100, place, trained, state)) for place in (0, back)
        )
        return earlier / last

    for cell in CELLS:
        assert 1e-3 < ratio(cell, "synthetic", 10, False) < 1e-2
        assert ratio(cell, "synthetic", 20, False) < 2e-4
    for cell in ("gru", "lstm"):
        assert ratio(cell, "synthetic", 20, True) > 0.3
    assert ratio("rnn", "synthetic", 20, True) < 1e-3
    assert ratio("rnn", "corpus", 20, True) > 100 * ratio("rnn", "corpus", 20, False)


def test_timescales_tell_of_grus_on_the_grammar_and_of_lstms_the_less_the_wider(
    said: Numbers,
) -> None:
    for units in (8, 32, 100):
        assert said.carriers("rho", "gru", "synthetic", units).min > 0.5
        for cell in ("gru", "lstm"):
            assert said.carriers("rho", cell, "corpus", units).mean < 0.5
    lstm = [said.carriers("rho", "lstm", "synthetic", units).mean for units in (8, 32, 100)]
    assert lstm == sorted(lstm, reverse=True)


def test_on_real_text_an_lstm_does_with_write_at_either_end(said: Numbers) -> None:
    for units in UNITS:
        of = ("lstm", "corpus", units)
        learned = said.under("none", None, None, *of).mean
        assert all(learned - said.under("clamp", "write", end, *of).mean < 0.02 for end in (0, 1))


def test_the_write_of_the_gate_set_by_hand_is_the_sigmoid_of_what_is_typed() -> None:
    page = (FOLDER / "page.md.j2").read_text(encoding="utf-8")
    typed = re.findall(r"([−+]?\d+) +write (0\.\d+)$", page, re.MULTILINE)
    assert len(typed) == 4
    for row, write in typed:
        exact = 1 / (1 + math.exp(-float(row.replace("−", "-"))))
        assert float(write) == pytest.approx(exact, rel=0.15)
