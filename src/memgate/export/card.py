"""The model card of an export: ``templates/card.md.jinja``, filled in with a model's `Facts`."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd
from huggingface_hub import EvalResult, ModelCardData

from memgate import __version__
from memgate.data.items.roles import ROLES
from memgate.gates.explain.explanation import CONVENTIONS, GLOSSARY, ROW_NAMES
from memgate.gates.profile import pooled
from memgate.gates.units.number_units import NumberUnits
from memgate.gates.units.unit import unit_name
from memgate.metrics.accuracy import wilson
from memgate.metrics.strata import ATTRACTORS, INTERVENING
from memgate.metrics.systems import NETWORK, baseline_results
from memgate.predictor import Predictor
from memgate.reporting.accuracy import in_line
from memgate.reporting.console import DASH, markdown_table
from memgate.reporting.pages import render
from memgate.tracking.registry.origin import Origin
from memgate.tracking.registry.versions import EXAMPLES

LIBRARY = "memgate"

UNKNOWN = "unknown"
"""The Hub's identifier for a licence that is not known."""

TORCH_MODULES = MappingProxyType({"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"})

METRIC_NAMES = MappingProxyType(
    {
        "overall": "accuracy",
        "attractors": "accuracy, attractors: {}",
        "intervening": "accuracy, words between: {}",
    }
)
"""Breakdowns that the card's metadata has, and the metrics' names there."""

ROWS = MappingProxyType(
    {
        "overall": "all",
        "label": "subject {}",
        "intervening": "{} words between",
        "attractors": "attractors: {}",
    }
)
"""Breakdowns that the accuracy table has, and the names of its rows."""

GATE_READINGS = ("write", "keep")
CHANGE_READINGS = ("state_update", "contribution_change", "probe")
"""What the card explains of a unit; an RNN has the changes only."""


@dataclass(frozen=True, eq=False)
class Facts:
    """The facts about an exported model that its card states.

    Attributes:
        name: Name of the model.
        predictor: The model.
        accuracy: Accuracy of the model and its baselines on its test split: columns model, data,
            system, by, stratum, n, correct, accuracy, low, high; None if unknown.
        left_out: Which items the breakdowns leave out, a sentence each.
        profile: The profile of its gates; None if unknown.
        units: Which units carry the number; None if unknown.
        origin: The run that trained it; None if unknown.
        licence: The Hub's identifier of a licence, such as ``apache-2.0``.
        address: Address on the Hub, ``hf://owner/name``.
    """

    name: str
    predictor: Predictor
    accuracy: pd.DataFrame | None
    left_out: list[str]
    profile: pd.DataFrame | None
    units: NumberUnits | None
    origin: Origin | None
    licence: str
    address: str


def card(facts: Facts, files: Collection[str]) -> str:
    """Return the card in Markdown with the Hub's YAML header; it shows the figures in `files`."""
    classifier, task = facts.predictor.classifier, facts.predictor.task
    gated = classifier.cell != "rnn"
    table, profile, origin = facts.accuracy, facts.profile, facts.origin
    return render(
        "card.md.jinja",
        "memgate.export",
        facts=facts,
        files=files,
        metadata=_metadata(facts).to_yaml(),
        version=__version__,
        cell=classifier.cell,
        module=TORCH_MODULES[classifier.cell],
        config=classifier.config,
        entries=len(facts.predictor.vocabulary),
        weights=sum(weight.numel() for weight in classifier.parameters()),
        task=task,
        example=EXAMPLES[task.name],
        data=None if table is None else str(table["data"].iloc[0]),
        accuracy_table=None if table is None else accuracy_table(table),
        cross_table=None if table is None else cross_table(table),
        limitations=[] if table is None else limitations(table),
        gated=gated,
        conventions=CONVENTIONS,
        readings=(*GATE_READINGS, *CHANGE_READINGS) if gated else CHANGE_READINGS,
        glossary=GLOSSARY,
        row_names=ROW_NAMES,
        number_units=[] if facts.units is None else facts.units.units,
        unit_name=unit_name,
        has_lexicon=facts.predictor.vocabulary.lexicon is not None,
        role_table=None if profile is None or profile.empty else role_table(profile),
        origin=origin,
        split_table=split_table(origin) if origin is not None and origin.splits else None,
        from_grammar=origin is not None and is_grammar(origin),
    )


def _metadata(facts: Facts) -> ModelCardData:
    results = [] if facts.accuracy is None else _results(facts.accuracy, facts.predictor.task.name)
    cell = facts.predictor.classifier.cell
    return ModelCardData(
        language="en",
        license=facts.licence,
        library_name=LIBRARY,
        pipeline_tag="text-classification",
        tags=[cell, "recurrent-neural-network", "subject-verb-agreement", "interpretability"],
        metrics=["accuracy"],
        model_name=facts.name if results else None,
        eval_results=results or None,
    )


