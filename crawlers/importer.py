"""Anybody's WARC file into captures: the file itself becomes a bundle, and each response in it a row.

Nobody signed for these exchanges, so node, lease and receipt are null, and rights are known only as far as the
response itself states them. Invariant: a file is imported once, whatever it is called; `covers` names its digest.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from fastwarc.warc import ArchiveIterator
from isal import igzip

from crawlers import rights, urls
from crawlers.outcomes import classify, media_type, worth_cleaning
from storage import bundles
from storage.bundles import Record
from storage.errors import BadBundle, InvalidUrl
from storage.ids import capture_id, digest
from storage.schema import CAPTURES, Kind
from storage.store import Shard, Store

CRAWL: Final = "import"
AGENT: Final = "thresher"
"""For X-Robots-Tag rules that name an agent; whoever fetched the page may have called himself anything."""

BATCH: Final = 50_000
"""Rows in a shard."""

LEVEL: Final = 1
"""Of igzip, where a file is repacked."""


@dataclass(slots=True)
class ImportResult:
    """What one file gave; `notes` says what was in it and could not be taken."""

    bundle: str = ""
    captures: int = 0
    pages: int = 0
    notes: list[str] = field(default_factory=list)


def import_warc(
    store: Store, path: Path, *, now: datetime, progress: Callable[[int], None] | None = None
) -> ImportResult:
    """Import a WARC file, gzip per record or repacked so; nothing happens when it was imported before.

    A file that breaks off is imported up to there, and the result says so. BadBundle when it is no WARC.
    """
    result = ImportResult()
    if _is_framed(path):
        return _import_framed(store, path, result, now, progress)
    with tempfile.TemporaryDirectory(prefix="import-", dir=store.state_dir) as folder:
        packed = _repacked(path, Path(folder) / "repacked.warc.gz", result)
        result.notes.append("it was not gzip per record and was repacked")
        return _import_framed(store, packed, result, now, progress)


def _is_framed(path: Path) -> bool:
    """Whether the file is gzip per record as far as its first records tell. BadBundle when it is no WARC at all."""
    try:
        for number, _ in enumerate(bundles.records(path, limit=0)):
            if number == 1:
                return True
    except BadBundle:
        next(iter(bundles.records(path, limit=0, framed=False)), None)  # raises where there is no WARC in it
        return False
    return True


def _repacked(path: Path, target: Path, result: ImportResult) -> Path:
    """Every record of `path`, unchanged, in a gzip member of its own."""
    with path.open("rb") as source, target.open("wb") as out:
        records = iter(ArchiveIterator(source, parse_http=False))
        try:
            while (record := next(records, None)) is not None:
                block = io.BytesIO()
                record.write(block)
                out.write(igzip.compress(block.getvalue(), LEVEL, mtime=0))
        except (OSError, ValueError, EOFError) as error:
            result.notes.append(f"it breaks off: {error}")
    return target


def _import_framed(
    store: Store, path: Path, result: ImportResult, now: datetime, progress: Callable[[int], None] | None
) -> ImportResult:
    result.bundle = store.put_file(path, "warc.gz")
    covered = store.covered("captures", "captures")
    if f"{result.bundle}:{CRAWL}" in covered:
        result.notes.append("it was imported before")
        return result
    shards: list[Shard] = []
    for number, rows in enumerate(_batches(path, result)):
        key = f"{result.bundle}:{CRAWL}" + (f"/{number}" if number else "")
        table = pa.Table.from_pylist(rows, schema=CAPTURES)
        shards.append(store.write_shard("captures", table, covers=[key]))
        result.captures += len(rows)
        result.pages += len(rows) - table["page_id"].null_count
        if progress is not None:
            progress(result.captures)
    if shards:
        store.commit("captures", add={"captures": shards}, at=now, by="import")
    return result


def _batches(path: Path, result: ImportResult) -> Iterator[list[dict[str, Any]]]:
    bundle = bytes.fromhex(result.bundle)
    rows: list[dict[str, Any]] = []
    refused = 0
    try:
        for record in bundles.records(path):
            if record.problem is not None:
                result.notes.append(f"the record at byte {record.offset} breaks off or is broken: {record.problem}")
            row = _row(bundle, record)
            if row is not None:
                rows.append(row)
            elif record.type == "response":
                refused += 1
            if len(rows) == BATCH:
                yield rows
                rows = []
    except BadBundle as error:
        result.notes.append(f"it breaks off: {error.cause}")
    if refused:
        result.notes.append(f"{refused} responses without a URL, a time or an HTTP head were left out")
    if rows:
        yield rows


def _row(bundle: bytes, record: Record) -> dict[str, Any] | None:
    """A response as a row of captures; None for any other record and for one without URL, time or status."""
    known = record.status is not None and record.date is not None and record.target_uri is not None
    if record.type != "response" or not known:
        return None
    assert record.status is not None
    assert record.target_uri is not None
    try:
        url = urls.canonical(record.target_uri.strip("<>"))
    except InvalidUrl:
        return None
    headers = dict(reversed(record.http_headers))
    kind: Kind = "robots" if urls.path(url) == "/robots.txt" else "page"
    mime, charset = media_type(headers.get("content-type"))
    location = headers.get("location")
    outcome = "bad_response" if record.problem else classify(record.status, mime, location, kind)
    tags = [value for name, value in record.http_headers if name == "x-robots-tag"]
    said = rights.evaluate(None, False, url, AGENT, tags)
    is_page = worth_cleaning(outcome, mime, kind, len(record.payload))
    return {
        "capture_id": capture_id(bundle, record.offset),
        "crawl": CRAWL,
        "url": url,
        "origin": urls.origin(url),
        "host": urls.host(url),
        "site": urls.site(url),
        "kind": kind,
        "fetched_at": record.date,
        "outcome": outcome,
        "status": record.status,
        "mime": mime,
        "charset": charset,
        "redirect_to": urls.resolve(url, location) if outcome == "redirect" and location else None,
        "page_id": digest(record.payload) if is_page else None,
        "bundle": bundle,
        "offset": record.offset,
        "length": record.length,
        "truncated": record.truncated,
        "etag": headers.get("etag"),
        "last_modified": headers.get("last-modified"),
        "ip": record.ip,
        "rights_train": said.train,
        "rights_input": said.input,
        "rights_search": said.search,
        "rights_evidence": said.evidence,
    }
