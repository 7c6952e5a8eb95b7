"""What every gate and every memory does over many words, in sums that add up over batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from jaxtyping import Float, Float64, Int, Int64
from torch import Tensor
from torchmetrics import Metric

from memgate.errors import InputError
from memgate.gates.effects import EFFECTS, effects, flat
from memgate.gates.histograms import BINS, count
from memgate.gates.profile import (
    UNITS,
    UnitSets,
    cell_counts,
    cell_items,
    cell_sums,
    profile_table,
    readings_of,
)
from memgate.gates.tables import GateTables, Toward, distance_table, effect_table, gate_table
from memgate.gates.words import CELLS, KINDS, ROLE_NAMES, Words, unknown_words
from memgate.models.cells import READINGS, cell_of
from memgate.models.classifier import Classifier
from memgate.models.trajectory import Trajectory, trajectories

BLOCK = 2**18
"""Values of one gate that are read at a time on a CPU.

The whole pass takes 3.6 times the fused forward of an LSTM of 128 units and 2.5 times that of a GRU
(134,022 words in the lengths of agr_wiki_dev, one thread; the trajectories alone 1.6 and 1.2).
Blocks of 2^17 to 2^19 values differ by less than the noise, 10%; 2^16 cost a GRU 40% more.
"""

Values = Float64[Tensor, "words units"]
OneHot = Float64[Tensor, "roles words"]
Averages = Float64[Tensor, "words sets"]


class GateStatistics(Metric):
    """Sums over words of every gate and effect, by layer, role and unit, and the profile's.

    Those of gates are finer, by `memgate.gates.words.KINDS`: one count gives the table by role and
    that by distance from the subject.

    The states are sums and histograms alone, in float64 and int64: memory is constant in the
    corpus, and batches, their sizes and their order, or processes, don't change the result.

    Args:
        classifier: Whose gates will be counted: its kind, its sizes and its readout.
        units: The number units, each as (layer, unit), both from 0.
        probe: The probe's direction in each layer, layers × units; None for tables without.
        kwargs: As `torchmetrics.Metric`.

    Raises:
        InputError: The recurrence is of a kind that `cell_of` refuses, or lacks a unit, or the
            direction doesn't fit it.
    """

    full_state_update = False

    n: Int64[Tensor, " kinds"]
    gate_sums: Float64[Tensor, "layers gates 2 kinds units"]
    histogram: Int64[Tensor, "layers gates kinds bins units"]
    effect_sums: Float64[Tensor, "layers effects 3 roles units"]
    signed: Float64[Tensor, "roles units"]
    numbered: Float64[Tensor, "probes roles units"]
    readout: Float64[Tensor, " units"]
    cell_n: Int64[Tensor, " cells"]
    cell_items: Int64[Tensor, " cells"]
    cell_sums: Float64[Tensor, "layers readings sets 2 cells"]

    def __init__(
        self,
        classifier: Classifier,
        units: Iterable[tuple[int, int]] = (),
        probe: npt.NDArray[np.float64] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        net = classifier.recurrence
        self.gates: tuple[str, ...] = cell_of(net).gates
        self.effects = EFFECTS[net.mode]
        self.sets = UnitSets(classifier, units, probe)
        self.readings = readings_of(self.gates, probe is not None)
        readout = classifier.readout.weight.detach()[0].double()
        self.register_buffer("readout", readout.clone())
        layers, roles, size = net.num_layers, len(ROLE_NAMES), net.hidden_size
        for name, shape in {
            "gate_sums": (layers, len(self.gates), 2, len(KINDS), size),
            "effect_sums": (layers, len(self.effects), 3, roles, size),
            "signed": (roles, size),
            "numbered": (len(self.sets.probe), roles, size),
            "cell_sums": (layers, len(self.readings), len(UNITS), 2, CELLS),
        }.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
        for name, shape in {
            "n": (len(KINDS),),
            "histogram": (layers, len(self.gates), len(KINDS), BINS, size),
            "cell_n": (CELLS,),
            "cell_items": (CELLS,),
        }.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, layers: Sequence[Trajectory], words: Words) -> None:
        """Count a block of whole prefixes.

        Args:
            layers: One trajectory a layer.
            words: What is known of its words.

        Raises:
            InputError: There are not as many layers as the recurrence has.
        """
        if len(layers) != len(self.effect_sums):
            raise InputError(
                f"trajectories: expected {len(self.effect_sums)} layers, got {len(layers)}"
            )
        one_hot = _one_hot(words.groups)
        self.n += torch.bincount(words.kinds, minlength=len(KINDS))
        self.cell_n += cell_counts(words.cells)
        self.cell_items += cell_items(words.cells, len(layers[0].hidden))
        for layer, trajectory in enumerate(layers):
            averages = self._gates(layer, trajectory, words)
            averages += self._effects(layer, trajectory, words, one_hot)
            of_sets = torch.stack(averages).transpose(1, 2)
            both = torch.stack([of_sets, of_sets.square()], dim=2).flatten(0, 2)
            sums = cell_sums(both, words.cells)
            self.cell_sums[layer] += sums.view_as(self.cell_sums[layer])

    def _gates(self, layer: int, trajectory: Trajectory, words: Words) -> list[Averages]:
        """Count the gates of a layer; return the averages of keep and write over sets of units."""
        averages, sums = [], torch.zeros_like(self.gate_sums[layer])
        for row, gate in enumerate(self.gates):
            values = flat(trajectory.gates[gate])
            count(self.histogram[layer, row], values, words.kinds)
            exact = values.double()
            sums[row, 0].index_add_(0, words.kinds, exact)
            if READINGS[gate]:
                averages.append(exact @ self.sets.means[layer])
            sums[row, 1].index_add_(0, words.kinds, _squared(exact, values))
        self.gate_sums[layer] += sums
        return averages

    def _effects(
        self, layer: int, trajectory: Trajectory, words: Words, one_hot: OneHot
    ) -> list[Averages]:
        """Count the effects of a layer; return effect, evidence and probe for sets of units."""
        averages, toward = [], list[Averages]()
        for row, (name, values) in enumerate(zip(self.effects, effects(trajectory), strict=True)):
            exact = values.double()
            sums = self.effect_sums[layer, row]
            sums[0] += one_hot @ exact
            if row == len(self.effects) - 1:
                toward = self._toward(layer, exact, words)
                if layer == len(self.effect_sums) - 1:
                    self.signed += (one_hot * words.signs) @ exact
                if len(self.numbered):
                    self.numbered[layer] += (one_hot * words.numbers) @ exact
            size = exact.abs_() if exact is not values else exact.abs()
            sums[1] += one_hot @ size
            if name == "change":
                averages.append(size @ self.sets.means[layer])
            sums[2] += one_hot @ size.square_()
        return averages + toward

    def _toward(self, layer: int, change: Values, words: Words) -> list[Averages]:
        """Return a layer's change of the hidden state along the readout and the probe, signed."""
        directions = self.sets.directions[layer]
        along = (change @ directions.flatten(1)).view(len(change), *directions.shape[1:])
        signs = (words.signs, words.numbers)
        return [
            sign.unsqueeze(1) * of_sets
            for sign, of_sets in zip(signs, along.unbind(1), strict=False)
        ]

    def compute(self) -> GateTables:
        """Return the tables."""
        toward = [Toward("evidence", len(self.effect_sums) - 1, self.signed, self.readout)]
        for layer, (numbered, probe) in enumerate(zip(self.numbered, self.sets.probe, strict=True)):
            toward.append(Toward("probe", layer, numbered, probe))
        sums = self.n, self.gate_sums, self.histogram
        return GateTables(
            gate_table(self.gates, *sums),
            effect_table(self.effects, self.n, self.effect_sums, toward),
            profile_table(
                self.readings, self.sets.shown, self.cell_n, self.cell_items, self.cell_sums
            ),
            distance_table(self.gates, *sums),
        )


