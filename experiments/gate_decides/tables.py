"""From what was measured of each network to the tables of the study, small enough for git."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

from memgate.errors import InputError

NETWORK = ["cell", "data", "units"]
"""What tells networks apart but for the seed; units is the hidden size."""

CHANGE = ["edit", "quantity", "to", "of"]
"""What tells changes apart, see `memgate.gates.interventions.dose_response.Line`."""

STRATUM = ["by", "stratum"]
SEEDS = ["seeds", "mean", "low", "high", "min", "max"]
"""What `over_seeds` says."""

COLUMNS: Mapping[str, Sequence[str]] = {
    "accuracy": [*NETWORK, "seed", *STRATUM, "n", "accuracy"],
    "roles": [*NETWORK, "seed", "of", "reading", "role", "mean", "median"],
    "places": [*NETWORK, "reading", "place", *SEEDS],
    "interventions": [*NETWORK, "seed", *CHANGE, "accuracy"],
    "strata": [*NETWORK, *CHANGE, *STRATUM, *SEEDS],
    "units": [
        *NETWORK,
        "seed",
        *("size", "members", "between", "intact", "lost", "drop", "probe", "selectivity"),
        *("rho", "rho_low", "rho_high", "rho_n"),
    ],
    "gradients": [*NETWORK, "trained", "state", "distance", "seeds", "median", "min", "max"],
    "timescales": [*NETWORK, "seed", "unit", "keep", "timescale", "half_life"],
    "oracle": ["cell", "data", "measure", *STRATUM, "n", "value"],
    "baselines": ["data", "system", *STRATUM, "n", "accuracy"],
    "summary": [*NETWORK, "of", "measure", "stratum", *SEEDS],
}
"""The tables and their columns, one file each.

accuracy, roles, interventions (on all items; of random sets of units the mean), units and
timescales have a row a network; places, strata (interventions by stratum, those between 0 and 1,
the controls and random sets on all items only), gradients and summary one for all seeds, for they
would be too large for git otherwise.
"""


def answer_tables(parts: Iterable[Mapping[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Join the tables of all networks.

    Args:
        parts: For each network what `experiments.gate_decides.measures` made of it, with the
        columns
            cell, data, units and seed.

    Returns:
        The tables of `COLUMNS`; without rows where the study has no such networks.
    """
    found: dict[str, list[pd.DataFrame]] = {}
    for part in parts:
        for name, table in part.items():
            found.setdefault(name, []).append(table)
    nothing = {name: [pd.DataFrame(columns=[*COLUMNS[name]])] for name in ("oracle", "baselines")}
    every = {
        name: pd.concat(tables, ignore_index=True) for name, tables in {**nothing, **found}.items()
    }
    changes = _changes(every["interventions"])
    tables = {
        "accuracy": every["accuracy"],
        "roles": every["roles"],
        "places": over_seeds(every["places"], "mean", [*NETWORK, "reading", "place"]),
        "interventions": changes[changes["by"] == "overall"],
        "strata": over_seeds(_by_stratum(changes), "accuracy", [*NETWORK, *CHANGE, *STRATUM]),
        "units": every["carriers"],
        "gradients": _gradients(every["gradients"]),
        "timescales": every["timescales"],
        "oracle": every["oracle"],
        # the networks set by hand of the same data have the same
        "baselines": every["baselines"].drop_duplicates(COLUMNS["baselines"]),
        "summary": _summary(every["accuracy"], every["roles"]),
    }
    return {name: table[list(COLUMNS[name])] for name, table in tables.items()}


def over_seeds(table: pd.DataFrame, value: str, keys: Sequence[str]) -> pd.DataFrame:
    """Summarise a number over seeds.

    Args:
        table: A row a seed for each of the keys.
        value: The column of the number; rows without it are left out.
        keys: Columns, null where a row has none.

    Returns:
        The keys; seeds (how many), mean, low and high (the 95% t-interval of the mean over seeds,
        for independent seeds and numbers spread normally; null for one seed), min and max.
    """
    known = table[table[value].notna()]
    groups = known.groupby(list(keys), sort=False, dropna=False)[value]
    result = groups.agg(["count", "mean", "std", "min", "max"]).reset_index()
    n = result["count"].to_numpy()
    half = t.ppf(0.975, np.maximum(n - 1, 1)) * result.pop("std") / np.sqrt(n)  # null where n is 1
    result = result.assign(low=result["mean"] - half, high=result["mean"] + half)
    return result.rename(columns={"count": "seeds"})[[*keys, *SEEDS]]


def _changes(table: pd.DataFrame) -> pd.DataFrame:
    """Average over random sets: one accuracy a seed, change and stratum."""
    keys = [*NETWORK, "seed", *CHANGE, *STRATUM]
    groups = table.groupby(keys, sort=False, dropna=False)["accuracy"]
    return groups.mean().reset_index()


def _by_stratum(changes: pd.DataFrame) -> pd.DataFrame:
    """Leave out strata of what no one asks for by stratum: the table would be twice as large."""
    between = changes["to"].gt(0) & changes["to"].lt(1)
    left_out = between | changes["edit"].isin(["own", "resample"]) | changes["of"].eq("random")
    shown = ~left_out & changes["by"].isin(["intervening", "attractors"])
    return changes[shown | (changes["by"] == "overall")]


def _gradients(table: pd.DataFrame) -> pd.DataFrame:
    """Take the median over seeds of the median over items; a mean would be the largest seed's."""
    keys = [*NETWORK, "trained", "state", "distance"]
    groups = table.groupby(keys, sort=False)["median"]
    result = groups.agg(["count", "median", "min", "max"]).reset_index()
    return result.rename(columns={"count": "seeds"})


def _summary(accuracy: pd.DataFrame, roles: pd.DataFrame) -> pd.DataFrame:
    """Summarise accuracy on all items and the readings by role over seeds."""
    keys = [*NETWORK, "of", "measure", "stratum"]
    right = accuracy[accuracy["by"] == "overall"].assign(of="all", measure="accuracy")
    means = roles.rename(columns={"reading": "measure", "role": "stratum"})
    medians = means.assign(measure="median " + means["measure"])
    return pd.concat(
        [
            over_seeds(right, "accuracy", keys),
            over_seeds(means, "mean", keys),
            over_seeds(medians, "median", keys),
        ],
        ignore_index=True,
    )


def to_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table, floats to 6 significant digits."""
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Read what `to_csv` wrote.

    Raises:
        InputError: A table is missing, can't be read or lacks a column.
    """
    tables = {}
    for name, columns in COLUMNS.items():
        path = folder / f"{name}.csv"
        try:
            # a stratum such as "0" is a name
            names = dict.fromkeys(("stratum", "members", "quantity", "of"), "string")
            table = pd.read_csv(path, dtype=names, keep_default_na=False, na_values=[""])
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path}: expected a table of `memgate answer`: {reason}") from error
        if list(table) != list(columns):
            raise InputError(f"{path}: expected the columns {list(columns)}, got {list(table)}")
        tables[name] = table
    return tables
