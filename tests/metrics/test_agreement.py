"""Counting right and wrong answers."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from memgate.data.items.numbers import LABELS
from memgate.metrics.agreement import AgreementCounts, counts_frame
from memgate.metrics.strata import ATTRACTORS, INTERVENING, LABEL_NAMES

ANSWERS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(-1, 15), st.integers(-1, 6)),
    min_size=1,
    max_size=40,
)
Answers = list[tuple[int, int, int, int]]


def columns(answers: Answers) -> list[torch.Tensor]:
    predicted, labels, *rest = (
        torch.tensor(answers, dtype=torch.int64).reshape(-1, 4).T.contiguous()
    )
    return [predicted == labels, labels, *rest]


def count(*batches: Answers) -> torch.Tensor:
    metric = AgreementCounts()
    for batch in batches:
        metric.update(*columns(batch))
    counts: torch.Tensor = metric.compute()
    return counts


def one_by_one(answers: Answers) -> torch.Tensor:
    counts = torch.zeros(2, 6, 6, 2, dtype=torch.int64)
    for predicted, label, intervening, attractors in answers:
        word_bin = 5 if intervening < 0 else sum(intervening >= edge for edge in (1, 3, 6, 11))
        attractor_bin = 5 if attractors < 0 else min(attractors, 4)
        counts[label, word_bin, attractor_bin, int(predicted == label)] += 1
    return counts


def test_labels_are_in_the_order_of_the_data() -> None:
    assert LABEL_NAMES == LABELS


@given(ANSWERS)
def test_counts_equal_a_loop_over_the_items(answers: Answers) -> None:
    counts = count(answers)
    assert counts.dtype == torch.int64
    assert torch.equal(counts, one_by_one(answers))


@given(st.data(), ANSWERS)
def test_any_split_in_any_order_gives_the_same_counts(data: st.DataObject, items: Answers) -> None:
    shuffled = data.draw(st.permutations(items))
    cuts = data.draw(st.lists(st.integers(0, len(items)), max_size=5).map(sorted))
    batches = [shuffled[start:end] for start, end in pairwise([0, *cuts, len(items)])]
    assert torch.equal(count(*batches), count(items))


@given(ANSWERS, ANSWERS)
def test_processes_add_up(here: Answers, there: Answers) -> None:
    metric, other = AgreementCounts(), AgreementCounts()
    metric.update(*columns(here))
    other.update(*columns(there))
    metric.merge_state(other)
    assert torch.equal(metric.compute(), count(here + there))


def test_a_result_stays_as_it_was_when_more_is_counted() -> None:
    metric = AgreementCounts()
    metric.update(*columns([(0, 0, 0, 0)]))
    before = metric.compute()
    metric.update(*columns([(1, 0, 0, 0)]))
    assert before.sum() == 1
    assert metric.compute().sum() == 2
    metric.reset()
    metric.update(*columns([(0, 1, 3, 1)]))
    assert metric.compute().sum() == 1


def test_counting_goes_on_after_a_reset_in_inference_mode() -> None:
    metric = AgreementCounts()
    with torch.inference_mode():
        metric.reset()
    metric.update(*columns([(0, 1, 3, 1)]))
    assert metric.compute().sum() == 1


@pytest.mark.parametrize(
    "answer",
    [(0, 2, 0, 0), (0, -1, 0, 0), (0, 0, -2, 0), (0, 0, 0, -2)],
)
def test_impossible_numbers_are_refused_and_not_counted(answer: tuple[int, int, int, int]) -> None:
    metric = AgreementCounts()
    with pytest.raises(ValueError, match="labels 0 or 1 and numbers of at least -1"):
        metric.update(*columns([(0, 0, 0, 0), answer]))
    assert metric.counts.sum() == 0


@settings(max_examples=40, deadline=None)
@given(ANSWERS)
def test_the_frame_names_every_cell(answers: Answers) -> None:
    frame = counts_frame(count(answers))
    expected: Counter[tuple[str, str | None, str | None]] = Counter()
    right: Counter[tuple[str, str | None, str | None]] = Counter()
    for predicted, label, intervening, attractors in answers:
        cell = (
            "sg" if label == 0 else "pl",
            INTERVENING.names_of(np.array([intervening]))[0],
            ATTRACTORS.names_of(np.array([attractors]))[0],
        )
        expected[cell] += 1
        right[cell] += predicted == label
    names = frame[["label", "intervening", "attractors"]].astype(object)
    cells = list(names.where(names.notna(), None).itertuples(index=False, name=None))
    assert dict(zip(cells, frame["n"], strict=True)) == dict(expected)
    assert dict(zip(cells, frame["correct"], strict=True)) == dict(right)
    assert len(set(cells)) == len(cells)


def test_no_counts_make_an_empty_frame() -> None:
    frame = counts_frame(torch.zeros(2, 6, 6, 2, dtype=torch.int64))
    assert isinstance(frame, pd.DataFrame)
    assert list(frame) == ["label", "intervening", "attractors", "n", "correct"]
    assert frame.empty
