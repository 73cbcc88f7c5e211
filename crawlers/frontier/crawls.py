"""Crawls: what one wants, how far it is, and what belongs to it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, NewType, get_args

from crawlers.frontier.tables import State
from crawlers.urls import host, site_of_host
from storage.errors import BadConfig, NotFound
from storage.schema import Outcome

Scope = Literal["host", "site", "any"]
CrawlId = NewType("CrawlId", str)
"""The name of a crawl: what stands in every capture and decision."""

PATIENCE: Final = 300.0
"""Seconds. A host that wants to be left alone for longer loses its URLs of the crawl, as decisions."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class CrawlSpec:
    """What a crawl wants. A URL is in scope when its host (its site) is that of a seed, or always.

    `pages` bounds the exchanges of kind page, whatever their outcome, redirects included (0: no bound); `depth` the
    links from a seed; `delay` is the least number of seconds between two fetches of a host (None: the default),
    `agent` the User-Agent that robots.txt is asked about.
    """

    name: str
    seeds: tuple[str, ...]
    pages: int
    depth: int
    scope: Scope
    delay: float | None
    agent: str
    patience: float = PATIENCE


@dataclass(frozen=True, slots=True)
class Crawl:
    """A row of `crawls`: the wishes and the counters of one crawl."""

    id: int
    name: CrawlId
    agent: str
    scope: Scope
    pages: int
    depth: int
    delay: float | None
    patience: float
    finished: bool
    queued: int
    leased: int
    fetched: int
    captures: int
    denied: int
    bytes: int

    @property
    def room(self) -> int | None:
        """Pages that may still be leased; None without a budget."""
        return max(0, self.pages - self.fetched - self.leased) if self.pages else None


_COLUMNS: Final = (
    "id, name, agent, scope, pages, depth, delay, patience, finished, queued, leased, fetched, captures, denied, bytes"
)


def checked(spec: CrawlSpec) -> CrawlSpec:
    """The same, or BadConfig."""

    def refuse(cause: str, hint: str = "") -> None:
        raise BadConfig("add crawl", spec.name, cause, hint)

    if not _NAME.fullmatch(spec.name):
        refuse("this is no name", "1 to 64 letters, digits, dots, dashes and underscores")
    if spec.scope not in get_args(Scope):
        refuse(f"{spec.scope} is no scope", f"one of {', '.join(get_args(Scope))}")
    if not spec.agent.strip():
        refuse("it has no user agent", "a product token and a contact")
    if min(spec.pages, spec.depth, spec.delay or 0, spec.patience) < 0:
        refuse("pages, depth, delay and patience can not be negative")
    return spec


def all_of(con: sqlite3.Connection) -> list[Crawl]:
    return [_crawl(row) for row in con.execute(f"SELECT {_COLUMNS} FROM crawls ORDER BY id")]


def running(con: sqlite3.Connection) -> list[Crawl]:
    """Those that are not finished and that this process was asked for."""
    chosen = f"SELECT {_COLUMNS} FROM crawls WHERE running AND NOT finished ORDER BY id"
    return [_crawl(row) for row in con.execute(chosen)]


def rest(con: sqlite3.Connection) -> None:
    """No crawl is wanted yet: whoever opens the frontier says which ones are."""
    con.execute("UPDATE crawls SET running = 0 WHERE running")


def start(con: sqlite3.Connection, crawl: Crawl) -> None:
    """Let the crawl run, and look at every host that it has something queued for."""
    con.execute("UPDATE crawls SET running = 1, finished = 0 WHERE id = ?", (crawl.id,))
    con.execute(
        "UPDATE hosts SET parked = 0, due_at = last_at + gap WHERE due_at IS NULL AND lease IS NULL AND id IN "
        f"(SELECT host FROM origins o WHERE EXISTS (SELECT 1 FROM urls u WHERE u.origin = o.id AND u.crawl = ? "
        f"AND u.state = {State.QUEUED}))",
        (crawl.id,),
    )


def named(con: sqlite3.Connection, name: str) -> Crawl:
    """NotFound when there is none."""
    row = con.execute(f"SELECT {_COLUMNS} FROM crawls WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise NotFound("look up crawl", name, "the frontier knows no crawl of this name")
    return _crawl(row)


def numbered(con: sqlite3.Connection, crawl: int) -> Crawl:
    return _crawl(con.execute(f"SELECT {_COLUMNS} FROM crawls WHERE id = ?", (crawl,)).fetchone())


def _crawl(row: tuple[object, ...]) -> Crawl:
    found = Crawl(*row)  # type: ignore[arg-type]
    return replace(found, finished=bool(found.finished))


def wanted(con: sqlite3.Connection, spec: CrawlSpec, now: float) -> tuple[Crawl, Crawl | None]:
    """The crawl as `spec` wants it from now on, and as it was before, if it was.

    BadConfig when it had another scope, for URLs that were out of scope are not remembered.
    """
    old = con.execute(f"SELECT {_COLUMNS} FROM crawls WHERE name = ?", (spec.name,)).fetchone()
    before = _crawl(old) if old else None
    if before is not None and before.scope != spec.scope:
        cause = f"it was begun with scope {before.scope}, not {spec.scope}"
        raise BadConfig("resume crawl", spec.name, cause, "give the new crawl another name")
    con.execute(
        "INSERT INTO crawls (name, agent, scope, pages, depth, delay, patience, created) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET agent = excluded.agent, "
        "pages = excluded.pages, depth = excluded.depth, delay = excluded.delay, patience = excluded.patience",
        (spec.name, spec.agent, spec.scope, spec.pages, spec.depth, spec.delay, spec.patience, now),
    )
    return named(con, spec.name), before


def count(
    con: sqlite3.Connection,
    crawl: int,
    *,
    queued: int = 0,
    leased: int = 0,
    fetched: int = 0,
    captures: int = 0,
    denied: int = 0,
    size: int = 0,
) -> None:
    """Add to the counters of a crawl."""
    con.execute(
        "UPDATE crawls SET queued = queued + ?, leased = leased + ?, fetched = fetched + ?, captures = captures + ?, "
        "denied = denied + ?, bytes = bytes + ? WHERE id = ?",
        (queued, leased, fetched, captures, denied, size, crawl),
    )


def count_outcomes(con: sqlite3.Connection, crawl: int, outcomes: dict[Outcome, int]) -> None:
    con.executemany(
        "INSERT INTO outcomes VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
        [(crawl, outcome, number) for outcome, number in outcomes.items()],
    )


def scope_test(con: sqlite3.Connection, crawl: Crawl) -> Callable[[str], bool]:
    """Whether a canonical URL is in the scope of the crawl."""
    if crawl.scope == "any":
        return lambda _: True
    names = {name for (name,) in con.execute("SELECT name FROM scopes WHERE crawl = ?", (crawl.id,))}
    if crawl.scope == "host":
        return lambda url: host(url) in names
    return lambda url: site_of_host(host(url)) in names


def widen_scope(con: sqlite3.Connection, crawl: Crawl, seeds: list[str]) -> None:
    """What the hosts, or sites, of the seeds hold belongs to the crawl."""
    if crawl.scope != "any":
        hosts = {host(seed) for seed in seeds}
        names = hosts if crawl.scope == "host" else {site_of_host(name) for name in hosts}
        con.executemany("INSERT OR IGNORE INTO scopes VALUES (?, ?)", [(crawl.id, name) for name in names])
