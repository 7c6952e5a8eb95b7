"""Every table that commands print fits 80 columns, in a terminal and in a pipe, and is whole."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from memgate.commands import compare_gates, corpus_check, history, intervene
from memgate.commands.gates import print_profile
from memgate.data.corpora.gold import Quality
from memgate.gates.drift import profile_differences
from memgate.gates.profile import PROFILE_DTYPES
from memgate.reporting.accuracy import print_accuracy
from memgate.reporting.console import print_table
from memgate.reporting.pairs import print_pairs
from memgate.reporting.suites import print_suites
from memgate.tracking.registry.champion import Change
from tests.reporting.plots.test_interventions import responses
from tests.reporting.plots.test_profile import profile
from tests.reporting.test_accuracy import accuracies
from tests.reporting.test_suites import suites

MODELS = [f"memgate-{cell}-a_corpus_of_mine@champion" for cell in ("rnn", "gru", "lstm")]


def show_accuracy() -> None:
    parts = [
        accuracies(model, "a data set", system, near, far)
        for model in MODELS
        for system, near, far in (("network", 100, 99), ("last_noun", 50, 10))
    ]
    print_accuracy(pd.concat(parts, ignore_index=True))


def show_suites() -> None:
    table = suites(*MODELS)
    print_suites(table[table["system"].isin(["network", "last_noun"])])


def show_pairs() -> None:
    strata = [("overall", "all"), ("label", "sg"), ("intervening", "6–10")]
    rows = [
        {
            "by": by,
            "stratum": stratum,
            "n": 12345,
            "accuracy_a": 1.0,
            "accuracy_b": 0.9,
            "difference": -0.1,
            "low": -0.115,
            "high": -0.09,
            "only_a": 1500,
            "only_b": 10,
            "p_worse": 1e-9,
            "verdict": "inconclusive",
        }
        for by, stratum in [*strata, ("attractors_or_more", "2 or more")]
    ]
    print_pairs(pd.DataFrame(rows))


def show_interventions() -> None:
    table = responses().assign(model=MODELS[0], note="hard-coded")
    intervene._print(table)


def show_profile() -> None:
    print_profile(profile(layers=2))


def show_profile_differences() -> None:
    other = profile().assign(mean=lambda table: table["mean"] + np.where(table["n"] % 2, 5, 0))
    many = {"items": 500, "n": 900}
    differences = profile_differences(
        *(table.assign(**many).astype(PROFILE_DTYPES) for table in (profile(), other))
    )
    compare_gates._print_roles(differences)
    compare_gates._print_positions(differences)


def show_history() -> None:
    why = "a linguist found that version 3 takes collective nouns for singular, see the minutes"
    change = Change("2026-11-30T10:00:00+00:00", "12", "3", "forced", why)
    print_table(pd.DataFrame([history._row(change)], columns=list(history.HEADER)), names=5)


def show_corpus_check() -> None:
    quality = Quality("en_core_web_sm 3.8.0", 12543, 4000, 4100, 3900, 3890)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_check, "check", lambda gold, model: quality)
        corpus_check.corpus_check()


TABLES = [
    show_accuracy,
    show_suites,
    show_pairs,
    show_interventions,
    show_profile,
    show_profile_differences,
    show_history,
    show_corpus_check,
]


@pytest.mark.parametrize("show", TABLES)
@pytest.mark.parametrize("columns", ["80", None])
def test_a_table_fits_and_nothing_is_cut(
    show: Callable[[], None],
    columns: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    show()
    wide = set(re.findall(r"[\w.]+", capsys.readouterr().out))
    if columns is None:
        monkeypatch.delenv("COLUMNS")
    else:
        monkeypatch.setenv("COLUMNS", columns)
    show()
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    assert wide <= set(
        re.findall(r"[\w.]+", out)
    )  # no word is broken, no figure is cut or left out
