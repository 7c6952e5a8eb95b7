"""The vanishing gradient: how the log-odds depend on states long before the verb."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from memgate.arrays import Floats
from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.models.cells import Recurrence, StateName, cell_of
from memgate.models.classifier import Classifier

MAX_DISTANCE = 30
"""Words between a state and the verb up to which gradients are tabulated."""

MIN_ITEMS = 10
"""Items that a mean at a distance needs to count in a unit's rate of decay."""

DistanceSums: TypeAlias = dict[int, tuple[int, Floats]]
"""Items by distance, and the sum over them of each unit's absolute derivative."""

NORM_DTYPES = {
    "cell": "string",
    "trained": "bool",
    "state": "string",
    "layer": "int64",
    "distance": "int64",
    "n": "int64",
    "mean": "float64",
    "q10": "float64",
    "median": "float64",
    "q90": "float64",
}
"""The columns of the table of norms."""

DECAY_DTYPES = {
    "cell": "string",
    "trained": "bool",
    "state": "string",
    "layer": "int64",
    "unit": "int64",
    "distances": "int64",
    "slope": "float64",
    "half_life": "float64",
}
"""The columns of the table of units."""


class Gradients(NamedTuple):
    """Two tables of the gradient of the readout with respect to earlier states.

    Attributes:
        norms: A row a distance: cell (``rnn``, ``gru`` or ``lstm``), trained (or fresh weights),
            state (``hidden``, or the LSTM's ``cell``), layer, distance (words between that word and
            the verb; 0 is the last word read), n (items that have a word there), and over them the
            gradient's Euclidean norm over the units: mean, q10, median and q90 (quantiles).
        units: A row a unit of the memory (LSTM: the cell, else the hidden state): cell, trained,
            state, layer, unit; distances (points of the fitted line), slope (of the line through
            the natural logarithm of the mean absolute derivative, a word), half_life (words:
            −ln 2 / slope; infinite if it doesn't fall); NaN with fewer than 3 distances.
    """

    norms: pd.DataFrame
    units: pd.DataFrame


