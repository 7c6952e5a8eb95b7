"""The tables of the study, small enough for git: joined from those of each network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

from memgate.errors import InputError

KIND = ["cell", "data", "units"]
"""The columns that are equal for networks of different seeds; units is the hidden size."""

INTERVENTION = ["edit", "quantity", "to", "of"]
"""What identifies an intervention, see `memgate.gates.interventions.dose_response`."""

STRATUM = ["by", "stratum"]
OVER_SEEDS = ["seeds", "mean", "low", "high", "min", "max"]
"""The columns that `over_seeds` adds."""

TABLES: Mapping[str, Sequence[str]] = {
    "accuracy": [*KIND, "seed", *STRATUM, "n", "accuracy"],
    "roles": [*KIND, "seed", "of", "reading", "role", "mean", "median"],
    "positions": [*KIND, "reading", "position", *OVER_SEEDS],
    "interventions": [*KIND, "seed", *INTERVENTION, "accuracy"],
    "strata": [*KIND, *INTERVENTION, *STRATUM, *OVER_SEEDS],
    "units": [
        *KIND,
        "seed",
        *("size", "members", "between", "intact", "ablated", "drop", "probe", "selectivity"),
        *("rho", "rho_low", "rho_high", "rho_n"),
    ],
    "gradients": [*KIND, "trained", "state", "distance", "seeds", "median", "min", "max"],
    "timescales": [*KIND, "seed", "unit", "keep", "timescale", "half_life"],
    "oracle": ["cell", "data", "measure", *STRATUM, "n", "value"],
    "baselines": ["data", "system", *STRATUM, "n", "accuracy"],
    "summary": [*KIND, "of", "measure", "stratum", *OVER_SEEDS],
}
"""The tables and their columns, one file each.

accuracy, roles, interventions (on all items; of random sets of units the mean), units and
timescales have a row a network. positions, strata (interventions by stratum; those between 0 and 1,
the controls and random sets on all items only), gradients and summary have a row for all seeds:
otherwise they would be too large for git.
"""


def answer_tables(parts: Iterable[Mapping[str, pd.DataFrame]]) -> dict[str, pd.DataFrame]:
    """Join the tables of all networks to those of `TABLES`.

    A table has no rows where the study has no such networks.
    """
    by_name: dict[str, list[pd.DataFrame]] = {}
    for part in parts:
        for name, table in part.items():
            by_name.setdefault(name, []).append(table)
    nothing = {name: [pd.DataFrame(columns=[*TABLES[name]])] for name in ("oracle", "baselines")}
    every = {
        name: pd.concat(tables, ignore_index=True)
        for name, tables in {**nothing, **by_name}.items()
    }
    interventions = _mean_over_draws(every["interventions"])
    tables = {
        "accuracy": every["accuracy"],
        "roles": every["roles"],
        "positions": over_seeds(every["positions"], "mean", [*KIND, "reading", "position"]),
        "interventions": interventions[interventions["by"] == "overall"],
        "strata": over_seeds(
            _by_stratum(interventions), "accuracy", [*KIND, *INTERVENTION, *STRATUM]
        ),
        "units": every["number_units"],
        "gradients": _gradients(every["gradients"]),
        "timescales": every["timescales"],
        "oracle": every["oracle"],
        # hand-set networks of the same data have the same baselines
        "baselines": every["baselines"].drop_duplicates(TABLES["baselines"]),
        "summary": _summary(every["accuracy"], every["roles"]),
    }
    return {name: table[list(TABLES[name])] for name, table in tables.items()}


def over_seeds(table: pd.DataFrame, value: str, keys: Sequence[str]) -> pd.DataFrame:
    """Summarise a number over seeds.

    Rows without the number are omitted.

    Returns:
        The keys; seeds (how many), mean, low and high (the 95% t-interval of the mean over seeds,
        for independent seeds and numbers spread normally; null for one seed), min and max.
    """
    rows = table[table[value].notna()]
    groups = rows.groupby(list(keys), sort=False, dropna=False)[value]
    result = groups.agg(["count", "mean", "std", "min", "max"]).reset_index()
    n = result["count"].to_numpy()
    half = t.ppf(0.975, np.maximum(n - 1, 1)) * result.pop("std") / np.sqrt(n)  # null where n is 1
    result = result.assign(low=result["mean"] - half, high=result["mean"] + half)
    return result.rename(columns={"count": "seeds"})[[*keys, *OVER_SEEDS]]


def _mean_over_draws(table: pd.DataFrame) -> pd.DataFrame:
    """Average over random sets: one accuracy a seed, intervention and stratum."""
    keys = [*KIND, "seed", *INTERVENTION, *STRATUM]
    groups = table.groupby(keys, sort=False, dropna=False)["accuracy"]
    return groups.mean().reset_index()


def _by_stratum(interventions: pd.DataFrame) -> pd.DataFrame:
    """Leave out strata that neither page nor figure needs: the table would be twice as large."""
    between = interventions["to"].gt(0) & interventions["to"].lt(1)
    controls = interventions["edit"].isin(["control", "resample"])
    left_out = between | controls | interventions["of"].eq("random")
    kept = ~left_out & interventions["by"].isin(["intervening", "attractors"])
    return interventions[kept | (interventions["by"] == "overall")]


def _gradients(table: pd.DataFrame) -> pd.DataFrame:
    """Take the median over seeds of the median over items; a mean would be the largest seed's."""
    keys = [*KIND, "trained", "state", "distance"]
    groups = table.groupby(keys, sort=False)["median"]
    result = groups.agg(["count", "median", "min", "max"]).reset_index()
    return result.rename(columns={"count": "seeds"})


def _summary(accuracy: pd.DataFrame, roles: pd.DataFrame) -> pd.DataFrame:
    """Summarise accuracy on all items and the readings by role over seeds."""
    keys = [*KIND, "of", "measure", "stratum"]
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
    for name, columns in TABLES.items():
        path = folder / f"{name}.csv"
        try:
            # a stratum such as "0" is text
            names = dict.fromkeys(("stratum", "members", "quantity", "of"), "string")
            table = pd.read_csv(path, dtype=names, keep_default_na=False, na_values=[""])
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path}: expected a table of `make answer`: {reason}") from error
        if list(table) != list(columns):
            raise InputError(f"{path}: expected the columns {list(columns)}, got {list(table)}")
        tables[name] = table
    return tables
