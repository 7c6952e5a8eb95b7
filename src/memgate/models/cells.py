"""The step equations of `torch.nn`'s RNN, GRU and LSTM, written once, with every gate named."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

Recurrence = nn.RNN | nn.GRU | nn.LSTM
StepModule = nn.RNNCell | nn.GRUCell | nn.LSTMCell
Quantity = Literal[
    "reset", "update", "input", "forget", "output", "recurrent_input", "candidate", "cell", "hidden"
]
StateName = Literal["cell", "hidden"]
Reading = Literal["keep", "write"]
State = Float[Tensor, "*words units"]
Projection = Float[Tensor, "_ units"]

READINGS: Mapping[str, Mapping[Reading, bool]] = {
    "reset": {},
    "update": {"keep": False, "write": True},
    "input": {"write": False},
    "forget": {"keep": False},
    "output": {},
}
"""How torch's gates read: as keep, write, both or neither; True where the reading is 1 - gate.

torch's GRU keeps with its update gate, h' = (1-z)·n + z·h: so do Cho et al. (2014, equation 7),
while the update gate of Chung et al. (2014, section 3.2) and Ng's Γu write.
"""


@runtime_checkable
class Compute(Protocol):
    """Computes one quantity of a step, stores and edits it; the step goes on with the result."""

    def __call__(
        self, name: Quantity, function: Callable[..., Tensor], /, *operands: Tensor
    ) -> Tensor:
        """Return ``function(*operands)``, or what an edit makes of it.

        Args:
            name: The quantity.
            function: Accepts ``out=``, a tensor to write to.
            operands: Its arguments.
        """
        ...


@runtime_checkable
class Cell(Protocol):
    """The equations of one kind of recurrence, a step in three stages of any leading shape.

    `read` needs only x_t and h_{t-1}, so where every h is known it runs over all words at once;
    `remember` carries the memory past the word, elementwise; `expose` makes the hidden state of it.
    Pre-activations have no name, except ``recurrent_input``, the words before in the candidate: so
    an edit can cut that path (Levy et al. 2018).
    """

    @property
    def gates(self) -> tuple[Quantity, ...]:
        """The names of the gates, each a number in (0, 1), in torch's order."""
        ...

    @property
    def memory(self) -> StateName:
        """The quantity that goes from word to word, elementwise."""
        ...

    @property
    def parts(self) -> tuple[int, ...]:
        """The index of the part of torch's weights for each gate, and last for the candidate."""
        ...

    def read(
        self, sums: Sequence[State], offered: State, recurrent: State, compute: Compute, /
    ) -> dict[Quantity, State]:
        """Return the gates and the candidate by name.

        Args:
            sums: W_ih·x_t + b_ih + W_hh·h_{t-1} + b_hh for each of `gates`; may be overwritten.
            offered: W_ih·x_t + b_ih for the candidate; may be overwritten.
            recurrent: W_hh·h_{t-1} + b_hh for the candidate.
            compute: Computes each quantity.
        """
        ...

    def remember(self, step: Mapping[Quantity, State], memory: State, compute: Compute, /) -> State:
        """Return the memory after the word, from that before it and what `read` returned."""
        ...

    def expose(
        self,
        step: Mapping[Quantity, State],
        memory: State,
        compute: Compute,
        projection: Projection | None = None,
        /,
    ) -> Float[Tensor, "*words _"]:
        """Return the hidden state after the word, from the memory after it.

        Args:
            step: What `read` returned.
            memory: After the word.
            compute: Computes the hidden state.
            projection: W_hr of an LSTM with ``proj_size``.
        """
        ...


class RNN:
    """Elman (1990): h' = f(W_ih·x + b_ih + W_hh·h + b_hh), f = tanh or ReLU. It has no gates.

    Args:
        of_sum: f of the sum of two operands.
    """

    gates: tuple[Quantity, ...] = ()
    memory: StateName = "hidden"
    parts: tuple[int, ...] = (0,)

    def __init__(self, of_sum: Callable[..., Tensor]) -> None:
        self._of_sum = of_sum

    def read(
        self, _sums: Sequence[State], offered: State, recurrent: State, compute: Compute, /
    ) -> dict[Quantity, State]:
        """Return the candidate."""
        recurrent_input = compute("recurrent_input", _same, recurrent)
        return {"candidate": compute("candidate", self._of_sum, offered, recurrent_input)}

    def remember(
        self, step: Mapping[Quantity, State], _memory: State, compute: Compute, /
    ) -> State:
        """Return h' = n: nothing is kept."""
        return compute("hidden", _same, step["candidate"])

    def expose(
        self,
        _step: Mapping[Quantity, State],
        memory: State,
        _compute: Compute,
        _projection: Projection | None = None,
        /,
    ) -> State:
        """Return the memory, which is the hidden state."""
        return memory


