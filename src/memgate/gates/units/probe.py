"""Linear probes: can the subject's number be read off the hidden state, word after word?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.metrics.accuracy import wilson
from memgate.models.classifier import Classifier
from memgate.models.trajectory import trajectories

LAST = "last"
"""The place of the last word that is read."""

FARTHEST = 10
"""Words after the subject up to which there are probes."""

LEAST = 20
"""Items of either number that a probe needs, to be fitted and again to be scored."""

DRAWS = 5
"""Control tasks over which the control accuracy is averaged; single ones have an sd of 0.03."""

PROBE = {
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
low and high, Wilson's 95% interval; majority: share of the more frequent number; n_control:
held-out items whose subject's word was fitted to; control: mean accuracy of the control tasks on
these, null without any; selectivity: accuracy on these same items less control.
"""

WEIGHTS = {
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

Ints = npt.NDArray[np.int64]


class Words(NamedTuple):
    """States after the words from the subject on, N of them, of all items one behind another."""

    item: Ints
    """Place of the item in the `Prefixes`."""
    after: Ints
    """How far the word stands behind the subject, from 0."""
    last: npt.NDArray[np.bool_]
    """Whether it is the last word that is read."""
    hidden: npt.NDArray[np.float64]
    """N × layers × units."""

    def at(self, place: str) -> npt.NDArray[np.bool_]:
        """Mark the words at a place: so many after the subject, or ``last``."""
        return self.last if place == LAST else self.after == int(place)

    def part(self, place: str) -> Words:
        """Return the words at a place."""
        here = self.at(place)
        return Words(self.item[here], self.after[here], self.last[here], self.hidden[here])


class Probe(NamedTuple):
    """What a logistic regression made of standardised states."""

    right: npt.NDArray[np.bool_]
    """Whether each held-out item was answered rightly."""
    weights: npt.NDArray[np.float64]
    """Log-odds of plural for one standard deviation of each unit."""
    sd: npt.NDArray[np.float64]
    """That deviation, over the items it was fitted to; 1 for a constant unit."""


def linear_probe(
    fitted_to: npt.NDArray[np.float64],
    labels: Ints,
    held_out: npt.NDArray[np.float64],
    expected: Ints,
) -> Probe:
    """Fit scikit-learn's logistic regression, with its own ridge (C = 1), to standardised states.

    Args:
        fitted_to: States, items × units.
        labels: What is read off them, 0 or 1, both of them there.
        held_out: States of other items.
        expected: Their labels.
    """
    scaler = StandardScaler().fit(fitted_to)
    with threadpool_limits(1):  # so small a fit loses with two: 40 ms instead of 4 (100 units)
        model = LogisticRegression(max_iter=1000).fit(scaler.transform(fitted_to), labels)
    right = model.predict(scaler.transform(held_out)) == expected
    return Probe(right, model.coef_[0], np.asarray(scaler.scale_))


@torch.no_grad()
def read_words(classifier: Classifier, prefixes: Prefixes) -> Words:
    """Return the hidden states after the words from the subject on, as far as probes go.

    Args:
        classifier: Its dropout is not applied.
        prefixes: A sample: all these states are kept, up to 12 words of each.
    """
    parts = []
    for batch in ExactLengthBatches(prefixes, 1024):
        layers = trajectories(classifier.recurrence, classifier.embedding(batch.inputs))
        hidden = torch.stack([layer.hidden for layer in layers], dim=2)
        after = prefixes.after_subject(batch)
        last = torch.zeros_like(after, dtype=torch.bool)
        last[:, -1] = True
        wanted = (after >= 0) & ((after <= FARTHEST) | last)
        item = batch.rows.unsqueeze(1).expand_as(after)
        parts.append([each[wanted].cpu().numpy() for each in (item, after, last, hidden.double())])
    return Words(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def probes(
    classifier: Classifier,
    halves: tuple[Prefixes, Prefixes],
    types: tuple[Ints, Ints],
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Probe every layer for the number of the subject, at each word from it on.

    Beside it stands the control task of Hewitt and Liang (2019, section 2): every subject word has
    a label by lot, and the same probe is to say it, scored on words that it was fitted to.

    Args:
        classifier: Its dropout is not applied.
        halves: The items to fit to, and the held-out ones.
        types: Which word each item's subject is, a number for each.
        seed: Seed of the control's labels.

    Returns:
        Tables with the columns `PROBE` and `WEIGHTS`; places where a half has fewer than 20 items
        of a number are left out.
    """
    words = [read_words(classifier, half) for half in halves]
    labels = [half.labels.cpu().numpy() for half in halves]
    lots = _lots(types, seed)
    rows, weights = [], []
    for place in [*map(str, range(FARTHEST + 1)), LAST]:
        parts = [each.part(place) for each in words]
        numbers = [its[part.item] for its, part in zip(labels, parts, strict=True)]
        kinds = [its[part.item] for its, part in zip(types, parts, strict=True)]
        if min(np.bincount(number, minlength=2).min() for number in numbers) < LEAST:
            continue
        for layer in range(parts[0].hidden.shape[1]):
            states = [part.hidden[:, layer] for part in parts]
            probe = linear_probe(states[0], numbers[0], states[1], numbers[1])
            rows.append((layer, place, *_scored(probe, numbers[1], states, kinds, lots)))
            units = zip(range(len(probe.sd)), probe.weights, probe.sd, strict=True)
            weights += [(layer, place, *unit) for unit in units]
    return _frame(rows, PROBE), _frame(weights, WEIGHTS)


def _frame(rows: list[tuple[Any, ...]], kinds: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def _lots(types: tuple[Ints, Ints], seed: int) -> npt.NDArray[np.int64]:
    """Return a label for each word, half of the words 0, once a draw."""
    several = int(max(each.max() for each in types)) + 1
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(np.arange(several) % 2) for _ in range(DRAWS)])


def _scored(
    probe: Probe,
    numbers: Ints,
    states: list[npt.NDArray[np.float64]],
    types: list[Ints],
    lots: npt.NDArray[np.int64],
) -> tuple[int | float, ...]:
    """Return the numbers of a row from n on."""
    n, right = len(numbers), int(probe.right.sum())
    known = np.isin(types[1], types[0])
    shares = []
    for lot in lots:
        labels = lot[types[0]]
        if known.any() and 0 < labels.mean() < 1:
            control = linear_probe(states[0], labels, states[1][known], lot[types[1][known]])
            shares.append(control.right.mean())
    control_share = float(np.mean(shares)) if shares else np.nan
    accuracy = right / n
    seen = float(probe.right[known].mean()) if known.any() else np.nan
    majority = float(np.bincount(numbers).max() / n)
    return (
        n,
        accuracy,
        *wilson(right, n),
        majority,
        int(known.sum()),
        control_share,
        seen - control_share,
    )
