"""The frontier: one file, one owner, every change one transaction that is on the disk when the method returns."""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from crawlers.frontier import crawls, decisions, outbox, story, tables
from crawlers.frontier.crawls import Crawl, CrawlId, CrawlSpec
from crawlers.frontier.leasing import Leasing
from crawlers.frontier.outbox import Batch
from crawlers.frontier.places import Places
from crawlers.frontier.robots_state import RobotsFiles
from crawlers.frontier.seen import Keys, Met, Seen, key_of
from crawlers.frontier.settling import Answers, Delivery, Settling
from crawlers.frontier.story import Progress
from crawlers.messages import Lease, LeaseRef
from crawlers.urls import canonical
from storage.receipts import LeaseUse


def _new_id() -> str:
    return secrets.token_hex(16)


class Frontier:
    """The durable state of hosts and URLs. Methods may be called from any thread, one runs at a time.

    Times are arguments, in epoch seconds. A method that fails has changed nothing; StoreFull when the disk is full.
    """

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        keys: Keys = key_of,
        new_id: Callable[[], str] = _new_id,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._path = path
        self._con = tables.connect(path, read_only=read_only)
        self._lock = threading.Lock()
        self._places = Places(self._con)
        self._seen = Seen(self._con, self._places, keys)
        robots = RobotsFiles(self._con)
        self._leasing = Leasing(self._con, robots, new_id)
        self._settling = Settling(self._con, self._seen, robots, self._leasing, chance)
        if not read_only:
            with self._change():
                crawls.rest(self._con)

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """The frontier in `path`, made when it is not there; Corrupt when something else is."""
        return cls(path, read_only=read_only)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._con.close()

    def add_crawl(self, spec: CrawlSpec, now: float) -> CrawlId:
        """Begin a crawl, or go on with the one of that name: new seeds are added, its budgets are those of `spec`.

        Only crawls that were added since the frontier was opened are worked on; the others rest as they are.
        InvalidUrl for a seed, BadConfig for anything else that is wrong; then nothing has changed.
        """
        seeds = [canonical(seed) for seed in crawls.checked(spec).seeds]
        with self._change():
            crawl, before = crawls.wanted(self._con, spec, now)
            crawls.widen_scope(self._con, crawl, seeds)
            if before is not None and (before.pages, before.depth) != (crawl.pages, crawl.depth):
                decisions.reconsider(self._con, crawl)
            self._seen.add(crawl, [Met(seed, 0) for seed in seeds])
            crawls.start(self._con, crawl)
            decisions.conclude(self._con, crawl.id, now)
            return crawl.name

    def lease(self, node: str, want: int, now: float) -> list[Lease]:
        """Up to `want` leases for a node (hex id), each of another host; [] when nothing is due."""
        if not self._something_due(now):
            return []
        with self._change():
            self._leasing.expire(now)
            return self._leasing.grant(node, want, now)

    def _something_due(self, now: float) -> bool:
        due = self.next_due()
        return due is not None and due <= now

    def next_due(self) -> float | None:
        """When a host may be leased or a lease runs out; None when every crawl is finished."""
        with self._look():
            if not crawls.running(self._con):
                return None
            due: float | None = self._con.execute(
                "SELECT min(t) FROM (SELECT min(due_at) AS t FROM hosts WHERE due_at IS NOT NULL "
                "UNION ALL SELECT min(deadline) FROM leases WHERE closed_at IS NULL)"
            ).fetchone()[0]
            return due

    def renew(self, node: str, held: Sequence[LeaseRef], released: Sequence[LeaseRef], now: float) -> dict[str, float]:
        """New deadlines by lease id, of what the node still holds; `released` go back to the queue."""
        with self._change():
            self._leasing.expire(now)
            self._leasing.release(node, released, now)
            return self._leasing.renew(node, held, now)

    def abandon(self, node: str, now: float) -> None:
        """Take back what `node` held before it died; only for a node that is known not to be at work."""
        with self._change():
            self._leasing.abandon(node, now)

    def concerns(self, node: bytes, leases: Sequence[LeaseUse], bundle: bytes) -> bool:
        """Whether a bundle can settle anything, or did: worth reading and storing."""
        with self._look():
            open_lease = "SELECT 1 FROM leases WHERE fence = ? AND lease_id = ? AND node = ? AND closed_at IS NULL"
            if self._con.execute("SELECT 1 FROM bundles WHERE digest = ?", (bundle,)).fetchone():
                return True
            asked = ((use.fence, use.lease, node.hex()) for use in leases)
            return any(self._con.execute(open_lease, values).fetchone() for values in asked)

    def settle(self, delivery: Delivery, now: float) -> Answers:
        """Take a bundle whose blobs are stored; the answer for every exchange by (lease id, url)."""
        with self._change():
            return self._settling.settle(delivery, now)

    def captures_to_export(self, limit: int, covered: set[str]) -> Batch | None:
        """The oldest capture rows that no snapshot holds, about `limit`; None when there are none."""
        with self._look():
            return outbox.captures(self._con, limit, covered)

    def decisions_to_export(self, limit: int) -> list[Batch]:
        """Decisions that no snapshot holds, in ranges of at most `limit` that stay the same until acknowledged."""
        with self._change():
            outbox.plan_decisions(self._con, limit)
        with self._look():
            return outbox.decisions(self._con)

    def exported(self, captures: Sequence[int], decided: Sequence[int]) -> None:
        """A snapshot holds these batches."""
        with self._change():
            outbox.drop_captures(self._con, captures)
            outbox.drop_decisions(self._con, decided)

    def progress(self, now: float, crawl: str | None = None) -> Progress:
        """Counts of one crawl (NotFound), or of all."""
        with self._look():
            return story.progress(self._con, now, crawl)

    def crawls(self) -> list[Crawl]:
        """Every crawl, in the order in which they began."""
        with self._look():
            return crawls.all_of(self._con)

    def story(self, url: str) -> list[dict[str, Any]]:
        """All that is known of a canonical URL, one entry for each crawl that met it."""
        with self._look():
            return story.story(self._con, self._seen, url)

    @contextmanager
    def _look(self) -> Iterator[None]:
        with self._lock, tables.translated(self._path):
            yield

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._lock, tables.translated(self._path):
            self._con.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._con.execute("COMMIT")
            except BaseException:
                self._places.forget()
                if self._con.in_transaction:  # SQLite has ended it by itself when the disk is full
                    self._con.execute("ROLLBACK")
                raise
