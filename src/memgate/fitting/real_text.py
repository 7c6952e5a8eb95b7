"""The real text that a fit can be trained on, and corpora that are built before the first fit."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import datasets
import yaml

from memgate.data.corpora import dumps, parsing
from memgate.data.corpora.corpus import SHARDS, Corpus
from memgate.data.sources.joined import Joined
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
        return ["synthetic", "english"], f"real text: the files in MEMGATE_DATA={folder}"
    more = "MEMGATE_DATA=/path/to/corpora gives more (corpus/, ud/, linzen/)"
    can_be_built = parsing.is_installed() and dumps.is_installed()
    if can_be_built or all(corpus.finished() for corpus in _corpora("english")):
        line = f"real text: Wikipedia articles from gensim's package; {more}"
        return ["synthetic", "english"], line
    line = f"real text: none; pip install 'memgate[corpus]' brings Wikipedia articles; {more}"
    return ["synthetic"], line


def build_corpora(name: str) -> None:
    """Build the corpora that a configuration of data names, unless they are built already."""
    for corpus in _corpora(name):
        if not corpus.finished():
            echo(f"{corpus.folder}: built once, before the fits")
            build(corpus)


def _corpora(name: str) -> list[Corpus]:
    """Return the corpora that a configuration reads; none if there is an error in it."""
    try:
        text = config_file(f"data/{name}.yaml").read_text(encoding="utf-8")
        sources = [yaml.safe_load(text)["data"]["source"]]
        if sources[0]["class_path"] == _path(Joined):
            arguments = sources[0]["init_args"]
            away = not os.environ.get("MEMGATE_DATA") and "without_data" in arguments
            sources = arguments["without_data" if away else "sources"]
        return [Corpus(**s["init_args"]) for s in sources if s["class_path"] == _path(Corpus)]
    except (OSError, KeyError, TypeError, yaml.YAMLError, InputError):
        return []  # the fit reports what is wrong, and where


def _path(source: type) -> str:
    return f"{source.__module__}.{source.__qualname__}"


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
