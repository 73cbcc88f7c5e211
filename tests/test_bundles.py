"""WARC files, ours and anybody's: every record, by iteration and alone, and never a crash."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import brotli
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import Store, bundles, open_store
from storage.errors import BadBundle, BlobMissing, Corrupt
from storage.http_body import dechunked
from storage.ids import digest
from storage.schema import CAPTURES, PAGES
from tests.signed_store import bundle, captures, table


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"), create=True)


def warc(
    block: bytes, *, kind: str = "response", mime: str = "application/http; msgtype=response", **fields: str
) -> bytes:
    head = {
        "WARC-Type": kind,
        "WARC-Record-ID": "<urn:uuid:00000000-0000-0000-0000-000000000001>",
        "WARC-Date": "2026-11-23T04:05:06.000007Z",
        "WARC-Target-URI": "http://a.test/",
        "Content-Type": mime,
        "Content-Length": str(len(block)),
    } | {name.replace("_", "-"): value for name, value in fields.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return b"WARC/1.1\r\n" + lines.encode() + b"\r\n" + block + b"\r\n\r\n"


def http(body: bytes, *headers: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([status, *headers, "", ""]).encode("latin-1") + body


def one(block: bytes, **options: Any) -> bundles.Record:
    (record,) = bundles.records(gzip.compress(warc(block, **options)))
    return record


def test_a_record_tells_what_it_is(store: Store) -> None:
    block = http(b"<p>hi", "Content-Type: text/html", "X-Twice: a", "x-twice:  b ")

    record = one(block, WARC_IP_Address="192.0.2.1", X_Thresher_Lease="lease")

    assert (record.type, record.target_uri, record.ip) == ("response", "http://a.test/", "192.0.2.1")
    assert record.date == datetime(2026, 11, 23, 4, 5, 6, 7, tzinfo=UTC)
    assert record.headers["x-thresher-lease"] == "lease"
    assert record.status == 200
    assert record.http_headers == (("content-type", "text/html"), ("x-twice", "a"), ("x-twice", "b"))
    assert (record.payload, record.truncated, record.problem) == (b"<p>hi", None, None)


def test_offsets_and_lengths_cut_the_file_into_its_records(store: Store) -> None:
    data = bundle("a.test", 5)
    found = list(bundles.records(data))
    name = digest(data)
    store.put_blob(data, "warc.gz")

    assert found[0].offset == 0
    assert all(a.offset + a.length == b.offset for a, b in pairwise(found))
    assert found[-1].offset + found[-1].length == len(data)
    for record in found:
        assert bundles.record(store, name, record.offset, record.length) == record
        assert next(bundles.records(data[record.offset : record.offset + record.length])).payload == record.payload
    assert [record.type for record in found] == ["warcinfo", *["request", "response"] * 5]


def chunked(data: bytes, size: int, *, end: bytes = b"0\r\n\r\n") -> bytes:
    return (
        b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (data[i : i + size] for i in range(0, len(data), size))) + end
    )


TEXT = b"<html>" + bytes(range(256)) * 20


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((), TEXT),
        (("Transfer-Encoding: chunked",), chunked(TEXT, 100)),
        (("Transfer-Encoding: chunked",), TEXT),
        (("Content-Encoding: gzip",), gzip.compress(TEXT)),
        (("Content-Encoding: gzip",), TEXT),
        (("Content-Encoding: gzip", "Transfer-Encoding: chunked"), chunked(gzip.compress(TEXT), 7)),
        (("Content-Encoding: gzip", "Transfer-Encoding: chunked"), chunked(TEXT, 7)),
        (("Content-Encoding: gzip", "Transfer-Encoding: chunked"), gzip.compress(TEXT)),
        (("Content-Encoding: br",), brotli.compress(TEXT)),
        (("Content-Encoding: br",), TEXT),
        (("Content-Encoding: deflate",), zlib.compress(TEXT)),
        (("Content-Encoding: deflate",), TEXT),
        (("Content-Encoding: deflate, gzip",), gzip.compress(zlib.compress(TEXT))),
        (("Content-Encoding: UTF-8",), TEXT),
        (("Transfer-Encoding: gzip, chunked",), chunked(gzip.compress(TEXT), 1000)),
    ],
)
def test_whatever_coding_is_left_is_undone(headers: tuple[str, ...], body: bytes) -> None:
    record = one(http(body, *headers))

    assert (record.payload, record.truncated, record.problem) == (TEXT, None, None)


@pytest.mark.parametrize(
    ("headers", "body", "wrong"),
    [
        (("Content-Encoding: gzip",), gzip.compress(TEXT)[:-9], "gzip"),
        (("Content-Encoding: gzip",), gzip.compress(TEXT)[:60] + bytes(60), "gzip"),
        (("Content-Encoding: br",), b"\xff\xff\xff", "br"),
        (("Content-Encoding: compress",), b"\x1f\x9d", "compress"),
        (("Content-Encoding: " + ",".join(["gzip"] * 9),), gzip.compress(TEXT), "codings"),
        (("Transfer-Encoding: chunked",), b"5\r\nhello\r\nNONSENSE\r\n" + TEXT, "chunk"),
        (("Content-Encoding: gzip", "Transfer-Encoding: chunked"), chunked(gzip.compress(TEXT), 9)[:200], "gzip"),
    ],
)
def test_a_broken_body_is_a_problem_and_no_payload(headers: tuple[str, ...], body: bytes, wrong: str) -> None:
    record = one(http(body, *headers))

    assert record.status == 200
    assert record.payload == b""
    assert record.problem is not None
    assert wrong in record.problem


def test_chunks_that_end_early_are_a_page_that_ended_early() -> None:
    record = one(http(chunked(TEXT, 1000, end=b"")[:-500], "Transfer-Encoding: chunked"))

    assert record.truncated == "time"
    assert TEXT.startswith(record.payload)
    assert len(record.payload) > 4000


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_a_payload_is_cut_at_the_limit_and_says_so(coding: str | None) -> None:
    body, headers = (gzip.compress(TEXT), ["Content-Encoding: gzip"]) if coding else (TEXT, [])
    data = gzip.compress(warc(http(body, *headers)))

    for limit in (0, 100, len(TEXT) - 1):
        (record,) = bundles.records(data, limit=limit)
        assert (record.payload, record.truncated) == (TEXT[:limit], "length")
    (record,) = bundles.records(data, limit=len(TEXT))
    assert record.truncated is None


def test_a_gzip_bomb_in_a_record_is_cut_at_the_limit() -> None:
    coder = zlib.compressobj(9, wbits=31)
    bomb = b"".join(coder.compress(bytes(1 << 20)) for _ in range(200)) + coder.flush()

    (record,) = bundles.records(gzip.compress(warc(http(bomb, "Content-Encoding: gzip"))), limit=1 << 20)

    assert (len(record.payload), record.truncated) == (1 << 20, "length")


@pytest.mark.parametrize(
    ("said", "meant"), [("length", "length"), ("time", "time"), ("disconnect", "time"), ("", None)]
)
def test_what_the_writer_says_of_truncation_is_kept(said: str, meant: str | None) -> None:
    assert one(http(TEXT), WARC_Truncated=said).truncated == meant


@pytest.mark.parametrize(
    "block", [b"", b"<html>", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nA: b", b"HTTP/1.1 20 OK\r\n\r\n", b"\r\n\r\n"]
)
def test_a_block_that_is_no_response_is_a_problem(block: bytes) -> None:
    record = one(block)

    assert record.problem is not None
    assert record.payload == b""


@pytest.mark.parametrize(
    "status", ["HTTP/1.0 404", "http/1.1 404 Not Found", "HTTP/2 404", "ICY 404 x", "HTTP/1.1  404 OK"]
)
def test_odd_status_lines_are_read(status: str) -> None:
    assert one(http(b"x", status=status)).status == 404


def test_other_records_give_their_block() -> None:
    record = one(b'{"outcome":"dns"}', kind="metadata", mime="application/json")

    assert (record.type, record.payload, record.status) == ("metadata", b'{"outcome":"dns"}', None)
    assert (
        one(b"raw", kind="resource", mime="text/html", WARC_Target_URI="<http://a.test/>").target_uri
        == "http://a.test/"
    )


@pytest.mark.parametrize("date", ["", "yesterday", "2026-13-40T00:00:00Z"])
def test_a_date_that_is_none_is_unknown(date: str) -> None:
    assert one(http(TEXT), WARC_Date=date).date is None


# what is not gzip per record


def test_a_plain_warc_and_one_gzip_stream_need_to_be_repacked() -> None:
    plain = warc(http(TEXT)) * 3
    for data in (
        plain,
        gzip.compress(plain),
        gzip.compress(plain[: len(plain) // 3]) + gzip.compress(plain[len(plain) // 3 :]),
    ):
        with pytest.raises(BadBundle, match="not gzip per record"):
            list(bundles.records(data))
        assert [record.payload for record in bundles.records(data, framed=False)] == [TEXT] * 3


def test_arc_is_refused_with_a_hint() -> None:
    arc = b"filedesc://x.arc 0.0.0.0 20080430204825 text/plain 75\n1 0 InternetArchive\n"
    for data in (arc, gzip.compress(arc)):
        with pytest.raises(BadBundle, match="ARC") as caught:
            list(bundles.records(data))
        assert "recompress" in caught.value.hint


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"<html>", gzip.compress(b""), gzip.compress(b"<html>"), b"\x1f\x8b" + b"x" * 50]
)
def test_what_is_no_warc_is_refused(data: bytes) -> None:
    for framed in (True, False):
        with pytest.raises(BadBundle):
            list(bundles.records(data, framed=framed))


def test_a_file_that_is_cut_gives_what_is_whole_and_names_the_rest() -> None:
    data = bundle("a.test", 4)
    whole = list(bundles.records(data))
    for end in range(1, len(data), 23):
        found: list[bundles.Record] = []
        with suppress(BadBundle):
            found.extend(bundles.records(data[:end]))
        good = [record for record in whole if record.offset + record.length <= end]
        assert found[: len(good)] == good, end
        assert all(record.problem for record in found[len(good) :]), end


def test_bytes_after_the_last_record_are_named() -> None:
    data = bundle("a.test", 1)
    found: list[bundles.Record] = []

    with pytest.raises(BadBundle):
        found.extend(bundles.records(data + b"\0garbage" * 10))


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_damaged_file_is_records_or_bad_bundle(data: st.DataObject) -> None:
    whole = bytearray(bundle("a.test", 2))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for framed in (True, False):
        with suppress(BadBundle):
            for record in bundles.records(bytes(whole), framed=framed):
                assert record.length > 0 or not framed


@given(st.binary(max_size=400), st.sampled_from(["gzip", "deflate", "br", "zstd", "chunked", "x"]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_body_is_a_payload_or_a_problem(body: bytes, coding: str, is_transfer: bool) -> None:
    record = one(http(body, f"{'Transfer' if is_transfer else 'Content'}-Encoding: {coding}"))

    assert record.status == 200
    assert record.problem is None or record.payload == b""


@given(st.binary(max_size=300), st.integers(1, 50))
def test_dechunking_undoes_chunking(data: bytes, size: int) -> None:
    assert dechunked(chunked(data, size)) == (data, True)


def test_real_archives_are_read_or_refused_and_read_the_same_alone(corpus: Path, store: Store) -> None:
    files = sorted(path for path in (corpus / "warc").rglob("*arc*") if path.is_file())
    responses = refused = 0
    for path in files:
        try:
            found = list(bundles.records(path))
        except BadBundle:
            refused += 1
            continue
        name = bytes.fromhex(store.put_file(path, "warc.gz"))
        assert found[-1].offset + found[-1].length == path.stat().st_size
        for record in found:
            assert bundles.record(store, name, record.offset, record.length) == record, path
        responses += sum(record.type == "response" and record.status is not None for record in found)
    assert len(files) > 25
    assert refused < len(files) / 2
    assert responses > 200


# pages


def test_pages_are_the_captures_with_a_page_and_their_payloads(store: Store) -> None:
    data = bundle("a.test", 4)
    store.put_blob(data, "warc.gz")
    rows = captures(data, None)
    rows[1]["page_id"] = None
    rows = [rows[3], rows[1], rows[0]]

    pages = bundles.pages(store, table("captures", rows))

    assert pages.schema == PAGES
    assert pages["url"].to_pylist() == ["http://a.test/3", "http://a.test/0"]
    assert pages["payload"].to_pylist() == [b"<p>Page 3 of a.test</p>", b"<p>Page 0 of a.test</p>"]
    assert [hashlib.sha256(page).digest() for page in pages["payload"].to_pylist()] == pages["page_id"].to_pylist()
    assert bundles.pages(store, CAPTURES.empty_table()).schema == PAGES


def test_a_page_is_read_without_reading_its_bundle(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bundle("a.test", 50)
    store.put_blob(data, "warc.gz")
    rows = captures(data, None)
    read: list[int] = []
    whole = Store.read_blob

    def counted(*arguments: Any) -> bytes:
        found = whole(*arguments)
        read.append(len(found))
        return found

    monkeypatch.setattr(Store, "read_blob", counted)
    bundles.pages(store, table("captures", rows[20:21]))

    assert read == [rows[20]["length"]]


def test_a_record_larger_than_a_window_is_read_in_pieces(store: Store) -> None:
    noise = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(200_000))
    data = gzip.compress(warc(b"x", kind="warcinfo", mime="text/plain"), 0) + gzip.compress(warc(http(noise)), 0)
    store.put_blob(data, "warc.gz")
    record = list(bundles.records(data))[1]

    assert record.length > 6 << 20
    assert bundles.payload(store, digest(data), record.offset, record.length) == noise
    assert bundles.payload(store, digest(data), record.offset, record.length, limit=10) == noise[:10]


def test_what_is_not_the_page_is_corrupt(store: Store) -> None:
    data = bundle("a.test", 2)
    store.put_blob(data, "warc.gz")
    first, second = captures(data, None)

    with pytest.raises(Corrupt, match="not the page"):
        bundles.pages(store, table("captures", [first | {"page_id": second["page_id"]}]))
    with pytest.raises(BadBundle):
        bundles.pages(store, table("captures", [first | {"offset": first["offset"] + 1}]))
    with pytest.raises((BadBundle, Corrupt)):
        bundles.pages(store, table("captures", [first | {"length": first["length"] - 30}]))
    with pytest.raises(BlobMissing):
        bundles.pages(store, table("captures", [first | {"bundle": bytes(32)}]))


def test_a_broken_body_is_corrupt_when_it_is_asked_for(store: Store) -> None:
    data = gzip.compress(warc(http(b"\xff", "Content-Encoding: br")))
    store.put_blob(data, "warc.gz")

    with pytest.raises(Corrupt, match="br"):
        bundles.payload(store, digest(data), 0, len(data))


def test_pages_of_many_rows_are_one_table_each_time(store: Store) -> None:
    data = bundle("a.test", 30)
    store.put_blob(data, "warc.gz")
    rows = table("captures", captures(data, None))

    pages = bundles.pages(store, pa.concat_tables([rows.slice(0, 7), rows.slice(7)]))

    assert pages.num_rows == 30
