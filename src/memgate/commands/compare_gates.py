"""`memgate compare-gates`: where the gate profiles of two models differ beyond sampling error."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from memgate.data.items.roles import ROLES
from memgate.errors import InputError
from memgate.gates.drift import (
    HASH_STEP,
    LEAST_ITEMS,
    PROFILE,
    profile_differences,
    profile_hash,
    read_profile,
)
from memgate.gates.explain.explanation import ROW_NAMES
from memgate.gates.units.unit import layer_name
from memgate.reporting.console import DASH, echo, note, print_table
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
    echo(f"A  {a}")
    echo(f"B  {b}")
    _print_count(profiles, differences)
    _print_roles(differences)
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


def _words(profile: pd.DataFrame) -> pd.Series[int]:
    """Count the words of each stratum, singular and plural apart: the same on the same items."""
    rows = profile.drop_duplicates(["by", "stratum", "number", "answer"])
    return rows.groupby(["by", "stratum", "number"])["n"].sum()


def _print_count(profiles: Sequence[pd.DataFrame], differences: pd.DataFrame) -> None:
    if profile_hash(profiles[0]) == profile_hash(profiles[1]):
        echo(f"the means of their profiles are the same, to {HASH_STEP}")
    if not _words(profiles[0]).equals(_words(profiles[1])):
        echo("A and B were read on other items: that alone may make them differ")
    count = int(differences["differs"].sum())
    if count:
        echo(f"{count} of {len(differences)} means differ beyond sampling error")
    else:
        echo(f"None of {len(differences)} means differs beyond sampling error")
    note(f"(5%, Holm; means over at least {LEAST_ITEMS} items in both profiles)")


def _print_roles(differences: pd.DataFrame) -> None:
    """Print the means at the words of each role, B below A, where some of them differ.

    Marked is what is rarer: the means that differ, or those that don't.
    """
    rows = differences[differences["by"] == "role"]
    rows = rows[rows.groupby(["layer", "units"])["differs"].transform("any")]
    roles = [role for role in ROLES if role in set(rows["stratum"])]
    marks = {True: "*", False: " "} if rows["differs"].mean() <= 0.5 else {True: " ", False: "="}
    layers = int(differences["layer"].max()) + 1
    for (layer, units), part in rows.groupby(["layer", "units"], sort=False):
        cells = []
        for (reading, number), by_side in part.groupby(["reading", "number"], sort=False):
            by_role = by_side.set_index("stratum").to_dict("index")
            means = [by_role.get(role) for role in roles]
            names = [ROW_NAMES.get(str(reading), str(reading)), str(number)]
            cells.append([*names, "A", *(_mean(row, "a", " ") for row in means)])
            cells.append(["", "", "B", *(_mean(row, "b", marks[_differs(row)]) for row in means)])
        title = f"{layer_name(int(str(layer)), layers)}{'all units' if units == 'all' else units}"
        table = pd.DataFrame(cells, columns=["reading", "", "", *roles])
        print_table(table, names=3, title=title)
    if len(rows):
        differing = "* differs from A" if marks[True] == "*" else "= doesn't differ from A"
        note(f"{differing} beyond sampling error; {DASH} too few items")


def _differs(row: Mapping[Hashable, Any] | None) -> bool:
    return row is None or bool(row["differs"])


def _mean(row: Mapping[Hashable, Any] | None, side: str, mark: str) -> str:
    return DASH if row is None else f"{row['mean_' + side]:.2f}{mark}"


def _print_positions(differences: pd.DataFrame) -> None:
    """Print the position at which each reading differs most, the most certain first."""
    rows = differences[(differences["by"] != "role") & differences["differs"]]
    if rows.empty:
        return
    layers = int(differences["layer"].max()) + 1
    size = rows["difference"].abs()
    largest = rows.loc[size.groupby([rows[name] for name in READING_KEYS], sort=False).idxmax()]
    largest = largest.sort_values("p_holm", kind="stable")[:FARTHEST]
    cells = []
    for row in largest.to_dict("records"):
        units = str(row["units"]).removesuffix(" units")
        position = _position(row["by"], int(row["stratum"]))
        cells.append(
            {
                "units": f"{layer_name(row['layer'], layers)}{units}",
                "reading": ROW_NAMES.get(row["reading"], row["reading"]),
                "position, number": f"{position} {row['number']}",
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
