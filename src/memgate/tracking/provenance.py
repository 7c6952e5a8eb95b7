"""Where a run comes from: its code, its params, and its data with the digest of all rows."""

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
"""MLflow's names of Arrow's types, where they differ."""


def digest(table: pa.Table) -> str:
    """Return ten hex digits of the SHA-256 of a table written as CSV: names, values and nulls.

    MLflow's own digest of a Hugging Face dataset reads the first 10,000 rows only. This one reads
    all; how the table is cut into chunks doesn't change it. Columns of lists are not supported.

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
    """Describe a split for ``client.log_inputs``.

    Args:
        dataset: The rows. After a select or shuffle ``flatten_indices``: else 67,000 take 2 s.
        name: What the UI calls it.
        context: Which split it is.
        source: Where the rows come from, in words or as a path.
    """
    table: pa.Table = dataset.with_format("arrow")[:]
    where = CodeDatasetSource(tags={"mlflow.source.name": source})
    schema = [
        {"name": field.name, "type": TYPES.get(str(field.type), str(field.type))}
        for field in table.schema
    ]
    entity = Dataset(
        name=name,
        digest=digest(table),
        source_type="code",
        source=where.to_json(),
        schema=json.dumps({"mlflow_colspec": schema}),
        profile=json.dumps({"num_rows": table.num_rows}),
    )
    return DatasetInput(entity, tags=[InputTag("mlflow.data.context", context)])


def code_tags() -> dict[str, str]:
    """Return memgate's version and, where its source is a git checkout, the commit."""
    tags = {"memgate.version": memgate.__version__}
    source = Path(memgate.__file__)
    git = ("git", "-C", str(source.parent))
    with suppress(OSError, subprocess.CalledProcessError):  # no git, no checkout, no commit yet
        for command in (("ls-files", "--error-unmatch", source.name), ("rev-parse", "HEAD")):
            done = subprocess.run((*git, *command), capture_output=True, text=True, check=True)
        tags["mlflow.source.git.commit"] = done.stdout.strip()
    return tags


def plain_params(params: Mapping[str, object] | Namespace) -> dict[str, str]:
    """Return params as MLflow takes them: nested ones as ``outer/inner``, cut at 6,000 characters.

    >>> plain_params({"a": {"b": 1}, "c": None})
    {'a/b': '1', 'c': 'None'}
    """
    given = vars(params) if isinstance(params, Namespace) else params
    return {key: value[:PARAM_LENGTH] for key, value in _flat(given)}


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        inner = vars(value) if isinstance(value, Namespace) else value
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", str(inner)
