"""Documents on their way into the scratch database: only the columns that a policy looks at, never the text.

Invariant: one row per capture_id, numbered by arrival. The number names a row inside one publish and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa

from pipeline.dedup import scratch as work
from pipeline.policy import Policy
from storage.errors import Corrupt, NotFound
from storage.schema import SIGNATURE, TIME

NEEDED: Final = ("capture_id", "doc_id", "url", "fetched_at", "signature")
OPTIONAL: Final[dict[str, pa.DataType]] = {
    "chars": pa.int64(),
    "lang": pa.string(),
    "rights_train": pa.bool_(),
    "rights_input": pa.bool_(),
    "rights_search": pa.bool_(),
}
"""Columns that are null, not known, where they are absent; so are measures."""

_ROWS: Final = 50_000
"""Rows per insert: about 30 MB, mostly signatures."""


def load(scratch: duckdb.DuckDBPyConnection, documents: Iterable[pa.RecordBatch], policy: Policy) -> None:
    """Fill `work.documents`: row, NEEDED (fetched_at in microseconds), OPTIONAL, the policy's measures as doubles.

    Raises:
        NotFound: a needed column is missing.
        Corrupt: a capture_id is missing or occurs twice: whatever names rows twice deletes the wrong ones.
    """
    measures = sorted({rule.measure for rule in policy.thresholds} - {"chars"})
    columns = ", ".join(
        [
            "row BIGINT, capture_id BLOB, doc_id BLOB, url VARCHAR, fetched_at BIGINT, signature BLOB, chars BIGINT",
            "lang VARCHAR, rights_train BOOLEAN, rights_input BOOLEAN, rights_search BOOLEAN",
            *(f"{measure} DOUBLE" for measure in measures),
        ]
    )
    scratch.execute(f"CREATE TABLE work.documents ({columns})")
    arrived = 0
    for part in _gathered(documents):
        work.append(scratch, "work.documents", _selected(part, arrived, measures))
        arrived += part.num_rows
    _check_unique(scratch)


def _gathered(documents: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The same rows in tables of at least `_ROWS`, but for the last."""
    held: list[pa.RecordBatch] = []
    for batch in documents:
        held.append(batch)
        if sum(part.num_rows for part in held) >= _ROWS:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def _selected(part: pa.Table, arrived: int, measures: list[str]) -> pa.Table:
    missing = [name for name in NEEDED if name not in part.column_names]
    if missing:
        raise NotFound("publish", "documents", f"no column {', '.join(missing)}", "it takes rows of table documents")
    taken = {
        "row": pa.array(np.arange(arrived, arrived + part.num_rows)),
        "capture_id": part["capture_id"].cast(pa.binary()),
        "doc_id": part["doc_id"].cast(pa.binary()),
        "url": part["url"],
        "fetched_at": part["fetched_at"].cast(TIME).cast(pa.int64()),
        "signature": part["signature"].cast(SIGNATURE).cast(pa.binary()),
    }
    wanted = {**OPTIONAL, **dict.fromkeys(measures, pa.float64())}
    for name, kind in wanted.items():
        known = name in part.column_names
        taken[name] = part[name].cast(kind) if known else pa.nulls(part.num_rows, kind)
    return pa.table(taken)


def _check_unique(scratch: duckdb.DuckDBPyConnection) -> None:
    query = (
        "SELECT capture_id FROM work.documents GROUP BY capture_id HAVING count(*) > 1 OR capture_id IS NULL LIMIT 1"
    )
    for (capture,) in scratch.execute(query).fetchall():
        cause = "a row has no capture_id" if capture is None else f"capture {capture.hex()} occurs twice"
        hint = "each capture is cleaned once per recipe: give one documents snapshot"
        raise Corrupt("publish", "documents", cause, hint)
