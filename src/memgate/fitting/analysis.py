"""What a trained model's gates do: `analyse` reads them and returns tables, figures and a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
from lightning.pytorch.strategies import Strategy

from memgate.data.batches import ExactLengthBatches
from memgate.errors import InputError
from memgate.fitting.example_sentences import explain_sentences
from memgate.gates.drift import PROFILE
from memgate.gates.explain.explanation import first_units
from memgate.gates.gradients import gradients, untrained
from memgate.gates.interventions.dose_response import sample_items
from memgate.gates.statistics import gate_tables, read_gates
from memgate.gates.tables import GateTables
from memgate.gates.timescales import (
    Correlation,
    half_life_correlation,
    timescale_table,
    with_half_lives,
)
from memgate.gates.units.number_units import NumberUnits, number_units
from memgate.gates.units.unit import NUMBER_UNITS
from memgate.predictor import Predictor
from memgate.reporting import plots
from memgate.reporting.live_network import LiveNetwork
from memgate.reporting.live_page import page

GRADIENT_ITEMS = 2000
"""Items over which gradients are averaged, at most: 0.3 s forward and back (LSTM of 100 units)."""

EXAMPLES_PAGE = "explain.html"
"""The page of the example sentences."""

OF_NUMBER_UNITS = frozenset(
    {NUMBER_UNITS, "number_units.csv", "number_units.png", "ablated_sets.csv", "probes.csv"}
)
"""Artifacts that exist only where number units could be looked for."""

OF_MODEL = frozenset({PROFILE, NUMBER_UNITS})
"""Artifacts that are also kept in the folder of the registered model."""


@dataclass(frozen=True, eq=False)
class Artifact:
    """One file of an analysis or a run.

    Attributes:
        name: Its file name, such as ``profile.png``.
        write: Writes it to a path.
    """

    name: str
    write: Callable[[Path], object]

    @classmethod
    def parquet(cls, name: str, table: pd.DataFrame) -> Artifact:
        """Return a table as Parquet."""
        return cls(name, partial(table.to_parquet, index=False))

    @classmethod
    def csv(cls, name: str, table: pd.DataFrame) -> Artifact:
        """Return a table as CSV."""
        return cls(name, partial(table.to_csv, index=False))

    @classmethod
    def text(cls, name: str, content: str) -> Artifact:
        """Return a text in UTF-8."""
        return cls(name, partial(Path.write_text, data=content, encoding="utf-8"))


@dataclass(frozen=True, eq=False)
class GateAnalysis:
    """What the gates of one model do, by one pass over items and a few experiments.

    Attributes:
        tables: Where the gates stand and what they do.
        number_units: The number units and the evidence; None where they can't be determined.
        no_units_reason: Why they can't; "" where they can.
        memory: How long memory lasts by each unit's gate, and by the gradient: `with_half_lives`.
        correlation: Whether the one predicts the other, by rank over units.
        norms: The gradient of the prediction by distance, of this network and of an untrained one
            of its sizes: `memgate.gates.gradients.Gradients.norms`.
        decay: How that gradient decays unit by unit: `Gradients.units`.
        page: HTML that explains the example sentences; None where the model knows none of their
            words.
    """

    tables: GateTables
    number_units: NumberUnits | None
    no_units_reason: str
    memory: pd.DataFrame
    correlation: Correlation
    norms: pd.DataFrame
    decay: pd.DataFrame
    page: str | None

    def artifacts(self) -> list[Artifact]:
        """Return the files of the analysis."""
        return list(self._artifacts())

    def _artifacts(self) -> Iterator[Artifact]:
        tables = self.tables
        yield Artifact.parquet("gate_statistics.parquet", tables.statistics)
        yield Artifact.parquet("gate_statistics_by_distance.parquet", tables.distances)
        yield Artifact.parquet("state_updates.parquet", tables.state_updates)
        yield Artifact.parquet(PROFILE, tables.profile)
        yield Artifact.csv("timescales.csv", self.memory)
        yield Artifact.csv("gradients.csv", self.norms)
        yield Artifact.csv("gradient_decay.csv", self.decay)
        figures = {
            "profile.png": plots.profile_figure(tables.profile),
            "gates.png": plots.gate_figure(tables.overall),
            "timescales.png": plots.timescale_figure(self.memory),
            "gradients.png": plots.gradient_figure(self.norms),
        }
        units = self.number_units
        if units is not None:
            figures["number_units.png"] = plots.number_units_figure(
                units.unit_table, units.sets, units.probe
            )
            yield Artifact.csv("number_units.csv", units.unit_table)
            yield Artifact.csv("ablated_sets.csv", units.sets)
            yield Artifact.csv("probes.csv", units.probe)
            yield Artifact(NUMBER_UNITS, units.save)
        for name, figure in figures.items():
            yield Artifact(name, partial(plots.save, figure))
        if self.page is not None:
            yield Artifact.text(EXAMPLES_PAGE, self.page)


def analyse(
    predictor: Predictor,
    validation: pa.Table,
    test: pa.Table,
    *,
    name: str = "",
    registered_units: NumberUnits | None = None,
    batches: ExactLengthBatches | None = None,
    strategy: Strategy | None = None,
    report: Callable[[str], object] = lambda _: None,
) -> GateAnalysis:
    """Determine number units on validation items, and read the gates on test items.

    Args:
        predictor: A model of any task, which stays on its device.
        validation: Items with the columns of `memgate.data.items.schema.FEATURES`.
        test: Likewise.
        name: Name of the model on the page of example sentences; no page without.
        registered_units: The number units, if they were determined before.
        batches: This process's batches of the test items, where several processes share them; all
            processes get the sums over all.
        strategy: That of the Trainer, where there are several processes.
        report: Shows the step that begins.
    """
    units, reason = registered_units, ""
    # One process determines them: sums over other units in other processes would not add up.
    if units is None and (strategy is None or strategy.is_global_zero):
        report("looking for the number units")
        try:
            units = number_units(predictor, validation)
        except InputError as error:  # too few items, or a task that reads no whole prefix
            reason = str(error)
    if strategy is not None:
        units, reason = strategy.broadcast((units, reason))
    report("reading the gates")
    chosen = () if units is None else units.units
    probe = None if units is None else units.probe_direction
    if batches is None:
        tables = read_gates(predictor, test, chosen, probe=probe)
    else:
        tables = gate_tables(predictor.classifier, batches, chosen, probe)
    task_items = test.take(predictor.task.make_inputs(test, 0).rows)
    prefixes = sample_items(predictor, task_items, GRADIENT_ITEMS)
    trained = gradients(predictor.classifier, prefixes)
    fresh = gradients(untrained(predictor.classifier), prefixes, trained=False)
    memory = with_half_lives(timescale_table(tables.overall), trained.units)
    return GateAnalysis(
        tables=tables,
        number_units=units,
        no_units_reason=reason,
        memory=memory,
        correlation=half_life_correlation(memory),
        norms=pd.concat([trained.norms, fresh.norms], ignore_index=True),
        decay=pd.concat([trained.units, fresh.units], ignore_index=True),
        page=_example_page(predictor, units, name) if name else None,
    )


def _example_page(predictor: Predictor, units: NumberUnits | None, name: str) -> str | None:
    chosen, how_chosen = first_units(() if units is None else units.units)
    probe = None if units is None else units.probe_direction
    explanations = explain_sentences(predictor, chosen, name, how_chosen, probe)
    if not explanations:
        return None
    number = () if units is None else units.units
    return page(explanations, [LiveNetwork.of(predictor, explanations[0], number)])
