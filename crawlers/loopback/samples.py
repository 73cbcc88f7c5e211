"""A small WARC of the made web, as if somebody else had crawled it."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from crawlers.bundle import BundleWriter
from crawlers.exchange import Exchange
from crawlers.loopback.sites import pages

WHEN = 1_795_392_000.0  # 2026-11-23 00:00 UTC


def write_warc(path: Path, *, every: int = 5) -> Path:
    """Write every n-th article to `path` (.warc.gz, gzip per record); the same bytes every time."""
    numbers = iter(range(1, 1 << 20))
    writer = BundleWriter("made-web/1.0", new_id=lambda: UUID(int=next(numbers)))
    for number, page in enumerate([page for page in pages() if page.planted == "article"][::every]):
        headers = (("Content-Type", page.mime), ("Content-Length", str(len(page.body))))
        exchange = Exchange(
            page.url, "page", WHEN + number, 5, "ok", (("Host", page.host),), 200, "OK", headers, page.body,
        )  # fmt: skip
        writer.add("none", exchange)
    path.write_bytes(writer.seal().data)
    return path
