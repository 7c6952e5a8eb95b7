"""What is looked up is what `torch.nn` makes of the words' vectors."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from memgate.errors import InputError
from memgate.models import trajectory
from memgate.models.cells import Recurrence
from memgate.models.trajectory import Lookup, replay

KINDS: tuple[type[Recurrence], ...] = (nn.RNN, nn.GRU, nn.LSTM)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("largest", [0, trajectory.LARGEST_TABLE])
def test_trajectories_are_those_of_the_vectors(
    kind: type[Recurrence], bias: bool, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of more words than the table may have, which it then does without."""
    monkeypatch.setattr(trajectory, "LARGEST_TABLE", largest)
    torch.manual_seed(0)
    net = kind(3, 4, num_layers=2, bias=bias, batch_first=True).double()
    vectors, forms = torch.randn(9, 3, dtype=torch.float64), torch.randint(9, (5, 6))
    looked_up = Lookup(net, vectors)
    found = [looked_up.trajectories(forms) for _ in range(2)][1]  # the table isn't used up
    for one, other in zip(found, replay(net, vectors[forms]), strict=True):
        torch.testing.assert_close(one.hidden, other.hidden, rtol=0, atol=1e-12)
        torch.testing.assert_close(one.candidate, other.candidate, rtol=0, atol=1e-12)
        torch.testing.assert_close(one.gates, other.gates, rtol=0, atol=1e-12)
    torch.testing.assert_close(found[-1].hidden, net(vectors[forms])[0], rtol=0, atol=1e-12)


def test_refuses_what_does_not_fit() -> None:
    net = nn.GRU(3, 4, batch_first=True)
    with pytest.raises(InputError, match=r"^inputs: expected shape \(batch, time, 3\)"):
        Lookup(net, torch.zeros(9, 2))
    with pytest.raises(InputError, match="a time of at least 1"):
        Lookup(net, torch.zeros(9, 3)).trajectories(torch.zeros(2, 0, dtype=torch.int64))
