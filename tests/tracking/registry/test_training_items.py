"""The hashes of training items against the items themselves."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgate.data.items.schema import item_keys
from memgate.errors import InputError
from memgate.tracking.registry.training_items import (
    TRAINING_ITEMS,
    overlap_notes,
    save_training_items,
)


def items(numbers: list[int]) -> pa.Table:
    texts = [f"the key {number} is" for number in numbers]
    return pa.table({"text": texts, "verb_idx": [3] * len(texts)})


def notes(folder: Path, numbers: list[int]) -> list[str]:
    return overlap_notes("m", folder, "file", item_keys(items(numbers)))


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=30),
    st.lists(st.integers(0, 40), min_size=1, max_size=30),
)
def test_the_items_in_both_are_counted(
    tmp_path_factory: pytest.TempPathFactory, training: list[int], scored: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("model")
    save_training_items(items(training), folder / TRAINING_ITEMS)
    n = sum(number in training for number in scored)
    expected = f"file: m was trained on {n} of these {len(scored)} items; "
    lines = notes(folder, scored)
    assert len(lines) == (n > 0)
    assert all(line.startswith(expected) for line in lines)


def test_another_verb_is_another_item(tmp_path: Path) -> None:
    table = pa.table({"text": ["the keys are here and are not"] * 2, "verb_idx": [2, 5]})
    save_training_items(table[:1], tmp_path / TRAINING_ITEMS)
    assert "trained on 1 of these 2 items" in overlap_notes("m", tmp_path, "d", item_keys(table))[0]


def test_a_hash_takes_four_bytes_at_most(tmp_path: Path) -> None:
    save_training_items(items(list(range(50_000))), tmp_path / TRAINING_ITEMS)
    assert (tmp_path / TRAINING_ITEMS).stat().st_size < 4 * 50_000
    assert notes(tmp_path, list(range(50_000, 55_000))) == []


def test_without_the_file_nothing_is_known(tmp_path: Path) -> None:
    assert notes(tmp_path, [1]) == []


@pytest.mark.parametrize("content", [b"", b"no parquet"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / TRAINING_ITEMS).write_bytes(content)
    with pytest.raises(InputError, match=r"training_items.parquet: expected hashes of training"):
        notes(tmp_path, [1])
    pd.DataFrame({"item": ["a"]}).to_parquet(tmp_path / TRAINING_ITEMS)
    with pytest.raises(InputError, match=r"expected the columns item \(int64\)"):
        notes(tmp_path, [1])
