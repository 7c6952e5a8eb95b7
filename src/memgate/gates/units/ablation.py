"""Units ablated: replaced by their mean from the subject on, one at a time or in sets."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from scipy.stats import rankdata
from torch import Tensor

from memgate.arrays import Floats, Ints
from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.errors import InputError
from memgate.gates.units.unit import Unit, unit_mask
from memgate.metrics.accuracy import CHANCE, wilson
from memgate.models.cells import Quantity, StateName, cell_of
from memgate.models.classifier import Classifier
from memgate.models.trajectory import trajectories, unroll

ABLATION_ROWS = 1024
"""Rows (sentences × sets) of a batch.

A row of 20 words takes 2.9 µs in an LSTM of 8 units (5.2 with 256 rows, 800 with one) and 45 µs in
one of 100 units (41 with 256 rows, 87 with 16,384), on one core.
"""


class AblationScore(NamedTuple):
    """How well log-odds predict the answer; NaN where the items have only one of the two answers.

    Attributes:
        n: Items.
        accuracy: Balanced accuracy: the mean of the two answers' accuracies, so a constant
            prediction gets 0.5.
        low: Lower end of its 95% interval over items: Wilson's intervals of the two
            accuracies, joined by the square-and-add rule (Newcombe 1998, method 10; Zou and Donner
            2008).
        high: Upper end.
        margin: Mean log-odds of the right answer, both answers with the same weight.
        auc: Area under the ROC curve. If it is above 0.5 and the accuracy is not, only the
            threshold is off.
    """

    n: int
    accuracy: float
    low: float
    high: float
    margin: float
    auc: float


def score_logits(logits: Floats, targets: Ints) -> AblationScore:
    """Score log-odds.

    Args:
        logits: Log-odds of the answer 1, N of them.
        targets: The right answers, 0 or 1.
    """
    groups = [logits[targets == 0], logits[targets == 1]]
    sizes = [len(group) for group in groups]
    if not all(sizes):
        return AblationScore(len(logits), *[np.nan] * 5)
    right = [int((groups[0] <= 0).sum()), int((groups[1] > 0).sum())]
    accuracies = np.array(right) / sizes
    low, high = np.array([wilson(*pair) for pair in zip(right, sizes, strict=True)]).T
    accuracy = accuracies.mean()
    # the rank-sum form: scikit-learn's roc_auc_score takes 8 ms for 1,000 items, this 0.3, and
    # number units score some thousand sets
    mean_rank = rankdata(logits)[targets == 1].mean()
    return AblationScore(
        len(logits),
        float(accuracy),
        float(accuracy - np.hypot(*(accuracies - low)) / 2),
        float(accuracy + np.hypot(*(high - accuracies)) / 2),
        float((groups[1].mean() - groups[0].mean()) / 2),
        float((mean_rank - (sizes[1] + 1) / 2) / sizes[0]),
    )


@torch.no_grad()
def mean_states(
    classifier: Classifier, prefixes: Prefixes
) -> dict[Quantity, Float[Tensor, "layers units"]]:
    """Return the mean of each unit's hidden state, and for the LSTM of its cell.

    Singular and plural items have the same weight. If two thirds are singular, the plain mean leans
    to them: ablating a set then makes all predictions singular although the log-odds still separate
    the numbers (GRU of 100 units, 60 random ones ablated: 59% right, AUC 0.90; with the balanced
    mean 77%).

    Args:
        classifier: Its dropout is not applied.
        prefixes: The mean is over the states after the subject and after every later word: the
            states that an ablation replaces.

    Raises:
        InputError: No prefix of a number has a known subject.
    """
    net = classifier.recurrence
    weight = classifier.embedding.weight
    states: dict[StateName, None] = dict.fromkeys((cell_of(net).memory, "hidden"))
    shape = 2, net.num_layers, net.hidden_size
    total = {name: weight.new_zeros(shape, dtype=torch.float64) for name in states}
    words = torch.zeros(2, dtype=torch.int64)
    for batch in ExactLengthBatches(prefixes, ABLATION_ROWS):
        layers = trajectories(net, classifier.embedding(batch.inputs))
        for number in (0, 1):
            after = (prefixes.after_subject(batch) >= 0) & (batch.labels == number).unsqueeze(1)
            words[number] += int(after.sum())
            for name in states:
                for layer, trajectory in enumerate(layers):
                    total[name][number, layer] += getattr(trajectory, name)[after].double().sum(0)
    if not words.all():
        raise InputError("ablation: expected items of both numbers with a known subject, got none")
    weights = (0.5 / words.double()).to(weight.device)
    return {
        name: torch.tensordot(weights, sums, dims=1).to(weight.dtype)
        for name, sums in total.items()
    }


@dataclass(frozen=True, eq=False)
class Ablation:
    """A classifier with units ablated by their mean.

    The hidden state of an ablated unit, and in an LSTM its cell, is its mean whatever the network
    reads; zero is not a neutral value (Lu et al. 2020). The ablation starts at the state after the
    subject. If it started one word later, that word would still pass the number to other units,
    and without intervening words the verb would be read off that state.

    Attributes:
        classifier: Its dropout is not applied.
        prefixes: What it reads; nothing is ablated in an item without a known subject.
        means: As from `mean_states`.
    """

    classifier: Classifier
    prefixes: Prefixes
    means: dict[Quantity, Float[Tensor, "layers units"]]

    @torch.no_grad()
    def logits(self, sets: Sequence[Collection[Unit]]) -> Floats:
        """Return the log-odds of the answer 1 with each set of units ablated.

        Args:
            sets: S sets, which may be empty.

        Returns:
            S × N numbers, for each set the items in the order of the prefixes.

        Raises:
            InputError: There is no such unit.
        """
        net = self.classifier.recurrence
        masks = [unit_mask(net, tuple(units)) for units in sets]
        ablated = torch.stack(masks).to(self.prefixes.ids.device)
        result = ablated.new_empty((len(sets), len(self.prefixes)), dtype=torch.float64)
        for batch in ExactLengthBatches(self.prefixes, ABLATION_ROWS):
            inputs = self.classifier.embedding(batch.inputs)
            after = self.prefixes.after_subject(batch) >= 0
            size = max(1, ABLATION_ROWS // len(inputs))
            for first in range(0, len(sets), size):
                part = ablated[first : first + size]
                layers = unroll(
                    net, inputs.repeat(len(part), 1, 1), _AblationEdit(self.means, part, after)
                )
                logits = self.classifier.readout(layers[-1].hidden[:, -1])
                result[first : first + size, batch.rows] = logits.view(len(part), -1).double()
        return result.cpu().numpy()

    def scores(self, sets: Sequence[Collection[Unit]]) -> list[AblationScore]:
        """Score the predictions with each set of units ablated."""
        targets = self.prefixes.targets.cpu().numpy()
        return [score_logits(logits, targets) for logits in self.logits(sets)]


class _AblationEdit:
    """An `Edit` of one copy of a batch for each set."""

    def __init__(
        self,
        means: dict[Quantity, Float[Tensor, "layers units"]],
        ablated: Bool[Tensor, "sets layers units"],
        after: Bool[Tensor, "batch time"],
    ) -> None:
        self._means = means
        self._ablated = ablated
        self._after = after
        self._begins = after.any(0).tolist()

    def __call__(
        self, name: Quantity, value: Float[Tensor, "rows units"], /, *, layer: int, time: int
    ) -> Float[Tensor, "rows units"]:
        if name not in self._means or not self._begins[time]:
            return value
        where = self._ablated[:, None, layer] & self._after[None, :, time, None]
        return torch.where(where.flatten(0, 1), self._means[name][layer], value)


def single_units(ablation: Ablation) -> pd.DataFrame:
    """Return what the ablation of each unit alone costs, a row a unit.

    Returns:
        layer, unit; n, accuracy (balanced), low and high (its 95% interval), margin, auc; drop:
        balanced accuracy of the intact network less that; drop_without and drop_with the same over
        the items without and with attractors (Lakretz et al. 2019), n_without and n_with those.
    """
    layers, units = ablation.means["hidden"].shape
    every_unit = [Unit(layer, unit) for layer in range(layers) for unit in range(units)]
    intact, *ablated = ablation.logits([(), *((unit,) for unit in every_unit)])
    targets = ablation.prefixes.targets.cpu().numpy()
    attractors = ablation.prefixes.attractors.cpu().numpy()
    parts = {"": np.full(len(targets), True), "_without": attractors == 0, "_with": attractors > 0}
    whole = {end: score_logits(intact[part], targets[part]).accuracy for end, part in parts.items()}
    rows = []
    for (layer, unit), logits in zip(every_unit, ablated, strict=True):
        scores = {end: score_logits(logits[part], targets[part]) for end, part in parts.items()}
        row = {"layer": layer, "unit": unit, **scores[""]._asdict()}
        for end, its in scores.items():
            row |= {f"n{end}": its.n, f"drop{end}": whole[end] - its.accuracy}
        rows.append(row)
    return pd.DataFrame(rows)


NEAR = 0.6
"""The 95% interval of an accuracy at chance has to end below this.

