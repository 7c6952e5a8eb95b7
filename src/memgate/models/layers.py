"""The parameters of a recurrence, by layer and direction: `layers_of`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from torch import Tensor, nn

from memgate.models.cells import EQUATIONS, Cell, Recurrence, StepModule, mode_of

PARAMETERS = ("w_ih", "w_hh", "b_ih", "b_hh", "w_hr")
"""The parameters of a `Layer`, in torch's order."""


class Layer(NamedTuple):
    """One direction of one layer: its equations and its parameters, not copies."""

    mode: str
    """That of `memgate.models.cells.EQUATIONS`."""
    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None
    b_hh: Tensor | None
    w_hr: Tensor | None
    reverse: bool
    """Whether it reads the last word first."""

    @property
    def cell(self) -> Cell:
        """The equations."""
        return EQUATIONS[self.mode]

    @property
    def units(self) -> int:
        """Number of units: of values of each gate."""
        return len(self.w_hh) // len(self.cell.parts)

    @property
    def size(self) -> int:
        """Width of the hidden state: ``proj_size``, or the number of units."""
        return self.w_hh.shape[1]

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters that it has, in torch's order."""
        values = (getattr(self, name) for name in PARAMETERS)
        return [value for value in values if value is not None]

    def with_parameters(self, parameters: Iterator[Tensor]) -> Layer:
        """Return the layer with other tensors in the place of its parameters."""
        names = [name for name in PARAMETERS if getattr(self, name) is not None]
        others: dict[str, Any] = {name: next(parameters) for name in names}
        return self._replace(**others)


Levels: TypeAlias = list[tuple[Layer, ...]]
"""The layers from the lowest up: of each its forward direction, then the reverse one if it has it.

An index counts them in this order, as the first dimension of torch's h_n does.
"""


def layers_of(net: Recurrence | StepModule) -> Levels:
    """Return the layers of a recurrence; a cell is one layer.

    Parameters with a parametrization, such as weight normalisation, are computed once, here.
    """
    mode = mode_of(net)
    if isinstance(net, nn.RNNCell | nn.GRUCell | nn.LSTMCell):
        return [(_layer(net, mode, "", reverse=False),)]
    suffixes = ("", "_reverse") if net.bidirectional else ("",)
    return [
        tuple(_layer(net, mode, f"_l{layer}{suffix}", reverse=bool(suffix)) for suffix in suffixes)
        for layer in range(net.num_layers)
    ]


def _layer(net: nn.Module, mode: str, ending: str, *, reverse: bool) -> Layer:
    return Layer(
        mode,
        getattr(net, f"weight_ih{ending}"),
        getattr(net, f"weight_hh{ending}"),
        getattr(net, f"bias_ih{ending}", None),
        getattr(net, f"bias_hh{ending}", None),
        getattr(net, f"weight_hr{ending}", None),
        reverse,
    )
