"""Bundles: WARC/1.1 that warcio accepts, and that two independent readers read back as it was written."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator as FastIterator
from hypothesis import given
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator

from crawlers.bundle import SEAL_BYTES, BundleWriter
from crawlers.exchange import Exchange
from storage import bundles

AGENT = "thresher-test/0.1 (+http://127.0.0.1/)"
WHEN = 1_795_392_000.25


def page(url: str = "http://a.test/", body: bytes = b"<p>hello", **more: object) -> Exchange:
    headers = (("Content-Type", "text/html"), ("Content-Encoding", "gzip"), ("Content-Length", "99"))
    sent = (("Host", "a.test"), ("User-Agent", AGENT))
    values: dict[str, object] = {"ip": "127.0.0.1", **more}
    return Exchange(url, "page", WHEN, 12, "ok", sent, 200, "OK", headers, body, **values)  # type: ignore[arg-type]


def sealed(*exchanges: Exchange) -> bytes:
    writer = BundleWriter(AGENT)
    for exchange in exchanges:
        writer.add("lease-1", exchange)
    return writer.seal().data


FAILED = Exchange("http://a.test/x", "page", WHEN, 30_000, "timeout", (("Host", "a.test"),), error="TimeoutError: ")


def test_warcio_check_accepts_it(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    path.write_bytes(sealed(page(), page(body=b""), page(truncated="length"), FAILED))

    done = subprocess.run(
        [Path(sys.executable).with_name("warcio"), "check", "-v", path], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
    assert done.stdout.count("digest pass") == 3


def test_warcio_and_fastwarc_read_the_same() -> None:
    data = sealed(page(), FAILED, page("http://a.test/ä%20b", body=bytes(range(256)) * 40))

    theirs = [
        (record.rec_headers["WARC-Type"], record.rec_headers["WARC-Target-URI"], record.content_stream().read())
        for record in ArchiveIterator(io.BytesIO(data))
    ]
    ours = [
        (record.headers["WARC-Type"], record.headers.get("WARC-Target-URI"), record.reader.read())
        for record in FastIterator(io.BytesIO(data), parse_http=True)
    ]

    assert theirs == ours
    assert [kind for kind, _, _ in ours] == [
        "warcinfo",
        "request",
        "response",
        "request",
        "metadata",
        "request",
        "response",
    ]
    assert ours[2][2] == b"<p>hello"


def test_a_response_is_stored_decoded_and_its_digest_is_the_page() -> None:
    data = sealed(page())

    found = next(record for record in bundles.records(data) if record.type == "response")

    assert found.payload == b"<p>hello"
    assert found.headers["warc-payload-digest"] == f"sha256:{hashlib.sha256(b'<p>hello').hexdigest()}"
    assert found.headers["x-thresher-lease"] == "lease-1"
    assert found.headers["warc-date"] == "2026-11-23T00:00:00.250000Z"
    assert found.ip == "127.0.0.1"
    names = dict(found.http_headers)
    assert (names["x-thresher-content-encoding"], names["content-length"]) == ("gzip", "8")
    assert "content-encoding" not in names


def test_a_failure_is_a_metadata_record_with_an_offset() -> None:
    found = [record for record in bundles.records(sealed(page(), FAILED)) if record.type == "metadata"]

    assert json.loads(found[0].payload) == {"outcome": "timeout", "error": "TimeoutError: ", "elapsed_ms": 30_000}
    assert found[0].offset > 0


def test_a_header_can_not_break_out_of_its_line() -> None:
    evil = Exchange(
        "http://a.test/", "page", WHEN, 1, "ok", (("Host", "a"),), 200, "OK",
        (("X", "a\r\n\r\nWARC/1.1\r\nWARC-Type: response"), ("Content-Type", "text/html")), b"body",
    )  # fmt: skip

    found = [record for record in bundles.records(sealed(evil)) if record.type == "response"]

    assert [record.payload for record in found] == [b"body"]


def test_the_seal_names_bytes_payloads_and_exchanges() -> None:
    writer = BundleWriter(AGENT)
    for exchange in (page(), FAILED, page("http://a.test/2", b"two")):
        writer.add("lease-1", exchange)

    found = writer.seal()

    assert found.digest == hashlib.sha256(found.data).hexdigest()
    assert found.payloads == tuple(hashlib.sha256(body).hexdigest() for body in (b"<p>hello", b"two"))
    assert [url for _, url in found.exchanges] == ["http://a.test/", "http://a.test/x", "http://a.test/2"]
    assert writer.size < SEAL_BYTES


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=8))
def test_any_bytes_come_back(bodies: list[bytes]) -> None:
    data = sealed(*(page(f"http://a.test/{number}", body) for number, body in enumerate(bodies)))

    found = [record for record in bundles.records(data) if record.type == "response"]

    assert [record.payload for record in found] == bodies
    for record in found:
        alone = data[record.offset : record.offset + record.length]
        assert next(iter(bundles.records(alone))).payload == record.payload


def test_an_empty_writer_is_empty() -> None:
    assert len(BundleWriter(AGENT)) == 0
    with pytest.raises(StopIteration):
        next(iter(FastIterator(io.BytesIO(BundleWriter(AGENT).seal().data))))
