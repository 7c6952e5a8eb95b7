"""Number units: which units carry the number, by a probe, the readout and ablations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from memgate.arrays import Floats, Ints
from memgate.data.batches import Prefixes
from memgate.errors import InputError
from memgate.gates.units.ablation import (
    SET_DTYPES,
    Ablation,
    candidates,
    grow_set,
    mean_states,
    order_by_weight,
    random_orders,
    set_table,
    single_units,
    smallest_set,
    units_of,
)
from memgate.gates.units.probe import (
    LAST_WORD,
    MIN_ITEMS_PER_NUMBER,
    PROBE_DTYPES,
    WEIGHT_DTYPES,
    probes,
    subject_states,
)
from memgate.gates.units.unit import Unit
from memgate.models.classifier import Classifier
from memgate.predictor import Predictor

UNIT_DTYPES = {
    "layer": "int64",
    "unit": "int64",
    "number": "bool",
    "probe": "float64",
    "readout": "float64",
    "drop": "float64",
    "drop_without": "float64",
    "drop_with": "float64",
    "accuracy": "float64",
    "low": "float64",
    "high": "float64",
    "margin": "float64",
    "auc": "float64",
    "n": "int64",
    "n_without": "int64",
    "n_with": "int64",
}
"""The columns of the table of units."""

TABLES = {
    "unit_table": UNIT_DTYPES,
    "sets": SET_DTYPES,
    "probe": PROBE_DTYPES,
    "weights": WEIGHT_DTYPES,
}

MIN_BETWEEN = 6
"""Least words between subject and verb of the items on which ablations are scored.

