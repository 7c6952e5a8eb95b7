"""Networks and baselines in one table: which baseline is whose, and which is best."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

NETWORK = "network"
"""What the column `system` says of the model itself."""

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
"""What else it may say, in the order that breaks ties, and what readers call it."""


@dataclass(frozen=True, eq=False)
class BaselineResult:
    """A baseline on one data set or suite.

    Attributes:
        system: One of `SYSTEM_NAMES`.
        name: What readers call it; says whose it is where not all models have the same, and of
            how many items it answered how many where it left some out.
        rows: Its rows of the table, once, even where several models have it.
        accuracy: Share of the items it answered that it got right, in [0, 1].
        complete: Whether it answered all that its network answered; rules leave out items without
            tags.
    """

    system: str
    name: str
    rows: pd.DataFrame
    accuracy: float
    complete: bool


def baseline_results(rows: pd.DataFrame) -> list[BaselineResult]:
    """Return the baselines of one data set or suite.

    Each model has its own, trained on the training split of that model. Those that count the same
    in every stratum, as rules do, are one.

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
    asked = totals["n"].groupby(level="model").max()
    found = []
    for system, name in SYSTEM_NAMES.items():
        same: dict[Hashable, list[str]] = {}
        for model, own in rows[rows["system"] == system].groupby("model", sort=False):
            same.setdefault(_figures(own), []).append(str(model))
        for owners in same.values():
            n, correct = (int(total) for total in totals.loc[[(owners[0], system)]].to_numpy()[0])
            most = int(asked.max())  # of all models: one of another task may be asked fewer
            called = name if len(owners) == len(models) else f"{name} ({_listed(owners)})"
            called += "" if n == most else f", {n} of {most} items"
            own = rows[(rows["system"] == system) & (rows["model"] == owners[0])]
            found.append(BaselineResult(system, called, own, correct / n, n == most))
    return found


def best_baseline(rows: pd.DataFrame) -> BaselineResult | None:
    """Return the baseline of the highest accuracy over all items of a data set or suite.

    One that left items out is no candidate, as those it answered may be easier. Of equally good
    ones it is the first in the order of `SYSTEM_NAMES`, then of the models.

    Args:
        rows: As for `baseline_results`.

    Returns:
        The best baseline, or None where there is none that answered every item.
    """
    complete = [each for each in baseline_results(rows) if each.complete]
    return max(complete, key=lambda each: each.accuracy, default=None)


def _pooled(rows: pd.DataFrame) -> pd.DataFrame:
    """Add up n and correct over all items: a row each model and system."""
    # the breakdowns of a data set repeat its items; the conditions of a suite don't
    once = rows[rows["by"] == "overall"] if "by" in rows else rows
    return once.groupby(["model", "system"], sort=False)[["n", "correct"]].sum()


def _figures(own: pd.DataFrame) -> Hashable:
    keys = ["by", "stratum"] if "by" in own else ["condition"]
    return frozenset(own[[*keys, "n", "correct"]].itertuples(index=False, name=None))


def _listed(models: list[str]) -> str:
    more = f" and {len(models) - 1} more" if len(models) > 1 else ""
    return f"{models[0]}{more}"
