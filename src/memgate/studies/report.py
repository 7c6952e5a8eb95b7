"""`report_on` prints, writes and logs the report of a study: tables, figures, page, Markdown."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memgate.data.items.tasks import NUMBER
from memgate.metrics.accuracy import STRATA
from memgate.metrics.bootstrap import RESAMPLES
from memgate.metrics.paired import format_p
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.metrics.systems import NETWORK, BaselineResult, baseline_results, best_baseline
from memgate.reporting import plots
from memgate.reporting.accuracy import AccuracyRow, print_accuracy, with_interval
from memgate.reporting.console import DASH, echo, markdown_table, print_table
from memgate.reporting.files import write_all
from memgate.reporting.plots.study import (
    cross_figure,
    curves_figure,
    difference_figure,
    paper_figure,
)
from memgate.reporting.study_page import Section, ShownTable, study_page
from memgate.studies import linzen2016
from memgate.studies.results import (
    BY_NUMBER,
    COMPARED,
    StudyPredictions,
    StudyResults,
    study_results,
)
from memgate.tracking.runs import TAG_LENGTH, RunLogger
from memgate.tracking.store import EXPERIMENT, storing
from memgate.tracking.study_runs import study_runs

BREAKDOWN_TITLES = {
    "intervening": "words between subject and verb",
    "attractors": "attractors between subject and verb",
    "label": "number of the subject",
}
"""Breakdowns with a table of their own, and what readers call them."""

CROSS = "intervening_x_attractors"

ABOUT_ACCURACY = (
    "Each accuracy is the mean over the networks of one model, one network a seed. Its 95% "
    f"interval is from a bootstrap over seeds and items with {RESAMPLES:,} resamples. The interval "
    "is too short for few seeds if seeds differ more than the choice of items explains: in "
    "simulations it contained the truth 91 times of 100 with 5 seeds, 85 with 3 and 78 with 2. The "
    "rows below the networks are baselines that use no syntax; * marks the best of them on all "
    "items.",
)

ABOUT_DIFFERENCES = (
    "Each row compares two models that differ in one thing, on the same items. The interval is "
    "from the same bootstrap, paired by items.",
    "p, other items: a permutation test that exchanges the predictions of the two models' networks "
    "item by item. It asks whether these networks would differ on other items. p, other seeds: a "
    "permutation test that exchanges whole networks. It asks whether other networks would differ "
    "on these items; before correction it is at least 0.1 with 3 seeds a model, and 0.008 with 5. "
    "Both are after Holm's correction over all pairs and strata of a breakdown. A difference holds "
    "for other seeds and items only if both are small.",
)


def report_on(study: str, out: Path, reference: Path | None = None) -> str:
    """Report on a study: print, write ``report.html`` and more, and log to a new run.

    Every report is a new run with the tag ``study_report``, so that earlier reports stay as they
    were.

    Returns:
        The name of the report's run.

    Raises:
        InputError: There is no such study, none of its runs can be used, the reference is no such
            table, or the folder or the store can't be written.
    """
    runs = study_runs(EXPERIMENT, study)
    write_all(out, {})  # before the work that takes long
    results = study_results(runs)
    errors = linzen2016.errors_with_paper(results.accuracy, study, reference)
    figures = draw_figures(results, errors)
    title, sections = f"Study {study}", list(page_sections(results, errors, figures))
    markdown = _markdown(title, sections)
    files: dict[str, Callable[[Path], object]] = {
        "report.html": partial(Path.write_text, data=study_page(title, sections), encoding="utf-8"),
        "report.md": partial(Path.write_text, data=markdown, encoding="utf-8"),
    }
    tables = {
        f"{name}.csv": partial(table.to_csv, index=False)
        for name, table in _tables(results, errors).items()
    }
    images = {
        f"{name}.png": partial(Path.write_bytes, data=image) for name, image in figures.items()
    }
    write_all(out / "tables", tables)
    write_all(out / "figures", images)
    write_all(out, files)
    _print(results, errors)
    name = f"report-{study}"
    with storing(), RunLogger(EXPERIMENT, name, tags={"study_report": study}) as run:
        files |= {f"tables/{file}": write for file, write in tables.items()}
        files |= {f"figures/{file}": write for file, write in images.items()}
        run.log_files(files)
        run.describe(_shortened(markdown))
    return name


def _tables(results: StudyResults, errors: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    """Return the tables that are written as CSV, by name."""
    tables = {
        "accuracy": results.accuracy[results.accuracy["by"] != BY_NUMBER],
        "differences": results.differences,
        "curves": results.curves,
        "runs": results.runs,
    }
    return tables if errors is None else {**tables, "linzen2016": errors}


def draw_figures(results: StudyResults, errors: pd.DataFrame | None) -> dict[str, bytes]:
    """Return the figures that there are data for: PNG, by name."""
    accuracy = with_data_labels(results.accuracy)
    draw: dict[str, Callable[[], Figure]] = {}
    if (accuracy["by"] == CROSS).any():
        draw["accuracy"] = partial(cross_figure, accuracy)
    if len(results.differences):
        draw["differences"] = partial(difference_figure, with_data_labels(results.differences))
    if len(results.curves):
        draw["curves"] = partial(curves_figure, with_data_labels(results.curves))
    if errors is not None:
        draw["linzen2016"] = partial(paper_figure, errors)
    images = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, figure in draw.items():
            path = Path(folder, f"{name}.png")
            plots.save(figure(), path)
            images[name] = path.read_bytes()
    return images


def page_sections(
    results: StudyResults, errors: pd.DataFrame | None, figures: Mapping[str, bytes]
) -> Iterator[Section]:
    """Yield the sections of the page and of the Markdown."""
    if errors is not None:
        yield _paper_section(results.predictions, errors, figures["linzen2016"])
    accuracy = with_data_labels(results.accuracy)
    labels = list(accuracy["data"].unique())
    notes = [
        f"{label}: {line}"
        for label, part in zip(labels, results.predictions, strict=True)
        for line in part.notes
    ]
    yield Section(
        "Accuracy",
        [*ABOUT_ACCURACY, *notes],
        [table for label in labels for table in accuracy_tables(accuracy, label)],
        figures.get("accuracy"),
        "accuracy against words between subject and verb, a panel for each number of attractors",
    )
    if len(results.differences):
        yield Section(
            "Differences",
            ABOUT_DIFFERENCES,
            _difference_tables(results, COMPARED),
            figures["differences"],
            "differences in accuracy between models, with intervals",
        )
    if "curves" in figures:
        about = "losses and validation accuracy against optimiser steps, a line for each seed"
        yield Section("Learning curves", figure=figures["curves"], about=about)
    yield Section("Runs", _coverage(results), [runs_as_shown(results.runs)])


def _paper_section(
    predictions: Sequence[StudyPredictions], errors: pd.DataFrame, image: bytes
) -> Section:
    data = set(errors["data"])
    number = [part for part in predictions if part.task == NUMBER.name and part.data in data]
    settings = [
        ShownTable(f"{part.data}: setting", linzen2016.settings_table(part)) for part in number
    ]
    return Section(
        "Comparison with Linzen et al. (2016)",
        linzen2016.data_notes(number),
        [*paper_tables(errors), *settings],
        image,
        "error against attractors, our models and the paper's",
    )


def _coverage(results: StudyResults) -> list[str]:
    runs, missing = len(results.runs), len(results.missing)
    lines = [f"{runs - missing} of {runs} runs are in this report."]
    return [*lines, *(f"Missing: {line}" for line in results.missing)]


def _markdown(title: str, sections: Sequence[Section]) -> str:
    parts = [f"# {title}\n"]
    for section in sections:
        parts += [f"## {section.title}\n", *(f"{line}\n" for line in section.lines)]
        parts += [titled_markdown(table) for table in section.tables]
    return "\n".join(parts)


def titled_markdown(table: ShownTable) -> str:
    """Write a table as Markdown below its title."""
    return f"**{table.title}**\n\n{markdown_table(table.cells, table.names)}\n"


def _shortened(markdown: str) -> str:
    """Cut Markdown that is longer than a description may be, at the end of a line."""
    if len(markdown) <= TAG_LENGTH:
        return markdown
    more = "\n\nThe whole report is among the artifacts: report.md and report.html."
    return markdown[: TAG_LENGTH - len(more)].rpartition("\n")[0] + more


def _print(results: StudyResults, errors: pd.DataFrame | None) -> None:
    """Print accuracies, the differences on all items, notes, and the missing runs."""
    print_accuracy(with_data_labels(results.accuracy))
    papers = [] if errors is None else paper_tables(errors)
    for table in (*_difference_tables(results, ["overall"]), *papers):
        print_table(table.cells, names=table.names, title=table.title)
    for part in results.predictions:
        for line in part.notes:
            echo(f"{part.data}, {part.task}: {line}")
    for line in _coverage(results):
        echo(line)


def with_data_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose column data names the task too, unless it is number prediction.

    Columns n and correct become those of the average network, so that a model of more seeds doesn't
    look as if it was evaluated on more items.
    """
    is_number = table["task"] == NUMBER.name
    labels = table["data"].where(is_number, table["data"] + ", " + table["task"])
    if "correct" not in table:
        return table.assign(data=labels)
    correct = np.rint(table["correct"] / table["seeds"]).astype("int64")
    return table.assign(data=labels, n=table["items"], correct=correct)


