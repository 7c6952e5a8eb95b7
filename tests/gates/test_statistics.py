"""Gate statistics against NumPy on every gate at once, and by the laws of sums."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from memgate.errors import InputError
from memgate.gates.statistics import BLOCK, DTYPES, GateStatistics, gate_statistics, gate_table
from memgate.models.classifier import Cell, Classifier
from memgate.models.trajectory import Trajectory, replay

COUNTED = ["layer", "gate", "reading", "unit", "n", "below_0.1", "above_0.9"]
ROWS: dict[Cell, list[tuple[str, str | None]]] = {
    "rnn": [],
    "gru": [("reset", None), ("update", "keep"), ("update", "write")],
    "lstm": [("input", "write"), ("forget", "keep"), ("output", None)],
}


def build(cell: Cell, num_layers: int = 1, hidden_size: int = 3) -> Classifier:
    """A classifier in double whose gates reach both ends."""
    classifier = Classifier(13, cell, 2, hidden_size, num_layers).double()
    with torch.no_grad():
        for weight in classifier.recurrence.parameters():
            weight.normal_(std=2)
    return classifier


def trajectory(**gates: Tensor) -> Trajectory:
    any_gate = next(iter(gates.values()))
    return Trajectory(hidden=any_gate, cell=None, candidate=any_gate, gates=gates)


def by_numpy(classifier: Classifier, batches: list[Tensor]) -> list[list[object]]:
    """The table from every gate at every word at once."""
    net = classifier.recurrence
    with torch.no_grad():
        read = [replay(net, classifier.embedding(batch)) for batch in batches]
    rows: list[list[object]] = []
    for layer, (gate, reading) in itertools.product(range(net.num_layers), ROWS[classifier.cell]):
        words = np.concatenate([r[layer].gates[gate].flatten(0, 1).numpy() for r in read])
        if (gate, reading) == ("update", "write"):
            words = 1 - words
        for unit, values in enumerate(words.T):
            shares = [np.mean(values < 0.1), np.mean(values > 0.9)]
            rows.append(
                [layer, gate, reading, unit, len(values), values.mean(), values.std(), *shares]
            )
    return rows


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Counts are identical, means to 1e-12; a spread is a root, which turns 1e-16 into 1e-8."""
    pd.testing.assert_frame_equal(found[COUNTED], expected[COUNTED], check_exact=True)
    np.testing.assert_allclose(found["mean"], expected["mean"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["sd"], expected["sd"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_the_table_is_that_of_all_gates_at_once(cell: Cell, num_layers: int) -> None:
    torch.manual_seed(0)
    classifier = build(cell, num_layers)
    batches = [torch.randint(13, (batch, time)) for batch, time in [(40, 1), (7, 9), (1, 30)]]
    table = gate_statistics(classifier, batches)
    expected = pd.DataFrame(by_numpy(classifier, batches), columns=list(DTYPES)).astype(DTYPES)
    assert_same(table, expected)
    assert set(table["n"]) == {40 + 63 + 30}
    for share in ("below_0.1", "above_0.9"):
        assert table[share].between(0.05, 0.95).any(), "the case should reach both ends"


@settings(deadline=None)  # an example takes milliseconds, on busy cores now and then more
@given(data=st.data(), cell=st.sampled_from(sorted(ROWS)), num_layers=st.integers(1, 2))
def test_no_split_of_the_data_changes_the_table(
    data: st.DataObject, cell: Cell, num_layers: int
) -> None:
    torch.manual_seed(data.draw(st.integers(0, 2**32)))
    classifier = build(cell, num_layers)
    shapes = data.draw(
        st.lists(st.tuples(st.integers(1, 8), st.integers(1, 5)), min_size=1, max_size=4)
    )
    batches = [torch.randint(13, shape) for shape in shapes]
    parts = [
        part
        for batch in batches
        for part in torch.split(batch, data.draw(st.integers(1, len(batch))))
    ]
    shuffled = data.draw(st.permutations(parts))
    assert_same(gate_statistics(classifier, shuffled), gate_statistics(classifier, batches))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_large_batch_is_read_in_blocks(cell: Cell) -> None:
    torch.manual_seed(0)
    classifier = build(cell, hidden_size=64)
    batch = torch.randint(13, (450, 20))
    assert batch.numel() * 64 > 2 * BLOCK
    apart = [*torch.split(batch, 100)]
    assert_same(gate_statistics(classifier, [batch]), gate_statistics(classifier, apart))


def test_processes_add_up() -> None:
    torch.manual_seed(0)
    net = build("gru", num_layers=2).recurrence
    blocks = [torch.randn(batch, 4, 2, dtype=torch.float64) for batch in (1, 5, 3)]
    whole, one, other = (GateStatistics(net) for _ in range(3))
    for block in blocks:
        whole.update(replay(net, block))
    one.update(replay(net, blocks[0]))
    for block in blocks[1:]:
        other.update(replay(net, block))
    one.merge_state(other)
    assert_same(one.compute(), whole.compute())
    whole.reset()
    other.reset()
    other.update(replay(net, blocks[2]))
    whole.update(replay(net, blocks[2]))
    assert_same(whole.compute(), other.compute())


def test_readings_of_a_constant_gru_by_hand() -> None:
    """All weights zero: the gates are σ(b), the same at every word."""
    classifier = Classifier(13, "gru", 2, 2)
    with torch.no_grad():
        for weight in classifier.recurrence.parameters():
            weight.zero_()
        # r = 0.5, 0.05 and z = 0.95, 0.75
        p = torch.tensor([0.5, 0.05, 0.95, 0.75])
        classifier.recurrence.get_parameter("bias_ih_l0")[:4] = torch.logit(p)
    table = gate_statistics(classifier, [torch.zeros(3, 4, dtype=torch.int64)])
    expected = [
        ("reset", None, 0, 0.5, 0.0, 0.0),
        ("reset", None, 1, 0.05, 1.0, 0.0),
        ("update", "keep", 0, 0.95, 0.0, 1.0),
        ("update", "keep", 1, 0.75, 0.0, 0.0),
        ("update", "write", 0, 0.05, 1.0, 0.0),
        ("update", "write", 1, 0.25, 0.0, 0.0),
    ]
    for row, (gate, reading, unit, mean, below, above) in zip(
        table.to_dict("records"), expected, strict=True
    ):
        assert (row["layer"], row["gate"], row["unit"], row["n"]) == (0, gate, unit, 12)
        assert pd.isna(row["reading"]) if reading is None else row["reading"] == reading
        assert (row["below_0.1"], row["above_0.9"]) == (below, above)
        assert row["mean"] == pytest.approx(mean, abs=1e-7)
        assert row["sd"] == pytest.approx(0, abs=1e-7)


def test_the_ends_are_strict() -> None:
    net = Classifier(13, "gru", 2, 1).recurrence
    values = torch.tensor([0.1, 0.9, 0.0999, 0.9001, 0.5], dtype=torch.float64).view(5, 1, 1)
    statistics = GateStatistics(net)
    statistics.update([trajectory(reset=values, update=values)])
    table = statistics.compute()
    assert table["below_0.1"].tolist() == [0.2, 0.2, 0.2]
    assert table["above_0.9"].tolist() == [0.2, 0.2, 0.2]


def test_float32_gates_are_summed_in_float64() -> None:
    """A float32 sum of 2^20 values near 0.9 is off by more than 1e-8."""
    torch.manual_seed(0)
    values = 0.9 + 1e-3 * torch.randn(2**10, 2**10, 1)
    statistics = GateStatistics(Classifier(13, "gru", 2, 1).recurrence)
    statistics.update([trajectory(reset=values, update=values)])
    table = statistics.compute()
    exact = values.double().numpy()
    np.testing.assert_allclose(table["mean"][:2], exact.mean(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(table["mean"][2], (1 - exact).mean(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(table["sd"], exact.std(), rtol=0, atol=1e-12)


def test_a_gate_that_never_moves_has_no_spread() -> None:
    """Where rounding leaves the variance below zero, too."""
    values = torch.linspace(0.01, 0.99, 99, dtype=torch.float64).expand(1, 7, 99)
    statistics = GateStatistics(Classifier(13, "gru", 2, 99).recurrence)
    statistics.update([trajectory(reset=values, update=values)])
    assert statistics.compute()["sd"].between(0, 3e-8).all()


@pytest.mark.parametrize("num_layers", [1, 2])
def test_an_rnn_has_an_empty_table_with_the_same_columns(num_layers: int) -> None:
    torch.manual_seed(0)
    batches = [torch.randint(13, (2, 3))]
    table = gate_statistics(build("rnn", num_layers), batches)
    assert len(table) == 0
    assert table.dtypes.equals(gate_statistics(build("gru"), batches).dtypes)
    assert list(table.columns) == list(DTYPES)


def test_reading_leaves_the_classifier_and_the_trajectories_as_they_were() -> None:
    torch.manual_seed(0)
    classifier = Classifier(13, "gru", 2, 3, num_layers=2, dropout=0.5).double().train()
    weights = {name: value.clone() for name, value in classifier.state_dict().items()}
    batch = torch.randint(13, (4, 5))
    first, second = (gate_statistics(classifier, [batch]) for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)  # so no dropout either
    assert classifier.training
    assert all(torch.equal(weights[name], value) for name, value in classifier.state_dict().items())

    layers = replay(classifier.recurrence, classifier.embedding(batch).detach())
    gates = [{name: gate.clone() for name, gate in layer.gates.items()} for layer in layers]
    GateStatistics(classifier.recurrence).update(layers)
    for layer, kept in zip(layers, gates, strict=True):
        assert all(torch.equal(layer.gates[name], gate) for name, gate in kept.items())


def test_shares_of_nothing_are_null() -> None:
    sums = torch.zeros(1, 2, 1, dtype=torch.float64)
    table = gate_table(("reset", "update"), 0, sums, sums, sums.long(), sums.long())
    assert table["n"].tolist() == [0, 0, 0]
    assert table[["mean", "sd", "below_0.1", "above_0.9"]].isna().all(axis=None)


def test_refuses_trajectories_of_another_depth() -> None:
    statistics = GateStatistics(Classifier(13, "gru", 2, 1, num_layers=2).recurrence)
    half = torch.full((1, 1, 1), 0.5)
    with pytest.raises(InputError, match="expected 2 layers, got 1"):
        statistics.update([trajectory(reset=half, update=half)])


def test_refuses_no_batches_and_empty_prefixes() -> None:
    classifier = build("lstm")
    with pytest.raises(InputError, match="expected at least one batch of prefixes, got none"):
        gate_statistics(classifier, [])
    with pytest.raises(InputError, match="a time of at least 1"):
        gate_statistics(classifier, [torch.zeros(2, 0, dtype=torch.int64)])
