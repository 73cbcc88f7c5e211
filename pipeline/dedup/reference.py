"""Deduplication of a table in memory: the code of `publish`, without selection, in a database of its own."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dedup import scratch as work
from pipeline.dedup.loading import load
from pipeline.dedup.publishing import deduplicate
from pipeline.dedup.selection import REMOVALS_TABLE, admit, denied_for_all
from pipeline.policy import Policy
from storage.errors import NotFound
from storage.schema import REMOVALS, SORT_KEYS


def duplicates(documents: pa.Table, policy: Policy) -> pa.Table:
    """See `pipeline.dedup.removals`."""
    if "text" not in documents.column_names:
        raise NotFound("compare", "documents", "no column text", "it takes rows of table documents, with their text")
    comparable = documents.filter(pc.is_valid(documents["text"]))
    ids = comparable["capture_id"].cast(pa.binary())

    def texts(wanted: pa.Array) -> pa.Table:
        rows = pc.is_in(ids, value_set=wanted)
        return pa.table({"capture_id": ids.filter(rows), "text": comparable["text"].filter(rows)})

    lengths = pc.utf8_length(comparable["text"])
    described = comparable.drop_columns([name for name in ("text", "chars") if name in comparable.column_names])
    described = described.append_column("chars", lengths)
    with duckdb.connect() as scratch:
        work.start(scratch)
        load(scratch, described.to_batches(), policy)
        scratch.execute(REMOVALS_TABLE)
        admit(scratch, f"doc_id IS NOT NULL AND NOT ({denied_for_all(policy)})")
        deduplicate(scratch, policy, texts)
        found = scratch.sql("SELECT * FROM removals").to_arrow_table()
    return found.cast(REMOVALS).sort_by([(key, "ascending") for key in SORT_KEYS["removals"]])
