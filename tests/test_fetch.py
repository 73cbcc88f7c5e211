"""Fetching from real servers that misbehave in every way we know: each way is an outcome, within its bounds."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from crawlers.exchange import Exchange
from crawlers.fetch import Bounds, Fetcher, honest_agent
from crawlers.guard import is_public
from crawlers.urls import canonical
from storage.errors import BadConfig

AGENT = "thresher-test/0.1 (+http://127.0.0.1/)"
QUICK = Bounds(total=2.0, connect=1.0, idle=1.0, wire=300_000, decoded=1_000_000, robots=10_000)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left, which is what many of these tests want
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


def answering(*parts: bytes, then: float = 0.0, repeat: int = 1) -> Handler:
    """Reads a request, sends the parts; then sends the last part again and again, `then` seconds apart."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
        for _ in range(repeat - 1):
            await asyncio.sleep(then)
            writer.write(parts[-1])
            await writer.drain()

    return handle


def ok(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = ["HTTP/1.1 200 OK", "Content-Type: text/html", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


async def fetched(handler: Handler, *, path: str = "/", bounds: Bounds = QUICK, kind: str = "page") -> Exchange:
    async with server(handler) as port, Fetcher(AGENT, allow_private=True, bounds=bounds) as fetcher:
        return await fetcher.fetch(f"http://127.0.0.1:{port}{path}", kind)  # type: ignore[arg-type]


def run(work: Awaitable[Exchange]) -> Exchange:
    async def main() -> Exchange:
        return await work

    return asyncio.run(main())


def test_a_page_comes_home_with_its_headers_address_and_time() -> None:
    found = run(fetched(answering(ok(b"<p>hello", "ETag: x", "Set-Cookie: a=b")), path="/a%20b?x=%C3%A4&y=1"))

    assert (found.outcome, found.status, found.body) == ("ok", 200, b"<p>hello")
    assert (found.header("etag"), found.ip, found.truncated) == ("x", "127.0.0.1", None)
    assert ("User-Agent", AGENT) in found.request_headers
    assert abs(found.started - time.time()) < 10


def test_the_path_goes_to_the_server_as_it_stands_in_the_frontier() -> None:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
        writer.write(ok(b"x"))

    run(fetched(handle, path="/a%2Fb/%7Ec;p?q=1%262&r[]=%27'"))

    assert seen == [b"GET /a%2Fb/%7Ec;p?q=1%262&r[]=%27' HTTP/1.1"]


def test_cookies_are_not_sent_back_and_a_redirect_is_not_followed() -> None:
    requests: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            head = b"HTTP/1.1 302 Found\r\nLocation: /next\r\nSet-Cookie: id=1\r\nContent-Length: 0\r\n\r\n"
            writer.write(head)
            await writer.drain()

    async def twice() -> Exchange:
        async with server(handle) as port, Fetcher(AGENT, allow_private=True, bounds=QUICK) as fetcher:
            await fetcher.fetch(f"http://127.0.0.1:{port}/")
            return await fetcher.fetch(f"http://127.0.0.1:{port}/")

    found = run(twice())

    assert (found.outcome, found.status, found.header("Location")) == ("redirect", 302, "/next")
    assert len(requests) == 2
    assert not any(b"ookie" in request for request in requests)


def test_ten_gigabytes_are_cut_at_the_bound() -> None:
    head = ok(b"<p>begin", length=10 << 30)

    found = run(fetched(answering(head, b"more " * 13_000, repeat=160_000)))

    assert (found.outcome, found.truncated) == ("ok", "length")
    assert 300_000 < len(found.body) < 1_000_000
    assert found.body.startswith(b"<p>begin")


def test_a_gzip_bomb_is_cut_at_the_decoded_bound() -> None:
    bomb = gzip.compress(b"0" * 200_000_000, 9)

    found = run(fetched(answering(ok(bomb, "Content-Encoding: gzip"))))

    assert (found.outcome, found.truncated, len(found.body)) == ("ok", "length", 1_000_000)


def test_an_endless_slow_answer_ends_by_time_and_its_beginning_is_kept() -> None:
    found = run(fetched(answering(ok(b"<p>slow", length=1000), b".", then=0.3, repeat=100)))

    assert (found.outcome, found.truncated) == ("ok", "time")
    assert found.body.startswith(b"<p>slow.")
    assert found.elapsed_ms < 4000


def test_a_server_that_says_nothing_is_a_timeout() -> None:
    found = run(fetched(answering(b"", then=5, repeat=2)))

    assert (found.outcome, found.status) == ("timeout", None)


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n"],
        [ok(b"<p>short", length=500)],
        [ok(b"not gzip at all", "Content-Encoding: gzip")],
        [ok(b"x", "Content-Encoding: rot13")],
        [b"SSH-2.0-OpenSSH\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 50_000 + b"\r\n"],
        [b""],
    ],
    ids=["chunks", "short", "coding", "unknown-coding", "ssh", "long-header", "many-headers", "silence"],
)
def test_an_answer_that_is_not_http_is_a_bad_response(parts: list[bytes]) -> None:
    found = run(fetched(answering(*parts)))

    assert (found.outcome, found.status) == ("bad_response", None)
    assert found.error


def test_an_unwanted_type_is_dropped_after_the_headers() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000000000\r\n\r\n"

    found = run(fetched(answering(head, b"\x89PNG" * 1000, repeat=3)))

    assert (found.outcome, found.body, found.status) == ("unwanted_type", b"", 200)


def test_robots_txt_is_read_up_to_its_own_bound() -> None:
    found = run(fetched(answering(ok(b"#" * 50_000)), path="/robots.txt", kind="robots"))

    assert (len(found.body), found.truncated) == (10_000, "length")


def test_a_closed_port_is_refused_and_a_dead_name_is_dns() -> None:
    async def both() -> tuple[Exchange, Exchange]:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        async with Fetcher(AGENT, allow_private=True, bounds=QUICK) as fetcher:
            return (
                await fetcher.fetch(f"http://127.0.0.1:{port}/"),
                await fetcher.fetch("http://nowhere.invalid/"),
            )

    closed, dead = asyncio.run(both())

    assert (closed.outcome, dead.outcome) == ("refused", "dns")


def test_a_certificate_that_nobody_vouches_for_is_tls(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(tmp_path))

    async def work() -> Exchange:
        async with (
            server(answering(ok(b"x")), context) as port,
            Fetcher(AGENT, connect_to=f"127.0.0.1:{port}", allow_private=True, bounds=QUICK) as fetcher,
        ):
            return await fetcher.fetch("https://name.test/")

    assert run(work()).outcome == "tls"


def test_connect_to_keeps_the_name_in_the_host_header() -> None:
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(ok(b"x"))

    async def work() -> Exchange:
        async with (
            server(handle) as port,
            Fetcher(AGENT, connect_to=f"127.0.0.1:{port}", allow_private=True) as fetcher,
        ):
            return await fetcher.fetch("http://a.test:8080/x?y")

    assert run(work()).outcome == "ok"
    assert seen[0].startswith(b"GET /x?y HTTP/1.1\r\n")
    assert b"\r\nHost: a.test:8080\r\n" in seen[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_no_socket_is_opened_to_an_address_that_is_not_public(host: str) -> None:
    asked: list[bool] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(True)

    async def work() -> Exchange:
        async with server(handle) as port, Fetcher(AGENT, bounds=QUICK) as fetcher:
            return await fetcher.fetch(canonical(f"http://{host}:{port}/"))

    assert run(work()).outcome == "blocked_address"
    assert asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("10.0.0.1", False),
        ("172.16.5.4", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("64:ff9b::5db8:d70e", True),
        ("::127.0.0.1", False),
        ("::ffff:0:127.0.0.1", False),
        ("64:ff9b:1::7f00:1", False),
        ("fec0::1", False),
        ("192.88.99.1", False),
    ],
)
def test_what_counts_as_public(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    "agent",
    ["", " ", "thresher", "thresher/1.0", "thresher/1.0 (no contact)", "(+https://a.b/)", "x/1 y\r (+http://a.b/)"],
)
def test_an_agent_without_product_and_contact_is_refused(agent: str) -> None:
    with pytest.raises(BadConfig):
        honest_agent(agent)


@pytest.mark.parametrize("agent", ["me/1.0 (+https://me.example/bot)", "me (bot@me.example)", AGENT])
def test_an_honest_agent_is_taken(agent: str) -> None:
    assert honest_agent(agent) == agent


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "name.test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / "both.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return path
