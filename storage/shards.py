"""The one writer and the one reader of shards: same rows, same bytes, on one set of pins.

Every choice that changes bytes is fixed here and is part of the store format (README.md, "Shards"): schema, order,
chunks, row groups, encodings, compression. A golden test holds them. Readers cast to the declared schema, because
`store_schema=False`, which makes `string` and `large_string` the same bytes, brings `string` back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage import canonical
from storage.canonical import JSON
from storage.errors import BlobMissing, Corrupt, NotFound, ThresherError
from storage.manifest import Shard
from storage.rows_id import lthash
from storage.schema import BLOOM_COLUMNS, SORT_KEYS, TABLES

ROW_GROUP_ROWS: Final = 4096
"""Pages of the web have about 5 kB of text, so a row group is about 20 MB: a training reader holds several at a time,
and DuckDB still has several per shard to skip and to share among threads."""

MAX_TEXT_BYTES: Final = 1 << 31
"""Of one column: a reader that takes `string` for what it says has 32-bit offsets."""

_SELDOM_REPEATED: Final = frozenset(
    {"capture_id", "capture_id_a", "capture_id_b", "doc_id", "page_id", "signature", "text", "title", "url"}
)
"""A dictionary of these would be as large as the values."""


def canonical_rows(table: str, rows: pa.Table) -> pa.Table:
    """The rows in the declared schema and order, each column in one chunk.

    ValueError when columns are missing, unknown or of a type that does not fit.
    """
    schema = schema_of(table)
    if set(rows.schema.names) != set(schema.names) or rows.num_columns != len(schema):
        missing, unknown = set(schema.names) - set(rows.schema.names), set(rows.schema.names) - set(schema.names)
        raise ValueError(f"rows of {table}: columns missing {sorted(missing)}, unknown {sorted(unknown)}")
    rows = rows.select(schema.names).cast(schema).combine_chunks()
    for name in schema.names:
        if rows[name].nbytes >= MAX_TEXT_BYTES:
            cause = f"column {name} has {rows[name].nbytes} bytes, a shard holds less than {MAX_TEXT_BYTES}"
            raise ThresherError("write shard", table, cause, "write the rows as several shards")
    keys = SORT_KEYS[table]
    rows = _sorted(rows, keys)
    if _has_ties(rows, keys):  # the other columns decide, so that the order is total
        rows = _sorted(rows, [*keys, *(name for name in schema.names if name not in keys)])
    return rows


def _sorted(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    order = pc.sort_indices(rows, sort_keys=[(key, "ascending", "at_end") for key in keys])
    if np.array_equal(order.to_numpy(), np.arange(len(order), dtype=np.uint64)):
        return rows
    return rows.take(order).combine_chunks()


def _has_ties(rows: pa.Table, keys: Sequence[str]) -> bool:
    """Whether two rows that are neighbours have the same keys."""
    if rows.num_rows < 2:
        return False
    same = np.ones(rows.num_rows - 1, dtype=bool)
    for key in keys:
        column = rows[key].chunk(0)
        above, below = column.slice(0, len(column) - 1), column.slice(1)
        equal = pc.or_(pc.equal(above, below).fill_null(False), pc.and_(above.is_null(), below.is_null()))
        same &= equal.to_numpy(zero_copy_only=False)
    return bool(same.any())


def schema_of(table: str) -> pa.Schema:
    """The declared schema; NotFound for a table that there is not."""
    if table not in TABLES:
        raise NotFound("open", f"table {table}", f"the tables are {', '.join(TABLES)}")
    return TABLES[table]


def encode(table: str, rows: pa.Table) -> bytes:
    """The bytes of a shard of canonical rows."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        rows,
        sink,
        row_group_size=ROW_GROUP_ROWS,
        version="2.6",
        data_page_version="1.0",
        data_page_size=1 << 20,
        max_rows_per_page=20_000,
        write_batch_size=1024,
        use_dictionary=[name for name in rows.schema.names if name not in _SELDOM_REPEATED],
        dictionary_pagesize_limit=1 << 20,
        compression="zstd",
        compression_level=3,
        write_statistics=True,
        write_page_index=False,
        write_page_checksum=True,
        store_schema=False,
        bloom_filter_options={
            name: {"ndv": min(ROW_GROUP_ROWS, max(1, rows.num_rows)), "fpp": 0.01} for name in BLOOM_COLUMNS[table]
        }
        or None,
    )
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def describe(table: str, rows: pa.Table, data: bytes, covers: Sequence[str]) -> Shard:
    """The entry of a shard of canonical rows and the bytes that they were encoded to."""
    return Shard(
        digest=hashlib.sha256(data).hexdigest(),
        rows=rows.num_rows,
        bytes=len(data),
        lthash=lthash(rows),
        first=_key(table, rows, 0) if rows.num_rows else {},
        last=_key(table, rows, rows.num_rows - 1) if rows.num_rows else {},
        covers=tuple(sorted(set(covers))),
    )


def _key(table: str, rows: pa.Table, index: int) -> dict[str, JSON]:
    values = {name: rows[name][index] for name in SORT_KEYS[table]}
    return {name: _json_value(value) for name, value in values.items()}


def _json_value(value: pa.Scalar) -> JSON:
    if not value.is_valid:
        return None
    if pa.types.is_timestamp(value.type):
        return canonical.format_time(value.as_py())
    plain = value.as_py()
    return plain.hex() if isinstance(plain, bytes) else plain


def scan(path: Path | str, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of one shard in its order, in the declared types; a column that is younger than the shard is null.

    BlobMissing, Corrupt (page checksums are compared), NotFound for an unknown column.
    """
    schema = schema_of(table)
    wanted = schema if columns is None else pa.schema([_field(schema, table, name) for name in columns])
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            there = [name for name in wanted.names if name in file.schema_arrow.names]
            for batch in file.iter_batches(ROW_GROUP_ROWS, columns=there):
                yield _cast(batch, wanted)
    except FileNotFoundError as error:
        raise BlobMissing("read shard", str(path), "there is no such blob", "run `thresher verify`") from error
    except (OSError, pa.ArrowException) as error:
        raise Corrupt("read shard", str(path), str(error), "run `thresher verify`") from error


def _field(schema: pa.Schema, table: str, name: str) -> pa.Field:
    if name not in schema.names:
        raise NotFound("read", f"column {name}", f"table {table} has {', '.join(schema.names)}")
    return schema.field(name)


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    there = set(batch.schema.names)
    arrays = [
        batch.column(field.name).cast(field.type) if field.name in there else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    if not arrays:
        return batch
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
