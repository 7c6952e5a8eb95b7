"""What the study measures of one network, as tidy tables: `network_tables`, `hand_set_tables`.

Number units are determined on the validation split; everything else is measured on the test split.
The same items are sampled for every network of the same data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from memgate.baselines.rules import RULES, baseline_predictions, majority
from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.items.numbers import LABELS
from memgate.errors import InputError
from memgate.gates.gradients import gradients, untrained
from memgate.gates.interventions.dose_response import (
    condition_means,
    conditions,
    sample_items,
    score_condition,
    with_roles,
)
from memgate.gates.profile import pooled
from memgate.gates.statistics import gate_tables
from memgate.gates.tables import GateTables
from memgate.gates.timescales import half_life_correlation, timescale_table, with_half_lives
from memgate.gates.units.ablation import smallest_set_row
from memgate.gates.units.number_units import NumberUnits, number_units
from memgate.gates.units.probe import LAST_WORD
from memgate.gates.units.unit import Unit
from memgate.metrics.accuracy import accuracy_table, answer_frame
from memgate.predictor import BATCH_SIZE, Predictor

MEASURES: Mapping[str, int] = {
    "version": 3,  # raise it when something else is measured: then all is measured again
    "items": 2000,  # of interventions and gradients, as many as `memgate intervene` samples
    # Half of the 2,000 of `memgate.gates.units.number_units`, which take a GRU of 100 units over a
    # minute.
    "unit_items": 1000,
    "draws": 2,  # random sets of units; each costs 4 to 5 changes, 0.2 s apiece
    "steps": 6,  # clamp values of write in all units; 11 take 1.5 s more
    "unit_steps": 6,  # … in the number units, and in random ones
}

MEASURED_BREAKDOWNS = ("overall", "label", "intervening", "attractors")
"""The breakdowns that are kept."""

IN_NUMBER_UNITS = ("clamp", "hold", "cut")
"""The edits of number units and of random units; all units have the controls too."""

NAMES_OF_SETS = {"all": "all", "number units": "number", "chosen": "number", "random": "random"}
"""The study's names of sets of units, by those of `profile` and of `dose_response`."""


Mask = npt.NDArray[np.bool_]


class Data(Protocol):
    """What is measured on: `memgate.data.datamodule.AgreementData` after its set-up."""

    prefixes: dict[str, Prefixes]

    def table(self, split: str) -> pa.Table:
        """Return the items of a split."""
        ...


def network_tables(predictor: Predictor, data: Data, seed: int) -> dict[str, pd.DataFrame]:
    """Measure a trained network on data encoded with its vocabulary.

    The seed is that of the fresh weights to which gradients are compared.

    Returns:
        ``accuracy`` (by, stratum, n, correct, accuracy); ``roles`` and ``positions``, see
        `role_table` and `position_table`; ``interventions``
        (as `memgate.gates.interventions.dose_response.dose_response` returns it, but `of` is
        ``all``, ``number`` or ``random``); ``gradients`` (trained, state, distance, n, median);
        ``timescales``, a row a unit (unit, keep, timescale, half_life); ``number_units``, one row,
        see `number_unit_table`.

    Raises:
        InputError: There are too few items for one of them.
    """
    if predictor.classifier.recurrence.num_layers != 1:
        raise InputError("num_layers: expected 1, for the tables have no column for layers")
    units = number_units(
        predictor,
        data.table("validation"),
        items=MEASURES["unit_items"],
        draws=0,  # no table has random orders, which take a quarter of the time
    )
    batches = ExactLengthBatches(data.prefixes["test"], BATCH_SIZE)
    gates = gate_tables(predictor.classifier, batches, units.units, units.probe_direction)
    sample = sample_items(predictor, with_roles(predictor, data.table("test")), MEASURES["items"])
    norms, decay = _gradients(predictor, sample, seed)
    timescales = _timescales(gates, decay)
    return {
        "accuracy": accuracies(predictor, data.prefixes["test"]),
        "roles": role_table(gates, units.units),
        "positions": position_table(gates),
        "interventions": _interventions(predictor, sample, units.units),
        "gradients": norms,
        "timescales": timescales,
        "number_units": number_unit_table(units, timescales),
    }


