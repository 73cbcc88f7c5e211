"""From a node's exchanges to acknowledged bundles: fill, seal, sign, keep, submit, forget.

Invariant: between `add` and the coordinator's answer an exchange is in the open bundle or, sealed, in the spool.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from crawlers.bundle import SEAL_BYTES, BundleWriter
from crawlers.exchange import Exchange
from crawlers.identity import NodeKey
from crawlers.messages import Coordinator, LeaseRef
from crawlers.spool import Spool
from storage.errors import BadBundle, BadReceipt, Corrupt
from storage.receipts import LeaseUse, Receipt, encode

SEAL_AFTER: Final = 2.0
"""Seconds after its first exchange that a bundle is sealed."""

RETRY_AFTER: Final = 5.0
"""Seconds until a bundle with an answer FAIL is sent again."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Open:
    writer: BundleWriter
    since: float
    done: dict[LeaseRef, bool] = field(default_factory=dict)


class Sender:
    """Owns the open bundle and the spool of one node."""

    def __init__(
        self, coordinator: Coordinator, key: NodeKey, spool: Spool, agent: str, clock: Callable[[], float]
    ) -> None:
        self._coordinator = coordinator
        self._key = key
        self._spool = spool
        self._agent = agent
        self._clock = clock
        self._open: _Open | None = None
        self._queue: asyncio.Queue[str | list[LeaseRef]] = asyncio.Queue()
        self._waiting: dict[str, tuple[bytes, bytes]] = {}
        self.answered = asyncio.Event()  # set whenever the frontier may have changed

    def add(self, lease: LeaseRef, exchange: Exchange) -> None:
        """Take an exchange; seals by size."""
        if self._open is None:
            self._open = _Open(BundleWriter(self._agent), self._clock())
        self._open.writer.add(lease.lease_id, exchange)
        self._open.done[lease] = False
        if self._open.writer.size >= SEAL_BYTES:
            self.seal()

    def finish(self, lease: LeaseRef) -> None:
        """The lease brings nothing more: its unfetched URLs go back to the queue."""
        if self._open is not None and lease in self._open.done:
            self._open.done[lease] = True
        else:
            self._queue.put_nowait([lease])

    def seal(self) -> None:
        """Close the open bundle, if any, and queue it. Raises StoreFull when the spool has no room."""
        if self._open is None:
            return
        opened = self._open
        sealed = opened.writer.seal()
        receipt = Receipt(
            public_key=self._key.public_key,
            bundle=bytes.fromhex(sealed.digest),
            size=len(sealed.data),
            leases=tuple(LeaseUse(ref.lease_id, ref.fence, done) for ref, done in opened.done.items()),
            payloads=tuple(bytes.fromhex(payload) for payload in sealed.payloads),
            sealed_at=datetime.fromtimestamp(self._clock(), UTC),
            agent=self._agent,
        )
        envelope = encode(receipt, self._key.sign)
        self._spool.save(sealed.digest, sealed.data, envelope)
        self._open = None  # not before it is on the disk
        self._waiting[sealed.digest] = (sealed.data, envelope)
        self._queue.put_nowait(sealed.digest)

    def seal_if_due(self) -> None:
        """Seal when the first exchange is SEAL_AFTER old."""
        if self._open is not None and self._clock() - self._open.since >= SEAL_AFTER:
            self.seal()

    @property
    def idle(self) -> bool:
        """Nothing is open and nothing waits for an answer."""
        return self._open is None and not self._waiting and self._queue.empty()

    async def drained(self) -> None:
        """Return as soon as it is idle."""
        while not self.idle:
            self.answered.clear()
            await self.answered.wait()

    async def run(self) -> None:
        """Submit what is in the spool from before, then whatever is sealed, until cancelled."""
        for digest, bundle, receipt in self._spool.unsent():
            self._waiting.setdefault(digest, (bundle, receipt))
            self._queue.put_nowait(digest)
        while True:
            item = await self._queue.get()
            if isinstance(item, list):
                await self._coordinator.renew(self._key.node_id, [], item)
            elif item in self._waiting:
                await self._submit(item)
            self.answered.set()

    async def _submit(self, digest: str) -> None:
        bundle, receipt = self._waiting[digest]
        try:
            ack = await self._coordinator.submit(bundle, receipt)
        except (BadReceipt, BadBundle, Corrupt) as error:
            _log.error("bundle %s was refused: %s; it is kept in %s", digest, error, self._spool.set_aside(digest))
            del self._waiting[digest]
            return
        if "fail" in ack.answers.values():
            asyncio.get_running_loop().call_later(RETRY_AFTER, self._queue.put_nowait, digest)
            return
        self._spool.forget(digest)
        del self._waiting[digest]
