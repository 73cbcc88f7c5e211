"""Serves the made web, every host on one port of 127.0.0.1, and remembers every request that it saw.

`python -m crawlers.loopback` prints the address it listens on and stops when its standard input closes, so it
never outlives who started it.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from contextlib import AbstractContextManager
from typing import Any

from aiohttp import web

from crawlers.loopback import process
from crawlers.loopback.sites import Page, pages

LOG_HOST = "log.localhost"
"""A request for this host is answered with the log, one JSON object a line, and is not in it."""


async def serve() -> None:
    """Listen on a free port of 127.0.0.1 until standard input closes."""
    found = {(page.host, page.path): page for page in pages()}
    seen: list[dict[str, Any]] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        host = (request.host or "").partition(":")[0]
        if host == LOG_HOST:
            return web.Response(text="".join(json.dumps(entry) + "\n" for entry in seen))
        agent = request.headers.get("User-Agent", "")
        seen.append({"host": host, "path": request.raw_path, "time": time.time(), "agent": agent})
        page = found.get((host, request.rel_url.raw_path))
        if page is None:
            return web.Response(status=404, text="not found")
        return await _send(request, page)

    await process.serve(answer)


async def _send(request: web.BaseRequest, page: Page) -> web.StreamResponse:
    await asyncio.sleep(page.delay)
    headers = {"Content-Type": page.mime, **dict(page.headers)}
    if page.repeat == 1:
        return web.Response(body=page.body, status=page.status, headers=headers)
    response = web.StreamResponse(status=page.status, headers=headers)
    await response.prepare(request)
    try:
        for _ in range(page.repeat):
            await response.write(page.body)
    except ConnectionError:
        return response  # the crawler has had enough, as it should
    await response.write_eof()
    return response


def running() -> AbstractContextManager[str]:
    """The made web in a process of its own: a context that gives HOST:PORT."""
    return process.started("crawlers.loopback")


def requests(address: str) -> list[dict[str, Any]]:
    """What the web at HOST:PORT has seen: host, path, time (epoch seconds) and agent of each request, in order."""
    asked = urllib.request.Request(f"http://{address}/", headers={"Host": LOG_HOST})
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 (an http address of ours)
        return [json.loads(line) for line in answer.read().splitlines()]
