"""The baselines of networks in one table: which models have which, and which is best."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

NETWORK = "network"
"""The value of the column `system` for the model itself."""

SYSTEM_NAMES = MappingProxyType(
    {
        "majority": "majority",
        "first_noun": "first noun",
        "last_noun": "last noun",
        "noun_majority": "noun majority",
        "nouns_only": "nouns only",
        "last_words": "last three words",
    }
)
"""The baselines, in the order that breaks ties, and what readers call them."""


@dataclass(frozen=True, eq=False)
class BaselineResult:
    """The result of a baseline on one data set or suite.

    Attributes:
        system: One of `SYSTEM_NAMES`.
        name: What readers call it. It names the models if not all have the same result, and the
            items if it doesn't cover all.
        rows: Its rows of the table, once even if several models have it.
        accuracy: Proportion right of the items it covers, in [0, 1].
        complete: Whether it covers all items of its network; rules omit items without tags.
    """

    system: str
    name: str
    rows: pd.DataFrame
    accuracy: float
    complete: bool


def baseline_results(rows: pd.DataFrame) -> list[BaselineResult]:
    """Return the baselines of one data set or suite.

    Each model has baselines, fitted on its training split. Baselines with the same counts in every
    stratum, as rules have, are one result.

    Args:
        rows: Rows of one data set, with the columns model, system, by, stratum, n and correct, or
            of one suite, with model, system, condition, n and correct: those of the networks too.

    Returns:
        The baselines in the order of `SYSTEM_NAMES`, then of the models.

    Raises:
        ValueError: A system is neither `NETWORK` nor one of `SYSTEM_NAMES`.
    """
    unknown = set(rows["system"]).difference([NETWORK, *SYSTEM_NAMES])
    if unknown:
        expected = ", ".join([NETWORK, *SYSTEM_NAMES])
        raise ValueError(f"system: expected one of {expected}, got {min(unknown)!r}")
    totals = _pooled(rows)
    models = totals.index.get_level_values("model").unique()
    most = int(totals["n"].groupby(level="model").max().max())
    results = []
    for system, name in SYSTEM_NAMES.items():
        same: dict[Hashable, list[str]] = {}
        for model, part in rows[rows["system"] == system].groupby("model", sort=False):
            same.setdefault(_figures(part), []).append(str(model))
        for owners in same.values():
            n, correct = (int(total) for total in totals.loc[[(owners[0], system)]].to_numpy()[0])
            label = name if len(owners) == len(models) else f"{name} ({_listed(owners)})"
            if n != most:  # rules omit items, and models of another task may have fewer
                label += f", {n} of {most} items"
            part = rows[(rows["system"] == system) & (rows["model"] == owners[0])]
            results.append(BaselineResult(system, label, part, correct / n, n == most))
    return results


def best_baseline(rows: pd.DataFrame) -> BaselineResult | None:
    """Return the baseline of the highest accuracy over all items of a data set or suite.

    A baseline that omits items is no candidate, because the others may be easier. Ties go to the
    first in the order of `SYSTEM_NAMES`, then of the models.

    Args:
        rows: As for `baseline_results`.

    Returns:
        The best baseline, or None if none covers every item.
    """
    complete = [result for result in baseline_results(rows) if result.complete]
    return max(complete, key=lambda result: result.accuracy, default=None)


def _pooled(rows: pd.DataFrame) -> pd.DataFrame:
    """Add up n and correct over all items: a row each model and system."""
    # the breakdowns of a data set repeat its items; the conditions of a suite don't
    once = rows[rows["by"] == "overall"] if "by" in rows else rows
    return once.groupby(["model", "system"], sort=False)[["n", "correct"]].sum()


def _figures(part: pd.DataFrame) -> Hashable:
    keys = ["by", "stratum"] if "by" in part else ["condition"]
    return frozenset(part[[*keys, "n", "correct"]].itertuples(index=False, name=None))


def _listed(models: list[str]) -> str:
    more = f" and {len(models) - 1} more" if len(models) > 1 else ""
    return f"{models[0]}{more}"
