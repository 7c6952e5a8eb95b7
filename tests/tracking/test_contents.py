"""What a run holds besides metrics: params, tables, figures, texts."""

from __future__ import annotations

import json
from argparse import Namespace
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from mlflow.entities import Run

from memgate.reporting import plots
from memgate.tracking.runs import RunLogger
from memgate.tracking.store import connect


def read(logger: RunLogger) -> Run:
    return connect().get_run(str(logger.version))


def test_hyperparams_nested_long_and_many(project: Path) -> None:
    with RunLogger("synthetic", "toy") as logger:
        logger.log_hyperparams(
            Namespace(model=Namespace(cell="gru", sizes={"hidden": 8}), none=None)
        )
        logger.log_hyperparams({"long": "x" * 7000, "empty": {}})
        logger.log_hyperparams({f"p{i}": i for i in range(250)})
        logger.log_hyperparams(None)
    params = read(logger).data.params
    assert params["model/cell"] == "gru"
    assert params["model/sizes/hidden"] == "8"
    assert params["none"] == "None"
    assert params["empty"] == "{}"
    assert params["long"] == "x" * 6000
    assert [params[f"p{i}"] for i in range(250)] == [str(i) for i in range(250)]


def test_artifacts(project: Path) -> None:
    table = pd.DataFrame({"model": ["a", "b"], "n": [1, 2], "accuracy": [0.5, None]})
    figure, axes = plt.subplots()
    axes.plot([0, 1])
    with RunLogger("synthetic", "toy") as logger:
        logger.log_files(
            {
                "tables/accuracy.csv": partial(table.to_csv, index=False),
                "gates.parquet": partial(table.to_parquet, index=False),
                "figures/accuracy.png": partial(plots.save, figure),
                "about.md": lambda path: path.write_text("# Title"),
            }
        )
        logger.log_dict({"model": {"cell": "gru"}}, "config.yaml")
        logger.log_dict({"model": {"cell": "gru"}}, "config.json")
        logger.describe("| a |\n|---|\n| 1 |" + "x" * 9000)
    plt.close(figure)
    run = read(logger)
    folder = project / str(run.info.artifact_uri)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "tables" / "accuracy.csv"), table)
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "gates.parquet"), table)
    assert (folder / "figures" / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "about.md").read_text() == "# Title"
    assert json.loads((folder / "config.json").read_text()) == {"model": {"cell": "gru"}}
    assert (folder / "config.yaml").read_text().split() == ["model:", "cell:", "gru"]
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("| a |\n")
    assert len(note) == 8000
