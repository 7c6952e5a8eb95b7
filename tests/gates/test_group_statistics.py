"""`gate_statistics` against NumPy, by its laws, and against the statistics of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import memgate
from memgate.errors import InputError
from memgate.gates.trace import Trace
from memgate.models.cells import Recurrence

LENGTHS = [7, 3, 5, 1]
ROLES = [["a", "b", "a", "a", "c", "b", "a"], ["b", "a", "b"], ["c"] * 5, ["a"]]


def traced(kind: type[Recurrence] = nn.LSTM, **options: Any) -> Trace:
    torch.manual_seed(0)
    net = kind(3, 4, 2, batch_first=True, **options)
    with torch.no_grad():
        for weight in net.parameters():
            weight.normal_(std=1.5)
        return memgate.trace(net, torch.randn(4, 7, 3), LENGTHS)


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_every_row_is_that_of_numpy(kind: type[Recurrence], bidirectional: bool) -> None:
    trace = traced(kind, bidirectional=bidirectional, dtype=torch.float32)
    table = memgate.gate_statistics(trace, ROLES)
    groups = np.full((4, 7), "", dtype=object)
    for sentence, labels in enumerate(ROLES):
        groups[sentence, : len(labels)] = labels
    assert set(table["group"]) == {"all", "a", "b", "c"}
    assert set(table["direction"]) == ({"forward", "reverse"} if bidirectional else {"forward"})
    # three readings or gates of a GRU as of an LSTM, four groups, four units, two layers
    assert len(table) == 3 * 4 * 4 * 2 * trace.directions
    for row in table.to_dict("records"):
        index = row["layer"] * trace.directions + (row["direction"] == "reverse")
        known = isinstance(row["reading"], str)
        source = getattr(trace, row["reading"]) if known else trace.gates[row["gate"]]
        real = groups != "" if row["group"] == "all" else groups == row["group"]
        values = source[index, ..., row["unit"]].double().numpy()[real]
        assert row["n"] == len(values)
        assert row["mean"] == pytest.approx(values.mean(), abs=1e-7)
        assert row["sd"] == pytest.approx(values.std(), abs=1e-6)
        assert row["below_0.1"] == np.mean(values < 0.1)
        assert row["above_0.9"] == np.mean(values >= 0.9)
        for level in (5, 25, 50, 75, 95):
            exact = np.quantile(values, level / 100, method="inverted_cdf")
            assert row[f"q{level:02}"] == pytest.approx(exact, abs=0.01)


def test_batches_one_at_a_time_give_the_same() -> None:
    """From generators; a group that comes late counts from then on."""
    torch.manual_seed(0)
    net, inputs = nn.GRU(3, 4, batch_first=True).double(), torch.randn(6, 5, 3).double()
    labels = np.array([["x"] * 5] * 4 + [["y"] * 5] * 2)
    whole = memgate.gate_statistics(memgate.trace(net, inputs), labels)
    batches = inputs[:2], inputs[2:4], inputs[4:]
    parts = memgate.gate_statistics(
        (memgate.trace(net, batch) for batch in batches), iter(np.split(labels, 3))
    )
    pd.testing.assert_frame_equal(whole, parts, rtol=0, atol=1e-12)
    called = memgate.gate_statistics(memgate.trace(net, inputs), lambda trace: labels)
    pd.testing.assert_frame_equal(whole, called)


def test_without_groups_there_is_one_row_a_unit() -> None:
    table = memgate.gate_statistics(traced())
    assert set(table["group"]) == {"all"}
    assert set(table["n"]) == {sum(LENGTHS)}
    by_tensor = memgate.gate_statistics(traced(), torch.zeros(4, 7, dtype=torch.int64))
    both = by_tensor[by_tensor["group"] == "0"].reset_index(drop=True)
    pd.testing.assert_frame_equal(both.drop(columns="group"), table.drop(columns="group"))


def test_half_precision_is_read_in_single() -> None:
    table = memgate.gate_statistics(
        memgate.trace(nn.GRU(3, 4).bfloat16(), torch.randn(5, 2, 3).bfloat16())
    )
    assert table["mean"].between(0, 1).all()


def nan_trace() -> Trace:
    return memgate.trace(nn.GRU(3, 4), torch.full((5, 2, 3), torch.nan))


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: memgate.gate_statistics([]), "traces: expected one at least, got none"),
    (
        lambda: memgate.gate_statistics(memgate.trace(nn.RNN(3, 4), torch.zeros(5, 2, 3))),
        "expected traces of a GRU or an LSTM; an RNN has no gates",
    ),
    (
        lambda: memgate.gate_statistics([traced(nn.GRU), traced(nn.LSTM)]),
        "traces: expected all of one recurrence",
    ),
    (lambda: memgate.gate_statistics(nan_trace()), "gates: expected numbers, got NaN"),
    (
        lambda: memgate.gate_statistics(traced(), [["a"] * 7] * 4),
        r"groups: expected a label a word, rows of \[7, 3, 5, 1\], got \[7, 7, 7, 7\]",
    ),
    (
        lambda: memgate.gate_statistics(traced(), torch.zeros(7, 4)),
        r"groups: expected shape \(4, 7\), got \(7, 4\)",
    ),
    (
        lambda: memgate.gate_statistics(traced(), np.full((4, 7), "all")),
        "groups: expected other labels than 'all'",
    ),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refuses_in_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)
