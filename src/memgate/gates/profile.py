"""The profile: means of gates and state updates by role and position, over sets of units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float64, Int, Int64
from torch import Tensor, nn

from memgate.arrays import Floats
from memgate.errors import InputError
from memgate.gates.units.unit import unit_mask
from memgate.gates.words import PROFILE_CELLS, PROFILE_STRATA
from memgate.models.cells import READINGS
from memgate.models.classifier import Classifier

UNIT_SETS = ("all", "number units")
"""The sets of units that a profile shows."""

PROFILE_NUMBERS, PROFILE_ANSWERS = ("sg", "pl"), ("wrong", "right")

PROFILE_DTYPES = {
    "layer": "int64",
    "reading": "string",
    "units": "string",
    "by": "string",
    "stratum": "string",
    "number": "string",
    "answer": "string",
    "n": "int64",
    "items": "int64",
    "mean": "float64",
    "sd": "float64",
}
"""The columns of a profile."""

OLD_READINGS = {"effect": "state_update", "evidence": "contribution_change"}
"""Names of readings in profiles that memgate 0.1 wrote, and what they are called now."""


class UnitSets(nn.Module):
    """Weights that average the values of units over each set of `UNIT_SETS`.

    Args:
        classifier: Gives the sizes, and the readout.
        units: The number units, each as (layer, unit), both from 0; none if unknown.
        probe: Direction of the probe in each layer, layers × units; None if unknown.

    Raises:
        InputError: There is no such unit, or the direction doesn't fit or isn't finite.
    """

    means: Tensor
    """Layers × sets × units: the weights of the units in each set's average; 0 for an empty set."""
    directions: Tensor
    """Layers × units × (readout, and the probe if there is one) × sets."""
    probe: Tensor
    """Layers × units; without a probe no layers."""

    def __init__(
        self,
        classifier: Classifier,
        units: Iterable[tuple[int, int]] = (),
        probe: Floats | None = None,
    ) -> None:
        super().__init__()
        net = classifier.recurrence
        members = torch.zeros(net.num_layers, net.hidden_size, len(UNIT_SETS), dtype=torch.float64)
        members[..., 0] = 1
        members[..., 1] = unit_mask(net, tuple(units))
        self.shown: list[list[bool]] = (members.sum(1) > 0).tolist()
        means = members / members.sum(1, keepdim=True).clamp(min=1)
        self.register_buffer("means", means.transpose(1, 2).contiguous())
        readout = classifier.readout.weight.detach().double().cpu()[0].expand(net.num_layers, -1)
        probes = [] if probe is None else [_checked(probe, net.num_layers, net.hidden_size)]
        directions = torch.stack([readout, *probes], dim=2)
        self.register_buffer("directions", directions.unsqueeze(3) * members.unsqueeze(2))
        self.register_buffer("probe", probes[0] if probes else readout[:0].clone())


def _checked(probe: Floats, layers: int, units: int) -> Tensor:
    if probe.shape != (layers, units) or not np.isfinite(probe).all():
        raise InputError(
            f"probe: expected a finite direction of shape ({layers}, {units}), layers and units, "
            f"got {probe.shape}"
        )
    return torch.tensor(probe, dtype=torch.float64)


def readings_of(gates: Sequence[str], probe: bool = False) -> list[str]:
    """Return the names of the readings that a profile sums for each layer, in order.

    Args:
        gates: torch's names.
        probe: Whether there is a probe.

    Returns:
        Gates that read as keep or write, ``state_update``, ``contribution_change`` and perhaps
        ``probe``.
    """
    return [
        *(gate for gate in gates if READINGS[gate]),
        *("state_update", "contribution_change"),
        *(["probe"] if probe else []),
    ]


def _readings(name: str) -> Iterable[tuple[str, bool]]:
    return READINGS[name].items() if name in READINGS else [(name, False)]


def cell_counts(cells: Int[Tensor, "3 words"]) -> Int64[Tensor, " cells"]:
    """Count the words of each cell."""
    return torch.bincount(cells.flatten(), minlength=PROFILE_CELLS)


def cell_items(cells: Int[Tensor, "3 words"], prefixes: int) -> Int64[Tensor, " cells"]:
    """Count the prefixes with a word in each cell.

    Args:
        cells: Of all words of whole prefixes; the first words of all of them come first.
        prefixes: The number of prefixes.
    """
    has = torch.zeros(PROFILE_CELLS, prefixes, dtype=torch.bool, device=cells.device)
    has.scatter_(0, cells.reshape(-1, prefixes), True)
    return has.sum(1)


