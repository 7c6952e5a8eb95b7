"""One sentence word by word: the gates and states of units, and the prediction after each word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from jaxtyping import Float, Int
from torch import Tensor

from memgate.data.items.numbers import NOUN_NUMBER, SUBJECT_NUMBER
from memgate.data.items.roles import Role, roles
from memgate.data.tagger import UNKNOWN_TAG, Tagger
from memgate.data.vocabulary import UNKNOWN_WORD
from memgate.errors import InputError
from memgate.gates.units.unit import Unit, check_model_units, unit_name
from memgate.models.trajectory import Trajectory, trajectories
from memgate.predictor import Predictor


def find_roles(
    words: Sequence[str],
    subject: int | None = None,
    tagger: Tagger | None = None,
    verb: int | None = None,
) -> list[Role | None]:
    """Return the role of each word in the dependency.

    Args:
        words: A sentence, or the words before its verb.
        subject: Index of the head of the subject, from 0; None for the first common noun.
        tagger: Tags for the words; without it words after the subject have no role.
        verb: Index of the verb, or None if it follows the words.

    Returns:
        One role a word, None if unknown; all None if there is no subject.

    Raises:
        InputError: The subject isn't before the verb.

    >>> find_roles("the keys to the".split(), subject=1)
    ['before', 'subject', None, None]
    """
    end = len(words) if verb is None else verb
    tags = [UNKNOWN_TAG] * len(words) if tagger is None else _tags(tagger, words)
    nouns = (index for index in range(end) if tags[index] in NOUN_NUMBER)
    subject = next(nouns, None) if subject is None else subject
    if subject is None:
        return [None] * len(words)
    if not 0 <= subject < end:
        expected = f"a word from 0 to {end - 1} of {' '.join(words)!r}"
        raise InputError(f"subject: expected {expected}, got {subject}")
    label = SUBJECT_NUMBER.get(tags[subject])
    unclear = {UNKNOWN_TAG} if label else {UNKNOWN_TAG, *NOUN_NUMBER}
    up_to_verb: list[Role | None] = [
        None if index > subject and tags[index] in unclear else role
        for index, role in enumerate(roles(tags, subject, end, label or "sg"))
    ]
    if end == len(words):
        return up_to_verb
    return [*up_to_verb, "verb", *[None] * (len(words) - end - 1)]


def _tags(tagger: Tagger, words: Sequence[str]) -> list[str]:
    tags: list[str] = tagger.tag(pa.array(words, pa.string())).to_pylist()
    return tags


LECTURE = "The cat, which already ate a bunch of food,"
"""The sentence of the lecture, up to its verb."""

UNITS_SHOWN = 3
"""Units that are shown if none are named: 4 rows each fit a terminal of 24 lines."""

NUMBER_UNITS_SHOWN = 6
"""Number units that are shown by default: the first of the set."""

UNNAMED = "with the largest |readout weight × change over the sentence| (no number units are named)"
"""How units are chosen if none are named."""

REQUESTED = "as requested"
"""How units are chosen that the user names."""

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
"""What the two readings are called elsewhere."""

Trace = npt.NDArray[np.float64]
"""One number a word, in the order of the words."""


class Word(NamedTuple):
    """A word of the sentence, and what the classifier reads."""

    text: str
    read: str
    """The vocabulary's entry: the word, often in lower case; the symbol of its tag; ``<unk>``."""
    role: Role | None
    """Its role in the dependency, None if unknown."""

    @property
    def known(self) -> bool:
        """Whether the vocabulary has it, ignoring case."""
        return self.read.lower() == self.text.lower()

    @property
    def label(self) -> str:
        """The word, and in brackets what is read if that differs."""
        return self.text if self.known else f"{self.text} ({self.read})"


