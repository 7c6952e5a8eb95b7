"""`memgate report`: the results of a study."""

from __future__ import annotations

from pathlib import Path

from memgate.reporting.console import echo
from memgate.studies.report import report_on


def report(study: str, *, out: Path, reference: Path | None = None) -> None:
    """Report on a study: accuracies, differences with tests, learning curves and all runs.

    Args:
        study: Name of the study, the tag study of its runs.
        out: Folder of report.html, report.md, tables/ and figures/.
        reference: Figures of Linzen et al. (2016) as CSV; by default those alongside MEMGATE_DATA,
            if the study is of that paper.
    """
    run = report_on(study, out, reference)
    echo(f"wrote report.html, report.md, tables and figures to {out}")
    echo(f"logged the run {run}; `memgate ui` shows it")
