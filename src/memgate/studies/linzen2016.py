"""A study compared with Linzen et al. (2016): error by attractors, and how the settings differ."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from memgate.data.items.tasks import NUMBER
from memgate.errors import InputError
from memgate.metrics.systems import NETWORK
from memgate.reporting.console import DASH
from memgate.studies.results import BY_NUMBER, StudyPredictions
from memgate.tracking.study_runs import StudyRun

FILE = "reference/linzen2016_figures.csv"
"""The figures read off the paper, alongside the folder that MEMGATE_DATA names."""

COLUMNS_OF_FIGURES = ("figure", "series", "x", "error_pct", "ci_lo", "ci_hi")

MODELS_OF_PAPER = {
    "LSTM number prediction": "LSTM (Linzen et al. 2016)",
    "SRN number prediction": "RNN (Linzen et al. 2016)",
}
"""Series of the figures, and what readers call them; an SRN is a plain RNN."""

FIGURES = ("2c/4b/4d", "4d")
"""The figures that show error by attractors of models trained on the number of the verb."""

SETTING_OF_PAPER = {
    "training items": "about 121,500",
    "test items": "90% of its corpus",
    "networks": "20",
    "embedding_size": "50",
    "hidden_size": "50",
    "optimizer": "Adam",
    "vocab_size": "10,000, rarer words as tags",
}
"""The setting of the paper's number prediction (its section 3); the last four are run params."""

DATA_NOTES = {
    "": "The paper trains on 9% of one parsed Wikipedia and tests on 90% of it. Its errors and "
    "intervals are read off its figures.",
    "numpred.val": "Training has numpred.val, 1% of the paper's own corpus, because its training "
    "file isn't available.",
    "corpus/": "Training items of corpus/ are from other text (Wikipedia, Brown, MASC), parsed by "
    "spaCy.",
    "ud/": "Training items of ud/ are from treebanks of many kinds of text.",
    "numpred.test": "numpred.test.1 to 5 are the authors' test items without duplicates; all nouns "
    "between subject and verb are attractors, as in figure 2c.",
    "linzen_wiki": "linzen_wiki_test is another slice of the authors' corpus, where nouns between "
    "subject and verb may be of either number.",
    "attr0": "Items without attractors are from slices of some thousand items; the paper's are "
    "from its whole test corpus.",
}
"""How the data differ, by the text in a run's sources for which each line holds."""


def errors_with_paper(
    accuracy: pd.DataFrame, study: str, reference: Path | None
) -> pd.DataFrame | None:
    """Tabulate a study's errors by the exact number of attractors, and the paper's.

    Args:
        accuracy: Accuracies of `memgate.studies.results.accuracy_and_differences`.
        study: Name of the study.
        reference: The paper's figures as CSV. None for those alongside ``MEMGATE_DATA``, which are
            read if the study or its data have "linzen" in their name and the file exists.

    Returns:
        data, model, whose (``ours`` or ``paper``), attractors (0 to 5), items, seeds (null for the
        paper's), error, low, high (proportions). Each data set has the paper's rows. None if there
        is no reference.

    Raises:
        InputError: The reference is damaged; or no item of the study has a known number of
            attractors and the task number, which the figures are of.
    """
    comparable = accuracy[
        (accuracy["task"] == NUMBER.name)
        & (accuracy["system"] == NETWORK)
        & (accuracy["by"] == BY_NUMBER)
    ]
    path = reference or _default_reference([study, *map(str, comparable["data"].unique())])
    if path is None or (reference is None and comparable.empty):
        return None
    paper = read_figures(path)
    if comparable.empty:
        raise InputError(
            "the paper's figures are of the task number by attractors: expected runs of it whose "
            "test items have n_attractors, got none"
        )
    ours = pd.DataFrame(
        {
            **{name: comparable[name] for name in ("data", "model")},
            "whose": "ours",
            "attractors": comparable["stratum"].astype("int64"),
            **{name: comparable[name].astype("Int64") for name in ("items", "seeds")},
            "error": 1 - comparable["accuracy"],
            "low": 1 - comparable["high"],
            "high": 1 - comparable["low"],
        }
    )
    parts = [
        part
        for data, rows in ours.groupby("data", sort=False)
        for part in (rows, paper.assign(data=data, whose="paper"))
    ]
    return pd.concat(parts, ignore_index=True)[list(ours)].astype({"items": "Int64"})


def _default_reference(names: Sequence[str]) -> Path | None:
    """Return the file alongside ``MEMGATE_DATA``, if it exists and a name has "linzen" in it."""
    folder = os.environ.get("MEMGATE_DATA")
    if not folder or not any("linzen" in name.lower() for name in names):
        return None
    path = Path(folder).parent / FILE
    return path if path.is_file() else None


def read_figures(path: Path) -> pd.DataFrame:
    """Read the paper's figures.

    Returns:
        model (a value of `MODELS_OF_PAPER`), attractors, error, low and high (proportions).

    Raises:
        InputError: The file is missing, damaged, or lacks a column or a series.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected the paper's figures as CSV, got: {reason}") from error
    absent = [name for name in COLUMNS_OF_FIGURES if name not in table]
    if absent:
        raise InputError(f"{path}: expected a column {absent[0]!r}, got {list(table)}")
    rows = table[table["figure"].isin(FIGURES) & table["series"].isin(MODELS_OF_PAPER)]
    if rows.empty:
        raise InputError(f"{path}: expected series {' and '.join(MODELS_OF_PAPER)}, found neither")
    return pd.DataFrame(
        {
            "model": rows["series"].map(MODELS_OF_PAPER),
            "attractors": rows["x"].astype("int64"),
            "error": rows["error_pct"] / 100,
            "low": rows["ci_lo"] / 100,
            "high": rows["ci_hi"] / 100,
        }
    ).reset_index(drop=True)


def settings_table(predictions: StudyPredictions) -> pd.DataFrame:
    """Return the setting of the paper and of each model, a row each."""
    rows = [{"model": "Linzen et al. (2016)", **SETTING_OF_PAPER}]
    for model, runs in predictions.runs.items():
        rows.append(
            {
                "model": model,
                "training items": _range([run.items.get("train") for run in runs]),
                "test items": f"{len(predictions.items):,}",
                "networks": str(len(runs)),
                **{name: _params(runs, name) for name in list(SETTING_OF_PAPER)[3:]},
            }
        )
    return pd.DataFrame(rows)


def data_notes(predictions: Sequence[StudyPredictions]) -> list[str]:
    """Return the lines on how the data differ that hold for the sources of the runs."""
    runs = [run for part in predictions for of_model in part.runs.values() for run in of_model]
    sources = "\n".join(dict.fromkeys(source for run in runs for source in run.sources))
    return [line for key, line in DATA_NOTES.items() if key in sources]


def _params(runs: Sequence[StudyRun], name: str) -> str:
    return " / ".join(dict.fromkeys(run.params.get(name, DASH) for run in runs))


def _range(sizes: Sequence[int | None]) -> str:
    numbers = sorted({size for size in sizes if size is not None})
    if not numbers:
        return "not known"
    return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
