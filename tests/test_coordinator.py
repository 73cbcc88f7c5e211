"""The coordinator with real bundles, real receipts and a real store: what it believes, and what a crash costs."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from crawlers.bundle import BundleWriter
from crawlers.child import Child
from crawlers.coordinator import CrawlSpec, LocalCoordinator
from crawlers.exchange import Exchange
from crawlers.frontier import Frontier
from crawlers.identity import NodeKey
from crawlers.lock import hold
from crawlers.messages import Answer, Lease
from storage import Store, open_store
from storage.errors import BadBundle, BadReceipt, Corrupt, StoreBusy
from storage.receipts import LeaseUse, Receipt, encode

AGENT = "thresher-test/0.1 (+http://127.0.0.1/)"
SEED = "http://a.test/"
SITE = {SEED: ["/1", "/2", "/gone"], SEED + "1": ["/2", "/3"], SEED + "2": [], SEED + "3": ["/"]}


@dataclass
class Desk:
    """A coordinator over a store in a folder, and one node that answers by hand."""

    folder: Path
    child: Child
    now: float = 1_800_000_000.0
    key: NodeKey = field(init=False)
    store: Store = field(init=False)
    frontier: Frontier = field(init=False)
    coordinator: LocalCoordinator = field(init=False)
    wanted: CrawlSpec = field(init=False)

    def __post_init__(self) -> None:
        self.key = NodeKey.load_or_create(self.folder / "key")
        self._open()

    def reopen(self) -> None:
        """As after a crash: everything anew over what is on the disk."""
        self.close()
        self._open()
        self.coordinator.add_crawl(self.wanted)

    def close(self) -> None:
        self.coordinator.close()
        self.frontier.close()

    def _open(self) -> None:
        self.store = open_store(str(self.folder / "store"), create=True)
        self.frontier = Frontier.open(self.store.state_dir / "frontier.sqlite")
        self.coordinator = LocalCoordinator(self.store, self.frontier, clock=lambda: self.now, child=self.child)

    def add(self, **wishes: Any) -> None:
        spec = CrawlSpec("c", (SEED,), pages=0, depth=10, scope="host", delay=0.0, agent=AGENT)
        self.wanted = replace(spec, **wishes)
        self.coordinator.add_crawl(self.wanted)

    def lease(self) -> Lease:
        (lease,) = run(self.coordinator.lease(self.key.node_id, 5))
        return lease

    def bundle(self, *answers: tuple[Lease, Exchange], done: bool = True, **changes: Any) -> tuple[bytes, bytes]:
        """A sealed bundle and its receipt; `changes` are made to the receipt before it is signed."""
        writer = BundleWriter(AGENT)
        for lease, exchange in answers:
            writer.add(lease.lease_id, exchange)
        sealed = writer.seal()
        uses = {lease.lease_id: LeaseUse(lease.lease_id, lease.fence, done) for lease, _ in answers}
        receipt = Receipt(
            public_key=self.key.public_key,
            bundle=bytes.fromhex(sealed.digest),
            size=len(sealed.data),
            leases=tuple(uses.values()),
            payloads=tuple(bytes.fromhex(payload) for payload in sealed.payloads),
            sealed_at=datetime.fromtimestamp(self.now, UTC),
            agent=AGENT,
        )
        return sealed.data, encode(replace(receipt, **changes), self.key.sign)

    def answered(self, lease: Lease, **options: Any) -> tuple[bytes, bytes]:
        """A bundle that answers the whole lease."""
        return self.bundle(*((lease, exchange(leased.url, leased.kind)) for leased in lease.urls), **options)

    def submit(self, bundle: bytes, receipt: bytes) -> list[Answer]:
        return list(run(self.coordinator.submit(bundle, receipt)).answers.values())

    def crawl(self) -> None:
        """Answer until there is nothing left."""
        while run(self.coordinator.next_due()) is not None:
            for lease in run(self.coordinator.lease(self.key.node_id, 5)):
                assert set(self.submit(*self.answered(lease))) == {"ok"}
        run(self.coordinator.commit(force=True))

    def rows(self, table: str) -> list[dict[str, Any]]:
        snapshot = self.store.snapshot("captures")
        if snapshot is None:
            return []
        return [row for batch in self.store.scan(snapshot, table) for row in batch.to_pylist()]

    def captured(self) -> list[str]:
        return sorted(row["url"] for row in self.rows("captures"))


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return LOOP.run(work)


LOOP = asyncio.Runner()
EVERYTHING = sorted([SEED + "robots.txt", *SITE, SEED + "gone"])


def exchange(url: str, kind: str = "page", **more: Any) -> Exchange:
    links = SITE.get(url)
    html = "".join(f"<a href={link}>x</a>" for link in links or ())
    fields: dict[str, Any] = {
        "started": 1_799_999_999.0,
        "elapsed_ms": 3,
        "outcome": "ok",
        "request_headers": (("Host", "a.test"),),
        "status": 200 if links is not None or kind == "robots" else 404,
        "headers": (("Content-Type", "text/html"),),
        "body": b"" if kind == "robots" else html.encode() + url.encode(),
        **more,
    }
    return Exchange(url, kind, **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    made = Child()
    yield made
    made.close()


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    with LOOP:
        yield


@pytest.fixture
def desk(tmp_path: Path, child: Child) -> Iterator[Desk]:
    made = Desk(tmp_path, child)
    yield made
    made.close()


def test_a_crawl_from_its_seed_to_its_snapshot(desk: Desk) -> None:
    desk.add()
    desk.crawl()

    rows = {row["url"]: row for row in desk.rows("captures")}

    assert sorted(rows) == EVERYTHING
    page = rows[SEED + "1"]
    assert (page["depth"], page["referrer"], page["kind"], page["outcome"]) == (1, SEED, "page", "ok")
    assert page["node"].hex() == desk.key.node_id
    assert (page["page_id"] is None, rows[SEED + "gone"]["page_id"] is None) == (False, True)
    assert desk.store.has_blob(page["bundle"].hex(), "warc.gz")
    assert desk.store.has_blob(page["receipt"].hex(), "json")
    assert desk.rows("decisions") == []


def test_captures_read_back_as_pages_and_everything_verifies(desk: Desk) -> None:
    from storage.verify import verify

    desk.add()
    desk.crawl()

    assert verify(desk.store).problems == []


def test_decisions_are_in_the_snapshot_once(desk: Desk) -> None:
    desk.add(pages=2)
    desk.crawl()
    desk.add(pages=3)
    desk.crawl()

    first, second = [SEED + "2", SEED + "3", SEED + "gone"], [SEED + "3", SEED + "gone"]
    assert sorted(row["url"] for row in desk.rows("decisions")) == sorted(first + second)
    assert {row["reason"] for row in desk.rows("decisions")} == {"budget"}


# what is not believed


def refused(desk: Desk, bundle: bytes, receipt: bytes, error: type[Exception]) -> None:
    """The bundle is refused whole, and the honest one is taken afterwards."""
    with pytest.raises(error):
        desk.submit(bundle, receipt)
    run(desk.coordinator.commit(force=True))
    assert desk.captured() == []
    assert not any((desk.folder / "store" / "blobs").rglob("*.warc.gz"))


def test_a_wrong_signature(desk: Desk) -> None:
    desk.add()
    bundle, receipt = desk.answered(desk.lease())
    assert receipt.count(b'"signature":"') == 1

    refused(desk, bundle, receipt.replace(b'"signature":"', b'"signature":"00')[:-4] + b'"}', BadReceipt)
    assert desk.submit(bundle, receipt) == ["ok"]


def test_another_key_that_signs_for_our_node(desk: Desk, tmp_path: Path) -> None:
    desk.add()
    lease = desk.lease()
    desk.key = NodeKey.load_or_create(tmp_path / "other key")

    assert desk.submit(*desk.answered(lease)) == ["skipped"]


def test_other_bytes_than_the_receipt_is_for(desk: Desk) -> None:
    desk.add()
    lease = desk.lease()
    _, receipt = desk.answered(lease)
    other, _ = desk.bundle((lease, exchange(SEED + "robots.txt", "robots", body=b"User-agent: *\nDisallow: /\n")))

    refused(desk, other, receipt, BadReceipt)


def test_payloads_that_the_receipt_does_not_name(desk: Desk) -> None:
    desk.add()

    refused(desk, *desk.answered(desk.lease(), payloads=(bytes(32),)), BadReceipt)


def test_a_payload_that_is_not_what_its_record_says(desk: Desk) -> None:
    desk.add()
    lease = desk.lease()
    data, _ = desk.answered(lease)
    records = [record.replace(b"sha256:e3b0", b"sha256:0000") for record in unpacked(data)]

    refused(desk, *signed(desk, lease, records), Corrupt)


def test_bytes_that_are_no_bundle(desk: Desk) -> None:
    desk.add()

    refused(desk, *signed(desk, desk.lease(), [b"hello"]), BadBundle)


def unpacked(bundle: bytes) -> list[bytes]:
    from isal import igzip

    return [b"WARC/1.1\r\n" + part for part in igzip.decompress(bundle).split(b"WARC/1.1\r\n")[1:]]


def signed(desk: Desk, lease: Lease, records: Sequence[bytes]) -> tuple[bytes, bytes]:
    """A bundle of these records with a receipt that fits its bytes."""
    from isal import igzip

    from storage.ids import digest

    data = b"".join(igzip.compress(record) for record in records)
    _, receipt = desk.answered(lease, bundle=digest(data), size=len(data))
    return data, receipt


# late, twice, and after a crash


def test_a_stale_fence_is_skipped_without_harm(desk: Desk) -> None:
    desk.add()
    lost = desk.lease()
    late = desk.answered(lost)
    desk.now = lost.deadline + 1
    again = desk.lease()

    assert desk.submit(*late) == ["skipped"]
    assert desk.submit(*desk.answered(again)) == ["ok"]
    assert desk.submit(*late) == ["skipped"]
    desk.crawl()
    assert desk.captured() == EVERYTHING


def test_a_bundle_that_is_sent_again_is_settled_once(desk: Desk) -> None:
    desk.add()
    first = desk.answered(desk.lease())
    assert desk.submit(*first) == desk.submit(*first) == ["ok"]
    second = desk.answered(desk.lease())
    assert desk.submit(*second) == ["ok"]
    run(desk.coordinator.commit(force=True))
    desk.reopen()

    assert desk.submit(*second) == ["ok"]
    desk.crawl()
    assert desk.captured() == EVERYTHING


class Crash(Exception):
    pass


def crash() -> Callable[..., Any]:
    def at_this_point(*_: Any, **__: Any) -> Any:
        raise Crash

    return at_this_point


def test_a_crash_between_blobs_and_frontier(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.add()
    bundle = desk.answered(desk.lease())
    with monkeypatch.context() as patch:
        patch.setattr(Frontier, "settle", crash())
        with pytest.raises(Crash):
            desk.submit(*bundle)
    desk.reopen()

    assert desk.submit(*bundle) == ["ok"]
    desk.crawl()
    assert desk.captured() == EVERYTHING


@pytest.mark.parametrize("point", [(Store, "write_shard"), (Store, "commit"), (Frontier, "exported")])
def test_a_crash_around_the_snapshot(desk: Desk, monkeypatch: pytest.MonkeyPatch, point: tuple[type, str]) -> None:
    desk.add(depth=1)
    for _ in range(2):
        desk.submit(*desk.answered(desk.lease()))
    with monkeypatch.context() as patch:
        patch.setattr(*point, crash())
        with pytest.raises(Crash):
            run(desk.coordinator.commit(force=True))
    desk.reopen()

    desk.crawl()

    assert desk.captured() == [url for url in EVERYTHING if url != SEED + "3"]
    assert [(row["url"], row["reason"]) for row in desk.rows("decisions")] == [(SEED + "3", "budget")]


def test_a_second_commit_writes_nothing(desk: Desk) -> None:
    desk.add()
    desk.crawl()
    head = desk.store.head("captures")
    run(desk.coordinator.commit(force=True))
    desk.reopen()
    desk.add()
    desk.crawl()

    assert desk.store.head("captures") == head


def test_rows_are_committed_while_the_crawl_goes_on(desk: Desk) -> None:
    desk.add()
    desk.submit(*desk.answered(desk.lease()))
    assert desk.captured() == []
    desk.now += 31

    desk.submit(*desk.answered(desk.lease()))
    run(asyncio.sleep(0.3))

    assert desk.captured() == [SEED, SEED + "robots.txt"]


# the lock


def test_the_second_coordinator_is_told_who_the_first_is(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from crawlers.lock import hold\n"
        "with hold(pathlib.Path(sys.argv[1]), command='first'): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"

        with pytest.raises(StoreBusy, match=f"process {first.pid} .*first"), hold(tmp_path, command="second"):
            pass
        first.kill()
        first.wait()
    with hold(tmp_path, command="third"):
        pass


# kill -9

CRAWLER = """
import asyncio, sys
from pathlib import Path
from crawlers.coordinator import CrawlSpec, LocalCoordinator
from crawlers.fetch import Fetcher
from crawlers.frontier import Frontier
from crawlers.identity import NodeKey
from crawlers.loopback.sites import SEEDS
from crawlers.node import Node
from crawlers.spool import Spool
from storage import open_store
import crawlers.coordinator
import crawlers.frontier.leasing
import crawlers.pace

