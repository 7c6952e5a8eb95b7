"""What a few units do at each word of a sentence, and what the classifier would answer there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from memgate.data.items.roles import Role
from memgate.data.vocabulary import UNKNOWN
from memgate.errors import InputError
from memgate.gates.units.unit import Unit, check
from memgate.models.trajectory import Trajectory, trajectories
from memgate.predictor import Predictor

SHOWN = 3
"""Units that are shown where none are named: 4 rows each fit a terminal of 24 lines."""

MOST = 6
"""Number units that are shown unasked, the first that were found."""

UNNAMED = "with the largest |readout weight × change over the sentence| (no number units are named)"
"""How units are chosen then."""

GLOSSARY = {
    "write": "how much of what the word offers enters the unit's memory, 0 to 1",
    "keep": "how much of what was there stays, 0 to 1",
    "state_update": "the change of the memory; an open gate may write what is there already",
    "contribution_change": "what that change adds to the log-odds of the answer",
    "probe": "the change of the state, in the log-odds of plural that a linear probe reads off it",
    "state": "an RNN has no gates: each word rewrites the whole state",
    "contribution": "readout weight × state, what the unit adds to the log-odds",
}
"""What is shown of a unit, by the names of `UnitTrace`."""

ROW_NAMES = {"state_update": "state update", "contribution_change": "Δ logit"}
"""How a reader sees the names that aren't one word."""

CONVENTIONS = (
    "GRU: memory' = write · candidate + keep · memory with write + keep = 1; torch's z keeps "
    "(keep = z), Ng's Γu writes (write = Γu = 1 − z). "
    "LSTM: write = input gate (Ng's Γu), keep = forget gate (Γf); they need not add up to 1."
)
"""How the two readings are called elsewhere."""

Course = npt.NDArray[np.float64]
"""One number a word, in the order of the words."""


class Word(NamedTuple):
    """A word as it was given, and as the classifier reads it."""

    text: str
    read: str
    """The vocabulary's entry: the word, often in lower case; the symbol of its tag; ``<unk>``."""
    role: Role | None
    """What it is for the dependency, None where that isn't known."""

    @property
    def known(self) -> bool:
        """Whether it is read as itself, but for its case."""
        return self.read.lower() == self.text.lower()

    @property
    def label(self) -> str:
        """The word, and in brackets what it is read as, if that is something else."""
        return self.text if self.known else f"{self.text} ({self.read})"


