"""Counting words and repeated n-grams over UTF-8 bytes, compiled: plain Python does 1,000 texts of 5 kB a second.

n-grams are compared by 64-bit hashes of their words: for two of a text's 100,000 to collide has a chance below 1e-9.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

SPACE, ALNUM, ALPHA, SINGLE, MARK = 1, 2, 4, 8, 16
"""Flags of a code point; SINGLE: a letter of a script without spaces, a word of its own with the marks after it."""

TOPS: Final = (2, 3, 4)
DUPLICATES: Final = (5, 6, 7, 8, 9, 10)
COLUMNS: Final = 4 + len(TOPS) + len(DUPLICATES)
"""Of a row of counts: words, words with a letter or digit, their characters, words with a letter; n-grams at 2 + n."""

_FIRST_DUPLICATE, _LAST = DUPLICATES[0], DUPLICATES[-1]


@compiled
def _words(data: Bytes, start: int, stop: int, classes: Bytes, hashes: Hashes, chars: Numbers, row: Numbers) -> int:
    """Hash and measure the words of data[start:stop] (UTF-8), fill row[:4]; their number."""
    words = 0
    at = start
    inside, single = False, False
    flags = np.int64(0)  # of all characters of the word so far
    while at < stop:
        lead = np.int64(data[at])
        width = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
        code = lead if width == 1 else lead & (0xFF >> (width + 1))
        for k in range(1, width):
            code = (code << 6) | (np.int64(data[at + k]) & 0x3F)
        kind = np.int64(classes[code])
        space = (kind & SPACE) != 0
        new = (kind & SINGLE) != 0 or (single and (kind & MARK) == 0) or not inside
        if inside and (space or new):
            row[1] += flags & ALNUM != 0
            row[2] += chars[words - 1] if flags & ALNUM else 0
            row[3] += flags & ALPHA != 0
            inside = False
        if not space:
            if new:
                words += 1
                hashes[words - 1] = 0xCBF29CE484222325
                chars[words - 1] = 0
                inside, single, flags = True, kind & SINGLE != 0, np.int64(0)
            value = hashes[words - 1]
            for k in range(width):
                value = (value ^ np.uint64(data[at + k])) * np.uint64(0x100000001B3)  # FNV-1a
            hashes[words - 1] = value
            chars[words - 1] += 1
            flags |= kind
        at += width
    if inside:
        row[1] += flags & ALNUM != 0
        row[2] += chars[words - 1] if flags & ALNUM else 0
        row[3] += flags & ALPHA != 0
    row[0] = words
    return words


@compiled
def _slot(key: np.uint64, keys: Hashes, stamps: Numbers, stamp: int, mask: int) -> np.int64:
    """Where `key` is or belongs in the open hash table; a slot with another stamp is free."""
    spread = (key ^ (key >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
    at = np.int64(spread >> np.uint64(24)) & mask
    while stamps[at] == stamp and keys[at] != key:
        at = (at + 1) & mask
    return at


@compiled
def _top(grams: Hashes, lengths: Numbers, number: int, n: int, keys: Hashes, stamps: Numbers, stamp: int) -> np.int64:
    """Characters (with spaces) of the most frequent of `number` n-grams times its occurrences; ties go to the first."""
    mask = keys.size - 1
    counts, slots = np.zeros(keys.size, np.int64), np.empty(number, np.int64)
    most = np.int64(0)
    for i in range(number):
        at = _slot(grams[i], keys, stamps, stamp, mask)
        stamps[at], keys[at], slots[i] = stamp, grams[i], at
        counts[at] += 1
        most = max(most, counts[at])
    for i in range(number):
        if counts[slots[i]] == most:
            return np.int64(most * (lengths[i] + n - 1))
    return np.int64(0)


@compiled
def _duplicated(
    grams: Hashes, lengths: Numbers, number: int, n: int, keys: Hashes, stamps: Numbers, stamp: int
) -> np.int64:
    """Characters of n-grams that occurred before; after one, the search goes on behind it."""
    mask = keys.size - 1
    total, i = np.int64(0), 0
    while i < number:
        at = _slot(grams[i], keys, stamps, stamp, mask)
        if stamps[at] == stamp:
            total += lengths[i]
            i += n
        else:
            stamps[at], keys[at] = stamp, grams[i]
            i += 1
    return total


@compiled
def count(data: Bytes, ends: Numbers, classes: Bytes, table: Numbers) -> None:
    """Fill table[i] (COLUMNS numbers, 0 before) for every text data[ends[i]:ends[i + 1]]."""
    most = 1  # words of any of the texts: letters of one byte have a space between words, the others have three bytes
    for i in range(table.shape[0]):
        most = max(most, (ends[i + 1] - ends[i]) // 2 + 1)
    hashes, grams = np.empty(most, np.uint64), np.empty(most, np.uint64)
    chars, lengths = np.empty(most, np.int64), np.empty(most, np.int64)
    keys, stamps, stamp = np.empty(4, np.uint64), np.zeros(4, np.int64), 0
    for i in range(table.shape[0]):
        row = table[i]
        words = _words(data, ends[i], ends[i + 1], classes, hashes, chars, row)
        if keys.size < 2 * words:
            size = keys.size
            while size < 2 * words:
                size *= 2
            keys, stamps = np.empty(size, np.uint64), np.zeros(size, np.int64)
        grams[:words] = hashes[:words]
        lengths[:words] = chars[:words]
        for n in range(2, min(words, _LAST) + 1):
            number = words - n + 1
            for k in range(number):  # the n-gram at k is the (n-1)-gram there and one word more
                grams[k] = (grams[k] ^ (grams[k] >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9) + hashes[k + n - 1]
                lengths[k] += chars[k + n - 1]
            stamp += 1
            if n < _FIRST_DUPLICATE:
                row[2 + n] = _top(grams, lengths, number, n, keys, stamps, stamp)
            else:
                row[2 + n] = _duplicated(grams, lengths, number, n, keys, stamps, stamp)
