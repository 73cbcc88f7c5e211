"""Settling a bundle: leases, links, pace, budgets and capture rows, all in one transaction.

Invariants: an exchange counts once, under the fence that is open; a bundle that comes again changes nothing and gets
the same answers; a URL that leads out of scope, or over too many redirects, is never queued.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from crawlers import captures, pace
from crawlers.captures import Accepted, Asked, Delivered
from crawlers.findings import Finding
from crawlers.frontier import crawls, decisions
from crawlers.frontier.crawls import Crawl
from crawlers.frontier.leasing import Leasing
from crawlers.frontier.robots_state import MAX_HOPS, RobotsFiles
from crawlers.frontier.seen import Met, Seen
from crawlers.frontier.tables import State
from crawlers.messages import Answer
from crawlers.urls import host as host_of
from storage.receipts import LeaseUse

Answers = dict[tuple[str, str], Answer]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A bundle that was read and stored: raw digests, what its receipt says of leases, what we found in it."""

    bundle: bytes
    receipt: bytes
    node: bytes
    leases: tuple[LeaseUse, ...]
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class _Lease:
    fence: int
    crawl: int
    host: int
    host_name: str
    origin: int
    urls: str
    awaits: str | None
    hops: int


@dataclass(frozen=True, slots=True)
class _Row:
    """A leased URL."""

    id: int
    url: str
    depth: int
    hops: int
    open: bool
    referrer: str | None


@dataclass(slots=True)
class _Gains:
    """What a bundle brings to one crawl."""

    crawl: Crawl
    in_scope: Callable[[str], bool]
    accepted: list[Accepted] = field(default_factory=list)
    met: dict[str, Met] = field(default_factory=dict)

    def accept(self, finding: Finding, asked: Asked, depth: int | None, referrer: str | None) -> None:
        self.accepted.append(Accepted(finding, self.crawl.name, self.crawl.agent, asked, depth, referrer))


