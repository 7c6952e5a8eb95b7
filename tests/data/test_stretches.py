"""Stretches: the same batches in the same order, wherever a pass is cut and goes on."""

from __future__ import annotations

from itertools import chain

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from memgate.data.batches import ExactLengthBatches, Prefixes
from memgate.data.stretches import STEPS, Stretches

SIZES = st.sampled_from([1, 2, 4, 8, STEPS])


def loader(n: int, epoch: int = 0) -> ExactLengthBatches:
    """Return a loader of `n` batches of one row each."""
    counts = torch.arange(n)
    lengths = torch.ones(n, dtype=torch.int64).numpy()
    one_each = dict.fromkeys(["targets", "labels", "intervening", "attractors", "subjects"], counts)
    prefixes = Prefixes(ids=counts, starts=counts, lengths=lengths, roles=counts, **one_each)
    batches = ExactLengthBatches(prefixes, 1, shuffle=True)
    batches.set_epoch(epoch)
    return batches


def rows(batches: ExactLengthBatches) -> list[int]:
    return [int(batch.rows) for batch in batches]


@given(n=st.integers(1, 100), steps=SIZES)
def test_stretches_are_the_batches_in_their_order(n: int, steps: int) -> None:
    stretches = Stretches(loader(n), steps)
    passed = [[int(batch.rows) for batch in stretch] for stretch in stretches]
    assert list(chain(*passed)) == rows(loader(n))
    assert len(passed) == len(stretches)
    assert max(map(len, passed)) <= steps
    ends = [stretches.batches_of(number) for number in range(1, len(passed) + 1)]
    assert ends == torch.tensor([len(one) for one in passed]).cumsum(0).tolist()
    assert set(ends) >= {2**power for power in range(8) if 2**power < n}
    again = [[int(batch.rows) for batch in stretch] for stretch in stretches]
    assert again == passed


@given(n=st.integers(1, 100), steps=SIZES, stop=st.integers(0, 110))
def test_a_pass_that_is_cut_goes_on_with_the_next_batch(n: int, steps: int, stop: int) -> None:
    seen: list[Tensor] = []
    stretches = Stretches(loader(n), steps)
    calls = 0
    for stretch in stretches:
        for batch in stretch:
            seen.append(batch.rows)
            if len(seen) == stop:
                stretches.cut()
        calls += 1
        if len(seen) >= stop > 0:
            break
    last = calls == len(stretches)
    assert len(seen) == (n if last or stop == 0 else stop)  # an epoch's last stretch is not cut
    state = stretches.state_dict()
    later = Stretches(loader(n, epoch=1 if last else 0), steps)
    later.load_state_dict(state)
    rest = [[batch.rows for batch in stretch] for stretch in later]
    assert len(rest) == (len(later) if last else len(later) - calls)
    if last:
        assert list(chain(*rest)) == rows(loader(n, epoch=1))
    else:
        assert seen + list(chain(*rest)) == rows(loader(n))
