"""Hosts and origins: their numbers, and the moment when a host is looked at again.

Invariant: a host with a queued URL of a running crawl and no open lease has `due_at` or is parked; `due_at` is never
too late. It may be too early: whoever looks then finds out how long the host is blocked, and whether its crawls have
the patience.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Final

_KEPT: Final = 16_384


class Places:
    """Numbers of origins, remembered for those that were used last. Forget all when a transaction is rolled back."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con
        self._known: dict[str, int] = {}

    def forget(self) -> None:
        self._known.clear()

    def of(self, origins: set[str]) -> dict[str, int]:
        """The number of each origin (`https://host`), made when it is new, with its host."""
        unknown = sorted(origins - self._known.keys())
        if unknown:
            if len(self._known) + len(unknown) > _KEPT:
                self._known = {name: self._known[name] for name in origins & self._known.keys()}
            asked = json.dumps([(name, name.partition("://")[2]) for name in unknown])
            self._con.execute(
                "INSERT OR IGNORE INTO hosts (name) SELECT value ->> 1 FROM json_each(?) WHERE true", (asked,)
            )
            self._con.execute(
                "INSERT OR IGNORE INTO origins (name, host) SELECT i.value ->> 0, h.id FROM json_each(?) i "
                "JOIN hosts h ON h.name = i.value ->> 1 WHERE true",
                (asked,),
            )
            self._known.update(
                self._con.execute(
                    "SELECT name, id FROM origins WHERE name IN (SELECT value ->> 0 FROM json_each(?))", (asked,)
                )
            )
        return {name: self._known[name] for name in origins}

    def wake_origins(self, origins: Iterable[int]) -> None:
        """URLs of these origins were queued: their hosts have something to do."""
        self._con.execute(
            "UPDATE hosts SET parked = 0, due_at = last_at + gap WHERE due_at IS NULL "
            "AND lease IS NULL AND id IN (SELECT host FROM origins WHERE id IN (SELECT value FROM json_each(?)))",
            (json.dumps(sorted(set(origins))),),
        )


def wake_host(con: sqlite3.Connection, host: int) -> None:
    """Set when a host without a lease is looked at next: at its pace when a URL of it is queued, else never."""
    con.execute(
        "UPDATE hosts SET parked = 0, due_at = CASE WHEN EXISTS (SELECT 1 FROM origins o JOIN urls u "
        "ON u.origin = o.id AND u.state = 0 WHERE o.host = hosts.id) THEN last_at + gap END "
        "WHERE id = ? AND lease IS NULL",
        (host,),
    )


def wake_parked(con: sqlite3.Connection) -> None:
    """Pages that were leased went back to the queue: budgets have room again."""
    con.execute("UPDATE hosts SET parked = 0, due_at = last_at + gap WHERE parked")
