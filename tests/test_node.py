"""Nodes at work with a real coordinator, over a real web: in order, in time, and nothing lost when one dies."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from crawlers.coordinator import CrawlSpec, LocalCoordinator
from crawlers.fetch import Bounds, Fetcher
from crawlers.frontier import Frontier
from crawlers.identity import NodeKey
from crawlers.node import Node
from crawlers.spool import Spool
from storage import Store, open_store, sql

AGENT = "thresher-test/0.1 (+http://127.0.0.1/)"

Site = dict[str, tuple[int, dict[str, str], str]]
"""Path to status, headers and body."""


class Web:
    """One host on loopback that remembers when it was asked for what."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.seen: list[tuple[float, str]] = []
        self.address = ""

    def paths(self) -> list[str]:
        return [path for _, path in self.seen]

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append((time.time(), request.raw_path))
        status, headers, body = self.site.get(request.raw_path, (404, {}, "not here"))
        return web.Response(status=status, headers=headers, body=body.encode(), content_type="text/html")


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[Web]:
    found = Web(site)
    runner = web.ServerRunner(web.Server(found.answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.address = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


def page(*links: str) -> tuple[int, dict[str, str], str]:
    return 200, {}, "<p>" + "".join(f'<a href="{link}">x</a>' for link in links)


async def crawl(folder: Path, site: Site, *, nodes: int = 1, delay: float = 0.0, bounds: Bounds | None = None) -> Web:
    """Crawl the whole site with so many nodes and commit; returns the web with its log."""
    store = open_store(str(folder / "store"), create=True)
    async with (
        serving(site) as served,
        Fetcher(AGENT, allow_private=True, connect_to=served.address, bounds=bounds or Bounds(total=3)) as fetcher,
    ):
        with Frontier.open(store.state_dir / "frontier.sqlite") as frontier:
            coordinator = LocalCoordinator(store, frontier)
            try:
                coordinator.add_crawl(CrawlSpec("t", ("http://a.test/",), 0, 9, "host", delay, AGENT, patience=3.0))
                stop = asyncio.Event()
                crew = [node(store, coordinator, fetcher, number) for number in range(nodes)]
                await asyncio.gather(*(one.run(stop) for one in crew))
                await coordinator.commit(force=True)
            finally:
                coordinator.close()
        return served


def node(store: Store, coordinator: LocalCoordinator, fetcher: Fetcher, number: int) -> Node:
    folder = store.state_dir / "nodes"
    return Node(
        coordinator, fetcher, NodeKey.load_or_create(folder / f"{number}.key"), Spool(folder / f"{number}.spool")
    )


def captures(folder: Path, columns: str) -> list[tuple[Any, ...]]:
    with sql.connect(open_store(str(folder / "store"))) as con:
        return con.execute(f"SELECT {columns} FROM captures ORDER BY fetched_at, url").fetchall()


def test_a_site_is_fetched_once_robots_first_and_the_spool_is_empty_afterwards(tmp_path: Path) -> None:
    site: Site = {"/": page("/a", "/b"), "/a": page("/", "/c"), "/b": page("/a#x"), "/c": page()}

    served = asyncio.run(crawl(tmp_path, site))

    assert served.paths()[:2] == ["/robots.txt", "/"]
    assert sorted(served.paths()) == ["/", "/a", "/b", "/c", "/robots.txt"]
    assert [url.removeprefix("http://a.test") for (url,) in captures(tmp_path, "url")] == served.paths()
    assert list((tmp_path / "store" / ".thresher" / "nodes" / "0.spool").iterdir()) == []


def test_two_nodes_never_ask_one_host_faster_than_its_gap(tmp_path: Path) -> None:
    site: Site = {"/": page(*(f"/{n}" for n in range(12))), **{f"/{n}": page() for n in range(12)}}

    served = asyncio.run(crawl(tmp_path, site, nodes=2, delay=0.1))

    times = [moment for moment, _ in served.seen]
    assert len(times) == 14
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 0.095


def test_redirects_of_robots_txt_are_followed_and_each_is_recorded(tmp_path: Path) -> None:
    site: Site = {
        "/robots.txt": (301, {"Location": "/r1"}, ""),
        "/r1": (302, {"Location": "/r2"}, ""),
        "/r2": (200, {}, "User-agent: *\nDisallow: /secret"),
        "/": page("/secret", "/open"),
        "/open": page(),
    }

    served = asyncio.run(crawl(tmp_path, site))

    assert served.paths()[:4] == ["/robots.txt", "/r1", "/r2", "/"]
    assert "/secret" not in served.paths()
    assert [kind for (kind,) in captures(tmp_path, "kind")] == ["robots"] * 3 + ["page"] * 2


def test_a_host_that_is_busy_gets_its_lease_back_unfinished(tmp_path: Path) -> None:
    """After a 503 with Retry-After no URL is asked before that time; the rest is fetched later."""
    site: Site = {
        "/": page(*(f"/{n}" for n in range(5))),
        "/0": (503, {"Retry-After": "1"}, "busy"),
        **{f"/{n}": page() for n in range(1, 5)},
    }

    served = asyncio.run(crawl(tmp_path, site))

    order = served.paths()
    after = served.seen[order.index("/0") + 1][0] - served.seen[order.index("/0")][0]
    assert after >= 0.95
    assert sorted(order) == sorted([*site, "/robots.txt"])


def test_a_killed_node_loses_nothing(tmp_path: Path) -> None:
    """`kill -9` in the middle of a crawl: the next run fetches the rest, and no page has two captures."""
    site = {"/": page(*(f"/{n}" for n in range(40))), **{f"/{n}": page() for n in range(40)}}

    async def work() -> list[str]:
        async with serving(site) as served:
            command = [
                Path(sys.executable).with_name("thresher"), "crawl", "http://a.test/", "--store", tmp_path / "store",
                "--connect-to", served.address, "--allow-private", "--user-agent", AGENT, "--delay", "0.05", "-q",
            ]  # fmt: skip
            for wait in (1.5, 2.5, 3.5):
                process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
                await asyncio.sleep(wait)
                if process.returncode is None:
                    process.kill()
                await process.wait()
            last = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
            assert await asyncio.wait_for(last.wait(), 150) == 0
            return served.paths()

    paths = asyncio.run(work())

    found = [url for (url,) in captures(tmp_path, "url") if not url.endswith("robots.txt")]
    assert sorted(found) == sorted(f"http://a.test{path}" for path in site)
    assert set(paths) == {*site, "/robots.txt"}
