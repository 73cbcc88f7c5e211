"""What the coordinator itself read in one record of a bundle: the only thing about a fetch that it acts on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from storage.schema import Kind, Outcome


@dataclass(frozen=True, slots=True)
class Finding:
    """One exchange, as its record says. Digests are of the payload as stored; URLs are canonical."""

    offset: int  # bytes, of the record in the bundle
    length: int  # bytes, of the record as compressed
    lease: str
    url: str
    kind: Kind
    fetched_at: datetime
    elapsed_ms: int
    outcome: Outcome
    ip: str | None = None
    status: int | None = None
    mime: str | None = None
    charset: str | None = None
    redirect_to: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    retry_after: str | None = None
    x_robots_tag: tuple[str, ...] = ()
    truncated: str | None = None
    payload: bytes | None = None  # SHA-256; None for a failure
    payload_bytes: int = 0
    body: bytes = b""  # of robots.txt only
    may_have_links: bool = False
    links: tuple[str, ...] = ()
