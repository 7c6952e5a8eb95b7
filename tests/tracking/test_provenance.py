from __future__ import annotations

import json
from pathlib import Path

import datasets
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from memgate.tracking.provenance import dataset_input, digest
from memgate.tracking.runs import RunLogger
from memgate.tracking.store import connect

ROW = st.tuples(st.none() | st.text('ab ,"\n', max_size=4), st.none() | st.integers(-2, 2))
SCHEMA = pa.schema([("text", pa.string()), ("verb_idx", pa.int32())])


def table(rows: list[tuple[str | None, int | None]]) -> pa.Table:
    return pa.Table.from_pylist([{"text": text, "verb_idx": n} for text, n in rows], SCHEMA)


@given(st.lists(ROW, max_size=6), st.lists(ROW, max_size=6))
def test_equal_digests_mean_equal_tables(
    one: list[tuple[str | None, int | None]], two: list[tuple[str | None, int | None]]
) -> None:
    assert (digest(table(one)) == digest(table(two))) == (one == two)


@given(st.lists(ROW, min_size=1, max_size=8), st.integers(0, 8))
def test_chunks_do_not_matter(rows: list[tuple[str | None, int | None]], cut: int) -> None:
    whole = table(rows)
    padded = pa.concat_tables([table([("x", 1)]), whole])[1:]
    assert digest(whole) == digest(pa.concat_tables([whole[:cut], whole[cut:]])) == digest(padded)


def test_names_count() -> None:
    assert digest(pa.table({"a": ["x"]})) != digest(pa.table({"b": ["x"]}))


def test_rows_behind_the_first_ten_thousand_count() -> None:
    def made(last: str) -> datasets.Dataset:
        return datasets.Dataset.from_dict({"text": [*["the cat"] * 10_500, last]})

    def found(rows: datasets.Dataset) -> str:
        return str(dataset_input(rows, "data", "train", "here").dataset.digest)

    assert found(made("a")) != found(made("b"))
    order = made("a").select([*range(1, 10_501), 0])
    assert found(order) == found(order.flatten_indices())


def test_inputs_of_a_run(project: Path) -> None:
    rows = datasets.Dataset.from_dict({"text": ["the cat"], "verb_idx": [2]})
    with RunLogger("synthetic", "toy") as logger:
        logger.log_dataset(rows, "synthetic", "train", "grammar, seed 1")
        logger.log_dataset(rows, "other", "validation", "grammar, seed 1")
        logger.log_dataset(rows.select([]), "synthetic", "test", "grammar, seed 1")
    run = connect().get_run(str(logger.version))
    assert run.inputs is not None
    inputs = run.inputs.dataset_inputs
    found = {given.tags[0].value: given.dataset for given in inputs}
    assert {given.tags[0].key for given in inputs} == {"mlflow.data.context"}
    assert found.keys() == {"train", "validation", "test"}
    train = found["train"]
    assert (train.name, train.digest) == ("synthetic", digest(rows.data.table))
    assert found["test"].digest != train.digest
    assert json.loads(str(train.profile)) == {"num_rows": 1}
    assert json.loads(str(train.schema))["mlflow_colspec"][1] == {
        "name": "verb_idx",
        "type": "long",
    }
    assert "grammar, seed 1" in train.source
