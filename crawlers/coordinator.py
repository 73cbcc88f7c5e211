"""The coordinator in the process: believes nothing that it has not checked, and settles everything once.

Order is the guarantee: signature and digests, then blobs (durable), then one transaction of the frontier, then, many
bundles later, a snapshot. A crash between any two repeats nothing and loses nothing. Heavy work is done in threads and
in the child, so that the event loop, which may be fetching, goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from crawlers.child import Child
from crawlers.findings import Finding
from crawlers.frontier import CrawlId, CrawlSpec, Frontier, Progress
from crawlers.frontier.settling import Delivery
from crawlers.messages import Ack, Lease, LeaseRef
from storage.errors import BadBundle, BadReceipt
from storage.receipts import Receipt, open_receipt
from storage.store import Store

if TYPE_CHECKING:
    from crawlers.frontier.outbox import Batch

__all__ = ["CrawlSpec", "LocalCoordinator", "Progress"]

MAX_BUNDLE: Final = 64 << 20
"""Bytes. Nodes seal at 16 MiB, after an exchange of 10 MiB at most."""

COMMIT_EVERY: Final = 30.0
"""Seconds between two snapshots while rows come in."""

COMMIT_ROWS: Final = 50_000

AT_ONCE: Final = 4
"""Bundles that are held in memory at the same time."""

LOG: Final = "captures"

P = ParamSpec("P")
T = TypeVar("T")


class LocalCoordinator:
    """The port `crawlers.messages.Coordinator` over a frontier and a store.

    What is passed in, a `child` too, stays the caller's to close. `agent` says in the log who committed. Close it when
    the nodes have stopped.
    """

    def __init__(
        self,
        store: Store,
        frontier: Frontier,
        *,
        clock: Callable[[], float] = time.time,
        agent: str = "coordinator",
        child: Child | None = None,
    ) -> None:
        self._store = store
        self._frontier = frontier
        self._clock = clock
        self._agent = agent
        self._child = child or Child()
        self._own_child = child is None
        self._thread = ThreadPoolExecutor(1, "frontier")
        self._room = asyncio.Semaphore(AT_ONCE)
        self._commits = asyncio.Lock()
        self._background: asyncio.Task[None] | None = None
        self._committed_at = clock()
        self._rows = 0  # accepted since then
        self._certain = False  # that no snapshot holds a row of the outbox

    def add_crawl(self, spec: CrawlSpec) -> CrawlId:
        """Begin or resume a crawl; InvalidUrl, BadConfig."""
        return self._frontier.add_crawl(spec, self._clock())

    async def lease(self, node: str, want: int) -> list[Lease]:
        """Up to `want` leases, each of another host; [] when nothing is due."""
        return await self._do(self._frontier.lease, node, want, self._clock())

    async def next_due(self) -> float | None:
        """Epoch seconds when something may be due; None when every crawl is done."""
        return await self._do(self._frontier.next_due)

    async def renew(self, node: str, held: Sequence[LeaseRef], released: Sequence[LeaseRef] = ()) -> dict[str, float]:
        """New deadlines of what `node` holds; `released` go back to the queue."""
        return await self._do(self._frontier.renew, node, held, released, self._clock())

    async def submit(self, bundle: bytes, receipt: bytes) -> Ack:
        """Settle a bundle; BadReceipt, BadBundle or Corrupt when it is refused whole, and StoreFull."""
        async with self._room:
            signed = await asyncio.to_thread(_checked, bundle, receipt)
            if not await self._do(self._frontier.concerns, signed.node, signed.leases, signed.bundle):
                stale = await self._child.unpack(bundle, signed.agent, links=False)
                return Ack({(finding.lease, finding.url): "skipped" for finding in stale})
            findings = await self._child.unpack(bundle, signed.agent)
            _compare(signed, findings)
            receipt_digest = await asyncio.to_thread(self._put, bundle, receipt)
            delivery = Delivery(signed.bundle, receipt_digest, signed.node, signed.leases, findings)
            answers = await self._do(self._frontier.settle, delivery, self._clock())
        self._rows += len(findings)
        self._commit_when_due()
        return Ack(answers)

    async def commit(self, *, force: bool = False) -> None:
        """Put captures and decisions into snapshots when it is time, or, with `force`, all there are.

        Submitting does this by itself every COMMIT_EVERY seconds or COMMIT_ROWS rows; it is for the end of a crawl.
        """
        if force or self._due():
            async with self._commits:
                while await self._commit() and force:
                    pass

    async def progress(self, crawl: str | None = None) -> Progress:
        """Counts of one crawl (NotFound), or of all."""
        return await self._do(self._frontier.progress, self._clock(), crawl)

    def close(self) -> None:
        """End the child and the thread. What was not committed is committed by the next coordinator."""
        if self._background is not None:
            self._background.cancel()
        if self._own_child:
            self._child.close()
        self._thread.shutdown()

    async def _do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        assert not kwargs
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _put(self, bundle: bytes, receipt: bytes) -> bytes:
        self._store.put_blob(bundle, "warc.gz")
        return bytes.fromhex(self._store.put_blob(receipt, "json"))

    def _due(self) -> bool:
        return self._rows >= COMMIT_ROWS or (self._rows > 0 and self._clock() - self._committed_at >= COMMIT_EVERY)

    def _commit_when_due(self) -> None:
        """Commit beside the crawl, one at a time; raises what the last one raised."""
        if self._background is not None and self._background.done():
            self._background.result()
            self._background = None
        if self._background is None and self._due():
            self._background = asyncio.create_task(self.commit())

    async def _commit(self) -> bool:
        """One snapshot with the oldest rows; False when there were none."""
        self._rows, self._committed_at = 0, self._clock()
        covered = set() if self._certain else await asyncio.to_thread(self._store.covered, LOG, "captures")
        captures = await self._do(self._frontier.captures_to_export, COMMIT_ROWS, covered)
        decided = await self._do(self._frontier.decisions_to_export, COMMIT_ROWS)
        if captures is None and not decided:
            return False
        self._certain = False
        await asyncio.to_thread(self._write, captures, decided)
        taken = captures.ids if captures is not None else ()
        await self._do(self._frontier.exported, taken, [number for batch in decided for number in batch.ids])
        self._certain = True
        return True

    def _write(self, captures: Batch | None, decided: Sequence[Batch]) -> None:
        """One snapshot. What is in the log already under the same keys is left out by the store."""
        shards = {
            "captures": [captures] if captures is not None and captures.rows.num_rows else [],
            "decisions": decided,
        }
        self._store.commit(
            LOG,
            add={
                table: [self._store.write_shard(table, batch.rows, batch.covers) for batch in batches]
                for table, batches in shards.items()
                if batches
            },
            at=datetime.fromtimestamp(self._clock(), UTC),
            by=self._agent,
        )


def _checked(bundle: bytes, receipt: bytes) -> Receipt:
    """The receipt, when it is signed and is for these bytes; BadReceipt, BadBundle."""
    signed = open_receipt(receipt)
    if len(bundle) > MAX_BUNDLE:
        raise BadBundle("submit bundle", signed.bundle.hex(), f"larger than {MAX_BUNDLE} bytes")
    if len(bundle) != signed.size or hashlib.sha256(bundle).digest() != signed.bundle:
        raise BadReceipt("submit bundle", signed.bundle.hex(), "the receipt is for other bytes")
    return signed


def _compare(signed: Receipt, findings: Sequence[Finding]) -> None:
    """BadReceipt unless the node signed for exactly the payloads that are in the bundle."""
    if tuple(finding.payload for finding in findings if finding.payload is not None) != signed.payloads:
        raise BadReceipt("submit bundle", signed.bundle.hex(), "the receipt names other payloads than the bundle holds")