def hand_set_tables(predictor: Predictor, data: Data) -> dict[str, pd.DataFrame]:
    """Measure a hand-set network and the baselines.

    Returns:
        ``oracle``: measure (``accuracy``, or a reading of the profile), stratum, n, value;
        ``baselines``: system (of `memgate.baselines.rules.BASELINES`), by, stratum, n, accuracy.
    """
    right = accuracies(predictor, data.prefixes["test"])
    batches = ExactLengthBatches(data.prefixes["test"], BATCH_SIZE)
    roles = role_table(gate_tables(predictor.classifier, batches), ())
    columns = ["measure", "stratum", "n", "value"]
    parts = [
        right.assign(measure="accuracy", value=right["accuracy"])[["by", *columns]],
        roles.assign(by="role", measure=roles["reading"], stratum=roles["role"]).rename(
            columns={"mean": "value"}
        )[["by", *columns]],
    ]
    oracle = pd.concat(parts, ignore_index=True)
    return {"oracle": oracle, "baselines": _baselines(data)}


def accuracies(predictor: Predictor, prefixes: Prefixes) -> pd.DataFrame:
    """Tabulate a network's accuracy: by, stratum, n, correct, accuracy."""
    right = (predictor.probability(prefixes) > 0.5) == (prefixes.targets.numpy() == 1)
    return _by_stratum(prefixes, right, np.full(len(right), True))


def _by_stratum(prefixes: Prefixes, correct: Mask, counted: Mask) -> pd.DataFrame:
    columns = prefixes.labels, prefixes.intervening, prefixes.attractors
    frame = answer_frame(correct, *(column.numpy() for column in columns))
    table = accuracy_table(frame[counted])
    return table.loc[
        table["by"].isin(MEASURED_BREAKDOWNS), ["by", "stratum", "n", "correct", "accuracy"]
    ]


def _baselines(data: Data) -> pd.DataFrame:
    """Tabulate the accuracy of the rules that read only nouns, over the items that have tags."""
    train, test = data.table("train"), data.table("test")
    predictions = baseline_predictions(test, majority(train["label"].to_pylist()))
    labels = np.array(LABELS)[test["label"].to_numpy()]
    tagged = predictions.notna().all(axis=1).to_numpy()
    parts = [
        _by_stratum(data.prefixes["test"], right, tagged).assign(system=system)
        for system in RULES
        for right in [predictions[system].fillna("").to_numpy() == labels]
    ]
    return pd.concat(parts, ignore_index=True)[["system", "by", "stratum", "n", "accuracy"]]


def role_table(gates: GateTables, units: Sequence[Unit]) -> pd.DataFrame:
    """Tabulate what gates that were read with these number units do at each role.

    Returns:
        of (``all`` units or the ``number`` units), reading (``write``, ``keep``, ``state_update``,
        ``contribution_change``, ``probe``), role, n (words), mean (over words and units, singular
        and plural, right and wrong answers together), median (of write and keep: the mean over
        units of each unit's median over words, off by less than 0.01; units differ in their
        level, so a median over the words of all units would describe no unit).
    """
    average = pooled(gates.profile[gates.profile["by"] == "role"], "number", "answer")
    average = average.assign(of=average["units"].map(NAMES_OF_SETS)).rename(
        columns={"stratum": "role"}
    )
    statistics = gates.statistics[gates.statistics["reading"].isin(["write", "keep"])]
    number = {unit.unit for unit in units}  # networks of one layer
    medians = [
        part.groupby(["reading", "role"])["q50"].mean().rename("median").reset_index().assign(of=of)
        for of, part in (
            ("all", statistics),
            ("number", statistics[statistics["unit"].isin(number)]),
        )
    ]
    keys = ["of", "reading", "role"]
    table = average.merge(pd.concat(medians, ignore_index=True), how="left", on=keys)
    return table[[*keys, "n", "mean", "median"]]


