"""Sums by kind against float64 sums of the same values, word by word."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from memgate.gates.sums import RUN, Pivot, by_kind

KINDS = 5


def exact(values: Tensor, kinds: Tensor) -> Tensor:
    return torch.stack([values[kinds == kind].double().sum(0) for kind in range(KINDS)])


@pytest.mark.parametrize("words", [1, RUN, 7 * RUN + 3])
def test_sums_in_double_are_those_of_each_kind(words: int) -> None:
    torch.manual_seed(0)
    kinds = torch.randint(KINDS - 1, (words,))  # the last kind has no word
    columns = torch.randn(3, words, 4, dtype=torch.float64)
    sorted_kinds = by_kind(kinds, KINDS)
    assert sorted_kinds.n.tolist() == [int((kinds == kind).sum()) for kind in range(KINDS)]
    found = sorted_kinds.add(columns)
    expected = torch.stack([exact(column, kinds) for column in columns])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_sums_in_float32_are_off_by_less_than_a_float32_is() -> None:
    """A float32 sum of 2^18 values near 0.9 in one go is off by 1e-5 of itself."""
    torch.manual_seed(0)
    values = 0.9 + 1e-3 * torch.randn(2**18, 3)
    kinds = torch.zeros(len(values), dtype=torch.int64)
    (found,) = by_kind(kinds, 1).add(values.unsqueeze(0))
    torch.testing.assert_close(found[0], values.double().sum(0), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("dtype", "off"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_a_small_spread_far_from_0_is_kept(dtype: torch.dtype, off: float) -> None:
    torch.manual_seed(0)
    values = (0.9 + 1e-3 * torch.randn(500, 3, dtype=torch.float64)).to(dtype)
    kinds = by_kind(torch.randint(KINDS, (500,)), KINDS)
    out = torch.empty(2, 500, 3, dtype=dtype)
    pivot = Pivot(values, out)
    plain, squares = pivot.moments(kinds.add(out), kinds.n).sum(1) / 500
    expected = values.double().var(0, correction=0)
    torch.testing.assert_close(plain, values.double().mean(0), rtol=0, atol=1e-3 * off)
    torch.testing.assert_close(squares - plain**2, expected, rtol=off, atol=1e-14)


def test_a_constant_has_no_spread_in_float32() -> None:
    values = torch.tensor([[0.1, 0.7, 0.9]]).repeat(1000, 1)
    kinds = by_kind(torch.zeros(1000, dtype=torch.int64), 1)
    out = torch.empty(2, 1000, 3)
    pivot = Pivot(values, out)
    plain, squares = pivot.moments(kinds.add(out), kinds.n).squeeze(1) / 1000
    assert ((squares - plain**2).clip(0).sqrt() < 3e-8).all()
