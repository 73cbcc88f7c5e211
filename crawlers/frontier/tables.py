"""The frontier's file: SQLite in WAL mode, every transaction on the disk when it ends.

URLs are appended to one table and found by a unique 64-bit key: measured faster, and steadier as it grows, than a
table ordered by a hash of the URL. Pace and robots stand per host and origin, shared by all crawls.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Final

from storage.errors import Corrupt, StoreFull

VERSION: Final = 1
CACHE_KIB: Final = 131_072
CHECKPOINT_PAGES: Final = 16_384
"""Pages of 4 KiB in the log before they are moved into the file: the keys are random, so waiting merges many writes."""


class State(IntEnum):
    """Where a URL is. BEYOND: deeper than the crawl goes so far; queued if it is met nearer, else denied at the end."""

    QUEUED = 0
    LEASED = 1
    DONE = 2
    DENIED = 3
    BEYOND = 4


class RobotsState(IntEnum):
    """What is known of an origin's robots.txt: RULES and ABSENT settle it, the others wait for `retry_at`."""

    UNKNOWN = 0
    RULES = 1
    ABSENT = 2
    UNREACHABLE = 3
    DEFERRED = 4


# Times are epoch seconds of the coordinator's clock.
DDL: Final = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE crawls (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    agent TEXT NOT NULL,
    scope TEXT NOT NULL,             -- host, site, any
    pages INTEGER NOT NULL,          -- budget of page fetches, 0 = none
    depth INTEGER NOT NULL,
    delay REAL,                      -- seconds, null = the default
    patience REAL NOT NULL,          -- seconds that it waits for a host at most
    created REAL NOT NULL,
    finished INTEGER NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 1,  -- wanted by the process that has the frontier open
    queued INTEGER NOT NULL DEFAULT 0,
    leased INTEGER NOT NULL DEFAULT 0,
    fetched INTEGER NOT NULL DEFAULT 0,  -- settled exchanges of kind page
    captures INTEGER NOT NULL DEFAULT 0,
    denied INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,    -- of payloads
    exported INTEGER NOT NULL DEFAULT 0  -- last decision that an export covers
);
CREATE TABLE outcomes (crawl INTEGER, outcome TEXT, n INTEGER NOT NULL, PRIMARY KEY (crawl, outcome)) WITHOUT ROWID;
CREATE TABLE scopes (crawl INTEGER, name TEXT, PRIMARY KEY (crawl, name)) WITHOUT ROWID;

CREATE TABLE hosts (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    due_at REAL,                         -- when it may give a lease; null = nothing to do, or a lease is open
    lease INTEGER,                       -- fence of the open lease
    last_at REAL NOT NULL DEFAULT 0,     -- end of the last exchange
    gap REAL NOT NULL DEFAULT 0,         -- of the last lease
    blocked_until REAL NOT NULL DEFAULT 0,
    blocked_by TEXT,                     -- what it answered
    strikes INTEGER NOT NULL DEFAULT 0,
    struck_at REAL NOT NULL DEFAULT 0,
    last_crawl INTEGER NOT NULL DEFAULT 0,
    parked INTEGER NOT NULL DEFAULT 0    -- all its crawls have leased what is left of their budgets
);
CREATE INDEX hosts_due ON hosts (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX hosts_parked ON hosts (id) WHERE parked;

CREATE TABLE origins (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    robots INTEGER NOT NULL DEFAULT {RobotsState.UNKNOWN},
    digest BLOB,                         -- of the robots.txt in force
    checked_at REAL,                     -- when it was had, or known to be absent
    fresh_until REAL NOT NULL DEFAULT 0,
    retry_at REAL NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,    -- in a row that did not settle it
    said TEXT                            -- outcome or status of the last one
);
CREATE INDEX origins_of_host ON origins (host);
CREATE TABLE robots (digest BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE urls (
    id INTEGER PRIMARY KEY,
    key INTEGER NOT NULL UNIQUE,
    crawl INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    url TEXT NOT NULL,
    depth INTEGER NOT NULL,
    hops INTEGER NOT NULL,               -- redirects that led here
    state INTEGER NOT NULL,
    referrer INTEGER,                    -- id of the page or redirect that led here first
    lease INTEGER,                       -- fence of the last lease
    bundle INTEGER                       -- that settled it
);
CREATE INDEX urls_queue ON urls (origin, crawl, depth, id) WHERE state = {State.QUEUED};
CREATE INDEX urls_beyond ON urls (crawl) WHERE state = {State.BEYOND};

CREATE TABLE leases (
    fence INTEGER PRIMARY KEY AUTOINCREMENT,
    lease_id TEXT NOT NULL,
    node TEXT NOT NULL,
    crawl INTEGER NOT NULL,
    host INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    granted REAL NOT NULL,
    deadline REAL NOT NULL,
    closed_at REAL,
    urls TEXT NOT NULL,                  -- JSON array of url ids, in order; empty for robots
    awaits TEXT,                         -- robots: the URL whose exchange comes next
    hops INTEGER NOT NULL DEFAULT 0      -- robots: redirects followed
);
CREATE INDEX leases_open ON leases (deadline) WHERE closed_at IS NULL;

CREATE TABLE bundles (id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, receipt BLOB NOT NULL, at REAL NOT NULL);

CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    crawl INTEGER NOT NULL,
    url INTEGER NOT NULL,
    reason TEXT NOT NULL,
    evidence TEXT,
    at REAL NOT NULL
);
CREATE INDEX decisions_of_url ON decisions (url);
CREATE INDEX decisions_of_crawl ON decisions (crawl, id);

CREATE TABLE outbox (                    -- capture rows that no snapshot holds yet
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    rows INTEGER NOT NULL,
    covers TEXT NOT NULL,                -- JSON array
    captures BLOB NOT NULL               -- Arrow IPC stream
);
CREATE TABLE exports (                   -- ranges of decisions that no snapshot is known to hold
    id INTEGER PRIMARY KEY,
    crawl INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL
);
"""


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the file, made with its tables when it is not there. Corrupt when it is something else."""
    try:
        with translated(path):
            return _connect(path, read_only=read_only)
    except sqlite3.DatabaseError as error:
        raise Corrupt("open frontier", str(path), str(error)) from error


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    if read_only:
        con = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5)
    else:
        con = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        con.execute("PRAGMA journal_mode = WAL")
        con.execute("PRAGMA synchronous = FULL")
        con.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        con.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    con.execute("PRAGMA temp_store = MEMORY")
    version = con.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and not read_only:
        # Numbers of decisions begin anew in every file, so what was exported is told apart by the file's id too.
        row = f"INSERT INTO meta VALUES ('id', '{secrets.token_hex(6)}');"
        con.executescript(f"BEGIN IMMEDIATE; {DDL} {row} PRAGMA user_version = {VERSION}; COMMIT;")
    elif version != VERSION:
        raise Corrupt("open frontier", str(path), f"its format is {version}, not {VERSION}", "move it away")
    return con


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of SQLite that are the disk's, as ours: StoreFull."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", None) in _FULL:
            raise StoreFull("write frontier", str(path), str(error), "make room and start again") from error
        raise


_FULL: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
