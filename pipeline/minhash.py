"""The MinHash signature of a text: datasketch's `affine32` numbers, computed over whole Arrow columns.

Invariant: a signature equals to the bit what datasketch 2.0 makes of `pipeline.tokens.shingles(text)` with
num_perm=112, seed=1 and the hash below; a test compares them. datasketch itself calls Python once per shingle.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.compiled import compiled, inlined
from pipeline.tokens import MARKS, SHINGLE, SPLIT
from storage.schema import SIGNATURE

PERMUTATIONS: Final = 112
SEED: Final = 1

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint32]
Offsets = npt.NDArray[np.int64]

_OTHER, _WORD, _SINGLE, _MARK = 0, 1, 2, 3
"""What a character is to a token: nothing, part of a word, a token of its own, a mark that joins what it follows."""

_BATCH_BYTES: Final = 8 * 1024 * 1024


def signatures(text: pa.Array | pa.ChunkedArray) -> pa.FixedSizeBinaryArray:
    """The signature of every text: 448 bytes, 112 little-endian uint32; null for null.

    Shingles are those of `pipeline.tokens.shingles`, hashed as MurmurHash3_x86_32 of their UTF-8 bytes with seed 0.
    A text without tokens has the signature of the empty set: all bits set.
    """
    rows = np.full((len(text), PERMUTATIONS), 0xFFFFFFFF, np.uint32)
    classes, (factors, offsets) = _classes(), _permutations()
    start = 0
    while start < len(text):
        batch, stop = _lowered(text, start)
        ends = np.zeros(len(batch) + 1, np.int64)
        np.cumsum([len(item) for item in batch], out=ends[1:])
        data = np.frombuffer(b"".join(batch), np.uint8)
        # Joined tokens are at most twice as long as the text: a space after each.
        _sign(data, ends, classes, factors, offsets, np.empty(2 * _longest(ends) + 8, np.uint8), rows[start:stop])
        start = stop
    values = pa.FixedSizeBinaryArray.from_buffers(SIGNATURE, len(text), [None, pa.py_buffer(_little_endian(rows))])
    return pa.array(values.to_pylist(), SIGNATURE, mask=np.asarray(text.is_null())) if text.null_count else values


def _lowered(text: pa.Array | pa.ChunkedArray, start: int) -> tuple[list[bytes], int]:
    """Some texts from `start`, in lower case as UTF-8, and where the next ones start."""
    batch: list[bytes] = []
    size = 0
    for stop in range(start, len(text)):
        item = (text[stop].as_py() or "").lower().encode()
        batch.append(item)
        size += len(item)
        if size >= _BATCH_BYTES:
            break
    return batch, start + len(batch)


def _longest(ends: Offsets) -> int:
    return int(np.diff(ends).max())


def _little_endian(rows: Words) -> Words:
    return rows if sys.byteorder == "little" else rows.byteswap()


@cache
def _permutations() -> tuple[Words, Words]:
    """The factors (odd) and offsets of `affine32`, as datasketch 2.0 draws them from the seed."""
    draw = np.random.RandomState(SEED)
    factors = draw.randint(0, 1 << 31, PERMUTATIONS, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return factors, draw.randint(0, 1 << 32, PERMUTATIONS, dtype=np.uint32)


@cache
def _classes() -> Bytes:
    """The class of every code point, by the same definitions as `pipeline.tokens`."""
    table = np.zeros(sys.maxunicode + 1, np.uint8)
    assigned = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x40000))))  # no word character above plane 3
    for word in re.finditer(r"\w+", assigned):
        first, last = ord(assigned[word.start()]), ord(assigned[word.end() - 1])
        table[first : last + 1] = _WORD
    for first, last in SPLIT:
        split = table[first : last + 1]
        split[split == _WORD] = _SINGLE
    for first, last in MARKS:
        table[first : last + 1] = _MARK
    return table


@inlined
def _mixed(value: np.uint32) -> np.uint32:
    """The finaliser of MurmurHash3."""
    value = np.uint32(value ^ (value >> np.uint32(16)))
    value = np.uint32(value * np.uint32(0x85EBCA6B))
    value = np.uint32(value ^ (value >> np.uint32(13)))
    value = np.uint32(value * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))


@inlined
def _scrambled(word: np.uint32) -> np.uint32:
    word = np.uint32(word * np.uint32(0xCC9E2D51))
    word = np.uint32((word << np.uint32(15)) | (word >> np.uint32(17)))
    return np.uint32(word * np.uint32(0x1B873593))


@compiled
def _murmur(data: Bytes, start: int, stop: int) -> np.uint32:
    """MurmurHash3_x86_32 of data[start:stop], seed 0."""
    state = np.uint32(0)
    at = start
    while at + 4 <= stop:
        word = np.uint32(data[at]) | np.uint32(np.uint32(data[at + 1]) << np.uint32(8))
        word |= np.uint32(np.uint32(data[at + 2]) << np.uint32(16)) | np.uint32(
            np.uint32(data[at + 3]) << np.uint32(24)
        )
        state = np.uint32(state ^ _scrambled(np.uint32(word)))
        state = np.uint32((state << np.uint32(13)) | (state >> np.uint32(19)))
        state = np.uint32(state * np.uint32(5) + np.uint32(0xE6546B64))
        at += 4
    tail = np.uint32(0)
    for back in range(stop - 1, at - 1, -1):
        tail = np.uint32((tail << np.uint32(8)) | np.uint32(data[back]))
    state = np.uint32(state ^ _scrambled(tail))
    return _mixed(np.uint32(state ^ np.uint32(stop - start)))


@compiled
def _joined(data: Bytes, start: int, stop: int, classes: Bytes, out: Bytes, begins: Offsets, ends: Offsets) -> int:
    """Write the tokens of data[start:stop] (UTF-8, lower case) to `out`, one space between them; their number."""
    count, size, at = 0, 0, start
    inside = _OTHER  # class of the token that is being written
    while at < stop:
        lead = np.int64(data[at])
        if lead < 0x80:
            width, code = 1, lead
        elif lead < 0xE0:
            width, code = 2, ((lead & 0x1F) << 6) | (data[at + 1] & 0x3F)
        elif lead < 0xF0:
            width = 3
            code = ((lead & 0x0F) << 12) | ((np.int64(data[at + 1]) & 0x3F) << 6) | (data[at + 2] & 0x3F)
        else:
            width = 4
            code = ((lead & 0x07) << 18) | ((np.int64(data[at + 1]) & 0x3F) << 12)
            code |= ((np.int64(data[at + 2]) & 0x3F) << 6) | (data[at + 3] & 0x3F)
        kind = classes[code]
        continues = (kind == _WORD and inside == _WORD) or (kind == _MARK and inside != _OTHER)
        if not continues:
            if inside != _OTHER:
                ends[count - 1] = size
                out[size] = 32
                size += 1
            inside = kind if kind in (_WORD, _SINGLE) else _OTHER
            if inside != _OTHER:
                begins[count] = size
                count += 1
        if inside != _OTHER:
            for k in range(width):
                out[size + k] = data[at + k]
            size += width
        at += width
    if inside != _OTHER:
        ends[count - 1] = size
    return count


@compiled
def _sign(data: Bytes, texts: Offsets, classes: Bytes, factors: Words, offsets: Words, out: Bytes, rows: Words) -> None:
    """Fill rows[i], all ones before, with the minima over the shingles of data[texts[i]:texts[i + 1]]."""
    begins = np.empty(out.size, np.int64)
    ends = np.empty(out.size, np.int64)
    for i in range(texts.size - 1):
        count = _joined(data, texts[i], texts[i + 1], classes, out, begins, ends)
        width = min(SHINGLE, count)
        for first in range(count - width + 1 if count else 0):
            value = _mixed(_murmur(out, begins[first], ends[first + width - 1]))
            row = rows[i]
            for k in range(factors.size):
                row[k] = min(row[k], np.uint32(factors[k] * value + offsets[k]))
