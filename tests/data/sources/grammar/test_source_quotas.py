from __future__ import annotations

import random
from collections import Counter

import pytest

from memgate.data.sources.grammar.source import Quotas, length_proportion
from memgate.data.sources.grammar.templates import CORES, FRONTS, OPTIONAL
from memgate.errors import InputError


def sampled(quotas: Quotas, size: int) -> list[tuple[int, str, int, int, str | None]]:
    rand = random.Random(0).random
    return [quotas.sample(rand)[:5] for _ in range(size)]


def test_proportions_of_lengths_are_those_of_the_docstring() -> None:
    ranges = {(0, 0): 0.08, (1, 1): 0.04, (2, 2): 0.08, (3, 5): 0.20, (6, 10): 0.25, (11, 80): 0.35}
    for (low, high), expected in ranges.items():
        assert sum(length_proportion(length) for length in range(low, high + 1)) == pytest.approx(
            expected
        )
    assert sum(length * length_proportion(length) for length in range(81)) == pytest.approx(
        15, abs=0.1
    )
    assert 1 / length_proportion(80) == pytest.approx(465, abs=1)


def test_lengths_are_sampled_as_often_as_their_proportion() -> None:
    counts = Counter(length for length, *_ in sampled(Quotas(None, 80, 4), 50_000))
    for length in range(81):
        expected = 50_000 * length_proportion(length)
        assert abs(counts[length] - expected) < 5 * expected**0.5


def test_fronts_stand_before_60_percent_and_constructions_of_a_length_are_equally_frequent() -> (
    None
):
    items = sampled(Quotas(None, 80, 4), 50_000)
    fronts = Counter(front for *_, front in items)
    assert fronts[None] / len(items) == pytest.approx(0.4, abs=0.01)
    for front in set(FRONTS) - set(OPTIONAL):
        assert fronts[front] / len(items) == pytest.approx(0.2, abs=0.01)
    long = [core for length, core, *_ in items if length > 10]
    for core in set(CORES) - {"bare", "adverb", *OPTIONAL}:
        assert long.count(core) / len(long) == pytest.approx(1 / 7, abs=0.015)


def test_attractors_and_other_nouns_mirror_each_other() -> None:
    pairs = Counter(
        (attractors, same) for _, _, attractors, same, _ in sampled(Quotas(None, 80, 4), 50_000)
    )
    assert set(pairs) == {(attractors, same) for attractors in range(5) for same in range(5)}
    for attractors in range(5):
        for same in range(attractors):
            both = pairs[attractors, same] + pairs[same, attractors]
            assert abs(pairs[attractors, same] - both / 2) < 4 * (both / 4) ** 0.5


def test_one_item_in_ten_has_no_noun_where_one_would_fit() -> None:
    items = [item for item in sampled(Quotas(None, 80, 4), 50_000) if item[1] == "pp"]
    none = sum(1 for _, _, attractors, same, _ in items if attractors == same == 0)
    assert none / len(items) == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize("most", range(5))
def test_max_attractors_bounds_both_kinds_of_nouns(most: int) -> None:
    items = sampled(Quotas(None, 80, most), 3_000)
    assert {attractors for _, _, attractors, _, _ in items} == set(range(most + 1))
    assert {same for _, _, _, same, _ in items} == set(range(max(1, most) + 1))


@pytest.mark.parametrize("longest", [0, 1, 2, 5, 11, 79])
def test_max_intervening_is_reached_and_not_passed(longest: int) -> None:
    assert {length for length, *_ in sampled(Quotas(None, longest, 4), 20_000)} == set(
        range(longest + 1)
    )


def test_only_the_constructions_named_are_sampled() -> None:
    items = sampled(Quotas(["pp", "complement"], 80, 4), 2_000)
    assert {core for _, core, *_ in items} == {"pp"}
    assert {front for *_, front in items} == {None, "complement"}
    assert {front for *_, front in sampled(Quotas(["pp"], 80, 4), 500)} == {None}


@pytest.mark.parametrize(
    ("constructions", "longest", "most", "message"),
    [
        (None, 81, 4, "max_intervening: expected 0 to 80, got 81"),
        (None, -1, 4, "max_intervening: expected 0 to 80, got -1"),
        (None, 80, 5, "max_attractors: expected 0 to 4, got 5"),
        (None, 80, -1, "max_attractors: expected 0 to 4, got -1"),
        (["pp", "pps"], 80, 4, "expected some of bare, adverb, pp, .*relative_head; got 'pps'"),
        ([], 80, 4, "expected one of bare, .* 80 intervening words, got none"),
        (["clause"], 80, 4, "expected one of bare, .* got clause"),
        (["nested_relative"], 5, 4, "fits into 5 intervening words, got nested_relative"),
    ],
)
def test_refuses(constructions: list[str] | None, longest: int, most: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Quotas(constructions, longest, most)
