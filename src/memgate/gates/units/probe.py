"""Linear probes of the number of the subject, at each word from the subject on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from memgate.arrays import Bools, Floats, Ints
from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.metrics.accuracy import wilson
from memgate.models.classifier import Classifier
from memgate.models.trajectory import trajectories

LAST_WORD = "last"
"""The position of the last word that is read."""

PROBED_WORDS = 10
"""Words after the subject up to which there are probes."""

MIN_ITEMS_PER_NUMBER = 20
"""Items of each number that a probe needs in the half to fit to and in the half to score on."""

CONTROL_TASKS = 5
"""Control tasks over which the control accuracy is averaged; single ones have an sd of 0.03."""

PROBE_DTYPES = {
    "layer": "int64",
    "position": "string",
    "n": "int64",
    "accuracy": "float64",
    "low": "float64",
    "high": "float64",
    "majority": "float64",
    "n_control": "int64",
    "control": "float64",
    "selectivity": "float64",
}
"""The columns of the table of probes, a row a layer and position.

position: words after the subject, "0" is the subject, or "last"; n: held-out items; accuracy, with
low and high, Wilson's 95% interval; majority: proportion of the more frequent number;
n_control: held-out items whose subject the fit has seen; control: mean accuracy of the control
tasks on these, null if there are none; selectivity: accuracy on these items less control.
"""

WEIGHT_DTYPES = {
    "layer": "int64",
    "position": "string",
    "unit": "int64",
    "weight": "float64",
    "sd": "float64",
}
"""The columns of the table of their weights, a row a layer, position and unit.

