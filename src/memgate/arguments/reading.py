"""The arguments of the commands that read models; nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path

from memgate.arguments.options import ROLES, SUITES, Commands, add_data, add_out


def add(commands: Commands) -> None:
    """Add evaluate, explain, gates and intervene."""
    _add_evaluate(commands)
    _add_explain(commands)
    _add_gates(commands)
    _add_intervene(commands)


def _add_evaluate(commands: Commands) -> None:
    what = "score models on agreement JSONL and on targeted suites, beside their baselines"
    evaluate = commands.add_parser("evaluate", help=what, description=what)
    evaluate.set_defaults(function="commands.evaluate:evaluate")
    evaluate.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="models:/NAME@ALIAS, runs:/…/model or a folder; all champions if none is named",
    )
    add_data(evaluate)
    evaluate.add_argument(
        "--suite",
        dest="asked",
        nargs="+",
        default=[],
        metavar="NAME",
        choices=SUITES,
        help=f"{', '.join(SUITES)} (files below $MEMGATE_DATA)",
    )
    add_out(evaluate, required=True)
    evaluate.add_argument(
        "--on-error", choices=("stop", "skip"), default="stop", help="what a bad row does (stop)"
    )
    evaluate.add_argument(
        "--batch-size", type=int, default=1024, help="prefixes computed at once (1024)"
    )


def _add_explain(commands: Commands) -> None:
    what = "show what the gates do at each word of a sentence, and the answer after it"
    explain = commands.add_parser("explain", help=what, description=what)
    explain.set_defaults(function="commands.explain:run_explain")
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


def _add_gates(commands: Commands) -> None:
    what = (
        "read every gate of a model over items: statistics, state updates, profile, number units, "
        "timescales, gradients; or say where the profiles of two models differ"
    )
    usage = "memgate gates MODEL --data FILE [FILE ...] --out DIR\n       "
    usage += "memgate gates diff MODEL MODEL [--out DIR]"
    gates = commands.add_parser("gates", help=what, description=what, usage=usage)
    gates.set_defaults(function="commands.gates:gates")
    gates.add_argument(
        "given",
        nargs="+",
        metavar="MODEL",
        help="models:/NAME@ALIAS, …, a folder of a model, or of an earlier `memgate gates`",
    )
    add_data(gates)
    add_out(gates)


def _add_intervene(commands: Commands) -> None:
    what = "clamp a model's gates, cut its paths, and score what it still gets right"
    intervene = commands.add_parser("intervene", help=what, description=what)
    intervene.set_defaults(function="commands.intervene:intervene")
    intervene.add_argument("model", metavar="MODEL", help="models:/NAME@ALIAS, … or a folder")
    add_data(intervene, required=True)
    add_out(intervene, required=True)
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
    intervene.add_argument("--steps", type=int, default=11, help="clamp values from 0 to 1 (11)")
    intervene.add_argument("--items", type=int, default=2000, help="drawn, at most (2000)")
    intervene.add_argument("--seed", type=int, default=0, help="seed of what is drawn (0)")
