"""From sums over words to tidy tables of gates and state updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from jaxtyping import Float64, Int64
from torch import Tensor

from memgate.arrays import Floats, Ints
from memgate.gates.histograms import QUANTILE_LEVELS, quantiles, saturated_counts
from memgate.gates.words import DISTANCES, KINDS, ROLE_NAMES
from memgate.models.cells import READINGS, Reading

QUANTILES = tuple(f"q{round(100 * level):02}" for level in QUANTILE_LEVELS)

GATE_DTYPES = {
    "layer": "int64",
    "gate": "string",
    "reading": "string",
    "unit": "int64",
    "role": "string",
    "n": "int64",
    "mean": "float64",
    "sd": "float64",
    **dict.fromkeys(QUANTILES, "float64"),
    "below_0.1": "float64",
    "above_0.9": "float64",
}
"""The columns of the table of `gate_table`, also of one without rows."""

DISTANCE_DTYPES = {
    "after" if name == "role" else name: dtype for name, dtype in GATE_DTYPES.items()
}
"""The columns of the table of `distance_table`, also of one without rows."""

GROUP_DTYPES = {"group" if name == "role" else name: dtype for name, dtype in GATE_DTYPES.items()}
"""The columns of the table of `group_table`."""

STATE_UPDATE_DTYPES = {
    "layer": "int64",
    "state_update": "string",
    "unit": "int64",
    "role": "string",
    "n": "int64",
    "mean": "float64",
    "mean_abs": "float64",
    "sd": "float64",
}
"""The columns of the table of `state_update_table`."""

ALL = "all"
"""The role that stands for all words together, those of unknown role too."""

BY_ROLE: Mapping[str, Sequence[int]] = {
    ALL: range(len(KINDS)),
    **{role: [index for index, kind in enumerate(KINDS) if kind[0] == role] for role in ROLE_NAMES},
}
"""The indices in `KINDS` of the words of each role."""

BY_DISTANCE: Mapping[str, Sequence[int]] = {
    name: [index for index, kind in enumerate(KINDS) if kind[1] == name] for name in DISTANCES
}
"""The indices in `KINDS` of the words at each distance from the subject."""


class DirectionSums(NamedTuple):
    """Changes of a layer's hidden state along a direction, + towards the right answer."""

    state_update: str
    """Its name: ``contribution_change`` or ``probe``."""
    layer: int
    signed: Float64[Tensor, "kinds units"]
    """Sum of the change, with the sign of the right answer."""
    direction: Float64[Tensor, " units"]
    """The weight of each unit."""


class GateTables(NamedTuple):
    """The tables of one pass over prefixes."""

    statistics: pd.DataFrame
    """The gates of each unit by role: `gate_table`."""
    state_updates: pd.DataFrame
    """The state updates of each unit by role: `state_update_table`."""
    profile: pd.DataFrame
    """Means over units by role and by position: `memgate.gates.profile.profile_table`."""
    distances: pd.DataFrame
    """The gates of each unit by distance from the subject: `distance_table`."""

    @property
    def overall(self) -> pd.DataFrame:
        """The gates of each unit over all words: rows of `statistics`."""
        return self.statistics[self.statistics["role"] == ALL].reset_index(drop=True)


