"""Exchanges into a WARC/1.1 file, gzip per record, that `warcio check` accepts.

The payload is stored decoded, as Common Crawl does: the coding headers get an `X-Thresher-` name and Content-Length
says what is stored. So WARC-Payload-Digest is the page's id, and a stranger needs no decoder. Written by hand because
the format is a few lines and a library's writer costs more than the fetch.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import ada_url
from isal import igzip

from crawlers.exchange import Exchange, Headers
from storage.ids import digest

SEAL_BYTES: Final = 16 << 20
"""A bundle of this size is sealed."""

LEVEL: Final = 1
"""Of igzip (0 to 3): 3 saves a tenth of the bytes for twice the time."""

_RENAMED: Final = frozenset({"content-encoding", "transfer-encoding", "content-length"})


@dataclass(frozen=True, slots=True)
class Sealed:
    """A finished bundle: its bytes, its digest, and the digest of each response's payload in the order of offsets."""

    data: bytes
    digest: str
    payloads: tuple[str, ...]
    exchanges: tuple[tuple[str, str], ...]  # (lease id, url)


@dataclass(slots=True)
class BundleWriter:
    """Collects exchanges until it is sealed. `agent` is the User-Agent; record ids come from `new_id`."""

    agent: str
    new_id: Callable[[], uuid.UUID] = uuid.uuid4
    size: int = 0
    _parts: list[bytes] = field(default_factory=list)
    _payloads: list[str] = field(default_factory=list)
    _exchanges: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        """Exchanges so far."""
        return len(self._exchanges)

    def add(self, lease_id: str, exchange: Exchange) -> None:
        """Append the records of one exchange: request and response, or request and metadata for a failure."""
        if not self._parts:
            self._warcinfo(exchange.started)
        answer_id = self.new_id()
        if exchange.request_headers:
            fields = [("WARC-Concurrent-To", f"<{answer_id.urn}>"), *_about(exchange)]
            self._record("request", self.new_id(), exchange.started, fields, _HTTP_REQUEST, _request(exchange))
        fields = [
            ("X-Thresher-Lease", lease_id),
            ("X-Thresher-Kind", exchange.kind),
            ("X-Thresher-Elapsed-Ms", str(exchange.elapsed_ms)),
            *_about(exchange),
        ]
        if exchange.status is None:
            self._record("metadata", answer_id, exchange.started, fields, "application/json", _failure(exchange))
        else:
            payload = digest(exchange.body).hex()
            self._payloads.append(payload)
            fields.append(("WARC-Payload-Digest", f"sha256:{payload}"))
            if exchange.truncated is not None:
                fields.append(("WARC-Truncated", exchange.truncated))
            self._record("response", answer_id, exchange.started, fields, _HTTP_RESPONSE, _response(exchange))
        self._exchanges.append((lease_id, exchange.url))

    def seal(self) -> Sealed:
        """The bundle as it stands; the writer is not used afterwards."""
        data = b"".join(self._parts)
        return Sealed(data, hashlib.sha256(data).hexdigest(), tuple(self._payloads), tuple(self._exchanges))

    def _warcinfo(self, at: float) -> None:
        lines = {
            "software": self.agent,
            "format": "WARC File Format 1.1",
            "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
            "robots": "obey",
        }
        block = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()
        self._record("warcinfo", self.new_id(), at, [], "application/warc-fields", block)

    def _record(
        self, kind: str, record_id: uuid.UUID, at: float, fields: Sequence[tuple[str, str]], mime: str, block: bytes
    ) -> None:
        moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        head = [("WARC-Type", kind), ("WARC-Record-ID", f"<{record_id.urn}>"), ("WARC-Date", moment), *fields]
        head += [("Content-Type", mime), ("Content-Length", str(len(block)))]
        text = "".join(f"{name}: {value}\r\n" for name, value in head)
        raw = b"WARC/1.1\r\n" + text.encode() + b"\r\n" + block + b"\r\n\r\n"
        packed = igzip.compress(raw, LEVEL, mtime=0)
        self._parts.append(packed)
        self.size += len(packed)


_HTTP_REQUEST: Final = "application/http; msgtype=request"
_HTTP_RESPONSE: Final = "application/http; msgtype=response"


def _about(exchange: Exchange) -> Headers:
    address = (("WARC-IP-Address", exchange.ip),) if exchange.ip is not None else ()
    return (("WARC-Target-URI", exchange.url), *address)


def _request(exchange: Exchange) -> bytes:
    parsed = ada_url.URL(exchange.url)
    return _http(f"GET {parsed.pathname}{parsed.search} HTTP/1.1", exchange.request_headers)


def _response(exchange: Exchange) -> bytes:
    headers = [(f"X-Thresher-{name}" if name.lower() in _RENAMED else name, value) for name, value in exchange.headers]
    headers.append(("Content-Length", str(len(exchange.body))))
    return _http(f"HTTP/1.1 {exchange.status} {exchange.reason}".rstrip(), headers) + exchange.body


def _http(first: str, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    flat = (line.replace("\r", " ").replace("\n", " ") for line in lines)
    return ("\r\n".join(flat) + "\r\n\r\n").encode("latin-1", "replace")


def _failure(exchange: Exchange) -> bytes:
    said = {"outcome": exchange.outcome, "error": exchange.error, "elapsed_ms": exchange.elapsed_ms}
    return json.dumps(said, ensure_ascii=False, sort_keys=True).encode()
