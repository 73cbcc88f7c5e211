"""What the frontier can tell: the story of one URL, and how far the crawls are."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from crawlers.frontier import crawls
from crawlers.frontier.crawls import Crawl
from crawlers.frontier.seen import Seen
from crawlers.frontier.tables import RobotsState, State
from storage.schema import Outcome


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the crawls of a frontier are; sums over all of them, or over one.

    `pages` are settled exchanges of kind page, `captures` those and robots.txt, `bytes` their payloads. `waiting` is
    the number of hosts that have something queued but must not be asked yet.
    """

    queued: int
    leased: int
    pages: int
    captures: int
    denied: int
    bytes: int
    outcomes: dict[Outcome, int]
    hosts: int
    waiting: int
    finished: bool


def progress(con: sqlite3.Connection, now: float, crawl: str | None = None) -> Progress:
    """Counts of one crawl (NotFound), or of all; `hosts` and `waiting` are those of the frontier."""
    chosen = [crawls.named(con, crawl)] if crawl is not None else crawls.all_of(con)
    ids = ", ".join(str(each.id) for each in chosen)
    outcomes = dict(con.execute(f"SELECT outcome, sum(n) FROM outcomes WHERE crawl IN ({ids}) GROUP BY 1 ORDER BY 1"))
    hosts = con.execute("SELECT coalesce(max(id), 0) FROM hosts").fetchone()[0]
    waiting = con.execute("SELECT count(*) FROM hosts WHERE due_at IS NOT NULL AND due_at > ?", (now,)).fetchone()[0]

    def total(column: str) -> int:
        return sum(getattr(each, column) for each in chosen)

    return Progress(
        queued=total("queued"),
        leased=total("leased"),
        pages=total("fetched"),
        captures=total("captures"),
        denied=total("denied"),
        bytes=total("bytes"),
        outcomes=outcomes,
        hosts=hosts,
        waiting=waiting,
        finished=all(each.finished for each in chosen),
    )


_URL: Final = """
SELECT u.state, u.depth, u.hops, r.url AS referrer,
       h.name AS host, h.due_at, h.last_at, h.gap, h.blocked_until, h.blocked_by, h.strikes,
       o.robots, o.digest, o.checked_at, o.fresh_until, o.tries, o.said,
       l.fence, l.lease_id, l.node, l.granted, l.deadline, l.closed_at,
       b.digest AS bundle, b.receipt, b.at AS settled_at
FROM urls u JOIN origins o ON o.id = u.origin JOIN hosts h ON h.id = o.host
LEFT JOIN urls r ON r.id = u.referrer LEFT JOIN leases l ON l.fence = u.lease LEFT JOIN bundles b ON b.id = u.bundle
WHERE u.id = ?
"""


def story(con: sqlite3.Connection, seen: Seen, url: str) -> list[dict[str, Any]]:
    """All that is known of a canonical URL, one entry for each crawl that met it.

    Times are ISO 8601 in UTC, digests hex; what is not known is left out.
    """
    entries = []
    for crawl in crawls.all_of(con):
        number = seen.find(crawl.id, url)
        if number is not None:
            entries.append(_entry(con, crawl, url, number))
    return entries


def _entry(con: sqlite3.Connection, crawl: Crawl, url: str, number: int) -> dict[str, Any]:
    cursor = con.execute(_URL, (number,))
    row = dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))
    decided = con.execute("SELECT reason, evidence, at FROM decisions WHERE url = ? ORDER BY id", (number,)).fetchall()
    reason, evidence, at = decided[-1] if decided else (None, None, None)
    entry = {
        "crawl": crawl.name,
        "url": url,
        "state": State(row["state"]).name.lower(),
        "depth": row["depth"],
        "hops": row["hops"] or None,
        "referrer": row["referrer"],
        "reason": reason,
        "evidence": evidence,
        "decided_at": _moment(at),
        "lease": row["lease_id"],
        "fence": row["fence"],
        "node": row["node"],
        "leased_at": _moment(row["granted"]),
        "lease_until": _moment(row["deadline"]) if row["closed_at"] is None else None,
        "settled_at": _moment(row["settled_at"]),
        "bundle": row["bundle"].hex() if row["bundle"] else None,
        "receipt": row["receipt"].hex() if row["receipt"] else None,
        "host": row["host"],
        "host_due_at": _moment(row["due_at"]),
        "host_last_asked": _moment(row["last_at"]),
        "host_gap": row["gap"],
        "host_blocked_until": _moment(row["blocked_until"]),
        "host_blocked_by": row["blocked_by"],
        "robots": RobotsState(row["robots"]).name.lower(),
        "robots_digest": row["digest"].hex() if row["digest"] else None,
        "robots_checked_at": _moment(row["checked_at"]),
        "robots_tries": row["tries"] or None,
        "robots_said": row["said"],
    }
    return {name: value for name, value in entry.items() if value is not None}


def _moment(seconds: float | None) -> str | None:
    """Zero means never, as does null."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds") if seconds else None