Otherwise few items would make anything chance: 62% of 100 items has an interval from 48 to 76%.
With 500 items, half of them plural, the interval is 8.8 points wide, and up to 54% is called
chance.
"""

TRIED = 24
"""Units that are tried at each step of a greedy set."""

STRIDE = 5
"""A greedy set grows by a fifth of its size at a step, and by one unit below 10."""

SET_DTYPES = {
    "order": "string",
    "draw": "int64",
    "size": "int64",
    "layer": "Int64",
    "unit": "Int64",
    **{name: "int64" if name == "n" else "float64" for name in AblationScore._fields},
}
"""The columns of the table of sets."""


def is_chance(low: Any, high: Any) -> Any:
    """Return whether an accuracy is at chance: its interval holds 0.5 and ends below `NEAR`.

    >>> is_chance(0.48, 0.58), is_chance(0.48, 0.76), is_chance(0.51, 0.55)
    (True, False, False)
    """
    return (low <= CHANCE) & (high < NEAR)


def units_of(frame: pd.DataFrame) -> list[Unit]:
    """Return the units that the rows of a table name."""
    return [
        Unit(int(layer), int(unit))
        for layer, unit in zip(frame["layer"], frame["unit"], strict=True)
    ]


def order_by_weight(unit_table: pd.DataFrame, column: str) -> list[Unit]:
    """Order units by falling absolute weight; those without a weight are omitted."""
    weights = unit_table[column].dropna().abs()
    order = weights.sort_values(ascending=False, kind="stable").index
    return units_of(unit_table.loc[order])


def candidates(unit_table: pd.DataFrame) -> list[Unit]:
    """Order units for a greedy set: 8 by probe, 8 by readout, then by what ablating each costs."""
    third = TRIED // 3
    heaviest = [
        *order_by_weight(unit_table, "probe")[:third],
        *order_by_weight(unit_table, "readout")[:third],
    ]
    cost = units_of(unit_table.sort_values("margin", kind="stable"))
    return list(dict.fromkeys([*heaviest, *cost]))


def grow_set(
    chosen_on: Ablation, judged_on: Ablation, waiting: Sequence[Unit], max_size: int
) -> list[Unit]:
    """Add units to a set, at each step those whose ablation costs most.

    That is the unit with the lowest balanced accuracy; among those within one standard error of it,
    the one with the lowest margin. (If several units carry the number, ablating one of them may
    cost nothing.) Growth ends when the accuracy over `judged_on` is at chance.

    Args:
        chosen_on: The items on which units are chosen.
        judged_on: Other items, which decide whether the accuracy is at chance; on the items of the
            choice it may be there by luck.
        waiting: Units to choose from; the first 24 that remain are tried at each step.
        max_size: The largest set.

    Returns:
        Units in the order in which they were added.
    """
    grown: list[Unit] = []
    remaining = list(waiting)
    while remaining and len(grown) < max_size:
        tried = remaining[:TRIED]
        scores = chosen_on.scores([[*grown, unit] for unit in tried])
        best = min(scores, key=lambda score: score.accuracy)
        limit = best.accuracy + (best.high - best.low) / 4  # 95% are four standard errors wide
        order = sorted(
            range(len(tried)),
            key=lambda index: (max(scores[index].accuracy, limit), scores[index].margin),
        )
        several = min(max(1, len(grown) // STRIDE), max_size - len(grown))
        added = [tried[index] for index in order[:several]]
        grown += added
        remaining = [unit for unit in remaining if unit not in added]
        judged = judged_on.scores([grown])[0]
        if is_chance(judged.low, judged.high):
            break
    return grown


def random_orders(units: Sequence[Unit], draws: int, size: int, seed: int) -> list[list[Unit]]:
    """Sample `size` of the units in random order, `draws` times."""
    rng = np.random.default_rng([seed, 1])
    return [[units[index] for index in rng.permutation(len(units))[:size]] for _ in range(draws)]


def set_table(ablation: Ablation, orders: Mapping[tuple[str, int], Sequence[Unit]]) -> pd.DataFrame:
    """Score the ablation of the first unit of each order, of its first two units, and so on.

    Args:
        ablation: Over the items to score on.
        orders: Units by the order's name and draw.

    Returns:
        First a row of the intact network, order ``none``, size 0; then a row a set: order, draw,
        size, layer and unit (the one added last: a set is this unit and those of the smaller sets
        of the same order and draw) and a `AblationScore`.
    """
    sets: list[Sequence[Unit]] = [()]
    rows: list[tuple[Any, ...]] = [("none", 0, 0, None, None)]
    for (order, draw), units in orders.items():
        for size, (layer, unit) in enumerate(units, 1):
            sets.append(units[:size])
            rows.append((order, draw, size, layer, unit))
    scored = [(*row, *score) for row, score in zip(rows, ablation.scores(sets), strict=True)]
    return pd.DataFrame(scored, columns=list(SET_DTYPES)).astype(SET_DTYPES)


def smallest_set_row(sets: pd.DataFrame) -> pd.DataFrame:
    """Return the row of the smallest set whose ablation brings accuracy to chance, if any.

    Random sets don't count. If the intact network is at chance, there is no such set.

    Args:
        sets: As from `set_table`.
    """
    by_choice = sets["order"] != "random"
    at_chance: pd.DataFrame = sets[is_chance(sets["low"], sets["high"]) & by_choice]
    if (sets.loc[sets["size"] == 0, "low"] <= CHANCE).any():
        return at_chance.iloc[:0]
    return at_chance.sort_values("size", kind="stable").iloc[:1]


def smallest_set(sets: pd.DataFrame) -> tuple[Unit, ...]:
    """Return the units of the set that `smallest_set_row` names, or none."""
    row = smallest_set_row(sets)
    if row.empty:
        return ()
    order, size = row[["order", "size"]].iloc[0]
    return tuple(units_of(sets[(sets["order"] == order) & (sets["size"] <= size)]))
