"""`memgate compare-gates`: where the gate profiles of two models differ beyond sampling error."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from memgate.data.items.roles import ROLES
from memgate.errors import InputError
from memgate.gates.drift import (
    LEAST_ITEMS,
    PROFILE,
    profile_differences,
    profile_hash,
    read_profile,
)
from memgate.gates.explain.explanation import ROW_NAMES
from memgate.reporting.console import console, echo, print_table
from memgate.reporting.files import write_all
from memgate.tracking.registry.versions import model_folder

FARTHEST = 8
"""Positions that are printed: one a reading, set of units and layer."""

READING_KEYS = ["layer", "units", "reading"]


def compare_gates(a: str, b: str, out: Path | None = None) -> None:
    """Show where the gate profiles of two models differ beyond sampling error.

    Args:
        a: models:/NAME@ALIAS, runs:/…/model, a model's folder, or a folder that `memgate gates`
            wrote.
        b: Another one.
        out: Folder for profile_differences.csv.

    Raises:
        InputError: A model or its profile isn't there, the profiles have nothing in common, or the
            folder can't be written.
    """
    profiles = [_profile(model) for model in (a, b)]
    differences = profile_differences(*profiles)
    if out is not None:
        write_all(out, {"profile_differences.csv": partial(differences.to_csv, index=False)})
    terminal = console()
    _print_models(terminal, (a, b), profiles)
    _print_count(terminal, differences)
    _print_roles(terminal, differences)
    _print_positions(differences)
    if out is not None:
        echo(f"wrote profile_differences.csv to {out}")


def _profile(model: str) -> pd.DataFrame:
    path = model_folder(model) / PROFILE
    if not path.is_file():
        raise InputError(
            f"{model}: expected {PROFILE} in the model's folder, found none; make one by "
            f"`memgate gates {model} --data FILE --out DIR` and give DIR instead"
        )
    return read_profile(path)


def _print_models(terminal: Console, models: tuple[str, str], profiles: list[pd.DataFrame]) -> None:
    hashes = [profile_hash(profile) for profile in profiles]
    for side, model, digest in zip("AB", models, hashes, strict=True):
        terminal.print(f"{side}  {digest[:12]}  {model}", markup=False)
    same = hashes[0] == hashes[1]
    terminal.print(f"the hashes of their profiles are {'the same' if same else 'not the same'}")
    if not _words(profiles[0]).equals(_words(profiles[1])):
        terminal.print("A and B were read on other items: that alone may make them differ")


def _words(profile: pd.DataFrame) -> pd.Series[int]:
    """Count the words of each stratum, singular and plural apart: the same on the same items."""
    rows = profile.drop_duplicates(["by", "stratum", "number", "answer"])
    return rows.groupby(["by", "stratum", "number"])["n"].sum()


def _print_count(terminal: Console, differences: pd.DataFrame) -> None:
    count = int(differences["differs"].sum())
    if count:
        terminal.print(f"{count} of {len(differences)} cells differ beyond sampling error")
    else:
        terminal.print(f"Nothing differs beyond sampling error in {len(differences)} cells")
    terminal.print(f"(5%, Holm; cells with at least {LEAST_ITEMS} items in both profiles)")


def _print_roles(terminal: Console, differences: pd.DataFrame) -> None:
    """Print the means at the words of each role, B below A, where some of them differ."""
    rows = differences[differences["by"] == "role"]
    rows = rows[rows.groupby(["layer", "units"])["differs"].transform("any")]
    roles = [role for role in ROLES if role in set(rows["stratum"])]
    for (layer, units), part in rows.groupby(["layer", "units"], sort=False):
        cells = []
        for (reading, number), by_side in part.groupby(["reading", "number"], sort=False):
            by_role = by_side.set_index("stratum").to_dict("index")
            names = [ROW_NAMES.get(str(reading), str(reading)), str(number)]
            cells.append([*names, "A", *(_cell(by_role.get(role), "a") for role in roles)])
            cells.append(["", "", "B", *(_cell(by_role.get(role), "b") for role in roles)])
        title = f"layer {layer}, {'all units' if units == 'all' else units}"
        table = pd.DataFrame(cells, columns=["reading", "", "", *roles])
        print_table(table, names=3, title=title)
    if len(rows):
        terminal.print("* differs from A beyond sampling error; – too few items")


def _cell(row: Mapping[Hashable, Any] | None, side: str) -> str:
    if row is None:
        return "–"
    mark = "*" if side == "b" and row["differs"] else " "
    return f"{row['mean_' + side]:.2f}{mark}"


def _print_positions(differences: pd.DataFrame) -> None:
    """Print the position at which each reading differs most, the most certain first."""
    rows = differences[(differences["by"] != "role") & differences["differs"]]
    if rows.empty:
        return
    size = rows["difference"].abs()
    largest = rows.loc[size.groupby([rows[name] for name in READING_KEYS], sort=False).idxmax()]
    largest = largest.sort_values("p_holm", kind="stable")[:FARTHEST]
    cells = []
    for row in largest.to_dict("records"):
        units = str(row["units"]).removesuffix(" units")
        position = _position(row["by"], int(row["stratum"]))
        cells.append(
            {
                "layer": f"{row['layer']} {units}",
                "reading": ROW_NAMES.get(row["reading"], row["reading"]),
                "place, number": f"{position} {row['number']}",
                "A": f"{row['mean_a']:.2f}",
                "B": f"{row['mean_b']:.2f}",
                "B less A, 95%": f"{row['low']:.2f} to {row['high']:.2f}",
            }
        )
    title = "Where each differs most, by position (subject + words after it; verb - words)"
    print_table(pd.DataFrame(cells), names=3, title=title)


def _position(by: str, offset: int) -> str:
    """Name a position.

    >>> _position("from_subject", 2), _position("from_subject", 0), _position("to_verb", -1)
    ('subject+2', 'subject', 'verb-1')
    """
    word = "subject" if by == "from_subject" else "verb"
    return f"{word}{offset:+}" if offset else word
