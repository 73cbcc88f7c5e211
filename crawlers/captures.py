"""Accepted exchanges as rows of the table captures, with the rights that robots.txt and headers give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from crawlers import rights
from crawlers.findings import Finding
from crawlers.outcomes import worth_cleaning
from crawlers.robots import Robots
from crawlers.urls import host, origin, site_of_host
from storage.ids import capture_id
from storage.schema import CAPTURES


@dataclass(frozen=True, slots=True)
class Asked:
    """What robots.txt said when the lease was given: no file when `robots` is None, unknown unless `settled`."""

    settled: bool = False
    robots: Robots | None = None
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A finding that settles something, with what the frontier knows of it. `agent` is the crawl's."""

    finding: Finding
    crawl: str
    agent: str
    asked: Asked
    depth: int | None = None
    referrer: str | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """Where accepted findings come from: raw digests, and the latest moment that is believed."""

    bundle: bytes
    receipt: bytes
    node: bytes
    at: datetime


def table(accepted: Sequence[Accepted], delivered: Delivered) -> pa.Table:
    """The rows, in the schema of captures."""
    columns: dict[str, list[Any]] = {name: [] for name in CAPTURES.names}
    for each in accepted:
        for name, value in zip(_NAMES, _row(each, delivered), strict=True):
            columns[name].append(value)
    return pa.table(columns, schema=CAPTURES)


_NAMES: Final = tuple(CAPTURES.names)


def _row(accepted: Accepted, delivered: Delivered) -> tuple[Any, ...]:
    """Values in the order of the schema."""
    found, asked = accepted.finding, accepted.asked
    hostname = host(found.url)
    said = rights.evaluate(asked.robots, asked.settled, found.url, accepted.agent, found.x_robots_tag)
    page = worth_cleaning(found.outcome, found.mime, found.kind, found.payload_bytes)
    verdict = asked.robots.verdict(found.url, accepted.agent) if asked.robots is not None else None
    return (
        capture_id(delivered.bundle, found.offset),
        accepted.crawl,
        found.url,
        origin(found.url),
        hostname,
        site_of_host(hostname),
        found.kind,
        min(found.fetched_at, delivered.at),  # a node's clock may be wrong, but nothing was fetched tomorrow
        found.outcome,
        found.status,
        found.mime,
        found.charset,
        found.redirect_to,
        found.payload if page else None,
        delivered.bundle,
        found.offset,
        found.length,
        found.truncated,
        found.etag,
        found.last_modified,
        delivered.node,
        found.lease,
        delivered.receipt,
        found.ip,
        verdict,
        asked.digest,
        said.train,
        said.input,
        said.search,
        said.evidence,
        found.elapsed_ms,
        accepted.depth,
        accepted.referrer,
    )


def packed(rows: pa.Table) -> bytes:
    """Rows as an Arrow IPC stream, for the outbox."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())


def unpacked(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()