weight: log-odds of plural for one standard deviation; sd: that deviation. The probe's direction, in
which states are seen as singular or plural, is weight / sd.
"""


class SubjectStates(NamedTuple):
    """The states after N words from the subject on, item after item."""

    item: Ints
    """Row of the item in the `Prefixes`."""
    after: Ints
    """Words from the subject to this one, 0 for the subject."""
    last: Bools
    """Whether it is the last word that is read."""
    hidden: Floats
    """N × layers × units."""

    def at(self, position: str) -> Bools:
        """Mark the words at a position: so many after the subject, or ``last``."""
        return self.last if position == LAST_WORD else self.after == int(position)

    def part(self, position: str) -> SubjectStates:
        """Return the words at a position."""
        here = self.at(position)
        return SubjectStates(self.item[here], self.after[here], self.last[here], self.hidden[here])


class FittedProbe(NamedTuple):
    """A logistic regression fitted to standardised states."""

    right: Bools
    """Whether the prediction for each held-out item is right."""
    weights: Floats
    """Log-odds of plural for one standard deviation of each unit."""
    sd: Floats
    """That standard deviation, over the items of the fit; 1 for a constant unit."""


def linear_probe(fitted_to: Floats, labels: Ints, held_out: Floats, expected: Ints) -> FittedProbe:
    """Fit scikit-learn's logistic regression with its default penalty (C = 1).

    Args:
        fitted_to: States, items × units; they are standardised.
        labels: What the probe predicts, 0 or 1; both occur.
        held_out: States of other items.
        expected: Their labels.
    """
    scaler = StandardScaler().fit(fitted_to)
    with threadpool_limits(1):  # so small a fit loses with two: 40 ms instead of 4 (100 units)
        model = LogisticRegression(max_iter=1000).fit(scaler.transform(fitted_to), labels)
    right = model.predict(scaler.transform(held_out)) == expected
    return FittedProbe(right, model.coef_[0], np.asarray(scaler.scale_))


@torch.no_grad()
def subject_states(classifier: Classifier, prefixes: Prefixes) -> SubjectStates:
    """Return the hidden states after the words from the subject on, up to `PROBED_WORDS`.

    Args:
        classifier: Its dropout is not applied.
        prefixes: A sample; the states of up to 12 words of each are kept.
    """
    parts = []
    for batch in ExactLengthBatches(prefixes, 1024):
        layers = trajectories(classifier.recurrence, classifier.embedding(batch.inputs))
        hidden = torch.stack([layer.hidden for layer in layers], dim=2)
        after = prefixes.after_subject(batch)
        last = torch.zeros_like(after, dtype=torch.bool)
        last[:, -1] = True
        wanted = (after >= 0) & ((after <= PROBED_WORDS) | last)
        item = batch.rows.unsqueeze(1).expand_as(after)
        parts.append(
            [column[wanted].cpu().numpy() for column in (item, after, last, hidden.double())]
        )
    return SubjectStates(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def probes(
    classifier: Classifier,
    halves: tuple[Prefixes, Prefixes],
    types: tuple[Ints, Ints],
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Probe every layer for the number of the subject, at each word from it on.

    The control task is that of Hewitt and Liang (2019, section 2): each subject word gets a random
    label, and the same probe predicts it, scored on words that the fit has seen.

    Args:
        classifier: Its dropout is not applied.
        halves: The items to fit to, and the held-out ones.
        types: An id for the word of each item's subject.
        seed: Seed of the control's labels.

    Returns:
        Tables with the columns `PROBE_DTYPES` and `WEIGHT_DTYPES`; positions where a half has fewer
        than 20 items of a number are left out.
    """
    words = [subject_states(classifier, half) for half in halves]
    labels = [half.labels.cpu().numpy() for half in halves]
    controls = _control_labels(types, seed)
    rows, weights = [], []
    for position in [*map(str, range(PROBED_WORDS + 1)), LAST_WORD]:
        parts = [half.part(position) for half in words]
        numbers = [label[part.item] for label, part in zip(labels, parts, strict=True)]
        words_of = [ids[part.item] for ids, part in zip(types, parts, strict=True)]
        if min(np.bincount(number, minlength=2).min() for number in numbers) < MIN_ITEMS_PER_NUMBER:
            continue
        for layer in range(parts[0].hidden.shape[1]):
            states = [part.hidden[:, layer] for part in parts]
            probe = linear_probe(states[0], numbers[0], states[1], numbers[1])
            scores = _scores(probe, numbers[1], states, words_of, controls)
            rows.append((layer, position, *scores))
            units = zip(range(len(probe.sd)), probe.weights, probe.sd, strict=True)
            weights += [(layer, position, *unit) for unit in units]
    return _frame(rows, PROBE_DTYPES), _frame(weights, WEIGHT_DTYPES)


def _frame(rows: list[tuple[Any, ...]], kinds: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def _control_labels(types: tuple[Ints, Ints], seed: int) -> Ints:
    """Return random labels of words, half of them 0, for each control task."""
    several = int(max(ids.max() for ids in types)) + 1
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(np.arange(several) % 2) for _ in range(CONTROL_TASKS)])


def _scores(
    probe: FittedProbe, numbers: Ints, states: list[Floats], types: list[Ints], controls: Ints
) -> tuple[int | float, ...]:
    """Return the columns of a row from n on."""
    n, right = len(numbers), int(probe.right.sum())
    seen = np.isin(types[1], types[0])
    accuracies = []
    for labels_of in controls:
        labels = labels_of[types[0]]
        if seen.any() and 0 < labels.mean() < 1:
            expected = labels_of[types[1][seen]]
            control = linear_probe(states[0], labels, states[1][seen], expected)
            accuracies.append(control.right.mean())
    control_accuracy = float(np.mean(accuracies)) if accuracies else np.nan
    accuracy = right / n
    accuracy_seen = float(probe.right[seen].mean()) if seen.any() else np.nan
    majority = float(np.bincount(numbers).max() / n)
    return (
        n,
        accuracy,
        *wilson(right, n),
        majority,
        int(seen.sum()),
        control_accuracy,
        accuracy_seen - control_accuracy,
    )
