"""`memgate train`: every cell on synthetic and on real text, several fits at a time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import pandas as pd
from rich.console import Console

from memgate.baselines.fitted import Baselines
from memgate.errors import InputError
from memgate.evaluation import suite_accuracy, suite_predictions
from memgate.evaluation.suites.loading import load
from memgate.fitting.config_files import config_file
from memgate.fitting.finalize import FitResult, show_notes
from memgate.fitting.progress import FitProgress
from memgate.fitting.real_text import build_corpora, data_at_hand
from memgate.fitting.run import run_fit
from memgate.gates.explain.explained_model import ExplainedModel
from memgate.gates.explain.explanation import LECTURE, in_words
from memgate.models.classifier import CellName
from memgate.predictor import BASELINES_FOLDER, Predictor
from memgate.reporting.accuracy import write_accuracy
from memgate.reporting.console import console, echo, paragraph
from memgate.reporting.files import write_file
from memgate.reporting.fits_summary import print_fits
from memgate.reporting.live_page import page_of_models
from memgate.reporting.suites import write_suites
from memgate.studies.jobs import print_failures, process_pool, run_jobs
from memgate.tracking.registry.versions import model_folder

SUITES = ("lakretz", "marvin_linzen", "blimp", "colorless_green")
"""The constructed suites; models of English are scored on them where ``MEMGATE_DATA`` has them."""

ENGLISH = "english"

Size = Literal["small", "large"]

CELLS_EXPLAINED: tuple[CellName, ...] = ("gru", "lstm", "rnn")
"""The order of the cells on the page: the lecture has a GRU."""


class PlannedFit(NamedTuple):
    """A fit of a cell on data, with the arguments of `memgate fit`."""

    data: str
    cell: CellName
    arguments: tuple[str, ...]


def train(
    cell: CellName | None = None,
    data: str | None = None,
    size: Size = "small",
    seed: int = 0,
    jobs: int | None = None,
    out: Path = Path("out/train"),
) -> None:
    """Train every cell on synthetic and on real text; track, register and score each model.

    Args:
        cell: Train this cell only.
        data: Train on this data only: synthetic, english, wikipedia, corpus, or NAME for the
            project's own configs/data/NAME.yaml. Without it: synthetic, and english where there is
            real text.
        size: large trains bigger networks of English, a few minutes longer each; see
            configs/size/large.yaml.
        seed: Seed of weights and order; the data stay the same.
        jobs: Fits at a time, one thread each; one on each core by default.
        out: Folder for the tables of accuracies, their figures and the page of the gates.

    Raises:
        InputError: A configuration, the data or the store can't be used.
    """
    if data:
        names = [data]
    else:
        names, about_real_text = data_at_hand()
        echo(about_real_text)
    for name in names:  # before the fits, as a terminal can have one progress bar
        build_corpora(name)
    cells: Sequence[CellName] = [cell] if cell else get_args(CellName)
    plans = {
        f"{cell_name}-{name}": PlannedFit(name, cell_name, _arguments(name, cell_name, size, seed))
        for name, cell_name in product(names, cells)
    }
    results: dict[PlannedFit, FitResult] = {}
    failed: dict[str, str] = {}
    try:
        if len(plans) == 1 or jobs == 1:
            with FitProgress(len(plans), console()) as progress:
                for plan in plans.values():
                    results[plan] = run_fit(plan.arguments, progress)
        else:
            with process_pool(jobs) as pool:
                failed = run_jobs(
                    pool,
                    _run,
                    dict(reversed(plans.items())),  # those of English take longest
                    on_result=lambda name, result: results.update({plans[name]: result}),
                )
    finally:  # the finished fits are shown, even if one fails
        if results:
            _show({plan: results[plan] for plan in plans.values() if plan in results}, out)
    print_failures(failed)
    if failed:
        raise InputError(f"{len(failed)} of {len(plans)} fits failed, see above")


def _arguments(data: str, cell: CellName, size: Size, seed: int) -> tuple[str, ...]:
    files = ["trainer/default.yaml", f"cell/{cell}.yaml", f"data/{data}.yaml"]
    if size == "large" and data == ENGLISH:
        files.append("size/large.yaml")
    return *(f"--config={config_file(file)}" for file in files), f"--seed_everything={seed}"


def _run(plan: PlannedFit) -> FitResult:
    with FitProgress(1, Console(quiet=True, force_terminal=False)) as progress:
        return run_fit(plan.arguments, progress)


def _show(results: Mapping[PlannedFit, FitResult], out: Path) -> None:
    """Print one screen, and write all tables, figures and the page of the lecture's sentence."""
    table = pd.concat([result.table for result in results.values()], ignore_index=True)
    of_model = {result.table["model"].iloc[0]: plan.cell for plan, result in results.items()}
    written = ["accuracy.csv", "accuracy.png"]
    write_accuracy(table, out)
    suites = _suites([r for plan, r in results.items() if plan.data == ENGLISH], out)
    if suites is not None:
        written += ["suites.csv", "suites.png"]
    print_fits(table, of_model, suites)
    show_notes([*results.values()])
    paragraph(f"wrote {', '.join(f'{out}/{name}' for name in written)}")
    models = _explained_models(results)
    if models:
        explanations = [model.explain(LECTURE, with_roles=True) for model in models]
        text = page_of_models(explanations, models)
        path = out / "explain.html"
        write_file(path, lambda file: file.write_text(text, encoding="utf-8"))
        gated = [e for e in explanations if e.cell != "rnn"]
        if gated:
            paragraph(in_words(gated[0]))
        paragraph(f"watch the gates, type a sentence, take hold of them: {path}")


def _suites(results: Sequence[FitResult], out: Path) -> pd.DataFrame | None:
    """Score registered models on the suites, and write the tables; None without suites."""
    folder = Path(os.environ.get("MEMGATE_DATA", ""), "eval")
    models = {r.table["model"].iloc[0]: r.uri for r in results if r.uri is not None}
    if not models or not os.environ.get("MEMGATE_DATA") or not folder.is_dir():
        return None
    items = {name: load(name) for name in SUITES}
    parts = []
    for model, uri in models.items():
        model_files = model_folder(uri)
        predictor = Predictor.load(model_files)
        baselines = Baselines.load(model_files / BASELINES_FOLDER)
        for name, suite in items.items():
            part = suite_predictions(predictor, suite, baselines)
            part.insert(0, "model", model)
            part.insert(1, "suite", name)
            parts.append(part)
    predicted = pd.concat(parts, ignore_index=True)
    table = suite_accuracy(predicted)
    write_suites(table, out, predicted)
    return table


def _explained_models(results: Mapping[PlannedFit, FitResult]) -> list[ExplainedModel]:
    """Load the models of the first data, the GRU's first."""
    first = next(iter(results)).data
    uris = {plan.cell: r.uri for plan, r in results.items() if plan.data == first and r.uri}
    order = sorted(uris, key=CELLS_EXPLAINED.index)
    return [
        ExplainedModel.load(uris[cell].removeprefix("models:/"), model_folder(uris[cell]))
        for cell in order
    ]
