"""The real text that a fit can be trained on, and corpora that are built before the first fit."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import datasets
import yaml

from memgate.data.corpora import dumps, parsing
from memgate.data.corpora.corpus import SHARDS, Corpus
from memgate.errors import InputError
from memgate.fitting.config_files import config_file
from memgate.reporting.console import echo


def data_at_hand() -> tuple[list[str], str]:
    """Return the names of the data that can be trained on, and a line about the real text.

    Raises:
        InputError: ``MEMGATE_DATA`` names a folder without ``corpus/``.
    """
    folder = os.environ.get("MEMGATE_DATA")
    if folder:
        if not Path(folder, "corpus").is_dir():
            raise InputError(f"MEMGATE_DATA={folder}: expected a folder with corpus/, found none")
        return ["synthetic", "corpus"], f"real text: the files in MEMGATE_DATA={folder}"
    more = "MEMGATE_DATA=/path/to/corpora gives more (corpus/, ud/, linzen/)"
    wikipedia = _corpus("wikipedia")
    can_be_built = parsing.is_installed() and dumps.is_installed()
    if can_be_built or (wikipedia is not None and wikipedia.finished()):
        line = f"real text: Wikipedia articles from gensim's package; {more}"
        return ["synthetic", "wikipedia"], line
    line = f"real text: none; pip install 'memgate[corpus]' brings Wikipedia articles; {more}"
    return ["synthetic"], line


def build_corpus(name: str) -> None:
    """Build the corpus that a configuration of data names, unless it is built already."""
    corpus = _corpus(name)
    if corpus is not None and not corpus.finished():
        echo(f"{corpus.folder}: built once, before the fits")
        build(corpus)


def _corpus(name: str) -> Corpus | None:
    """Return the corpus of a configuration; None if it has another source or none that works."""
    try:
        text = config_file(f"data/{name}.yaml").read_text(encoding="utf-8")
        source = yaml.safe_load(text)["data"]["source"]
        is_corpus = source["class_path"] == f"{Corpus.__module__}.{Corpus.__qualname__}"
        return Corpus(**source["init_args"]) if is_corpus else None
    except (OSError, KeyError, TypeError, yaml.YAMLError, InputError):
        return None  # the fit reports what is wrong, and where


def build(corpus: Corpus) -> None:
    """Build a corpus; if that is interrupted, print how to resume."""
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        corpus.build()
    except KeyboardInterrupt:
        done = len(list((corpus.folder / SHARDS).glob("*.parquet")))
        advice = f"stopped; the same command resumes ({done} parts are done)"
        echo(advice, err=True)
        raise
