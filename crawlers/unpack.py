"""From the bytes of a bundle to findings: parses what strangers sent, so it runs in a child that can be killed.

Invariant: every finding was derived here from the record itself; of what the node claims only the lease, the kind,
the time and the name of a failure are taken, and they are checked for form.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from crawlers import robots
from crawlers.findings import Finding
from crawlers.links import extract
from crawlers.outcomes import FAILURES, HTML_TYPES, classify, media_type
from crawlers.rights import forbids_following
from crawlers.urls import resolve
from storage.bundles import Record, records
from storage.errors import BadBundle, Corrupt
from storage.ids import digest
from storage.schema import KINDS

MAX_RECORDS: Final = 100_000
MAX_DECODED: Final = 1 << 30
"""Bytes of all payloads of a bundle together; 16 MiB of ordinary pages unpack to a tenth of it."""

LINK_BYTES: Final = 4 << 20
"""Bytes of a page that are searched for links."""

_MAX_MS: Final = 2**31 - 1
_IGNORED: Final = frozenset(("warcinfo", "request"))


def unpack(bundle: bytes, agent: str, *, links: bool = True) -> list[Finding]:
    """Every exchange of a bundle in the order of offsets. `agent` is the User-Agent that fetched.

    BadBundle when it is not in the form that nodes write; Corrupt when a payload is not what its record says.
    """
    found: list[Finding] = []
    decoded = 0
    for record in _answers(bundle):
        finding = _finding(record, agent)
        decoded += finding.payload_bytes
        if decoded > MAX_DECODED or len(found) == MAX_RECORDS:
            raise _bad(record, f"more than {MAX_RECORDS} exchanges or {MAX_DECODED} bytes of payload")
        if links and finding.may_have_links:
            finding = _with_links(finding, record.payload, agent)
        found.append(finding)
    return found


def links_of(record: bytes, agent: str) -> tuple[str, ...]:
    """The links of the page in one record, given as its gzip member alone."""
    for answer in _answers(record):
        finding = _finding(answer, agent)
        return _with_links(finding, answer.payload, agent).links if finding.may_have_links else ()
    return ()


def _answers(bundle: bytes) -> Iterator[Record]:
    for record in records(bundle):
        if record.problem is not None:
            raise _bad(record, record.problem)
        if record.type in ("response", "metadata"):
            yield record
        elif record.type not in _IGNORED:
            raise _bad(record, f"a record of type {record.type} has no place in a bundle")


def _finding(record: Record, agent: str) -> Finding:
    kind = record.headers.get("x-thresher-kind")
    url, date, lease = record.target_uri, record.date, record.headers.get("x-thresher-lease")
    if url is None or date is None or not lease or kind not in KINDS:
        raise _bad(record, "it does not say URL, time, lease and kind")
    said = Finding(
        offset=record.offset,
        length=record.length,
        lease=lease,
        url=url,
        kind=kind,
        fetched_at=date,
        elapsed_ms=_milliseconds(record.headers.get("x-thresher-elapsed-ms")),
        outcome="bad_response",
        ip=record.ip,
    )
    return _failure(said, record) if record.type == "metadata" else _response(said, record, agent)


def _failure(said: Finding, record: Record) -> Finding:
    try:
        outcome = json.loads(record.payload)["outcome"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _bad(record, "its failure is not told in JSON") from error
    if not isinstance(outcome, str) or outcome not in FAILURES:
        raise _bad(record, "it names no failure that there is")
    return replace(said, outcome=outcome)


def _response(said: Finding, record: Record, agent: str) -> Finding:
    if record.status is None:
        raise _bad(record, "a response without an HTTP head")
    payload = digest(record.payload)
    if record.headers.get("warc-payload-digest") != f"sha256:{payload.hex()}":
        raise Corrupt("read bundle", f"record at byte {record.offset}", "its payload is not what its digest says")
    headers = dict(reversed(record.http_headers))  # of a repeated one the first counts
    mime, charset = media_type(headers.get("content-type"))
    location = headers.get("location")
    outcome = classify(record.status, mime, location, said.kind)
    tags = tuple(value for name, value in record.http_headers if name == "x-robots-tag")
    html = said.kind == "page" and outcome == "ok" and (mime is None or mime in HTML_TYPES)
    return replace(
        said,
        outcome=outcome,
        status=record.status,
        mime=mime,
        charset=charset,
        redirect_to=resolve(said.url, location) if outcome == "redirect" and location else None,
        etag=headers.get("etag"),
        last_modified=headers.get("last-modified"),
        retry_after=headers.get("retry-after"),
        x_robots_tag=tags,
        truncated=record.truncated,
        payload=payload,
        payload_bytes=len(record.payload),
        body=record.payload[: robots.MAX_BYTES] if said.kind == "robots" else b"",
        may_have_links=html and bool(record.payload) and not forbids_following(tags, agent),
    )


def _with_links(finding: Finding, payload: bytes, agent: str) -> Finding:
    return replace(finding, links=extract(payload[:LINK_BYTES], finding.url, finding.charset, agent))


def _milliseconds(text: str | None) -> int:
    return min(int(text), _MAX_MS) if text and len(text) < 12 and text.isascii() and text.isdigit() else 0


def _bad(record: Record, cause: str) -> BadBundle:
    return BadBundle("read bundle", f"record at byte {record.offset}", cause)
