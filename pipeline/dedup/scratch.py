"""Moving rows between Arrow and the scratch database, and the place where intermediate tables live.

Everything between input and result stands in the schema `work` of the caller's connection, which spills under the
caller's memory_limit; Python holds one bounded batch at a time. What `work` holds never outlives a publish.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pyarrow as pa


def start(scratch: duckdb.DuckDBPyConnection) -> None:
    """An empty `work`."""
    finish(scratch)
    scratch.execute("CREATE SCHEMA work")


def finish(scratch: duckdb.DuckDBPyConnection) -> None:
    scratch.execute("DROP SCHEMA IF EXISTS work CASCADE")


def read(scratch: duckdb.DuckDBPyConnection, query: str, rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a SELECT in batches of about `rows`.

    Reads over a cursor of its own, so that the caller can write to `scratch` between two batches.
    """
    with scratch.cursor() as cursor:
        relation = cursor.sql(query)
        assert relation is not None
        yield from relation.to_arrow_reader(rows)


def create(scratch: duckdb.DuckDBPyConnection, table: str, columns: pa.Schema) -> None:
    """A new, empty table with these columns."""
    scratch.from_arrow(columns.empty_table()).create(table)


def append(scratch: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    """Insert `rows` into `table`, columns by position."""
    scratch.from_arrow(rows).insert_into(table)