def _results(table: pd.DataFrame, task: str) -> list[EvalResult]:
    return [
        EvalResult(
            task_type="text-classification",
            task_name=task,
            dataset_type="subject-verb-agreement",
            dataset_name=str(row["data"]),
            dataset_split="test",
            metric_type="accuracy",
            metric_name=METRIC_NAMES[row["by"]].format(row["stratum"]),
            metric_value=round(float(row["accuracy"]), 6),
        )
        for row in _of_network(table, *METRIC_NAMES).to_dict("records")
    ]


def accuracy_table(table: pd.DataFrame) -> str:
    """Return accuracy in percent by stratum in Markdown: network, intervals, baselines."""
    baseline_accuracies = {
        baseline.name: baseline.rows.set_index(["by", "stratum"])["accuracy"]
        for baseline in baseline_results(table)
    }
    rows = []
    for row in _of_network(table, *ROWS).to_dict("records"):
        stratum = (row["by"], row["stratum"])
        cells = {
            "test items": ROWS[row["by"]].format(row["stratum"]),
            "n": f"{row['n']:,}",
            "this model": in_line(row),
        }
        for name, accuracies in baseline_accuracies.items():
            if stratum in accuracies.index:
                cells[name] = f"{100 * accuracies[stratum]:.1f}"
            else:
                cells[name] = DASH
        rows.append(cells)
    return markdown_table(pd.DataFrame(rows))


def cross_table(table: pd.DataFrame) -> str:
    """Return the network's accuracy in Markdown, by intervening words (rows) and attractors."""
    strata = {
        row["stratum"]: f"{in_line(row)} [{row['n']:,}]"
        for row in _of_network(table, "intervening_x_attractors").to_dict("records")
    }
    rows = [
        {
            "words": words,
            **{name: strata.get(f"{words} × {name}", DASH) for name in ATTRACTORS.names},
        }
        for words in INTERVENING.names
    ]
    return markdown_table(pd.DataFrame(rows))


def role_table(profile: pd.DataFrame) -> str:
    """Return the mean of each reading in the last layer in Markdown, by role."""
    last = profile[(profile["layer"] == profile["layer"].max()) & (profile["by"] == "role")]
    means = pooled(last, "number", "answer")
    table = means.pivot_table(
        index=["units", "reading"], columns="stratum", values="mean", sort=False
    )
    table = table[[role for role in ROLES if role in table]].round(2) + 0.0  # no −0.00
    texts = table.map("{:.2f}".format, na_action="ignore").fillna(DASH).rename(ROW_NAMES)
    return markdown_table(texts.reset_index(), names=2)


def split_table(origin: Origin) -> str:
    """Return the splits of a run's data in Markdown."""
    rows = [
        {"split": split.split, "items": f"{split.rows:,}", "digest": f"`{split.digest}`"}
        for split in origin.splits
    ]
    return markdown_table(pd.DataFrame(rows))


def limitations(table: pd.DataFrame) -> list[str]:
    """Return a sentence each on accuracy with attractors, and by the subject's number."""
    sentences = []
    rows = _of_network(table, "attractors")
    has_attractor = rows["stratum"] != ATTRACTORS.names[0]
    if has_attractor.any() and not has_attractor.all():
        without, with_some = _total(rows[~has_attractor]), _total(rows[has_attractor])
        sentences.append(
            f"Accuracy without an attractor: {without}; with one or more: {with_some}."
        )
    numbers = _of_network(table, "label").set_index("stratum")
    if len(numbers) == 2:
        singular, plural = _total(numbers.loc[["sg"]]), _total(numbers.loc[["pl"]])
        sentences.append(f"Accuracy with a singular subject: {singular}; with a plural: {plural}.")
    return sentences


def is_grammar(origin: Origin) -> bool:
    """Return whether all of a run's data come from memgate's own grammar.

    Runs record the class path of their source. The grammar's has changed since the first runs
    (``memgate.data.grammar.Grammar``), so only its package and its last name count.
    """
    class_paths = [
        path for split in origin.splits for path in re.findall(r"class_path: *(\S+)", split.source)
    ]
    names = {path.rpartition(".")[2] for path in class_paths}
    of_memgate = all(path.startswith("memgate.data.") for path in class_paths)
    return of_memgate and "Grammar" in names and names <= {"Grammar", "Joined"}


def _of_network(table: pd.DataFrame, *by: str) -> pd.DataFrame:
    return table[(table["system"] == NETWORK) & table["by"].isin(by)]


def _total(rows: pd.DataFrame) -> str:
    n, correct = int(rows["n"].sum()), int(rows["correct"].sum())
    low, high = wilson(correct, n)
    return f"{in_line({'accuracy': correct / n, 'low': low, 'high': high})}% of {n:,}"
