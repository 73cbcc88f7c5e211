"""Writes the rows of a result as a table for eyes, JSON, CSV or Parquet, batch by batch.

Ids and other bytes are lower-case hex, times ISO 8601 in UTC. What a web page wrote never reaches a terminal as a
control sequence: `table` and `json` show control characters and reordering marks escaped.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain, islice
from typing import IO, Final, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from rich.cells import cell_len, set_cell_size

from storage.errors import BadConfig, QueryRefused

Format = Literal["table", "json", "csv", "parquet"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

MIN_CELL: Final = 6
"""Terminal columns. When not even this is left for each column, rows are printed one below the other."""

MAX_SHOWN: Final = 2_000
"""Characters of a value that `table` looks at."""

# C0, DEL and C1 controls; marks that reorder, hide or isolate text.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_STANDS_FOR: Final = {"\n": "⏎", "\t": " ", "\r": "", "\u200b": ""}


def write(
    result: pa.Table | pa.RecordBatchReader, form: str, out: IO[bytes], *, width: int = 120, rows: int | None = 100
) -> int:
    """Write `result` to `out` in the format `form`; returns the rows written.

    `width` (terminal columns) and `rows` (how many are shown, None: all) are for `table` alone. json is an array of
    objects; a repeated column name gets a number. BadConfig for an unknown format, QueryRefused for a column type
    that Parquet does not know.
    """
    reader = result.to_reader() if isinstance(result, pa.Table) else result
    if form == "table":
        return _write_table(reader, out, width, rows)
    if form == "json":
        return _write_json(reader, out)
    if form == "csv":
        return _write_csv(reader, out)
    if form == "parquet":
        return _write_parquet(reader, out)
    raise BadConfig("write", form, "unknown format", f"one of {', '.join(FORMATS)}")


def plain(value: object) -> object:
    """`value`, as Arrow gives it to Python, in the terms of JSON."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime | date | time):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(plain(key)): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple) and type(value) in {list, tuple}:
        return [plain(each) for each in value]
    return str(value)


def _write_json(reader: pa.RecordBatchReader, out: IO[bytes]) -> int:
    names = _unique(reader.schema.names)
    written = 0
    for row in _rows(reader):
        text = json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, allow_nan=False)
        out.write(b",\n" if written else b"[\n")
        out.write(_UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text).encode())
        written += 1
    out.write(b"\n]\n" if written else b"[]\n")
    return written


def _write_csv(reader: pa.RecordBatchReader, out: IO[bytes]) -> int:
    schema = pa.schema([pa.field(name, pa.string()) for name in reader.schema.names])
    written = 0
    with pyarrow.csv.CSVWriter(out, schema) as sink:
        for batch in reader:
            columns = [pa.array([_cell(value) for value in column]) for column in _plain_columns(batch)]
            sink.write_batch(pa.record_batch([column.cast(pa.string()) for column in columns], schema))
            written += len(batch)
    return written


def _write_parquet(reader: pa.RecordBatchReader, out: IO[bytes]) -> int:
    written = 0
    try:
        with pq.ParquetWriter(out, reader.schema, compression="zstd") as sink:
            for batch in reader:
                sink.write_batch(batch)
                written += len(batch)
    except pa.ArrowNotImplementedError as error:
        raise QueryRefused("write", "parquet", str(error), "cast that column to VARCHAR") from error
    return written


def _write_table(reader: pa.RecordBatchReader, out: IO[bytes], width: int, limit: int | None) -> int:
    rows = _rows(reader)
    shown = [[_shown(value) for value in row] for row in islice(rows, limit)]
    more = next(rows, None) is not None
    names = [_shown(name) for name in reader.schema.names]
    widths = _widths([max(map(cell_len, column)) for column in zip(names, *shown, strict=True)], width)
    lines = _grid(names, shown, widths, _numeric(reader.schema)) if widths else _records(names, shown, width)
    end = (
        f"({len(shown)} rows shown, there are more)"
        if more
        else "(1 row)"
        if len(shown) == 1
        else f"({len(shown)} rows)"
    )
    for line in chain(lines, [end]):
        out.write(line.rstrip().encode() + b"\n")
    return len(shown)


def _grid(names: list[str], rows: list[list[str]], widths: list[int], right: list[bool]) -> Iterator[str]:
    yield "  ".join(_fitted(name, width, right=False) for name, width in zip(names, widths, strict=True))
    yield "  ".join("-" * width for width in widths)
    for row in rows:
        yield "  ".join(_fitted(*cell) for cell in zip(row, widths, right, strict=True))


def _records(names: list[str], rows: list[list[str]], width: int) -> Iterator[str]:
    name_width = max(map(cell_len, names))
    for row in rows:
        for name, value in zip(names, row, strict=True):
            room = max(width - name_width - 2, MIN_CELL)
            yield f"{set_cell_size(name, name_width)}  {_fitted(value, room, right=False)}"
        yield "-" * width


def _widths(natural: list[int], width: int) -> list[int]:
    """What each column gets of `width`: the wide ones give way, evenly; [] when there is no room for all."""
    room = width - 2 * (len(natural) - 1)
    if sum(min(each, MIN_CELL) for each in natural) > room:
        return []
    low, high = MIN_CELL, max(natural)
    while low < high:  # the largest cap under which all fit
        cap = (low + high + 1) // 2
        low, high = (cap, high) if sum(min(each, cap) for each in natural) <= room else (low, cap - 1)
    return [min(each, low) for each in natural]


def _fitted(text: str, width: int, right: bool) -> str:
    size = cell_len(text)
    if size > width:
        return set_cell_size(text, width - 1) + "…"
    return " " * (width - size) + text if right else text + " " * (width - size)


def _shown(value: object) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: _STANDS_FOR.get(match[0], "\ufffd"), text[:MAX_SHOWN])


def _rows(reader: pa.RecordBatchReader) -> Iterator[tuple[object, ...]]:
    for batch in reader:
        yield from zip(*_plain_columns(batch), strict=True)


def _plain_columns(batch: pa.RecordBatch) -> list[list[object]]:
    return [[plain(value) for value in _in_microseconds(column).to_pylist()] for column in batch.columns]


def _in_microseconds(column: pa.Array) -> pa.Array:
    """Python's times end at microseconds, and Arrow refuses to lose the rest silently."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        return pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
    return column


def _cell(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _numeric(schema: pa.Schema) -> list[bool]:
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return [any(is_kind(field.type) for is_kind in kinds) for field in schema]


def _unique(names: Iterable[str]) -> list[str]:
    """a, a, b -> a, a_2, b: an object has each key once."""
    unique: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in unique:
            number += 1
            candidate = f"{name}_{number}"
        unique.append(candidate)
    return unique
