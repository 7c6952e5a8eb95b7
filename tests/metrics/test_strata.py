"""The bins of intervening words and attractors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from memgate.arrays import UNKNOWN_COUNT
from memgate.metrics.strata import ATTRACTORS, INTERVENING, Strata


def test_the_names_of_the_strata() -> None:
    assert INTERVENING.names == ("0", "1\u20132", "3\u20135", "6\u201310", "11+")
    assert ATTRACTORS.names == ("0", "1", "2", "3", "4+")


def test_every_edge_of_the_intervening_words() -> None:
    expected = {
        0: "0",
        1: "1–2",
        2: "1–2",
        3: "3–5",
        5: "3–5",
        6: "6–10",
        10: "6–10",
        11: "11+",
        80: "11+",
        UNKNOWN_COUNT: None,
    }
    assert INTERVENING.names_of(np.array(list(expected))).tolist() == list(expected.values())


def test_every_edge_of_the_attractors() -> None:
    numbers = np.array([0, 1, 2, 3, 4, 5, UNKNOWN_COUNT])
    assert ATTRACTORS.names_of(numbers).tolist() == ["0", "1", "2", "3", "4+", "4+", None]


@pytest.mark.parametrize("strata", [INTERVENING, ATTRACTORS])
@given(
    numbers=hnp.arrays(
        st.sampled_from([np.int8, np.int32, np.int64]),
        hnp.array_shapes(min_dims=1, max_dims=2, min_side=0),
        elements=st.integers(UNKNOWN_COUNT, 100),
    )
)
def test_tensors_and_arrays_fall_in_the_same_bins(
    strata: Strata, numbers: np.ndarray[tuple[int, ...], np.dtype[np.integer]]
) -> None:
    of_tensor = strata.of_tensor(torch.from_numpy(numbers))
    assert of_tensor.dtype == torch.int64
    np.testing.assert_array_equal(of_tensor.numpy(), strata.of_array(numbers))


def test_a_column_of_a_tensor_is_binned_without_a_warning() -> None:
    numbers = torch.tensor([[0, 7], [2, 11]])
    assert INTERVENING.of_tensor(numbers[:, 1]).tolist() == [3, 4]


def test_numbers_below_unknown_are_refused() -> None:
    with pytest.raises(ValueError, match="at least -1, got -2"):
        INTERVENING.of_array(np.array([0, -2]))


def test_floats_are_refused() -> None:
    with pytest.raises(ValueError, match="integers, got float64"):
        INTERVENING.of_array(np.array([0.0, np.nan]))
