"""Text to MinHash signatures on one core, beside datasketch computing the same numbers from the same text."""

from __future__ import annotations

import re
import time

import pyarrow as pa
from datasketch import MinHash

import pipeline
from bench.inputs import texts
from bench.report import Entry, Report


def measure() -> Report:
    """Documents per second, tokenising included; ours is compiled before the clock starts."""
    name, documents = texts()
    size = sum(len(text.encode()) for text in documents)
    column = pa.array(documents, pa.large_string())
    pipeline.signatures(column.slice(0, 2))
    ours = _rate(lambda: pipeline.signatures(column), len(documents))
    sample = documents[:: max(1, len(documents) // 300)]
    theirs = _rate(lambda: [_datasketch(text) for text in sample], len(sample))
    megabytes = size / len(documents) / 1e6
    return Report(
        "signatures",
        "documents/s",
        f"{name}: {len(documents):,} documents, {size / 1e6:.1f} MB; 112 permutations, word 5-grams",
        Entry("thresher", ours, {"MB/s": round(ours * megabytes, 1)}),
        [Entry("datasketch 2.0 affine32", theirs, {"MB/s": round(theirs * megabytes, 2), "documents": len(sample)})],
    )


def _rate(work: object, documents: int) -> float:
    assert callable(work)
    started = time.perf_counter()
    work()
    return documents / (time.perf_counter() - started)


def _datasketch(text: str) -> MinHash:
    tokens = re.findall(r"\w+", text.lower())
    shingles = {" ".join(tokens[i : i + 5]).encode() for i in range(max(1, len(tokens) - 4))}
    sketch = MinHash(num_perm=112, scheme="affine32")
    sketch.update_batch(shingles)
    return sketch