class Settling:
    """Takes deliveries. `chance` gives random numbers from 0 to 1, for jitter."""

    def __init__(
        self,
        con: sqlite3.Connection,
        seen: Seen,
        robots: RobotsFiles,
        leasing: Leasing,
        chance: Callable[[], float],
    ) -> None:
        self._con = con
        self._seen = seen
        self._robots = robots
        self._leasing = leasing
        self._chance = chance

    def settle(self, delivery: Delivery, now: float) -> Answers:
        """Take what the open leases of this node cover, and answer for every exchange."""
        known = self._con.execute("SELECT id FROM bundles WHERE digest = ?", (delivery.bundle,)).fetchone()
        if known is not None:
            return self._answers_again(delivery, known[0])
        number = self._con.execute(
            "INSERT INTO bundles (digest, receipt, at) VALUES (?, ?, ?)", (delivery.bundle, delivery.receipt, now)
        ).lastrowid
        assert number is not None
        by_lease: dict[str, list[Finding]] = {use.lease: [] for use in delivery.leases}
        answers: Answers = {}
        for finding in delivery.findings:
            answers[finding.lease, finding.url] = "skipped"
            by_lease.setdefault(finding.lease, []).append(finding)
        gains: dict[int, _Gains] = {}
        for use in delivery.leases:
            lease = self._open(use, delivery.node)
            if lease is None:
                continue
            gain = self._gain(gains, lease.crawl)
            before = len(gain.accepted)
            if lease.awaits is not None:
                self._robots_lease(lease, use, by_lease[use.lease], gain, now)
            else:
                self._page_lease(lease, use, by_lease[use.lease], gain, number, now)
            answers |= {(use.lease, each.finding.url): "ok" for each in gain.accepted[before:]}
        self._book(gains, now)
        self._queue([each for gain in gains.values() for each in gain.accepted], delivery, now)
        return answers

    def _open(self, use: LeaseUse, node: bytes) -> _Lease | None:
        row = self._con.execute(
            "SELECT fence, crawl, host, name, origin, urls, awaits, hops FROM leases JOIN hosts ON hosts.id = host "
            "WHERE fence = ? AND lease_id = ? AND node = ? AND closed_at IS NULL",
            (use.fence, use.lease, node.hex()),
        ).fetchone()
        return _Lease(*row) if row else None

    def _gain(self, gains: dict[int, _Gains], crawl: int) -> _Gains:
        if crawl not in gains:
            found = crawls.numbered(self._con, crawl)
            gains[crawl] = _Gains(found, crawls.scope_test(self._con, found))
        return gains[crawl]

    def _page_lease(
        self, lease: _Lease, use: LeaseUse, findings: list[Finding], gain: _Gains, bundle: int, now: float
    ) -> None:
        standing = self._robots.in_force(lease.origin)
        asked = Asked(standing.settled, standing.robots, standing.digest)
        waiting = {row.url: row for row in self._rows(lease) if row.open}
        taken: list[Finding] = []
        settled: list[int] = []
        for finding in findings:
            row = waiting.get(finding.url)
            if row is None or finding.kind != "page":
                continue
            del waiting[finding.url]
            settled.append(row.id)
            taken.append(finding)
            gain.accept(finding, asked, row.depth, row.referrer)
            self._follow(finding, row, gain, now)
        self._con.execute(
            f"UPDATE urls SET state = {State.DONE}, bundle = ? WHERE id IN (SELECT value FROM json_each(?))",
            (bundle, json.dumps(settled)),
        )
        crawls.count(self._con, lease.crawl, leased=-len(settled), fetched=len(settled))
        self._pace(lease.host, taken, now)
        self._close_or_extend(lease, use.done or not waiting, now)

    def _robots_lease(self, lease: _Lease, use: LeaseUse, findings: list[Finding], gain: _Gains, now: float) -> None:
        """Follow the chain of a robots lease; its last exchange says what the origin allows.

        A chain may come in several bundles. When its lease ends before it does, robots.txt is asked for anew.
        """
        awaits, hops, referrer = lease.awaits, lease.hops, None
        taken: list[Finding] = []
        for finding in findings:
            if finding.url != awaits or finding.kind != "robots":
                continue
            taken.append(finding)
            gain.accept(finding, Asked(), None, referrer)
            referrer = finding.url
            if finding.outcome == "redirect" and finding.redirect_to is not None and hops < MAX_HOPS:
                awaits, hops = finding.redirect_to, hops + 1
            else:
                awaits = ""
                self._robots.settle(lease.origin, finding, now, self._chance())
        self._con.execute("UPDATE leases SET awaits = ?, hops = ? WHERE fence = ?", (awaits, hops, lease.fence))
        self._pace(lease.host, [finding for finding in taken if host_of(finding.url) == lease.host_name], now)
        self._close_or_extend(lease, use.done or not awaits, now)

    def _rows(self, lease: _Lease) -> list[_Row]:
        rows = self._con.execute(
            f"SELECT u.id, u.url, u.depth, u.hops, u.state = {State.LEASED} AND u.lease = ?, r.url "
            "FROM json_each(?) i JOIN urls u ON u.id = i.value LEFT JOIN urls r ON r.id = u.referrer",
            (lease.fence, lease.urls),
        )
        return [_Row(*row) for row in rows]

    def _follow(self, finding: Finding, row: _Row, gain: _Gains, now: float) -> None:
        """Note where an exchange leads: its links one deeper, or the target of its redirect."""
        met, depth = gain.met, row.depth + 1
        for link in finding.links:
            known = met.get(link)
            if known is None or known.depth > depth:
                met[link] = Met(link, depth, 0, row.id)
        if finding.redirect_to is None:
            return
        target = Met(finding.redirect_to, row.depth, row.hops + 1, row.id)
        if not gain.in_scope(target.url):
            self._refuse(gain, target, "scope", f"redirect to another {gain.crawl.scope}", now)
        elif target.hops > decisions.MAX_HOPS:
            self._refuse(gain, target, "hops", f"{target.hops} redirects", now)
        elif (known := met.get(target.url)) is None or known.depth > target.depth:
            met[target.url] = target

    def _refuse(self, gain: _Gains, target: Met, reason: decisions.Reason, evidence: str, now: float) -> None:
        added = self._seen.add(gain.crawl, [target], State.DENIED)
        decisions.record(self._con, gain.crawl.id, [(number, evidence) for number in added.values()], reason, now)

    def _pace(self, host: int, findings: list[Finding], now: float) -> None:
        """One strike for all exchanges of a host in this bundle that ask for a pause, the longest of which counts.

        Trouble of the network is forgotten at the first exchange that works; 429 and 503 only after quiet.
        """
        asking = [each for each in findings if pace.asks_for_pause(each.outcome, each.status)]
        if not asking:
            return
        strikes, struck_at = self._con.execute("SELECT strikes, struck_at FROM hosts WHERE id = ?", (host,)).fetchone()
        told = any(each.status is not None for each in asking)
        if now - struck_at > pace.FORGIVEN_AFTER or (not told and len(asking) < len(findings)):
            strikes = 0
        pauses = [(pace.pause(each.status, each.retry_after, strikes, now, self._chance()), each) for each in asking]
        longest, worst = max(pauses, key=lambda pair: pair[0])
        self._con.execute(
            "UPDATE hosts SET strikes = ?, struck_at = ?, blocked_until = max(blocked_until, ?), blocked_by = ? "
            "WHERE id = ?",
            (strikes + 1, now, now + longest, f"status {worst.status}" if worst.status else worst.outcome, host),
        )

    def _close_or_extend(self, lease: _Lease, over: bool, now: float) -> None:
        if over:
            self._leasing.close(lease.fence, now)
        else:  # what came is a sign of life
            self._con.execute(
                "UPDATE leases SET deadline = max(deadline, ?) WHERE fence = ?", (now + pace.LEASE_SECONDS, lease.fence)
            )

    def _book(self, gains: dict[int, _Gains], now: float) -> None:
        """Add links and counts, then see whether a budget or a crawl has come to its end."""
        for number, gain in gains.items():
            self._seen.add(gain.crawl, [met for url, met in gain.met.items() if gain.in_scope(url)])
            found = [each.finding for each in gain.accepted]
            crawls.count_outcomes(self._con, number, Counter(each.outcome for each in found))
            crawls.count(self._con, number, captures=len(found), size=sum(each.payload_bytes for each in found))
            decisions.conclude(self._con, number, now)

    def _queue(self, accepted: list[Accepted], delivery: Delivery, now: float) -> None:
        """Put capture rows into the outbox, where they stay until a snapshot holds them."""
        if not accepted:
            return
        at = datetime.fromtimestamp(now, UTC)
        rows = captures.table(accepted, Delivered(delivery.bundle, delivery.receipt, delivery.node, at))
        leases = dict.fromkeys(each.finding.lease for each in accepted)
        covers = [f"{delivery.bundle.hex()}:{lease}" for lease in leases]
        self._con.execute(
            "INSERT INTO outbox (rows, covers, captures) VALUES (?, ?, ?)",
            (len(accepted), json.dumps(covers), captures.packed(rows)),
        )

    def _answers_again(self, delivery: Delivery, bundle: int) -> Answers:
        """The answers to a bundle that was settled before: what it settled is ok, the rest is never wanted."""
        crawl_of = {
            use.lease: row[0]
            for use in delivery.leases
            if (row := self._con.execute("SELECT crawl FROM leases WHERE fence = ?", (use.fence,)).fetchone())
        }
        answers: Answers = {}
        for finding in delivery.findings:
            crawl = crawl_of.get(finding.lease)
            number = self._seen.find(crawl, finding.url) if crawl is not None else None
            row = self._con.execute("SELECT bundle FROM urls WHERE id = ?", (number,)).fetchone()
            settled = finding.kind == "robots" or row == (bundle,)
            answers[finding.lease, finding.url] = "ok" if settled else "skipped"
        return answers
