"""Leases: who may fetch what, when. Politeness is decided here, from what stands on the disk.

Invariants: at most one lease of a host is open; a fence is never given twice and only grows; a lease holds URLs of
one crawl and one origin that robots.txt allows, each not before its time, no more than the crawl's budget has room.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Final, Literal

from crawlers import pace
from crawlers.frontier import crawls, decisions
from crawlers.frontier.crawls import Crawl
from crawlers.frontier.places import wake_host, wake_parked
from crawlers.frontier.robots_state import RobotsFiles, Standing
from crawlers.frontier.tables import State
from crawlers.messages import Lease, LeasedUrl, LeaseRef

AHEAD: Final = 1.0
"""Seconds before its first fetch that a lease may be given, so that a node is there in time."""

_LOOKS: Final = 1000
"""Hosts that are looked at in one call, at most."""

_CHECKED: Final = 2000
"""Queued URLs of an origin that are held against robots.txt in one call, at most."""


@dataclass(frozen=True, slots=True)
class _Host:
    id: int
    name: str
    last_at: float
    blocked_until: float
    blocked_by: str | None
    last_crawl: int


_HOST: Final = "id, name, last_at, blocked_until, blocked_by, last_crawl"


class Leasing:
    """Gives, renews and takes back leases; every method is part of one transaction."""

    def __init__(self, con: sqlite3.Connection, robots: RobotsFiles, new_id: Callable[[], str]) -> None:
        self._con = con
        self._robots = robots
        self._new_id = new_id

    def grant(self, node: str, want: int, now: float) -> list[Lease]:
        """Up to `want` leases for `node`, each of another host whose time has come."""
        leases: list[Lease] = []
        looks = 0
        while len(leases) < want and looks < _LOOKS:
            due = self._con.execute(
                f"SELECT {_HOST} FROM hosts WHERE due_at <= ? ORDER BY due_at LIMIT ?", (now, want - len(leases))
            ).fetchall()
            if not due:
                break
            looks += len(due)
            leases += [lease for row in due if (lease := self._of_host(_Host(*row), node, now)) is not None]
        return leases

    def expire(self, now: float) -> None:
        """Take back every lease whose deadline is over."""
        for row in self._con.execute(
            "SELECT fence FROM leases WHERE closed_at IS NULL AND deadline < ?", (now,)
        ).fetchall():
            self.close(row[0], now)

    def renew(self, node: str, held: Sequence[LeaseRef], now: float) -> dict[str, float]:
        """New deadlines of those that `node` really holds."""
        renewed: dict[str, float] = {}
        for ref in held:
            changed = self._con.execute(
                "UPDATE leases SET deadline = max(deadline, ?) WHERE fence = ? AND lease_id = ? AND node = ? "
                "AND closed_at IS NULL RETURNING deadline",
                (now + pace.LEASE_SECONDS, ref.fence, ref.lease_id, node),
            ).fetchone()
            if changed is not None:
                renewed[ref.lease_id] = changed[0]
        return renewed

    def release(self, node: str, released: Sequence[LeaseRef], now: float) -> None:
        """Take back what `node` gives back; what it does not hold is left alone."""
        for ref in released:
            if self._con.execute(
                "SELECT 1 FROM leases WHERE fence = ? AND lease_id = ? AND node = ? AND closed_at IS NULL",
                (ref.fence, ref.lease_id, node),
            ).fetchone():
                self.close(ref.fence, now)

    def abandon(self, node: str, now: float) -> None:
        """Take back everything that `node` holds."""
        for row in self._con.execute(
            "SELECT fence FROM leases WHERE closed_at IS NULL AND node = ?", (node,)
        ).fetchall():
            self.close(row[0], now)

    def close(self, fence: int, now: float) -> None:
        """End a lease: what was not fetched is queued again, and its host can be leased at its pace."""
        crawl, host, urls = self._con.execute(
            "SELECT crawl, host, urls FROM leases WHERE fence = ?", (fence,)
        ).fetchone()
        back = self._con.execute(
            f"UPDATE urls SET state = {State.QUEUED} WHERE id IN (SELECT value FROM json_each(?)) "
            f"AND state = {State.LEASED} AND lease = ?",
            (urls, fence),
        ).rowcount
        self._con.execute("UPDATE leases SET closed_at = ? WHERE fence = ?", (now, fence))
        self._con.execute("UPDATE hosts SET lease = NULL, last_at = ? WHERE id = ?", (now, host))
        if back:
            crawls.count(self._con, crawl, queued=back, leased=-back)
            wake_parked(self._con)
        wake_host(self._con, host)

    def _of_host(self, host: _Host, node: str, now: float) -> Lease | None:
        """A lease of this host, or None; then it is due later, or not at all."""
        later: list[float] = []
        parked = False
        standings = self._robots.of_host(host.id, now)
        for crawl, standing in product(self._in_turn(host), standings):
            if not self._has_queued(crawl, standing.origin):
                continue
            result = self._of_origin(host, crawl, standing, node, now)
            if isinstance(result, Lease):
                return result
            if isinstance(result, float):
                later.append(result)
                if standing.step != "wait":
                    break  # it waits for its own pace: who comes after must not take its turn
            parked = parked or result == "no room"
        self._con.execute(
            "UPDATE hosts SET due_at = ?, parked = ? WHERE id = ?", (min(later, default=None), parked, host.id)
        )
        return None

    def _in_turn(self, host: _Host) -> list[Crawl]:
        """The running crawls, the one after that which had the host last first."""
        running = crawls.running(self._con)
        return sorted(running, key=lambda crawl: (crawl.id <= host.last_crawl, crawl.id))

    def _has_queued(self, crawl: Crawl, origin: int) -> bool:
        asked = f"SELECT 1 FROM urls WHERE origin = ? AND crawl = ? AND state = {State.QUEUED} LIMIT 1"
        return self._con.execute(asked, (origin, crawl.id)).fetchone() is not None

    def _of_origin(
        self, host: _Host, crawl: Crawl, standing: Standing, node: str, now: float
    ) -> Lease | float | Literal["no room", "nothing"]:
        """A lease of one origin for one crawl, or when to look again, or why there is nothing to lease."""
        if standing.step == "gone":
            return self._deny_all(crawl, standing, "robots", f"robots.txt unreachable: {standing.said}", now)
        wait = standing.until if standing.step == "wait" else host.blocked_until
        if wait - now > crawl.patience:
            evidence = f"{standing.said or host.blocked_by}, a pause until {_moment(wait)} is asked for"
            return self._deny_all(crawl, standing, "robots" if standing.step == "wait" else "budget", evidence, now)
        if crawl.room == 0:
            return "no room"
        asked = standing.robots.crawl_delay(crawl.agent) if standing.robots is not None else None
        gap = pace.gap(crawl.delay, asked)
        start = max(now, wait, host.blocked_until, host.last_at + gap)
        if start > now + AHEAD:
            return start
        if standing.step != "go":
            return self._lease(host, crawl, standing, node, now, start, gap, None)
        allowed = self._allowed(crawl, standing, gap, now)
        if allowed:
            return self._lease(host, crawl, standing, node, now, start, gap, allowed)
        return start if self._has_queued(crawl, standing.origin) else "nothing"

    def _deny_all(
        self, crawl: Crawl, standing: Standing, reason: Literal["robots", "budget"], evidence: str, now: float
    ) -> Literal["nothing"]:
        decisions.deny_queued(self._con, crawl, reason, evidence, now, standing.origin)
        decisions.conclude(self._con, crawl.id, now)
        return "nothing"

    def _allowed(self, crawl: Crawl, standing: Standing, gap: float, now: float) -> list[tuple[int, str]]:
        """The first queued URLs, (id, url), that fit a lease; those that robots.txt denies on the way are denied."""
        size = pace.lease_size(gap) if crawl.room is None else min(pace.lease_size(gap), crawl.room)
        limit = size if standing.robots is None else _CHECKED
        rows = self._con.execute(
            f"SELECT id, url FROM urls WHERE origin = ? AND crawl = ? AND state = {State.QUEUED} "
            "ORDER BY depth, id LIMIT ?",
            (standing.origin, crawl.id, limit),
        )
        allowed: list[tuple[int, str]] = []
        denied: list[tuple[int, str]] = []
        for number, url in rows:
            verdict, rule = standing.robots.explain(url, crawl.agent) if standing.robots is not None else ("allow", "")
            if verdict == "allow":
                allowed.append((number, url))
            else:
                denied.append((number, rule or ""))
            if len(allowed) == size:
                break
        decisions.deny(self._con, crawl.id, denied, "robots", now)
        if denied and not allowed:
            decisions.conclude(self._con, crawl.id, now)
        return allowed

    def _lease(
        self, host: _Host, crawl: Crawl, standing: Standing, node: str, now: float, start: float, gap: float,
        pages: list[tuple[int, str]] | None,
    ) -> Lease:  # fmt: skip
        """Write a lease of `pages`, or of the origin's robots.txt when there are none."""
        lease_id = self._new_id()
        deadline = start + pace.LEASE_SECONDS
        ids = json.dumps([number for number, _ in pages or ()])
        awaits = f"{standing.name}/robots.txt" if pages is None else None
        fence = self._con.execute(
            "INSERT INTO leases (lease_id, node, crawl, host, origin, granted, deadline, urls, awaits) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (lease_id, node, crawl.id, host.id, standing.origin, now, deadline, ids, awaits),
        ).lastrowid
        assert fence is not None
        if pages:
            self._con.execute(
                f"UPDATE urls SET state = {State.LEASED}, lease = ? WHERE id IN (SELECT value FROM json_each(?))",
                (fence, ids),
            )
            crawls.count(self._con, crawl.id, queued=-len(pages), leased=len(pages))
        self._con.execute(
            "UPDATE hosts SET lease = ?, due_at = NULL, parked = 0, gap = ?, last_crawl = ? WHERE id = ?",
            (fence, gap, crawl.id, host.id),
        )
        urls = (
            (LeasedUrl(awaits, "robots", start),)
            if awaits is not None
            else tuple(LeasedUrl(url, "page", start + n * gap) for n, (_, url) in enumerate(pages or ()))
        )
        return Lease(lease_id, crawl.name, host.name, fence, deadline, gap, urls)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