def gate_table(
    gates: Sequence[str],
    n: Int64[Tensor, " kinds"],
    sums: Float64[Tensor, "layers gates 2 kinds units"],
    histogram: Int64[Tensor, "layers gates kinds bins units"],
) -> pd.DataFrame:
    """Turn sums and histograms of gates into one row a layer, gate, reading, role and unit.

    A reading that is 1 - gate reverses the histogram. The standard deviation comes from sums; it is
    exact to about 1e-8, less than the step of a float32 below 1 (6e-8).

    Args:
        gates: torch's names, in the order of the second dimension of the sums.
        n: Words of each of `KINDS`.
        sums: Of each gate, and of its square.
        histogram: Its values, counted in the bins of `memgate.gates.histograms`.

    Returns:
        ``layer`` and ``unit`` count from 0; ``gate`` is torch's name; ``reading`` is ``keep``,
        ``write`` or null, and the GRU's update gate has a row for each of the two; ``role`` of the
        words, ``all`` or a role that occurs; ``n`` words. Over these words, of the reading if
        there is one, else of the gate: ``mean``; ``sd`` (of the population: divided by n); the
        quantiles ``q05`` to ``q95``, off by less than 0.01; the proportions
        ``below_0.1`` and ``above_0.9``. Empty for an RNN.
    """
    return _joined(_of_gates(gates, n, sums, histogram, "role", BY_ROLE), GATE_DTYPES)


def distance_table(
    gates: Sequence[str],
    n: Int64[Tensor, " kinds"],
    sums: Float64[Tensor, "layers gates 2 kinds units"],
    histogram: Int64[Tensor, "layers gates kinds bins units"],
) -> pd.DataFrame:
    """Turn sums and histograms of gates into one row a layer, gate, reading, distance and unit.

    Returns:
        As `gate_table`, but by ``after`` instead of ``role``: words after the head of the subject,
            in the bins of `memgate.metrics.strata.INTERVENING`. ``0`` is the subject
        itself, ``1–2``, ``3–5``, ``6–10`` and ``11+`` are the words between it and the verb,
        whatever their role. Words before the subject, from the verb on, and of items without a
        known subject are in no row.
    """
    return _joined(_of_gates(gates, n, sums, histogram, "after", BY_DISTANCE), DISTANCE_DTYPES)


def group_table(
    gates: Sequence[str],
    groups: Sequence[str],
    n: Int64[Tensor, " kinds"],
    sums: Float64[Tensor, "layers gates 2 kinds units"],
    histogram: Int64[Tensor, "layers gates kinds bins units"],
) -> pd.DataFrame:
    """Turn sums and histograms of gates into one row a layer, gate, reading, group and unit.

    Args:
        gates: As for `gate_table`.
        groups: The name of each kind of words; none for all words together.
        n: Words of each kind.
        sums: As for `gate_table`.
        histogram: As for `gate_table`.

    Returns:
        As `gate_table`, but by ``group`` instead of ``role``.
    """
    by_group = {ALL: range(len(n)), **{name: [kind] for kind, name in enumerate(groups)}}
    return _joined(_of_gates(gates, n, sums, histogram, "group", by_group), GROUP_DTYPES)


def _of_gates(
    gates: Sequence[str],
    n: Int64[Tensor, " kinds"],
    sums: Float64[Tensor, "layers gates 2 kinds units"],
    histogram: Int64[Tensor, "layers gates kinds bins units"],
    by: str,
    groups: Mapping[str, Sequence[int]],
) -> list[pd.DataFrame]:
    """Return the rows of each gate and reading, the kinds of words added up by `groups`."""
    words = _folded(n.cpu().numpy(), groups, axis=0)
    total = _folded(sums.cpu().numpy(), groups, axis=-2)
    counts = _folded(histogram.cpu().numpy(), groups, axis=-3)
    parts: list[pd.DataFrame] = []
    for layer in range(len(total)):
        for row, gate in enumerate(gates):
            for reading, complement in _readings(gate):
                values = _of_gate(words, total[layer, row], counts[layer, row], complement)
                keys = {"layer": layer, "gate": gate, "reading": reading}
                parts.append(_rows(keys, by, [*groups], words, values))
    return parts


def _of_gate(words: Ints, sums: Floats, histogram: Ints, complement: bool) -> dict[str, Floats]:
    """Return the columns of one gate or of its complement, each (groups, units)."""
    n = np.where(words == 0, np.nan, words)[:, None]  # a proportion of no words is null
    mean, square = sums / n
    sd = np.sqrt((square - mean**2).clip(0))  # rounding can leave -1e-17
    if complement:
        histogram = histogram[:, ::-1]
    low, high = saturated_counts(histogram)
    levels = np.moveaxis(quantiles(histogram), -1, 0)
    return {
        "mean": 1 - mean if complement else mean,
        "sd": sd,
        **dict(zip(QUANTILES, levels, strict=True)),
        "below_0.1": low / n,
        "above_0.9": high / n,
    }


