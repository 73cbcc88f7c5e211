"""The made web does what its pages were made for, and remembers who asked."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tarfile
import time
from collections import Counter
from io import BytesIO
from pathlib import Path

from crawlers.fetch import Bounds, Fetcher
from crawlers.loopback import requests, running
from crawlers.loopback.articles import articles
from crawlers.loopback.sites import HOSTS, SEEDS, pages
from crawlers.loopback.static import running as serving
from pipeline.tokens import shingles

AGENT = "thresher-test/0.1 (+http://127.0.0.1/)"


def test_it_is_about_two_hundred_pages_on_eight_hosts() -> None:
    made = pages()

    assert {page.host for page in made} == set(HOSTS)
    assert 180 <= len(made) <= 240
    assert len({page.url for page in made}) == len(made)
    assert len(SEEDS) == 8


def test_articles_share_little_unless_they_were_planted_to() -> None:
    for lang in ("en", "de", "zh", "ar"):
        sets = [shingles(" ".join(article.paragraphs)) for article in articles(lang, 4)]
        shared = [len(set(a) & set(b)) / len(set(a) | set(b)) for i, a in enumerate(sets) for b in sets[:i]]

        assert max(shared) < 0.5


def test_every_outcome_is_what_the_page_was_made_for() -> None:
    wanted = {
        "article": "ok", "mirror": "ok", "near": "ok", "redirect": "redirect", "unwanted": "unwanted_type",
        "gone": "http_error", "unavailable": "http_error", "huge": "ok", "empty": "ok", "slow": "ok", "binary": "ok",
    }  # fmt: skip

    async def work(address: str) -> dict[str, set[tuple[str, str | None]]]:
        found: dict[str, set[tuple[str, str | None]]] = {}
        bounds = Bounds(total=10, decoded=2 << 20)
        async with Fetcher(AGENT, connect_to=address, allow_private=True, bounds=bounds) as fetcher:
            for page in pages():
                if page.planted in wanted:
                    exchange = await fetcher.fetch(page.url)
                    found.setdefault(page.planted, set()).add((exchange.outcome, exchange.truncated))
        return found

    with running() as address:
        found = asyncio.run(work(address))
        log = requests(address)

    assert {planted: {outcome for outcome, _ in seen} for planted, seen in found.items()} == {
        planted: {outcome} for planted, outcome in wanted.items()
    }
    assert found["huge"] == {("ok", "length")}
    assert Counter(entry["host"] for entry in log)["mirror.test"] == 24
    assert {entry["agent"] for entry in log} == {AGENT}


def test_the_server_ends_with_whoever_started_it() -> None:
    kill = "os.kill(os.getpid(), 9)"
    code = f"import os\nfrom crawlers.loopback import running\nwith running() as a: print(a, flush=True); {kill}"
    started = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1]
    )
    port = int(started.stdout.strip().split(":")[1])

    import socket

    for _ in range(50):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.1)
    raise AssertionError("it still listens 5 s after its parent was killed")


def test_static_sites_are_found_by_the_rules_of_a_static_web(tmp_path: Path) -> None:
    files = {"index.html": b"home", "a/index.html": b"folder", "b.html": b"bare", "c d.txt": b"space"}
    with tarfile.open(tmp_path / "one.tar.xz", "w:xz") as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, BytesIO(body))
    (tmp_path / "manifest.json").write_text(json.dumps([{"host": "one.test", "archive": "one.tar.xz"}]))

    async def work(address: str) -> list[tuple[int | None, bytes]]:
        async with Fetcher(AGENT, connect_to=address, allow_private=True) as fetcher:
            paths = ("/", "/a", "/a/", "/b", "/b.html", "/c%20d.txt", "/x", "/index.html?q=1")
            found = [await fetcher.fetch(f"http://one.test{path}") for path in paths]
            found.append(await fetcher.fetch("http://two.test/"))
            return [(exchange.status, exchange.body) for exchange in found]

    with serving(tmp_path) as address:
        found = asyncio.run(work(address))

    bodies = [b"home", b"folder", b"folder", b"bare", b"bare", b"space"]
    assert found[:6] == [(200, body) for body in bodies]
    assert [status for status, _ in found[6:]] == [404, 200, 404]
