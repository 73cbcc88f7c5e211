"""What the frontier has decided and no snapshot holds yet.

Invariant: a row leaves only after its snapshot is committed, and whatever is offered again is offered under the same
`covers` key, so a crash at any point repeats nothing and loses nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from crawlers.captures import unpacked
from storage.schema import CAPTURES, DECISIONS


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for one shard: the ids to acknowledge, the rows, and their keys."""

    ids: tuple[int, ...]
    rows: pa.Table
    covers: tuple[str, ...]


def captures(con: sqlite3.Connection, limit: int, covered: set[str]) -> Batch | None:
    """The oldest captures, about `limit` rows, None when nothing waits; of those that are `covered` only the ids."""
    ids: list[int] = []
    tables: list[pa.Table] = []
    covers: list[str] = []
    rows = 0
    for number, count, keys, data in con.execute("SELECT id, rows, covers, captures FROM outbox ORDER BY id"):
        if rows and rows + count > limit:
            break
        ids.append(number)
        its = json.loads(keys)
        if covered.isdisjoint(its):
            rows += count
            tables.append(unpacked(data))
            covers += its
    found = pa.concat_tables(tables) if tables else CAPTURES.empty_table()
    return Batch(tuple(ids), found, tuple(covers)) if ids else None


def drop_captures(con: sqlite3.Connection, ids: Sequence[int]) -> None:
    con.execute("DELETE FROM outbox WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),))


def plan_decisions(con: sqlite3.Connection, limit: int) -> None:
    """Fix ranges of the decisions that no range holds; after a crash they are offered in these same ranges."""
    for crawl, exported in con.execute("SELECT id, exported FROM crawls").fetchall():
        ids = con.execute(
            "SELECT id FROM decisions WHERE crawl = ? AND id > ? ORDER BY id LIMIT ?", (crawl, exported, limit)
        ).fetchall()
        if ids:
            first, last = ids[0][0], ids[-1][0]
            con.execute("INSERT INTO exports (crawl, first, last) VALUES (?, ?, ?)", (crawl, first, last))
            con.execute("UPDATE crawls SET exported = ? WHERE id = ?", (last, crawl))


def decisions(con: sqlite3.Connection) -> list[Batch]:
    """The planned decisions, one batch for each range; its key names crawl, frontier file and range."""
    frontier = con.execute("SELECT value FROM meta WHERE name = 'id'").fetchone()[0]
    batches = []
    planned = con.execute(
        "SELECT e.id, crawl, name, first, last FROM exports e JOIN crawls c ON c.id = crawl"
    ).fetchall()
    for number, crawl, name, first, last in planned:
        rows = con.execute(
            "SELECT u.url, d.reason, d.evidence, d.at FROM decisions d JOIN urls u ON u.id = d.url "
            "WHERE d.crawl = ? AND d.id BETWEEN ? AND ? ORDER BY d.id",
            (crawl, first, last),
        ).fetchall()
        columns = {
            "url": [row[0] for row in rows],
            "crawl": [name] * len(rows),
            "reason": [row[1] for row in rows],
            "evidence": [row[2] or None for row in rows],
            "decided_at": [datetime.fromtimestamp(row[3], UTC) for row in rows],
        }
        batches.append(Batch((number,), pa.table(columns, schema=DECISIONS), (f"{name}@{frontier}:{first}-{last}",)))
    return batches


def drop_decisions(con: sqlite3.Connection, ids: Sequence[int]) -> None:
    con.execute("DELETE FROM exports WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),))
