"""`memgate train`: the main job."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from memgate.commands import corpus
from memgate.commands.conclusion import Fitted
from memgate.commands.fit import run_fit
from memgate.commands.progress import FitProgress
from memgate.commands.report import console, print_accuracy, write_accuracy
from memgate.data import parsing
from memgate.data.corpus import Corpus
from memgate.errors import InputError
from memgate.models.classifier import RECURRENCE

CELLS = tuple(RECURRENCE)


def train(cell: str | None, data: str | None, seed: int, configs: Path, out: Path) -> None:
    """Train every cell on synthetic and on real text, track, register and score each.

    Args:
        cell: Only this cell, or None for all.
        data: ``synthetic``, ``wikipedia`` or ``corpus``; None for the first and one of the others.
        seed: Seed of weights and order; the data stay the same.
        configs: Folder with ``cell/``, ``data/`` and ``trainer/``.
        out: Folder of the closing table, ``accuracy.csv``, and its figure, ``accuracy.png``.

    Raises:
        InputError: A configuration, the data or the store can't be used.
    """
    if not configs.is_dir():
        raise InputError(f"{configs}: expected memgate's configurations, found no such folder")
    names = [data] if data else data_at_hand(configs)
    for name in names:  # before the fits: in one terminal there can be one bar
        make_corpus(configs, name)
    jobs = [(name, one) for name in names for one in ([cell] if cell else CELLS)]
    fitted: list[Fitted] = []
    try:
        with FitProgress(len(jobs), console()) as progress:
            for name, one in jobs:
                files = ("trainer/default.yaml", f"cell/{one}.yaml", f"data/{name}.yaml")
                args = [part for file in files for part in ("--config", str(configs / file))]
                fitted.append(run_fit([*args, f"--seed_everything={seed}"], progress))
    finally:  # what is done is shown, even where a later fit fails
        if fitted:
            _show(fitted, out)


def _show(fitted: Sequence[Fitted], out: Path) -> None:
    table = pd.concat([one.table for one in fitted], ignore_index=True)
    print_accuracy(table)
    for line in dict.fromkeys(line for one in fitted for line in one.left_out):
        print(line)
    write_accuracy(table, out)
    registered = [one.model for one in fitted if one.model]
    if registered:
        print("registered " + ", ".join(registered))
    for line in filter(None, (one.standing for one in fitted)):
        print(line)
    print(f"wrote {out}/accuracy.csv, {out}/accuracy.png; `make ui` shows the runs and the models")


def data_at_hand(configs: Path) -> list[str]:
    """Choose the data: synthetic, and the real text that can be had; one line says which."""
    folder = os.environ.get("MEMGATE_DATA")
    if folder:
        if not Path(folder, "corpus").is_dir():
            raise InputError(f"MEMGATE_DATA={folder}: expected a folder with corpus/, found none")
        return ["synthetic", "corpus"]
    more = "MEMGATE_DATA=/path/to/corpora gives 67,000 items (corpus/, ud/, linzen/)"
    wikipedia = _corpus(configs, "wikipedia")
    can_be_made = parsing.is_installed() and parsing.has_package("gensim")
    if can_be_made or (wikipedia is not None and wikipedia.finished()):
        print(f"real text: 6,362 items of Wikipedia, from gensim's package; {more}")
        return ["synthetic", "wikipedia"]
    print(f"real text: left out; pip install 'memgate[corpus]' brings Wikipedia articles; {more}")
    return ["synthetic"]


def make_corpus(configs: Path, name: str) -> None:
    """Make the corpus that a configuration of data names, unless it is there."""
    made = _corpus(configs, name)
    if made is not None and not made.finished():
        print(f"{made.folder}: made once, before the fits", flush=True)
        corpus.build(made)


def _corpus(configs: Path, name: str) -> Corpus | None:
    """Return the corpus of a configuration; None if it has another source or none that works."""
    try:
        text = (configs / "data" / f"{name}.yaml").read_text(encoding="utf-8")
        source = yaml.safe_load(text)["data"]["source"]
        is_corpus = source["class_path"] == f"{Corpus.__module__}.{Corpus.__qualname__}"
        return Corpus(**source["init_args"]) if is_corpus else None
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return None  # the fit says what is wrong, and where
