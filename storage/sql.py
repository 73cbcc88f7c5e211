"""SQL over the newest snapshots: one view per table, files by explicit list, everything else locked.

`query` and `stream` take SQL from anybody: one SELECT, limited in time, memory and size, and no byte of the store
changes. `connect` is for code of ours and of our users: its views are the same and it can read nothing else, but it
does not look at the statements, and `COPY ... TO` a shard's own path would overwrite that shard.
"""

from __future__ import annotations

import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from storage.errors import QueryLimit
from storage.sql_formats import FORMATS, write
from storage.sql_guard import one_select, shortened, translated
from storage.sql_views import View, files, listed, newest, select
from storage.store import Store

__all__ = ["FORMATS", "connect", "files", "query", "scratch", "select", "stream", "write"]

BATCH_ROWS: Final = 8192
MAX_BYTES: Final = 1 << 30
"""Of a result that is held whole."""

MAX_SPILL: Final = "8GB"
"""Of temporary files per connection, on the disk of the system's temporary folder."""


def connect(
    store: Store, *, corpus: str = "corpus", memory_limit: str = "512MB", threads: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with views captures, decisions, documents (of the recipe that was committed last), corpus,
    removals and edges (of the log `corpus`), and the macro id_hex(id).

    It can open no file but the shards of these snapshots, and its settings are locked. A table that does not exist
    yet is an empty view. `memory_limit` bounds DuckDB's buffers; a value that one function call makes (`repeat`) is
    not among them. NotFound when `corpus` is not the default and there is no such log.
    """
    return _open(newest(store, corpus), memory_limit, threads)


@contextmanager
def stream(
    store: Store,
    sql: str,
    *,
    corpus: str = "corpus",
    timeout: float = 60.0,
    max_rows: int | None = None,
    memory_limit: str = "512MB",
    threads: int | None = None,
) -> Iterator[pa.RecordBatchReader]:
    """The result of one SELECT, in batches of at most 8,192 rows, while the `with` block lasts.

    `timeout` is in seconds of wall clock from here to the last batch, `max_rows` the number of rows that may pass.
    QueryRefused when `sql` is anything else than one SELECT over the store's tables, or DuckDB rejects it;
    QueryLimit when it takes too long, too much memory or gives too many rows; BlobMissing, Corrupt.
    """
    views = newest(store, corpus)
    shards = [file for view in views.values() for file in view.files]
    con = _open(views, memory_limit, threads)
    try:
        one_select(con, sql)
        with _interrupted_after(con, timeout):
            try:
                reader = con.sql(sql).to_arrow_reader(BATCH_ROWS)
            except duckdb.Error as error:
                raise translated(error, sql, shards) from error
            batches = _limited(_read(reader, sql, shards), sql, time.monotonic() + timeout, max_rows)
            yield pa.RecordBatchReader.from_batches(reader.schema, batches)
    finally:
        con.close()  # an open result owns the connection, so every query has one of its own


def query(
    store: Store,
    sql: str,
    *,
    corpus: str = "corpus",
    timeout: float = 60.0,
    max_rows: int | None = None,
    max_bytes: int = MAX_BYTES,
    memory_limit: str = "512MB",
    threads: int | None = None,
) -> pa.Table:
    """The whole result of one SELECT; as `stream`, and QueryLimit when it is larger than `max_bytes` in memory."""
    kept: list[pa.RecordBatch] = []
    size = 0
    with stream(
        store, sql, corpus=corpus, timeout=timeout, max_rows=max_rows, memory_limit=memory_limit, threads=threads
    ) as batches:
        for batch in batches:
            kept.append(batch)
            size += batch.nbytes
            if size > max_bytes:
                cause = f"the result is larger than {max_bytes} bytes"
                raise QueryLimit("query", shortened(sql), cause, "select fewer rows or columns, or stream it to a file")
        return pa.Table.from_batches(kept, batches.schema)


def scratch(folder: Path | None, *, memory_limit: str) -> duckdb.DuckDBPyConnection:
    """An unlocked connection for work of our own: it spills into `folder` and keeps its tables there, or, without
    one, in memory. What is left in the folder is the caller's to delete."""
    if folder is None:
        return _configured(":memory:", Path(tempfile.gettempdir()) / f"thresher-{uuid.uuid4().hex}", memory_limit)
    return _configured(str(folder / "scratch.duckdb"), folder / "spill", memory_limit)


def _open(views: Mapping[str, View], memory_limit: str, threads: int | None) -> duckdb.DuckDBPyConnection:
    spill = Path(tempfile.gettempdir()) / f"thresher-sql-{uuid.uuid4().hex}"
    con = _configured(":memory:", spill, memory_limit, threads)
    con.execute(f"SET max_temp_directory_size = '{MAX_SPILL}'")
    con.execute(f"SET allowed_paths = {listed([file for view in views.values() for file in view.files])}")
    for table, view in views.items():
        con.execute(f"CREATE VIEW {table} AS {view.select}")
    con.execute("CREATE MACRO id_hex(id) AS lower(hex(id))")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")
    return con


def _configured(database: str, spill: Path, memory_limit: str, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "temp_directory": str(spill),  # made when it is needed, removed when the connection closes
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
        "allow_persistent_secrets": False,
        "python_enable_replacements": False,  # else an unknown table is looked for among the caller's variables
    }
    if threads is not None:
        settings["threads"] = threads
    con = duckdb.connect(database, config=settings)
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET parquet_metadata_cache = true")  # a view opens every shard; its scan need not do so again
    return con


@contextmanager
def _interrupted_after(con: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, con.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # it may be interrupting at this moment, and the connection is about to be closed


def _read(reader: pa.RecordBatchReader, sql: str, shards: Sequence[str]) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            return
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise translated(error, sql, shards) from error
        yield batch


def _limited(
    batches: Iterator[pa.RecordBatch], sql: str, deadline: float, max_rows: int | None
) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in batches:
        rows += len(batch)
        if max_rows is not None and rows > max_rows:
            raise QueryLimit("query", shortened(sql), f"more than {max_rows} rows", "add a LIMIT, or allow more rows")
        if time.monotonic() > deadline:  # an interrupt between two batches finds nothing to stop
            raise QueryLimit("query", shortened(sql), "it took too long", "narrow it, or give it more time")
        yield batch
