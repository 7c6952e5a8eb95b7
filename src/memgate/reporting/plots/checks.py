"""What a table must have to be drawn."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from memgate.errors import InputError
from memgate.metrics.systems import NAMES, NETWORK


def need(table: pd.DataFrame, name: str, *columns: str) -> None:
    """Refuse a table that lacks a column.

    Raises:
        InputError: It does.
    """
    missing = [column for column in columns if column not in table]
    if missing:
        raise InputError(f"{name} table: expected a column {missing[0]!r}, got {list(table)}")


def need_points(
    table: pd.DataFrame, name: str, keys: Sequence[str], columns: Sequence[str]
) -> None:
    """Refuse a table of networks and baselines that can't be drawn.

    Args:
        table: The table.
        name: What errors call it.
        keys: The columns that tell its rows apart, `system` among them.
        columns: What else it needs.

    Raises:
        InputError: A column is missing, no row is a network's, a system is unknown, or two rows
            say something of the same point.
    """
    need(table, name, *keys, *columns)
    known = table["system"].isin([NETWORK, *NAMES])
    if not known.all():
        expected = ", ".join([NETWORK, *NAMES])
        got = table.loc[~known, "system"].iloc[0]
        raise InputError(f"{name} table: expected system among {expected}, got {got!r}")
    if not (table["system"] == NETWORK).any():
        raise InputError(f"{name} table: expected at least one row of a network, got none")
    twice = table[table.duplicated(list(keys))]
    if len(twice):
        point = " ".join(map(str, twice[list(keys)].iloc[0]))
        raise InputError(f"{name} table: expected one row a point, got two for {point}")
