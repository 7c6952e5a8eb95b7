"""`memgate report` on stores of synthetic runs, whose predictions are written here."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import datasets
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Metric, Run

from memgate.cli import main
from memgate.metrics.paired import holm, items_test
from memgate.metrics.systems import NETWORK
from memgate.reporting.study_page import ShownTable
from memgate.studies.report import (
    accuracy_tables,
    difference_table,
    paper_tables,
    runs_as_shown,
    titled_markdown,
    with_data_labels,
)
from memgate.tracking.provenance import dataset_input
from memgate.tracking.runs import TAG_LENGTH
from memgate.tracking.store import connect, experiment
from memgate.tracking.study_runs import study_runs

PAPER = "figure,series,x,error_pct,ci_lo,ci_hi\n" + "".join(
    f"{figure},{series},{x},{error},{error - 0.5},{error + 0.5}\n"
    for x in range(5)
    for figure, series, error in (
        ("2c/4b/4d", "LSTM number prediction", 1 + 4 * x),
        ("4d", "SRN number prediction", 2 + 7 * x),
        ("4b", "grammaticality", 50 + x),
    )
)


def predicted(seed: int, right: float, keys: range = range(200)) -> pd.DataFrame:
    """What `memgate.evaluation.predictions` would return; items are the same for all seeds."""
    n = keys.stop
    attractors = pd.Series(np.arange(n) % 6, dtype="Int64").mask(np.arange(n) % 20 == 19)
    rows = pd.DataFrame(
        {
            "item": [f"{key:016x}" for key in range(n)],
            "id": "",
            "label": pd.array(np.where(np.arange(n) % 3 == 0, "pl", "sg"), dtype="string"),
            "answer": "sg",
            "predicted": "sg",
            "p_right": 0.9,
            "correct": np.random.default_rng(seed).random(n) < right,
            "known_word": True,
            "unknown": 0.0,
            "intervening": attractors * 2 + np.arange(n) % 2,
            "attractors": attractors,
            "condition": pd.array([None] * n, dtype="string"),
            "majority": np.arange(n) % 3 != 0,
            "last_noun": (attractors == 0).fillna(False).astype(bool),
            "nouns_only": np.random.default_rng(99 + seed).random(n) < 0.6,
        }
    )
    return rows.iloc[keys.start :].reset_index(drop=True)


def make(
    study: str,
    cell: str,
    seed: int,
    rows: pd.DataFrame | None,
    status: str = "FINISHED",
    data: str = "synthetic",
    **more: str,
) -> str:
    client = connect()
    name = f"{cell}-{data}-{seed}" + "".join(more.values())
    tags = {"study": study, "study_run": name, "cell": cell, "data": data, "task": "number"}
    tags |= {"seed": str(seed)} | {f"setting/{key}": value for key, value in more.items()}
    run = client.create_run(experiment("memgate"), run_name=name, tags=tags)
    run_id = str(run.info.run_id)
    train = datasets.Dataset.from_dict({"text": ["the cat"] * 30})
    source = "init_args: {train: [$MEMGATE_DATA/linzen/numpred.val.tsv.gz]}"
    client.log_inputs(run_id, [dataset_input(train, data, "train", source)])
    client.log_param(run_id, "hidden_size", 50)
    curve = [
        Metric(key, 1 / (1 + step + seed), 0, step)
        for step in range(3)
        for key in ("train/loss", "val/loss", "val/accuracy")
    ]
    client.log_batch(run_id, metrics=curve)
    if rows is not None:
        Path("kept/tables").mkdir(parents=True, exist_ok=True)
        rows.to_parquet("kept/tables/predictions.parquet", index=False)
        client.log_artifacts(run_id, "kept")
    client.set_terminated(run_id, status)
    return run_id


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studied")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(folder)
        for seed in range(3):
            make("cells", "lstm", seed, predicted(seed, 0.95))
            make("cells", "rnn", seed, predicted(10 + seed, 0.6))
            make("sizes", "gru", seed, predicted(seed, 0.9), hidden="8")
            make("sizes", "gru", seed, predicted(20 + seed, 0.9), hidden="50")
        make("sizes", "lstm", 0, predicted(30, 0.9), hidden="50")
        make("cells", "rnn", 7, None, "FAILED")
        make("cells", "rnn", 8, None)  # finished, and yet nothing answered
        make("apart", "gru", 0, predicted(0, 0.9, range(150)))
        make("apart", "lstm", 0, predicted(1, 0.7, range(50, 200)))
        make("apart", "lstm", 0, predicted(2, 0.9), data="linzen")
        make("broken", "gru", 0, None, "KILLED")
        Path("paper.csv").write_text(PAPER)
        Path("reference").mkdir()
        shutil.copy("paper.csv", "reference/linzen2016_figures.csv")
        patch.setenv("MEMGATE_DATA", str(folder / "data"))
        for study, more in (("cells", ["--reference", "paper.csv"]), ("sizes", []), ("apart", [])):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                assert main(["report", study, "--out", f"out/{study}", *more]) == 0
            Path(f"{study}.txt").write_text(printed.getvalue())
    return folder


@pytest.fixture
def store(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("MEMGATE_DATA", raising=False)
    folder = tmp_path / "project"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    return folder


def read(study: str, name: str) -> pd.DataFrame:
    return pd.read_csv(f"out/{study}/tables/{name}.csv")


def reports(study: str) -> list[Run]:
    found = connect().search_runs(
        [experiment("memgate")], f"tags.study_report = '{study}'", max_results=10
    )
    return list(found)


def row(table: pd.DataFrame, **wanted: str) -> Mapping[str, float]:
    keep = np.ones(len(table), dtype=bool)
    for column, value in wanted.items():
        keep &= (table[column] == value).to_numpy()
    (found,) = table[keep].to_dict("records")
    return {str(key): value for key, value in found.items()}


def test_accuracies_are_means_over_seeds_of_the_answers(store: Path) -> None:
    table = read("cells", "accuracy")
    answers = [predicted(10 + seed, 0.6) for seed in range(3)]
    for by, stratum, members in (
        ("overall", "all", answers[0]["item"].notna()),
        ("label", "pl", answers[0]["label"] == "pl"),
        ("attractors", "4+", answers[0]["attractors"].fillna(-1) >= 4),
        (
            "intervening_x_attractors",
            "3–5 × 2",
            (answers[0]["attractors"].fillna(-1) == 2) & answers[0]["intervening"].isin([3, 4, 5]),
        ),
    ):
        found = row(table, model="rnn", system=NETWORK, by=by, stratum=stratum)
        shares = [each.loc[members.to_numpy(bool), "correct"].mean() for each in answers]
        assert found["accuracy"] == pytest.approx(np.mean(shares))
        assert (found["least"], found["most"]) == pytest.approx((min(shares), max(shares)))
        assert (found["items"], found["seeds"]) == (members.sum(), 3)
        assert found["correct"] / found["n"] == pytest.approx(found["accuracy"])
        assert found["low"] < found["accuracy"] < found["high"]
    majority = row(table, model="rnn", system="majority", by="overall", stratum="all")
    assert majority["accuracy"] == pytest.approx((answers[0]["label"] == "sg").mean())
    assert set(table["system"]) == {NETWORK, "majority", "last_noun", "nouns_only"}


def test_differences_are_those_of_the_tests_corrected(store: Path) -> None:
    table = read("cells", "differences")
    a, b = (
        np.stack([predicted(first + s, right)["correct"] for s in range(3)])
        for first, right in ((10, 0.6), (0, 0.95))
    )
    found = row(table, a="rnn", b="lstm", by="overall")
    assert found["difference"] == pytest.approx(a.mean() - b.mean())
    assert found["low"] < found["difference"] < found["high"] < 0
    assert found["p_items"] == found["p_items_holm"] == pytest.approx(items_test(a, b))
    assert found["p_seeds"] == found["p_seeds_holm"] == pytest.approx(0.1), "2 of C(6, 3) = 20"
    for by, count in {"label": 2, "intervening": 4, "attractors": 5}.items():
        part = table[table["by"] == by]
        assert len(part) == count
        assert part["p_items_holm"].to_list() == pytest.approx(holm(part["p_items"].to_numpy()))


def test_models_are_compared_where_one_thing_differs(store: Path) -> None:
    table = read("sizes", "differences")
    pairs = set(zip(table["a"], table["b"], strict=True))
    assert pairs == {
        ("gru, hidden 50", "gru, hidden 8"),
        ("gru, hidden 50", "lstm, hidden 50"),
    }, "and not an LSTM of 50 with a GRU of 8"
    assert table.loc[table["seeds_b"] == 1, "p_seeds"].isna().all()
    assert "lstm, hidden 50: a single seed (0)" in Path("out/sizes/report.md").read_text()


def test_missing_and_failed_runs_are_counted_and_named(store: Path) -> None:
    printed = Path("cells.txt").read_text()
    assert "6 of 8 runs are in this report." in printed
    for text in (
        printed,
        Path("out/cells/report.md").read_text(),
        Path("out/cells/report.html").read_text(),
    ):
        assert "run rnn-synthetic-7: FAILED" in text
        assert "run rnn-synthetic-8: expected tables/predictions.parquet, got: " in text
    runs = read("cells", "runs").set_index("run")
    assert runs["status"].value_counts().to_dict() == {"FINISHED": 7, "FAILED": 1}
    assert runs["train"].to_list() == [30] * 8
    assert runs["accuracy"].isna().sum() == 2


def test_the_newest_finished_of_runs_with_one_name_counts(store: Path) -> None:
    second = make("broken", "gru", 0, None)
    make("broken", "gru", 0, None, "FAILED")
    (run,) = study_runs("memgate", "broken")
    assert (run.run_id, run.status) == (second, "FINISHED")


def test_runs_with_different_items_are_compared_on_those_they_share(store: Path) -> None:
    found = row(
        read("apart", "accuracy"), data="synthetic", model="gru", system=NETWORK, by="overall"
    )
    common = predicted(0, 0.9).iloc[50:150]
    assert found["items"] == 100
    assert found["accuracy"] == pytest.approx(common["correct"].mean())
    text = Path("out/apart/report.md").read_text()
    assert "100 are in the test of every run, which has 150; all results are of those" in text


def test_the_run_has_what_the_folder_has(store: Path) -> None:
    (run,) = reports("sizes")
    assert (run.info.run_name, run.info.status) == ("report-sizes", "FINISHED")
    folder = Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id))
    written = {str(path.relative_to("out/sizes")) for path in Path("out/sizes").rglob("*.*")}
    assert written == {
        *("report.html", "report.md"),
        *(f"tables/{name}.csv" for name in ("accuracy", "differences", "curves", "runs")),
        *(f"figures/{name}.png" for name in ("accuracy", "differences", "curves")),
    }
    for name in written:
        assert (folder / name).read_bytes() == Path("out/sizes", name).read_bytes()


def test_an_earlier_report_stays_as_it_was(store: Path) -> None:
    (before,) = reports("cells")
    assert main(["report", "cells", "--out", "again"]) == 0
    assert (
        Path("again/tables/accuracy.csv").read_bytes()
        == Path("out/cells/tables/accuracy.csv").read_bytes()
    ), "the same study, the same intervals"
    found = {run.info.run_id: run for run in reports("cells")}
    assert len(found) == 2
    assert found[before.info.run_id].info.end_time == before.info.end_time


def test_a_long_description_is_cut_at_a_line(store: Path) -> None:
    whole = Path("out/sizes/report.md").read_text()
    assert len(whole) > TAG_LENGTH
    (run,) = reports("sizes")
    note = run.data.tags["mlflow.note.content"]
    assert len(note) <= TAG_LENGTH
    shown, more = note.rsplit("\n\n", 1)
    assert whole.startswith(shown + "\n")
    assert more.endswith("among the artifacts: report.md and report.html.")


def test_errors_stand_alongside_the_papers(store: Path) -> None:
    table = read("cells", "linzen2016")
    assert "error in % by attractors" in Path("cells.txt").read_text()
    answers = [predicted(s, 0.95) for s in range(3)]
    for attractors in range(6):
        own = row(table[table["attractors"] == attractors], model="lstm", whose="ours")
        members = (answers[0]["attractors"].fillna(-1) == attractors).to_numpy(bool)
        wrong = 1 - np.mean([each.loc[members, "correct"].mean() for each in answers])
        assert own["error"] == pytest.approx(wrong)
        assert own["low"] <= own["error"] <= own["high"]
        assert own["items"] == members.sum()
    theirs = table[table["whose"] == "paper"].set_index(["model", "attractors"])
    assert len(theirs) == 10
    assert theirs.loc[("RNN (Linzen et al. 2016)", 3), "error"] == pytest.approx(0.23)
    assert theirs.loc[("LSTM (Linzen et al. 2016)", 4), "low"] == pytest.approx(0.165)
    text = re.sub(" +", " ", Path("out/cells/report.md").read_text())
    assert "| Linzen et al. (2016) | about 121,500 |" in text
    assert "| lstm | 30 | 200 | 3 | – | 50 |" in text
    assert "Training has numpred.val" in text
    assert "numpred.test" not in text, "the runs were tested on other files"


def test_the_paper_is_found_alongside_the_data_where_the_study_is_of_it(store: Path) -> None:
    assert Path("out/apart/figures/linzen2016.png").is_file(), "its data are called linzen"
    assert not Path("out/sizes/figures/linzen2016.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing: expected a study in .*; studies: apart, broken, cells, sizes$"),
        (["broken"], "expected at least one finished run .*run gru-synthetic-0: KILLED$"),
        (["it's"], "it's: expected a study"),
        (["cells", "--reference", "no.csv"], "no.csv: expected the paper's figures as CSV"),
        (["cells", "--reference", "kept.csv"], "kept.csv: expected a column 'figure'"),
        (["cells", "--out", "paper.csv"], "paper.csv.*: expected a folder to write to"),
    ],
)
def test_what_can_not_be_reported_is_refused_in_one_line(
    store: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    Path("kept.csv").write_text("x,y\n1,2\n")
    assert main(["report", "--out", "out", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error.strip())
    assert len(reports("cells")) == 1, "no run of a report that failed"


def test_without_a_store_nothing_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["report", "cells", "--out", "out"]) == 2
    assert "nothing was trained?" in capsys.readouterr().err


def shown_accuracy(task: str = "number") -> pd.DataFrame:
    """A GRU of three seeds and an LSTM of one, the last noun's rule beside both."""
    rows = []
    shares = {"network": (0.9, 0.8), "last_noun": (0.75, 0.75), "nouns_only": (0.7, 0.6)}
    for at, (model, seeds) in enumerate((("gru", 3), ("lstm", 1))):
        for system, share in shares.items():
            for by, stratum, items in (
                ("overall", "all", 1000),
                ("attractors", "0", 600),
                ("attractors", "2", 400),
                ("intervening_x_attractors", "3–5 × 2", 400),
            ):
                n = items * seeds
                figures = (seeds, items, n, round(n * share[at]), share[at], 0.5, 0.95)
                rows.append(("x", task, model, system, by, stratum, *figures))
    columns = ["data", "task", "model", "system", "by", "stratum", "seeds", "items", "n"]
    return pd.DataFrame(rows, columns=[*columns, "correct", "accuracy", "low", "high"])


