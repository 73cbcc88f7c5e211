"""The survivor order: for each use a total order over the documents that may serve it, the same on any machine.

Copies may have different rights, so a use has its own eligible documents and its own order: what is allowed before
what is not known, then the policy's keys, then fetched_at, url, capture_id. Uses whose rights agree on every
document are settled once, together.
"""

from __future__ import annotations

from typing import Final

import duckdb

from pipeline.policy import Policy, SurvivorKey
from storage.schema import USES, Use

_KEYS: Final[dict[SurvivorKey, str]] = {
    "longest": "chars DESC NULLS LAST",
    "newest": "fetched_at DESC NULLS LAST",
    "oldest": "fetched_at ASC NULLS LAST",
}

Walks = dict[Use, tuple[Use, ...]]
"""The use whose tables (`work.ranks_<use>`, `work.firsts_<use>`) stand for these uses, in the order of USES."""


def rank(scratch: duckdb.DuckDBPyConnection, policy: Policy) -> Walks:
    """Number the members of each use, best first.

    Leaves for each walk `work.ranks_<use>` (row, doc, rank), one row per eligible member, and `work.firsts_<use>`
    (doc, row, rank): the survivor among exact copies.
    """
    walks = _walks(scratch)
    for use in walks:
        scratch.execute(
            f"""
            CREATE TABLE work.ranks_{use} AS
            SELECT row, doc, row_number() OVER (ORDER BY {_order(policy, use)}) AS rank
            FROM work.members JOIN work.documents USING (row) WHERE {_eligible(policy, use)}"""
        )
        scratch.execute(
            f"""
            CREATE TABLE work.firsts_{use} AS
            SELECT doc, arg_min(row, rank) AS row, min(rank) AS rank FROM work.ranks_{use} GROUP BY doc"""
        )
    return walks


def _eligible(policy: Policy, use: Use) -> str:
    return "true" if policy.rights == "record" else f"rights_{use} IS DISTINCT FROM false"


def _order(policy: Policy, use: Use) -> str:
    allowed = f"CASE WHEN rights_{use} THEN 0 WHEN rights_{use} IS NULL THEN 1 ELSE 2 END"
    keys = [_KEYS[key] for key in policy.survivor]
    return ", ".join([allowed, *keys, "fetched_at ASC NULLS LAST", "url ASC NULLS LAST", "capture_id ASC"])


def _walks(scratch: duckdb.DuckDBPyConnection) -> Walks:
    walks: dict[Use, tuple[Use, ...]] = {}
    for use in USES:
        like = next((other for other in walks if _agree(scratch, other, use)), use)
        walks[like] = (*walks.get(like, ()), use)
    return walks


def _agree(scratch: duckdb.DuckDBPyConnection, one: Use, other: Use) -> bool:
    differs = f"rights_{one} IS DISTINCT FROM rights_{other}"
    query = f"SELECT 1 FROM work.members JOIN work.documents USING (row) WHERE {differs} LIMIT 1"
    return not scratch.execute(query).fetchall()
