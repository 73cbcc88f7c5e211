"""From documents to survivors, removals and edges under one policy, in a scratch database.

Invariants: every document of the input ends in `survivors` or in `removals`, once; the three tables depend on the
set of documents and the policy, not on order, batches or threads. Python holds bounded batches; everything else
lies in DuckDB under its memory_limit.
"""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
import pyarrow as pa

from pipeline.dedup import scratch as work
from pipeline.dedup.candidates import propose
from pipeline.dedup.ledger import enter
from pipeline.dedup.loading import load
from pipeline.dedup.order import rank
from pipeline.dedup.resolve import resolve
from pipeline.dedup.selection import select
from pipeline.dedup.verify import Texts, verify
from pipeline.policy import Policy


def publish(
    documents: Iterable[pa.RecordBatch], policy: Policy, texts: Texts, scratch: duckdb.DuckDBPyConnection
) -> None:
    """Decide about every document and leave three tables in `scratch`, replacing tables of these names.

    `survivors` (capture_id, cluster_size, serves_train, serves_input, serves_search), `removals` (REMOVALS) and
    `edges` (EDGES), unsorted, ids as BLOB. Nothing else stays behind.

    Args:
        documents: columns of table documents, one row per capture; text is not needed.
        policy: what passes and who survives.
        texts: capture_ids (binary array) -> table (capture_id, text). Called with at most some 32,000 ids (32 million
            characters) at a time, in about the order in which the documents came; hardly any id twice.
        scratch: set its memory_limit and temp_directory; an on-disk database bounds memory best.

    Raises:
        NotFound: a needed column or a text is missing.
        Corrupt: a capture_id is missing or occurs twice.
    """
    work.start(scratch)
    load(scratch, documents, policy)
    select(scratch, policy)
    deduplicate(scratch, policy, texts)
    work.finish(scratch)


def deduplicate(scratch: duckdb.DuckDBPyConnection, policy: Policy, texts: Texts) -> None:
    """Settle `work.members`: exact copies and near duplicates within each use, every near one verified on its text."""
    walks = rank(scratch, policy)
    propose(scratch, policy, walks)
    verify(scratch, policy, texts)
    resolve(scratch, policy, walks)
    enter(scratch, walks)