@dataclass(frozen=True, eq=False)
class UnitTrace:
    """The gates, the memory and the contribution of a unit at each of T words.

    Attributes:
        unit: Its layer and index.
        write: How much of the candidate enters the memory, in (0, 1); None for an RNN.
        keep: How much of the memory stays, in (0, 1); None for an RNN.
        memory: The memory after the word: the LSTM's cell, else the hidden state.
        state_update: What the word changes in it, memory after less memory before. GRU: write ·
            (candidate − memory); LSTM: write · candidate − (1 − keep) · memory; an RNN replaces
            the whole memory.
        contribution: What the unit adds to the log-odds after the word: readout weight · hidden
            state; None below the topmost layer, which alone is read.
        contribution_change: What the word adds to `contribution`; None below the topmost layer.
        probe: What it adds to the log-odds of a plural subject by the linear probe of its layer
            (`memgate.gates.units.number_units.NumberUnits.probe_direction`); None without a probe.
    """

    unit: Unit
    write: Trace | None
    keep: Trace | None
    memory: Trace
    state_update: Trace
    contribution: Trace | None
    contribution_change: Trace | None
    probe: Trace | None = None

    def taken_up(self, position: int) -> float:
        """Return how much a word changes the contribution, or below the top the memory."""
        change = self.state_update if self.contribution_change is None else self.contribution_change
        return abs(float(change[position]))

    @property
    def shown(self) -> list[tuple[str, Trace]]:
        """The rows of the terminal, by the names of `GLOSSARY`."""
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
    def on_page(self) -> list[tuple[str, Trace]]:
        """The rows of the page: also the state update of an RNN, and the probe."""
        shown = dict(self.shown)
        more = {
            "state_update": self.state_update,
            "contribution_change": self.contribution_change,
            "probe": self.probe,
        }
        further = {
            name: trace for name, trace in more.items() if trace is not None and name not in shown
        }
        return [*(shown | further).items()]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A sentence of T words as a classifier reads it.

    Attributes:
        model: Its name.
        cell: ``rnn``, ``gru`` or ``lstm``.
        size: Its layers and the units of each.
        answers: What the probabilities 0 and 1 mean.
        words: The words.
        log_odds: Log-odds of the second answer if the sentence ended with the word.
        units: The units shown; unless they were requested, the one that takes up most at the
            subject comes first.
        chosen: How they were chosen, in words.
        unknown_noun: Whether a word that is read as ``<unk>`` is a noun, or may be one.
    """

    model: str
    cell: str
    size: tuple[int, int]
    answers: tuple[str, str]
    words: tuple[Word, ...]
    log_odds: Trace
    units: tuple[UnitTrace, ...]
    chosen: str
    unknown_noun: bool = False

    @property
    def unknown(self) -> int:
        """How many words are read as ``<unk>``."""
        return sum(word.read == UNKNOWN_WORD for word in self.words)

    @property
    def p(self) -> Trace:
        """The probability of the second answer, such as plural, after each word, in [0, 1]."""
        p: Trace = np.exp(-np.logaddexp(0, -self.log_odds))  # never overflows
        return p

    @property
    def sentence(self) -> str:
        """The words, joined by one space."""
        return " ".join(word.text for word in self.words)

    def rows(self) -> list[dict[str, Any]]:
        """Return a tidy table, a row a word and unit; None if the model has no such number."""
        return [
            {
                "model": self.model,
                "position": position,
                **word._asdict(),
                "p": float(p),
                "layer": trace.unit.layer,
                "unit": trace.unit.unit,
                **word_numbers(trace, position),
            }
            for position, (word, p) in enumerate(zip(self.words, self.p, strict=True))
            for trace in self.units
        ]


def in_words(explanation: Explanation) -> str:
    """Say in a sentence what the write gate of the first unit shown does from the subject on.

    Args:
        explanation: Of a model with gates; the roles of the words are known.
    """
    trace = explanation.units[0]
    write = trace.write
    subject = next(
        (index for index, word in enumerate(explanation.words) if word.role == "subject"), None
    )
    if write is None or subject is None or subject + 1 == len(write):
        return f"{explanation.model}: no gate is shown"
    name = unit_name(trace.unit, explanation.size[0])
    word, after = explanation.words[subject].text, write[subject + 1 :]
    return (
        f"{explanation.model}: the write gate of {name} is {write[subject]:.2f} at {word!r}, and "
        f"{after.mean():.2f} on average on the {len(after)} words after it"
    )


def word_numbers(trace: UnitTrace, position: int) -> dict[str, float | None]:
    """Return the numbers of a unit at a word, by the names of `UnitTrace`."""
    names = (
        "write",
        "keep",
        "state_update",
        "memory",
        "contribution",
        "contribution_change",
        "probe",
    )
    values: dict[str, Trace | None] = {name: getattr(trace, name) for name in names}
    return {name: None if v is None else float(v[position]) for name, v in values.items()}


def first_units(units: Sequence[Unit]) -> tuple[list[Unit], str]:
    """Return the first number units of a model, and how they were chosen, in words.

    >>> first_units([Unit(0, 3), Unit(0, 1)])[1]
    'its 2 number units'
    """
    chosen = "its number unit" if len(units) == 1 else f"its {len(units)} number units"
    if len(units) > NUMBER_UNITS_SHOWN:
        chosen = f"the first {NUMBER_UNITS_SHOWN} of {chosen}"
    return [*units[:NUMBER_UNITS_SHOWN]], chosen


@torch.inference_mode()
def explain(
    predictor: Predictor,
    sentence: str,
    units: Sequence[Unit] = (),
    *,
    model: str = "",
    chosen: str = REQUESTED,
    roles: Sequence[Role | None] = (),
    tags: Sequence[str | None] = (),
    probe: Trace | None = None,
    tagger: Tagger | None = None,
    by_subject: bool = False,
) -> Explanation:
    """Read a sentence word by word.

    Args:
        predictor: Its dropout is not applied.
        sentence: Text as people write it, such as a prefix; with roles or tags, the words between
            white space.
        units: Units to show; none for the `UNITS_SHOWN` of the topmost layer whose contribution at
            the end of the sentence is largest in absolute value.
        model: The name of the predictor.
        chosen: How the units were chosen, in words.
        roles: One a word, or empty, as from `memgate.gates.explain.explanation.find_roles`.
        tags: PTB tags, one a word, or empty; rare words are read as their tag.
        probe: Direction of the number probe, layers × units, or None.
        tagger: Finds nouns where roles or tags don't name them.
        by_subject: Whether the unit whose contribution the subject changes most comes first; else
            they stay in their order, as they do if the subject isn't known.

    Raises:
        InputError: No word is known, there is no such unit, or roles or tags aren't one a word.

    >>> import memgate
    >>> from memgate.data.vocabulary import Vocabulary
    >>> vocabulary = Vocabulary.from_words(["the", "cat", "cats"])
    >>> classifier = memgate.Classifier(len(vocabulary), "gru").eval()  # not trained
    >>> explanation = memgate.explain(memgate.Predictor(classifier, vocabulary), "the cats")
    >>> [word.text for word in explanation.words], len(explanation.units), explanation.p.shape
    (['the', 'cats'], 3, (2,))
    """
    classifier = predictor.classifier
    tokens = sentence if roles or tags else predictor.tokenize([sentence])[0]
    words, ids = _words(predictor, tokens.split(), roles, tags)
    check_model_units(units, predictor, model, probe)
    layers = trajectories(classifier.recurrence, classifier.embedding(ids))
    hidden = layers[-1].hidden[0]
    contributions = hidden * classifier.readout.weight  # (time, units), in log-odds
    if not units:
        units = _largest(contributions, len(layers) - 1)
        chosen = f"{len(units)} {UNNAMED}"
    traces = [_trace_of(unit, layers, contributions, probe) for unit in units]
    nouns = tags or (_tags(tagger, [word.text for word in words]) if tagger else ())
    subject = _subject(words, nouns)
    if by_subject and subject is not None:
        traces.sort(key=lambda trace: -trace.taken_up(subject))
    log_odds = _numbers(classifier.readout(hidden).squeeze(-1))
    size, answers = (len(layers), hidden.shape[1]), predictor.task.words
    return Explanation(
        model,
        classifier.cell,
        size,
        answers,
        words,
        log_odds,
        tuple(traces),
        chosen,
        _has_unknown_noun(words, nouns),
    )


def _subject(words: Sequence[Word], tags: Sequence[str | None]) -> int | None:
    """Return the position of the subject by its role, or else of the first common noun."""
    named = (index for index, word in enumerate(words) if word.role == "subject")
    first = next((index for index, tag in enumerate(tags) if tag in NOUN_NUMBER), None)
    return next(named, first)


def _has_unknown_noun(words: Sequence[Word], tags: Sequence[str | None]) -> bool:
    """Return whether a word that is read as ``<unk>`` is a noun by its role or tag, or may be."""
    for word, tag in zip_longest(words, tags):
        if word.read == UNKNOWN_WORD and word.role not in ("other", "verb"):
            if word.role in ("subject", "attractor", "noun"):
                return True
            if tag in (None, UNKNOWN_TAG) or tag.startswith("NN"):
                return True
    return False


def _largest(contributions: Float[Tensor, "time units"], layer: int) -> list[Unit]:
    """Return the units with the largest contributions at the end of the sentence."""
    indices = contributions[-1].abs().topk(min(UNITS_SHOWN, contributions.shape[1])).indices
    return [Unit(layer, index) for index in indices.tolist()]


def _words(
    predictor: Predictor,
    texts: Sequence[str],
    roles: Sequence[Role | None],
    tags: Sequence[str | None],
) -> tuple[tuple[Word, ...], Int[Tensor, "1 time"]]:
    """Look up words: the entries of the vocabulary, and their ids on the device of the model."""
    if not texts:
        raise InputError("sentence: expected words separated by spaces, got none")
    for name, values in {"roles": roles, "tags": tags}.items():
        if values and len(values) != len(texts):
            raise InputError(f"{name}: expected {len(texts)}, one a word, got {len(values)}")
    vocabulary = predictor.vocabulary
    column = pa.array(tags, pa.string()) if tags else None
    ids = vocabulary.encode(pa.array(texts, pa.string()), column)
    if not ids.any():
        raise InputError(
            f"sentence: expected at least one word of the vocabulary ({len(vocabulary)} entries), "
            f"got {' '.join(texts)!r}"
        )
    entries = [vocabulary.tokenizer.id_to_token(i) or UNKNOWN_WORD for i in ids.tolist()]
    words = tuple(map(Word, texts, entries, roles or [None] * len(texts)))
    device = predictor.classifier.embedding.weight.device
    return words, torch.from_numpy(ids).to(device).long().unsqueeze(0)


def _numbers(values: Tensor) -> Trace:
    trace: Trace = values.double().cpu().numpy()
    return trace


def _trace_of(
    unit: Unit,
    layers: Sequence[Trajectory],
    contributions: Float[Tensor, "time units"],
    probe: Trace | None,
) -> UnitTrace:
    """Return the trace of one unit; the contributions are those of the topmost layer."""
    layer = layers[unit.layer]

    def of_unit(values: Tensor) -> Trace:
        return _numbers(values[..., unit.unit].reshape(-1))

    memory = of_unit(layer.hidden if layer.cell is None else layer.cell)
    contribution = of_unit(contributions) if layer is layers[-1] else None
    gates = layer.readings
    return UnitTrace(
        unit,
        of_unit(gates["write"]) if "write" in gates else None,
        of_unit(gates["keep"]) if "keep" in gates else None,
        memory,
        np.diff(memory, prepend=0.0),  # states start at zero
        contribution,
        None if contribution is None else np.diff(contribution, prepend=0.0),
        None if probe is None else probe[unit] * np.diff(of_unit(layer.hidden), prepend=0.0),
    )
