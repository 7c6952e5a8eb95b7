"""`memgate evaluate`: score models, and the baselines beside them, on files and on suites."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import datasets
import pandas as pd

from memgate import evaluation
from memgate.baselines.fitted import Baselines
from memgate.data import files
from memgate.data.items.tasks import GRAMMATICALITY
from memgate.data.sources import jsonl
from memgate.errors import InputError
from memgate.evaluation.items import one_quiet_thread
from memgate.evaluation.suites import loading
from memgate.predictor import BASELINES_FOLDER, BATCH_SIZE, Predictor
from memgate.reporting.accuracy import left_out_notes, notes, print_accuracy, write_accuracy
from memgate.reporting.suites import print_suites, write_suites
from memgate.tracking.registry import versions

FOREIGN = 0.1
"""Share of unknown words above which a text is unlike what the model was trained on: the models of
`make train` don't know 4% of the words of the real test files."""


class Model(NamedTuple):
    """A model that is scored.

    Attributes:
        name: Its URI, without ``models:/``.
        predictor: The network.
        baselines: Those that were registered with it, or None.
    """

    name: str
    predictor: Predictor
    baselines: Baselines | None


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
    _prepare(data, suite, batch_size)
    rows = {path: jsonl.read([path], on_error) for path in files.paths(data, jsonl.FORMAT)}
    names = _short_names(list(rows))
    items = {names[path]: found for path, found in rows.items()}
    constructed = {name: loading.load(name) for name in dict.fromkeys(suite)}
    loaded = _load(list(dict.fromkeys(models or _champions())))
    both = (
        ("data", items, evaluation.predictions, _show_data),
        ("suite", constructed, evaluation.suite_predictions, _show_suites),
    )
    jobs = [job for job in both if job[1]]
    found = [_score(loaded, some, kind, score, batch_size) for kind, some, score, _ in jobs]
    for predicted, (_, some, _, show) in zip(found, jobs, strict=True):
        show(predicted, some, out)


def _prepare(data: Sequence[str], suite: Sequence[str], batch_size: int) -> None:
    if batch_size < 1:
        raise InputError(f"--batch-size: expected at least 1, got {batch_size}")
    if not data and not suite:
        raise InputError("expected --data FILE or --suite NAME, got neither")
    one_quiet_thread()


def _show_data(predicted: pd.DataFrame, items: Mapping[str, datasets.Dataset], out: Path) -> None:
    table = evaluation.accuracy(predicted)
    write_accuracy(table, out, predicted)
    print_accuracy(table)
    _print_left_out(predicted, "data", items)
    print(f"wrote {out}/accuracy.csv, {out}/predictions.parquet, {out}/accuracy.png")


def _show_suites(predicted: pd.DataFrame, items: Mapping[str, datasets.Dataset], out: Path) -> None:
    table = evaluation.suite_accuracy(predicted)
    write_suites(table, out, predicted)
    print_suites(table)
    _print_left_out(predicted, "suite", items)
    print(f"wrote {out}/suites.csv, {out}/suite_predictions.parquet, {out}/suites.png")


def _load(uris: Sequence[str]) -> list[Model]:
    names = [uri.removeprefix("models:/") for uri in uris]
    if len(set(names)) < len(names):
        raise InputError(f"expected models of different names, got {', '.join(uris)}")
    models = []
    for name, uri in zip(names, uris, strict=True):
        folder = versions.model_folder(uri)
        beside = folder / BASELINES_FOLDER
        baselines = Baselines.load(beside) if beside.is_dir() else None
        models.append(Model(name, Predictor.load(folder), baselines))
        if baselines is None:
            print(f"{name}: no baselines beside it; `memgate fit` registers them with a model")
    return models


def _score(
    models: Sequence[Model],
    items: Mapping[str, datasets.Dataset],
    kind: str,
    score: Score,
    batch_size: int,
) -> pd.DataFrame:
    """Return what every model and its baselines say of every data set or suite.

    Raises:
        InputError: No model can be scored on any.
    """
    parts, faults = [], []
    for model in models:
        for name, rows in items.items():
            try:
                part = score(model.predictor, rows, model.baselines, batch_size)
            except InputError as error:  # one model's task may not fit data that others read
                faults.append(f"{name}: {model.name}: {error}")
                continue
            part.insert(0, "model", model.name)
            part.insert(1, kind, name)
            parts.append(part)
    if not parts:
        raise InputError(faults[0])
    for fault in faults:
        print(f"left out: {fault}")
    return pd.concat(parts, ignore_index=True)


def _champions() -> list[str]:
    champions = versions.champions()
    if not champions:
        raise InputError("expected a MODEL, or champions in the registry; `make train` makes them")
    return champions


def _short_names(paths: Sequence[str]) -> dict[str, str]:
    """Name files by their stem; by their path where two stems are the same."""
    stems = {path: Path(path).name.split(".jsonl")[0] for path in paths}
    taken = list(stems.values())
    return {path: stem if taken.count(stem) == 1 else path for path, stem in stems.items()}


def _print_left_out(
    predicted: pd.DataFrame, kind: str, items: Mapping[str, datasets.Dataset]
) -> None:
    for (name,), rows in predicted.groupby([kind], sort=False):
        if kind == "data":
            said = [
                left_out_notes(str(name), evaluation.count_left_out(of_model), len(of_model))
                for _, of_model in rows.groupby("model", sort=False)
            ]
            for line in dict.fromkeys(line for lines in said for line in lines):
                print(line)
        for model, scored in rows.groupby("model", sort=False):
            for line in _faults(str(model), scored, len(items[str(name)])):
                print(f"{name}: {line}")


def _faults(model: str, scored: pd.DataFrame, n: int) -> list[str]:
    """Say what makes the accuracy of a model on a data set mean less than it seems."""
    lines = []
    if len(scored) < n:
        lines.append(f"{n - len(scored)} of {n} items lack what {model} reads")
    unread = int((~scored["known_word"]).sum())
    if unread:
        lines.append(f"{unread} items without a word that {model} knows, read as <unk>")
    if "p_right_second" in scored:
        ties = int((scored["p_right"] == scored["p_right_second"]).sum())
        if ties:
            lines.append(f"{ties} pairs that {model} reads alike, half of them counted as right")
    if set(scored["answer"]) <= set(GRAMMATICALITY.answers):
        lines += notes(GRAMMATICALITY)
    unknown = float(scored["unknown"].mean())
    if unknown > FOREIGN:
        lines.append(f"{model} doesn't know {100 * unknown:.0f}% of the words (<unk>)")
    return lines
