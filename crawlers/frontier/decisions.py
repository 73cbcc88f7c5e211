"""URLs that are not fetched, each with its reason; and the end of a crawl, when the last of them is decided.

Recorded are: what robots.txt denies, what a budget (pages, depth, patience) leaves over, and targets of redirects
that are out of scope or too many hops away. Links out of scope are not: they belong to no crawl, and the page that
holds them is kept.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from crawlers.frontier import crawls
from crawlers.frontier.crawls import Crawl
from crawlers.frontier.tables import State

Reason = Literal["robots", "budget", "trap", "scope", "hops"]

MAX_HOPS: Final = 5
"""Redirects in a row that are followed from one page to the next."""


def record(con: sqlite3.Connection, crawl: int, urls: Iterable[tuple[int, str]], reason: Reason, now: float) -> None:
    """Write decisions about URLs that are denied already: (id, evidence)."""
    rows = [(crawl, number, reason, evidence, now) for number, evidence in urls]
    con.executemany("INSERT INTO decisions (crawl, url, reason, evidence, at) VALUES (?, ?, ?, ?, ?)", rows)
    crawls.count(con, crawl, denied=len(rows))


def deny(con: sqlite3.Connection, crawl: int, urls: Sequence[tuple[int, str]], reason: Reason, now: float) -> None:
    """Deny queued URLs: (id, evidence)."""
    if urls:
        ids = json.dumps([number for number, _ in urls])
        con.execute("UPDATE urls SET state = ? WHERE id IN (SELECT value FROM json_each(?))", (State.DENIED, ids))
        crawls.count(con, crawl, queued=-len(urls))
        record(con, crawl, urls, reason, now)


def deny_queued(
    con: sqlite3.Connection, crawl: Crawl, reason: Reason, evidence: str, now: float, origin: int | None = None
) -> None:
    """Deny everything that the crawl has queued, or what it has queued of one origin."""
    of_origin = "" if origin is None else f"AND origin = {int(origin)} "
    chosen = f"FROM urls INDEXED BY urls_queue WHERE crawl = ? AND state = {State.QUEUED} {of_origin}"
    denied = con.execute(
        "INSERT INTO decisions (crawl, url, reason, evidence, at) "
        f"SELECT crawl, id, ?, ?, ? {chosen}ORDER BY origin, depth, id",
        (reason, evidence, now, crawl.id),
    ).rowcount
    if denied:
        con.execute(f"UPDATE urls SET state = {State.DENIED} WHERE id IN (SELECT id {chosen})", (crawl.id,))
        crawls.count(con, crawl.id, queued=-denied, denied=denied)


def conclude(con: sqlite3.Connection, crawl: int, now: float) -> None:
    """Deny what is over the crawl's budget of pages, and finish the crawl when nothing of it is left to do."""
    current = crawls.numbered(con, crawl)
    if current.pages and current.fetched >= current.pages and current.queued:
        deny_queued(con, current, "budget", f"all {current.pages} pages were fetched", now)
        current = crawls.numbered(con, crawl)
    if current.queued or current.leased or current.finished:
        return
    denied = con.execute(
        "INSERT INTO decisions (crawl, url, reason, evidence, at) SELECT crawl, id, 'budget', "
        f"'depth ' || depth || ' of {int(current.depth)}', ? FROM urls WHERE crawl = ? AND state = {State.BEYOND}",
        (now, crawl),
    ).rowcount
    con.execute(f"UPDATE urls SET state = {State.DENIED} WHERE crawl = ? AND state = {State.BEYOND}", (crawl,))
    crawls.count(con, crawl, denied=denied)
    con.execute("UPDATE crawls SET finished = 1 WHERE id = ?", (crawl,))


def reconsider(con: sqlite3.Connection, crawl: Crawl) -> None:
    """Queue again what an earlier budget of the crawl left over and the present one allows.

    The decisions stand as what was decided at their time.
    """
    queued = con.execute(
        f"UPDATE urls SET state = {State.QUEUED} WHERE crawl = ? AND state = {State.DENIED} AND depth <= ? "
        "AND (SELECT reason FROM decisions WHERE url = urls.id ORDER BY id DESC LIMIT 1) = 'budget'",
        (crawl.id, crawl.depth),
    ).rowcount
    beyond = con.execute(
        f"UPDATE urls SET state = {State.QUEUED} WHERE crawl = ? AND state = {State.BEYOND} AND depth <= ?",
        (crawl.id, crawl.depth),
    ).rowcount
    crawls.count(con, crawl.id, queued=queued + beyond, denied=-queued)
