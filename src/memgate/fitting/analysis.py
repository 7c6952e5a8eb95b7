"""What is found out about a model's gates: tables, figures and a page, of a run or of a command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from memgate.errors import InputError
from memgate.fitting.example_sentences import explain_sentences
from memgate.gates.explain.explanation import first_units
from memgate.gates.gradients import gradients, untrained
from memgate.gates.interventions.predictions import drawn
from memgate.gates.reading import gate_tables
from memgate.gates.tables import GateTables
from memgate.gates.timescales import Correlation, prediction, timescale_table, with_half_lives
from memgate.gates.units.number_units import NumberUnits, number_units
from memgate.gates.units.unit import NUMBER_UNITS, Unit
from memgate.predictor import Predictor
from memgate.reporting import plots
from memgate.reporting.explain_page import page

if TYPE_CHECKING:
    from memgate.fitting.configuration import AgreementCLI

Numbers = npt.NDArray[np.float64]

ITEMS = 2000
"""Items over which gradients are averaged, at most: 0.3 s forward and back (LSTM of 100 units)."""


OF_UNITS = frozenset(
    {NUMBER_UNITS, "number_units.csv", "number_units.png", "lost_sets.csv", "probes.csv"}
)
"""Files that are only there where number units could be looked for."""


@dataclass(frozen=True, eq=False)
class GateAnalysis:
    """What a pass over items and a few experiments say of one model.

    Attributes:
        tables: Where the gates stand and what they do.
        units: Which units carry the number; None where that can't be said.
        memory: How long memory lasts by each unit's gate, and by the gradient: `with_half_lives`.
        predicted: Whether the one predicts the other, by rank over units.
        norms: The gradient of the answer by distance, of this network and of an untrained one of
            its sizes: `memgate.gates.gradients.Gradients.norms`.
        decay: … and how it falls unit by unit: `Gradients.units`.
    """

    tables: GateTables
    units: NumberUnits | None
    memory: pd.DataFrame
    predicted: Correlation
    norms: pd.DataFrame
    decay: pd.DataFrame

    def files(self) -> dict[str, Callable[[Path], object]]:
        """Return for each file the function that writes it to a path."""
        found = self.tables
        parquet = {
            "gate_statistics": found.statistics,
            "gate_statistics_by_distance": found.distances,
            "effects": found.state_updates,
            "profile": found.profile,
        }
        csv = {"timescales": self.memory, "gradients": self.norms, "gradient_decay": self.decay}
        figures = {
            "profile": plots.profile_figure(found.profile),
            "gates": plots.gate_figure(found.overall),
            "timescales": plots.timescale_figure(self.memory),
            "gradients": plots.gradient_figure(self.norms),
        }
        written: dict[str, Callable[[Path], object]] = {}
        if self.units is not None:
            csv |= {"number_units": self.units.carriers, "lost_sets": self.units.sets}
            csv |= {"probes": self.units.probe}
            figures["number_units"] = plots.number_units_figure(
                self.units.carriers, self.units.sets, self.units.probe
            )
            written[NUMBER_UNITS] = self.units.save
        return {
            **{
                f"{name}.parquet": partial(t.to_parquet, index=False) for name, t in parquet.items()
            },
            **{f"{name}.csv": partial(t.to_csv, index=False) for name, t in csv.items()},
            **{f"{name}.png": partial(plots.save, figure) for name, figure in figures.items()},
            **written,
        }


def known(units: NumberUnits | None) -> tuple[tuple[Unit, ...], Numbers | None]:
    """Return the number units, and the probe's direction, as a pass takes them."""
    return ((), None) if units is None else (units.units, units.probe_direction)


def find_units(predictor: Predictor, table: pa.Table) -> tuple[NumberUnits | None, str]:
    """Return the units that carry the number, or None and why that can't be said.

    Args:
        predictor: A model of any task.
        table: Items that it wasn't trained on, with the columns of
            `memgate.data.items.schema.FEATURES`.
    """
    try:
        return number_units(predictor, table), ""
    except InputError as error:  # too few items, or a task that reads no whole prefix
        return None, str(error)


def find(
    predictor: Predictor, table: pa.Table, tables: GateTables, units: NumberUnits | None
) -> GateAnalysis:
    """Put together what one pass gave with timescales and gradients.

    Args:
        predictor: The model.
        table: The items that the pass read, of which gradients take 2,000, drawn by lot.
        tables: What the pass gave.
        units: The number units, or None.
    """
    task_inputs = table.take(predictor.task.make_inputs(table, 0).rows)
    prefixes = drawn(predictor, task_inputs, ITEMS)
    own = gradients(predictor.classifier, prefixes)
    fresh = gradients(untrained(predictor.classifier), prefixes, trained=False)
    memory = with_half_lives(timescale_table(tables.overall), own.units)
    return GateAnalysis(
        tables,
        units,
        memory,
        prediction(memory),
        pd.concat([own.norms, fresh.norms], ignore_index=True),
        pd.concat([own.units, fresh.units], ignore_index=True),
    )


def analyse_run(cli: AgreementCLI, say: Callable[[str], object]) -> GateAnalysis:
    """Find the number units by a run's validation split, and the rest by its test split.

    Every process reads its share of the test split, and all get the sums; the rest each finds by
    itself, to the same end.

    Args:
        cli: Its network was tested; left on the device that it was trained on.
        say: Is told what is being done.
    """
    data, device = cli.datamodule, cli.trainer.strategy.root_device
    # Apple's GPUs can't add up in double precision.
    classifier = cli.model.classifier.to("cpu" if device.type == "mps" else device).eval()
    predictor = Predictor(classifier, data.vocabulary, data.task)
    say("looking for the number units")
    # One process looks: were others to find other units, their sums wouldn't belong together.
    units: NumberUnits | None = None
    if cli.trainer.is_global_zero:
        units, _ = find_units(predictor, data.table("validation"))
    units = cli.trainer.strategy.broadcast(units)
    say("reading the gates")
    tables = gate_tables(classifier, data.test_dataloader(), *known(units))
    return find(predictor, data.table("test"), tables, units)


def example_page(predictor: Predictor, units: NumberUnits | None, model: str) -> str | None:
    """Write the page of the six sentences; None where the model knows no word of any.

    Args:
        predictor: The model.
        units: Its number units, or None.
        model: How it is called.
    """
    named, probe = known(units)
    shown, chosen = first_units(named)
    found = explain_sentences(predictor, shown, model, chosen, probe)
    return page(found) if found else None
