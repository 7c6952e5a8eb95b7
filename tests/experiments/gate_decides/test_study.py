"""The study at a small scale: two cells, two sizes, one seed, 600 items of the grammar."""

from __future__ import annotations

import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import memgate
from experiments.gate_decides.figures import FIGURES
from experiments.gate_decides.networks import SETTINGS, HandSet, Measurement, _loaded
from experiments.gate_decides.page import TEMPLATE
from experiments.gate_decides.study import ANSWER_PAGE, CELLS, DATA, PLANS, UNITS, answer
from experiments.gate_decides.tables import TABLES, read_tables
from memgate.errors import InputError
from memgate.gates.interventions.dose_response import dose_response, sample_items, with_roles
from memgate.studies.plan import read_study
from memgate.tracking.store import EXPERIMENT
from memgate.tracking.study_runs import study_runs

TEMPLATE_TEXT = """\
{{ networks() }} networks: {{ accuracy("gru", "synthetic", 4) }} and
{{ under("clamp", "write", 0, "gru", "synthetic", 4) }}.
"""
KINDS = {"rnn-synthetic-2", "rnn-synthetic-4", "gru-synthetic-2", "gru-synthetic-4"}
NAMES = {f"{kind}-seed0" for kind in KINDS} | {"gru-synthetic-hand-set"}


PLAN = """
cells: [rnn, gru]
data: [synthetic]
seeds: 1
vary: {model.hidden_size: [2, 4]}
"""


def study() -> None:
    Path("tiny.yaml").write_text(PLAN)
    answer(plans=[Path("tiny.yaml")], jobs=1)


def stamps() -> dict[str, int]:
    """When the tables of each network were written."""
    paths = Path("out/answer/tables").glob(f"*/{SETTINGS}")
    return {path.parent.name: path.stat().st_mtime_ns for path in paths}


