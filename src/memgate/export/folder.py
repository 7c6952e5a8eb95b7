"""A model as a folder for others: weights, vocabulary, tables, figures and the model card."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from huggingface_hub import ModelCard

from memgate.data.tag_lexicon import TAG_LEXICON_FILE
from memgate.data.vocabulary import TOKENIZER_FILE
from memgate.errors import InputError
from memgate.evaluation import accuracy, count_left_out
from memgate.evaluation.items import PREDICTIONS, read_predictions
from memgate.export.card import LIBRARY, UNKNOWN, Facts, card, is_grammar
from memgate.export.onnx import save_onnx
from memgate.gates.drift import PROFILE, read_profile
from memgate.gates.units.number_units import NumberUnits
from memgate.gates.units.unit import NUMBER_UNITS
from memgate.predictor import BASELINES_FOLDER, CONFIG, WEIGHTS, Predictor
from memgate.reporting import plots
from memgate.reporting.accuracy import left_out_notes, notes
from memgate.tracking.registry.origin import ORIGIN, Origin, fetch_artifact, origin_of
from memgate.tracking.registry.training_items import TRAINING_ITEMS

CARD, ONNX, ACCURACY = "README.md", "model.onnx", "accuracy.csv"

SIDECARS = (BASELINES_FOLDER, PROFILE, NUMBER_UNITS, PREDICTIONS, TRAINING_ITEMS)
"""Files and folders that are copied from the model's folder if they are there."""

FILES = frozenset(
    {WEIGHTS, CONFIG, TOKENIZER_FILE, TAG_LEXICON_FILE, *SIDECARS, ORIGIN, CARD, ONNX, ACCURACY}
    | {"accuracy.png", "profile.png", "number_units.png"}
)
"""Names of everything that an export may hold."""

SCORED_COLUMNS = ("label", "correct", "intervening", "attractors", "condition")
"""Columns of predictions that an accuracy table needs."""

Writers = dict[str, Callable[[Path], object]]
"""For each file name the function that writes the file to a path."""


def read_facts(model: str, folder: Path, licence: str | None, address: str) -> Facts:
    """Return the facts about a model, from its folder and from the run that trained it.

    Args:
        model: The model's URI or folder as the user wrote it.
        folder: Its folder on this machine.
        licence: The Hub's identifier of its licence. None means that of the earlier export which
            `model` is, else Apache-2.0 for items of memgate's grammar, else ``unknown``.
        address: Its address on the Hub, ``hf://owner/name``.

    Raises:
        InputError: The folder holds no model, or a file in it is damaged.
    """
    predictor = Predictor.load(folder)
    run = origin_of(folder)
    name = _name(model, folder, run) or f"{LIBRARY}-{predictor.classifier.cell}"
    table, left_out = _accuracy(folder, run, name)
    profile, units = folder / PROFILE, folder / NUMBER_UNITS
    from_grammar = run is not None and is_grammar(run)
    return Facts(
        name,
        predictor,
        table,
        [*left_out, *notes(predictor.task)],
        read_profile(profile) if profile.is_file() else None,
        NumberUnits.load(units) if units.is_file() else None,
        run,
        licence or _licence(folder) or ("apache-2.0" if from_grammar else UNKNOWN),
        address,
    )


def write_export(out: Path, facts: Facts, folder: Path, onnx: bool) -> list[str]:
    """Write an export or replace one, whole or not at all, and return the names of its files.

    Raises:
        InputError: The folder can't be written.
    """
    writers = _writers(facts, folder, onnx)
    text = card(facts, writers.keys())
    writers[CARD] = lambda path: path.write_text(text, encoding="utf-8")
    try:
        _write(out.resolve(), writers)
    except OSError as error:
        raise InputError(f"{out}: expected a folder to write to, got: {error}") from error
    return sorted(writers)


