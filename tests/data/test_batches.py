"""Exact-length batches: every property that training, evaluation and resuming stand on."""

from __future__ import annotations

from itertools import islice, pairwise
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from memgate.data.batches import NO_POSITION, Batch, ExactLengthBatches, Prefixes
from memgate.data.items.roles import ROLES
from memgate.data.items.schema import FEATURES
from memgate.data.items.tasks import NUMBER
from memgate.data.vocabulary import Vocabulary
from memgate.errors import InputError

lengths = st.lists(st.integers(1, 5), min_size=1, max_size=40)
batch_sizes = st.integers(1, 8)
seeds = st.integers(0, 2**32)


def prefixes(lengths: list[int]) -> Prefixes:
    """Items that differ in everything: word t of item i is 100 i + t."""
    count = len(lengths)
    ids = [100 * item + t for item, length in enumerate(lengths) for t in range(length)]
    return Prefixes(
        ids=torch.tensor(ids, dtype=torch.int32),
        starts=torch.tensor([sum(lengths[:item]) for item in range(count)]),
        lengths=np.array(lengths),
        targets=torch.arange(count) % 3,
        labels=torch.arange(count) % 2,
        intervening=torch.arange(count) + 1000,
        attractors=torch.arange(count) + 2000,
        roles=torch.tensor(ids, dtype=torch.int64).remainder(6).to(torch.int8),
        subjects=torch.arange(count) % 4 - 1,
    )


def items(batches: list[Batch]) -> list[list[int]]:
    return [batch.rows.tolist() for batch in batches]


def flat(batches: list[Batch]) -> list[int]:
    return [row for batch in batches for row in batch.rows.tolist()]


@given(lengths, batch_sizes, st.booleans(), seeds, st.integers(0, 5))
def test_every_item_comes_once_an_epoch_in_a_rectangle_of_its_own_words(
    lengths: list[int], batch_size: int, shuffle: bool, seed: int, epoch: int
) -> None:
    loader = ExactLengthBatches(prefixes(lengths), batch_size, shuffle, seed)
    loader.set_epoch(epoch)
    batches = list(loader)
    assert sorted(flat(batches)) == list(range(len(lengths)))
    assert len(batches) == len(loader)
    for batch in batches:
        rows = batch.rows.tolist()
        (length,) = {lengths[row] for row in rows}
        assert batch.inputs.tolist() == [[100 * row + t for t in range(length)] for row in rows]
        assert batch.targets.tolist() == [row % 3 for row in rows]
        assert batch.labels.tolist() == [row % 2 for row in rows]
        assert batch.intervening.tolist() == [row + 1000 for row in rows]
        assert batch.attractors.tolist() == [row + 2000 for row in rows]
        assert {part.dtype for part in batch} == {torch.int64}


@given(lengths, batch_sizes, st.booleans(), seeds)
def test_only_the_last_batch_of_each_length_is_smaller(
    lengths: list[int], batch_size: int, shuffle: bool, seed: int
) -> None:
    batches = list(ExactLengthBatches(prefixes(lengths), batch_size, shuffle, seed))
    for length in set(lengths):
        sizes = sorted(len(b.rows) for b in batches if b.inputs.shape[1] == length)
        assert sizes[1:] == [batch_size] * (len(sizes) - 1)
        assert 0 < sizes[0] <= batch_size


@given(lengths, batch_sizes, seeds, st.integers(0, 5), st.integers(0, 5))
def test_the_order_is_a_function_of_seed_and_epoch(
    lengths: list[int], batch_size: int, seed: int, epoch: int, before: int
) -> None:
    first = ExactLengthBatches(prefixes(lengths), batch_size, shuffle=True, seed=seed)
    first.set_epoch(epoch)
    second = ExactLengthBatches(prefixes(lengths), batch_size, shuffle=True, seed=seed)
    second.set_epoch(before)
    list(second)
    second.sampler.set_epoch(epoch)  # where Lightning looks for it
    assert items(list(first)) == items(list(second))


def test_another_epoch_and_another_seed_have_another_order() -> None:
    def epoch_of(seed: int, epoch: int) -> list[Batch]:
        loader = ExactLengthBatches(prefixes([1, 2, 3] * 20), 4, shuffle=True, seed=seed)
        loader.set_epoch(epoch)
        return list(loader)

    epochs = [epoch_of(seed, epoch) for seed in (0, 1, 2) for epoch in (0, 1, 2)]
    # the batches come in another order of lengths, and the items meet others in them
    assert len({tuple(batch.inputs.shape[1] for batch in epoch) for epoch in epochs}) == 9
    assert len({frozenset(rows) for epoch in epochs for rows in items(epoch)}) > 8 * len(epochs[0])


def test_lengths_are_mixed_when_shuffled_and_in_order_when_not() -> None:
    wanted = [3, 1, 2, 1, 3, 2] * 10
    shuffled = [
        batch.inputs.shape[1] for batch in ExactLengthBatches(prefixes(wanted), 4, shuffle=True)
    ]
    assert any(a > b for a, b in pairwise(shuffled))
    assert any(a < b for a, b in pairwise(shuffled))
    rows = flat(list(ExactLengthBatches(prefixes(wanted), 4)))
    assert rows == sorted(range(60), key=lambda row: (wanted[row], row))


