"""`memgate intervene`: accuracy while gates are clamped and paths are cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from memgate.data.batches import Prefixes
from memgate.data.items.roles import Role
from memgate.data.sources import jsonl
from memgate.errors import InputError
from memgate.evaluation.items import one_quiet_thread
from memgate.gates.interventions.dose_response import dose_response, sample_items, with_roles
from memgate.gates.interventions.edits import BETWEEN
from memgate.gates.units.unit import NUMBER_UNITS, Unit, check_model_units, saved_units
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.predictor import Predictor
from memgate.reporting import plots
from memgate.reporting.console import DASH, echo, note, print_table
from memgate.reporting.files import write_all
from memgate.tracking.registry import versions

EDIT_NAMES = {
    "none": "no edit",
    "control": "{quantity} at its own value",
    "mean": "{quantity} at its mean",
    "resample": "{quantity} of another item",
    "clamp": "{quantity} {to:g}",
    "hold": "write 0 and keep 1",
    "cut": "{quantity} cut",
}
"""How the printed table names each change."""

BELOW = (
    "all: all items, with their 95% interval",
    "recurrent input: that of the candidate; cut: replaced by its mean over these words",
)
RANDOM = "random: the mean over sets of as many other units, and the range of these sets"


def intervene(
    model: str,
    *,
    data: Sequence[str],
    out: Path,
    units: str = "all",
    roles: Sequence[Role] = BETWEEN,
    steps: int = 11,
    items: int = 2000,
    seed: int = 0,
) -> None:
    """Clamp a model's gates and cut its paths, and score what it still gets right.

    Args:
        model: models:/NAME@ALIAS, runs:/…/model or a folder.
        data: Agreement JSONL, files or globs, read as one data set.
        out: Folder of the results: interventions.csv and interventions.png.
        units: Units to change: all, number (the model's number units), or LAYER:UNIT with commas
            between, such as 0:3,0:5.
        roles: Words at which to change them; by default those between subject and verb.
        steps: Number of clamp values from 0 to 1.
        items: Largest number of items; more are sampled at random.
        seed: Seed of the sampled items, the random sets of units and the resampling.

    Raises:
        InputError: The model, a file or an option can't be used.
    """
    one_quiet_thread()
    predictor = Predictor.load(folder := versions.model_folder(model))
    chosen = _units(units, predictor, folder, model)
    prefixes = _sample(predictor, data, items, seed)
    table = dose_response(predictor, prefixes, chosen, tuple(roles), steps, seed=seed)
    table.insert(0, "model", model.removeprefix("models:/"))
    table["roles"] = " ".join(roles)
    _write(table, out)
    echo(f"\n{len(prefixes)} items, changed at {', '.join(roles)}; units: {units}")
    _print(table)
    echo(f"wrote {out}/interventions.csv, {out}/interventions.png")


def _write(table: pd.DataFrame, out: Path) -> None:
    files: dict[str, Callable[[Path], object]] = {
        "interventions.csv": partial(table.to_csv, index=False),
        "interventions.png": partial(plots.save, plots.intervention_figure(table)),
    }
    write_all(out, files)


def _units(
    text: str, predictor: Predictor, folder: Path, model: str
) -> tuple[tuple[int, int], ...] | None:
    """Read ``--units``."""
    if text == "all":
        return None
    if text == "number":
        units = saved_units(folder).units
        if not units:
            raise InputError(
                f"--units number: expected {NUMBER_UNITS} with units in the folder of {model}"
            )
    else:
        layer = "0:" if predictor.classifier.recurrence.num_layers == 1 else ""
        parts = [part.strip() for part in text.split(",")]
        if not all(re.fullmatch(r"\d+(:\d+)?", part) for part in parts):
            what = "all, number or layer:unit, such as 0:3 (with commas between)"
            raise InputError(f"--units: expected {what}, got {text!r}")
        units = [Unit.parse(part if ":" in part else layer + part) for part in parts]
    check_model_units(units, predictor, model)
    return tuple(dict.fromkeys((unit.layer, unit.unit) for unit in units))


def _sample(predictor: Predictor, data: Sequence[str], items: int, seed: int) -> Prefixes:
    """Sample items whose roles are known, and print how many have none."""
    if items < 1:
        raise InputError(f"--items: expected at least 1, got {items}")
    if seed < 0:
        raise InputError(f"--seed: expected at least 0, got {seed}")
    table = jsonl.read(data).with_format("arrow")[:]
    task = predictor.task
    usable = with_roles(predictor, table)
    if len(usable) == 0:
        raise InputError(
            f"expected items with subj_idx and tags, whose words the model reads, got none of "
            f"{len(table)} (a model of {task.name} reads {task.reads})"
        )
    prefixes = sample_items(predictor, usable, items, seed)
    if len(usable) < len(table):
        left_out = f"{len(table) - len(usable)} of {len(table)} items left out"
        echo(f"{left_out} (they lack subj_idx, tags or {task.needs})")
    return prefixes


def _print(responses: pd.DataFrame) -> None:
    rows = _rows(responses)
    breakdowns = {
        "words between subject and verb": ("intervening", INTERVENING.names),
        "attractors": ("attractors", ATTRACTORS.names),
    }
    name = responses["model"].iloc[0]
    for breakdown, (by, strata) in breakdowns.items():
        cells = []
        for change, part in rows:
            mean = part.groupby(["by", "stratum"])["accuracy"].mean()
            keys = [("overall", "all"), *((by, stratum) for stratum in strata)]
            figures = [f"{100 * mean[key]:.1f}" if key in mean.index else DASH for key in keys]
            cells.append([change, figures[0], _interval(part), *figures[1:]])
        columns = ["change", "all", "95%", *strata]
        title = f"{name}: accuracy in %, by {breakdown}"
        print_table(pd.DataFrame(cells, columns=columns), title=title)
    for line in BELOW:
        note(line)
    if (responses["units"] == "random").any():
        note(RANDOM)
    if not (responses["edit"] == "clamp").any():
        note("an RNN has no gates to clamp: only its recurrent path was cut")


def _interval(rows: pd.DataFrame) -> str:
    """Write the 95% interval of the accuracy on all items; of random sets their range."""
    overall = rows[rows["by"] == "overall"]
    ends = overall[["low", "high"]] if len(overall) == 1 else overall[["accuracy", "accuracy"]]
    low, high = ends.iloc[:, 0].min(), ends.iloc[:, 1].max()
    return f"{100 * low:.1f}–{100 * high:.1f}"


def _rows(responses: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Name the changes that are printed; of the clamp values only first, middle and last."""
    clamp_values = sorted(responses.loc[responses["quantity"] == "write", "to"].dropna().unique())
    shown = (
        {clamp_values[0], clamp_values[len(clamp_values) // 2], clamp_values[-1]}
        if clamp_values
        else set()
    )
    kinds = set(responses["units"])
    keys = ["edit", "quantity", "to", "units"]
    rows = []
    for (edit, quantity, to, units), part in responses.groupby(keys, sort=False, dropna=False):
        if edit == "clamp" and quantity == "write" and to not in shown:
            continue
        name = EDIT_NAMES[str(edit)].format(quantity=str(quantity).replace("_", " "), to=to)
        remark = part["note"].iloc[0]
        name += "" if pd.isna(remark) else f" ({remark})"
        if units == "random" or (edit == "cut" and units == "all" and "chosen" in kinds):
            name += f", {units}"
        rows.append((name, part))
    return rows