crawlers.coordinator.COMMIT_EVERY = 0.05  # so that a kill meets every step often
crawlers.pace.LEASE_SECONDS = 1.0  # what a killed node held comes back soon

async def crawl(folder, address, agent):
    store = open_store(str(folder), create=True)
    with Frontier.open(store.state_dir / "frontier.sqlite") as frontier:
        coordinator = LocalCoordinator(store, frontier)
        coordinator.add_crawl(CrawlSpec("c", SEEDS, pages=0, depth=9, scope="host", delay=0.02, agent=agent))
        print("begun", flush=True)
        async with Fetcher(agent, allow_private=True, connect_to=address) as fetcher:
            key = NodeKey.load_or_create(store.state_dir / "key")
            await Node(coordinator, fetcher, key, Spool(store.state_dir / "spool")).run(asyncio.Event())
        await coordinator.commit(force=True)
        coordinator.close()

if __name__ == "__main__":
    asyncio.run(crawl(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
"""


def test_kill_9_at_any_moment_loses_no_url_and_duplicates_no_row(tmp_path: Path) -> None:
    from crawlers.loopback import running
    from crawlers.loopback.sites import pages

    script = tmp_path / "crawler.py"
    script.write_text(CRAWLER)
    rng = random.Random(1)
    store_path = tmp_path / "store"
    with running() as address:
        command = [sys.executable, script, store_path, address, AGENT]
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        for _ in range(5):
            with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as killed:
                assert killed.stdout is not None
                killed.stdout.readline()
                time.sleep(rng.uniform(0.05, 0.9))
                killed.send_signal(signal.SIGKILL)
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    store = open_store(str(store_path))
    snapshot = store.snapshot("captures")
    assert snapshot is not None
    captured = [row["url"] for batch in store.scan(snapshot, "captures") for row in batch.to_pylist()]
    linked = {page.url for page in pages() if page.planted not in ("robots", "robots-denied")}

    assert sorted(url for url in captured if not url.endswith("/robots.txt")) == sorted(linked)