def state_update_table(
    names: Sequence[str],
    n: Int64[Tensor, " kinds"],
    sums: Float64[Tensor, "layers updates 3 kinds units"],
    toward: Sequence[DirectionSums],
) -> pd.DataFrame:
    """Turn sums of state updates into one row a layer, state update, role and unit.

    Args:
        names: The state updates in the order of the second dimension of the sums.
        n: Words of each of `KINDS`.
        sums: Of each state update, of its absolute value and of its square; the last is the change
            of the hidden state.
        toward: That change along directions.

    Returns:
        ``layer`` and ``unit`` count from 0; ``state_update`` is one of those of
        `memgate.gates.state_updates`,
        ``contribution_change`` for the last layer only, ``probe`` for each if there is a probe;
        ``role`` and ``n`` as in `gate_table`; over the words ``mean``, ``mean_abs`` (mean of the
        absolute value) and ``sd`` (of the population).
    """
    words = _folded(n.cpu().numpy(), BY_ROLE, axis=0)
    total = _folded(sums.cpu().numpy(), BY_ROLE, axis=-2)
    parts: list[pd.DataFrame] = []
    for layer, of_layer in enumerate(total):
        updates = dict(zip(names, of_layer, strict=True))
        for direction in toward:
            if direction.layer == layer:
                updates[direction.state_update] = _along(direction, of_layer[-1])
        for name, (plain, size, square) in updates.items():
            of = np.where(words == 0, np.nan, words)[:, None]
            sd = np.sqrt((square / of - (plain / of) ** 2).clip(0))
            values = {"mean": plain / of, "mean_abs": size / of, "sd": sd}
            parts.append(
                _rows({"layer": layer, "state_update": name}, "role", [*BY_ROLE], words, values)
            )
    return _joined(parts, STATE_UPDATE_DTYPES)


def _along(toward: DirectionSums, hidden: Floats) -> Floats:
    """Return the sums along a direction, from those of the change of the hidden state."""
    weight = toward.direction.cpu().numpy()
    signed = _folded(toward.signed.cpu().numpy(), BY_ROLE, axis=-2)
    return np.stack([signed * weight, hidden[1] * np.abs(weight), hidden[2] * weight**2])


def _folded(
    sums: npt.NDArray[Any], groups: Mapping[str, Sequence[int]], axis: int
) -> npt.NDArray[Any]:
    """Add up the kinds of words that make up each group."""
    apart = np.moveaxis(sums, axis, 0)  # a view: histograms of 650 units take 30 MB
    return np.stack([sum(apart[kind] for kind in kinds) for kinds in groups.values()], axis)


def _rows(
    keys: dict[str, Any], by: str, groups: Sequence[str], words: Ints, values: dict[str, Floats]
) -> pd.DataFrame:
    """Return the rows of all units for each group that occurs, and always for all words."""
    names = np.array(groups)
    shown = (words > 0) | (names == ALL)
    units = next(iter(values.values())).shape[1]
    return pd.DataFrame(
        {
            **keys,
            "unit": np.tile(np.arange(units), shown.sum()),
            by: names[shown].repeat(units),
            "n": words[shown].repeat(units),
            **{name: of_groups[shown].ravel() for name, of_groups in values.items()},
        }
    )


def _joined(parts: Sequence[pd.DataFrame], dtypes: dict[str, str]) -> pd.DataFrame:
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return table.reindex(columns=list(dtypes)).astype(dtypes)


def _readings(gate: str) -> list[tuple[Reading | None, bool]]:
    return [*READINGS[gate].items()] or [(None, False)]
