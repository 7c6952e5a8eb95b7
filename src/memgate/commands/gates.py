"""`memgate gates`: what every gate of a model does on agreement JSONL, and where it stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from memgate.data import files
from memgate.data.sources import jsonl
from memgate.errors import InputError
from memgate.evaluation.items import one_quiet_thread
from memgate.fitting.analysis import OF_NUMBER_UNITS, GateAnalysis, analyse
from memgate.gates.explain.explanation import ROW_NAMES
from memgate.gates.profile import pooled
from memgate.gates.timescales import timescale_summary
from memgate.gates.units.number_units import NumberUnits
from memgate.gates.units.unit import NUMBER_UNITS, layer_name
from memgate.predictor import Predictor
from memgate.reporting.console import echo, note, print_table
from memgate.reporting.files import write_all
from memgate.reporting.number_units import print_units
from memgate.tracking.registry.versions import model_folder

SHOWN = ("before", "subject", "attractor", "noun", "other")
"""Roles of the printed table; the files have the verb's too."""


def gates(model: str, *, data: Sequence[str], out: Path) -> None:
    """Read every gate of a model over items, and summarise what the gates do.

    It writes statistics, state updates, the profile by role and position, number units, timescales
    and gradients, and figures of them. A registered model's number units are those of its
    validation items; for other models they are looked for on the items of --data.

    Args:
        model: models:/NAME@ALIAS, runs:/…/model or a folder.
        data: Agreement JSONL, files or globs, read as one data set.
        out: Folder of the results.

    Raises:
        InputError: The model or a file can't be used, or the items lack what the model's task
            needs; then nothing is written.
    """
    one_quiet_thread()
    folder = model_folder(model)
    predictor = Predictor.load(folder)
    table = jsonl.read(files.paths(data, jsonl.FORMAT)).with_format("arrow")[:]
    if table["subj_idx"].null_count == len(table):
        raise InputError(
            f"{' '.join(data)}: expected items with subj_idx, which the roles of words and their "
            f"positions need, got none among {len(table)} items"
        )
    saved = folder / NUMBER_UNITS
    registered_units = NumberUnits.load(saved) if saved.is_file() else None
    analysis = analyse(predictor, table, table, registered_units=registered_units)
    written = {artifact.name: artifact.write for artifact in analysis.artifacts()}
    write_all(out, written)
    for name in OF_NUMBER_UNITS.difference(written):  # of another model, in the same folder before
        (out / name).unlink(missing_ok=True)
    print_profile(analysis.tables.profile)
    if analysis.number_units is None:
        echo()
        note(f"no number units: {analysis.no_units_reason}")
    else:
        print_units(analysis.number_units)
        if registered_units is not None:
            note("as determined on the model's validation items when it was registered")
    print_memory(analysis)
    note(f"wrote {', '.join(written)} to {out}")


def print_memory(analysis: GateAnalysis) -> None:
    """Print how long memory lasts by the gates, and its correlation with the gradient."""
    if analysis.memory.empty:
        return
    echo("\nEffective timescale, −1 / ln(mean keep), of the units: words")
    summary = timescale_summary(analysis.memory)
    for row in summary.to_dict("records"):
        values = ", ".join(f"{name} {row[name]:.1f}" for name in ("min", "median", "max"))
        echo(f"{layer_name(row['layer'], len(summary))}{values}")
    rho, low, high, n = analysis.correlation
    if not math.isnan(rho):
        note(
            "rank correlation with the half-life of each unit's gradient: "
            f"{rho:.2f} ({low:.2f} to {high:.2f}, {n} units)"
        )


def print_profile(profile: pd.DataFrame) -> None:
    """Print the mean of each reading at each role, of the last layer.

    Args:
        profile: As `memgate.gates.statistics.read_gates` makes it.
    """
    last = profile[(profile["layer"] == profile["layer"].max()) & (profile["by"] == "role")]
    cells = []
    for (units, reading), rows in pooled(last, "number", "answer").groupby(
        ["units", "reading"], sort=False
    ):
        means = rows.set_index("stratum")["mean"]
        figures = (f"{means[role]:.2f}" if role in means else "–" for role in SHOWN)
        cells.append([str(units), ROW_NAMES.get(str(reading), str(reading)), *figures])
    table = pd.DataFrame(cells, columns=["units", "reading", *SHOWN])
    print_table(table, names=2, title="Means at the words of each role")
    note("state update: change of a unit's memory; Δ logit: that of the right answer's log-odds")