Right after the subject every unit has seen it. With the two number units of an LSTM of 8 units
ablated, 100, 90, 73, 62, 53 and 53% are right at 0, 1, 2, 3–5, 6–10 and 21 to 80 words (balanced
accuracy on the grammar; intact 99 to 100%).
"""

ITEMS_PER_NUMBER = 100
"""Items of each number that ablations should have; else items with fewer words between count."""


class Items(NamedTuple):
    """Items, and the prefixes that a model reads of them."""

    table: pa.Table
    prefixes: Prefixes


@dataclass(frozen=True, eq=False)
class NumberUnits:
    """The units that carry the number, and the tables that show it.

    Attributes:
        units: The number units: the smallest set whose ablation brings accuracy to chance, in the
            order in which they were added; empty if no set does.
        between: Least words between subject and verb of the items of the ablations.
        unit_table: A row a unit: layer, unit, number (whether it is one of these); probe (weight at
            the last word, log-odds of plural for one standard deviation), readout (its weight times
            the unit's standard deviation at the last word; null below the last layer); then what
            the ablation of this unit alone costs, as `memgate.gates.units.ablation.single_units`.
        sets: A row an ablated set, as `memgate.gates.units.ablation.set_table`, scored on
            held-out items. Orders: ``greedy``; ``probe`` and ``readout``, by falling weight;
            ``random``.
        probe: As `memgate.gates.units.probe.probes`, the first table.
        weights: The second.
    """

    units: tuple[Unit, ...]
    between: int
    unit_table: pd.DataFrame
    sets: pd.DataFrame
    probe: pd.DataFrame
    weights: pd.DataFrame

    @property
    def probe_direction(self) -> Floats:
        """Direction of the probe at the last word, layers × units: log-odds of plural for 1.

        It is about the number of the subject, whatever the task of the model.
        """
        last = self.weights[self.weights["position"] == LAST_WORD]
        return (
            last.assign(slope=last["weight"] / last["sd"])
            .pivot_table(index="layer", columns="unit", values="slope")  # sorted by both
            .to_numpy(dtype=np.float64)
        )

    def save(self, path: Path) -> None:
        """Write JSON, numbers to 15 decimals."""
        tables = {
            name: json.loads(getattr(self, name).to_json(orient="split", double_precision=15))
            for name in TABLES
        }
        content = {
            "units": self.units,
            "between": self.between,
            # `saved_units` reads this without the tables. 12 decimals: the tables have 15, so that
            # a file that is read and written again stays the same.
            "probe": self.probe_direction.round(12).tolist(),
            "tables": tables,
        }
        path.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> NumberUnits:
        """Read what `save` wrote.

        Raises:
            InputError: The file is missing or damaged.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            units = tuple(Unit(int(layer), int(unit)) for layer, unit in content["units"])
            frames = {name: _frame(content["tables"], name) for name in TABLES}
            return cls(units, int(content["between"]), **frames)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: expected number units in JSON, got: {error!r}") from error


def _frame(tables: Mapping[str, Any], name: str) -> pd.DataFrame:
    """Read a table; those of memgate 0.1 have older names of a table and a column."""
    split = tables["carriers" if name == "unit_table" and name not in tables else name]
    frame = pd.DataFrame(split["data"], columns=split["columns"])
    return _typed(frame.rename(columns={"place": "position"}), TABLES[name])


def _typed(frame: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    return frame[list(kinds)].astype(dict(kinds))


def number_units(
    predictor: Predictor,
    table: pa.Table,
    seed: int = 0,
    items: int = 2000,
    max_size: int = 50,
    draws: int = 5,
    between: int = MIN_BETWEEN,
) -> NumberUnits:
    """Find the units that carry the number, and tabulate what shows it.

    Probes read a sample of all items, ablations a sample of those with `between` words. Fits and
    choices use one half of a sample, scores the other half (of single units, both).

    Args:
        predictor: A model of any task but ``nouns``.
        table: Items with the columns of `memgate.data.items.schema.FEATURES`.
        seed: Seed of samples, control tasks and random sets.
        items: Size of a sample, at most.
        max_size: The largest set; it is never the whole network.
        draws: Random orders.
        between: Least words between subject and verb in ablations; less if few items have as many.

    Raises:
        InputError: The task is ``nouns``, or fewer than 40 items of a number have a known subject.

    >>> import memgate
    >>> from memgate.data.sources.grammar import Grammar
    >>> from memgate.data.vocabulary import Vocabulary
    >>> grammar = Grammar(train=1, validation=1, test=200)
    >>> table = grammar.load()["test"].with_format("arrow")[:]
    >>> words = {word for text in table["text"].to_pylist() for word in text.split()}
    >>> vocabulary = Vocabulary.from_words(sorted(words))
    >>> classifier = memgate.Classifier(len(vocabulary), "gru", 4, 3)  # not trained
    >>> model = memgate.Predictor(classifier.eval(), vocabulary)
    >>> memgate.number_units(model, table).probe_direction.shape  # layers × units
    (1, 3)
    """
    classifier = predictor.classifier.eval()
    with_subject = _with_subject(predictor, table)
    halves = _halves(predictor, _sampled(with_subject, items, seed), seed)
    probe, weights = probes(classifier, _prefixes(halves), _types(halves), seed)
    between = _between(with_subject, between)
    far = with_subject.filter(pa.array(_distance(with_subject) >= between))
    far = _sampled(far, items, seed)
    whole, choose, judge = _ablations(predictor, far, seed)
    unit_table = single_units(whole).assign(
        probe=weights.loc[weights["position"] == LAST_WORD, "weight"].to_numpy(),
        readout=_readout(classifier, halves[0].prefixes),
    )
    sets = set_table(judge, _orders(unit_table, choose, judge, max_size, draws, seed))
    unit_table["number"] = [unit in smallest_set(sets) for unit in units_of(unit_table)]
    return NumberUnits(
        smallest_set(sets), between, _typed(unit_table, UNIT_DTYPES), sets, probe, weights
    )


def _ablations(predictor: Predictor, table: pa.Table, seed: int) -> Iterator[Ablation]:
    """Yield the ablations over all items and over each half, by the means of the first half."""
    halves = _prefixes(_halves(predictor, table, seed))
    middle = mean_states(predictor.classifier, halves[0])
    for prefixes in (_sample(predictor, table).prefixes, *halves):
        yield Ablation(predictor.classifier, prefixes, middle)


def _orders(
    unit_table: pd.DataFrame,
    choose: Ablation,
    judge: Ablation,
    max_size: int,
    draws: int,
    seed: int,
) -> dict[tuple[str, int], list[Unit]]:
    """Order units in each way, up to `max_size` and never all of them."""
    size = min(max_size, len(unit_table) - 1)
    orders = random_orders(units_of(unit_table), draws, size, seed)
    return {
        ("greedy", 0): grow_set(choose, judge, candidates(unit_table), size),
        ("probe", 0): order_by_weight(unit_table, "probe")[:size],
        ("readout", 0): order_by_weight(unit_table, "readout")[:size],
        **{("random", draw): order for draw, order in enumerate(orders)},
    }


def _with_subject(predictor: Predictor, table: pa.Table) -> pa.Table:
    """Return the items with a known subject that the task of the model can use."""
    task_inputs = predictor.task.make_inputs(table, 0)
    if not task_inputs.aligned:
        raise InputError(
            f"number units: expected a model that reads whole prefixes, got one of the task "
            f"{predictor.task.name}"
        )
    has_subject = table["subj_idx"].is_valid().to_numpy()[task_inputs.rows]
    return table.take(task_inputs.rows[has_subject])


def _sample(predictor: Predictor, table: pa.Table) -> Items:
    _, prefixes = predictor.read(table)
    return Items(table, prefixes.to(predictor.classifier.readout.weight.device))


def _sampled(table: pa.Table, items: int, seed: int) -> pa.Table:
    return table.take(np.sort(np.random.default_rng(seed).permutation(len(table))[:items]))


def _distance(table: pa.Table) -> Ints:
    distance: Ints = (
        table["verb_idx"].to_numpy().astype(np.int64) - table["subj_idx"].to_numpy() - 1
    )
    return distance


def _between(table: pa.Table, between: int) -> int:
    """Return `between`, or the most words that enough items of each number have between."""
    distance, labels = _distance(table), table["label"].to_numpy()
    for least in range(between, 0, -1):
        if np.bincount(labels[distance >= least], minlength=2).min() >= ITEMS_PER_NUMBER:
            return least
    return 0


def _halves(predictor: Predictor, table: pa.Table, seed: int) -> tuple[Items, Items]:
    """Split items in two halves, each number separately."""
    labels = table["label"].to_numpy()
    counts = np.bincount(labels, minlength=2)
    if counts.min() < 2 * MIN_ITEMS_PER_NUMBER:
        raise InputError(
            f"number units: expected at least {2 * MIN_ITEMS_PER_NUMBER} singular and as many "
            f"plural items with a known subject, got {counts[0]} and {counts[1]}"
        )
    shuffled = np.random.default_rng([seed, 2]).permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    first, second = (_sample(predictor, table.take(np.sort(order[start::2]))) for start in (0, 1))
    return first, second


def _prefixes(halves: tuple[Items, Items]) -> tuple[Prefixes, Prefixes]:
    return halves[0].prefixes, halves[1].prefixes


def _types(halves: Sequence[Items]) -> tuple[Ints, Ints]:
    """Return an id for the word of each subject, ignoring case."""
    words = [
        text.split(" ")[index].lower()
        for half in halves
        for text, index in zip(
            half.table["text"].to_pylist(), half.table["subj_idx"].to_pylist(), strict=True
        )
    ]
    _, numbers = np.unique(words, return_inverse=True)
    first = len(halves[0].table)
    return numbers[:first], numbers[first:]


def _readout(classifier: Classifier, prefixes: Prefixes) -> Floats:
    """Return the readout's weight of each unit times its standard deviation at the last word."""
    words = subject_states(classifier, prefixes)
    weight = classifier.readout.weight[0].detach().double().cpu().numpy()
    result = np.full(words.hidden.shape[1:], np.nan)
    result[-1] = weight * words.hidden[words.last, -1].std(axis=0)
    return result.ravel()