def _one_hot(groups: Int[Tensor, " words"]) -> OneHot:
    """Return the matrix by which a product adds up words by role; half the time of comparing."""
    zeros = torch.zeros(len(ROLE_NAMES), len(groups), dtype=torch.float64, device=groups.device)
    return zeros.scatter_(0, groups.unsqueeze(0), 1)


def _squared(exact: Values, original: Float[Tensor, "words units"]) -> Values:
    """Square in place, unless that would change the trajectory."""
    return exact.square() if exact is original else exact.square_()


def blocks(rows: Int[Tensor, "batch ..."], size: int) -> Sequence[Int[Tensor, "_ ..."]]:
    """Split prefixes so that on a CPU the values of one gate stay in the cache.

    Args:
        rows: A batch; a GPU has room for it, and wants large launches: there it stays whole.
        size: Values of one gate in each prefix.
    """
    return [rows] if rows.is_cuda else torch.split(rows, max(1, BLOCK // max(1, size)))


@torch.inference_mode()
def gate_statistics(
    classifier: Classifier, batches: Iterable[Int[Tensor, "_batch _time"]]
) -> pd.DataFrame:
    """Read every gate of a classifier over prefixes of whose words nothing is known.

    Args:
        classifier: Its dropout is not applied.
        batches: Token ids, each batch of prefixes of one length.

    Returns:
        The table of `memgate.gates.tables.gate_table`, over all words together; it doesn't depend
        on how the prefixes are batched.

    Raises:
        InputError: There is no batch.
    """
    statistics = GateStatistics(classifier).to(classifier.embedding.weight.device)
    for batch in batches:
        ids = batch.to(classifier.embedding.weight.device)
        for block in blocks(ids, ids.shape[1] * classifier.recurrence.hidden_size):
            layers = trajectories(classifier.recurrence, classifier.embedding(block))
            statistics.update(layers, unknown_words(block))
    if not statistics.n.any():
        raise InputError("gate statistics: expected at least one batch of prefixes, got none")
    tables: GateTables = statistics.compute()
    return tables.overall
