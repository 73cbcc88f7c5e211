"""A frontier driven by hand: what a node would answer is written down in the test, no bundle is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crawlers.findings import Finding
from crawlers.frontier import CrawlSpec, Frontier
from crawlers.frontier.seen import key_of
from crawlers.frontier.settling import Delivery
from crawlers.messages import Answer, Lease
from storage.ids import digest
from storage.receipts import LeaseUse

AGENT = "thresher/0.1 (+http://x.test/)"
NODE = "11" * 32
OTHER = "22" * 32
START = 1_800_000_000.0


def spec(*seeds: str, **wishes: Any) -> CrawlSpec:
    made = CrawlSpec("c", seeds, pages=0, depth=10, scope="host", delay=0.0, agent=AGENT)
    return replace(made, **wishes)


@dataclass
class Web:
    """A frontier with a clock. `now` moves only when a test moves it."""

    path: Path
    keys: Callable[[int, str, int], int] = key_of
    now: float = START
    bundles: int = 0
    added: dict[str, CrawlSpec] = field(default_factory=dict)
    frontier: Frontier = field(init=False)

    def __post_init__(self) -> None:
        self.frontier = self._open()

    def _open(self) -> Frontier:
        return Frontier(self.path, keys=self.keys, chance=lambda: 0.0)

    def reopen(self) -> None:
        """As after a crash; the same crawls are wanted again."""
        self.frontier.close()
        self.frontier = self._open()
        for wanted in self.added.values():
            self.frontier.add_crawl(wanted, self.now)

    def add(self, *seeds: str, **wishes: Any) -> str:
        wanted = spec(*seeds, **wishes)
        name = self.frontier.add_crawl(wanted, self.now)
        self.added[name] = replace(wanted, seeds=())
        return name

    def lease(self, want: int = 10, node: str = NODE) -> list[Lease]:
        return self.frontier.lease(node, want, self.now)

    def due(self) -> float | None:
        """When the next lease can be had, now that there is none; None at the end."""
        assert self.lease() == []
        return self.frontier.next_due()

    def one(self, node: str = NODE) -> Lease:
        """The one lease that there is; time moves on to the moment when it is due."""
        leases = self.lease(node=node)
        if not leases:
            due = self.frontier.next_due()
            assert due is not None
            self.now = max(self.now, due)
            leases = self.lease(node=node)
        (lease,) = leases
        return lease

    def settle(self, lease: Lease, *findings: Finding, done: bool = True, node: str = NODE) -> list[Answer]:
        """Answer for a lease; the answers in the order of the findings."""
        self.bundles += 1
        use = LeaseUse(lease.lease_id, lease.fence, done)
        delivery = Delivery(digest(b"%d" % self.bundles), digest(b"receipt"), bytes.fromhex(node), (use,), findings)
        answers = self.frontier.settle(delivery, self.now)
        return [answers[finding.lease, finding.url] for finding in findings]

    def robots(self, text: str = "", node: str = NODE, **more: Any) -> Lease:
        """Take the next lease, which must be for a robots.txt, and answer it."""
        lease = self.one(node)
        assert [leased.kind for leased in lease.urls] == ["robots"]
        more = {"body": text.encode(), **more}
        assert self.settle(lease, found(lease, lease.urls[0].url, kind="robots", **more), node=node) == ["ok"]
        return lease

    def pages(self, lease: Lease, links: dict[str, Sequence[str]] | None = None, done: bool = True) -> list[Answer]:
        """Answer for every URL of a page lease; `links` by URL."""
        return self.settle(
            lease,
            *(found(lease, leased.url, links=tuple((links or {}).get(leased.url, ()))) for leased in lease.urls),
            done=done,
        )

    def decisions(self) -> list[tuple[str, str, str | None]]:
        """(url, reason, evidence) of all that is not exported yet."""
        batches = self.frontier.decisions_to_export(1000)
        rows = [row for batch in batches for row in batch.rows.to_pylist()]
        return [(row["url"], row["reason"], row["evidence"]) for row in rows]

    def captures(self) -> list[dict[str, Any]]:
        batch = self.frontier.captures_to_export(100_000, set())
        return batch.rows.to_pylist() if batch is not None else []

    def state(self, url: str) -> str:
        (entry,) = self.frontier.story(url)
        return str(entry["state"])


def found(lease: Lease, url: str, **more: Any) -> Finding:
    """A finding of an ordinary page, or of what `more` says."""
    fields: dict[str, Any] = {
        "offset": abs(hash(url)) % 1_000_000,
        "length": 100,
        "kind": "page",
        "fetched_at": datetime(2027, 1, 15, 7, tzinfo=UTC),
        "elapsed_ms": 5,
        "outcome": "ok",
        "status": 200,
        "mime": "text/html",
        "payload": digest(url.encode()),
        "payload_bytes": 10,
        **more,
    }
    return Finding(lease=lease.lease_id, url=url, **fields)


def failure(outcome: str) -> dict[str, Any]:
    return {"outcome": outcome, "status": None, "mime": None, "payload": None, "payload_bytes": 0}


def http_error(status: int, **more: Any) -> dict[str, Any]:
    return {"outcome": "http_error", "status": status, **more}


def urls(lease: Lease) -> list[str]:
    return [leased.url for leased in lease.urls]
