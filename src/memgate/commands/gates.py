"""`memgate gates`: what every gate of a model does on agreement JSONL, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import datasets
import pandas as pd
import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table

from memgate import plots
from memgate.commands.report import console, write_all
from memgate.data import files, jsonl
from memgate.gates.profile import pooled
from memgate.gates.reading import read_gates
from memgate.gates.tables import GateTables
from memgate.gates.units import saved_units
from memgate.predictor import Predictor
from memgate.tracking.registry import model_folder

SHOWN = ("before", "subject", "attractor", "noun", "other")
"""Roles of the printed table; the files have the verb's too."""


def gates(model: str, data: Sequence[str], out: Path) -> None:
    """Read every gate over the items of files, write the tables and print the profile by role.

    Writes ``gate_statistics.parquet``, ``effects.parquet``, ``profile.parquet``, ``profile.png``
    and ``gates.png``: all, or where something is wrong none.

    Args:
        model: An MLflow model URI or a folder.
        data: Files of agreement JSONL, or globs.
        out: Folder of the results; made where it is missing.

    Raises:
        InputError: The model or a file can't be used, or the model's task can't be posed on them.
    """
    datasets.disable_progress_bars()
    torch.set_num_threads(1)  # small cells: two threads on busy cores lose (TRAPS: 7 s, then 35)
    folder = model_folder(model)
    items = jsonl.read(files.paths(data, jsonl.WHAT))
    table = items.with_format("arrow")[:]
    tables = read_gates(Predictor.load(folder), table, saved_units(folder))
    written = gate_files(tables)
    write_all(out, written)
    print_profile(tables.profile)
    print(f"wrote {', '.join(written)} to {out}")


def gate_files(tables: GateTables) -> dict[str, Callable[[Path], object]]:
    """Return for each file of a model's gates the function that writes it to a path."""
    every = tables.statistics[tables.statistics["role"] == "all"]
    return {
        "gate_statistics.parquet": partial(tables.statistics.to_parquet, index=False),
        "effects.parquet": partial(tables.effects.to_parquet, index=False),
        "profile.parquet": partial(tables.profile.to_parquet, index=False),
        "profile.png": partial(plots.save, plots.profile_figure(tables.profile)),
        "gates.png": partial(plots.save, plots.gate_figure(every)),
    }


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
    out.print("\nMeans at the words of each role (effect: change of a unit's memory; evidence:")
    out.print("change of the log-odds of the right answer)")
    out.print(grid)