def profile_table(
    readings: Sequence[str],
    shown: Sequence[Sequence[bool]],
    n: Int64[Tensor, " cells"],
    items: Int64[Tensor, " cells"],
    sums: Float64[Tensor, "layers readings sets 2 cells"],
) -> pd.DataFrame:
    """Turn sums over words into a profile.

    Args:
        readings: What was summed, as `readings_of` names it.
        shown: For each layer whether each set of units has any.
        n: Words of each cell.
        items: Prefixes with a word in it.
        sums: Of each reading, averaged over the units of a set (contribution change and probe:
            added up), and of its square.

    Returns:
        Columns: ``layer``, from 0; ``reading``: ``write`` and ``keep``, ``state_update`` (the
        absolute change of the memory: `memgate.gates.state_updates`), all averaged over the units,
        and in the last layer ``contribution_change``, with a probe in each ``probe``, both added up
        over them; ``units``: ``all`` or ``number units``; ``by``: ``role``, ``from_subject`` or
        ``to_verb``; ``stratum``: a role, or a position such as "-3", where the subject is 0 and the
        last word before the verb -1; ``number`` of the subject, ``sg`` or ``pl``; ``answer`` of the
        model, ``right`` or ``wrong``; ``n`` words, in how many ``items`` (prefixes); over the words
        ``mean`` and ``sd`` (of the population). Only rows with words. Standard errors:
        `variance_of_mean`.
    """
    words, prefixes = n.cpu()[:-1], items.cpu()
    full = words.nonzero().squeeze(1)
    keys = [(*_cell(cell), int(words[cell]), int(prefixes[cell])) for cell in full.tolist()]
    means = sums.cpu()[..., full] / words[full]
    rows = []
    for layer, reading, units, (mean, square) in _moments(readings, shown, means):
        sd = np.sqrt((square - mean**2).clip(0))
        values = zip(keys, mean, sd, strict=True)
        rows += [(layer, reading, units, *key, m, s) for key, m, s in values]
    return pd.DataFrame(rows, columns=list(PROFILE_DTYPES)).astype(PROFILE_DTYPES)


def _cell(cell: int) -> tuple[str, str, str, str]:
    """Return by, stratum, number and answer of the words of a cell."""
    return (*PROFILE_STRATA[cell // 4], PROFILE_NUMBERS[cell // 2 % 2], PROFILE_ANSWERS[cell % 2])


def _moments(
    readings: Sequence[str],
    shown: Sequence[Sequence[bool]],
    means: Float64[Tensor, "layers readings sets 2 cells"],
) -> Iterator[tuple[int, str, str, Floats]]:
    """Yield layer, reading, units, and the means of the reading and of its square."""
    for layer, of_layer in enumerate(means.numpy()):
        for name, of_reading in zip(readings, of_layer, strict=True):
            if name == "contribution_change" and layer < len(means) - 1:
                continue
            for reading, complement in _readings(name):
                for units, show, (mean, square) in zip(
                    UNIT_SETS, shown[layer], of_reading, strict=True
                ):
                    if show and complement:
                        yield layer, reading, units, np.stack([1 - mean, 1 - 2 * mean + square])
                    elif show:
                        yield layer, reading, units, np.stack([mean, square])


def pooled(profile: pd.DataFrame, *over: str) -> pd.DataFrame:
    """Pool rows of a profile, as if they had been counted together.

    Args:
        profile: A table of `profile_table`.
        over: The columns to pool over: ``answer``, ``number`` or both. A prefix has one of each, so
            items add up as words do.
    """
    keys = [name for name in PROFILE_DTYPES if name not in (*over, "n", "items", "mean", "sd")]
    n = profile["n"]
    sums = profile[[*keys, "n", "items"]].assign(
        total=profile["mean"] * n, squares=(profile["sd"] ** 2 + profile["mean"] ** 2) * n
    )
    result = sums.groupby(keys, sort=False, as_index=False).sum()
    mean = result.pop("total") / result["n"]
    variance = result.pop("squares") / result["n"] - mean**2
    return result.assign(mean=mean, sd=np.sqrt(variance.clip(lower=0)))


def variance_of_mean(profile: pd.DataFrame) -> Floats:
    """Return the squared standard error of each mean by items: sd² / (items - 1); not finite at 1.

    Prefixes are independent; words of one role in one prefix are not. If k_i of n words are in item
    i, and words of an item correlate by r, the variance is s² / n · (1 + (Σk_i² / n - 1) · r)
    (Kish 1965, section 5.4). With as many words in each item that is at most s² / items, reached at
    r = 1, and exact at positions, where k_i = 1. With unequal k_i it exceeds s² / items if
    r > (n / items - 1) / (Σk_i² / n - 1). Measured over random halves of 10,000 items (GRU of 8
    units, 200 halvings; LSTM of 100, 100 halvings), it doesn't: the variance of the mean of a role
    was 0.1 times this for ``before``, 0.2 to 0.3 for ``other``, 0.6 to 0.9 for nouns, and 1 for
    ``subject`` and for positions. The -1 turns the sd of the population into that of a sample.
    """
    sd = profile["sd"].to_numpy(dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance: Floats = sd**2 / (profile["items"].to_numpy() - 1)
    return variance
