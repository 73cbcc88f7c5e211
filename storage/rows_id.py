"""Whether two tables hold the same rows, as one number: LtHash, a sum over hashes of single rows.

It does not depend on order, batching, sharding, history or the version of any file format, and rows can be added to
and taken from it. The bytes that are hashed are specified in README.md, with test vectors.
Invariant: adding a column that is null in every row changes nothing.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

LANES: Final = 1024
STATE_BYTES: Final = 2 * LANES
"""1,024 little-endian uint16. LtHash16 with 1,024 lanes is the form of Lewi et al. 2019 (eprint 2019/227), which
puts finding other rows with the same sum at 200 bits of security."""

ZERO: Final = bytes(STATE_BYTES)
"""The state of no rows."""

_SLICE_ROWS: Final = 1024
_SLICE_BYTES: Final = 32 << 20
"""The canonical bytes of at most so many rows exist at a time: 2 MiB of hashes stay in the cache of a core."""

_NAN: Final = 0x7FF8000000000000
Bytes2D = npt.NDArray[np.uint8]


def lthash(rows: pa.Table) -> bytes:
    """State of a table: 2,048 bytes. TypeError for a column type that the format does not know."""
    total = np.zeros(LANES, dtype="<u2")
    for piece in _slices(rows):
        encoded = row_bytes(piece)
        offsets = np.frombuffer(encoded.buffers()[1], "<i8", len(encoded) + 1, encoded.offset * 8).tolist()
        data = memoryview(encoded.buffers()[2] or b"")
        hashes = b"".join(
            [hashlib.shake_128(data[start:end]).digest(STATE_BYTES) for start, end in itertools.pairwise(offsets)]
        )
        total += np.add.reduce(np.frombuffer(hashes, "<u2").reshape(-1, LANES), axis=0, dtype="<u2")
    return total.tobytes()


def add(a: bytes, b: bytes) -> bytes:
    """State of the rows of both."""
    return (_lanes(a) + _lanes(b)).tobytes()


def subtract(a: bytes, b: bytes) -> bytes:
    """State of the rows of `a` without those of `b`."""
    return (_lanes(a) - _lanes(b)).tobytes()


def rows_id(state: bytes) -> str:
    """SHA-256 of a state, 64 hex digits: what is shown and compared."""
    return hashlib.sha256(_lanes(state).tobytes()).hexdigest()


def row_bytes(rows: pa.RecordBatch) -> pa.LargeBinaryArray:
    """Canonical bytes of each row: what SHAKE-128 is fed with."""
    cells: list[pa.Array] = []
    for name in sorted(rows.schema.names, key=str.encode):
        cells += _cells(name, rows.column(name))
    empty = pa.scalar(b"", pa.large_binary())
    if not cells:
        return pa.array([b""] * rows.num_rows, pa.large_binary())
    return pc.binary_join_element_wise(*cells, empty, null_handling="skip")


def _slices(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    if rows.num_rows == 0:
        return
    step = max(1, min(_SLICE_ROWS, _SLICE_BYTES * rows.num_rows // max(1, rows.nbytes)))
    for start in range(0, rows.num_rows, step):
        yield from rows.slice(start, step).combine_chunks().to_batches()


def _lanes(state: bytes) -> npt.NDArray[np.uint16]:
    if len(state) != STATE_BYTES:
        raise ValueError(f"a state has {STATE_BYTES} bytes, not {len(state)}")
    return np.frombuffer(state, "<u2")


def _cells(name: str, column: pa.Array) -> list[pa.Array]:
    """A column as cells of `u16 length + name + tag + u64 length + value`; null cells where the column is null."""
    if pa.types.is_null(column.type):
        return []
    tag, fixed = _fixed(column)
    if fixed is not None:
        head = _head(name, tag) + fixed.shape[1].to_bytes(8, "little")
        return [_joined(head, fixed, column)]
    tag, values = _varying(column)
    lengths = pc.binary_length(values).fill_null(0).to_numpy(zero_copy_only=False)
    return [_joined(_head(name, tag), _eight_bytes(lengths), column), values]


def _head(name: str, tag: bytes) -> bytes:
    encoded = name.encode()
    return len(encoded).to_bytes(2, "little") + encoded + tag


def _fixed(column: pa.Array) -> tuple[bytes, Bytes2D | None]:
    """Tag and value bytes, one row each, of a column whose values all have one length; None for any other."""
    kind = column.type
    if pa.types.is_boolean(kind):
        values = column.cast(pa.uint8()).fill_null(0).to_numpy(zero_copy_only=False)
        return b"b", values.reshape(-1, 1)
    if pa.types.is_signed_integer(kind):
        return b"i", _eight_bytes(_int64(column))
    if pa.types.is_timestamp(kind):
        return b"t", _eight_bytes(_int64(column.cast(pa.timestamp("us", kind.tz))))
    if pa.types.is_float64(kind):
        values = column.fill_null(0.0).to_numpy(zero_copy_only=False) + 0.0  # -0.0 + 0.0 is 0.0
        bits = values.astype("<f8").view("<u8")
        return b"f", _eight_bytes(np.where(np.isnan(values), np.uint64(_NAN), bits))
    return b"", None


def _varying(column: pa.Array) -> tuple[bytes, pa.Array]:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return b"s", column.cast(pa.large_string()).cast(pa.large_binary())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return b"x", column.cast(pa.large_binary())
    if pa.types.is_fixed_size_binary(kind):
        return b"x", column.cast(pa.binary()).cast(pa.large_binary())
    raise TypeError(f"rows_id knows no columns of type {kind}")


def _int64(column: pa.Array) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return values


def _eight_bytes(values: npt.NDArray[Any]) -> Bytes2D:
    little = np.ascontiguousarray(values, dtype=np.dtype(values.dtype.kind + "8").newbyteorder("<"))
    return little.view(np.uint8).reshape(-1, 8)


def _joined(head: bytes, values: Bytes2D, column: pa.Array) -> pa.Array:
    """`head` before each row of `values`, null where `column` is null."""
    count, width = values.shape
    cells = np.empty((count, len(head) + width), dtype=np.uint8)
    cells[:, : len(head)] = np.frombuffer(head, np.uint8)
    cells[:, len(head) :] = values
    offsets = np.arange(0, (count + 1) * cells.shape[1], cells.shape[1], dtype=np.int64)
    whole = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(cells)]
    )
    return whole if column.null_count == 0 else pc.if_else(column.is_valid(), whole, None)
