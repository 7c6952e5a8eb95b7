"""`memgate compare-gates`: what it prints and writes of two profiles, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from memgate.cli import main
from memgate.commands.compare_gates import compare_gates
from memgate.errors import InputError
from memgate.gates.drift import PROFILE, profile_differences
from memgate.gates.profile import PROFILE_DTYPES
from memgate.gates.words import PROFILE_STRATA

ROLES = ("before", "subject", "attractor", "noun", "other")


def profile(
    units: tuple[str, ...] = ("all", "number units"),
    readings: tuple[str, ...] = ("keep", "write", "state_update", "contribution_change", "probe"),
    n: int = 400,
    without: tuple[str, ...] = ("verb",),
) -> pd.DataFrame:
    """Made-up means, the same at each call."""
    rng = np.random.default_rng(0)
    rows = [
        (0, reading, each, by, stratum, number, answer, 2 * n, n, rng.normal(0, 10), 0.3)
        for reading in readings
        for each in units
        for by, stratum in PROFILE_STRATA
        for number in ("sg", "pl")
        for answer in ("right", "wrong")
    ]
    table = pd.DataFrame(rows, columns=list(PROFILE_DTYPES)).astype(PROFILE_DTYPES)
    return table[~table["stratum"].isin(without)].reset_index(drop=True)


def save(table: pd.DataFrame, folder: str) -> str:
    path = Path(folder, PROFILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path, index=False)
    return folder


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_where_nothing_differs_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    compare_gates(save(profile(), "a"), save(profile(), "b"))
    printed = capsys.readouterr().out
    assert "the means of their profiles are the same, to 0.01" in printed
    assert "None of 680 means differs beyond sampling error" in printed
    assert len(printed.splitlines()) == 5, "no table"
    assert "other items" not in printed


def test_what_differs_is_counted_marked_and_placed(capsys: pytest.CaptureFixture[str]) -> None:
    one = profile()
    other = one.copy()
    of = (one["reading"] == "write") & (one["units"] == "all") & (one["number"] == "pl")
    role = of & (one["stratum"] == "attractor")
    place = of & (one["by"] == "to_verb") & (one["stratum"] == "-2")
    nearer = of & (one["by"] == "from_subject") & (one["stratum"] == "4")
    other.loc[role, "mean"], other.loc[place, "mean"] = 71.25, 90.5
    other.loc[nearer, "mean"] = one["mean"] + 1
    compare_gates(save(one, "a"), save(other, "b"), Path("out"))
    printed = capsys.readouterr().out
    assert "the same" not in printed
    assert "3 of 680 means differ beyond sampling error" in printed
    assert printed.count("71.25*") == 1
    assert printed.count("*") == 2, "and once in the legend"
    assert "\nall units\n" in printed
    assert "\nnumber units\n" not in printed, "nothing differs there"
    (row,) = (line.split() for line in printed.splitlines() if "verb-2" in line)
    found = profile_differences(one, other).query("by == 'to_verb' and differs").iloc[0]
    expected = ["all", "write", "verb-2", "pl"]
    expected += [f"{found[name]:.2f}" for name in ("mean_a", "mean_b", "low")]
    assert row == [*expected, "to", f"{found['high']:.2f}"]
    assert "subject+4" not in printed, "one place a reading: where it differs most"
    assert [path.name for path in Path("out").iterdir()] == ["profile_differences.csv"]
    written = pd.read_csv("out/profile_differences.csv", dtype={"stratum": str})
    assert len(written) == 680
    assert written["differs"].sum() == 3


def test_tables_fit_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    one = profile(without=())  # a model that reads the verb too
    compare_gates(save(one, "a"), save(one.assign(mean=-one["mean"] - 30), "b"))
    printed = capsys.readouterr().out
    assert all(role in printed for role in (*ROLES, "verb"))
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.count("…") == 0
    places = [line for line in printed.splitlines() if " to " in line and "subject" not in line]
    assert len(places) <= 8


def test_networks_with_little_in_common_are_compared_on_that(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rnn = save(
        profile(("all",), ("state_update", "contribution_change"), without=("verb", "noun")), "rnn"
    )
    compare_gates(save(profile(), "gru"), rnn)
    printed = capsys.readouterr().out
    assert "all units" in printed
    assert "number units" not in printed
    assert "write" not in printed
    assert "noun" not in printed.split("Where")[0], "only one has them"


def test_other_items_are_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    compare_gates(save(profile(), "a"), save(profile(n=401), "b"))
    assert "A and B were read on other items" in capsys.readouterr().out
    one = profile()
    swapped = one.assign(answer=one["answer"].map({"right": "wrong", "wrong": "right"}))
    compare_gates("a", save(swapped.astype(PROFILE_DTYPES), "b"))
    assert "other items" not in capsys.readouterr().out, "another accuracy on the same"


def test_faults_are_one_line_and_nothing_is_written() -> None:
    save(profile(), "a")
    Path("empty").mkdir()
    for model, message in {
        "empty": r"empty: expected profile.parquet in the model's folder, found none; make one by "
        r"`memgate gates empty --data FILE --out DIR`",
        "none": r"none: expected a model URI or a folder, found neither",
        save(profile(n=3), "few"): r"expected a cell with at least 30 items in both, got 6",
        save(profile(readings=("hidden",)), "other"): r"expected some cell in common",
        save(profile().drop(columns="items"), "old"): r"a gate profile with a column 'items'",
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            compare_gates("a", model, Path("out"))
        assert "\n" not in str(caught.value)
    assert not Path("out").exists()
    Path("out").write_text("a file")
    with pytest.raises(InputError, match="out: expected a folder to write to"):
        compare_gates("a", "a", Path("out"))


def test_a_model_differs_from_another_and_not_from_itself(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gru, lstm = (f"models:/memgate-{cell}-synthetic@champion" for cell in ("gru", "lstm"))
    assert main(["compare-gates", gru, gru]) == 0
    assert "None of 150 means differs" in capsys.readouterr().out
    assert main(["compare-gates", gru, lstm, "--out", "out/diff"]) == 0
    table = pd.read_csv("out/diff/profile_differences.csv")
    assert table["differs"].any()


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["one"], "expected B; see `memgate compare-gates --help`"),
        (["a", "b", "--data", "items.jsonl"], "unknown option --data"),
    ],
)
def test_wrong_arguments_are_one_line(
    args: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare-gates", *args]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert problem in line
