"""One URL to one Exchange, over aiohttp, with a bound on everything that a server decides.

The URL goes from the frontier to the socket as the same text: redirects are not followed, cookies not kept, nothing
is decoded by the client library. A failure is an outcome; only a bug is an exception.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import ada_url
import aiohttp
import yarl

from crawlers.exchange import Exchange, Headers
from crawlers.guard import guarded_socket, refusals
from crawlers.outcomes import classify, media_type
from storage.encodings import Decoder
from storage.errors import BadConfig, Corrupt
from storage.schema import Kind, Outcome

ACCEPT: Final = "text/html,application/xhtml+xml,text/plain;q=0.9,application/xml;q=0.8,*/*;q=0.1"
CODINGS: Final = "gzip, deflate, br, zstd"
_AGENT: Final = re.compile(
    r"[A-Za-z][\w.-]*(/[\w.-]+)? [ -~]*\([ -~]*(https?://[^\s)]+|[^\s@()]+@[^\s@()]+\.[^\s@()]+)[ -~]*\)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of one exchange; times in seconds, sizes in bytes."""

    total: float = 30.0
    connect: float = 10.0
    idle: float = 15.0
    wire: int = 10 << 20
    decoded: int = 10 << 20
    robots: int = 512_000  # RFC 9309, 2.5: at least 500 KiB are parsed
    header_line: int = 16_384


def honest_agent(agent: str) -> str:
    """`agent` when it names a product and a contact, e.g. `me/1.0 (+https://me.example/bot)`; else BadConfig."""
    if not _AGENT.fullmatch(agent):
        cause = "it is empty" if not agent.strip() else "it names no product with a contact"
        raise BadConfig("use user agent", repr(agent), cause, 'such as "yourname/1.0 (+https://you.example/bot)"')
    return agent


class Fetcher:
    """Keeps the connections of one node. Use it as an async context manager."""

    def __init__(
        self, agent: str, *, allow_private: bool = False, connect_to: str | None = None, bounds: Bounds = Bounds()
    ) -> None:
        self.agent = honest_agent(agent)
        self.bounds = bounds
        self._connect_to = connect_to
        self._guard = guarded_socket(allow_private=allow_private)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(
            total=None, connect=self.bounds.connect, sock_connect=self.bounds.connect, sock_read=self.bounds.idle
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=self._guard, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=timeout,
            headers={"User-Agent": self.agent, "Accept": ACCEPT, "Accept-Encoding": CODINGS},
            response_class=_Response,
            max_line_size=self.bounds.header_line,
            max_field_size=self.bounds.header_line,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, url: str, kind: Kind = "page") -> Exchange:
        """Fetch one canonical URL. Never raises for what a server or the network does."""
        started, clock = time.time(), time.monotonic()
        partial = _Partial()
        refusals.set([])
        outcome: Outcome | None = None
        error: str | None = None
        try:
            async with asyncio.timeout(self.bounds.total):
                await self._exchange(url, kind, partial)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, Corrupt) as raised:
            outcome, error = _failed(raised), f"{type(raised).__name__}: {raised}"[:500]
        elapsed = round((time.monotonic() - clock) * 1000)
        if outcome == "timeout" and partial.status is not None and partial.body:
            # What came before the time ran out is kept, and says so.
            partial.truncated, outcome = "time", None
        if outcome is not None or partial.status is None:
            return Exchange(
                url, kind, started, elapsed, outcome or "bad_response", partial.sent, ip=partial.ip, error=error
            )
        return partial.exchange(url, kind, started, elapsed)

    async def _exchange(self, url: str, kind: Kind, partial: _Partial) -> None:
        assert self._session is not None, "use `async with`"
        target, options = self._target(url)
        async with self._session.get(target, allow_redirects=False, **options) as response:
            assert isinstance(response, _Response)
            partial.begin(response)
            outcome = classify(response.status, partial.mime, partial.location, kind)
            if outcome == "unwanted_type":
                response.close()
                return
            limit = self.bounds.robots if kind == "robots" else self.bounds.decoded
            await self._read(response, partial, limit)

    def _target(self, url: str) -> tuple[yarl.URL, dict[str, Any]]:
        """Where to connect, and what the server is told: with connect_to the name stays in Host and in TLS."""
        if self._connect_to is None:
            return yarl.URL(url, encoded=True), {}
        parsed = ada_url.URL(url)
        target = f"{parsed.protocol}//{self._connect_to}{parsed.pathname}{parsed.search}"
        options: dict[str, Any] = {"headers": {"Host": parsed.host}}
        if parsed.protocol == "https:":
            options["server_hostname"] = parsed.hostname
        return yarl.URL(target, encoded=True), options

    async def _read(self, response: aiohttp.ClientResponse, partial: _Partial, limit: int) -> None:
        coding = ",".join(response.headers.getall("Content-Encoding", []))
        decoder = Decoder([name.strip().lower() for name in coding.split(",") if name.strip()], limit)
        wire = 0
        async for chunk in response.content.iter_any():
            wire += len(chunk)
            partial.body += decoder.feed(chunk)
            if decoder.truncated or wire > self.bounds.wire:
                partial.truncated = "length"
                response.close()
                return
        partial.body += decoder.finish()
        if decoder.truncated:
            partial.truncated = "length"


class _Response(aiohttp.ClientResponse):
    """Remembers the peer, which a response forgets as soon as its body is complete."""

    peer: str | None = None

    async def start(self, connection: Any) -> Self:
        name = connection.transport.get_extra_info("peername") if connection.transport else None
        self.peer = name[0] if name else None
        await super().start(connection)
        return self


class _Partial:
    """What is known of an exchange so far; read when time runs out in the middle."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.reason = ""
        self.headers: Headers = ()
        self.sent: Headers = ()
        self.ip: str | None = None
        self.body = bytearray()
        self.truncated: str | None = None
        self.mime: str | None = None
        self.location: str | None = None

    def begin(self, response: _Response) -> None:
        self.status, self.reason, self.ip = response.status, response.reason or "", response.peer
        self.headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.raw_headers)
        self.sent = tuple(response.request_info.headers.items())
        self.mime, _ = media_type(response.headers.get("Content-Type"))
        self.location = response.headers.get("Location")

    def exchange(self, url: str, kind: Kind, started: float, elapsed: int) -> Exchange:
        assert self.status is not None
        return Exchange(
            url, kind, started, elapsed, classify(self.status, self.mime, self.location, kind), self.sent,
            self.status, self.reason, self.headers, bytes(self.body), self.truncated, self.ip,
        )  # fmt: skip


def _failed(error: BaseException) -> Outcome:
    if refusals.get():
        return "blocked_address"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "dns"
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return "tls"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "refused"
    return "bad_response"
