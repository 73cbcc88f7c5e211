"""How much two texts have in common, exactly: the sets of their shingles, as 64-bit hashes.

Hashes build on Python's keyed string hash, whose key is new in each process: nobody can prepare texts that collide,
and by chance one pair in about 10^11 would be misjudged. They mean nothing outside this process.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.compiled import compiled
from pipeline.dedup.bands import Words64, fold
from pipeline.tokens import SHINGLE, tokens

Numbers = npt.NDArray[np.int64]


def shingle_hashes(text: str) -> Words64:
    """64-bit hashes of `pipeline.tokens.shingles(text)`: sorted, each once."""
    words = tokens(text)
    hashes = np.fromiter(map(hash, words), np.int64, len(words)).view(np.uint64)
    if not words:
        return hashes
    width = min(SHINGLE, len(words))
    # The width comes first: a text of three tokens is no prefix of a shingle.
    windows = (hashes[k : len(words) - width + 1 + k] for k in range(width))
    return np.unique(fold([np.uint64(width), *windows]))


def common(sets: Sequence[Words64], one: Numbers, other: Numbers) -> Numbers:
    """For each pair (sets[one[i]], sets[other[i]]) of sorted sets the number of shared elements."""
    counts = np.zeros(len(one), np.int64)
    if sets:
        ends = np.cumsum([0, *map(len, sets)], dtype=np.int64)
        _merge(np.concatenate(sets), ends, one, other, counts)
    return counts


@compiled
def _merge(elements: Words64, ends: Numbers, one: Numbers, other: Numbers, counts: Numbers) -> None:
    for pair in range(len(one)):
        left, left_end = ends[one[pair]], ends[one[pair] + 1]
        right, right_end = ends[other[pair]], ends[other[pair] + 1]
        while left < left_end and right < right_end:
            if elements[left] == elements[right]:
                counts[pair] += 1
                left += 1
                right += 1
            elif elements[left] < elements[right]:
                left += 1
            else:
                right += 1