def _name(model: str, folder: Path, run: Origin | None) -> str | None:
    """Return the registered name, or the earlier card's title, or the run's name."""
    registered = re.match(r"models:/([^/@]+)", model)
    if registered and not registered[1].startswith("m-"):  # m-…: the id of a logged model
        return registered[1]
    path = folder / CARD
    if path.is_file():
        title = re.search(r"^# (\S.*)$", path.read_text("utf-8", errors="replace"), re.M)
        if title:
            return title[1]
    return None if run is None else run.name


def _licence(folder: Path) -> str | None:
    """Return the licence that an earlier export's card names."""
    path = folder / CARD
    return ModelCard.load(path).data.license if path.is_file() and _is_card(path) else None


def _accuracy(folder: Path, run: Origin | None, name: str) -> tuple[pd.DataFrame | None, list[str]]:
    """Return the accuracy on the model's test split, and which items its breakdowns leave out."""
    data = f"{run.splits[0].data} (test)" if run is not None and run.splits else "its test split"
    path = folder / PREDICTIONS
    if path.is_file():
        predicted = read_predictions(path, SCORED_COLUMNS).assign(model=name, data=data)
        return accuracy(predicted), left_out_notes(data, count_left_out(predicted), len(predicted))
    table = None if run is None else fetch_artifact(run, f"tables/{ACCURACY}")
    # Models of earlier versions have no file of predictions.
    return (None, []) if table is None else (pd.read_csv(table).assign(model=name), [])


def _writers(facts: Facts, folder: Path, onnx: bool) -> Writers:
    """Return the writers of all files but the card."""
    writers: Writers = {WEIGHTS: lambda path: facts.predictor.save(path.parent)}
    with_weights = [CONFIG, TOKENIZER_FILE]
    if facts.predictor.vocabulary.lexicon is not None:
        with_weights.append(TAG_LEXICON_FILE)
    writers |= dict.fromkeys(with_weights, lambda _: None)
    for name in SIDECARS:
        if (folder / name).is_dir():
            writers[name] = partial(shutil.copytree, folder / name, copy_function=shutil.copyfile)
        elif (folder / name).is_file():
            writers[name] = partial(shutil.copyfile, folder / name)
    if facts.origin is not None:
        writers[ORIGIN] = facts.origin.save
    if facts.accuracy is not None:
        writers[ACCURACY] = partial(facts.accuracy.to_csv, index=False)
        writers["accuracy.png"] = partial(plots.save, plots.accuracy_figure(facts.accuracy))
    if facts.profile is not None and not facts.profile.empty:
        writers["profile.png"] = partial(plots.save, plots.profile_figure(facts.profile))
    if facts.units is not None:
        units = facts.units
        figure = plots.number_units_figure(units.unit_table, units.sets, units.probe)
        writers["number_units.png"] = partial(plots.save, figure)
    if onnx:
        probability = f"p_{facts.predictor.task.words[1]}"
        writers[ONNX] = lambda path: save_onnx(facts.predictor.classifier, path, probability)
    return writers


def is_export(out: Path) -> bool:
    """Return whether a folder is an earlier export; false if it is missing or empty.

    Raises:
        InputError: It is a file, or a folder that holds something else.
    """
    if not out.exists():
        return False
    if not out.is_dir():
        raise InputError(f"{out}: expected a folder, got a file")
    names = {path.name for path in out.iterdir()}
    if not names:
        return False
    others = sorted(names - FILES)
    if others or CARD not in names or not _is_card(out / CARD):
        unexpected = others[0] if others else "files that aren't an export's"
        raise InputError(
            f"{out}: expected no folder, an empty one or an earlier export, got one with "
            f"{unexpected}"
        )
    return True


def _is_card(path: Path) -> bool:
    try:
        return bool(ModelCard.load(path, ignore_metadata_errors=True).data.library_name == LIBRARY)
    except (OSError, ValueError):
        return False


def _write(out: Path, writers: Writers) -> None:
    """Write all files into a temporary folder, and move it to `out` when they are complete."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as name:
        new, old = Path(name, "new"), Path(name, "old")
        new.mkdir()
        for file, write in writers.items():
            write(new / file)
        if out.exists():
            out.rename(old)
        try:
            new.rename(out)
        except OSError:
            if old.exists():
                old.rename(out)
            raise