def accuracy_tables(accuracy: pd.DataFrame, data: str) -> list[ShownTable]:
    """Return the accuracy of networks and baselines on one data set as readers see it."""
    rows = accuracy[accuracy["data"] == data]
    best = best_baseline(rows)
    tables = [
        _breakdown_table(rows, data, by, best)
        for by in BREAKDOWN_TITLES
        if (rows["by"] == by).any()
    ]
    if (rows["by"] == CROSS).any():
        tables.append(_cross_table(rows, data, best))
    return tables


def _breakdown_table(
    rows: pd.DataFrame, data: str, by: str, best: BaselineResult | None
) -> ShownTable:
    """Return a breakdown: a row for each model, then one for each baseline."""
    present = set(rows.loc[rows["by"] == by, "stratum"])
    columns = ["all", *(name for name in STRATA[by] if name in present)]
    networks = rows[(rows["system"] == NETWORK) & rows["by"].isin(["overall", by])]
    named = [(str(model), part) for model, part in networks.groupby("model", sort=False)]
    for baseline in baseline_results(rows):
        mark = "* " if best and baseline.name == best.name else ""
        of_breakdown = baseline.rows["by"].isin(["overall", by])
        named.append((mark + baseline.name, baseline.rows[of_breakdown]))
    cells = []
    for name, part in named:
        by_stratum = _by_stratum(part)
        cells.append({"": name} | {column: _accuracy(by_stratum.get(column)) for column in columns})
    items = networks.drop_duplicates("stratum").set_index("stratum")["items"]
    counts = {name: f"{items[name]:,}" if name in items.index else DASH for name in columns}
    cells.append({"": "test items"} | counts)
    return ShownTable(f"{data}: accuracy in % by {BREAKDOWN_TITLES[by]}", pd.DataFrame(cells))


