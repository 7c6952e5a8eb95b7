"""What docs/how-the-gate-decides.md says in words is what its tables say."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest

from experiments.gate_decides.page import Numbers
from experiments.gate_decides.study import CELLS, DATA, UNITS

FOLDER = Path(__file__).parents[3] / "docs/answer"
BOTH = pytest.mark.parametrize("data", DATA)
SIZES = pytest.mark.parametrize("units", UNITS)
GATED = pytest.mark.parametrize("cell", ["gru", "lstm"])


@pytest.fixture(scope="module")
def numbers() -> Numbers:
    return Numbers(FOLDER)


def one_a_seed(edit: str, quantity: str | None, to: float | None, **where: object) -> list[float]:
    """The accuracy of each seed under a change of all units, by seed."""
    table = pd.read_csv(FOLDER / "interventions.csv")
    given = {"edit": edit, "quantity": quantity, "to": to, "of": "all", **where}
    for column, value in given.items():
        cells = table[column]
        table = table[cells.isna() if value is None else cells == value]
    return [float(x) for x in table.sort_values("seed")["accuracy"]]


def test_the_study_is_whole(numbers: Numbers) -> None:
    assert numbers.networks() == len(CELLS) * len(DATA) * len(UNITS) * 5
    assert numbers.seeds() == 5


@BOTH
@GATED
@SIZES
def test_write_is_higher_at_the_subject_than_behind_it(
    numbers: Numbers, data: str, cell: str, units: int
) -> None:
    subject = numbers.role("write", cell, data, units, "subject")
    other = numbers.role("write", cell, data, units, "other")
    assert subject.mean > other.mean
    assert subject.max < 0.95
    assert other.min > 0.05


@pytest.mark.parametrize("units", [32, 100])
@GATED
def test_on_real_text_nouns_between_are_written_less_than_other_words(
    numbers: Numbers, cell: str, units: int
) -> None:
    other = numbers.role("write", cell, "corpus", units, "other").mean
    assert numbers.role("write", cell, "corpus", units, "noun").mean < other
    assert numbers.role("write", cell, "corpus", units, "attractor").mean < other


@pytest.mark.parametrize("units", [8, 100])
def test_number_units_come_nearer_to_the_lecture(numbers: Numbers, units: int) -> None:
    for role, nearer in (("subject", 1), ("attractor", -1), ("other", -1)):
        number = numbers.role("write", "gru", "synthetic", units, role, "number").mean
        assert (
            nearer * (number - numbers.role("write", "gru", "synthetic", units, role).mean) > 0.05
        )


def test_number_units_of_small_grus_are_mostly_shut_and_those_of_wide_ones_less(
    numbers: Numbers,
) -> None:
    of = ("write", "gru", "synthetic")
    assert numbers.median(*of, 8, "other", "number").max < 0.05
    assert numbers.median(*of, 8, "subject", "number").min > 0.7
    assert numbers.median(*of, 8, "other").mean > 0.05
    assert numbers.median(*of, 100, "other", "number").mean < 0.15


@BOTH
@GATED
def test_the_subject_moves_the_answer_and_attractors_little(
    numbers: Numbers, data: str, cell: str
) -> None:
    subject = numbers.role("contribution_change", cell, data, 100, "subject").mean
    attractor = numbers.role("contribution_change", cell, data, 100, "attractor").mean
    assert subject > 3 * -attractor > 0
    on_grammar = numbers.role("contribution_change", cell, "synthetic", 100, "attractor").mean
    assert numbers.role("contribution_change", cell, "corpus", 100, "attractor").mean < on_grammar


@SIZES
def test_a_gru_held_shut_is_at_least_as_good_as_trained(units: int) -> None:
    for data in DATA:
        of = {"cell": "gru", "data": data, "units": units}
        shut = one_a_seed("clamp", "write", 0.0, **of)
        trained = one_a_seed("none", None, None, **of)
        assert len(shut) == len(trained) == 5
        better = [a - b for a, b in zip(shut, trained, strict=True)]
        assert sum(better) / 5 > -0.001
        if data == "corpus":
            assert min(better) > 0


@SIZES
def test_a_gru_held_open_is_at_chance_beyond_ten_words(numbers: Numbers, units: int) -> None:
    held = numbers.under("clamp", "write", 1, "gru", "synthetic", units, "11+")
    assert held.mean == pytest.approx(0.5, abs=0.04)
    assert numbers.under("clamp", "write", 1, "gru", "synthetic", units).mean < 0.7


def test_an_lstm_needs_keep_and_write_open_rather_than_shut(numbers: Numbers) -> None:
    of = ("lstm", "synthetic", 100)
    trained = numbers.under("none", None, None, *of).mean
    assert numbers.under("clamp", "write", 1, *of).mean > trained - 0.03
    assert numbers.under("clamp", "write", 0, *of).mean < trained - 0.1
    assert numbers.under("hold", "write", None, *of).mean > trained - 0.005
    assert numbers.under("clamp", "keep", 0, *of).mean < 0.7
    assert numbers.under("clamp", "keep", 0, *of, "11+").mean < 0.6


@SIZES
def test_a_gru_keeps_and_an_lstm_renews(numbers: Numbers, units: int) -> None:
    def cost(cell: str, path: str) -> float:
        trained = numbers.under("none", None, None, cell, "synthetic", units).mean
        return trained - numbers.under("cut", path, None, cell, "synthetic", units).mean

    assert cost("lstm", "recurrent_input") > cost("gru", "recurrent_input") + 0.05
    keeping = one_a_seed("cut", "recurrent_input", None, cell="lstm", data="synthetic", units=8)
    assert sum(accuracy > 0.95 for accuracy in keeping) == 2
    assert cost("gru", "reset") < 0.02
    assert cost("lstm", "output") < 0.02


@BOTH
@GATED
def test_with_units_enough_no_single_one_carries_the_number(
    numbers: Numbers, data: str, cell: str
) -> None:
    for units in (32, 100):
        assert numbers.number_units("drop", cell, data, units).mean < 0.06
        rows = pd.read_csv(FOLDER / "units.csv").query(
            "cell == @cell and data == @data and units == @units and size > 0"
        )
        assert rows["size"].min() >= 5
    assert numbers.number_units("drop", cell, "synthetic", 2).mean > 0.3


def test_the_gradient_vanishes_untrained_and_training_undoes_it(numbers: Numbers) -> None:
    def ratio(cell: str, data: str, back: int, trained: bool) -> float:
        state = "cell" if cell == "lstm" else "hidden"
        last, earlier = (
            float(numbers.gradient(cell, data, 100, place, trained, state)) for place in (0, back)
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
    numbers: Numbers,
) -> None:
    for units in (8, 32, 100):
        assert numbers.number_units("rho", "gru", "synthetic", units).min > 0.5
        for cell in ("gru", "lstm"):
            assert numbers.number_units("rho", cell, "corpus", units).mean < 0.5
    lstm = [numbers.number_units("rho", "lstm", "synthetic", units).mean for units in (8, 32, 100)]
    assert lstm == sorted(lstm, reverse=True)


def test_on_real_text_an_lstm_does_with_write_at_either_end(numbers: Numbers) -> None:
    for units in UNITS:
        of = ("lstm", "corpus", units)
        trained = numbers.under("none", None, None, *of).mean
        assert all(
            trained - numbers.under("clamp", "write", end, *of).mean < 0.02 for end in (0, 1)
        )


def test_the_write_of_the_hand_set_gate_is_the_sigmoid_of_what_is_typed() -> None:
    page = (FOLDER / "page.md.j2").read_text(encoding="utf-8")
    typed = re.findall(r"([−+]?\d+) +write (0\.\d+)$", page, re.MULTILINE)
    assert len(typed) == 4
    for row, write in typed:
        exact = 1 / (1 + math.exp(-float(row.replace("−", "-"))))
        assert float(write) == pytest.approx(exact, rel=0.15)
