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
"""Places that are printed: one a reading, set of units and layer."""

WHAT = ["layer", "units", "reading"]


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
    profiles = [_profile(each) for each in (a, b)]
    found = profile_differences(*profiles)
    if out is not None:
        write_all(out, {"profile_differences.csv": partial(found.to_csv, index=False)})
    terminal = console()
    _print_models(terminal, (a, b), profiles)
    _print_count(terminal, found)
    _print_roles(terminal, found)
    _print_places(found)
    if out is not None:
        echo(f"wrote profile_differences.csv to {out}")


def _profile(model: str) -> pd.DataFrame:
    path = model_folder(model) / PROFILE
    if not path.is_file():
        raise InputError(
            f"{model}: expected {PROFILE} beside the model, found none; make one by "
            f"`memgate gates {model} --data FILE --out DIR` and give DIR instead"
        )
    return read_profile(path)


def _print_models(terminal: Console, models: tuple[str, str], profiles: list[pd.DataFrame]) -> None:
    hashes = [profile_hash(each) for each in profiles]
    for side, model, digest in zip("AB", models, hashes, strict=True):
        terminal.print(f"{side}  {digest[:12]}  {model}", markup=False)
    same = hashes[0] == hashes[1]
    terminal.print(f"the hashes of their profiles are {'the same' if same else 'not the same'}")
    if not _words(profiles[0]).equals(_words(profiles[1])):
        terminal.print("A and B were read on other items: that alone may make them differ")


def _words(profile: pd.DataFrame) -> pd.Series[int]:
    """Count the words of each stratum, singular and plural apart: the same on the same items."""
    one = profile.drop_duplicates(["by", "stratum", "number", "answer"])
    return one.groupby(["by", "stratum", "number"])["n"].sum()


def _print_count(terminal: Console, found: pd.DataFrame) -> None:
    count = int(found["differs"].sum())
    if count:
        terminal.print(f"{count} of {len(found)} cells differ beyond sampling error")
    else:
        terminal.print(f"Nothing differs beyond sampling error in {len(found)} cells")
    terminal.print(f"(5%, Holm; cells with at least {LEAST_ITEMS} items in both profiles)")


def _print_roles(terminal: Console, found: pd.DataFrame) -> None:
    """Print the means at the words of each role, B below A, where some of them differ."""
    rows = found[found["by"] == "role"]
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


def _print_places(found: pd.DataFrame) -> None:
    """Print where by place each reading differs most, the surest first."""
    places = found[(found["by"] != "role") & found["differs"]]
    if places.empty:
        return
    size = places["difference"].abs()
    most = places.loc[size.groupby([places[name] for name in WHAT], sort=False).idxmax()]
    most = most.sort_values("p_holm", kind="stable")[:FARTHEST]
    cells = []
    for row in most.to_dict("records"):
        units = str(row["units"]).removesuffix(" units")
        position = _place(row["by"], int(row["stratum"]))
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
    title = "Where each differs most, by place (subject + words after it; verb - words)"
    print_table(pd.DataFrame(cells), names=3, title=title)


def _place(by: str, place: int) -> str:
    """Name a place.

    >>> _place("from_subject", 2), _place("from_subject", 0), _place("to_verb", -1)
    ('subject+2', 'subject', 'verb-1')
    """
    of = "subject" if by == "from_subject" else "verb"
    return f"{of}{place:+}" if place else of
