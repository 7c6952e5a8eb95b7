"""What MLflow shows of a run and its version: sentences, the table, links to its files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from memgate.reporting.run_description import gates_in_words, run_description
from memgate.tracking.store import EXPERIMENT, connect
from tests.rivals import profile

COLUMNS = ["model", "data", "system", "by", "stratum", "n", "correct", "accuracy", "low", "high"]


def test_a_description_begins_with_what_was_reached_and_ends_with_links() -> None:
    rows = [("network", 1200, 0.93, 0.91, 0.945), ("noun_majority", 1200, 0.8, 0.78, 0.82)]
    table = pd.DataFrame(
        [
            ("gru", "mine (test)", system, "overall", "all", n, int(n * right), right, low, high)
            for system, n, right, low, high in rows
        ],
        columns=COLUMNS,
    )
    links = {"explain.html": "#/a/explain.html", "gates.png": "#/a/figures/gates.png"}
    text = run_description("GRU of 4 units.", table, ["3 left out"], profile(0.25), links)
    first, *_, last = text.split("\n\n")
    assert first == (
        "GRU of 4 units. It predicts 93.0% (91.0–94.5) of 1,200 test items correctly; its best "
        "baseline, noun majority, 80.0%. On average over its units, write is 0.25 at the subject, "
        "0.25 at attractors, 0.25 at other words between; keep is 0.75 at the subject, 0.75 at "
        "attractors, 0.75 at other words between."
    )
    assert "| overall " in text
    assert "3 left out" in text
    assert last == "[explain.html](#/a/explain.html) · [gates.png](#/a/figures/gates.png)"


@pytest.mark.parametrize("reading", ["state_update", "probe"])
def test_a_network_without_gates_has_no_sentence_on_them(reading: str) -> None:
    assert gates_in_words(None) == []
    assert gates_in_words(profile(0.25).assign(reading=reading)) == []


def test_runs_versions_and_the_experiment_are_described(trained: Path) -> None:
    client = connect()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    assert experiment.tags["mlflow.note.content"].startswith("Recurrent networks (RNN, GRU, LSTM)")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    (version,) = client.search_model_versions("name = 'memgate-gru-synthetic'")
    run = client.get_run(str(version.run_id))
    text = run.data.tags["mlflow.note.content"]
    assert text == version.description
    trained_on = "GRU of 4 units, trained on 600 items of synthetic for 2 epochs (task: number, "
    assert text.startswith(trained_on)
    pages = f"#/experiments/{experiment.experiment_id}/runs/{run.info.run_id}/artifacts/"
    shown = "?workflowType=machine_learning"
    assert f"[explain.html]({pages}explain.html{shown})" in text
    assert f"[profile.png]({pages}figures/profile.png{shown})" in text
    paths = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert "explain.html" in paths