def test_models_of_more_seeds_were_not_asked_more_items() -> None:
    (by_attractors, both) = accuracy_tables(with_data_labels(shown_accuracy()), "x")
    names = by_attractors.cells[""].to_list()
    assert names == [
        "gru",
        "lstm",
        "* last noun",  # once, though of 3,000 answers beside the one and 1,000 beside the other
        "nouns only (gru)",
        "nouns only (lstm)",
        "test items",
    ]
    shown = by_attractors.cells.set_index("")
    assert list(shown) == ["all", "0", "2"], "no stratum without items"
    assert shown.loc["lstm", "2"] == "80.0\n50.0–95.0"
    assert list(shown.loc["test items"]) == ["1,000", "600", "400"]
    assert both.cells["words"].to_list() == ["3–5"] * 3
    assert both.cells["2"].to_list()[0] == "90.0\n50.0–95.0, n 400"
    assert both.cells["1"].to_list() == ["–"] * 3


def test_another_task_is_named_with_its_data() -> None:
    assert set(with_data_labels(shown_accuracy("inflection"))["data"]) == {"x, inflection"}
    assert set(with_data_labels(shown_accuracy())["data"]) == {"x"}


def test_differences_are_points_with_corrected_p_values() -> None:
    row = {"data": "x", "a": "gru", "b": "lstm", "by": "overall", "stratum": "all", "items": 1200}
    figures = {"difference": -0.0123, "low": -0.02, "high": 0.001}
    p = {"p_items": 0.001, "p_items_holm": 0.003, "p_seeds": np.nan, "p_seeds_holm": np.nan}
    rows = [row | figures | p, row | figures | p | {"by": "label", "stratum": "pl"}]
    table = pd.DataFrame(rows)
    shown = difference_table(table, "x", ["overall"]).cells
    assert shown.to_numpy().tolist() == [
        ["gru less lstm", "all", "1,200", "−1.23", "−2.00 to +0.10", "0.003", "–"]
    ]
    both = difference_table(table, "x", ["overall", "label"]).cells
    assert both["stratum"].to_list() == ["all", "label pl"]


