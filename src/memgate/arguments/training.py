"""The arguments of the commands that train; nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path

from memgate.arguments.options import CELLS, DATA, GATED, Commands, add_configs


def add(commands: Commands) -> None:
    """Add train, study, oracle and report."""
    _add_train(commands)
    _add_study(commands)
    _add_oracle(commands)
    _add_report(commands)


def _add_train(commands: Commands) -> None:
    what = "the main job: every cell on synthetic and on real text, tracked, registered, scored"
    train = commands.add_parser("train", help=what, description=what)
    train.set_defaults(function="commands.train:train")
    train.add_argument("--cell", choices=CELLS, help="this cell only")
    train.add_argument("--data", choices=DATA, help="this data only")
    train.add_argument("--seed", type=int, default=0, help="seed of weights and order (0)")
    add_configs(train)
    train.add_argument(
        "--out",
        type=Path,
        default=Path("out/train"),
        help="folder of the closing table (out/train)",
    )


def _add_study(commands: Commands) -> None:
    what = "cells × data × tasks × seeds in parallel, tracked as a study; goes on where it stopped"
    study = commands.add_parser("study", help=what, description=what)
    study.set_defaults(function="studies.run:study")
    study.add_argument("file", type=Path, metavar="FILE", help="configs/study/….yaml")
    add_configs(study)
    study.add_argument("--jobs", type=int, help="processes (one a core)")
    study.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster instead: auto, HOST:PORT")


def _add_oracle(commands: Commands) -> None:
    what = "set weights by hand (write at the first noun, then keep), test, track and register"
    oracle = commands.add_parser("oracle", help=what, description=what)
    oracle.set_defaults(function="commands.oracle:run_oracle")
    oracle.add_argument("--cell", choices=GATED, required=True, help="the cell")
    oracle.add_argument("--data", choices=DATA, required=True, help="vocabulary and tests")
    add_configs(oracle)


def _add_report(commands: Commands) -> None:
    what = (
        "report on a study: accuracies with intervals over seeds and items, differences with "
        "tests, learning curves; tables, figures, one page, and a run in MLflow"
    )
    report = commands.add_parser("report", help=what, description=what)
    report.set_defaults(function="studies.report:report")
    report.add_argument("study", metavar="STUDY", help="its name, the tag `study` of its runs")
    report.add_argument("--out", type=Path, required=True, metavar="DIR", help="results go here")
    report.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="figures of Linzen et al. (2016) as CSV, put beside it (for studies of them: "
        "reference/linzen2016_figures.csv beside $MEMGATE_DATA)",
    )
