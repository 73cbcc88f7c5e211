"""From the block of a WARC `response` record to status, headers and the decoded payload.

Writers of WARCs differ: some keep the transfer and content coding, some remove it and leave the headers as they
were. What is made of the bytes is a function of the bytes and of the limit alone, because `page_id` is the hash of
the result and must come out the same for every later reader and library version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from storage.encodings import Decoder
from storage.errors import Corrupt

MAX_HEAD: Final = 256 << 10
"""Bytes of status line and headers."""

Headers = tuple[tuple[str, str], ...]
"""Names in lower case, values stripped, as Latin-1, in the order in which they came."""

_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_STATUS: Final = re.compile(rb"(?:HTTP|ICY)(?:/\d+(?:\.\d+)?)?\s+(\d{3})\b", re.IGNORECASE)
_CHUNK: Final = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]{0,4096})?\r?\n")
_MAGIC: Final = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
_MARKUP: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*<")


@dataclass(frozen=True, slots=True)
class Response:
    """`truncated`: "length" at the limit, "time" when the body ended before it was whole. With a `problem` there is
    no payload."""

    status: int | None
    headers: Headers
    payload: bytes
    truncated: Literal["length", "time"] | None = None
    problem: str | None = None


def head_end(block: bytes) -> int | None:
    """Where the body of an HTTP message starts; None when its head does not end here."""
    found = _HEAD_END.search(block, 0, MAX_HEAD)
    return found.end() if found else None


def parse(block: bytes, limit: int, *, cut: bool) -> Response:
    """Read a whole HTTP response, or the first bytes of one (`cut`); never raises."""
    found = _STATUS.match(block)
    if not found:
        return Response(None, (), b"", problem="the record holds no HTTP response")
    end = head_end(block)
    if end is None:
        return Response(int(found[1]), (), b"", problem="the HTTP head does not end")
    headers = parse_headers(block[:end])
    try:
        payload, truncated = _decoded(block[end:], headers, limit, cut=cut)
    except Corrupt as error:
        return Response(int(found[1]), headers, b"", problem=f"{error.name} body: {error.cause}")
    return Response(int(found[1]), headers, payload, truncated)


def parse_headers(head: bytes) -> Headers:
    """The fields of a head, its first line left out; a line without a colon is dropped, a folded one joined."""
    lines = re.sub(rb"\r?\n[ \t]+", b" ", head.strip()).splitlines()[1:]
    pairs = (line.decode("latin-1").partition(":") for line in lines if b":" in line)
    return tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)


def tokens(headers: Headers, name: str) -> list[str]:
    """The comma-separated values of all fields of a name, in lower case."""
    values = (value for field, value in headers if field == name)
    return [token.strip().lower() for value in values for token in value.split(",") if token.strip()]


def _decoded(body: bytes, headers: Headers, limit: int, *, cut: bool) -> tuple[bytes, Literal["length", "time"] | None]:
    whole = not cut
    if "chunked" in tokens(headers, "transfer-encoding") and _CHUNK.match(body):
        body, whole = dechunked(body)
    codings = tokens(headers, "content-encoding")
    codings += [token for token in tokens(headers, "transfer-encoding") if token in ("gzip", "x-gzip", "deflate")]
    outer = codings[-1] if codings else ""
    if not body.startswith(_MAGIC.get(outer, b"")):
        codings = []  # removed by who wrote the record
    try:
        decoder = Decoder(codings, limit)
        payload = decoder.feed(body) + (decoder.finish() if whole else b"")
    except Corrupt:
        if not (outer in ("br", "deflate") and _MARKUP.match(body)):
            raise
        decoder = Decoder([], limit)  # these two have no magic number: a body of markup was decoded before
        payload = decoder.feed(body)
    if codings and not whole and not decoder.truncated:
        raise Corrupt("decode", outer, "the body ends before the stream does")
    return payload, "length" if decoder.truncated or cut else None if whole else "time"


def dechunked(body: bytes) -> tuple[bytes, bool]:
    """The data of a chunked body, and whether its last chunk is there; Corrupt when a chunk's size is no number."""
    ends = [False]
    return b"".join(_chunks(body, ends)), ends[0]


def _chunks(body: bytes, ends: list[bool]) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        found = _CHUNK.match(body, at)
        if not found:
            if len(body) - at < 32 and b"\n" not in body[at:]:
                return  # cut inside a size line
            raise Corrupt("decode", "chunked", f"no chunk size at byte {at}")
        size = int(found[1], 16)
        if size == 0:
            ends[0] = True
            return
        at = found.end() + size
        yield body[found.end() : at]
        at += 2 if body[at : at + 2] == b"\r\n" else 1 if body[at : at + 1] == b"\n" else 0
