"""Who stays: a walk over the verified pairs in survivor order, one for each use.

Invariant: a document falls only to one that was verified against it and that itself stays for that use. What is
connected only through others stays: similarity is not transitive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import duckdb
import pyarrow as pa

from pipeline.dedup import scratch as work
from pipeline.dedup.order import Walks
from pipeline.policy import Policy
from storage.schema import Use

FALLEN: Final = pa.schema(
    [
        ("doc", pa.int64()),
        ("survivor", pa.int64()),
        ("reason", pa.string()),
        ("bands", pa.int16()),
        ("jaccard", pa.float64()),
        ("containment", pa.float64()),
    ]
)

_ROWS: Final = 50_000


def resolve(scratch: duckdb.DuckDBPyConnection, policy: Policy, walks: Walks) -> None:
    """Leave for each walk `work.fallen_<use>`: documents that fall, by number, with survivor and evidence."""
    [(numbers,)] = scratch.execute("SELECT count(*) FROM work.documents").fetchall()
    for use in walks:
        work.create(scratch, f"work.fallen_{use}", FALLEN)
        for fallen in _walk(work.read(scratch, _verified(policy, use), _ROWS), bytearray(numbers)):
            work.append(scratch, f"work.fallen_{use}", fallen)


def _verified(policy: Policy, use: Use) -> str:
    """SQL: the pairs of a use in the order of the walk.

    The later document of a pair can fall to the earlier: as near, else as contained if it is the smaller one. All
    pairs of a later document stand together: the best first, equals by order.
    """
    near = f"jaccard >= {float(policy.near)!r}::DOUBLE"
    return f"""
        WITH pairs AS (
            SELECT CASE WHEN x.rank > y.rank THEN a ELSE b END AS later,
                   CASE WHEN x.rank > y.rank THEN b ELSE a END AS earlier,
                   CASE WHEN x.rank > y.rank THEN size_a <= size_b ELSE size_b <= size_a END AS smaller,
                   greatest(x.rank, y.rank) AS turn, least(x.rank, y.rank) AS place,
                   CASE WHEN {near} THEN 'near' ELSE 'contained' END AS reason, bands, jaccard, containment
            FROM work.near JOIN work.firsts_{use} AS x ON x.doc = a JOIN work.firsts_{use} AS y ON y.doc = b)
        SELECT later AS doc, earlier AS survivor, reason, bands, jaccard, containment
        FROM pairs WHERE reason = 'near' OR smaller
        ORDER BY turn, reason = 'contained', CASE reason WHEN 'near' THEN jaccard ELSE containment END DESC, place"""


def _walk(pairs: Iterator[pa.RecordBatch], fell: bytearray) -> Iterator[pa.Table]:
    """Of each later document, the first pair whose earlier document has not fallen; `fell` is a flag per number."""
    for batch in pairs:
        taken: list[int] = []
        for k, (doc, survivor) in enumerate(zip(batch["doc"].to_pylist(), batch["survivor"].to_pylist(), strict=True)):
            if not fell[doc] and not fell[survivor]:
                fell[doc] = True
                taken.append(k)
        yield pa.Table.from_batches([batch]).take(pa.array(taken, pa.int64())).cast(FALLEN)