def test_errors_alongside_the_papers_leave_gaps() -> None:
    rows = [
        ("x", "gru", "ours", 0, 50, 0.01, 0.005, 0.02),
        ("x", "gru", "ours", 5, 7, 0.3, 0.2, 0.4),
        ("x", "LSTM (Linzen et al. 2016)", "paper", 0, pd.NA, 0.006, 0.0059, 0.0062),
    ]
    columns = ["data", "model", "whose", "attractors", "items", "error", "low", "high"]
    (table,) = paper_tables(pd.DataFrame(rows, columns=columns))
    shown = table.cells.set_index("")
    assert shown.loc["gru", "5"] == "30.00\n20.00–40.00"
    assert shown.loc["LSTM (Linzen et al. 2016)", "0"] == "0.60\n0.59–0.62"
    assert shown.loc["LSTM (Linzen et al. 2016)", "5"] == "–"
    assert list(shown.loc["our test items"]) == ["50", "–", "–", "–", "–", "7"]


def test_a_run_without_answers_or_sizes_has_dashes() -> None:
    columns = ["run", "status", "data", "task", "model", "seed", "train", "test", "accuracy"]
    rows = [("r", "FAILED", "x", "number", "gru", 0, pd.NA, 1200, np.nan)]
    (shown,) = runs_as_shown(pd.DataFrame(rows, columns=columns)).cells.to_numpy().tolist()
    assert shown[5:] == ["0", "–", "1,200", "–"]


def test_markdown_has_intervals_in_brackets_and_bars_escaped() -> None:
    cells = pd.DataFrame({"": ["a|b"], "all": ["93.1\n92.0–94.2"]})
    assert titled_markdown(ShownTable("title", cells)).splitlines() == [
        "**title**",
        "",
        "|      |              all |",
        "|:-----|-----------------:|",
        "| a\\|b | 93.1 (92.0–94.2) |",
    ]