def _cross_table(rows: pd.DataFrame, data: str, best: BaselineResult | None) -> ShownTable:
    """Return accuracy by words (rows of each model) and by attractors (columns)."""
    networks = rows[(rows["system"] == NETWORK) & (rows["by"] == CROSS)]
    named = [(str(model), part) for model, part in networks.groupby("model", sort=False)]
    if best:
        named.append((f"* {best.name}", best.rows[best.rows["by"] == CROSS]))
    cells = []
    for name, part in named:
        by_stratum = _by_stratum(part)
        for words in INTERVENING.names:
            figures = {a: by_stratum.get(f"{words} × {a}") for a in ATTRACTORS.names}
            if any(figures.values()):
                shown = {a: _accuracy(row, ", n {items:,}") for a, row in figures.items()}
                cells.append({"": name, "words": words} | shown)
    title = f"{data}: accuracy in % by words and attractors between subject and verb, and items"
    return ShownTable(title, pd.DataFrame(cells), names=2)


def _accuracy(row: AccuracyRow | None, more: str = "") -> str:
    return DASH if row is None else with_interval(row) + more.format_map(row)


def _by_stratum(rows: pd.DataFrame) -> dict[str, AccuracyRow]:
    return {str(row["stratum"]): row for row in rows.to_dict("records")}