def position_table(gates: GateTables) -> pd.DataFrame:
    """Tabulate gates and state updates of all units by position: reading, position, n, mean."""
    profile = gates.profile
    wanted = (profile["by"] == "from_subject") & (profile["units"] == "all")
    average = pooled(
        profile[wanted & profile["reading"].isin(["write", "keep", "state_update"])],
        "number",
        "answer",
    )
    average = average.assign(position=average["stratum"].astype(int))
    return average[["reading", "position", "n", "mean"]]


def _interventions(predictor: Predictor, sample: Prefixes, units: Sequence[Unit]) -> pd.DataFrame:
    """Score every intervention in all units, and some in the number units and in random units."""
    net = predictor.classifier.recurrence
    mean = condition_means(predictor, sample)
    planned = conditions(net, mean, None, steps=MEASURES["steps"])
    if units:
        chosen = tuple((unit.layer, unit.unit) for unit in units)
        few, draws = MEASURES["unit_steps"], MEASURES["draws"]
        again = conditions(net, mean, chosen, steps=few, draws=draws)
        planned += [line for line in again if line.units != "all" and line.edit in IN_NUMBER_UNITS]
    table = pd.concat(
        [score_condition(predictor, sample, line) for line in planned], ignore_index=True
    )
    table = table[table["by"].isin(MEASURED_BREAKDOWNS)].assign(
        of=table["units"].map(NAMES_OF_SETS)
    )
    columns = ["edit", "quantity", "to", "of", "draw", "by", "stratum", "n", "correct", "accuracy"]
    return table[columns]


def _gradients(
    predictor: Predictor, sample: Prefixes, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure gradients, trained and not; and the half-life of each unit's, trained."""
    trained = gradients(predictor.classifier, sample)
    fresh = gradients(untrained(predictor.classifier, seed), sample, trained=False)
    norms = pd.concat([trained.norms, fresh.norms], ignore_index=True)
    return norms[["trained", "state", "distance", "n", "median"]], trained.units


def _timescales(gates: GateTables, decay: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the timescale of each unit's gate and the half-life of its gradient."""
    both = with_half_lives(timescale_table(gates.overall), decay)
    return both[["unit", "keep", "timescale", "half_life"]]


def number_unit_table(units: NumberUnits, timescales: pd.DataFrame) -> pd.DataFrame:
    """Tabulate in one row the number units, and whether timescales predict half-lives.

    Returns:
        size (of the set of number units, 0 for none), members (``layer:unit``, spaces between),
        intact and ablated (balanced accuracy of the whole network and with the number units
        ablated, null without any), drop (the largest cost of a single unit), probe (accuracy of
        the probe at the last word), selectivity, rho (Spearman's, over the units' timescale and
        half-life), rho_low, rho_high (95%), rho_n (units; fewer than 4 are not correlated).
    """
    sets = units.sets
    last = units.probe[units.probe["position"] == LAST_WORD].iloc[-1]
    rho = half_life_correlation(timescales)
    row = {
        "size": len(units.units),
        "members": " ".join(map(str, units.units)),
        "intact": sets.loc[sets["order"] == "none", "accuracy"].iloc[0],
        "ablated": smallest_set_row(sets)["accuracy"].iloc[0] if units.units else np.nan,
        "between": units.between,
        "drop": units.unit_table["drop"].max(),
        "probe": last["accuracy"],
        "selectivity": last["selectivity"],
        "rho": rho.rho,
        "rho_low": rho.low,
        "rho_high": rho.high,
        "rho_n": rho.n,
    }
    return pd.DataFrame([row])
