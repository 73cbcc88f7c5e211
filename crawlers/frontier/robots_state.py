"""What robots.txt lets us do with an origin at a moment: go, wait, ask for it first, or give up.

RFC 9309 by its letter: 2xx gives the rules, 4xx allows all, anything else (5xx, no answer) disallows all while it
lasts. 429 defers. Because a crawl must end, an origin whose file could not be had after the last of ROBOTS_RETRIES
is given up for a day: its URLs are denied. A copy that was had serves on while a refresh fails.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Literal

from crawlers import pace
from crawlers.findings import Finding
from crawlers.frontier.tables import RobotsState
from crawlers.robots import Robots, parse
from storage.ids import digest

MAX_HOPS: Final = 5
"""Redirects of robots.txt that are followed (RFC 9309 section 2.3.1.2); after them it counts as absent."""

STALE_FOR: Final = 30 * pace.DAY
"""Seconds that a copy may serve on while the file is unreachable (RFC 9309 section 2.3.1.4)."""

_PARSED_KEPT: Final = 512

Step = Literal["go", "ask", "wait", "gone"]


@dataclass(frozen=True, slots=True)
class Standing:
    """An origin at a moment. With "go", `robots` is None when there is no robots.txt; with "wait", until `until`."""

    origin: int
    name: str
    step: Step
    until: float = 0.0
    robots: Robots | None = None
    digest: bytes | None = None
    said: str = ""

    @property
    def settled(self) -> bool:
        return self.step == "go"


class RobotsFiles:
    """The robots.txt of every origin: their bodies in the frontier, the parsed ones of the last origins in memory."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con
        self._parsed: OrderedDict[bytes, Robots] = OrderedDict()

    def of_host(self, host: int, now: float) -> list[Standing]:
        return [self._standing(row, now) for row in self._con.execute(f"{_SELECT} WHERE host = ? ORDER BY id", (host,))]

    def of_origin(self, origin: int, now: float) -> Standing:
        return self._standing(self._con.execute(f"{_SELECT} WHERE id = ?", (origin,)).fetchone(), now)

    def in_force(self, origin: int) -> Standing:
        """What held when the lease that is being settled was given, though it may have gone stale since."""
        row = list(self._con.execute(f"{_SELECT} WHERE id = ?", (origin,)).fetchone())
        row[_FRESH] = float("inf")
        return self._standing(tuple(row), 0.0)

    def settle(self, origin: int, finding: Finding, now: float, chance: float) -> None:
        """Take the last exchange of a robots lease as the state of its origin."""
        status = finding.status
        if finding.outcome == "ok":
            self._had(origin, RobotsState.RULES, finding.body, now)
        elif finding.outcome == "redirect" or (status is not None and 400 <= status < 500 and status != 429):
            self._had(origin, RobotsState.ABSENT, None, now)
        else:
            self._not_had(origin, finding, now, chance)

    def _had(self, origin: int, state: RobotsState, body: bytes | None, now: float) -> None:
        found = None
        if body is not None:
            found = digest(body)
            self._con.execute("INSERT OR IGNORE INTO robots VALUES (?, ?)", (found, body))
        self._con.execute(
            "UPDATE origins SET robots = ?, digest = ?, checked_at = ?, fresh_until = ?, retry_at = 0, tries = 0, "
            "said = NULL WHERE id = ?",
            (state, found, now, now + pace.ROBOTS_LIFE, origin),
        )

    def _not_had(self, origin: int, finding: Finding, now: float, chance: float) -> None:
        state, checked_at, tries = self._con.execute(
            "SELECT robots, checked_at, tries FROM origins WHERE id = ?", (origin,)
        ).fetchone()
        said = finding.outcome if finding.status is None else f"status {finding.status}"
        if state in (RobotsState.RULES, RobotsState.ABSENT) and now - checked_at < STALE_FOR:
            self._con.execute(
                "UPDATE origins SET fresh_until = ?, said = ? WHERE id = ?",
                (now + pace.ROBOTS_STALE_LIFE, said, origin),
            )
            return
        tries += 1
        retries = () if finding.outcome == "blocked_address" else pace.ROBOTS_RETRIES
        given_up = tries > len(retries)
        wait = pace.DAY if given_up else retries[tries - 1]
        if finding.status in (429, 503) and not given_up:
            wait = max(wait, pace.pause(finding.status, finding.retry_after, tries - 1, now, chance))
        self._con.execute(
            "UPDATE origins SET robots = ?, digest = NULL, checked_at = NULL, fresh_until = ?, retry_at = ?, "
            "tries = ?, said = ? WHERE id = ?",
            (
                RobotsState.DEFERRED if finding.status == 429 else RobotsState.UNREACHABLE,
                now + wait if given_up else 0,
                now + wait,
                0 if given_up else tries,
                said,
                origin,
            ),
        )

    def _standing(self, row: tuple[object, ...], now: float) -> Standing:
        number, name, state, found, fresh_until, retry_at, said = row
        assert isinstance(number, int)
        assert isinstance(name, str)
        assert isinstance(fresh_until, float)
        assert isinstance(retry_at, float)
        if state in (RobotsState.RULES, RobotsState.ABSENT):
            if now >= fresh_until:
                return Standing(number, name, "ask")
            if found is None:
                return Standing(number, name, "go")
            assert isinstance(found, bytes)
            return Standing(number, name, "go", robots=self._parse(found), digest=found)
        if now < fresh_until:
            return Standing(number, name, "gone", said=str(said))
        return Standing(number, name, "wait" if now < retry_at else "ask", until=retry_at)

    def _parse(self, found: bytes) -> Robots:
        known = self._parsed.get(found)
        if known is None:
            body = self._con.execute("SELECT body FROM robots WHERE digest = ?", (found,)).fetchone()[0]
            known = self._parsed[found] = parse(body)
            if len(self._parsed) > _PARSED_KEPT:
                self._parsed.popitem(last=False)
        self._parsed.move_to_end(found)
        return known


_SELECT: Final = "SELECT id, name, robots, digest, fresh_until, retry_at, said FROM origins"
_FRESH: Final = 4
