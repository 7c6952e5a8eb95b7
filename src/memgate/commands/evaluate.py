"""`memgate evaluate`: score models, and the baselines registered with them, on files and suites."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import datasets
import pandas as pd

from memgate import evaluation
from memgate.baselines.fitted import Baselines
from memgate.data import files
from memgate.data.sources import jsonl
from memgate.errors import InputError
from memgate.evaluation.items import one_quiet_thread
from memgate.evaluation.suites import loading
from memgate.predictor import BASELINES_FOLDER, BATCH_SIZE, Predictor
from memgate.reporting.accuracy import print_accuracy, write_accuracy
from memgate.reporting.console import alarm, echo, note
from memgate.reporting.evaluation_notes import EvaluationNote, evaluation_notes
from memgate.reporting.suites import print_suites, write_suites
from memgate.tracking.registry import versions
from memgate.tracking.registry.training_items import overlap_notes


class ScoredModel(NamedTuple):
    """A model that is scored.

    Attributes:
        name: Its URI, without ``models:/``.
        predictor: The network.
        baselines: The baselines registered with it, or None.
        folder: Where its files are.
    """

    name: str
    predictor: Predictor
    baselines: Baselines | None
    folder: Path


Score = Callable[[Predictor, datasets.Dataset, Baselines | None, int], pd.DataFrame]


def evaluate(
    models: Sequence[str] = (),
    /,
    *,
    data: Sequence[str] = (),
    suite: Sequence[str] = (),
    out: Path,
    on_error: jsonl.OnError = "stop",
    batch_size: int = BATCH_SIZE,
) -> None:
    """Score models and their baselines on agreement JSONL and on targeted suites.

    Args:
        models: models:/NAME@ALIAS, runs:/…/model or a folder; all champions if none is named.
        data: Agreement JSONL, files or globs; each file is a data set of its own.
        suite: blimp, marvin_linzen, colorless_green, lakretz or linzen; read from files below
            $MEMGATE_DATA.
        out: Folder of the results: accuracy.csv, predictions.parquet and accuracy.png of the
            files; suites.csv, suite_predictions.parquet and suites.png of the suites.
        on_error: What a bad row does: stop the command, or be skipped and counted.
        batch_size: Prefixes computed at once.

    Raises:
        InputError: A model, a file or a suite can't be used.
    """
    if batch_size < 1:
        raise InputError(f"--batch-size: expected at least 1, got {batch_size}")
    if not data and not suite:
        raise InputError("expected --data FILE or --suite NAME, got neither")
    one_quiet_thread()
    rows = {path: jsonl.read([path], on_error) for path in files.paths(data, jsonl.FORMAT)}
    names = _short_names(list(rows))
    items = {names[path]: table for path, table in rows.items()}
    suites = {name: loading.load(name) for name in dict.fromkeys(suite)}
    scored_models = _load(list(dict.fromkeys(models or _champions())))
    # Both are scored before one is shown, so that wrong input leaves nothing half-written.
    on_items = _score(scored_models, items, "data", evaluation.predictions, batch_size)
    on_suites = _score(scored_models, suites, "suite", evaluation.suite_predictions, batch_size)
    if on_items is not None:
        _show_items(on_items, items, out, _overlap(scored_models, on_items, "data", items))
    if on_suites is not None:
        _show_suites(on_suites, suites, out, _overlap(scored_models, on_suites, "suite", suites))


def _overlap(
    models: Sequence[ScoredModel],
    predicted: pd.DataFrame,
    kind: str,
    tables: Mapping[str, datasets.Dataset],
) -> list[str]:
    """Return a line for each model and data set that has items of the model's training split."""
    folders = {model.name: model.folder for model in models}
    lines = []
    for (name, data), rows in predicted.groupby(["model", kind], sort=False):
        model, keys = str(name), rows["item"]
        lines += overlap_notes(model, folders[model], str(data), keys, tables[str(data)])
    return lines


def _show_items(
    predicted: pd.DataFrame,
    items: Mapping[str, datasets.Dataset],
    out: Path,
    overlap: Sequence[str],
) -> None:
    table = evaluation.accuracy(predicted)
    write_accuracy(table, out, predicted)
    print_accuracy(table)
    _print_notes(evaluation_notes(predicted, "data", _sizes(items)))
    for line in overlap:
        echo(line)
    echo(f"wrote {out}/accuracy.csv, {out}/predictions.parquet, {out}/accuracy.png")


def _show_suites(
    predicted: pd.DataFrame,
    suites: Mapping[str, datasets.Dataset],
    out: Path,
    overlap: Sequence[str],
) -> None:
    table = evaluation.suite_accuracy(predicted)
    write_suites(table, out, predicted)
    print_suites(table)
    _print_notes(evaluation_notes(predicted, "suite", _sizes(suites)))
    for line in overlap:
        echo(line)
    echo(f"wrote {out}/suites.csv, {out}/suite_predictions.parquet, {out}/suites.png")


def _print_notes(notes: Sequence[EvaluationNote]) -> None:
    for text, is_alarm in notes:
        if is_alarm:
            alarm(text)
        else:
            note(text)


def _sizes(tables: Mapping[str, datasets.Dataset]) -> dict[str, int]:
    return {name: len(table) for name, table in tables.items()}


def _load(uris: Sequence[str]) -> list[ScoredModel]:
    names = [uri.removeprefix("models:/") for uri in uris]
    if len(set(names)) < len(names):
        raise InputError(f"expected models of different names, got {', '.join(uris)}")
    models = []
    for name, uri in zip(names, uris, strict=True):
        folder = versions.model_folder(uri)
        saved = folder / BASELINES_FOLDER
        baselines = Baselines.load(saved) if saved.is_dir() else None
        models.append(ScoredModel(name, Predictor.load(folder), baselines, folder))
        if baselines is None:
            echo(f"{name}: no baselines alongside it; `memgate fit` registers them with a model")
    return models


def _score(
    models: Sequence[ScoredModel],
    tables: Mapping[str, datasets.Dataset],
    kind: str,
    score: Score,
    batch_size: int,
) -> pd.DataFrame | None:
    """Return the predictions of every model and its baselines on every data set or suite.

    Returns:
        One row an item and model; None without data.

    Raises:
        InputError: No model can be scored on any of them.
    """
    if not tables:
        return None
    parts, faults = [], []
    for model in models:
        for name, table in tables.items():
            try:
                part = score(model.predictor, table, model.baselines, batch_size)
            except InputError as error:  # the task of one model may not fit data that others read
                faults.append(f"{name}: {model.name}: {error}")
                continue
            part.insert(0, "model", model.name)
            part.insert(1, kind, name)
            parts.append(part)
    if not parts:
        raise InputError(faults[0])
    for fault in faults:
        echo(f"left out: {fault}")
    return pd.concat(parts, ignore_index=True)


def _champions() -> list[str]:
    champions = versions.champions()
    if not champions:
        raise InputError(
            "expected a MODEL, or champions in the registry; `memgate train` makes them"
        )
    return champions


def _short_names(paths: Sequence[str]) -> dict[str, str]:
    """Name files by their stem; by their path where two stems are the same."""
    stems = {path: Path(path).name.split(".jsonl")[0] for path in paths}
    names = list(stems.values())
    return {path: stem if names.count(stem) == 1 else path for path, stem in stems.items()}
