"""What passes between a node and a coordinator, in one process or over HTTP.

A node holds leases and answers with bundles; the coordinator decides everything else. A `fence` grows with every
lease ever given, so an answer under an older one is recognised and dropped without harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from storage.schema import Kind


@dataclass(frozen=True, slots=True)
class LeasedUrl:
    """One canonical URL to fetch, not before that moment (epoch seconds)."""

    url: str
    kind: Kind
    not_before: float


@dataclass(frozen=True, slots=True)
class Lease:
    """Permission to fetch `urls`, all of one host, in order, until `deadline` (epoch seconds).

    `gap` is the time in seconds from the end of one exchange to the start of the next; it also holds between the
    hops of a robots lease that stay on the host.
    """

    lease_id: str
    crawl: str
    host: str
    fence: int
    deadline: float
    gap: float
    urls: tuple[LeasedUrl, ...]


@dataclass(frozen=True, slots=True)
class LeaseRef:
    """A lease as its holder names it when it renews or gives back."""

    lease_id: str
    fence: int


Answer = Literal["ok", "skipped", "fail"]
"""Settled; or the fence is stale: never send it again; or not settled: send it again."""


@dataclass(frozen=True, slots=True)
class Ack:
    """What became of each exchange of a bundle, by (lease_id, url)."""

    answers: dict[tuple[str, str], Answer]


class Coordinator(Protocol):
    """The port between nodes and the frontier's owner."""

    async def lease(self, node: str, want: int) -> list[Lease]:
        """Give `node` (hex id) up to `want` leases, each of another host; [] when nothing is due."""
        ...

    async def next_due(self) -> float | None:
        """Epoch seconds when something may be due; None when every crawl is done."""
        ...

    async def renew(self, node: str, held: Sequence[LeaseRef], released: Sequence[LeaseRef] = ()) -> dict[str, float]:
        """New deadlines of `held` by lease id; a lease that is absent is lost. `released` go back to the queue."""
        ...

    async def submit(self, bundle: bytes, receipt: bytes) -> Ack:
        """Settle the exchanges of a sealed bundle; a refused one raises BadReceipt, BadBundle or Corrupt."""
        ...
