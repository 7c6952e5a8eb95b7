"""A study beside Linzen et al. (2016): error by attractors, with what differs in the setting."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from memgate.data.items.tasks import NUMBER
from memgate.errors import InputError
from memgate.metrics.systems import NETWORK
from memgate.studies.predictions import Answers
from memgate.studies.tables import EACH
from memgate.tracking.study_runs import StudyRun

FILE = "reference/linzen2016_figures.csv"
"""The figures read off the paper, beside the folder that MEMGATE_DATA names."""

COLUMNS = ("figure", "series", "x", "error_pct", "ci_lo", "ci_hi")

PAPER = {
    "LSTM number prediction": "LSTM (Linzen et al. 2016)",
    "SRN number prediction": "RNN (Linzen et al. 2016)",
}
"""Series of the figures, and what readers call them; an SRN is a plain RNN."""

FIGURES = ("2c/4b/4d", "4d")
"""The figures that show error by attractors of models trained on the number of the verb."""

SETTING = {
    "training items": "about 121,500",
    "test items": "90% of its corpus",
    "networks": "20",
    "embedding_size": "50",
    "hidden_size": "50",
    "optimizer": "Adam",
    "vocab_size": "10,000, rarer words as tags",
}
"""What the paper says of its number prediction (its section 3), by what runs log."""

DIFFERS = {
    "": "The paper trains on 9% of one parsed Wikipedia and tests on 90% of the same. Its errors "
    "and intervals are read off its figures.",
    "numpred.val": "Training has numpred.val, 1% of the paper's own corpus; its training file "
    "isn't at hand.",
    "corpus/": "Training items of corpus/ come of other text (Wikipedia, Brown, MASC), parsed by "
    "spaCy.",
    "ud/": "Training items of ud/ come of treebanks, of many kinds of text.",
    "numpred.test": "numpred.test.1 to 5 are the authors' test items less those that are there "
    "twice; all nouns between are attractors, as in figure 2c.",
    "linzen_wiki": "linzen_wiki_test is another slice of the authors' corpus, where nouns between "
    "may be of either number.",
    "attr0": "Items without attractors come of slices of some thousand items, the paper's of its "
    "whole test corpus.",
}
"""What differs in the data, by what the sources of the runs must name for it to be true."""


def reference(given: Path | None, names: Sequence[str]) -> pd.DataFrame | None:
    """Read the paper's figures, where they are asked for or the study is of that paper.

    Args:
        given: A file, or None for the one beside MEMGATE_DATA, which is read if the name of the
            study or of its data has "linzen" in it and the file is there.
        names: Of the study and its data, as far as they can stand beside the paper.

    Returns:
        series (a key of `PAPER`), attractors, error, low and high (shares); or None.

    Raises:
        InputError: The file is missing, damaged, or lacks a column or a series.
    """
    path = given
    if path is None:
        folder = os.environ.get("MEMGATE_DATA")
        path = Path(folder).parent / FILE if folder else None
        asked = any("linzen" in name.lower() for name in names)
        if path is None or not asked or not path.is_file():
            return None
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected the paper's figures as CSV, got: {reason}") from error
    absent = [name for name in COLUMNS if name not in table]
    if absent:
        raise InputError(f"{path}: expected a column {absent[0]!r}, got {list(table)}")
    rows = table[table["figure"].isin(FIGURES) & table["series"].isin(PAPER)]
    if rows.empty:
        raise InputError(f"{path}: expected series {' and '.join(PAPER)}, found neither")
    shares = {"error": "error_pct", "low": "ci_lo", "high": "ci_hi"}
    found = pd.DataFrame({name: rows[column] / 100 for name, column in shares.items()})
    found.insert(0, "attractors", rows["x"].astype("int64"))
    found.insert(0, "series", rows["series"])
    return found.reset_index(drop=True)


def comparable(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Return the accuracies that the paper's figures are of: number, by attractors, networks."""
    return accuracy[
        (accuracy["task"] == NUMBER.name)
        & (accuracy["system"] == NETWORK)
        & (accuracy["by"] == EACH)
    ]


def beside(accuracy: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """Put errors by exact number of attractors beside the paper's.

    Args:
        accuracy: Accuracies of `memgate.studies.tables.accuracies`.
        paper: As from `reference`.

    Returns:
        data, model, whose (``ours`` or ``paper``), attractors (0 to 5), items, seeds (null for the
        paper's), error, low, high (shares). The paper's rows stand once for each data set.

    Raises:
        InputError: No item of the study has a known number of attractors and is of the task
            number, which the figures are of.
    """
    own = comparable(accuracy)
    if own.empty:
        raise InputError(
            "the paper's figures are of the task number by attractors: expected runs of it whose "
            "test items have n_attractors, got none"
        )
    ours = pd.DataFrame(
        {
            **{name: own[name] for name in ("data", "model")},
            "whose": "ours",
            "attractors": own["stratum"].astype("int64"),
            **{name: own[name].astype("Int64") for name in ("items", "seeds")},
            "error": 1 - own["accuracy"],
            "low": 1 - own["high"],
            "high": 1 - own["low"],
        }
    )
    theirs = paper.assign(model=paper["series"].map(PAPER), whose="paper")
    parts = [
        part
        for data, rows in ours.groupby("data", sort=False)
        for part in (rows, theirs.assign(data=data))
    ]
    return pd.concat(parts, ignore_index=True)[list(ours)].astype({"items": "Int64"})


def settings(answers: Answers) -> pd.DataFrame:
    """Say how networks came about, ours and the paper's: a row a model, columns of `SETTING`."""
    rows = [{"model": "Linzen et al. (2016)", **SETTING}]
    for model, runs in answers.runs.items():
        rows.append(
            {
                "model": model,
                "training items": _listed([run.items.get("train") for run in runs]),
                "test items": f"{len(answers.items):,}",
                "networks": str(len(runs)),
                **{name: _params(runs, name) for name in list(SETTING)[3:]},
            }
        )
    return pd.DataFrame(rows)


def what_differs(answers: Sequence[Answers]) -> list[str]:
    """Say in lines what differs in the data, as far as the runs' sources tell."""
    runs = [run for each in answers for own in each.runs.values() for run in own]
    sources = "\n".join(dict.fromkeys(source for run in runs for source in run.sources))
    return [line for key, line in DIFFERS.items() if key in sources]


def _params(runs: Sequence[StudyRun], name: str) -> str:
    found = dict.fromkeys(run.params.get(name, "–") for run in runs)
    return " / ".join(found)


def _listed(sizes: Sequence[int | None]) -> str:
    known = sorted({size for size in sizes if size is not None})
    if not known:
        return "not known"
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
