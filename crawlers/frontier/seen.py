"""The seen set: every URL that a crawl ever met, exactly once.

A URL is found by a 64-bit key of (crawl, URL, probe), probe 0 first. Two URLs with the same key are told apart by
their text: the later one is stored under its key of the next probe, and looked up the same way. Rows are never
deleted, so the chain of probes never breaks, and a collision costs a second look-up, never a page.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import blake2b

from crawlers.frontier.crawls import Crawl, count
from crawlers.frontier.places import Places
from crawlers.frontier.tables import State
from crawlers.urls import origin

Keys = Callable[[int, str, int], int]


def key_of(crawl: int, url: str, probe: int) -> int:
    """The key of a URL in a crawl: 64 bits of BLAKE2b, as a signed number."""
    text = f"{crawl} {probe} {url}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little", signed=True)


@dataclass(frozen=True, slots=True)
class Met:
    """A canonical URL, with how a crawl came to it: links from a seed, redirects, and the id of what led here."""

    url: str
    depth: int
    hops: int = 0
    referrer: int | None = None


class Seen:
    """Adds and finds URLs. `keys` can be replaced to plant collisions."""

    def __init__(self, con: sqlite3.Connection, places: Places, keys: Keys = key_of) -> None:
        self._con = con
        self._places = places
        self._keys = keys

    def add(self, crawl: Crawl, met: Iterable[Met], state: State | None = None) -> dict[str, int]:
        """Store what is new, and bring queued URLs nearer that were met on a shorter way.

        New ones are queued, or BEYOND when they are too deep, or get `state`. Returns the ids of the new ones by URL.
        """
        pending: dict[str, Met] = {}
        for each in met:
            known = pending.get(each.url)
            if known is None or each.depth < known.depth:
                pending[each.url] = each
        added: dict[str, int] = {}
        probe = 0
        while pending:
            fresh, pending = self._sift(crawl, pending, probe)
            added |= self._insert(crawl, fresh, state)
            probe += 1
        return added

    def find(self, crawl: int, url: str) -> int | None:
        """The id of a URL in a crawl; None when it was never met."""
        probe = 0
        while True:
            row = self._con.execute(
                "SELECT id, url = ? AND crawl = ? FROM urls WHERE key = ?", (url, crawl, self._keys(crawl, url, probe))
            ).fetchone()
            if row is None:
                return None
            if row[1]:
                return int(row[0])
            probe += 1

    def _sift(self, crawl: Crawl, pending: dict[str, Met], probe: int) -> tuple[dict[int, Met], dict[str, Met]]:
        """The URLs of `pending` whose key of this probe is free, by key, and those whose key another URL has."""
        free: dict[int, Met] = {}
        taken: dict[str, Met] = {}
        for met in pending.values():
            if free.setdefault(self._keys(crawl.id, met.url, probe), met) is not met:
                taken[met.url] = met
        asked = json.dumps([(key, met.url, met.depth) for key, met in free.items()])
        # One statement for the whole batch: SQLite works through it without the interpreter's lock, and what is known
        # and no nearer, which is nearly everything, never becomes a Python object.
        told = self._con.execute(
            "SELECT i.value ->> 0, u.id, u.url = i.value ->> 1 AND u.crawl = ?1, u.state FROM json_each(?2) i "
            "LEFT JOIN urls u ON u.key = i.value ->> 0 WHERE u.id IS NULL OR u.url <> i.value ->> 1 OR u.crawl <> ?1 "
            "OR (u.depth > i.value ->> 2 AND u.state IN (?3, ?4))",
            (crawl.id, asked, State.QUEUED, State.BEYOND),
        ).fetchall()
        fresh: dict[int, Met] = {}
        for key, number, same, state in told:
            if number is None:
                fresh[key] = free[key]
            elif same:
                self._bring_nearer(crawl, number, State(state), free[key])
            else:
                taken[free[key].url] = free[key]
        return fresh, taken

    def _bring_nearer(self, crawl: Crawl, number: int, state: State, met: Met) -> None:
        reached = state is State.BEYOND and met.depth <= crawl.depth
        self._con.execute(
            "UPDATE urls SET depth = ?, hops = ?, referrer = ?, state = ? WHERE id = ?",
            (met.depth, met.hops, met.referrer, State.QUEUED if reached else state, number),
        )
        if reached:
            count(self._con, crawl.id, queued=1)
            self._places.wake_origins(self._con.execute("SELECT origin FROM urls WHERE id = ?", (number,)).fetchone())

    def _insert(self, crawl: Crawl, fresh: dict[int, Met], state: State | None) -> dict[str, int]:
        if not fresh:
            return {}
        places = self._places.of({origin(met.url) for met in fresh.values()})
        rows = []
        queued: list[int] = []
        for key, met in fresh.items():
            its = state
            if its is None:
                its = State.QUEUED if met.depth <= crawl.depth else State.BEYOND
            place = places[origin(met.url)]
            rows.append((key, place, met.url, met.depth, met.hops, its, met.referrer))
            if its is State.QUEUED:
                queued.append(place)
        added = self._con.execute(
            "INSERT INTO urls (key, crawl, origin, url, depth, hops, state, referrer) "
            "SELECT value ->> 0, ?, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6 "
            "FROM json_each(?) RETURNING url, id",
            (crawl.id, json.dumps(rows)),
        ).fetchall()
        if queued:
            count(self._con, crawl.id, queued=len(queued))
            self._places.wake_origins(queued)
        return dict(added)
