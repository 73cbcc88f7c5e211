"""The tables of a snapshot as SQL: explicit lists of shards, and exactly the declared columns and types.

Never a glob: what lies in blobs/ but in no snapshot (an unfinished commit, a retired shard) must not be seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import duckdb
import pyarrow as pa

from storage.errors import NotFound
from storage.schema import TABLES
from storage.sql_guard import translated
from storage.store import Snapshot, Store

_SQL_TYPES: Final[Mapping[pa.DataType, str]] = {
    pa.bool_(): "BOOLEAN",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.large_string(): "VARCHAR",
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
}  # every other type of the schema is bytes


class View(NamedTuple):
    """A table as a statement, and the files that it reads."""

    select: str
    files: list[str]


def newest(store: Store, corpus: str) -> dict[str, View]:
    """Every table of the newest snapshots: of `captures`, of the log documents-* committed to last, of `corpus`.

    A table that does not exist yet is empty. NotFound when `corpus` is not the default and there is no such log.
    """
    logs = store.logs()
    if corpus != "corpus" and corpus not in logs:
        raise NotFound("open", corpus, "there is no log of that name", f"the logs are: {', '.join(logs) or 'none yet'}")
    heads = [(head.at, log) for log in logs if log.startswith("documents-") and (head := store.head(log))]
    recipe = max(heads)[1] if heads else None
    captures, documents, published = (
        store.snapshot(log) if log in logs else None for log in ("captures", recipe, corpus)
    )
    homes = {"captures": captures, "decisions": captures, "documents": documents}
    return {table: _view(store, homes.get(table, published), table) for table in TABLES}


def files(store: Store, snapshot: Snapshot | None, table: str) -> list[str]:
    """Paths of the shards of `table` that hold rows."""
    if snapshot is None or table not in snapshot.tables:
        return []
    return [store.blob_location(shard.digest, "parquet") for shard in snapshot.shards(table) if shard.rows]


def select(store: Store, snapshot: Snapshot, table: str) -> str:
    """A SELECT that gives `table` of `snapshot` with its declared columns and types."""
    return _view(store, snapshot, table).select


def listed(paths: Sequence[str]) -> str:
    """`paths` as a list literal of SQL."""
    texts = ("'" + path.replace("'", "''") + "'" for path in paths)
    return f"[{', '.join(texts)}]::VARCHAR[]"


def _view(store: Store, snapshot: Snapshot | None, table: str) -> View:
    paths = files(store, snapshot, table)
    # By name, because columns are added over the years while shards stay as they were written.
    source = f"read_parquet({listed(paths)}, union_by_name = true, hive_partitioning = false)"
    there = _columns(source, paths, table) if paths else set()
    columns = ", ".join(
        f"CAST({_quoted(field.name) if field.name in there else 'NULL'} AS {_SQL_TYPES.get(field.type, 'BLOB')}) "
        f"AS {_quoted(field.name)}"
        for field in TABLES[table]
    )
    return View(f"SELECT {columns} FROM {source if paths else '(SELECT 1) WHERE false'}", paths)


def _columns(source: str, paths: Sequence[str], table: str) -> set[str]:
    with duckdb.connect(":memory:") as con:
        try:
            return {row[0] for row in con.execute(f"DESCRIBE FROM {source}").fetchall()}
        except duckdb.Error as error:
            raise translated(error, f"open {table}", paths) from error


def _quoted(name: str) -> str:
    return f'"{name}"'  # names of our schema, which hold no quote
