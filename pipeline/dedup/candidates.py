"""Which pairs are worth reading: documents that share a band and whose whole signatures do not rule them out.

A bucket (one band key) of n documents gives at most n * HEADS pairs: each is paired with the bucket's first HEADS in
survivor order, so up to HEADS + 1 documents all pairs, beyond that linear. The pairs depend on the set of documents
only. MinHash proposes here; nothing is decided.
"""

from __future__ import annotations

import math
from typing import Final

import duckdb
import pyarrow as pa

from pipeline.dedup import bands
from pipeline.dedup import scratch as work
from pipeline.dedup.order import Walks
from pipeline.policy import Policy

HEADS: Final = 16
"""Documents of a bucket that the others are compared with.

Of 10,000 versions of 20 drifting pages 16 heads remove 9,244, all pairs 9,245 (keeping the newest: 9,072 and 9,073).
"""

_SIGMAS: Final = 5.0
"""A pair exactly at the threshold is ruled out with probability 2e-6 for 0.8, 1e-5 for 0.95 (binomial tails)."""

_ROWS: Final = 50_000
"""Rows per batch: signatures of two documents are 896 bytes."""


def propose(scratch: duckdb.DuckDBPyConnection, policy: Policy, walks: Walks) -> None:
    """Leave `work.candidates` (a, b, bands): pairs of doc numbers, each once, with the number of bands they share."""
    _spread(scratch)
    scratch.execute("CREATE TABLE work.met (a BIGINT, b BIGINT)")
    for use in walks:
        scratch.execute(
            f"""
            INSERT INTO work.met
            WITH places AS (
                SELECT key, doc, row_number() OVER (PARTITION BY key ORDER BY rank) AS place
                FROM work.bands JOIN work.firsts_{use} USING (doc)
                WHERE key IN (SELECT key FROM work.bands GROUP BY key HAVING count(*) > 1))
            SELECT DISTINCT least(head.doc, other.doc), greatest(head.doc, other.doc)
            FROM places AS head JOIN places AS other ON head.key = other.key AND head.place < other.place
            WHERE head.place <= {HEADS}"""
        )
    scratch.execute("DROP TABLE work.bands")
    _rule_out(scratch, policy)


def _spread(scratch: duckdb.DuckDBPyConnection) -> None:
    """`work.bands` (doc, key): 14 rows for each document that has shingles."""
    scratch.execute("CREATE TABLE work.bands (doc BIGINT, key UBIGINT)")
    query = """
        SELECT row AS doc, signature FROM work.documents
        WHERE row IN (SELECT doc FROM work.members) AND signature IS NOT NULL"""
    for batch in work.read(scratch, query, _ROWS):
        rows = bands.rows_of(batch["signature"])
        known = bands.has_shingles(rows)
        docs = batch["doc"].to_numpy()[known].repeat(bands.BANDS)
        keys = bands.band_keys(rows[known]).reshape(-1)
        work.append(scratch, "work.bands", pa.table({"doc": docs, "key": keys}))


def _rule_out(scratch: duckdb.DuckDBPyConnection, policy: Policy) -> None:
    scratch.execute("CREATE TABLE work.candidates (a BIGINT, b BIGINT, bands SMALLINT)")
    query = """
        SELECT a, b, one.signature AS one, other.signature AS other
        FROM (SELECT DISTINCT a, b FROM work.met)
        JOIN work.documents AS one ON one.row = a JOIN work.documents AS other ON other.row = b"""
    for batch in work.read(scratch, query, _ROWS):
        estimate, shared = bands.compare(bands.rows_of(batch["one"]), bands.rows_of(batch["other"]))
        likely = estimate >= lowest_estimate(policy)
        rows = pa.table({"a": batch["a"], "b": batch["b"], "bands": shared}).filter(pa.array(likely))
        work.append(scratch, "work.candidates", rows)
    scratch.execute("DROP TABLE work.met")


def lowest_estimate(policy: Policy) -> float:
    """The share of equal signature rows below which a pair is not read; 0 when containment counts.

    At Jaccard `near` that share is binomial over 112 rows. Small sets inside large ones have any Jaccard, so for
    containment the signatures rule nothing out.
    """
    if policy.containment is not None:
        return 0.0
    deviation = math.sqrt(policy.near * (1 - policy.near) / (bands.BANDS * bands.ROWS))
    return policy.near - _SIGMAS * deviation
