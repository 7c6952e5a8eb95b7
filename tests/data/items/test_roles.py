"""Roles of many items at once, against `roles` of each."""

from __future__ import annotations

import os

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memgate.data.items.numbers import LABELS
from memgate.data.items.roles import NO_ROLE, ROLES, role_codes, roles
from memgate.data.items.tasks import GRAMMATICALITY, INFLECTION, NUMBER, TaskInputs
from memgate.data.sources import jsonl
from memgate.data.vocabulary import prefix_words

DATA = os.environ.get("MEMGATE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="MEMGATE_DATA is not set")

tags = st.sampled_from(["NN", "NNS", "NNP", "NNPS", "DT", "VBZ", ","])
items = st.integers(1, 8).flatmap(
    lambda length: st.tuples(
        st.lists(tags, min_size=length, max_size=length),
        st.integers(-1, length - 1),
        st.sampled_from([0, 1]),
    )
)


def codes(made: list[tuple[list[str], int, int]], behind: int = 0) -> list[list[int]]:
    lengths = np.array([len(item[0]) for item in made])
    flat = pa.array([tag for item in made for tag in item[0]])
    subjects, labels = (np.array([item[k] for item in made]) for k in (1, 2))
    found = role_codes(flat, lengths, subjects, lengths - behind, labels)
    assert found.dtype == np.int8
    return [part.tolist() for part in np.split(found, np.cumsum(lengths)[:-1])]


@given(st.lists(items, min_size=1, max_size=10))
def test_they_are_the_roles_of_each_item(made: list[tuple[list[str], int, int]]) -> None:
    for (symbols, subj_idx, label), found in zip(made, codes(made), strict=True):
        if subj_idx < 0:
            assert set(found) == {NO_ROLE}
        else:
            expected = roles(symbols, subj_idx, len(symbols), LABELS[label])
            assert [ROLES[code] for code in found] == expected


def test_the_verb_and_what_stands_behind_it() -> None:
    (found,) = codes([(["DT", "NN", "NNS", "VBZ", "RB", "NN"], 1, 0)], behind=3)
    assert [ROLES[code] for code in found[:4]] == ["before", "subject", "attractor", "verb"]
    assert found[4:] == [NO_ROLE, NO_ROLE]


def test_without_tags_only_subject_and_what_is_before_it_are_known() -> None:
    one = np.array([4]), np.array([1]), np.array([4]), np.array([0])
    assert role_codes(None, *one).tolist() == [0, 1, NO_ROLE, NO_ROLE]
    some = pa.array(["DT", None, None, "NNS"])
    assert role_codes(some, *one).tolist() == [0, 1, NO_ROLE, ROLES.index("attractor")]


@needs_data
@pytest.mark.parametrize("task", [NUMBER, INFLECTION, GRAMMATICALITY])
def test_real_items_have_the_attractors_that_their_files_count(task: object) -> None:
    rows = jsonl.read([f"{DATA}/corpus/agr_wiki_dev.jsonl.gz"], "stop")
    table = rows.with_format("arrow")[:]
    task_inputs: TaskInputs = task.make_inputs(table, 0)  # type: ignore[attr-defined]
    _, symbols, lengths = prefix_words(task_inputs.texts, task_inputs.tags, task_inputs.lengths)
    columns = [table[name].to_numpy() for name in ("subj_idx", "verb_idx", "label")]
    found = role_codes(symbols, lengths, *(column[task_inputs.rows] for column in columns))
    of_item = np.repeat(np.arange(len(lengths)), lengths)
    attractors = np.bincount(of_item[found == ROLES.index("attractor")], minlength=len(lengths))
    np.testing.assert_array_equal(attractors, table["n_attractors"].to_numpy()[task_inputs.rows])
    verbs = np.bincount(of_item[found == ROLES.index("verb")], minlength=len(lengths))
    assert set(verbs) == ({0} if task is NUMBER else {1})
