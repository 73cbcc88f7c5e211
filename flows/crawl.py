"""One crawl in one process: store, lock, frontier, coordinator, and as many nodes as asked for.

Ctrl-C asks everything to stop: nodes give their leases back, what was acknowledged is committed, and the same command
goes on later. A second Ctrl-C ends the process at once; even then nothing acknowledged is lost.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, cast

import uvloop

from crawlers.coordinator import LocalCoordinator
from crawlers.fetch import Fetcher
from crawlers.frontier import CrawlSpec, Frontier
from crawlers.frontier.crawls import Scope
from crawlers.identity import NodeKey
from crawlers.lock import hold
from crawlers.node import Node
from crawlers.spool import Spool
from crawlers.urls import canonical
from flows.config import Settings
from flows.progress import Meter
from flows.start import interrupted
from storage.errors import BadConfig
from storage.store import Store

FRONTIER: Final = "frontier.sqlite"
"""In the store's state_dir, beside the nodes' keys and spools."""

REPORT_EVERY: Final = 0.5
"""Seconds between two updates of the progress line."""


@dataclass(frozen=True, slots=True)
class Crawled:
    """The state of a crawl after a call: totals of the crawl, not of the call."""

    crawl: str
    pages: int  # exchanges of kind page, whatever came
    captures: int
    denied: int
    finished: bool  # False when it was stopped before its end


def crawl(store: Store, seeds: Sequence[str], settings: Settings, *, quiet: bool = False) -> Crawled:
    """Crawl until the frontier has nothing left, or until Ctrl-C; without seeds, go on with the crawl of that name.

    Raises InvalidUrl for a seed, BadConfig for a user agent without a contact and for a name that no crawl has,
    StoreBusy when another coordinator is at work, StoreFull.
    """
    with (
        Meter("crawl", "pages", quiet=quiet) as meter,
        hold(store.state_dir, command=" ".join(sys.argv)),
        Frontier.open(store.state_dir / FRONTIER) as frontier,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        if not seeds and settings.crawl_name not in [known.name for known in frontier.crawls()]:
            cause = f"no seeds, and no crawl named {settings.crawl_name!r} to go on with"
            raise BadConfig("crawl", settings.crawl_name, cause, "give a seed URL, or the --name of an earlier crawl")
        return runner.run(_crawl(store, frontier, _spec(seeds, settings), settings, meter))


def check(seeds: Sequence[str], settings: Settings) -> None:
    """Raise what a crawl of these seeds would raise at once (InvalidUrl, BadConfig), before a store is made for it."""
    for seed in seeds:
        canonical(seed)
    Fetcher(settings.crawl_user_agent)


def _spec(seeds: Sequence[str], settings: Settings) -> CrawlSpec:
    return CrawlSpec(
        name=settings.crawl_name,
        seeds=tuple(seeds),
        pages=settings.crawl_pages,
        depth=settings.crawl_depth,
        scope=cast("Scope", settings.crawl_scope),
        delay=settings.crawl_delay,
        agent=settings.crawl_user_agent,
    )


async def _crawl(store: Store, frontier: Frontier, spec: CrawlSpec, settings: Settings, meter: Meter) -> Crawled:
    stop = asyncio.Event()
    coordinator = LocalCoordinator(store, frontier, agent="crawl")
    try:
        with _stopped_by_signals(stop):
            coordinator.add_crawl(spec)
            _take_back(store, frontier)
            reporting = asyncio.create_task(_report(coordinator, spec, meter))
            try:
                await _run_nodes(store, coordinator, settings, stop)
            finally:
                reporting.cancel()
            await coordinator.commit(force=True)
        told = await coordinator.progress(spec.name)
    finally:
        coordinator.close()
    meter.finish(f"{told.pages:,} pages, {told.captures:,} captures" + ("" if told.finished else ", stopped"))
    return Crawled(spec.name, told.pages, told.captures, told.denied, told.finished)


def _take_back(store: Store, frontier: Frontier) -> None:
    """Of a process that was killed its nodes' leases are open still; the lock says that nobody works on them.

    Not while a node has unsent bundles: what they hold is settled under those leases.
    """
    for path in sorted((store.state_dir / "nodes").glob("*.key")):
        key, spool = _of_node(store, path.stem)
        if not any(spool.unsent()):
            frontier.abandon(key.node_id, time.time())


async def _run_nodes(store: Store, coordinator: LocalCoordinator, settings: Settings, stop: asyncio.Event) -> None:
    """Run every node to its end; the first that fails stops the others, and its error is raised."""
    connect_to = settings.crawl_connect_to or None
    async with Fetcher(
        settings.crawl_user_agent, allow_private=settings.crawl_allow_private, connect_to=connect_to
    ) as fetcher:
        tasks = []
        for number in range(settings.crawl_nodes):
            key, spool = _of_node(store, number)
            node = Node(coordinator, fetcher, key, spool, concurrency=settings.crawl_concurrency)
            tasks.append(asyncio.create_task(node.run(stop)))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if any(task.done() and task.exception() for task in tasks):
            stop.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for result in ended:
        if isinstance(result, BaseException):
            raise result


def _of_node(store: Store, number: int | str) -> tuple[NodeKey, Spool]:
    folder = store.state_dir / "nodes"
    return NodeKey.load_or_create(folder / f"{number}.key"), Spool(folder / f"{number}.spool")


async def _report(coordinator: LocalCoordinator, spec: CrawlSpec, meter: Meter) -> None:
    while True:
        told = await coordinator.progress(spec.name)
        waiting = f", {told.waiting:,} hosts waiting" if told.waiting else ""
        meter.update(told.pages, None, f"{told.queued:,} queued{waiting}, {told.bytes / 1e6:,.1f} MB")
        await asyncio.sleep(REPORT_EVERY)


@contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """While the block runs, the first SIGINT or SIGTERM sets the event, and the second has its usual effect."""
    loop = asyncio.get_running_loop()
    ours = (signal.SIGINT, signal.SIGTERM)

    def first(number: int) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's, in Prefect too
        yield
        return
    for number in ours:
        loop.add_signal_handler(number, first, number)
    if interrupted.is_set():
        stop.set()
    try:
        yield
    finally:
        for number in ours:
            loop.remove_signal_handler(number)
