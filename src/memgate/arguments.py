"""The arguments of every command; nothing heavy is imported here."""

from __future__ import annotations

import argparse
from pathlib import Path

from memgate import __version__

CONFIGURED = {
    "fit": "train from a configuration, test, track and register",
    "validate": "score a checkpoint on the validation split",
    "test": "score a checkpoint on the test split",
}
"""Commands whose arguments are those of a LightningCLI: `memgate fit --help`."""

SUITES = ("blimp", "marvin_linzen", "colorless_green", "lakretz", "linzen")
CELLS = ("rnn", "gru", "lstm")
GATED = ("gru", "lstm")
DATA = ("synthetic", "wikipedia", "corpus")
ROLES = ("before", "subject", "attractor", "noun", "other", "verb")
UNITS = (2, 4, 8, 32, 100)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line.

    What is parsed has as its ``function`` the module in `memgate.commands` and the function that
    runs it, whose parameters are named as the arguments.
    """
    whole = argparse.ArgumentParser(
        prog="memgate", description="What a recurrent network remembers, and how it decides to."
    )
    whole.add_argument("--version", action="version", version=f"memgate {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="command")
    _add_train(commands)
    for name, what in CONFIGURED.items():
        commands.add_parser(name, help=what, add_help=False)
    _add_study(commands)
    _add_oracle(commands)
    _add_evaluate(commands)
    _add_explain(commands)
    _add_gates(commands)
    _add_intervene(commands)
    _add_answer(commands)
    _add_report(commands)
    _add_generate(commands)
    _add_corpus(commands)
    ui = commands.add_parser("ui", help="open the MLflow UI on the runs and models")
    ui.set_defaults(function="ui:ui")
    ui.add_argument("--port", type=int, default=5000, help="port on this machine (5000)")
    return whole


def _add_data(command: argparse.ArgumentParser, required: bool = False) -> None:
    what = "agreement JSONL, files or globs"
    command.add_argument(
        "--data", nargs="+", required=required, default=[], metavar="FILE", help=what
    )


def _add_out(command: argparse.ArgumentParser, required: bool = False) -> None:
    what = "results go here"
    command.add_argument("--out", type=Path, required=required, metavar="DIR", help=what)


def _add_configs(command: argparse.ArgumentParser) -> None:
    what = "folder of the configurations"
    command.add_argument("--configs", type=Path, default=Path("configs"), help=what)


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "the main job: every cell on synthetic and on real text, tracked, registered, scored"
    train = commands.add_parser("train", help=what, description=what)
    train.set_defaults(function="train:train")
    train.add_argument("--cell", choices=CELLS, help="this cell only")
    train.add_argument("--data", choices=DATA, help="this data only")
    train.add_argument("--seed", type=int, default=0, help="seed of weights and order (0)")
    _add_configs(train)
    train.add_argument(
        "--out",
        type=Path,
        default=Path("out/train"),
        help="folder of the closing table (out/train)",
    )


def _add_study(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "cells × data × tasks × seeds in parallel, tracked as a study; goes on where it stopped"
    study = commands.add_parser("study", help=what, description=what)
    study.set_defaults(function="study:study")
    study.add_argument("file", type=Path, metavar="FILE", help="configs/study/….yaml")
    _add_configs(study)
    study.add_argument("--jobs", type=int, help="processes (one a core)")
    study.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster instead: auto, HOST:PORT")


def _add_oracle(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "set weights by hand (write at the first noun, then keep), test, track and register"
    oracle = commands.add_parser("oracle", help=what, description=what)
    oracle.set_defaults(function="oracle:run_oracle")
    oracle.add_argument("--cell", choices=GATED, required=True, help="the cell")
    oracle.add_argument("--data", choices=DATA, required=True, help="vocabulary and tests")
    _add_configs(oracle)


def _add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "score models on agreement JSONL and on targeted suites, beside their baselines"
    evaluate = commands.add_parser("evaluate", help=what, description=what)
    evaluate.set_defaults(function="evaluate:evaluate")
    evaluate.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="models:/NAME@ALIAS, runs:/…/model or a folder; all champions if none is named",
    )
    _add_data(evaluate)
    evaluate.add_argument(
        "--suite",
        dest="asked",
        nargs="+",
        default=[],
        metavar="NAME",
        choices=SUITES,
        help=f"{', '.join(SUITES)} (files below $MEMGATE_DATA)",
    )
    _add_out(evaluate, required=True)
    evaluate.add_argument(
        "--on-error", choices=("stop", "skip"), default="stop", help="what a bad row does (stop)"
    )
    evaluate.add_argument(
        "--batch-size", type=int, default=1024, help="prefixes computed at once (1024)"
    )


def _add_explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "show what the gates do at each word of a sentence, and the answer after it"
    explain = commands.add_parser("explain", help=what, description=what)
    explain.set_defaults(function="explain:run_explain")
    explain.add_argument(
        "given",
        nargs="+",
        metavar="MODEL... SENTENCE",
        help="models:/NAME@ALIAS, runs:/…/model or folders; then sentences, each in quotes, words "
        "and commas apart ('cat ' is one of one word); a rare word may be its tag, such as NNS",
    )
    explain.add_argument(
        "--units", metavar="L:U,…", help="layer:unit, from 0 (the model's number units)"
    )
    explain.add_argument(
        "--subject",
        metavar="PLACE",
        help="the subject's place, from 0 (with commas: one a sentence), or auto: the first noun",
    )
    explain.add_argument("--out", type=Path, metavar="FILE", help="write a page, ….html")
    explain.add_argument("--json", dest="as_json", action="store_true", help="print the numbers")


def _add_gates(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = (
        "read every gate of a model over items: statistics, effects, profile, number units, "
        "timescales, gradients; or say where the profiles of two models differ"
    )
    usage = "memgate gates MODEL --data FILE [FILE ...] --out DIR\n       "
    usage += "memgate gates diff MODEL MODEL [--out DIR]"
    gates = commands.add_parser("gates", help=what, description=what, usage=usage)
    gates.set_defaults(function="gates:gates")
    gates.add_argument(
        "given",
        nargs="+",
        metavar="MODEL",
        help="models:/NAME@ALIAS, …, a folder of a model, or of an earlier `memgate gates`",
    )
    _add_data(gates)
    _add_out(gates)


def _add_intervene(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "clamp a model's gates, cut its paths, and score what it still gets right"
    intervene = commands.add_parser("intervene", help=what, description=what)
    intervene.set_defaults(function="intervene:intervene")
    intervene.add_argument("model", metavar="MODEL", help="models:/NAME@ALIAS, … or a folder")
    _add_data(intervene, required=True)
    _add_out(intervene, required=True)
    intervene.add_argument(
        "--units", default="all", help="all, number (those that carry it) or 0:3,0:5 (all)"
    )
    intervene.add_argument(
        "--roles",
        nargs="+",
        default=ROLES[2:5],
        metavar="ROLE",
        choices=ROLES,
        help=f"words at which, among {', '.join(ROLES)} (those between subject and verb)",
    )
    intervene.add_argument("--steps", type=int, default=11, help="doses from 0 to 1 (11)")
    intervene.add_argument("--items", type=int, default=2000, help="drawn, at most (2000)")
    intervene.add_argument("--seed", type=int, default=0, help="seed of what is drawn (0)")


def _add_answer(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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


def _add_report(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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


def _add_generate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "write items of the synthetic grammar as agreement JSONL"
    generate = commands.add_parser("generate", help=what, description=what)
    generate.set_defaults(function="generate:generate")
    generate.add_argument("--out", type=Path, required=True, metavar="FILE", help="….jsonl")
    generate.add_argument("--items", type=int, default=1000, help="how many (1000)")
    generate.add_argument("--seed", type=int, default=0, help="seed of the items (0)")
    generate.add_argument(
        "--max-intervening", type=int, default=30, help="words between subject and verb (30)"
    )
    generate.add_argument("--max-attractors", type=int, default=4, help="attractors (4)")


def _add_corpus(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    what = "make agreement items of raw text, a dataset of the Hub or files"
    corpus = commands.add_parser("corpus", help=what, description=what)
    corpus.set_defaults(function="corpus:corpus")
    corpus.add_argument("--dataset", help="of the Hugging Face Hub, such as Salesforce/wikitext")
    corpus.add_argument("--config", help="its configuration, such as wikitext-2-raw-v1")
    corpus.add_argument("--split", default="train", help="its split (train)")
    corpus.add_argument("--revision", help="its branch, tag or commit")
    corpus.add_argument(
        "--files",
        nargs="+",
        default=[],
        metavar="FILE",
        help="files or globs instead: .txt, .jsonl, .parquet, gzipped or not; dumps (.xml.bz2)",
    )
    corpus.add_argument("--column", default="text", help="the column with the text (text)")
    corpus.add_argument("--out", type=Path, metavar="DIR", help="folder of the corpus")
    corpus.add_argument(
        "--linzen", action="store_true", help="no auxiliaries, and one random item a sentence"
    )
    corpus.add_argument("--num-proc", type=int, help="processes (one a core)")
    for split in ("validation", "test"):
        corpus.add_argument(f"--{split}", type=float, default=0.05, help="its share (0.05)")
    corpus.add_argument("--seed", type=int, default=0, help="seed of splits and choices (0)")
    corpus.add_argument("--model", help="spaCy model (the small English one)")
    inner = corpus.add_subparsers(dest="what", metavar="check")
    what = "score the items of parsed text against gold trees"
    check = inner.add_parser("check", help=what, description=what)
    check.set_defaults(function="corpus:check")
    check.add_argument(
        "--gold",
        nargs="+",
        default=[],
        metavar="FILE",
        help="CoNLL-U (EWT's dev and test and PUD in $MEMGATE_DATA/conllu)",
    )
    check.add_argument("--model", help="spaCy model (the small English one)")
