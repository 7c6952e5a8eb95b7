"""The profile: what gates do at each role and at each place, for the number units and for all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from jaxtyping import Float64, Int, Int64
from torch import Tensor, nn

from memgate.errors import InputError
from memgate.gates.words import CELLS, STRATA
from memgate.models.cells import READINGS
from memgate.models.classifier import Classifier

UNITS = ("all", "number units")
"""The sets of units that a profile shows."""

NUMBERS, ANSWERS = ("sg", "pl"), ("wrong", "right")

DTYPES = {
    "layer": "int64",
    "reading": "string",
    "units": "string",
    "by": "string",
    "stratum": "string",
    "number": "string",
    "answer": "string",
    "n": "int64",
    "mean": "float64",
    "sd": "float64",
}
"""The columns of a profile."""

Numbers = npt.NDArray[np.float64]


class UnitSets(nn.Module):
    """Weights that turn the values of units into one number for each set of `UNITS`.

    Args:
        classifier: Gives the sizes, and the readout.
        units: The number units, each as (layer, unit), both from 0; none if they aren't known.

    Raises:
        InputError: There is no such unit.
    """

    means: Tensor
    evidence: Tensor

    def __init__(self, classifier: Classifier, units: Iterable[tuple[int, int]] = ()) -> None:
        super().__init__()
        net = classifier.recurrence
        members = torch.zeros(net.num_layers, net.hidden_size, len(UNITS), dtype=torch.float64)
        members[..., 0] = 1
        for layer, unit in units:
            if not (0 <= layer < net.num_layers and 0 <= unit < net.hidden_size):
                raise InputError(
                    f"units: expected (layer, unit) below ({net.num_layers}, {net.hidden_size}), "
                    f"got ({layer}, {unit})"
                )
            members[layer, unit, 1] = 1
        self.shown: list[list[bool]] = (members.sum(1) > 0).tolist()
        self.register_buffer("means", members / members.sum(1, keepdim=True).clamp(min=1))
        readout = classifier.readout.weight.detach().double().cpu()[0]
        self.register_buffer("evidence", members[-1] * readout.unsqueeze(1))


def readings_of(gates: Sequence[str]) -> list[str]:
    """Return the names of what a profile sums for each layer, in order: gates, effect, evidence."""
    return [*(gate for gate in gates if READINGS[gate]), "effect", "evidence"]


def _readings(name: str) -> Iterable[tuple[str, bool]]:
    return READINGS[name].items() if name in READINGS else [(name, False)]


def cell_sums(
    columns: Float64[Tensor, "columns words"], cells: Int[Tensor, "3 words"]
) -> Float64[Tensor, "columns cells"]:
    """Add up each column over the words of each cell."""
    start = CELLS * torch.arange(len(columns), device=columns.device)
    result = columns.new_zeros(len(columns) * CELLS)
    for kind in cells:
        places = (kind + start.unsqueeze(1)).flatten()
        result += torch.bincount(places, columns.flatten(), minlength=len(result))
    return result.view(-1, CELLS)


def cell_counts(cells: Int[Tensor, "3 words"]) -> Int64[Tensor, " cells"]:
    """Count the words of each cell."""
    return torch.bincount(cells.flatten(), minlength=CELLS)


def profile_table(
    gates: Sequence[str],
    shown: Sequence[Sequence[bool]],
    n: Int64[Tensor, " cells"],
    sums: Float64[Tensor, "layers readings sets 2 cells"],
) -> pd.DataFrame:
    """Turn sums over words into a profile.

    Args:
        gates: torch's names.
        shown: For each layer whether each set of units has any.
        n: Words of each cell.
        sums: Of each reading of `readings_of`, averaged over the units of a set (evidence: added
            up), and of its square.

    Returns:
        Columns: ``layer``, from 0; ``reading``: ``write`` and ``keep``, ``effect`` (the absolute
        change of the memory: `memgate.gates.effects`), all averaged over the units, and in the
        last layer ``evidence``, added up over them; ``units``: ``all`` or ``number units``; ``by``:
        ``role``, ``from_subject`` or ``to_verb``; ``stratum``: a role, or a place such as "-3",
        where the subject is 0 and the last word before the verb -1; ``number`` of the subject,
        ``sg`` or ``pl``; ``answer`` of the model, ``right`` or ``wrong``; ``n`` words; over them
        ``mean`` and ``sd`` (the population's). Only rows with words.
    """
    words = n.cpu().numpy()[:-1]
    full = np.flatnonzero(words)
    of = words[full]
    keys = [
        (*STRATA[cell // 4], NUMBERS[cell // 2 % 2], ANSWERS[cell % 2], int(words[cell]))
        for cell in full
    ]
    rows = []
    for layer, reading, units, (mean, square) in _moments(
        gates, shown, sums.cpu()[..., full] / torch.from_numpy(of)
    ):
        sd = np.sqrt((square - mean**2).clip(0))
        values = zip(keys, mean, sd, strict=True)
        rows += [(layer, reading, units, *key, m, s) for key, m, s in values]
    return pd.DataFrame(rows, columns=list(DTYPES)).astype(DTYPES)


def _moments(
    gates: Sequence[str],
    shown: Sequence[Sequence[bool]],
    means: Float64[Tensor, "layers readings sets 2 cells"],
) -> Iterator[tuple[int, str, str, Numbers]]:
    """Yield layer, reading, units, and the means of the reading and of its square."""
    for layer, of_layer in enumerate(means.numpy()):
        for name, of_reading in zip(readings_of(gates), of_layer, strict=True):
            if name == "evidence" and layer < len(means) - 1:
                continue
            for reading, complement in _readings(name):
                for units, show, (mean, square) in zip(
                    UNITS, shown[layer], of_reading, strict=True
                ):
                    if show and complement:
                        yield layer, reading, units, np.stack([1 - mean, 1 - 2 * mean + square])
                    elif show:
                        yield layer, reading, units, np.stack([mean, square])


def pooled(profile: pd.DataFrame, *over: str) -> pd.DataFrame:
    """Pool rows of a profile, exactly as if they had been counted together.

    Args:
        profile: A table of `profile_table`.
        over: What is no longer told apart, such as ``answer`` and ``number``.
    """
    keys = [name for name in DTYPES if name not in (*over, "n", "mean", "sd")]
    n = profile["n"]
    sums = profile[keys].assign(
        n=n, total=profile["mean"] * n, squares=(profile["sd"] ** 2 + profile["mean"] ** 2) * n
    )
    result = sums.groupby(keys, sort=False, as_index=False).sum()
    mean = result.pop("total") / result["n"]
    variance = result.pop("squares") / result["n"] - mean**2
    return result.assign(mean=mean, sd=np.sqrt(variance.clip(lower=0)))