@dataclass(frozen=True, eq=False)
class UnitTrace:
    """What a unit does at each of T words.

    Attributes:
        unit: Which.
        write: How much of the candidate enters the memory, in (0, 1); None for an RNN.
        keep: How much of the memory stays, in (0, 1); None for an RNN.
        memory: The memory after the word: the LSTM's cell, else the hidden state.
        state_update: What the word changes in it, memory after less memory before. That is write ·
            (candidate − memory) of a GRU, write · candidate − (1 − keep) · memory of an LSTM, and
            all of the old memory replaced in an RNN.
        contribution: What the unit adds to the log-odds after the word: readout weight · hidden
            state; None below the topmost layer, which alone is read.
        contribution_change: What the word adds to `contribution`; None likewise.
        probe: What it adds to the log-odds of a plural subject that the linear probe of its layer
            reads (`memgate.gates.units.number_units.NumberUnits.probe_direction`); None without a
            probe.
    """

    unit: Unit
    write: Course | None
    keep: Course | None
    memory: Course
    state_update: Course
    contribution: Course | None
    contribution_change: Course | None
    probe: Course | None = None

    @property
    def shown(self) -> list[tuple[str, Course]]:
        """What a reader sees of it, by the names of `GLOSSARY`."""
        if self.write is None or self.keep is None:
            named = [("state", self.memory), ("contribution", self.contribution)]
        else:
            gates = [("write", self.write), ("keep", self.keep)]
            named = [
                *gates,
                ("state_update", self.state_update),
                ("contribution_change", self.contribution_change),
            ]
        return [(name, trace) for name, trace in named if trace is not None]

    @property
    def on_page(self) -> list[tuple[str, Course]]:
        """What a page shows: also the state update of an RNN, and the probe."""
        shown = dict(self.shown)
        more = {
            "state_update": self.state_update,
            "contribution_change": self.contribution_change,
            "probe": self.probe,
        }
        found = [(name, trace) for name, trace in more.items() if trace is not None]
        return [*shown.items(), *(pair for pair in found if pair[0] not in shown)]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A sentence of T words as one classifier reads it.

    Attributes:
        model: Its name.
        cell: ``rnn``, ``gru`` or ``lstm``.
        size: Its layers and the units of each.
        answers: What the probabilities 0 and 1 mean.
        words: The words.
        log_odds: Of the second answer, if the sentence ended with the word.
        units: The units shown.
        chosen: How they were chosen, in words.
    """

    model: str
    cell: str
    size: tuple[int, int]
    answers: tuple[str, str]
    words: tuple[Word, ...]
    log_odds: Course
    units: tuple[UnitTrace, ...]
    chosen: str

    @property
    def p(self) -> Course:
        """The probability of the second answer, such as plural, after each word, in [0, 1]."""
        p: Course = np.exp(-np.logaddexp(0, -self.log_odds))  # never overflows
        return p

    @property
    def sentence(self) -> str:
        """The words, joined by one space."""
        return " ".join(word.text for word in self.words)

    def rows(self) -> list[dict[str, Any]]:
        """Return a tidy table: a row a word and unit; None where the model has no such number."""
        return [
            {
                "model": self.model,
                "position": place,
                **word._asdict(),
                "p": float(p),
                "layer": trace.unit.layer,
                "unit": trace.unit.unit,
                **numbers(trace, place),
            }
            for place, (word, p) in enumerate(zip(self.words, self.p, strict=True))
            for trace in self.units
        ]


def numbers(trace: UnitTrace, place: int) -> dict[str, float | None]:
    """Return what a unit does at a word, by the names of `UnitTrace`."""
    names = (
        "write",
        "keep",
        "state_update",
        "memory",
        "contribution",
        "contribution_change",
        "probe",
    )
    values: dict[str, Course | None] = {name: getattr(trace, name) for name in names}
    return {name: None if v is None else float(v[place]) for name, v in values.items()}


def first_units(units: Sequence[Unit]) -> tuple[list[Unit], str]:
    """Return the first number units of a model, and how they were chosen, in words.

    >>> first_units([Unit(0, 3), Unit(0, 1)])[1]
    'its 2 number units'
    """
    chosen = "its number unit" if len(units) == 1 else f"its {len(units)} number units"
    if len(units) > MOST:
        chosen = f"the first {MOST} of {chosen}"
    return [*units[:MOST]], chosen


@torch.inference_mode()
def explain(
    predictor: Predictor,
    sentence: str,
    units: Sequence[Unit] = (),
    *,
    model: str = "",
    chosen: str = "as asked",
    roles: Sequence[Role | None] = (),
    tags: Sequence[str | None] = (),
    probe: Course | None = None,
) -> Explanation:
    """Read a sentence word by word.

    Args:
        predictor: Its dropout is not applied.
        sentence: Words separated by white space, such as a prefix.
        units: Those to show; none for the `SHOWN` of the topmost layer that at the end of the
            sentence contribute most, either way.
        model: The name of the predictor.
        chosen: How the units were chosen, in words.
        roles: One a word, or none, as from `memgate.gates.explain.roles.find_roles`.
        tags: PTB tags, one a word, or none; rare words are read as their tag.
        probe: Direction of the number probe, layers × units, or None.

    Raises:
        InputError: No word is known, there is no such unit, or roles or tags aren't one a word.
    """
    classifier = predictor.classifier
    words, ids = _words(predictor, sentence.split(), roles, tags)
    check(units, predictor, model, probe)
    layers = trajectories(classifier.recurrence, classifier.embedding(ids))
    hidden = layers[-1].hidden[0]
    contributions = (
        hidden * classifier.readout.weight
    )  # (time, units): what each adds to the log-odds
    if not units:
        units = _largest(contributions, len(layers) - 1)
        chosen = f"{len(units)} {UNNAMED}"
    traces = tuple(_trace_of(each, layers, contributions, probe) for each in units)
    log_odds = _numbers(classifier.readout(hidden).squeeze(-1))
    size, answers = (len(layers), hidden.shape[1]), predictor.task.words
    return Explanation(model, classifier.cell, size, answers, words, log_odds, traces, chosen)


def _largest(contributions: Float[Tensor, "time units"], layer: int) -> list[Unit]:
    """Return the units that contribute most at the end of the sentence."""
    places = contributions[-1].abs().topk(min(SHOWN, contributions.shape[1])).indices
    return [Unit(layer, place) for place in places.tolist()]


def _words(
    predictor: Predictor,
    texts: Sequence[str],
    roles: Sequence[Role | None],
    tags: Sequence[str | None],
) -> tuple[tuple[Word, ...], Int[Tensor, "1 time"]]:
    """Look up words: what they are read as, and their ids on the device of the model."""
    if not texts:
        raise InputError("sentence: expected words separated by spaces, got none")
    for name, given in {"roles": roles, "tags": tags}.items():
        if given and len(given) != len(texts):
            raise InputError(f"{name}: expected {len(texts)}, one a word, got {len(given)}")
    vocabulary = predictor.vocabulary
    column = pa.array(tags, pa.string()) if tags else None
    ids = vocabulary.encode(pa.array(texts, pa.string()), column)
    if not ids.any():
        raise InputError(
            f"sentence: expected at least one word of the vocabulary ({len(vocabulary)} entries), "
            f"got {' '.join(texts)!r}"
        )
    entries = [vocabulary.tokenizer.id_to_token(i) or UNKNOWN for i in ids.tolist()]
    words = tuple(map(Word, texts, entries, roles or [None] * len(texts)))
    device = predictor.classifier.embedding.weight.device
    return words, torch.from_numpy(ids).to(device).long().unsqueeze(0)


def _numbers(values: Tensor) -> Course:
    trace: Course = values.double().cpu().numpy()
    return trace


def _trace_of(
    unit: Unit,
    layers: Sequence[Trajectory],
    contributions: Float[Tensor, "time units"],
    probe: Course | None,
) -> UnitTrace:
    """Cut one unit out of its layer; the contributions are those of the topmost layer."""
    layer = layers[unit.layer]

    def own(values: Tensor) -> Course:
        return _numbers(values[..., unit.unit].reshape(-1))

    held = own(layer.hidden if layer.cell is None else layer.cell)
    contribution = own(contributions) if layer is layers[-1] else None
    gates = layer.readings
    return UnitTrace(
        unit,
        own(gates["write"]) if "write" in gates else None,
        own(gates["keep"]) if "keep" in gates else None,
        held,
        np.diff(held, prepend=0.0),  # states start at zero
        contribution,
        None if contribution is None else np.diff(contribution, prepend=0.0),
        None if probe is None else probe[unit] * np.diff(own(layer.hidden), prepend=0.0),
    )
