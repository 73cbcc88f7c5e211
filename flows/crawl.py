"""One crawl in one process: store, lock, frontier, coordinator, and as many nodes as asked for.

Ctrl-C asks everything to stop: nodes give their leases back, what was acknowledged is committed, and the same command
goes on later. A second Ctrl-C stops at once; even then nothing acknowledged is lost.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from crawlers.coordinator import CrawlSpec
from crawlers.lock import hold
from flows.config import Settings
from flows.progress import Meter
from storage import Store

REPORT_EVERY: Final = 0.5
"""Seconds between two updates of the progress line."""


@dataclass(frozen=True, slots=True)
class Crawled:
    """The state of a crawl after a call: totals of the crawl, not of the call."""

    crawl: str
    pages: int  # fetched, of kind page
    captures: int
    finished: bool  # False when it was stopped before its end


def crawl(store: Store, seeds: Sequence[str], settings: Settings, *, quiet: bool = False) -> Crawled:
    """Crawl until the frontier has nothing left for this crawl, or until Ctrl-C.

    Raises InvalidUrl for a seed, BadConfig for a nameless user agent, StoreBusy when another coordinator is at work.
    """
    spec = CrawlSpec(
        name=settings.crawl_name,
        seeds=tuple(seeds),
        pages=settings.crawl_pages,
        depth=settings.crawl_depth,
        scope=settings.crawl_scope,
        delay=settings.crawl_delay,
        agent=settings.crawl_user_agent,
    )
    with Meter("crawl", "pages", quiet=quiet) as meter, hold(store.state_dir, command=" ".join(sys.argv)):
        runner = asyncio.Runner(loop_factory=_loop_factory())
        with runner:
            return runner.run(_crawl(store, spec, settings, meter))


def _loop_factory() -> object:
    try:
        import uvloop
    except ImportError:  # not made for this platform
        return None
    return uvloop.new_event_loop


async def _crawl(store: Store, spec: CrawlSpec, settings: Settings, meter: Meter) -> Crawled:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _ask_to_stop, stop, number)
    raise SystemExit(0)


def _ask_to_stop(stop: asyncio.Event, number: int) -> None:
    if stop.is_set():
        signal.signal(number, signal.SIG_DFL)
    stop.set()


assert time
