"""The end of a fit: tabulate accuracies, analyse gates, log artifacts, register a version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from memgate.baselines.fitted import Baselines
from memgate.errors import InputError
from memgate.evaluation import baseline_accuracy, predictions
from memgate.evaluation.items import PREDICTIONS
from memgate.fitting.analysis import OF_MODEL, Artifact, GateAnalysis, analyse
from memgate.fitting.configuration import Fit
from memgate.gates.drift import profile_hash
from memgate.metrics.accuracy import accuracy_table, left_out
from memgate.metrics.agreement import counts_frame
from memgate.metrics.systems import NETWORK, best_baseline
from memgate.predictor import BASELINES_FOLDER
from memgate.reporting import plots
from memgate.reporting.accuracy import left_out_notes, notes, print_accuracy
from memgate.reporting.console import echo, paragraph
from memgate.reporting.run_description import run_description
from memgate.tracking.registry.champion import champion_status
from memgate.tracking.registry.training_items import TRAINING_ITEMS, save_training_items
from memgate.tracking.runs import RunLogger
from memgate.tracking.store import storing

SPLIT_OF_STAGE = {"val": "validation", "test": "test"}

FOLDERS = {".png": "figures/", ".html": ""}
"""The folder of a run for artifacts of a suffix; all others are in ``tables/``."""


@dataclass(frozen=True)
class FitResult:
    """The result of a fit.

    Attributes:
        table: Test accuracy of the model and its baselines: model, data, system, by, stratum, n,
            correct, accuracy, low, high.
        notes: Lines that belong to the table, such as how many items it omits.
        model: Name and version in the registry; None where the fit isn't tracked, or the store is
            away and the model waits for `memgate sync`.
        uri: ``models:/NAME/VERSION`` of the same.
        champion_status: Which version is champion, and the command that promotes this one; "" if
            this one is.
    """

    table: pd.DataFrame
    notes: list[str]
    model: str | None = None
    uri: str | None = None
    champion_status: str = ""


def finalize(
    fit: Fit, baselines: Baselines, val_accuracy: float, report: Callable[[str], object]
) -> FitResult:
    """Tabulate a tested fit and, if it is tracked, analyse its gates, log and register it.

    The validation accuracy is that of the epoch that was tested.

    Raises:
        InputError: Nothing was tested, or the store can't be used.
    """
    table, lines = accuracy_of(fit, "test", baselines)
    if fit.run is None:
        return FitResult(table, lines)
    analysis = None
    if fit.analyse_gates:
        device = fit.trainer.strategy.root_device
        analysis = analyse(
            # Apple's GPUs can't add up in double precision.
            fit.predictor("cpu" if device.type == "mps" else device),
            fit.data.table("validation"),
            fit.data.table("test"),
            name=fit.name,
            batches=fit.data.test_dataloader(),
            strategy=fit.trainer.strategy,
            report=report,
        )
    if analysis is not None and analysis.no_units_reason:
        lines.append(f"{fit.name}: no number units: {analysis.no_units_reason}")
    result = FitResult(table, lines)
    if not fit.trainer.is_global_zero:
        return result
    return _store(fit, fit.run, result, baselines, analysis, val_accuracy)


def show(results: Sequence[FitResult]) -> pd.DataFrame:
    """Print accuracies, notes and the names of registered models; return all accuracies."""
    table = pd.concat([result.table for result in results], ignore_index=True)
    print_accuracy(table)
    show_notes(results)
    return table


def show_notes(results: Sequence[FitResult]) -> None:
    """Print what belongs to the accuracies, and the names of registered models."""
    for note in dict.fromkeys(note for result in results for note in result.notes):
        echo(note)
    registered = [result.model for result in results if result.model]
    if registered:
        paragraph(f"registered {', '.join(registered)}; `memgate ui` shows the runs")
    for result in results:
        if result.champion_status:
            echo(result.champion_status)


def accuracy_of(fit: Fit, stage: str, baselines: Baselines) -> tuple[pd.DataFrame, list[str]]:
    """Tabulate the counts of a stage (``val`` or ``test``) and the baselines, with notes.

    Raises:
        InputError: Nothing was scored.
    """
    if stage not in fit.module.results:
        raise InputError(f"no item of the {stage} split was scored; is its limit of batches 0?")
    counts = counts_frame(fit.module.results[stage])
    name = f"{fit.data.name} ({stage})"
    split = SPLIT_OF_STAGE[stage]
    network = accuracy_table(counts)
    network.insert(0, "system", NETWORK)
    items = fit.data.table(split)
    table = pd.concat([network, baseline_accuracy(baselines, items)], ignore_index=True)
    table.insert(0, "model", fit.name)
    table.insert(1, "data", name)
    n = int(counts["n"].sum())
    lines = left_out_notes(name, left_out(counts), n)
    omitted = fit.data.left_out[split]
    if omitted:
        total = omitted + len(fit.data.splits[split])
        needs = fit.data.task.needs
        lines.insert(0, f"{name}: {omitted} of {total} items left out, without {needs}")
    if n < len(items):
        lines.append(
            f"{name}: the network was evaluated on {n} of {len(items)} items, the baselines on all"
        )
    return table, [*lines, *notes(fit.data.task)]


def _store(
    fit: Fit,
    run: RunLogger,
    result: FitResult,
    baselines: Baselines,
    analysis: GateAnalysis | None,
    val_accuracy: float,
) -> FitResult:
    """Log the artifacts and register the model; if that fails, the accuracies are printed."""
    predictor = fit.predictor()
    predicted = predictions(predictor, fit.data.splits["test"], baselines)
    figure = plots.accuracy_figure(result.table)
    artifacts = [
        Artifact.csv("accuracy.csv", result.table),
        Artifact("accuracy.png", lambda path: plots.save(figure, path)),
        Artifact.parquet(PREDICTIONS, predicted),
        *([] if analysis is None else analysis.artifacts()),
    ]
    in_model_folder = {
        artifact.name: artifact.write
        for artifact in [Artifact(BASELINES_FOLDER, baselines.save), *artifacts]
        if artifact.name in {BASELINES_FOLDER, PREDICTIONS, *OF_MODEL}
    }
    in_model_folder[TRAINING_ITEMS] = partial(save_training_items, fit.data.table("train"))
    tags = dict(fit.tags)
    if analysis is not None:
        tags["gate_profile"] = profile_hash(analysis.tables.profile)
    paths = {
        file.name: FOLDERS.get(Path(file.name).suffix, "tables/") + file.name for file in artifacts
    }
    description = run_description(
        _network(fit),
        result.table,
        result.notes,
        None if analysis is None else analysis.tables.profile,
        {
            name: run.address(path)
            for name, path in sorted(paths.items(), key=lambda item: "/" in item[1])
            if Path(name).suffix in FOLDERS
        },
    )
    scores = {"val_accuracy": val_accuracy, **_test_scores(result.table)}
    try:
        with storing():
            run.log_files({paths[file.name]: file.write for file in artifacts})
            run.describe(description)
            version = run.register(
                predictor, fit.model_name, scores, tags, description, in_model_folder
            )
            if version is None:
                return result
            status = champion_status(fit.model_name, version)
    except InputError:
        print_accuracy(result.table)
        raise
    model = f"{fit.model_name} version {version}{'' if status else ' (champion)'}"
    uri = f"models:/{fit.model_name}/{version}"
    return replace(result, model=model, uri=uri, champion_status=status)


def _network(fit: Fit) -> str:
    """Return in a sentence what was trained, and on what."""
    classifier, data = fit.module.classifier, fit.data
    cell, units = (classifier.config[name] for name in ("cell", "hidden_size"))
    network = f"{cell.upper()} of {units} units"
    if not fit.module.epochs:
        return f"{network} with hand-set weights (task: {data.task.name})."
    return (
        f"{network}, trained on {len(data.splits['train']):,} items of {data.name} for "
        f"{fit.module.epochs} epochs (task: {data.task.name}, seed: {data.seed})."
    )


def _test_scores(table: pd.DataFrame) -> dict[str, float]:
    """Return the test accuracy, and that of the best baseline."""
    overall = table[table["by"] == "overall"].set_index("system")["accuracy"]
    scores = {"test_accuracy": float(overall[NETWORK])}
    best = best_baseline(table)
    return scores if best is None else {**scores, "test_accuracy_best_baseline": best.accuracy}
