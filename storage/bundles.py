"""Reading bundles: WARC files, gzip per record, ours and anybody's, one record at a time and never a whole file.

Invariant: a record read by its offset and length alone gives the same payload as the same record met while reading
the file from its start, and no record costs more memory than twice the limit on payloads.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

from fastwarc.warc import ArchiveIterator, WarcRecord
from isal import isal_zlib

from storage import http_body
from storage.encodings import ISAL_ERROR
from storage.errors import BadBundle, Corrupt
from storage.http_body import Headers

if TYPE_CHECKING:
    import pyarrow as pa

    from storage.store import Store

MAX_PAYLOAD: Final = 32 << 20
"""Bytes of a decoded payload; what is longer is cut there and says so. Part of the format: page_id depends on it."""

MAX_WARC_HEAD: Final = 64 << 10

_WINDOW: Final = 4 << 20
_GZIP: Final = b"\x1f\x8b"
_OTHER_CODINGS: Final = (b"\x28\xb5\x2f\xfd", b"\x5d\x2a\x4d\x18", b"\x04\x22\x4d\x18")  # zstd, its dictionary, lz4
_REPACK: Final = "`thresher import` repacks it"


@dataclass(frozen=True, slots=True)
class Record:
    """One WARC record.

    `offset` and `length` are the bytes of its gzip member in the file. `headers` are the WARC fields, names in lower
    case. `status` and `http_headers` are those of an HTTP response, else None and (). `payload` is the response's
    body, transfer and content coding removed, or the whole block of any other record. `truncated` says why a payload
    is not whole: "length" (too long) or "time" (it ended early). With a `problem` the payload is empty.
    """

    offset: int
    length: int
    type: str
    target_uri: str | None
    date: datetime | None
    ip: str | None
    headers: Mapping[str, str]
    status: int | None
    http_headers: Headers
    payload: bytes
    truncated: Literal["length", "time"] | None = None
    problem: str | None = None


def records(source: bytes | Path, *, limit: int = MAX_PAYLOAD, framed: bool = True) -> Iterator[Record]:
    """All records of a WARC file, in order; payloads are cut at `limit` bytes.

    BadBundle when it is no WARC (ARC included) or, after the last record that can be read, when it is broken there.
    With `framed`, BadBundle also when it is not gzip per record; without, any WARC will do (plain, one gzip stream,
    zstd, lz4) and offsets and lengths mean nothing.
    """
    name = str(source) if isinstance(source, Path) else f"WARC of {len(source)} bytes"
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as file:
        size = file.seek(0, io.SEEK_END)
        _check_opening(file, name, framed=framed)
        if framed:
            yield from _framed(file, name, size, limit)
        else:
            for record, error in _read(file, limit):
                if error is not None:
                    raise BadBundle("read WARC", name, str(error)) from error
                assert record is not None
                yield record


def record(store: Store, bundle: bytes, offset: int, length: int, *, limit: int = MAX_PAYLOAD) -> Record:
    """The record of a bundle (its digest, 32 bytes) at an offset, read alone; BlobMissing, BadBundle."""
    digest = bundle.hex()
    name = f"{digest}.warc.gz at {offset}"
    file: BinaryIO
    if length <= _WINDOW:
        file = io.BytesIO(store.read_blob(digest, "warc.gz", offset, length))
    else:
        file = io.BufferedReader(_Window(store, digest, offset, length), _WINDOW)
    for found, error in _read(file, limit):
        if error is not None:
            raise BadBundle("read record", name, str(error)) from error
        assert found is not None
        return replace(found, offset=offset, length=length)
    raise BadBundle("read record", name, "no record is there")


def payload(store: Store, bundle: bytes, offset: int, length: int, limit: int = MAX_PAYLOAD) -> bytes:
    """The decoded payload of a record, cut at `limit` bytes; BlobMissing, BadBundle, Corrupt."""
    found = record(store, bundle, offset, length, limit=limit)
    if found.problem:
        raise Corrupt("read payload", f"{bundle.hex()}.warc.gz at {offset}", found.problem)
    return found.payload


def pages(store: Store, captures: pa.Table) -> pa.Table:
    """The captures that have a page, in their order, with the payload: rows of PAGES.

    Holds every payload, each up to 32 MiB: ask for few rows at a time. BlobMissing, BadBundle, and Corrupt when a
    payload's SHA-256 is not its page_id.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from storage.schema import PAGES

    captures = captures.filter(pc.is_valid(captures["page_id"]))
    payloads: list[bytes] = []
    places = captures.select(["bundle", "offset", "length", "page_id"]).to_pylist()
    for place in places:
        data = payload(store, place["bundle"], place["offset"], place["length"])
        if hashlib.sha256(data).digest() != place["page_id"]:
            name = f"{place['bundle'].hex()}.warc.gz at {place['offset']}"
            raise Corrupt("read page", name, "its payload is not the page that was captured", "run `thresher verify`")
        payloads.append(data)
    known = captures.select([field for field in PAGES.names if field != "payload"])
    column = pa.chunked_array([pa.array(payloads, pa.large_binary())])
    return known.append_column("payload", column).select(PAGES.names).cast(PAGES)


