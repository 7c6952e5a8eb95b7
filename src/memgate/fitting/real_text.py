"""The real text that a fit can be had on: which there is, and corpora made before the first fit."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import datasets
import yaml

from memgate.data.corpora import parsing
from memgate.data.corpora.corpus import SHARDS, Corpus
from memgate.errors import InputError


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
        build(made)


def _corpus(configs: Path, name: str) -> Corpus | None:
    """Return the corpus of a configuration; None if it has another source or none that works."""
    try:
        text = (configs / "data" / f"{name}.yaml").read_text(encoding="utf-8")
        source = yaml.safe_load(text)["data"]["source"]
        is_corpus = source["class_path"] == f"{Corpus.__module__}.{Corpus.__qualname__}"
        return Corpus(**source["init_args"]) if is_corpus else None
    except (OSError, KeyError, TypeError, yaml.YAMLError):
        return None  # the fit says what is wrong, and where


def build(made: Corpus) -> None:
    """Make a corpus that isn't there; where it is interrupted, say how to go on.

    Raises:
        InputError: As `Corpus.build`.
    """
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        made.build()
    except KeyboardInterrupt:
        done = len(list((made.folder / SHARDS).glob("*.parquet")))
        told = f"stopped; the same command goes on where it was ({done} parts are done)"
        print(told, file=sys.stderr)
        raise
