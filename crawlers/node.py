"""A node: takes leases and performs their exchanges, in order and in time.

It decides nothing: what may be fetched, when, and what becomes of the answer is the coordinator's. A node that dies
needs no clean-up: its leases run out, and its spool is sent when it starts again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from crawlers.exchange import Exchange
from crawlers.fetch import Fetcher
from crawlers.identity import NodeKey
from crawlers.messages import Coordinator, Lease, LeasedUrl, LeaseRef
from crawlers.sender import SEAL_AFTER, Sender
from crawlers.spool import Spool
from crawlers.urls import resolve
from storage.errors import ThresherError

ROBOTS_HOPS: Final = 5  # RFC 9309, 2.3.1.2

IDLE: Final = 0.5
"""Seconds between two questions for work, at most, when nothing is due."""

STOP_WITHIN: Final = 2.0
"""Seconds that exchanges under way, and then answers, get when the node is asked to stop."""

RENEW_EVERY: Final = 3.0
"""Seconds between two renewals of all leases that are held."""


class Node:
    """One fetching machine. `concurrency` is the number of hosts that it fetches from at the same time."""

    def __init__(
        self,
        coordinator: Coordinator,
        fetcher: Fetcher,
        key: NodeKey,
        spool: Spool,
        *,
        concurrency: int = 32,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._coordinator = coordinator
        self._fetcher = fetcher
        self._key = key
        self._concurrency = concurrency
        self._clock = clock
        self._sender = Sender(coordinator, key, spool, fetcher.agent, clock)
        self._held: dict[LeaseRef, asyncio.Task[None]] = {}
        self._failed: ThresherError | OSError | None = None  # what a lease's task met in the spool

    async def run(self, stop: asyncio.Event) -> None:
        """Work until every crawl is done or `stop` is set.

        Raises what the coordinator or the spool raise of their own, such as StoreFull; leases are then left to
        run out and the spool stays as it is.
        """
        background = [asyncio.create_task(part()) for part in (self._sender.run, self._renew, self._seal_in_time)]
        try:
            await self._work(stop, background)
        finally:
            await self._wind_down()
            for task in background:
                task.cancel()
            ended = await asyncio.gather(*background, return_exceptions=True)
        for result in (self._failed, *ended):
            if isinstance(result, Exception):
                raise result

    async def _work(self, stop: asyncio.Event, background: list[asyncio.Task[None]]) -> None:
        while not stop.is_set() and self._failed is None and not any(task.done() for task in background):
            self._sender.answered.clear()
            free = self._concurrency - len(self._held)
            leases = await self._coordinator.lease(self._key.node_id, free) if free > 0 else []
            for lease in leases:
                self._begin(lease)
            if leases:
                continue
            due = await self._coordinator.next_due()
            if due is None and not self._held and self._sender.idle:
                return
            wait = IDLE if due is None else min(IDLE, max(0.002, due - self._clock()))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._sender.answered.wait(), wait)

    def _begin(self, lease: Lease) -> None:
        ref = LeaseRef(lease.lease_id, lease.fence)
        self._held[ref] = asyncio.create_task(self._perform(ref, lease))

    async def _perform(self, ref: LeaseRef, lease: Lease) -> None:
        """Fetch the URLs of one lease; give the rest back when the host asks for a pause or the node stops."""
        try:
            free_at = 0.0
            for leased in lease.urls:
                await self._sleep_until(max(leased.not_before, free_at))
                paused = False
                async for exchange in self._exchanges(leased, lease.gap):
                    self._sender.add(ref, exchange)
                    paused = exchange.outcome == "timeout" or exchange.status in (429, 503)
                free_at = self._clock() + lease.gap
                if paused:
                    break
            self._let_go(ref)
            if not self._held or any(leased.kind == "robots" for leased in lease.urls):
                self._sender.seal()
        except (ThresherError, OSError) as error:  # the spool's: fetching on would only lose more
            self._failed = self._failed or error
        finally:
            if ref in self._held:
                self._let_go(ref)

    def _let_go(self, ref: LeaseRef) -> None:
        del self._held[ref]
        self._sender.finish(ref)

    async def _exchanges(self, leased: LeasedUrl, gap: float) -> AsyncIterator[Exchange]:
        """One exchange; for robots.txt also those of up to five redirects."""
        exchange = await self._fetcher.fetch(leased.url, leased.kind)
        yield exchange
        for _ in range(ROBOTS_HOPS if leased.kind == "robots" else 0):
            location = exchange.header("Location") if exchange.outcome == "redirect" else None
            target = resolve(exchange.url, location) if location else None
            if target is None:
                return
            await asyncio.sleep(gap)
            exchange = await self._fetcher.fetch(target, "robots")
            yield exchange

    async def _sleep_until(self, moment: float) -> None:
        if (wait := moment - self._clock()) > 0:
            await asyncio.sleep(wait)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY)
            if not self._held:
                continue
            deadlines = await self._coordinator.renew(self._key.node_id, list(self._held))
            for ref, task in list(self._held.items()):
                if ref.lease_id not in deadlines:
                    task.cancel()  # lost: another node may hold the host by now

    async def _seal_in_time(self) -> None:
        while True:
            await asyncio.sleep(SEAL_AFTER / 10)
            self._sender.seal_if_due()

    async def _wind_down(self) -> None:
        """Give exchanges under way a moment, then take what there is and wait for the answers."""
        tasks = list(self._held.values())
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_WITHIN / 2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._sender.seal()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._sender.drained(), STOP_WITHIN)
