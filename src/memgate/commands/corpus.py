"""`memgate corpus`: agreement items of raw text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import yaml

from memgate.data.corpora.corpus import Corpus
from memgate.data.items.schema import SPLITS
from memgate.fitting.real_text import build
from memgate.reporting.console import echo, print_table

SMALL_CORPUS = 20_000
"""Items below which fewer words and smaller batches train better."""

FIT = "fit.yaml"
"""Name of the configuration that trains on a corpus."""

REASONS = 6
"""Largest number of reasons that are printed; the card has all."""


def corpus(
    *,
    dataset: str | None = None,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    files: Sequence[str] = (),
    column: str = "text",
    out: Path,
    linzen: bool = False,
    num_proc: int | None = None,
    validation: float = 0.05,
    test: float = 0.05,
    seed: int = 0,
    model: str | None = None,
) -> None:
    """Make agreement items of raw text: a dataset of the Hugging Face Hub, or files.

    Args:
        dataset: Dataset of the Hub, such as Salesforce/wikitext.
        config: Configuration of the dataset, such as wikitext-2-raw-v1.
        split: Split of the dataset.
        revision: Branch, tag or commit of the dataset.
        files: Files or globs instead of a dataset: .txt, .jsonl or .parquet, gzipped or not, or
            Wikipedia dumps (.xml.bz2).
        column: Column with the text.
        out: Folder of the corpus. It gets the items of each split as Parquet and agreement JSONL,
            a dataset card, and a configuration that trains on them.
        linzen: Take no auxiliaries, and one random item a sentence, as Linzen et al. (2016) do.
        num_proc: Number of processes; without it one for each core.
        validation: Proportion of the validation split.
        test: Proportion of the test split.
        seed: Seed of splits and choices.
        model: spaCy model; without it the small English one.

    Raises:
        InputError: As `Corpus` and `Corpus.build`.
    """
    source = Corpus(
        dataset=dataset,
        config=config,
        split=split,
        revision=revision,
        files=files,
        column=column,
        folder=str(out),
        linzen=linzen,
        validation=validation,
        test=test,
        seed=seed,
        model=model,
        num_proc=num_proc,
    )
    if source.finished():
        echo(f"{out}: the corpus is there already")
    else:
        build(source)
    _print_card(out)
    if not (out / FIT).exists():  # a reader may have changed it
        _write_fit(out)
    echo(f"{out} has {', '.join(SPLITS)} as .parquet and .jsonl, README.md (the card) and {FIT}")
    echo(f"this trains on it: memgate fit -c trainer/default.yaml -c cell/lstm.yaml -c {out / FIT}")


def _print_card(folder: Path) -> None:
    """Print the card's tables, of the reasons only the first ones."""
    card = (folder / "README.md").read_text(encoding="utf-8")
    for block in card[card.index("## Items") :].split("\n\n"):
        lines = block.strip().splitlines()
        if lines[0].startswith("#"):
            echo(lines.pop(0).strip("# "))
        if not lines or not lines[0].startswith("|"):
            echo("\n".join(lines))
            continue
        header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
        table = pd.DataFrame(rows, columns=header)
        if header[0] == "reason" and len(rows) > REASONS:
            table = table[:REASONS]
            table.loc[REASONS] = ["…", ""]
        print_table(table)
        echo()


def _write_fit(folder: Path) -> None:
    """Write a configuration that trains on the corpus, with sizes that suit the number of items.

    On 5,000 items of Wikipedia an LSTM gets 81% of validation right with 10,000 words in its
    vocabulary and 95% with 1,000 and small batches; 67,000 items are enough for the defaults.
    """
    files = {name: [str(folder / f"{name}.jsonl")] for name in SPLITS}
    source = {"class_path": "memgate.data.sources.jsonl.JsonLines", "init_args": files}
    name = re.sub(r"[^\w.-]+", "-", folder.resolve().name)
    configuration: dict[str, dict[str, Any]] = {
        "data": {"name": name, "source": source},
        "model": {"embedding_size": 100, "hidden_size": 100},
        "trainer": {"max_epochs": 5},
    }
    if pq.read_metadata(folder / "train.parquet").num_rows < SMALL_CORPUS:
        configuration["data"] |= {"vocab_size": 1000, "batch_size": 32}
        configuration["trainer"]["max_epochs"] = 10
    (folder / FIT).write_text(yaml.safe_dump(configuration, sort_keys=False), encoding="utf-8")
