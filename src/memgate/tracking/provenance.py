"""Where a run comes from: its code, its params, and its data with a digest of all rows."""

from __future__ import annotations

import hashlib
import json
import subprocess
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.entities import Dataset, DatasetInput, InputTag
from pyarrow import csv

import memgate

if TYPE_CHECKING:
    import datasets

    from memgate.data.items.schema import Split

PARAM_LENGTH = 6000
"""MLflow's limit; longer values are cut."""

TYPES = {"int32": "integer", "int64": "long", "bool": "boolean", "large_string": "string"}
"""MLflow's names of Arrow's types, if they differ."""


def digest(table: pa.Table) -> str:
    """Return ten hex digits of the SHA-256 of a table written as CSV: names, values and nulls.

    MLflow's digest of a Hugging Face dataset covers the first 10,000 rows only. This one covers all
    rows, and doesn't depend on the table's chunks. Columns of lists are not supported.

    >>> whole = pa.table({"text": ["the cat", None]})
    >>> digest(whole) == digest(pa.concat_tables([whole[1:], whole[:1]])[::-1])
    True
    """
    rows = pa.BufferOutputStream()
    csv.write_csv(table, rows)
    return hashlib.sha256(rows.getvalue()).hexdigest()[:10]


def dataset_input(
    dataset: datasets.Dataset, name: str, context: Split, source: str
) -> DatasetInput:
    """Return a split as ``client.log_inputs`` expects it.

    Args:
        dataset: The rows; call ``flatten_indices`` after a select or shuffle, else 67,000 rows take
            2 s.
        name: Name of the data in the UI.
        context: Which split it is.
        source: Where the rows come from, as configured.
    """
    table: pa.Table = dataset.with_format("arrow")[:]
    code_source = CodeDatasetSource(tags={"mlflow.source.name": source})
    schema = [
        {"name": field.name, "type": TYPES.get(str(field.type), str(field.type))}
        for field in table.schema
    ]
    entity = Dataset(
        name=name,
        digest=digest(table),
        source_type="code",
        source=code_source.to_json(),
        schema=json.dumps({"mlflow_colspec": schema}),
        profile=json.dumps({"num_rows": table.num_rows}),
    )
    return DatasetInput(entity, tags=[InputTag("mlflow.data.context", context)])


def code_tags() -> dict[str, str]:
    """Return memgate's version and, if its source is a git checkout, the commit."""
    tags = {"memgate.version": memgate.__version__}
    source = Path(memgate.__file__)
    git = ("git", "-C", str(source.parent))
    with suppress(OSError, subprocess.CalledProcessError):  # no git, no checkout, no commit yet
        for command in (("ls-files", "--error-unmatch", source.name), ("rev-parse", "HEAD")):
            result = subprocess.run((*git, *command), capture_output=True, text=True, check=True)
        tags["mlflow.source.git.commit"] = result.stdout.strip()
    return tags


def plain_params(params: Mapping[str, object] | Namespace) -> dict[str, str]:
    """Return params as MLflow stores them: nested ones as ``outer/inner``, cut at 6,000 letters.

    >>> plain_params({"a": {"b": 1}, "c": None})
    {'a/b': '1', 'c': 'None'}
    """
    values = vars(params) if isinstance(params, Namespace) else params
    return {key: value[:PARAM_LENGTH] for key, value in _flat(values)}


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        inner = vars(value) if isinstance(value, Namespace) else value
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", str(inner)
