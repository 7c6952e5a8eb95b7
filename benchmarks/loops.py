"""Gates as others read them: a Python loop over the words, gates appended to lists and stacked.

So do diagNNose (Jumelet 2020, ``models/recurrent_lm.py``) and neuralhydrology (Kratzert et al.
2022, ``modelzoo/customlstm.py``). They would also pad; here they get rectangles.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from memgate.models.cells import Recurrence

Inputs = Float[Tensor, "batch time features"]
Gates = dict[str, Float[Tensor, "batch time units"]]
_Weights = tuple[Tensor, Tensor, Tensor, Tensor]


def stacked_gates(net: Recurrence, inputs: Inputs) -> Gates:
    """Return every gate of a recurrence of one layer, and ``hidden``.

    Args:
        net: As for `stacked`.
        inputs: As for `stacked`.
    """
    return stacked(net, inputs, ("reset", "update", "input", "forget", "output", "hidden"))


def stacked(net: Recurrence, inputs: Inputs, names: Collection[str]) -> Gates:
    """Return quantities of a recurrence of one layer.

    Args:
        net: An LSTM or a GRU of one layer, ``batch_first``.
        inputs: Word vectors, every sentence of the same length.
        names: Gates, ``candidate``, ``cell`` and ``hidden``; what the network lacks is left out.
    """
    w_ih, w_hh, b_ih, b_hh = net.parameters()
    weights = (w_ih, w_hh, b_ih, b_hh)  # torch's order
    hidden = cell = inputs.new_zeros(len(inputs), net.hidden_size)
    values: dict[str, list[Tensor]] = {}
    for word in inputs.unbind(1):
        if net.mode == "LSTM":
            hidden, cell, step = _lstm(weights, word, hidden, cell)
        else:
            hidden, step = _gru(weights, word, hidden)
        for name, value in {**step, "hidden": hidden}.items():
            if name in names:
                values.setdefault(name, []).append(value)
    return {name: torch.stack(listed, dim=1) for name, listed in values.items()}


def _lstm(
    weights: _Weights, word: Tensor, hidden: Tensor, cell: Tensor
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    w_ih, w_hh, b_ih, b_hh = weights
    sums = functional.linear(word, w_ih, b_ih) + functional.linear(hidden, w_hh, b_hh)
    enter, forget, candidate, output = sums.chunk(4, dim=1)
    gates = {
        "input": torch.sigmoid(enter),
        "forget": torch.sigmoid(forget),
        "output": torch.sigmoid(output),
    }
    new = torch.tanh(candidate)
    cell = gates["forget"] * cell + gates["input"] * new
    return gates["output"] * torch.tanh(cell), cell, {**gates, "candidate": new, "cell": cell}


def _gru(weights: _Weights, word: Tensor, hidden: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    w_ih, w_hh, b_ih, b_hh = weights
    x_reset, x_update, x_new = functional.linear(word, w_ih, b_ih).chunk(3, dim=1)
    h_reset, h_update, h_new = functional.linear(hidden, w_hh, b_hh).chunk(3, dim=1)
    reset, update = torch.sigmoid(x_reset + h_reset), torch.sigmoid(x_update + h_update)
    candidate = torch.tanh(x_new + reset * h_new)
    step = {"reset": reset, "update": update, "candidate": candidate}
    return (1 - update) * candidate + update * hidden, step
