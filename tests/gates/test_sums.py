"""Sums by kind against float64 sums of the same values, word by word, made either way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from memgate.gates.histograms import BINS
from memgate.gates.state_updates import flat, state_updates
from memgate.gates.sums import OneHot, Sorted, by_kind, cell_sums, cells_by_index, cells_by_loop
from memgate.gates.words import PROFILE_CELLS
from memgate.models.classifier import CellName, Classifier
from memgate.models.trajectory import unroll

Way = type[OneHot] | type[Sorted]
WAYS: tuple[Way, ...] = (OneHot, Sorted)
both_ways = pytest.mark.parametrize("way", WAYS)
KINDS = 5


def exact(values: Tensor, kinds: Tensor) -> Tensor:
    return torch.stack([values[kinds == kind].double().sum(0) for kind in range(KINDS)])


def moments_of_gate(values: Tensor, kinds: Tensor, way: Way, count: int = KINDS) -> Tensor:
    histogram = torch.zeros(count, BINS, values.shape[1], dtype=torch.int64)
    no_means = torch.zeros(0, values.shape[1], dtype=torch.float64)
    return way(kinds, count).gate(values, no_means, histogram).moments


@given(
    seed=st.integers(0, 2**32 - 1),
    words=st.integers(1, 200),
    units=st.integers(1, 140),
    way=st.sampled_from(WAYS),
)
def test_a_gate_is_added_up_by_kind(seed: int, words: int, units: int, way: Way) -> None:
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.randint(KINDS - 1, (words,), generator=generator)  # the last has no word
    values = torch.rand(words, units, generator=generator, dtype=torch.float64)
    means = torch.rand(2, units, generator=generator, dtype=torch.float64)
    histogram = torch.zeros(KINDS, BINS, units, dtype=torch.int64)
    of = way(kinds, KINDS)
    assert of.n.tolist() == [int((kinds == kind).sum()) for kind in range(KINDS)]
    moments, averages = of.gate(values, means, histogram)
    expected = torch.stack([exact(values, kinds), exact(values**2, kinds)])
    torch.testing.assert_close(moments, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(averages, values @ means.T, rtol=0, atol=1e-12)


@both_ways
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_effects_are_added_up_by_kind(cell: CellName, dtype: torch.dtype, way: Way) -> None:
    """Against the values of the effects themselves, which `test_effects` holds to the equations."""
    torch.manual_seed(0)
    net = Classifier(13, cell, 3, 7).to(dtype).recurrence
    (layer,) = unroll(net, 3 * torch.randn(9, 6, 3, dtype=dtype))
    kinds, signs = torch.randint(KINDS, (54,)), torch.randint(-1, 2, (2, 54))
    means = torch.rand(2, 7, dtype=torch.float64)
    moments, signed, sizes = way(kinds, KINDS).state_updates(layer, means, signs)
    values = [each.double() for each in state_updates(layer)]
    for found, own in zip(moments, values, strict=True):
        for of, column in zip(found, (own, own.abs(), own**2), strict=True):
            torch.testing.assert_close(of, exact(column, kinds), rtol=0, atol=1e-5)
    # a float32 effect is rounded once more than the sum of one that is made in float64
    off = 1e-12 if dtype == torch.float64 else 1e-5
    for of_sign, sign in zip(signed, signs, strict=True):
        own = sign.unsqueeze(1) * values[-1]
        torch.testing.assert_close(of_sign, exact(own, kinds), rtol=0, atol=off)
    memory = layer.hidden if layer.cell is None else layer.cell
    change = flat(memory.diff(dim=1, prepend=torch.zeros_like(memory[:, :1]))).double()
    torch.testing.assert_close(sizes, change.abs() @ means.T, rtol=0, atol=off)


@both_ways
def test_sums_of_float32_lose_nothing(way: Way) -> None:
    """A float32 sum of 2^18 values near 0.9 in one go is off by 1e-5 of itself."""
    torch.manual_seed(0)
    values = 0.9 + 1e-3 * torch.randn(2**18, 3)
    plain, square = moments_of_gate(values, torch.zeros(2**18, dtype=torch.int64), way, 1)
    torch.testing.assert_close(plain[0], values.double().sum(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(square[0], values.double().square().sum(0), rtol=1e-12, atol=0)


@both_ways
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_small_spread_far_from_0_is_kept(dtype: torch.dtype, way: Way) -> None:
    torch.manual_seed(0)
    values = (0.9 + 1e-4 * torch.randn(500, 3, dtype=torch.float64)).to(dtype)
    plain, square = moments_of_gate(values, torch.randint(KINDS, (500,)), way).sum(1) / 500
    expected = values.double().var(0, correction=0)
    torch.testing.assert_close(square - plain**2, expected, rtol=1e-6, atol=0)


@both_ways
def test_a_constant_has_no_spread(way: Way) -> None:
    values = torch.tensor([[0.1, 0.7, 0.9]]).repeat(1000, 1)
    zeros = torch.zeros(1000, dtype=torch.int64)
    plain, square = moments_of_gate(values, zeros, way, 1).squeeze(1) / 1000
    assert ((square - plain**2).clip(0).sqrt() < 3e-8).all()


def test_a_kind_that_there_is_not_is_refused() -> None:
    for kind in (-1, KINDS):
        with pytest.raises((IndexError, RuntimeError), match=r"out of range|negative"):
            by_kind(torch.tensor([0, kind]), KINDS)


@pytest.mark.parametrize("add", [cells_by_loop, cells_by_index])
def test_columns_are_added_up_by_each_kind_of_cell(
    add: Callable[[Tensor, Tensor, Tensor], None],
) -> None:
    torch.manual_seed(0)
    columns = torch.randn(3, 40, 2, dtype=torch.float64)
    cells = torch.randint(PROFILE_CELLS, (3, 40))
    found = torch.zeros(3, 2, 2, PROFILE_CELLS, dtype=torch.float64)
    add(columns, cells, found)
    for cell in range(PROFILE_CELLS):
        times = (cells == cell).sum(0).double()  # a word may be in one cell by two kinds
        for power in (1, 2):
            expected = torch.einsum("w,rws->rs", times, columns**power)
            torch.testing.assert_close(found[:, :, power - 1, cell], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(cell_sums(columns, cells), found, rtol=0, atol=1e-12)