def untrained(classifier: Classifier, seed: int = 0) -> Classifier:
    """Return a classifier of the same sizes with fresh weights, as torch initialises them.

    Args:
        classifier: It stays unchanged.
        seed: Seed of the weights; the state of torch's generator stays unchanged.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Classifier(**classifier.config).eval()


def gradients(classifier: Classifier, prefixes: Prefixes, trained: bool = True) -> Gradients:
    """Measure how the log-odds after the last word depend on the states after earlier words.

    The derivative is with respect to one state. The hidden state of an LSTM acts on later words
    through the gates; its cell also acts through h = o·tanh(c) of the same word. Everything is in
    double precision on the CPU: norms of 1e-20 are common, and float32 ends at 1e-45.

    Args:
        classifier: It stays unchanged; its dropout is not applied.
        prefixes: A sample: 2,000 of 7 words on average take 0.3 s (LSTM of 100 units).
        trained: The value of the column `trained`.

    >>> import memgate
    >>> from memgate.data.sources.grammar import Grammar
    >>> from memgate.data.vocabulary import Vocabulary
    >>> grammar = Grammar(train=1, validation=1, test=200)
    >>> table = grammar.load()["test"].with_format("arrow")[:]
    >>> words = {word for text in table["text"].to_pylist() for word in text.split()}
    >>> vocabulary = Vocabulary.from_words(sorted(words))
    >>> classifier = memgate.Classifier(len(vocabulary), "gru", 4, 3)  # not trained
    >>> model = memgate.Predictor(classifier.eval(), vocabulary)
    >>> _, prefixes = model.read(table)
    >>> memgate.gradients(classifier, prefixes).norms["state"].unique().tolist()
    ['hidden']
    """
    norms, sums = _measure(classifier, prefixes)
    about = (classifier.cell, trained)
    rows = [(*about, *key, *_distribution(values)) for key, values in sorted(norms.items())]
    memory = cell_of(classifier.recurrence).memory
    units = [
        (*about, memory, layer, unit, *fit)
        for layer, by_distance in sorted(sums.items())
        for unit, fit in enumerate(_fit_decay(by_distance))
    ]
    return Gradients(
        pd.DataFrame(rows, columns=list(NORM_DTYPES)).astype(NORM_DTYPES),
        pd.DataFrame(units, columns=list(DECAY_DTYPES)).astype(DECAY_DTYPES),
    )


def _measure(
    classifier: Classifier, prefixes: Prefixes
) -> tuple[dict[tuple[StateName, int, int], Floats], dict[int, DistanceSums]]:
    """Return the norms of all items by state, layer and distance, and the sums of each layer."""
    exact = copy.deepcopy(classifier).cpu().double().eval()
    memory = cell_of(exact.recurrence).memory
    norms: dict[tuple[StateName, int, int], list[Floats]] = {}
    sums: dict[int, DistanceSums] = {}
    for batch in ExactLengthBatches(prefixes.to(torch.device("cpu")), 512):
        for state, layer, distance, values in state_gradients(exact, batch.inputs):
            norms.setdefault((state, layer, distance), []).append(values.norm(dim=1).numpy())
            if state == memory:
                by_distance = sums.setdefault(layer, {})
                n, total = by_distance.get(distance, (0, np.zeros(values.shape[1])))
                by_distance[distance] = n + len(values), total + values.abs().sum(0).numpy()
    return {key: np.concatenate(parts) for key, parts in norms.items()}, sums


def state_gradients(
    classifier: Classifier, inputs: Int[Tensor, "batch time"]
) -> Iterator[tuple[StateName, int, int, Float[Tensor, "batch units"]]]:
    """Yield the derivative of each item's log-odds with respect to each state of its last words.

    Items don't affect each other, so one backward pass of their sum gives the derivative of each.

    Yields:
        State, layer, distance (words after that word, up to 30) and the derivative.
    """
    net = classifier.recurrence
    with torch.no_grad():
        embedded = classifier.embedding(inputs)
    states = _steps(net, embedded.requires_grad_())
    top = states["hidden", net.num_layers - 1, inputs.shape[1] - 1]
    wanted = {
        (state, layer, inputs.shape[1] - 1 - time): value
        for (state, layer, time), value in states.items()
        if inputs.shape[1] - 1 - time <= MAX_DISTANCE
    }
    derivatives = torch.autograd.grad(classifier.readout(top).sum(), list(wanted.values()))
    for key, gradient in zip(wanted, derivatives, strict=True):
        yield *key, gradient


def _steps(
    net: Recurrence, inputs: Float[Tensor, "batch time features"]
) -> dict[tuple[StateName, int, int], Float[Tensor, "batch units"]]:
    """Return every state by layer and time, computed with torch's kernels of one step.

    The fused kernel of a whole sequence is one node of the graph, so autograd gives no gradient
    with respect to the states inside it.
    """
    cell_of(net)
    zero = inputs.new_zeros(len(inputs), net.hidden_size)
    states: dict[tuple[StateName, int, int], Tensor] = {}
    below = list(inputs.unbind(1))
    for layer in range(net.num_layers):
        names = [f"{name}_l{layer}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        weights: list[Any] = [getattr(net, name, None) for name in names]
        hidden, cell = zero, zero
        for time, word in enumerate(below):
            if net.mode == "LSTM":
                hidden, cell = torch.lstm_cell(word, (hidden, cell), *weights)
                states["cell", layer, time] = cell
            else:
                kernel = torch.gru_cell if net.mode == "GRU" else torch.rnn_tanh_cell
                hidden = kernel(word, hidden, *weights)
            states["hidden", layer, time] = below[time] = hidden
    return states


def _distribution(norms: Floats) -> tuple[int | float, ...]:
    return (len(norms), float(norms.mean()), *map(float, np.quantile(norms, [0.1, 0.5, 0.9])))


def _fit_decay(by_distance: DistanceSums) -> list[tuple[int, float, float]]:
    """Fit a line to the logarithm of each unit's mean derivative by distance."""
    distances = sorted(distance for distance, (n, _) in by_distance.items() if n >= MIN_ITEMS)
    if len(distances) < 3:
        units = len(next(iter(by_distance.values()))[1])
        return [(len(distances), np.nan, np.nan)] * units
    means = np.stack(
        [by_distance[distance][1] / by_distance[distance][0] for distance in distances]
    )
    fits = []
    for values in means.T:
        positive = values > 0  # a unit that nothing reads has no derivative
        if positive.sum() < 3:
            fits.append((int(positive.sum()), np.nan, np.nan))
            continue
        slope = float(np.polyfit(np.array(distances)[positive], np.log(values[positive]), 1)[0])
        fits.append((int(positive.sum()), slope, -np.log(2) / slope if slope < 0 else np.inf))
    return fits
