"""The state of the pass: constant in size, added up over processes; what is read in blocks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from memgate.errors import InputError
from memgate.gates.statistics import BLOCK, GateStatistics
from memgate.gates.tables import GATE_DTYPES, QUANTILES, GateTables, distance_table, gate_table
from memgate.gates.words import DISTANCES, KINDS, WordGroups
from memgate.models.classifier import CellName, Classifier
from memgate.models.trajectory import Trajectory, replay
from tests.unlabelled import gate_statistics, unknown_words

COUNTED = ["layer", "gate", "reading", "unit", "n", "below_0.1", "above_0.9"]


def build(cell: CellName, num_layers: int = 1, hidden_size: int = 3) -> Classifier:
    """A classifier in double whose gates reach both ends."""
    classifier = Classifier(13, cell, 2, hidden_size, num_layers).double()
    with torch.no_grad():
        for weight in classifier.recurrence.parameters():
            weight.normal_(std=2)
    return classifier


def of_gru(values: Tensor) -> tuple[list[Trajectory], WordGroups]:
    """A GRU whose gates stand at given values, of words of which nothing is known."""
    gates = {"reset": values, "update": values}
    layers = [Trajectory(hidden=values, cell=None, candidate=values, gates=gates)]
    return layers, unknown_words(torch.zeros(values.shape[:2], dtype=torch.int64))


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Counts are identical, means to 1e-12; a spread is a root, which turns 1e-16 into 1e-8."""
    pd.testing.assert_frame_equal(found[COUNTED], expected[COUNTED], check_exact=True)
    np.testing.assert_allclose(found["mean"], expected["mean"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["sd"], expected["sd"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_large_batch_is_read_in_blocks(cell: CellName) -> None:
    torch.manual_seed(0)
    classifier = build(cell, hidden_size=64)
    batch = torch.randint(13, (1800, 20))
    assert batch.numel() * 64 > 2 * BLOCK
    apart = [*torch.split(batch, 100)]
    assert_same(gate_statistics(classifier, [batch]), gate_statistics(classifier, apart))


def random_words(batch: int, time: int) -> WordGroups:
    shape = batch * time
    signs, numbers = 2 * torch.randint(2, (2, shape)) - 1
    kinds = torch.randint(len(KINDS), (shape,))
    return WordGroups(kinds, signs, numbers, torch.randint(100, (3, shape)))


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_processes_add_up(cell: CellName) -> None:
    torch.manual_seed(0)
    classifier = build(cell, num_layers=2)
    blocks = [
        (
            replay(classifier.recurrence, torch.randn(batch, 4, 2, dtype=torch.float64)),
            random_words(batch, 4),
        )
        for batch in (1, 5, 3)
    ]
    probe = np.array([[1.0, -2, 3], [0.5, 0, -1]])
    whole, one, other = (GateStatistics(classifier, [(1, 2)], probe) for _ in range(3))
    for block in blocks:
        whole.update(*block)
    one.update(*blocks[0])
    for block in blocks[1:]:
        other.update(*block)
    one.merge_state(other)
    for name in one.metric_state:
        torch.testing.assert_close(getattr(one, name), getattr(whole, name), rtol=0, atol=1e-12)
    assert all(torch.any(getattr(whole, name)) for name in ("numbered", "cell_items"))
    whole.reset()
    assert not any(torch.any(getattr(whole, name)) for name in whole.metric_state)


def held(statistics: GateStatistics) -> int:
    """Bytes of every tensor that the object holds, states or not."""
    tensors = [getattr(statistics, name) for name in statistics.metric_state]
    tensors += [*statistics.buffers()]
    tensors += [value for value in vars(statistics).values() if isinstance(value, Tensor)]
    return sum(int(tensor.numel() * tensor.element_size()) for tensor in tensors)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_memory_does_not_grow_with_the_corpus(cell: CellName) -> None:
    torch.manual_seed(0)
    classifier = build(cell)
    statistics = GateStatistics(classifier, probe=np.array([[1.0, -2, 3]]))
    sizes = []
    for _ in range(2):
        for _ in range(5):
            inputs = torch.randn(8, 6, 2, dtype=torch.float64)
            statistics.update(replay(classifier.recurrence, inputs), random_words(8, 6))
        sizes.append(held(statistics))
    assert sizes[0] == sizes[1]
    assert statistics.n.sum() == 2 * 5 * 48


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
        assert row["role"] == "all"
        assert pd.isna(row["reading"]) if reading is None else row["reading"] == reading
        assert (row["below_0.1"], row["above_0.9"]) == (below, above)
        assert row["mean"] == pytest.approx(mean, abs=1e-7)
        assert row["q05"] == pytest.approx(mean, abs=0.0101)
        assert row["sd"] == pytest.approx(0, abs=1e-7)


def test_float32_gates_lose_nothing_in_their_sums() -> None:
    """A float32 sum of 2^20 values near 0.9 is off by more than 1e-8."""
    torch.manual_seed(0)
    values = 0.9 + 1e-3 * torch.randn(2**10, 2**10, 1)
    statistics = GateStatistics(Classifier(13, "gru", 2, 1))
    statistics.update(*of_gru(values))
    table = statistics.compute().statistics
    table = table[table["role"] == "all"]
    exact = values.double().numpy()
    np.testing.assert_allclose(table["mean"][:2], exact.mean(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(table["mean"].iloc[2], (1 - exact).mean(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(table["sd"], exact.std(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_gate_that_never_moves_has_no_spread(dtype: torch.dtype) -> None:
    """Where rounding leaves the variance below zero, too; and the trajectory is left alone."""
    values = torch.linspace(0.01, 0.99, 99, dtype=dtype).expand(1, 7, 99).contiguous()
    kept = values.clone()
    statistics = GateStatistics(Classifier(13, "gru", 2, 99))
    statistics.update(*of_gru(values))
    tables: GateTables = statistics.compute()
    assert tables.statistics["sd"].between(0, 3e-8).all()
    assert torch.equal(values, kept)


def test_by_role_it_is_all_one_how_finely_words_were_told_apart() -> None:
    torch.manual_seed(0)
    classifier = build("gru")
    layers = replay(classifier.recurrence, torch.randn(90, 4, 2, dtype=torch.float64))
    fine = random_words(90, 4)
    roles = [role for role, _ in KINDS]
    first = torch.tensor([roles.index(role) for role in roles])
    coarse = fine._replace(kinds=first[fine.kinds])
    tables = []
    for words in (fine, coarse):
        statistics = GateStatistics(classifier)
        statistics.update(layers, words)
        tables.append(statistics.compute())
    one, other = tables
    exact = ["role", *COUNTED, *QUANTILES]
    pd.testing.assert_frame_equal(one.statistics[exact], other.statistics[exact], check_exact=True)
    assert_same(one.statistics, other.statistics)
    pd.testing.assert_frame_equal(one.state_updates, other.state_updates, rtol=0, atol=1e-12)
    assert set(one.distances["after"]) == {*DISTANCES}
    assert set(other.distances["after"]) == {"0", "1–2"}


def test_shares_of_nothing_are_null() -> None:
    n = torch.zeros(len(KINDS), dtype=torch.int64)
    sums = torch.zeros(1, 2, 2, len(n), 1, dtype=torch.float64)
    histogram = torch.zeros(1, 2, len(n), 100, 1, dtype=torch.int64)
    table = gate_table(("reset", "update"), n, sums, histogram)
    assert table["n"].tolist() == [0, 0, 0]
    assert table[["mean", "sd", "q50", "below_0.1", "above_0.9"]].isna().all(axis=None)
    assert len(distance_table(("reset", "update"), n, sums, histogram)) == 0


def test_an_rnn_has_an_empty_table_with_the_same_columns() -> None:
    table = gate_statistics(build("rnn"), [torch.randint(13, (2, 3))])
    assert len(table) == 0
    assert table.dtypes.astype(str).to_dict() == GATE_DTYPES


def test_refuses_trajectories_of_another_depth() -> None:
    statistics = GateStatistics(Classifier(13, "gru", 2, 1, num_layers=2))
    with pytest.raises(InputError, match="expected 2 layers, got 1"):
        statistics.update(*of_gru(torch.full((1, 1, 1), 0.5)))


def test_refuses_empty_prefixes() -> None:
    classifier = build("lstm")
    with pytest.raises(InputError, match="a time of at least 1"):
        gate_statistics(classifier, [torch.zeros(2, 0, dtype=torch.int64)])
