"""Histograms against NumPy on the values themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from memgate.gates.histograms import BINS, QUANTILE_LEVELS, quantiles, saturated_counts
from memgate.gates.sums import OneHot, Sorted

Way = type[OneHot] | type[Sorted]
WAYS: tuple[Way, ...] = (OneHot, Sorted)
both_ways = pytest.mark.parametrize("way", WAYS)


def counted(values: Tensor, groups: Tensor, n_groups: int, way: Way = Sorted) -> Tensor:
    histogram = torch.zeros(n_groups, BINS, values.shape[1], dtype=torch.int64)
    add(histogram, values, groups, way)
    return histogram


def add(histogram: Tensor, values: Tensor, groups: Tensor, way: Way = Sorted) -> None:
    no_means = torch.zeros(0, values.shape[1], dtype=torch.float64)
    way(groups, len(histogram)).gate(values, no_means, histogram)


@given(
    seed=st.integers(0, 2**32 - 1),
    words=st.integers(1, 80),
    spread=st.sampled_from([0.1, 5]),
    way=st.sampled_from(WAYS),
)
def test_counts_shares_and_quantiles_are_those_of_the_values(
    seed: int, words: int, spread: float, way: Way
) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.sigmoid(spread * torch.randn(words, 3, generator=generator)).double()
    groups = torch.randint(4, (words,), generator=generator)
    histogram = counted(values, groups, 4, way).numpy()
    below, above = saturated_counts(histogram)
    found = quantiles(histogram)
    for group in range(4):
        for unit in range(3):
            own = values[groups == group, unit].numpy()
            expected, _ = np.histogram(own, BINS, (0, 1))
            np.testing.assert_array_equal(histogram[group, :, unit], expected)
            assert below[group, unit] == (own < 0.1).sum()
            assert above[group, unit] == (own > 0.9).sum()
            if len(own) == 0:
                assert np.isnan(found[group, unit]).all()
                continue
            exact = np.quantile(own, QUANTILE_LEVELS, method="inverted_cdf")
            np.testing.assert_allclose(found[group, unit], exact, rtol=0, atol=1 / BINS)
            assert (np.diff(found[group, unit]) >= 0).all()


@both_ways
def test_both_ends_are_in_a_bin(way: Way) -> None:
    values = torch.tensor([[0.0], [1.0], [1.0]])
    histogram = counted(values, torch.zeros(3, dtype=torch.int64), 1, way)
    assert histogram[0, [0, -1], 0].tolist() == [1, 2]
    assert histogram.sum() == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_no_gate_is_at_an_end_and_nowhere_else_in_memory(dtype: torch.dtype) -> None:
    """The gates of a network that has diverged; a loop that trusts them writes anywhere."""
    values = torch.tensor([[torch.nan, -torch.inf, torch.inf, -1e30, 1e30, 0.5]], dtype=dtype)
    histogram = counted(values, torch.tensor([1]), 3)
    assert histogram.sum() == 6
    assert histogram[1].sum(0).tolist() == [1] * 6
    assert histogram[1, [0, -1]].sum() == 5


@pytest.mark.parametrize("units", [1, 127, 128, 129, 300])
def test_every_unit_has_its_own_counters(units: int) -> None:
    values = torch.linspace(0, 0.999, units, dtype=torch.float64).repeat(2, 1)
    histogram = counted(values, torch.tensor([0, 2]), 3)
    bins = (values[0] * BINS).long()
    for kind in (0, 2):
        assert torch.equal(histogram[kind].argmax(0), bins)
        assert (histogram[kind].sum(0) == 1).all()


@both_ways
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends_of_the_shares_are_edges_of_bins(dtype: torch.dtype, way: Way) -> None:
    step = 1e-6
    values = torch.tensor([[0.1 - step], [0.1 + step], [0.5], [0.9 - step], [0.9 + step]]).to(dtype)
    low, high = saturated_counts(counted(values, torch.zeros(5, dtype=torch.int64), 1, way).numpy())
    assert (low.item(), high.item()) == (1, 1)


def test_a_histogram_turned_round_is_that_of_the_complement() -> None:
    torch.manual_seed(0)
    values = torch.rand(50, 2, dtype=torch.float64)
    group = torch.zeros(50, dtype=torch.int64)
    turned = counted(1 - values, group, 1)
    torch.testing.assert_close(counted(values, group, 1).flip(1), turned, rtol=0, atol=0)


@both_ways
def test_counts_are_added(way: Way) -> None:
    torch.manual_seed(0)
    values, groups = torch.rand(50, 2), torch.randint(3, (50,))
    histogram = counted(values[:20], groups[:20], 3, way)
    add(histogram, values[20:], groups[20:], way)
    assert torch.equal(histogram, counted(values, groups, 3))


@pytest.mark.parametrize("group", [-1, 3])
def test_refuses_a_group_that_there_is_not(group: int) -> None:
    with pytest.raises((IndexError, RuntimeError), match=r"out of range|negative"):
        counted(torch.full((1, 2), 0.99), torch.tensor([group]), 3)
