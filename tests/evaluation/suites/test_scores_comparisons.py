"""What suites compare: worked by hand, for every task."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgate.data.items.tasks import GRAMMATICALITY, INFLECTION, NOUNS, NUMBER, TaskInputs
from memgate.evaluation.suites import loading
from memgate.evaluation.suites.loading import SUITE_FEATURES
from memgate.evaluation.suites.scores import is_right, second_prefixes, suite_inputs

DATA = os.environ.get("MEMGATE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")

ONE = float("nan")


@pytest.mark.parametrize(
    ("label", "p_plural", "p_plural_bad", "correct"),
    [
        ("pl", 0.6, ONE, True),
        ("pl", 0.4, ONE, False),
        ("sg", 0.4, ONE, True),
        ("sg", 0.6, ONE, False),
        ("pl", 0.5, ONE, False),  # ½ is wrong, whatever the label
        ("sg", 0.5, ONE, False),
        ("pl", 0.4, 0.3, True),  # P(pl | good) = 0.4 > P(pl | bad) = 0.3, though both say singular
        ("pl", 0.8, 0.9, False),
        ("sg", 0.8, 0.9, True),  # P(sg | good) = 0.2 > P(sg | bad) = 0.1
        ("sg", 0.4, 0.3, False),
        ("pl", 0.7, 0.7, True),  # a guess: of equal ones the first is right, the second wrong
        ("sg", 0.7, 0.7, True),
        ("sg", 1e-20, 2e-20, True),  # 1 - p would be 1 on both sides
    ],
)
def test_comparisons_by_hand(
    label: str, p_plural: float, p_plural_bad: float, correct: bool
) -> None:
    labels = np.array([["sg", "pl"].index(label)])
    found = is_right(labels, np.array([p_plural]), np.array([p_plural_bad]))
    assert found.tolist() == [correct]


shares = st.integers(0, 64).map(lambda n: n / 64)  # exact, and so is 1 - n / 64


@given(st.lists(st.tuples(st.booleans(), shares, st.none() | shares), min_size=1, max_size=20))
def test_the_numbers_may_change_places(rows: list[tuple[bool, float, float | None]]) -> None:
    labels = np.array([int(plural) for plural, _, _ in rows])
    good = np.array([p for _, p, _ in rows])
    bad = np.array([ONE if p is None else p for _, _, p in rows])
    found = is_right(labels, good, bad)
    np.testing.assert_array_equal(is_right(1 - labels, 1 - good, 1 - bad), found)
    two = ~np.isnan(bad)
    swapped = is_right(labels[two], bad[two], good[two])  # the other prefix would be the right one
    ties = good[two] == bad[two]
    np.testing.assert_array_equal((swapped | found[two])[~ties], True)
    assert not (swapped & found[two])[~ties].any()
    assert found[two][ties].tolist() == [place % 2 == 0 for place in range(ties.sum())]


def items(*rows: dict[str, Any]) -> pa.Table:
    nothing: dict[str, Any] = {**dict.fromkeys(SUITE_FEATURES), "condition": "c"}
    made = [{**nothing, **row, "label": ["sg", "pl"].index(row["label"])} for row in rows]
    return pa.Table.from_pylist(made, schema=SUITE_FEATURES.arrow_schema)


SENTENCE = {  # as the suite of Linzen et al. has them
    "text": "the cat near the dogs runs .",
    "tags": "DT NN IN DT NNS VBZ .",
    "verb_idx": 5,
    "subj_idx": 1,
    "n_attractors": 1,
    "label": "sg",
    "verb": "runs",
    "verb_alt": "run",
}
ONE_PREFIX = {"text": "the radii", "verb_idx": 2, "label": "pl", "good": "have", "bad": "has"}
TWO_PREFIXES = {  # BLiMP's: one verb, shared
    "text": "the women",
    "verb_idx": 2,
    "label": "pl",
    "good": "meet",
    "prefix_bad": "the old woman",
}
BOTH = {**TWO_PREFIXES, "bad": "meets"}
NO_VERB = {"text": "the author", "verb_idx": 2, "label": "sg"}
LIE = {**ONE_PREFIX, "good": "lie", "bad": "Lie"}  # 7 items of the suite of Linzen et al.
SUITE = items(NO_VERB, SENTENCE, TWO_PREFIXES, ONE_PREFIX, BOTH)


def read(task_inputs: TaskInputs) -> list[tuple[int, str, int]]:
    """Rows of place, words read, and target."""
    texts = (text.split(" ") for text in task_inputs.texts.to_pylist())
    return [
        (int(row), " ".join(words[:length]), int(target))
        for row, words, length, target in zip(
            task_inputs.rows, texts, task_inputs.lengths, task_inputs.targets, strict=True
        )
    ]


def test_number_compares_two_prefixes_where_there_are_two() -> None:
    first, second = suite_inputs(NUMBER, SUITE)
    assert read(first) == [
        (0, "the author", 0),
        (1, "the cat near the dogs", 0),
        (2, "the women", 1),
        (3, "the radii", 1),
        (4, "the women", 1),
    ]
    assert read(second) == [(2, "the old woman", 1), (4, "the old woman", 1)]


def test_inflection_compares_them_before_the_same_form() -> None:
    first, second = suite_inputs(INFLECTION, SUITE)
    assert read(first) == [
        (1, "the cat near the dogs runs", 0),
        (3, "the radii has", 1),
        (4, "the women meets", 1),
    ]
    assert read(second) == [(4, "the old woman meets", 1)]


def test_grammaticality_compares_minimal_pairs() -> None:
    first, second = suite_inputs(GRAMMATICALITY, SUITE)
    assert read(first) == [
        (1, "the cat near the dogs runs", 0),
        (2, "the women meet", 0),
        (3, "the radii have", 0),
        (4, "the women meet", 0),
    ]
    assert read(second) == [
        (1, "the cat near the dogs run", 0),
        (2, "the old woman meet", 0),  # not the other verb too, where there is one
        (3, "the radii has", 0),
        (4, "the old woman meet", 0),
    ]


def test_a_suite_on_which_nothing_can_be_asked_or_compared() -> None:
    for task in (INFLECTION, GRAMMATICALITY):
        assert [read(side) for side in suite_inputs(task, items(NO_VERB, LIE))] == [[], []]
    first, second = suite_inputs(NOUNS, SUITE)
    assert read(first) == [(1, "cat dogs", 0)]
    assert read(second) == []
    assert [read(side) for side in suite_inputs(NUMBER, SUITE[:0])] == [[], []]


def test_a_second_prefix_is_an_item_of_which_less_is_known() -> None:
    table = items({**SENTENCE, "prefix_bad": "the dogs"}, ONE_PREFIX, BOTH)
    rows, second = second_prefixes(table)
    assert rows.tolist() == [0, 2]
    assert second.schema == table.schema
    told = {"text": "the dogs", "verb_idx": 2, "prefix_bad": "the dogs"}
    unknown = dict.fromkeys(["tags", "subj_idx", "n_attractors"])
    assert second.to_pylist() == [
        {**table.to_pylist()[0], **told, **unknown},
        {**table.to_pylist()[2], **unknown, "text": "the old woman", "verb_idx": 3},
    ]
    none = second_prefixes(items(ONE_PREFIX))
    assert (len(none.rows), len(none.items), none.items.schema) == (0, 0, table.schema)


@needs_data
@pytest.mark.parametrize(
    ("suite", "n", "two_prefixes", "inflected", "judged"),
    [
        ("blimp", 5000, 2000, 2977, 5000),  # of the verbs of two prefixes one form is known
        ("marvin_linzen", 10100, 0, 10100, 10100),
        ("colorless_green", 200, 0, 200, 200),
        ("lakretz", 9600, 0, 9600, 9600),
        ("linzen", 62381, 0, 3906, 3906),  # the simple files have no verbs
    ],
)
def test_what_can_be_asked_on_the_real_suites(
    suite: str, n: int, two_prefixes: int, inflected: int, judged: int
) -> None:
    table = loading.load(suite, str(DATA)).with_format("arrow")[:]
    sides = {task.name: suite_inputs(task, table) for task in (NUMBER, INFLECTION, GRAMMATICALITY)}
    assert {
        name: tuple(len(task_inputs.rows) for task_inputs in both) for name, both in sides.items()
    } == {
        "number": (n, two_prefixes),
        "inflection": (inflected, 0),
        "grammaticality": (judged, judged),
    }
    good, bad = (task_inputs.texts.to_pylist() for task_inputs in sides["grammaticality"])
    pairs = [(a.split(" "), b.split(" ")) for a, b in zip(good, bad, strict=True)]
    one = [
        sum(x != y for x, y in zip(a, b, strict=True)) == 1 for a, b in pairs if len(a) == len(b)
    ]
    assert np.mean(one) > 0.95  # minimal pairs; BLiMP's may differ in a determiner too