class GRU:
    """Cho et al. (2014), as in torch: the reset gate acts after the recurrent product.

    r = σ(x_r + h_r), z = σ(x_z + h_z), n = tanh(x_n + r·h_n), h' = (1-z)·n + z·h, where x_* and h_*
    are the input and the recurrent parts, each with its bias.
    """

    gates: tuple[Quantity, ...] = ("reset", "update")
    memory: StateName = "hidden"
    parts: tuple[int, ...] = (0, 1, 2)

    def read(
        self, sums: Sequence[State], offered: State, recurrent: State, compute: Compute, /
    ) -> dict[Quantity, State]:
        """Return r, z and n."""
        reset, update = (
            compute(gate, torch.sigmoid, total)
            for gate, total in zip(self.gates, sums, strict=True)
        )
        recurrent_input = compute("recurrent_input", torch.mul, reset, recurrent)
        candidate = compute("candidate", _tanh_of_sum, offered, recurrent_input)
        return {"reset": reset, "update": update, "candidate": candidate}

    def remember(self, step: Mapping[Quantity, State], memory: State, compute: Compute, /) -> State:
        """Return h' = (1-z)·n + z·h; exactly h if z is 1."""
        return compute("hidden", torch.lerp, step["candidate"], memory, step["update"])

    def expose(
        self,
        _step: Mapping[Quantity, State],
        memory: State,
        _compute: Compute,
        _projection: Projection | None = None,
        /,
    ) -> State:
        """Return the memory, which is the hidden state."""
        return memory


class LSTM:
    """Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000).

    i, f, o = σ(x_* + h_*), g = tanh(x_g + h_g), c' = f·c + i·g, h' = o·tanh(c'), with no peepholes.
    g is the candidate. torch stacks the parts in the order i, f, g, o. With ``proj_size`` the
    hidden state is projected: h' = W_hr·(o·tanh(c')) (Sak et al. 2014).
    """

    gates: tuple[Quantity, ...] = ("input", "forget", "output")
    memory: StateName = "cell"
    parts: tuple[int, ...] = (0, 1, 3, 2)

    def read(
        self, sums: Sequence[State], offered: State, recurrent: State, compute: Compute, /
    ) -> dict[Quantity, State]:
        """Return i, f, o and g."""
        enter, forget, output = (
            compute(gate, torch.sigmoid, total)
            for gate, total in zip(self.gates, sums, strict=True)
        )
        recurrent_input = compute("recurrent_input", _same, recurrent)
        candidate = compute("candidate", _tanh_of_sum, offered, recurrent_input)
        return {"input": enter, "forget": forget, "output": output, "candidate": candidate}

    def remember(self, step: Mapping[Quantity, State], memory: State, compute: Compute, /) -> State:
        """Return c' = f·c + i·g."""
        kept = step["forget"] * memory
        return compute("cell", torch.addcmul, kept, step["input"], step["candidate"])

    def expose(
        self,
        step: Mapping[Quantity, State],
        memory: State,
        compute: Compute,
        projection: Projection | None = None,
        /,
    ) -> Float[Tensor, "*words _"]:
        """Return h' = o·tanh(c'), or W_hr·(o·tanh(c'))."""
        squashed = torch.tanh(memory)
        if projection is None:
            return compute("hidden", torch.mul, step["output"], squashed)
        return compute("hidden", torch.matmul, step["output"] * squashed, projection.T)


def cell_of(net: Recurrence | StepModule) -> Cell:
    """Return the equations of a recurrence of `torch.nn`, or of one of its cells."""
    return EQUATIONS[mode_of(net)]


def mode_of(net: Recurrence | StepModule) -> str:
    """Return the ``mode`` of a recurrence, or that of the recurrence that repeats a cell."""
    if isinstance(net, nn.RNNCell):
        return f"RNN_{net.nonlinearity.upper()}"
    if isinstance(net, nn.GRUCell):
        return "GRU"
    return "LSTM" if isinstance(net, nn.LSTMCell) else str(net.mode)


def _same(value: State, *, out: State | None = None) -> State:
    return value if out is None else out.copy_(value)


def _tanh_of_sum(one: State, other: State, *, out: State | None = None) -> State:
    return torch.tanh(one + other) if out is None else torch.add(one, other, out=out).tanh_()


def _relu_of_sum(one: State, other: State, *, out: State | None = None) -> State:
    return torch.relu(one + other) if out is None else torch.add(one, other, out=out).relu_()


EQUATIONS: Mapping[str, Cell] = {
    "RNN_TANH": RNN(_tanh_of_sum),
    "RNN_RELU": RNN(_relu_of_sum),
    "GRU": GRU(),
    "LSTM": LSTM(),
}
"""The equations by `torch.nn`'s ``mode``."""
