"""The vanishing gradient, measured: what a state long before the verb still does to the answer."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.models.cells import Recurrence, cell_of
from memgate.models.classifier import Classifier

FARTHEST = 30
"""Words between a word and the verb up to which gradients are tabulated."""

LEAST = 10
"""Items that a mean at a distance needs to count in a unit's rate of decay."""

State = Literal["hidden", "cell"]
Floats: TypeAlias = npt.NDArray[np.float64]
Sums: TypeAlias = dict[int, tuple[int, Floats]]
"""Items by distance, and the sum over them of each unit's absolute derivative."""

NORMS = {
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

DECAY = {
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
            the verb, 0 the last one read), n (items that have a word there), and over them the
            gradient's Euclidean norm over the units: mean, q10, median and q90 (quantiles).
        units: A row a unit of the memory (LSTM: the cell, else the hidden state): cell, trained,
            state, layer, unit; distances (how many its line goes through), slope (of the line
            through the natural logarithm of the mean absolute derivative, a word), half_life
            (words: −ln 2 / slope; infinite where it doesn't fall); NaN of fewer than 3 distances.
    """

    norms: pd.DataFrame
    units: pd.DataFrame


def untrained(classifier: Classifier, seed: int = 0) -> Classifier:
    """Return a classifier of the same sizes with fresh weights, as torch draws them.

    Args:
        classifier: It is left as it was.
        seed: Seed of the weights; the state of torch's own generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Classifier(**classifier.config).eval()


def gradients(classifier: Classifier, prefixes: Prefixes, trained: bool = True) -> Gradients:
    """Measure how the log-odds after the last word change with the states after earlier ones.

    The derivative is with respect to the state alone: the LSTM's hidden state acts on what follows
    through the gates, its cell through h = o·tanh(c) of its own word too. All is computed in double
    precision, on the CPU: norms of 1e-20 are no rare thing, and float32 ends at 1e-45.

    Args:
        classifier: It is left as it was; its dropout is not applied.
        prefixes: A sample: 2,000 of 7 words on average take 0.3 s (LSTM of 100 units).
        trained: What the tables say of it.

    Raises:
        InputError: The recurrence is of a kind that `cell_of` refuses.
    """
    norms, sums = _measured(classifier, prefixes)
    about = (classifier.cell, trained)
    rows = [(*about, *key, *_spread(values)) for key, values in sorted(norms.items())]
    memory = cell_of(classifier.recurrence).memory
    units = [
        (*about, memory, layer, unit, *fit)
        for layer, places in sorted(sums.items())
        for unit, fit in enumerate(_lines(places))
    ]
    return Gradients(
        pd.DataFrame(rows, columns=list(NORMS)).astype(NORMS),
        pd.DataFrame(units, columns=list(DECAY)).astype(DECAY),
    )


def _measured(
    classifier: Classifier, prefixes: Prefixes
) -> tuple[dict[tuple[State, int, int], Floats], dict[int, Sums]]:
    """Return the norms of all items by state, layer and distance, and the sums of each layer."""
    exact = copy.deepcopy(classifier).cpu().double().eval()
    memory = cell_of(exact.recurrence).memory
    norms: dict[tuple[State, int, int], list[Floats]] = {}
    sums: dict[int, Sums] = {}
    for batch in ExactLengthBatches(prefixes.to(torch.device("cpu")), 512):
        for state, layer, distance, values in state_gradients(exact, batch.inputs):
            norms.setdefault((state, layer, distance), []).append(values.norm(dim=1).numpy())
            if state == memory:
                places = sums.setdefault(layer, {})
                n, total = places.get(distance, (0, np.zeros(values.shape[1])))
                places[distance] = n + len(values), total + values.abs().sum(0).numpy()
    return {key: np.concatenate(parts) for key, parts in norms.items()}, sums


def state_gradients(
    classifier: Classifier, inputs: Int[Tensor, "batch time"]
) -> Iterator[tuple[State, int, int, Float[Tensor, "batch units"]]]:
    """Yield the derivative of each item's log-odds with respect to each state of its last words.

    Items don't touch one another, so one backward pass of their sum gives each its own.

    Args:
        classifier: Its dropout is not applied.
        inputs: Token ids of prefixes of one length.

    Yields:
        State, layer, distance (words behind that word, up to 30) and the derivative.
    """
    net = classifier.recurrence
    with torch.no_grad():
        embedded = classifier.embedding(inputs)
    made = _steps(net, embedded.requires_grad_())
    top = made["hidden", net.num_layers - 1, inputs.shape[1] - 1]
    wanted = {
        (state, layer, inputs.shape[1] - 1 - time): value
        for (state, layer, time), value in made.items()
        if inputs.shape[1] - 1 - time <= FARTHEST
    }
    found = torch.autograd.grad(classifier.readout(top).sum(), list(wanted.values()))
    for key, gradient in zip(wanted, found, strict=True):
        yield *key, gradient


def _steps(
    net: Recurrence, inputs: Float[Tensor, "batch time features"]
) -> dict[tuple[State, int, int], Float[Tensor, "batch units"]]:
    """Walk the words with the kernels of torch's cells, and return every state by layer and time.

    The fused kernel of a whole sequence gives the states too, but is one node of the graph: no
    gradient can be asked for in its midst.
    """
    cell_of(net)
    zero = inputs.new_zeros(len(inputs), net.hidden_size)
    made: dict[tuple[State, int, int], Tensor] = {}
    below = list(inputs.unbind(1))
    for layer in range(net.num_layers):
        names = [f"{name}_l{layer}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        weights: list[Any] = [getattr(net, name, None) for name in names]
        hidden, cell = zero, zero
        for time, word in enumerate(below):
            if net.mode == "LSTM":
                hidden, cell = torch.lstm_cell(word, (hidden, cell), *weights)
                made["cell", layer, time] = cell
            else:
                kernel = torch.gru_cell if net.mode == "GRU" else torch.rnn_tanh_cell
                hidden = kernel(word, hidden, *weights)
            made["hidden", layer, time] = below[time] = hidden
    return made


def _spread(norms: Floats) -> tuple[int | float, ...]:
    return (len(norms), float(norms.mean()), *map(float, np.quantile(norms, [0.1, 0.5, 0.9])))


def _lines(places: Sums) -> list[tuple[int, float, float]]:
    """Fit a line to the logarithm of each unit's mean derivative by distance."""
    distances = sorted(distance for distance, (n, _) in places.items() if n >= LEAST)
    if len(distances) < 3:
        units = len(next(iter(places.values()))[1])
        return [(len(distances), np.nan, np.nan)] * units
    means = np.stack([places[distance][1] / places[distance][0] for distance in distances])
    fits = []
    for values in means.T:
        known = values > 0  # a unit that nothing reads has no derivative
        if known.sum() < 3:
            fits.append((int(known.sum()), np.nan, np.nan))
            continue
        slope = float(np.polyfit(np.array(distances)[known], np.log(values[known]), 1)[0])
        fits.append((int(known.sum()), slope, -np.log(2) / slope if slope < 0 else np.inf))
    return fits