def test_without_shuffling_every_epoch_is_the_same() -> None:
    loader = ExactLengthBatches(prefixes([2, 1, 2, 3]), 2)
    first = items(list(loader))
    loader.set_epoch(1)
    assert items(list(loader)) == first


def test_shuffling_favours_no_place() -> None:
    """The first item of an epoch is every item about equally often: χ² below its 0.1% point."""
    firsts = np.zeros(10)
    loader = ExactLengthBatches(prefixes([1, 1, 1, 1, 1, 2, 2, 2, 2, 2]), 1, shuffle=True)
    for epoch in range(1000):
        loader.set_epoch(epoch)
        firsts[int(next(iter(loader)).rows[0])] += 1
    assert ((firsts - 100) ** 2 / 100).sum() < 27.9  # 9 degrees of freedom


many = st.lists(st.integers(1, 5), min_size=8, max_size=40)
few = st.lists(st.integers(1, 5), min_size=1, max_size=7)


@given(many, batch_sizes, st.booleans(), seeds, st.integers(0, 3), st.integers(2, 4))
def test_ranks_share_no_item_and_take_equally_many_steps(
    lengths: list[int], batch_size: int, shuffle: bool, seed: int, epoch: int, world_size: int
) -> None:
    single = ExactLengthBatches(prefixes(lengths), batch_size, shuffle, seed)
    steps = -(-len(single) // world_size)
    assume(len(lengths) >= steps * world_size)
    seen: list[int] = []
    for rank in range(world_size):
        loader = ExactLengthBatches(
            prefixes(lengths), batch_size, shuffle, seed, rank=rank, world_size=world_size
        )
        loader.set_epoch(epoch)
        batches = list(loader)
        assert len(batches) == len(loader) == steps
        assert all(0 < len(batch.rows) <= batch_size for batch in batches)
        for batch in batches:
            assert {lengths[row] for row in batch.rows.tolist()} == {batch.inputs.shape[1]}
        seen += flat(batches)
    assert sorted(seen) == list(range(len(lengths)))


@given(few, st.integers(1, 2), st.integers(2, 6))
def test_refuses_what_would_give_ranks_unequal_steps(
    lengths: list[int], batch_size: int, world_size: int
) -> None:
    steps = -(-len(ExactLengthBatches(prefixes(lengths), batch_size)) // world_size)
    assume(len(lengths) < steps * world_size)
    message = rf"^expected at least {steps * world_size} items, .*; got {len(lengths)}$"
    with pytest.raises(InputError, match=message):
        ExactLengthBatches(prefixes(lengths), batch_size, world_size=world_size)


@st.composite
def interrupted(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    """A loader's arguments, and after how many batches it is left."""
    chosen = draw(lengths)
    arguments: dict[str, Any] = {
        "prefixes": prefixes(chosen),
        "batch_size": draw(batch_sizes),
        "shuffle": draw(st.booleans()),
        "seed": draw(seeds),
    }
    if draw(st.booleans()) and len(chosen) >= 2 * len(set(chosen)) and arguments["batch_size"] > 1:
        arguments |= {"rank": draw(st.integers(0, 1)), "world_size": 2}
    taken = draw(st.integers(0, len(ExactLengthBatches(**arguments))))
    return arguments, taken


@given(interrupted(), st.integers(0, 3))
def test_a_resumed_epoch_is_the_rest_of_it(
    interruption: tuple[dict[str, Any], int], epoch: int
) -> None:
    arguments, taken = interruption
    loader = ExactLengthBatches(**arguments)
    loader.set_epoch(epoch)
    whole = items(list(loader))
    stopped = list(islice(loader, taken))
    state = loader.state_dict()
    again = ExactLengthBatches(**arguments)
    again.load_state_dict(state)
    if taken < len(loader):
        assert again.state_dict() == state or taken == 0  # saved before it went on: nothing is lost
        again.set_epoch(epoch)
        assert items(stopped) + items(list(again)) == whole
        assert again.state_dict() == {"epoch": epoch, "taken": len(whole)}
    again.set_epoch(epoch + 1)
    loader.set_epoch(epoch + 1)
    assert items(list(again)) == items(list(loader))


@pytest.mark.parametrize("taken", [5, 2], ids=["whole", "limited"])
def test_the_state_of_a_finished_epoch_starts_the_next_from_its_beginning(taken: int) -> None:
    loader = ExactLengthBatches(prefixes([1, 2, 3, 1, 2, 3, 1]), 2, shuffle=True)
    list(islice(loader, taken))
    again = ExactLengthBatches(loader.prefixes, 2, shuffle=True)
    again.load_state_dict(loader.state_dict())
    for each in (loader, again):
        each.set_epoch(1)
    assert items(list(again)) == items(list(loader))


@given(lengths, batch_sizes, st.integers(0, 10))
def test_an_abandoned_pass_does_not_shift_the_next(
    lengths: list[int], batch_size: int, taken: int
) -> None:
    loader = ExactLengthBatches(prefixes(lengths), batch_size, shuffle=True)
    whole = items(list(loader))
    list(islice(loader, taken))
    assert items(list(loader)) == whole


@pytest.mark.parametrize("batch_size", [0, -1])
def test_refuses_a_batch_size_below_one(batch_size: int) -> None:
    with pytest.raises(InputError, match=rf"^batch_size: expected at least 1, got {batch_size}$"):
        ExactLengthBatches(prefixes([1]), batch_size)


VOCABULARY = Vocabulary.from_words(["the", "keys", "to", "cabinet"], ["NN", "NNS"])  # 1 to 6


def rows() -> list[dict[str, Any]]:
    nothing = dict.fromkeys(FEATURES)
    return [
        nothing
        | {
            "text": "The keys to the cabinet are here",
            "tags": "DT NNS TO DT NN VBP RB",
            "verb_idx": 5,
            "subj_idx": 1,
            "label": "pl",
            "n_attractors": 1,
        },
        nothing | {"text": "the gnu is", "tags": "DT NN VBZ", "verb_idx": 2, "label": "sg"},
        nothing | {"text": "gnus", "verb_idx": 1, "subj_idx": 0, "label": "pl"},
        nothing | {"text": "to keys", "verb_idx": 2, "subj_idx": 0, "label": "sg"},
    ]


def test_a_table_of_items_becomes_their_prefixes() -> None:
    table = datasets.Dataset.from_list(rows(), features=FEATURES).with_format("arrow")[:]
    encoded = Prefixes.from_table(VOCABULARY, table, NUMBER.make_inputs(table, 0))
    assert len(encoded) == 4
    assert encoded.ids.tolist() == [1, 2, 3, 1, 4, 1, 5, 0, 3, 2]
    assert encoded.lengths.tolist() == [5, 2, 1, 2]
    assert encoded.starts.tolist() == [0, 5, 7, 8]
    assert encoded.targets.tolist() == [1, 0, 1, 0]
    assert encoded.labels.tolist() == [1, 0, 1, 0]
    assert encoded.intervening.tolist() == [3, -1, 0, 1]
    assert encoded.attractors.tolist() == [1, -1, -1, -1]


def test_roles_and_positions_of_a_batch_are_those_of_its_words() -> None:
    table = datasets.Dataset.from_list(rows(), features=FEATURES).with_format("arrow")[:]
    encoded = Prefixes.from_table(VOCABULARY, table, NUMBER.make_inputs(table, 0))
    for batch in ExactLengthBatches(encoded, 1):
        (row,) = batch.rows.tolist()
        start, length = int(encoded.starts[row]), int(encoded.lengths[row])
        assert encoded.roles_of(batch).tolist() == [encoded.roles[start : start + length].tolist()]
        subject = int(encoded.subjects[row])
        positions = [t - subject if subject >= 0 else NO_POSITION for t in range(length)]
        assert encoded.after_subject(batch).tolist() == [positions]
    known = [ROLES[code] if code >= 0 else None for code in encoded.roles.tolist()]
    assert known[:5] == ["before", "subject", "other", "other", "attractor"]
    assert known[5:] == [None, None, "subject", "subject", None]  # no subject; no tags between


def test_a_selection_of_items_is_read_in_its_own_order() -> None:
    chosen = datasets.Dataset.from_list(rows(), features=FEATURES).select([3, 0])
    table = chosen.with_format("arrow")[:]
    encoded = Prefixes.from_table(VOCABULARY, table, NUMBER.make_inputs(table, 0))
    assert encoded.ids.tolist() == [3, 2, 1, 2, 3, 1, 4]
    assert encoded.intervening.tolist() == [1, 3]


def test_of_sentences_alone_the_rest_is_unknown() -> None:
    encoded = Prefixes.encode(VOCABULARY, pa.array(["the keys", "cabinet"]))
    (batch, other) = ExactLengthBatches(encoded)
    assert (batch.inputs.tolist(), other.inputs.tolist()) == ([[4]], [[1, 2]])
    for known in (encoded.targets, encoded.labels, encoded.intervening, encoded.attractors):
        assert known.tolist() == [-1, -1]


def test_moving_to_a_device_changes_nothing_else() -> None:
    encoded = Prefixes.encode(VOCABULARY, pa.array(["the keys", "cabinet"]))
    moved = encoded.to(torch.device("meta"))
    for name in (
        "ids",
        "starts",
        "roles",
        "subjects",
        "targets",
        "labels",
        "intervening",
        "attractors",
    ):
        assert getattr(moved, name).device.type == "meta"
    assert torch.equal(encoded.to(torch.device("cpu")).ids, encoded.ids)
    assert moved.lengths is encoded.lengths


def test_refuses_no_sentence_and_an_empty_one() -> None:
    with pytest.raises(InputError, match=r"^expected at least one sentence, got none$"):
        Prefixes.encode(VOCABULARY, pa.array([], pa.string()))
    with pytest.raises(InputError, match=r"^row 1: expected at least one word, got an empty sent"):
        Prefixes.encode(VOCABULARY, pa.array(["the keys", "", ""]))
