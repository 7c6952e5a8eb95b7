"""The arguments of the commands that train; nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path

from memgate.arguments.options import CELLS, DATA, GATED, UNITS, Commands, add_configs


def add(commands: Commands) -> None:
    """Add train, study, oracle, answer and report."""
    _add_train(commands)
    _add_study(commands)
    _add_oracle(commands)
    _add_answer(commands)
    _add_report(commands)


def _add_train(commands: Commands) -> None:
    what = "the main job: every cell on synthetic and on real text, tracked, registered, scored"
    train = commands.add_parser("train", help=what, description=what)
    train.set_defaults(function="train:train")
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
    study.set_defaults(function="study:study")
    study.add_argument("file", type=Path, metavar="FILE", help="configs/study/….yaml")
    add_configs(study)
    study.add_argument("--jobs", type=int, help="processes (one a core)")
    study.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster instead: auto, HOST:PORT")


def _add_oracle(commands: Commands) -> None:
    what = "set weights by hand (write at the first noun, then keep), test, track and register"
    oracle = commands.add_parser("oracle", help=what, description=what)
    oracle.set_defaults(function="oracle:run_oracle")
    oracle.add_argument("--cell", choices=GATED, required=True, help="the cell")
    oracle.add_argument("--data", choices=DATA, required=True, help="vocabulary and tests")
    add_configs(oracle)


def _add_answer(commands: Commands) -> None:
    what = (
        "the study behind docs/how-the-gate-decides.md: cells × sizes × seeds × data, trained, "
        "read and intervened on in parallel; goes on where it was stopped"
    )
    answer = commands.add_parser("answer", help=what, description=what)
    answer.set_defaults(function="answer:answer")
    folders = {"out": "docs/answer", "work": "out/answer", "configs": "configs"}
    what_for = (
        "tables, figures and the page's template; the page is beside it",
        "networks and what was measured of each",
        "folder of the configurations",
    )
    for (name, default), about in zip(folders.items(), what_for, strict=True):
        answer.add_argument(
            f"--{name}",
            type=Path,
            default=Path(default),
            metavar="DIR",
            help=f"{about} ({default})",
        )
    answer.add_argument("--seeds", type=int, default=5, help="networks of each kind (5)")
    shown = " ".join(map(str, UNITS))
    answer.add_argument(
        "--units", type=int, nargs="+", default=UNITS, metavar="N", help=f"hidden sizes ({shown})"
    )
    answer.add_argument("--cells", nargs="+", default=CELLS, choices=CELLS, help="cells (all)")
    real = "corpus with $MEMGATE_DATA, else wikipedia"
    answer.add_argument("--data", nargs="+", choices=DATA, help=f"data (synthetic, and {real})")
    answer.add_argument("--jobs", type=int, help="processes (one a core)")
    answer.add_argument("--no-page", dest="page", action="store_false", help="write no page")


def _add_report(commands: Commands) -> None:
    what = (
        "report on a study: accuracies with intervals over seeds and items, differences with "
        "tests, learning curves; tables, figures, one page, and a run in MLflow"
    )
    report = commands.add_parser("report", help=what, description=what)
    report.set_defaults(function="study_report:report")
    report.add_argument("study", metavar="STUDY", help="its name, the tag `study` of its runs")
    report.add_argument("--out", type=Path, required=True, metavar="DIR", help="results go here")
    report.add_argument(
        "--reference",
        type=Path,
        metavar="FILE",
        help="figures of Linzen et al. (2016) as CSV, put beside it (for studies of them: "
        "reference/linzen2016_figures.csv beside $MEMGATE_DATA)",
    )
