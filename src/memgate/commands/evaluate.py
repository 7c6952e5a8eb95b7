"""`memgate evaluate`: score models on agreement JSONL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import datasets
import pandas as pd
import torch

from memgate import evaluation
from memgate.commands.report import print_accuracy, say_left_out, write_accuracy
from memgate.data import files, jsonl
from memgate.errors import InputError
from memgate.predictor import BATCH_SIZE
from memgate.tracking import registry

FOREIGN = 0.1
"""Share of unknown words above which a text is unlike what the model was trained on: the models of
`make train` don't know 4% of the words of the real test files."""


def evaluate(
    models: Sequence[str],
    data: Sequence[str],
    out: Path,
    on_error: jsonl.OnError = "stop",
    batch_size: int = BATCH_SIZE,
) -> None:
    """Score models on files, print a table and write it.

    Writes ``accuracy.csv``, ``predictions.parquet`` and ``accuracy.png`` into `out`, all three or,
    where something is wrong, none.

    Args:
        models: MLflow model URIs or folders; the champions if none is named.
        data: Files of agreement JSONL, or globs; each file is a data set of its own.
        out: Folder of the results; made where it is missing.
        on_error: ``stop`` at the first bad row, or ``skip`` bad rows.
        batch_size: Prefixes computed at once.

    Raises:
        InputError: A model or a file can't be used.
    """
    if batch_size < 1:
        raise InputError(f"--batch-size: expected at least 1, got {batch_size}")
    datasets.disable_progress_bars()
    torch.set_num_threads(1)  # small cells: two threads on busy cores lose (TRAPS: 7 s, then 35)
    items = {path: jsonl.read([path], on_error) for path in files.paths(data, jsonl.WHAT)}
    predicted = _predictions(list(dict.fromkeys(models or _champions())), items, batch_size)
    table = evaluation.accuracy(predicted)
    write_accuracy(table, out, predicted)
    print_accuracy(table)
    _say_left_out(predicted)
    print(f"wrote {out}/accuracy.csv, {out}/predictions.parquet, {out}/accuracy.png")


def _predictions(
    models: Sequence[str], items: Mapping[str, datasets.Dataset], batch_size: int
) -> pd.DataFrame:
    """Return the predictions of every model on every file, one row each."""
    names = _short_names(list(items))
    shown = [uri.removeprefix("models:/") for uri in models]
    if len(set(shown)) < len(shown):
        raise InputError(f"expected models of different names, got {', '.join(models)}")
    parts = []
    for uri in models:
        predictor = registry.load_predictor(uri)
        for path, rows in items.items():
            part = evaluation.predictions(predictor, rows, batch_size)
            part.insert(0, "model", uri.removeprefix("models:/"))
            part.insert(1, "data", names[path])
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _champions() -> list[str]:
    champions = registry.champions()
    if not champions:
        raise InputError("expected a MODEL, or champions in the registry; `make train` makes them")
    return champions


def _short_names(paths: Sequence[str]) -> dict[str, str]:
    """Name files by their stem; by their path where two stems are the same."""
    stems = {path: Path(path).name.split(".jsonl")[0] for path in paths}
    taken = list(stems.values())
    return {path: stem if taken.count(stem) == 1 else path for path, stem in stems.items()}


def _say_left_out(predicted: pd.DataFrame) -> None:
    for (data,), rows in predicted.groupby(["data"], sort=False):
        one_model = rows[rows["model"] == rows["model"].iloc[0]]
        for line in say_left_out(str(data), evaluation.unknown(one_model), len(one_model)):
            print(line)
        for model, items in rows.groupby("model", sort=False):
            unread = int((~items["known_word"]).sum())
            if unread:
                print(f"{data}: {unread} items without a word that {model} knows, read as <unk>")
            unknown = float(items["unknown"].mean())
            if unknown > FOREIGN:
                print(f"{data}: {model} doesn't know {100 * unknown:.0f}% of the words (<unk>)")
