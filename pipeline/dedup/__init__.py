"""Which documents a policy leaves out, and why: the only wing of this room that knows DuckDB.

`publish` (pipeline.dedup.publishing) is the scaled way; `removals` is the same code on a table in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.policy import Policy

__all__ = ["removals"]


def removals(documents: pa.Table, policy: Policy) -> pa.Table:
    """The duplicates in `documents`: rows of REMOVALS with reason exact, near or contained, by (url, capture_id).

    Args:
        documents: needs capture_id, doc_id, text, signature (448 bytes), fetched_at, url. Rights columns
            (rights_train, rights_input, rights_search) count where they are there; absent means not denied. Rows
            without text or doc_id, and rows that are denied for every use, take no part.
        policy: its rules and languages are not applied: this compares whatever it is given.

    Raises:
        NotFound: a needed column is missing.
        Corrupt: a capture_id is missing or occurs twice.
    """
    from pipeline.dedup.reference import duplicates

    return duplicates(documents, policy)