@pytest.mark.processes
def test_the_study_runs_once_and_goes_on_with_what_is_missing(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path("docs/answer")
    out.mkdir(parents=True)
    (out / TEMPLATE).write_text(TEMPLATE_TEXT)
    study()
    printed = capsys.readouterr().out
    assert "study tiny: 4 runs, 0 done, 4 to do" in printed
    assert "5 networks: 0 are measured, 5 to do" in printed
    assert Path("out/answer/mlruns/mlflow.db").is_file()
    assert not Path("mlruns/mlflow.db").exists()
    tables = stamps()
    assert set(tables) == NAMES
    written = {path.name: path.read_bytes() for path in out.iterdir()}
    figures = {f"{name}.png" for name in FIGURES}
    assert set(written) == {TEMPLATE, *(f"{name}.csv" for name in TABLES), *figures}
    check_tables(out, Path("docs", ANSWER_PAGE).read_text())

    study()  # nothing is run again, and the same comes out
    printed = capsys.readouterr().out
    assert "study tiny: 4 runs, 4 done, 0 to do" in printed
    assert "5 are measured, 0 to do" in printed
    assert stamps() == tables
    assert {path.name: path.read_bytes() for path in out.iterdir()} == written

    removed = "gru-synthetic-4-seed0"
    shutil.rmtree(Path("out/answer/tables", removed))
    partial = Path("out/answer/tables/.partial-of-a-run-that-was-killed")
    partial.mkdir()
    study()  # measured again, and not trained
    printed = capsys.readouterr().out
    assert "study tiny: 4 runs, 4 done, 0 to do" in printed
    assert "4 are measured, 1 to do" in printed
    assert not partial.exists()
    again = stamps()
    assert {name for name in NAMES if again[name] != tables[name]} == {removed}
    assert {path.name: path.read_bytes() for path in out.iterdir()} == written

    check_a_failure(capsys, written)


def check_a_failure(capsys: pytest.CaptureFixture[str], written: dict[str, bytes]) -> None:
    """One cell can't be trained: its runs fail, and the tables stay as they were."""
    Path("configs/cell/rnn.yaml").write_text("model: {cell: rnn, dropout: 7}")
    with pytest.raises(InputError, match=r"2 of 4 runs failed, see above; the same command"):
        study()
    errors = capsys.readouterr().err
    for size in (2, 4):
        name = f"rnn-synthetic-hidden_size{size}-seed0"
        assert f"{name}: --model.dropout: expected a proportion from 0 to below 1" in errors
    assert {path.name: path.read_bytes() for path in Path("docs/answer").iterdir()} == written


def check_tables(out: Path, page: str) -> None:
    """The tables have the answers of the trained network itself."""
    tables = read_tables(out)
    with pytest.MonkeyPatch.context() as patch:
        uri = f"sqlite:///{Path('out/answer/mlruns/mlflow.db').absolute()}"
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        (run,) = [
            run
            for run in study_runs(EXPERIMENT, "tiny")
            if (run.cell, run.settings["model.hidden_size"]) == ("gru", "4")
        ]
        predictor = memgate.load(f"runs:/{run.run_id}/model")
    assert predictor.classifier.recurrence.hidden_size == 4
    data = _loaded("synthetic")
    test = data.prefixes["test"]
    right = (predictor.probability(test) > 0.5) == (test.targets.numpy() == 1)
    rows = tables["accuracy"]
    own = rows[(rows["cell"] == "gru") & (rows["units"] == 4)]
    overall = own.loc[own["by"] == "overall", "accuracy"].item()
    assert overall == pytest.approx(right.mean(), rel=1e-5)
    one = right[(test.intervening.numpy() == 1) | (test.intervening.numpy() == 2)]
    few = own.loc[own["stratum"] == "1–2", ["n", "accuracy"]].to_numpy().tolist()
    assert few[0] == [len(one), pytest.approx(one.mean(), rel=1e-5)]

    sample = sample_items(predictor, with_roles(predictor, data.table("test")), 2000)
    assert len(sample) == 200  # all of them: the grammar knows every role
    clamp_values = dose_response(predictor, sample, steps=2)
    truth = clamp_values[
        (clamp_values["by"] == "overall") & (clamp_values["note"] == "hard-coded")
    ]["accuracy"].item()
    changes = tables["interventions"]
    shut = (changes["edit"] == "clamp") & (changes["quantity"] == "write") & (changes["to"] == 0)
    here = shut & (changes["units"] == 4) & (changes["of"] == "all")
    assert changes.loc[here, "accuracy"].tolist() == [pytest.approx(truth, rel=1e-5)]
    assert page == f"4 networks: {right.mean():.1%} and\n{truth:.1%}.\n"

    roles = tables["roles"].query("cell == 'gru' and units == 4 and of == 'all'")
    means = roles.pivot_table(index="reading", columns="role", values="mean")
    np.testing.assert_allclose(means.loc["keep"] + means.loc["write"], 1, rtol=1e-5)
    assert set(means.columns) == {"before", "subject", "attractor", "noun", "other"}
    assert set(tables["roles"].query("cell == 'rnn'")["reading"]) == {
        "state_update",
        "contribution_change",
        "probe",
    }
    assert set(tables["timescales"]["cell"]) == {"gru"}
    assert len(tables["timescales"]) == 2 + 4
    hand_set = tables["oracle"].query("measure == 'write'").set_index("stratum")["value"]
    assert hand_set["subject"] > 0.3  # less than 1, as a noun may stand before it
    assert hand_set["attractor"] < 0.01
    nouns = tables["baselines"].query("system == 'first_noun' and by == 'overall'")
    assert len(nouns) == 1
    assert pd.isna(tables["summary"]["low"]).all()  # one seed has no interval


def test_other_settings_are_other_measurements(empty: Path) -> None:
    measurement = Measurement(HandSet("gru", "synthetic"), "", Path("out"))
    before = measurement.settings()
    config = Path("configs/data/synthetic.yaml")
    config.write_text("# a comment\n" + config.read_text())
    assert measurement.settings() == before
    config.write_text(config.read_text().replace("embedding_size: 6", "embedding_size: 5"))
    assert measurement.settings() != before
    other = Measurement(HandSet("gru", "synthetic"), "runs:/1/model", Path("out"))
    assert other.settings() != measurement.settings()


def test_the_plans_are_the_networks_of_the_page() -> None:
    sizes = [
        (group.cell, group.data, units)
        for study in map(read_study, PLANS.glob("*.yaml"))
        for group in study.groups
        for units in study.vary["model.hidden_size"]
        if len(study.seeds) == 5
    ]
    assert sorted(sizes) == sorted(product(CELLS, DATA, UNITS))


@pytest.mark.parametrize(
    ("plan", "options", "message"),
    [
        ("data: [synthetic]\nseeds: 0", {}, "seeds: expected how many"),
        ("cells: [cnn]\ndata: [synthetic]", {}, "cells: expected a list of names among rnn, gru"),
        (PLAN, {"jobs": -1}, "--jobs: expected at least 1 process, got -1"),
        ("data: [nothing]", {}, "data/nothing.yaml: expected a configuration"),
        ("data: [corpus]", {}, "expected MEMGATE_DATA=/path/to/corpora, it is not set"),
        (PLAN, {"page": True}, "page.md.j2: expected the page's template, found none"),
    ],
)
def test_what_is_wrong_is_reported_before_anything_runs(
    empty: Path, plan: str, options: dict[str, Any], message: str
) -> None:
    Path("plan.yaml").write_text(plan)
    with pytest.raises(InputError, match=message):
        answer(**{"plans": [Path("plan.yaml")], "page": False, **options})
    assert not Path("out").exists()
    assert not Path("docs").exists()
