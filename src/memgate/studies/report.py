"""`memgate report`: what a study found, as tables, figures, one page, and a run in MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from memgate.data.items.tasks import NUMBER
from memgate.fitting.configuration import EXPERIMENT
from memgate.metrics.bootstrap import RESAMPLES
from memgate.reporting import plots
from memgate.reporting.accuracy import print_accuracy
from memgate.reporting.console import console, print_table
from memgate.reporting.files import write_all
from memgate.reporting.plots.study import (
    cross_figure,
    curves_figure,
    difference_figure,
    paper_figure,
)
from memgate.reporting.study_page import Section, ShownTable, study_page
from memgate.studies import linzen2016 as paper
from memgate.studies.predictions import Answers, gather
from memgate.studies.shown import (
    accuracy_tables,
    difference_table,
    labelled,
    paper_table,
    runs_shown,
    titled_markdown,
)
from memgate.studies.tables import COMPARED, EACH, accuracies, curves, runs_table
from memgate.tracking.runs import TAG_LENGTH, RunLogger
from memgate.tracking.store import storing
from memgate.tracking.study_runs import StudyRun, study_runs

HOW = (
    "Each accuracy is the mean over the networks of one model, one a seed. Its 95% interval is "
    f"of a bootstrap over seeds and items, {RESAMPLES:,} resamples. Where seeds differ more than "
    "the items leave open, it is too short for few seeds: in simulations it held the truth 91 "
    "times of 100 with 5 seeds, 85 with 3, 78 with 2. Below the networks stand their baselines, "
    "which know no syntax; * is the best of them on all items.",
)

TESTS = (
    "Pairs of models that differ in one thing, on the same items; the interval is of the same "
    "bootstrap, paired by items.",
    "p, other items: a permutation test that exchanges the answers of the two models' networks "
    "item by item; it speaks of these networks on other items. p, other seeds: one that exchanges "
    "whole networks; it speaks of other networks on these items, and can't be below 0.1 with 3 "
    "seeds a model, 0.008 with 5, before correction. Both are after Holm's correction over all "
    "pairs and strata of a breakdown. Only what is small in both holds for other seeds and items.",
)


@dataclass(frozen=True, eq=False)
class Found:
    """What a study found.

    Attributes:
        study: Its name.
        answers: By data and task.
        missing: A line a run that gave nothing.
        accuracy, differences, curves, runs: As in `memgate.studies.tables`.
        beside: As from `memgate.studies.linzen2016.beside`, or None.
    """

    study: str
    answers: Sequence[Answers]
    missing: Sequence[str]
    accuracy: pd.DataFrame
    differences: pd.DataFrame
    curves: pd.DataFrame
    runs: pd.DataFrame
    beside: pd.DataFrame | None


def report(study: str, *, out: Path, reference: Path | None = None) -> None:
    """Report on a study: print, write, and log to a run of its own.

    Every report is a new run, ``report-<study>`` with the tag ``study_report``, so that what an
    earlier one said stays as it was.

    Args:
        study: Its name.
        out: Folder of ``report.html``, ``report.md``, ``tables/`` and ``figures/``; made where it
            is missing.
        reference: The figures of Linzen et al. (2016) as CSV; see `study_paper.reference`.

    Raises:
        InputError: There is no such study, none of its runs can be used, the reference is no such
            table, or the folder or the store can't be written.
    """
    runs = study_runs(EXPERIMENT, study)
    write_all(out, {})  # before what takes long
    found = find(study, runs, reference)
    figures = drawn(found)
    title, sections = f"Study {study}", list(told(found, figures))
    markdown = _markdown(title, sections)
    texts = {"report.html": study_page(title, sections), "report.md": markdown}
    files = _files(texts, tables(found), figures)
    for folder in ("tables", "figures"):
        own = {Path(name).name: write for name, write in files.items() if name.startswith(folder)}
        write_all(out / folder, own)
    write_all(out, {name: write for name, write in files.items() if "/" not in name})
    _print(found)
    print(f"wrote report.html, report.md, tables and figures to {out}")
    with storing(), RunLogger(EXPERIMENT, f"report-{study}", tags={"study_report": study}) as run:
        run.log_files(files)
        run.describe(_shortened(markdown))
    print(f"logged the run report-{study}; `make ui` shows it")


def _files(
    texts: Mapping[str, str], tables: Mapping[str, pd.DataFrame], figures: Mapping[str, bytes]
) -> dict[str, Callable[[Path], object]]:
    """Return for each file of the report the function that writes it."""
    files: dict[str, Callable[[Path], object]] = {}
    for name, text in texts.items():
        files[name] = partial(Path.write_text, data=text, encoding="utf-8")
    for name, table in tables.items():
        files[f"tables/{name}.csv"] = partial(table.to_csv, index=False)
    for name, image in figures.items():
        files[f"figures/{name}.png"] = partial(Path.write_bytes, data=image)
    return files


def find(study: str, runs: Sequence[StudyRun], reference: Path | None) -> Found:
    """Read the runs, and make the tables."""
    answers, missing = gather(runs)
    both = [accuracies(each) for each in answers]
    accuracy, differences = (
        pd.concat([table for table in some if len(table)] or [some[0]], ignore_index=True)
        for some in zip(*both, strict=True)
    )
    alike = [str(name) for name in paper.comparable(accuracy)["data"].unique()]
    figures = paper.reference(reference, [study, *alike] if alike else [])
    return Found(
        study,
        answers,
        missing,
        accuracy,
        differences,
        pd.concat([curves(each) for each in answers], ignore_index=True),
        runs_table(runs, answers),
        None if figures is None else paper.beside(accuracy, figures),
    )


def tables(found: Found) -> dict[str, pd.DataFrame]:
    """Return what is written as CSV, by name."""
    named = {
        "accuracy": found.accuracy[found.accuracy["by"] != EACH],
        "differences": found.differences,
        "curves": found.curves,
        "runs": found.runs,
    }
    return named if found.beside is None else {**named, "linzen2016": found.beside}


def drawn(found: Found) -> dict[str, bytes]:
    """Draw the figures that there is something to draw for: PNG, by name."""
    accuracy = labelled(found.accuracy)
    there: dict[str, Callable[[], Figure]] = {}
    if (accuracy["by"] == "intervening_x_attractors").any():
        there["accuracy"] = partial(cross_figure, accuracy)
    if len(found.differences):
        there["differences"] = partial(difference_figure, labelled(found.differences))
    if len(found.curves):
        there["curves"] = partial(curves_figure, labelled(found.curves))
    if found.beside is not None:
        there["linzen2016"] = partial(paper_figure, found.beside)
    images = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, draw in there.items():
            path = Path(folder, f"{name}.png")
            plots.save(draw(), path)
            images[name] = path.read_bytes()
    return images


def told(found: Found, figures: dict[str, bytes]) -> Iterator[Section]:
    """Yield the sections of the page."""
    if found.beside is not None:
        yield _beside(found, found.beside, figures["linzen2016"])
    accuracy, differences = labelled(found.accuracy), labelled(found.differences)
    data = list(accuracy["data"].unique())
    notes = [
        f"{name}: {line}"
        for name, each in zip(data, found.answers, strict=True)
        for line in each.notes
    ]
    yield Section(
        "Accuracy",
        [*HOW, *notes],
        [table for name in data for table in accuracy_tables(accuracy, name)],
        figures.get("accuracy"),
        "accuracy against words between subject and verb, a panel a number of attractors",
    )
    compared = list(differences["data"].unique())
    if compared:
        yield Section(
            "Differences",
            TESTS,
            [difference_table(differences, name, COMPARED) for name in compared],
            figures["differences"],
            "differences in accuracy between models, with intervals",
        )
    if "curves" in figures:
        about = "losses and validation accuracy against steps, a line a seed and their mean"
        yield Section("Learning curves", figure=figures["curves"], about=about)
    yield Section("Runs", _missing(found), [runs_shown(found.runs)])


def _beside(found: Found, beside: pd.DataFrame, image: bytes) -> Section:
    number = [
        each
        for each in found.answers
        if each.task == NUMBER.name and each.data in set(beside["data"])
    ]
    shown = [
        table for name in beside["data"].unique() for table in [paper_table(beside, str(name))]
    ]
    settings = [ShownTable(f"{each.data}: setting", paper.settings(each)) for each in number]
    return Section(
        "Beside Linzen et al. (2016)",
        paper.what_differs(number),
        [*shown, *settings],
        image,
        "error against attractors, our models and the paper's",
    )


def _missing(found: Found) -> list[str]:
    count = f"{len(found.runs) - len(found.missing)} of {len(found.runs)} runs are in this report."
    return [count, *(f"Missing: {line}" for line in found.missing)]


def _markdown(title: str, sections: Sequence[Section]) -> str:
    parts = [f"# {title}\n"]
    for section in sections:
        parts += [f"## {section.title}\n", *(f"{line}\n" for line in section.lines)]
        parts += [titled_markdown(table) for table in section.tables]
    return "\n".join(parts)


def _shortened(markdown: str) -> str:
    """Cut at whole lines what is longer than a description may be."""
    if len(markdown) <= TAG_LENGTH:
        return markdown
    more = "\n\nreport.md and report.html, among the artifacts, have it all."
    return markdown[: TAG_LENGTH - len(more)].rpartition("\n")[0] + more


def _print(found: Found) -> None:
    """Print accuracies, the differences on all items, and what is missing."""
    print_accuracy(labelled(found.accuracy))
    terminal = console()
    differences = labelled(found.differences)
    shown = [
        difference_table(differences, name, ["overall"]) for name in differences["data"].unique()
    ]
    if found.beside is not None:
        shown += [paper_table(found.beside, str(name)) for name in found.beside["data"].unique()]
    for table in shown:
        print_table(table.cells, names=table.names, title=table.title)
    for each in found.answers:
        for line in each.notes:
            terminal.print(f"{each.data}, {each.task}: {line}", markup=False)
    for line in _missing(found):
        terminal.print(line, markup=False)