def _check_opening(file: BinaryIO, name: str, *, framed: bool) -> None:
    """Leave the file at its start, or raise BadBundle for what it opens with."""
    file.seek(0)
    opening = file.read(4096)
    file.seek(0)
    if opening.startswith(_GZIP):
        try:
            first = isal_zlib.decompressobj(31).decompress(opening, 16)
        except ISAL_ERROR as error:
            raise BadBundle("read WARC", name, f"broken from the start: {error}") from error
    elif framed and opening.startswith((b"WARC/", *_OTHER_CODINGS)):
        raise BadBundle("read WARC", name, "not gzip per record", _REPACK)
    elif opening.startswith(_OTHER_CODINGS):
        return
    else:
        first = opening[:16]
    if first.startswith(b"filedesc:"):
        hint = "convert it first: `warcio recompress OLD.arc.gz NEW.warc.gz`"
        raise BadBundle("read WARC", name, "this is ARC, the format before WARC", hint)
    if not first.startswith(b"WARC/"):
        raise BadBundle("read WARC", name, "this is no WARC file" if opening else "the file is empty")


def _framed(file: BinaryIO, name: str, size: int, limit: int) -> Iterator[Record]:
    """Records with lengths: each ends where the next one starts, the last where its gzip member does."""
    last: Record | None = None
    for record, error in _read(file, limit):
        if error is not None:
            if last is not None:
                yield _closed(file, last, size)[0]
            raise BadBundle("read WARC", name, f"broken after byte {last.offset if last else 0}: {error}") from error
        assert record is not None
        if not (last.offset if last else -1) < record.offset < size:
            raise BadBundle("read WARC", name, "not gzip per record", _REPACK)
        if last is not None:
            yield replace(last, length=record.offset - last.offset)
        last = record
    if last is not None:
        closed, end = _closed(file, last, size)
        yield closed
        if end < size:
            raise BadBundle("read WARC", name, f"{size - end} bytes after byte {end} are no records")


def _closed(file: BinaryIO, record: Record, size: int) -> tuple[Record, int]:
    """The last record that was read with the length of its gzip member, and where that ends."""
    file.seek(record.offset)
    member = isal_zlib.decompressobj(31)
    end = record.offset
    try:
        while not member.eof and (data := file.read(1 << 16) or b""):
            end += len(data)
            while data and not member.eof:
                member.decompress(data, 1 << 20)
                data = member.unconsumed_tail
    except ISAL_ERROR:
        end = size
    if member.eof:
        end -= len(member.unused_data)
        return replace(record, length=end - record.offset), end
    problem = record.problem or "the file is cut inside this record"
    return replace(record, length=size - record.offset, payload=b"", problem=problem), size


def _read(file: BinaryIO, limit: int) -> Iterator[tuple[Record | None, OSError | None]]:
    """Each record, or last the error that ended the reading."""
    try:
        for found in ArchiveIterator(file, parse_http=False, max_header_len=MAX_WARC_HEAD):
            yield _record(found, limit), None
    except OSError as error:
        yield None, error


def _record(found: WarcRecord, limit: int) -> Record:
    headers = {field.lower(): value for field, value in found.headers.to_tuples()}
    expected = found.content_length
    room = limit + http_body.MAX_HEAD
    block = found.reader.read(min(expected, room))
    cut = expected > room
    response = http_body.Response(None, (), block[:limit], "length" if len(block) > limit or cut else None)
    kind = headers.get("warc-type", "unknown").strip().lower()
    if len(block) < min(expected, room):
        response = http_body.Response(None, (), b"", problem="the file is cut inside this record")
    elif kind in ("response", "revisit") and headers.get("content-type", "").lower().startswith("application/http"):
        response = http_body.parse(block, limit, cut=cut)
    truncated = response.truncated or _truncated(headers.get("warc-truncated"))
    uri = headers.get("warc-target-uri")
    return Record(
        offset=found.stream_pos,
        length=0,
        type=kind,
        target_uri=uri.strip().removeprefix("<").removesuffix(">") if uri else None,
        date=_date(headers.get("warc-date", "")),
        ip=headers.get("warc-ip-address"),
        headers=headers,
        status=response.status,
        http_headers=response.headers,
        payload=response.payload,
        truncated=None if response.problem else truncated,
        problem=response.problem,
    )


def _truncated(reason: str | None) -> Literal["length", "time"] | None:
    """WARC 1.1 knows length, time, disconnect, unspecified: all but the first end a body early."""
    return None if not reason else "length" if reason.strip().lower() == "length" else "time"


def _date(text: str) -> datetime | None:
    try:
        date = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return date.astimezone(UTC) if date.tzinfo else date.replace(tzinfo=UTC)


class _Window(io.RawIOBase):
    """A range of a blob as a file, fetched as it is read."""

    def __init__(self, store: Store, digest: str, offset: int, length: int) -> None:
        self._store, self._digest = store, digest
        self._start, self._at, self._end = offset, offset, offset + length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: self._start, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        self._at = max(self._start, origin + offset)
        return self._at - self._start

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        size = min(len(buffer), self._end - self._at)
        data = self._store.read_blob(self._digest, "warc.gz", self._at, size) if size > 0 else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