def _difference_tables(results: StudyResults, by: Sequence[str]) -> list[ShownTable]:
    table = with_data_labels(results.differences)
    return [difference_table(table, str(data), by) for data in table["data"].unique()]


def difference_table(table: pd.DataFrame, data: str, by: Sequence[str]) -> ShownTable:
    """Return the differences between models on one data set, with p after Holm's correction."""
    rows = table[(table["data"] == data) & table["by"].isin(by)]
    cells = [
        {
            "": f"{row['a']} less {row['b']}",
            "stratum": "all" if row["by"] == "overall" else f"{row['by']} {row['stratum']}",
            "items": f"{row['items']:,}",
            "points": _points(row["difference"]),
            "95% interval": f"{_points(row['low'])} to {_points(row['high'])}",
            "p, other items": format_p(row["p_items_holm"]),
            "p, other seeds": format_p(row["p_seeds_holm"]),
        }
        for row in rows.to_dict("records")
    ]
    return ShownTable(f"{data}: differences in accuracy", pd.DataFrame(cells), names=2)


def _points(proportion: float) -> str:
    return f"{100 * proportion:+.2f}".replace("-", "−")


def paper_tables(errors: pd.DataFrame) -> list[ShownTable]:
    """Return our errors and the paper's, a table for each data set.

    A row is a model, a column a number of attractors.
    """
    tables = []
    for data, rows in errors.groupby("data", sort=False):
        columns = range(int(rows["attractors"].max()) + 1)
        cells = []
        for model, part in rows.groupby("model", sort=False):
            by_number = {int(row["attractors"]): row for row in part.to_dict("records")}
            cells.append({"": str(model)} | {str(k): _error(by_number.get(k)) for k in columns})
        ours = rows[rows["whose"] == "ours"].drop_duplicates("attractors").set_index("attractors")
        counts = {str(k): f"{n:,}" for k, n in ours["items"].items()}
        cells.append({"": "our test items"} | counts)
        title = f"{data}: error in % by attractors"
        tables.append(ShownTable(title, pd.DataFrame(cells).fillna(DASH)))
    return tables


def _error(row: AccuracyRow | None) -> str:
    if row is None:
        return DASH
    return f"{100 * row['error']:z.2f}\n{100 * row['low']:z.2f}–{100 * row['high']:.2f}"


def runs_as_shown(runs: pd.DataFrame) -> ShownTable:
    """Return every run as readers see it."""
    cells = runs.assign(
        seed=runs["seed"].astype(str),
        train=[_count(n) for n in runs["train"]],
        test=[_count(n) for n in runs["test"]],
        accuracy=[DASH if np.isnan(value) else f"{100 * value:.2f}" for value in runs["accuracy"]],
    )
    names = {"train": "training items", "test": "test items", "accuracy": "accuracy in %"}
    return ShownTable("Every run of the study", cells.rename(columns=names), names=5)


def _count(n: Any) -> str:
    return DASH if pd.isna(n) else f"{n:,}"
