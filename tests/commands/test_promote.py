"""`memgate promote`, `rollback`, `history`: what may be champion, what is kept, what is printed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from memgate.cli import main
from memgate.tracking.registry.champion import DECISION, champion_of, changes_of
from memgate.tracking.registry.promotion import seeds_of
from memgate.tracking.registry.versions import model_folder
from memgate.tracking.store import connect
from tests.rivals import ITEMS, NAME, add, predictions, profile

FAIR = {0: 10, 1: 10, 2: 5}
"""Items that the champion gets wrong, by attractors."""


@pytest.fixture(scope="session")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registered")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(folder)
        assert add(predictions(FAIR), profile(0.40), 0) == "1"
        assert add(predictions({**FAIR, 0: 8}), profile(0.42), 1) == "2", "as good"
        assert add(predictions({**FAIR, 4: 20}), profile(0.38), 2) == "3", "loses 20 of 62 with 4+"
        assert add(predictions(FAIR), profile(0.41), 3) == "4", "as good, but see `drifts`"
        assert add(None, None, 4) == "5", "as models were once"
        assert main(["generate", "--out", "items.jsonl", "--items", "300"]) == 0
    return folder


@pytest.fixture
def project(registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(registered, folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(folder)
    return folder


def run(*args: str) -> int:
    """Run a command; return its exit status."""
    try:
        return main(args)
    except SystemExit as ended:
        return int(ended.code or 0)


def promote(*args: str) -> int:
    return run("promote", NAME, *args)


def tags(version: str) -> dict[str, str]:
    return dict(connect().get_model_version(NAME, version).tags)


def decision(version: str) -> list[str]:
    """The lines of the only decision that is kept at a version."""
    found = tags(version)
    (key,) = (key for key in found if key.startswith(DECISION))
    return found[key].splitlines()


def test_one_that_is_no_worse_is_promoted(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote("2") == 0
    printed = capsys.readouterr().out
    assert f"on {ITEMS} items in common, of {ITEMS} and {ITEMS} test items" in printed
    assert "gates: 0 of 15 cells beyond the variability of 3 seeds (versions 1, 3, 4)" in printed
    assert f"{NAME}: version 2 is champion now (promoted), in place of version 1" in printed
    assert max(map(len, printed.splitlines())) <= 100
    assert champion_of(NAME) == "2"
    subject = (
        f"A: champion 1, B: version 2, margin 0.01, on {ITEMS} items in common, of {ITEMS} and "
    )
    first, gates, whole, *rows = decision("2")
    assert first == f"promoted: {subject}{ITEMS} test items"
    assert gates in printed
    assert whole == (
        "overall all: 1000 items, 97.5% and 97.7% right, only A 0, only B 2, one-sided p 1.000, "
        "not worse"
    )
    assert [row.split(":")[0] for row in rows] == [
        *(f"attractors {name}" for name in "0123"),
        "attractors 4+",
        *(f"attractors_or_more {name}" for name in ("1+", "2+", "3+")),
    ]
    assert not [key for key in tags("1") if key.startswith(DECISION)], "it is at the challenger"
    assert changes_of(NAME)[-1].version == "2"
    assert changes_of(NAME)[-1].replaced == "1"


def test_a_loss_in_one_stratum_is_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote("3") == 1
    printed = capsys.readouterr().out
    overall, strata = (line for line in printed.splitlines() if line.startswith("refused: "))
    assert overall.startswith("refused: overall 95.5% right, the champion 97.5%")
    assert strata.startswith(
        "refused: by attractors lower by more than 0.01: 4+: 67.7% right, the "
    )
    assert "of 62 items 20 lost and 0 won (one-sided p <0.001)" in strata
    assert "champion stays version 1; to promote version 3 all the same:" in printed
    assert printed.endswith(f"memgate promote {NAME} 3 --force --why TEXT\n")
    assert champion_of(NAME) == "1"
    first, *lines = decision("3")
    assert first.startswith("refused: A: champion 1, B: version 3, margin 0.01, on ")
    reasons = [line for line in printed.splitlines() if line.startswith("refused: ")]
    assert lines[: len(reasons)] == [line.removeprefix("refused: ") for line in reasons]
    assert len(changes_of(NAME)) == 1
    assert promote("3", "--margin", "0.5") == 1, "it is worse overall too"
    assert "refused: by attractors" not in capsys.readouterr().out


def test_force_needs_a_reason_and_keeps_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote("3", "--force") == 2
    assert "--force: expected --why TEXT" in capsys.readouterr().err
    assert promote("3", "--force", "--why", "the only one that fits") == 0
    assert champion_of(NAME) == "3"
    assert decision("3")[0].startswith("forced: A: champion 1, B: version 3")
    assert changes_of(NAME)[-1].how == "forced"
    assert changes_of(NAME)[-1].why == "the only one that fits"
    assert promote("1", "--force", "--why", "not needed") == 0
    assert changes_of(NAME)[-1].how == "promoted", "it passes by itself"


def drifts(version: str, write: float, items: int = 100) -> None:
    """Write another gate profile alongside a version."""
    path = model_folder(f"models:/{NAME}/{version}") / "profile.parquet"
    profile(write, items).to_parquet(path, index=False)


def test_drifted_gates_are_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drifts("4", 0.9)
    assert promote("4") == 1
    printed = capsys.readouterr().out
    assert "gates: 15 of 15 cells beyond the variability of 3 seeds (versions 1, 2, 3)" in printed
    (refused,) = (line for line in printed.splitlines() if line.startswith("refused: "))
    assert refused.startswith("refused: gates drifted in 15 of 15 cells; most: ")
    assert " is 0.100 on average, and one more seed is expected from 0.501 to 0.699 " in refused
    assert "gates: 15 of 15 cells beyond the variability of 3 seeds (versions 1, 2, 3)" in (
        decision("4")
    )


def test_drift_is_reported_where_it_cannot_be_tested(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    untested = "gates: drift isn't tested, the predictions decide: "
    drifts("4", 0.9, items=50)
    assert promote("4") == 0
    assert f"{untested}the two profiles were read on other items" in capsys.readouterr().out
    assert main(["rollback", NAME]) == 0
    drifts("4", 0.9)
    connect().delete_model_version(NAME, "2")
    assert promote("4") == 0
    printed = capsys.readouterr().out
    assert f"{untested}expected 3 versions of the champion's setting" in printed
    assert "(version 1, 3)" in printed
    farthest = r"farthest apart: .* \(layer 1\), 0\.(900 against 0\.390|100 against 0\.610)"
    assert re.search(farthest, printed), "write, or its complement"
    assert main(["rollback", NAME]) == 0
    (model_folder(f"models:/{NAME}/4") / "profile.parquet").unlink()
    assert promote("4") == 0
    assert f"{untested}a gate profile is missing" in capsys.readouterr().out
    kept = tags("4")[max(key for key in tags("4") if key.startswith(DECISION))]
    assert f"{untested}a gate profile is missing" in kept


def test_models_without_kept_predictions(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert promote("5") == 2
    error = capsys.readouterr().err
    assert (
        f"models:/{NAME}/5: expected predictions.parquet alongside the model, found none" in error
    )
    assert "with --data FILE" in error
    assert promote("5", "--data", "items.jsonl", "--margin", "0.99") in (0, 1)
    assert "on 300 items in common, of 300 and 300 of items.jsonl" in capsys.readouterr().out
    assert main(["rollback", NAME]) in (0, 2)
    before = champion_of(NAME)
    assert promote("5", "--force", "--why", "an old one") == 0
    assert "not compared: " in capsys.readouterr().out
    kept = tags("5")[max(key for key in tags("5") if key.startswith(DECISION))]
    assert kept.startswith(f"forced: not compared with champion {before}: models:/{NAME}/")
    assert champion_of(NAME) == "5"


def test_history_and_the_way_back(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rollback", NAME]) == 2
    assert "expected a champion before version 1, found none" in capsys.readouterr().err
    assert promote("2", "--why", "two more right") == 0
    assert promote("4") == 0
    for expected in ("2", "1"):
        assert main(["rollback", NAME, "--why", "a test"]) == 0
        assert champion_of(NAME) == expected
    assert main(["rollback", NAME]) == 2
    capsys.readouterr()
    assert main(["history", NAME]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert rows[0] == ["from (UTC)", "champion", "in place of", "how", "why"]
    assert set(rows.pop(1)[0]) == {"─"}
    assert [row[1:] for row in rows[1:-1]] == [
        ["1", "–", "registered"],
        ["2", "1", "promoted", "two more right"],
        ["4", "2", "promoted"],
        ["2", "4", "put back", "a test"],
        ["1", "2", "put back", "a test"],
    ]
    assert rows[-1] == ["now it is version 1"]
    assert [row[0] for row in rows[1:-1]] == sorted(row[0] for row in rows[1:-1])


def test_history_of_what_others_did(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = connect()
    client.set_registered_model_alias(NAME, "champion", "3")
    assert main(["history", NAME]) == 0
    assert "now it is version 3, set by another program" in capsys.readouterr().out
    client.delete_registered_model_alias(NAME, "champion")
    assert main(["history", NAME]) == 0
    assert f"now there is none; `memgate promote {NAME} VERSION`" in capsys.readouterr().out
    assert promote("3") == 0
    assert f"{NAME} had no champion; now it is version 3" in capsys.readouterr().out
    assert champion_of(NAME) == "3"
    for key in client.get_registered_model(NAME).tags:
        client.delete_registered_model_tag(NAME, key)
    assert main(["history", NAME]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{NAME}: no change of champion is recorded\nnow it is version 3")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["1"], "version 1 is champion already"),
        (["01"], "version 1 is champion already"),
        (["9"], "expected a version, one of 1, 2, 3, 4, 5; got 9"),
        (["2", "--margin", "1"], "--margin: expected a proportion from 0 to below 1, got 1"),
        (["2", "--margin", "nan"], "--margin: expected float, got 'nan'"),
        (["2", "--why", "x" * 1001], "--why: expected at most 1000 characters, got 1001"),
        (["2", "--data", "none.jsonl"], "none.jsonl"),
    ],
)
def test_wrong_input_is_reported_in_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], args: list[str], message: str
) -> None:
    assert promote(*args) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert (champion_of(NAME), len(changes_of(NAME))) == ("1", 1)


def test_the_fit_prints_the_command_that_promotes(
    trained: Path, capsys: pytest.CaptureFixture[str], fit_args: list[str]
) -> None:
    name = "memgate-gru-synthetic"
    assert main([*fit_args, "--seed_everything", "1"]) == 0
    printed = capsys.readouterr().out
    assert f"registered {name} version 2; `memgate ui` shows the runs" in printed
    command = f"memgate promote {name} 2"
    assert printed.endswith(f"champion is version 1; {command} compares version 2 with it\n")
    status = run(*command.split()[1:])
    printed = capsys.readouterr().out
    assert "on 200 items in common, of 200 and 200 test items" in printed
    assert "drift isn't tested, the predictions decide: expected 3 versions" in printed
    assert "each of another seed, found 1 (version 1)" in printed
    assert champion_of(name) == {0: "2", 1: "1"}[status]


def test_fits_that_no_param_tells_apart_are_no_seeds_of_one_setting(
    trained: Path, fit_args: list[str]
) -> None:
    name = "memgate-gru-synthetic"
    assert main([*fit_args, "--seed_everything", "1"]) == 0
    less = ["--seed_everything", "2", "--trainer.limit_train_batches", "0.9"]
    assert main([*fit_args, *less]) == 0
    assert seeds_of(name, "1", without="3") == ["1", "2"]
    assert seeds_of(name, "3", without="1") == ["3"]
