"""One pass over prefixes reads every gate: `read_gates` and its sums, `GateStatistics`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import torch
from jaxtyping import Float64, Int, Int64
from torch import Tensor
from torchmetrics import Metric

from memgate.arrays import Floats
from memgate.data.batches import ExactLengthBatches
from memgate.errors import InputError
from memgate.gates.histograms import BINS
from memgate.gates.profile import (
    UNIT_SETS,
    UnitSets,
    cell_counts,
    cell_items,
    profile_table,
    readings_of,
)
from memgate.gates.state_updates import STATE_UPDATES, flat
from memgate.gates.sums import Averages, Kinds, Signs, by_kind, cell_sums
from memgate.gates.tables import (
    DirectionSums,
    GateTables,
    distance_table,
    gate_table,
    state_update_table,
)
from memgate.gates.words import KINDS, PROFILE_CELLS, WordGroups, words_of
from memgate.models.cells import READINGS, cell_of
from memgate.models.classifier import Classifier
from memgate.models.trajectory import Lookup, Trajectory
from memgate.predictor import BATCH_SIZE, Predictor

BLOCK = 2**20
"""Values of one gate that are read at once on a CPU.

A block costs some 1,000 calls of torch: 2^20 values take 1 to 7% less than 2^19, 4 to 20% less than
2^18 (128 and 650 units). `benchmarks/gates.py` has the whole pass against the fused forward.
"""


class GateStatistics(Metric):
    """Sums over words of every gate and state update, by layer, unit and kind of word.

    The kinds (`memgate.gates.words.KINDS`) give the tables by role and by distance from the subject
    from one count.

    All states are sums and histograms in float64 and int64. So memory is constant in the corpus,
    and the result doesn't depend on how the data is split into batches or over processes.

    Args:
        classifier: The classifier whose gates are counted.
        units: The number units, each as (layer, unit), both from 0.
        probe: Direction of the probe in each layer, layers × units; None for tables without it.
        kwargs: As `torchmetrics.Metric`.

    Raises:
        InputError: The recurrence lacks a unit, or the direction doesn't fit it.
    """

    full_state_update = False

    n: Int64[Tensor, " kinds"]
    gate_sums: Float64[Tensor, "layers gates 2 kinds units"]
    histogram: Int64[Tensor, "layers gates kinds bins units"]
    state_update_sums: Float64[Tensor, "layers updates 3 kinds units"]
    signed: Float64[Tensor, "kinds units"]
    numbered: Float64[Tensor, "probes kinds units"]
    readout: Float64[Tensor, " units"]
    cell_n: Int64[Tensor, " cells"]
    cell_items: Int64[Tensor, " cells"]
    cell_sums: Float64[Tensor, "layers readings sets 2 cells"]

    def __init__(
        self,
        classifier: Classifier,
        units: Iterable[tuple[int, int]] = (),
        probe: Floats | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        net = classifier.recurrence
        self.gates: tuple[str, ...] = cell_of(net).gates
        self.state_updates = STATE_UPDATES[net.mode]
        self.sets = UnitSets(classifier, units, probe)
        self.readings = readings_of(self.gates, probe is not None)
        readout = classifier.readout.weight.detach()[0].double()
        self.register_buffer("readout", readout.clone())
        layers, kinds, size = net.num_layers, len(KINDS), net.hidden_size
        for name, shape in {
            "gate_sums": (layers, len(self.gates), 2, kinds, size),
            "state_update_sums": (layers, len(self.state_updates), 3, kinds, size),
            "signed": (kinds, size),
            "numbered": (len(self.sets.probe), kinds, size),
            "cell_sums": (layers, len(self.readings), len(UNIT_SETS), 2, PROFILE_CELLS),
        }.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
        for name, shape in {
            "n": (kinds,),
            "histogram": (layers, len(self.gates), kinds, BINS, size),
            "cell_n": (PROFILE_CELLS,),
            "cell_items": (PROFILE_CELLS,),
        }.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, layers: Sequence[Trajectory], words: WordGroups) -> None:
        """Count a block of whole prefixes.

        Args:
            layers: One trajectory a layer.
            words: The kinds, signs and cells of its words.

        Raises:
            InputError: There are not as many layers as the recurrence has.
        """
        if len(layers) != len(self.state_update_sums):
            raise InputError(
                f"trajectories: expected {len(self.state_update_sums)} layers, got {len(layers)}"
            )
        kinds = by_kind(words.kinds, len(KINDS))
        self.n += kinds.n
        self.cell_n += cell_counts(words.cells)
        self.cell_items += cell_items(words.cells, len(layers[0].hidden))
        signs = torch.stack([words.signs, words.numbers])
        for layer, trajectory in enumerate(layers):
            readings = self._gates(layer, trajectory, kinds)
            readings += self._state_updates(layer, trajectory, kinds, signs)
            self.cell_sums[layer] += cell_sums(torch.stack(readings), words.cells)

    def _gates(self, layer: int, trajectory: Trajectory, kinds: Kinds) -> list[Averages]:
        """Count the gates of a layer; return the means of keep and write over sets of units."""
        averages = []
        for row, gate in enumerate(self.gates):
            means = self.sets.means[layer, : len(UNIT_SETS) if READINGS[gate] else 0]
            sums = kinds.gate(flat(trajectory.gates[gate]), means, self.histogram[layer, row])
            self.gate_sums[layer, row] += sums.moments
            if READINGS[gate]:
                averages.append(sums.averages)
        return averages

    def _state_updates(
        self, layer: int, trajectory: Trajectory, kinds: Kinds, signs: Signs
    ) -> list[Averages]:
        """Count the state updates of a layer; return the profile's readings of them by set."""
        last = layer == len(self.state_update_sums) - 1
        sums = kinds.state_updates(trajectory, self.sets.means[layer], signs)
        self.state_update_sums[layer] += sums.moments
        if last:
            self.signed += sums.signed[0]
        if len(self.numbered):
            self.numbered[layer] += sums.signed[1]
        # the change of the states along a direction, word after word
        directions = self.sets.directions[layer].to(trajectory.hidden.dtype)
        change = (flat(trajectory.hidden) @ directions.flatten(1)).double()
        batch = len(trajectory.hidden)
        change[batch:] -= change[:-batch].clone()
        toward = change.view(len(change), *directions.shape[1:]).unbind(1)
        towards = [
            sign.unsqueeze(1) * of_sets for sign, of_sets in zip(signs, toward, strict=False)
        ]
        return [sums.sizes, *towards]

    def compute(self) -> GateTables:
        """Return the tables."""
        toward = [
            DirectionSums(
                "contribution_change", len(self.state_update_sums) - 1, self.signed, self.readout
            )
        ]
        for layer, (numbered, probe) in enumerate(zip(self.numbered, self.sets.probe, strict=True)):
            toward.append(DirectionSums("probe", layer, numbered, probe))
        sums = self.n, self.gate_sums, self.histogram
        return GateTables(
            gate_table(self.gates, *sums),
            state_update_table(self.state_updates, self.n, self.state_update_sums, toward),
            profile_table(
                self.readings, self.sets.shown, self.cell_n, self.cell_items, self.cell_sums
            ),
            distance_table(self.gates, *sums),
        )


