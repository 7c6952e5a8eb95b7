"""`memgate gates`: what every gate of a model does on agreement JSONL, and where it stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table

from memgate.commands.gates_diff import gates_diff
from memgate.data import files
from memgate.data.sources import jsonl
from memgate.errors import InputError
from memgate.evaluation.runtime import one_quiet_thread
from memgate.fitting.analysis import OF_NUMBER_UNITS, GateAnalysis, analyse
from memgate.gates.profile import pooled
from memgate.gates.timescales import timescale_summary
from memgate.gates.units.number_units import NumberUnits
from memgate.gates.units.unit import NUMBER_UNITS
from memgate.predictor import Predictor
from memgate.reporting.console import console
from memgate.reporting.files import write_all
from memgate.reporting.number_units import print_units
from memgate.tracking.registry.versions import model_folder

SHOWN = ("before", "subject", "attractor", "noun", "other")
"""Roles of the printed table; the files have the verb's too."""


def gates(given: Sequence[str], data: Sequence[str], out: Path | None) -> None:
    """Run ``memgate gates``: read a model's gates, or compare the profiles of two.

    Args:
        given: An MLflow model URI or a folder; or ``diff`` and two of them.
        data: Files of agreement JSONL, or globs; none for ``diff``.
        out: Folder of the results, made where it is missing; None for ``diff`` without files.

    Raises:
        InputError: The arguments don't go together, or as `read_model` and `gates_diff`.
    """
    one_quiet_thread()
    first, *others = given
    if first == "diff":
        if len(others) != 2 or data:
            raise InputError(f"gates diff: expected two models, got {' '.join(others) or 'none'}")
        gates_diff(others[0], others[1], out)
        return
    if others or not data or out is None:
        raise InputError(
            f"gates: expected one MODEL with --data FILE and --out DIR, got {' '.join(given)}"
            + ("" if data else " without --data")
            + ("" if out else " without --out")
        )
    read_model(first, data, out)


def read_model(model: str, data: Sequence[str], out: Path) -> None:
    """Read every gate over the items of files, write tables and figures, print the profile by role.

    The number units are those that were found for the model when it was registered; where it has
    none they are looked for by the same items. Files: those of
    `memgate.fitting.analysis.GateAnalysis.artifacts`, all, or where something is wrong none.

    Args:
        model: An MLflow model URI or a folder.
        data: Files of agreement JSONL, or globs.
        out: Folder of the results; made where it is missing.

    Raises:
        InputError: The model or a file can't be used, or the model's task can't be posed on them.
    """
    folder = model_folder(model)
    predictor = Predictor.load(folder)
    table = jsonl.read(files.paths(data, jsonl.FORMAT)).with_format("arrow")[:]
    saved = folder / NUMBER_UNITS
    known_units = NumberUnits.load(saved) if saved.is_file() else None
    analysis = analyse(predictor, table, table, known_units=known_units)
    written = {artifact.name: artifact.write for artifact in analysis.artifacts()}
    write_all(out, written)
    for name in OF_NUMBER_UNITS.difference(written):  # of another model, in the same folder before
        (out / name).unlink(missing_ok=True)
    print_profile(analysis.tables.profile)
    if analysis.number_units is None:
        console().print(f"\nno number units: {analysis.no_units_reason}", markup=False)
    else:
        print_units(analysis.number_units)
        if known_units is not None:
            console().print("as found by the model's validation items when it was registered")
    print_memory(analysis)
    print(f"wrote {', '.join(written)} to {out}")


def print_memory(analysis: GateAnalysis) -> None:
    """Print how long memory lasts by the gates, and whether the gradient says so too."""
    if analysis.memory.empty:
        return
    out = console()
    out.print("\nEffective timescale, −1 / ln(mean keep), of the units: words")
    for row in timescale_summary(analysis.memory).to_dict("records"):
        values = ", ".join(f"{name} {row[name]:.1f}" for name in ("min", "median", "max"))
        out.print(f"layer {row['layer']}: {values}", highlight=False)
    rho, low, high, n = analysis.correlation
    if not math.isnan(rho):
        out.print(
            "rank correlation with the half-life of each unit's gradient: "
            f"{rho:.2f} ({low:.2f} to {high:.2f}, {n} units)"
        )


def print_profile(profile: pd.DataFrame) -> None:
    """Print the mean of each reading at each role, of the last layer.

    Args:
        profile: As `memgate.gates.reading.read_gates` makes it.
    """
    last = profile[(profile["layer"] == profile["layer"].max()) & (profile["by"] == "role")]
    grid = Table(box=SIMPLE_HEAD, show_edge=False)
    for name in ("units", "reading"):
        grid.add_column(name)
    for role in SHOWN:
        grid.add_column(role, justify="right")
    for (units, reading), rows in pooled(last, "number", "answer").groupby(
        ["units", "reading"], sort=False
    ):
        means = rows.set_index("stratum")["mean"]
        cells = (f"{means[role]:.2f}" if role in means else "–" for role in SHOWN)
        grid.add_row(str(units), str(reading), *cells)
    out = console()
    out.print("\nMeans at the words of each role (state_update: change of a unit's memory;")
    out.print("contribution_change: change of the log-odds of the right answer)")
    out.print(grid)
