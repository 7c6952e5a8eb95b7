"""How a run ends: accuracy told, gates read, tables and figures kept, a version registered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from memgate.baselines.fitted import Baselines
from memgate.data.datamodule import AgreementData
from memgate.errors import InputError
from memgate.evaluation import baseline_accuracy, predictions
from memgate.fitting.analysis import GateAnalysis, analyse_run, example_page
from memgate.fitting.configuration import AgreementCLI
from memgate.gates.drift import PROFILE, profile_hash
from memgate.gates.units.unit import NUMBER_UNITS
from memgate.metrics.accuracy import accuracy_table, left_out
from memgate.metrics.agreement import counts_frame
from memgate.metrics.systems import NETWORK, best_baseline
from memgate.predictor import BASELINES
from memgate.reporting import plots
from memgate.reporting.accuracy import left_out_notes, markdown, notes, print_accuracy
from memgate.tracking.registry.champion import champion_status
from memgate.tracking.registry.pairs import PREDICTIONS
from memgate.tracking.runs import RunLogger
from memgate.tracking.store import storing

STAGES = {"val": "validation", "test": "test"}
"""The split of each stage of Lightning's."""

FOLDERS = {".png": "figures/", ".html": ""}
"""Where a run keeps files of a kind; tables is the rest."""


@dataclass(frozen=True)
class Fitted:
    """What came of a fit.

    Attributes:
        table: Test accuracy of the model and its baselines: model, data, system, by, stratum, n,
            correct, accuracy, low, high.
        left_out: What the table's breakdowns leave out, in lines.
        model: Name and version in the registry; None where the fit wasn't tracked, or the store is
            away and the model waits for `memgate sync`.
        standing: Who is champion if it isn't, and what to type; else "".
    """

    table: pd.DataFrame
    left_out: list[str]
    model: str | None
    champion_status: str = ""


def finalize(
    cli: AgreementCLI,
    run: RunLogger | None,
    baselines: Baselines,
    val_accuracy: float,
    say: Callable[[str], object],
) -> Fitted:
    """Tabulate what was tested and, in a tracked run, read the gates, store and register.

    Args:
        cli: Its network was tested.
        run: The run, or None where nothing is tracked.
        baselines: Those of the training split.
        val_accuracy: Of the epoch that was tested, in [0, 1].
        say: Is told what is being done.

    Raises:
        InputError: Nothing was tested, or the store can't be used.
    """
    table, left_out = accuracy_of(cli, "test", baselines)
    fitted = Fitted(table, left_out, None)
    if run is None:
        return fitted
    findings = analyse_run(cli, say)
    if cli.trainer.is_global_zero:
        fitted = _store(cli, run, fitted, baselines, findings, val_accuracy)
    return fitted


def show(fitted: Fitted) -> None:
    """Print the accuracy, what its tables leave out, and what was registered."""
    print_accuracy(fitted.table)
    for line in fitted.left_out:
        print(line)
    if fitted.model:
        print(f"registered {fitted.model}; `make ui` shows the run")
    if fitted.champion_status:
        print(fitted.champion_status)


def accuracy_of(
    cli: AgreementCLI, stage: str, baselines: Baselines
) -> tuple[pd.DataFrame, list[str]]:
    """Tabulate a stage's counts and the baselines', and say what the table leaves out.

    Args:
        cli: Its network was scored.
        stage: ``val`` or ``test``.
        baselines: Those of the training split.

    Raises:
        InputError: Nothing was scored.
    """
    if stage not in cli.model.results:
        raise InputError(f"no item of the {stage} split was scored; is its limit of batches 0?")
    counts = counts_frame(cli.model.results[stage])
    data = f"{cli.datamodule.name} ({stage})"
    split = STAGES[stage]
    network = accuracy_table(counts)
    network.insert(0, "system", NETWORK)
    items = cli.datamodule.table(split)
    table = pd.concat([network, baseline_accuracy(baselines, items)], ignore_index=True)
    table.insert(0, "model", cli.run_name)
    table.insert(1, "data", data)
    n = int(counts["n"].sum())
    lines = [
        *_without_task(cli.datamodule, split, data),
        *left_out_notes(data, left_out(counts), n),
    ]
    if n < len(items):
        lines.append(f"{data}: the network was asked {n} of {len(items)} items, the baselines all")
    return table, [*lines, *notes(cli.datamodule.task)]


def _without_task(data: AgreementData, split: str, shown: str) -> list[str]:
    count, n = data.left_out[split], data.left_out[split] + len(data.splits[split])
    task = data.task
    return [f"{shown}: {count} of {n} items left out, without {task.needs}"][: count > 0]


def _store(
    cli: AgreementCLI,
    run: RunLogger,
    fitted: Fitted,
    baselines: Baselines,
    findings: GateAnalysis,
    val_accuracy: float,
) -> Fitted:
    """Log tables and figures and register the model; if that fails, the result is printed."""
    name = f"memgate-{cli.subject}"
    table, description = fitted.table, markdown(fitted.table, fitted.left_out)
    scores = {"val_accuracy": val_accuracy, **_test_scores(table)}
    predictor = cli.predictor()
    found = findings.files()
    files: dict[str, Callable[[Path], object]] = {
        "accuracy.csv": partial(table.to_csv, index=False),
        "accuracy.png": partial(plots.save, plots.accuracy_figure(table)),
        **found,
    }
    page = example_page(predictor, findings.units, cli.run_name)
    if page is not None:
        files["explain.html"] = partial(Path.write_text, data=page, encoding="utf-8")
    answered = predictions(predictor, cli.datamodule.splits["test"], baselines)
    keep: Callable[[Path], object] = partial(answered.to_parquet, index=False)
    files[PREDICTIONS] = keep
    beside = {BASELINES: baselines.save, PROFILE: found[PROFILE], PREDICTIONS: keep}
    if NUMBER_UNITS in found:
        beside[NUMBER_UNITS] = found[NUMBER_UNITS]
    tags = {**cli.tags, "gate_profile": profile_hash(findings.tables.profile)}
    try:
        with storing():
            run.log_files({_place(name): write for name, write in files.items()})
            run.describe(description)
            version = run.register(predictor, name, scores, tags, description, beside)
            return fitted if version is None else _registered(fitted, name, version)
    except InputError:
        print_accuracy(table)
        raise


def _registered(fitted: Fitted, name: str, version: str) -> Fitted:
    advice = champion_status(name, version)
    champion = "" if advice else " (champion)"
    return replace(fitted, model=f"{name} version {version}{champion}", champion_status=advice)


def _place(file: str) -> str:
    return FOLDERS.get(Path(file).suffix, "tables/") + file


def _test_scores(table: pd.DataFrame) -> dict[str, float]:
    """Return the test accuracy, and that of the best baseline."""
    overall = table[table["by"] == "overall"].set_index("system")["accuracy"]
    scores = {"test_accuracy": float(overall[NETWORK])}
    best = best_baseline(table)
    return scores if best is None else {**scores, "test_accuracy_best_baseline": best.accuracy}