def blocks(rows: Int[Tensor, "batch ..."], size: int) -> Sequence[Int[Tensor, "_ ..."]]:
    """Split prefixes so that on a CPU the values of one gate stay in the cache.

    Args:
        rows: A batch; a GPU has room for it, and wants large launches: there it stays whole.
        size: Values of one gate in each prefix.
    """
    return [rows] if rows.is_cuda else torch.split(rows, max(1, BLOCK // max(1, size)))


def read_gates(
    predictor: Predictor,
    table: pa.Table,
    units: Iterable[tuple[int, int]] = (),
    batch_size: int = BATCH_SIZE,
    probe: Floats | None = None,
) -> GateTables:
    """Read every gate of a model over agreement items.

    Args:
        predictor: A classifier with its vocabulary and task.
        table: Items with the columns of `memgate.data.items.schema.FEATURES`.
        units: The number units, each as (layer, unit), both from 0; none if unknown.
        batch_size: Prefixes read at once; the tables don't depend on it.
        probe: The direction of the number probe in each layer, layers × units, as
            `memgate.gates.units.number_units.NumberUnits.probe_direction`: with it
            the state updates and the profile have the rows ``probe``.

    Raises:
        InputError: As `Predictor.read`; or the model lacks a unit, or the direction doesn't fit it.

    >>> import memgate
    >>> from memgate.data.sources.grammar import Grammar
    >>> from memgate.data.vocabulary import Vocabulary
    >>> grammar = Grammar(train=1, validation=1, test=200)
    >>> table = grammar.load()["test"].with_format("arrow")[:]
    >>> words = {word for text in table["text"].to_pylist() for word in text.split()}
    >>> vocabulary = Vocabulary.from_words(sorted(words))
    >>> classifier = memgate.Classifier(len(vocabulary), "gru", 4, 3)  # not trained
    >>> model = memgate.Predictor(classifier.eval(), vocabulary)
    >>> memgate.read_gates(model, table).statistics["gate"].unique().tolist()
    ['reset', 'update']
    """
    _, prefixes = predictor.read(table)
    batches = ExactLengthBatches(prefixes, batch_size)
    return gate_tables(predictor.classifier, batches, units, probe)


@torch.inference_mode()
def gate_tables(
    classifier: Classifier,
    batches: ExactLengthBatches,
    units: Iterable[tuple[int, int]] = (),
    probe: Floats | None = None,
) -> GateTables:
    """Read every gate of a classifier over the prefixes of a loader.

    If several processes have a part of the prefixes each, all of them get the tables of all parts.

    Args:
        classifier: Its dropout is not applied. The pass runs on its device.
        batches: Prefixes encoded with its vocabulary, whose labels and targets are known.
        units: As for `read_gates`.
        probe: As for `read_gates`.

    Returns:
        Tables that don't depend on how the prefixes are batched. In float64 the counts are equal
        and the sums agree to 1e-12. A float32 gate is computed to about 1e-7, so its means may
        differ by as much between batch sizes (`memgate.gates.sums`).

    Raises:
        InputError: The model lacks a unit, the direction doesn't fit it, or a state is NaN.
    """
    classifier = classifier.widened()
    device = classifier.embedding.weight.device
    statistics = GateStatistics(classifier, units, probe).to(device)
    prefixes = batches.prefixes.to(device)
    occurring, index_of = _occurring_words(prefixes.ids, len(classifier.embedding.weight))
    lookup = Lookup(classifier.recurrence, classifier.embedding(occurring))
    for batch in batches:
        length = batch.inputs.shape[1]
        for rows in blocks(batch.rows.to(device), length * classifier.recurrence.hidden_size):
            block = prefixes.batch(rows, length)
            layers = lookup.trajectories(index_of[block.inputs])
            logits = classifier.readout(layers[-1].hidden[:, -1]).squeeze(-1)
            right = (logits > 0) == (block.targets == 1)
            statistics.update(layers, words_of(prefixes, block, right))
    if statistics.state_update_sums.isnan().any():  # a histogram counts NaN in its first bin
        raise InputError("gates: expected finite states, got NaN: the weights are not finite")
    tables: GateTables = statistics.compute()
    return tables


def _occurring_words(
    ids: Int[Tensor, " tokens"], vocabulary: int
) -> tuple[Int[Tensor, " forms"], Int[Tensor, " vocabulary"]]:
    """Return the ids that occur, and the index of each id of the vocabulary among them."""
    occurs = torch.bincount(ids, minlength=vocabulary) > 0
    return occurs.nonzero().squeeze(1), occurs.cumsum(0) - 1
