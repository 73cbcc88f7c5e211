"""A keyed shuffle of 0..n-1: a training run's order is (key, n) and nothing else, so resuming needs no saved buffer.

The places are sorted by a bijective 64-bit hash, so no two tie and every library that can sort gives the same order.
The numbers are part of the reader's contract: a change here reorders every run that is under way, so it needs a new
FORMAT in storage/dataset.py.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def shuffled(n: int, key: bytes) -> Indices:
    """0..n-1 in the order that `key` names: int64, uniform over keys as far as a 64-bit seed reaches."""
    seed = np.frombuffer(hashlib.sha256(key).digest()[:8], dtype="<u8")[0]
    return np.argsort(_split_mix(seed, n)).astype(np.int64)


def _split_mix(seed: np.uint64, n: int) -> npt.NDArray[np.uint64]:
    """The first n outputs of SplitMix64 (Steele, Lea and Flood 2014): one for each state, so all different."""
    values = seed + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
