"""A crawl that follows links, beside Scrapy with its broad-crawl settings, on the same served web.

The server runs in a process of its own on the last core; each client is pinned to the first. Ours writes WARC bundles,
receipts and a durable frontier; Scrapy keeps its queue in memory and throws the pages away.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.inputs import CORPUS
from bench.report import Entry, Report
from storage import open_store, sql

AGENT = "thresher-bench/0.1 (+http://127.0.0.1/)"


def measure() -> Report:
    """Pages (200, HTML) per second of wall time, start-up of the process excluded for neither."""
    from crawlers.loopback.static import running

    folder = CORPUS / "miniweb"
    if not folder.is_dir():
        raise SystemExit(f"bench crawl needs the mini-web at {folder} (set THRESHER_TEST_CORPUS)")
    sites = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    with running(folder, core=_last_core()) as address, tempfile.TemporaryDirectory() as work:
        port = address.rsplit(":", 1)[1]
        seeds = [f"http://{site['host']}:{port}{site['start']}" for site in sites]
        ours = _thresher(seeds, address, Path(work))
        theirs = _scrapy(seeds, Path(work))
    return Report(
        "crawl",
        "pages/s",
        f"mini-web: {len(sites)} hosts, {sum(site['reachable_pages'] for site in sites):,} reachable pages, one core",
        ours,
        [theirs],
    )


def _last_core() -> int:
    return (os.cpu_count() or 1) - 1


def _pinned() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {0})


def _thresher(seeds: list[str], address: str, work: Path) -> Entry:
    command = [
        Path(sys.executable).with_name("thresher"), "crawl", *seeds, "--store", work / "store", "--delay", "0",
        "--pages", "0", "--depth", "100", "--connect-to", address, "--allow-private", "--user-agent", AGENT,
        "--json", "--quiet",
    ]  # fmt: skip
    started = time.perf_counter()
    done = subprocess.run(command, preexec_fn=_pinned, capture_output=True, check=True)
    seconds = time.perf_counter() - started
    result = json.loads(done.stdout)
    with sql.connect(open_store(str(work / "store"))) as con:
        [(pages,)] = con.execute(
            "SELECT count(*) FROM captures WHERE kind = 'page' AND outcome = 'ok' AND mime = 'text/html'"
        ).fetchall()
    detail = {"pages": pages, "exchanges": result["captures"], "seconds": round(seconds, 1)}
    return Entry("thresher crawl", pages / seconds, detail)


def _scrapy(seeds: list[str], work: Path) -> Entry:
    target = work / "scrapy.json"
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bench.scrapy_peer", str(target), AGENT, *seeds],
        preexec_fn=_pinned, capture_output=True, check=True,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    counted = json.loads(target.read_text())
    return Entry("Scrapy, broad-crawl settings", counted["pages"] / seconds, {**counted, "seconds": round(seconds, 1)})
