"""Whether a challenger may replace the champion: the numbers, the verdict, the reasons."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from memgate.gates.drift import LEAST_SEEDS
from memgate.tracking.registry.challenge import LEVEL

MOST = 8
"""Cells of gates that a record and its reasons name: those farthest beyond the spread."""


LONGEST = 5000
"""Characters of a record: older stores of MLflow took no longer tag of a version."""


@dataclass(frozen=True, eq=False)
class Decision:
    """What a challenger and the champion come to, held against each other.

    Where drift can't be judged (`unjudged`) the answers alone decide: else no first challenger
    could be promoted, whose champion has one seed or two. It is said, and kept in the record and
    as a tag of the version.

    Attributes:
        challenger: Its version.
        champion: Its version.
        items: Which items, in words.
        margin: Loss of accuracy, a share, that a stratum may have.
        pairs: A table of `memgate.tracking.registry.challenge.judged`, the champion as ``a``.
        drift: A table of `memgate.gates.seed_drift.seed_drift`; empty where a profile is missing.
        seeds: Versions that make the spread of seeds, the champion first.
    """

    challenger: str
    champion: str
    items: str
    margin: float
    pairs: pd.DataFrame
    drift: pd.DataFrame
    seeds: list[str]

    @property
    def unjudged(self) -> str:
        """Why drift isn't judged; "" where it is."""
        if self.drift.empty:
            return "a gate profile is missing, or they have too little in common"
        if not self.drift["items"].equals(self.drift["items_seeds"]):
            return "the two profiles were read on other items"
        if len(self.seeds) < LEAST_SEEDS:
            return (
                f"no spread is known: expected {LEAST_SEEDS} versions of the champion's setting, "
                f"each of another seed, found {len(self.seeds)} (version {', '.join(self.seeds)})"
            )
        return ""

    @property
    def reasons(self) -> list[str]:
        """Why the challenger is refused, each with its numbers; none if it isn't."""
        worse = self.pairs[self.pairs["verdict"] == "worse"]
        reasons = [_worse(row, self.margin) for row in worse.to_dict("records")]
        if self.unjudged:
            return reasons
        farthest = self._farthest()
        drifted = farthest[farthest["drifted"]]
        reasons += [_drifted(row) for row in drifted.to_dict("records")]
        more = int(self.drift["drifted"].sum()) - len(drifted)
        return [*reasons, *([f"gates drifted in {more} more cells"] if more else [])]

    @property
    def drifting(self) -> str:
        """What is found about the gates, in a few words, for a tag."""
        if self.unjudged:
            return f"not judged: {self.unjudged}"
        count, cells = int(self.drift["drifted"].sum()), len(self.drift)
        seeds = f"{len(self.seeds)} seeds (versions {', '.join(self.seeds)})"
        return f"{count} of {cells} cells beyond the spread of {seeds}"

    @property
    def gates(self) -> str:
        """What is found about the gates, in a line or a few."""
        if not self.unjudged:
            return f"gates: {self.drifting}"
        said = f"gates: drift isn't judged: {self.unjudged}"
        if not self.drift.empty:
            row = self._farthest().to_dict("records")[0]
            said += (
                f"\nfarthest apart: {row['reading']} at words of role {row['stratum']} "
                f"(layer {row['layer']}), {row['mean']:.3f} against {row['mean_seeds']:.3f}"
            )
        return f"{said}\nthe gates speak neither for it nor against it; the answers decide"

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against it; drift that isn't judged doesn't."""
        return not self.reasons

    def record(self, how: str) -> str:
        """Return all of this as JSON of at most `LONGEST` characters, for tags.

        Args:
            how: What came of it: promoted, forced or refused.
        """
        numbers = ["n", "only_a", "only_b", "accuracy_a", "accuracy_b", "low", "high", "p_worse"]
        pairs = {
            f"{row['by']} {row['stratum']}": {
                name: _short(row[name]) for name in (*numbers, "verdict")
            }
            for row in self.pairs.to_dict("records")
        }
        cells = {
            f"layer {row['layer']} {row['reading']} {row['stratum']}": {
                name: _short(row[name]) for name in ("mean", "mean_seeds", "low", "high", "p_holm")
            }
            for row in self._farthest().to_dict("records")
        }
        gates = {
            "judged": not self.unjudged,
            "why_not": self.unjudged or None,
            "seeds": self.seeds[:20],
            "cells": len(self.drift),
            "drifted": int(self.drift["drifted"].sum()),
            "farthest": cells,
        }
        whole = {
            "decision": how,
            "challenger": self.challenger,
            "champion": self.champion,
            "a": "champion",
            "items": self.items[:300],
            "margin": self.margin,
            "pairs": pairs,
            "gates": gates,
        }
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))

    def _farthest(self) -> pd.DataFrame:
        """Return the cells farthest from the seeds, in standard errors where they're known."""
        away = (self.drift["mean"] - self.drift["mean_seeds"]).abs()
        order = self.drift.assign(away=away).sort_values(["p", "away"], ascending=[True, False])
        return order[:MOST]


def _worse(row: Mapping[Hashable, Any], margin: float) -> str:
    overall = row["by"] == "overall"
    stratum = row["stratum"]
    where = "overall" if overall else f"with {stratum} attractor{'s' * (stratum != '1')}"
    beyond = "" if overall else f", lower by more than {margin:g}"
    return (
        f"{where} {100 * row['accuracy_b']:.1f}% right, the champion {100 * row['accuracy_a']:.1f}%"
        f"{beyond}: of {row['n']} items it loses {row['only_a']} and wins {row['only_b']} "
        f"(one-sided p = {row['p_worse']:.2g}, below {LEVEL:g})"
    )


def _drifted(row: Mapping[Hashable, Any]) -> str:
    return (
        f"gates drifted: {row['reading']} at words of role {row['stratum']} (layer {row['layer']}) "
        f"is {row['mean']:.3f} on average; other seeds give {row['mean_seeds']:.3f} and would give "
        f"{row['low']:.3f} to {row['high']:.3f} (p = {row['p_holm']:.2g}, Holm, below {LEVEL:g})"
    )


def _short(value: Any) -> Any:
    """Round a number to four digits, so that a record stays short; what isn't known is null."""
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.4g}")
    return value
