"""Pages to documents on one core, beside trafilatura alone extracting the same pages with the same options."""

from __future__ import annotations

import hashlib
import os
import time
from datetime import UTC, datetime

import pyarrow as pa

import pipeline
from bench.inputs import html
from bench.report import Entry, Report
from storage.schema import PAGES

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def measure() -> Report:
    """Pages per second. Ours adds normalisation, language, 30 measures, PII, rights and the signature."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {0})
    name, found = html()
    table = _table(found)
    recipe = pipeline.Recipe()
    pipeline.clean(table.slice(0, 2), recipe)
    started = time.perf_counter()
    documents = pipeline.clean(table, recipe)
    ours = len(found) / (time.perf_counter() - started)
    peers = [_peer(found, metadata) for metadata in (True, False)]
    size = sum(len(body) for _, body in found)
    with_text = documents.num_rows - documents["text"].null_count
    return Report(
        "clean",
        "pages/s",
        f"{name}: {len(found):,} pages, {size / 1e6:.1f} MB of HTML, one core",
        Entry("thresher clean", ours, {"MB/s": round(ours * size / len(found) / 1e6, 2), "with text": with_text}),
        peers,
    )


def _peer(found: list[tuple[str, bytes]], metadata: bool) -> Entry:
    """trafilatura with and without its metadata, of which the search for a date takes most."""
    import trafilatura

    started = time.perf_counter()
    documents = [trafilatura.bare_extraction(body, url=url, with_metadata=metadata) for url, body in found]
    rate = len(found) / (time.perf_counter() - started)
    name = "trafilatura alone" if metadata else "trafilatura alone, text only"
    return Entry(name, rate, {"with text": sum(1 for document in documents if document is not None)})


def _table(found: list[tuple[str, bytes]]) -> pa.Table:
    rows = [
        {
            "capture_id": hashlib.sha256(url.encode()).digest(),
            "page_id": hashlib.sha256(body).digest(),
            "url": url,
            "host": url.split("/")[2],
            "site": url.split("/")[2],
            "fetched_at": NOW,
            "mime": "text/html",
            "payload": body,
            "rights_train": True,
            "rights_input": True,
            "rights_search": True,
            "rights_evidence": "[]",
        }
        for url, body in found
    ]
    return pa.Table.from_pylist(rows, schema=PAGES)
