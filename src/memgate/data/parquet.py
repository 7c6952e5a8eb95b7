"""Small Parquet tables with a fixed schema, as baselines are stored in."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from memgate.errors import InputError


def read(path: Path, schema: pa.Schema, what: str) -> pa.Table:
    """Read a table that has exactly these columns and no null.

    Args:
        path: The file.
        schema: Names and types of its columns.
        what: What it should hold, for messages.

    Raises:
        InputError: The file is missing, damaged or holds something else.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected {what}, found no file")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: expected {what} as Parquet, got: {reason}") from error
    if not table.schema.equals(schema):
        raise InputError(f"{path}: expected {_columns(schema)}, got {_columns(table.schema)}")
    for name, column in zip(schema.names, table.columns, strict=True):
        if column.null_count:
            raise InputError(f"{path}: expected no null in {name}, got {column.null_count}")
    return table.combine_chunks()


def _columns(schema: pa.Schema) -> str:
    return "the columns " + ", ".join(f"{field.name} ({field.type})" for field in schema)
