"""The study at a small scale: two cells, two sizes, one seed, 600 items of the grammar."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.gate_decides.figures import FIGURES
from experiments.gate_decides.networks import (
    MEASURED,
    MODELS,
    SETTINGS,
    Measurement,
    Network,
    _loaded,
)
from experiments.gate_decides.page import TEMPLATE
from experiments.gate_decides.study import PAGE, answer
from experiments.gate_decides.tables import TABLES, read_tables
from memgate.errors import InputError
from memgate.gates.interventions.dose_response import dose_response, sample_items, with_roles
from memgate.predictor import Predictor

TEMPLATE_TEXT = """\
{{ networks() }} networks: {{ accuracy("gru", "synthetic", 4) }} and
{{ under("clamp", "write", 0, "gru", "synthetic", 4) }}.
"""
KINDS = {"rnn-synthetic-2", "rnn-synthetic-4", "gru-synthetic-2", "gru-synthetic-4"}
NAMES = {f"{kind}-seed0" for kind in KINDS} | {"gru-synthetic-hand-set"}


def study() -> None:
    answer(seeds=1, units=(2, 4), cells=("rnn", "gru"), data=("synthetic",), jobs=1)


def stamps(folder: str) -> dict[str, int]:
    """When each part or model was written."""
    paths = Path("out/answer", folder).glob(f"*/{SETTINGS}")
    return {path.parent.name: path.stat().st_mtime_ns for path in paths}


@pytest.mark.processes
def test_the_study_runs_once_and_goes_on_with_what_is_missing(
    empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path("docs/answer")
    out.mkdir(parents=True)
    (out / TEMPLATE).write_text(TEMPLATE_TEXT)
    study()
    assert "5 networks: 0 are done, 5 to do in 1 processes" in capsys.readouterr().out
    parts, models = stamps(MEASURED), stamps(MODELS)
    assert set(parts) == NAMES
    assert set(models) == NAMES - {"gru-synthetic-hand-set"}
    written = {path.name: path.read_bytes() for path in out.iterdir()}
    figures = {f"{name}.png" for name in FIGURES}
    assert set(written) == {TEMPLATE, *(f"{name}.csv" for name in TABLES), *figures}
    page = Path("docs", PAGE).read_text()
    check_tables(out, page)

    study()  # nothing is run anew, and the same comes out
    assert "5 are done, 0 to do" in capsys.readouterr().out
    assert (stamps(MEASURED), stamps(MODELS)) == (parts, models)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == written

    lost = "gru-synthetic-4-seed0"
    shutil.rmtree(Path("out/answer", MEASURED, lost))
    left = Path("out/answer", MEASURED, ".partial-of-a-run-that-was-killed")
    left.mkdir()
    study()  # measured again, and not trained
    assert not left.exists()
    again = stamps(MEASURED)
    assert {name for name in NAMES if again[name] != parts[name]} == {lost}
    assert stamps(MODELS) == models
    assert {path.name: path.read_bytes() for path in out.iterdir()} == written

    check_a_failure(capsys, written)


def check_a_failure(capsys: pytest.CaptureFixture[str], written: dict[str, bytes]) -> None:
    """One cell can't be trained: the others are made, and the tables stay as they were."""
    Path("configs/cell/rnn.yaml").write_text("model: {cell: rnn, dropout: 7}")
    shutil.rmtree(Path("out/answer", MEASURED, "gru-synthetic-2-seed0"))
    with pytest.raises(InputError, match=r"2 of 3 networks failed, see above; the same command"):
        study()
    told = capsys.readouterr().err
    for size in (2, 4):
        assert (
            f"rnn-synthetic-{size}-seed0: dropout: expected a proportion from 0 to below 1" in told
        )
    assert "gru-synthetic-2-seed0" in stamps(MEASURED)
    assert {path.name: path.read_bytes() for path in Path("docs/answer").iterdir()} == written


def check_tables(out: Path, page: str) -> None:
    """Held against the kept network itself, asked anew."""
    tables = read_tables(out)
    part = Measurement(Network("gru", "synthetic", 4, 0), Path("configs"), Path("out/answer"))
    predictor = Predictor.load(part.work / MODELS / part.network.name)
    assert predictor.classifier.recurrence.hidden_size == 4
    data = _loaded(Path("configs"), "synthetic")
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


def test_other_settings_are_other_parts(empty: Path) -> None:
    part = Measurement(Network("gru", "synthetic", 4, 0), Path("configs"), Path("out"))
    before = part.settings()
    config = Path("configs/data/synthetic.yaml")
    config.write_text("# a comment\n" + config.read_text())
    assert part.settings() == before
    config.write_text(config.read_text().replace("embedding_size: 6", "embedding_size: 5"))
    assert part.settings() != before
    other = Measurement(Network("gru", "synthetic", 4, 1), Path("configs"), Path("out"))
    assert other.settings() != part.settings()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"seeds": 0}, "--seeds: expected at least 1, got 0"),
        ({"units": ()}, "--units: expected at least 1, got 0"),
        ({"units": (4, -1)}, "--units: expected at least 1, got -1"),
        ({"cells": ("gru", "cnn")}, r"--cells: expected among rnn, gru, lstm, got \['cnn'\]"),
        ({"jobs": -1}, "--jobs: expected at least 1 process, got -1"),
        ({"configs": Path("nowhere")}, "nowhere: expected memgate's configurations"),
        ({"data": ("nothing",)}, "nothing.yaml: expected a configuration in YAML"),
        ({"page": True}, "page.md.j2: expected the page's template, found none"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(
    empty: Path, given: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        answer(**{"data": ("synthetic",), "page": False, **given})  # type: ignore[arg-type]
    assert not Path("out").exists()
    assert not Path("docs").exists()
