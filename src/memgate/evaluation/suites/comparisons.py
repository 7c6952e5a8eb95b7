"""How targeted suites are scored: what is compared, and when an answer is right."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from memgate.data.items.tasks import GRAMMATICALITY, Task, TaskInputs
from memgate.data.vocabulary import Index, flat_words

CHANCE = 0.5
"""Share that a coin gets right, under either comparison of `right`."""


class Comparison(NamedTuple):
    """A task posed on a suite's items.

    Attributes:
        first: The items themselves.
        second: What some of them are compared with; its rows are places in the table too.
    """

    first: TaskInputs
    second: TaskInputs


def right(
    targets: npt.NDArray[np.integer[Any]],
    p_first: npt.NDArray[np.float64],
    p_second: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """Say which items a classifier gets right.

    One prefix: P(label | prefix) > ½. Two prefixes before the same verb (BLiMP's ``*_2``):
    P(label | prefix) > P(label | prefix_bad), whatever both are. Two sentences likewise. Where both
    are equal, as where neither has a word that the classifier knows, it would guess: the first such
    item is right, the second wrong, and so on. ½ itself is wrong.

    Args:
        targets: N right answers, 0 or 1.
        p_first: P(1 | what is read), in [0, 1].
        p_second: P(1 | what that is compared with), in [0, 1]; NaN where there is nothing.

    >>> right(np.array([1, 0, 1]), np.array([0.6, 0.6, 0.4]), np.array([np.nan, np.nan, 0.3]))
    array([ True, False,  True])
    """
    other = np.where(np.isnan(p_second), 0.5, p_second)
    toward = np.where(targets == 1, p_first - other, other - p_first)
    found: npt.NDArray[np.bool_] = toward > 0
    found[np.flatnonzero(p_first == p_second)[::2]] = True
    return found


def compare(task: Task, table: pa.Table) -> Comparison:
    """Pose a task on the items of a suite.

    A model of grammaticality judges minimal pairs, as a language model would: the prefix and its
    verb, against the prefix and the verb of the other number, or against `prefix_bad` and the verb.

    Args:
        task: What the model reads, and is asked.
        table: N items with the columns of `memgate.evaluation.suites.loading.SUITE_FEATURES`.
    """
    if task is GRAMMATICALITY:
        return _sentences(table)
    others = second_prefixes(table)
    first, second = task.make_inputs(table, 0), task.make_inputs(others.items, 0)
    return Comparison(first, second._replace(rows=others.rows[second.rows]))


class SecondPrefixes(NamedTuple):
    """The second prefixes of a suite, as items.

    Attributes:
        rows: Places of those items that have one.
        items: Those items, `text` the second prefix; its tags and subject are not known.
    """

    rows: Index
    items: pa.Table


def second_prefixes(table: pa.Table) -> SecondPrefixes:
    """Return the items with two prefixes, and the second one in place of the first."""
    rows = np.flatnonzero(table["prefix_bad"].is_valid().to_numpy())
    items = table.take(rows)
    texts = items["prefix_bad"].combine_chunks()
    _, offsets = flat_words(texts)
    known = {"text": texts, "verb_idx": pa.array(np.diff(offsets), pa.int32())}
    for name in ("tags", "subj_idx", "n_attractors"):
        known[name] = pa.nulls(len(items), table.schema.field(name).type)
    for name, column in known.items():
        place = items.schema.get_field_index(name)
        items = items.set_column(place, items.schema.field(place), column)
    return SecondPrefixes(rows, items)


def _sentences(table: pa.Table) -> Comparison:
    columns = ("text", "verb_idx", "prefix_bad", "good", "bad", "verb", "verb_alt")
    rows, good_texts, bad_texts = [], [], []
    for place, row in enumerate(table.select(columns).to_pylist()):
        good, bad = row["good"] or row["verb"], row["bad"] or row["verb_alt"]
        prefix = " ".join(row["text"].split(" ")[: row["verb_idx"]])
        other = row["prefix_bad"]
        if good and (other or (bad and bad.lower() != good.lower())):  # "lie" has no other form
            rows.append(place)
            good_texts.append(f"{prefix} {good}")
            bad_texts.append(f"{other} {good}" if other else f"{prefix} {bad}")
    return Comparison(*(_task_inputs(rows, texts) for texts in (good_texts, bad_texts)))


def _task_inputs(rows: list[int], texts: list[str]) -> TaskInputs:
    """Return sentences that are asked to be grammatical: both sides have that target."""
    read = pa.array(texts, pa.string())
    _, offsets = flat_words(read)
    return TaskInputs(
        np.array(rows, dtype=np.int64),
        read,
        pa.nulls(len(rows), pa.string()),
        np.diff(offsets),
        np.zeros(len(rows), dtype=np.int64),
    )
