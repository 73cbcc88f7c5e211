"""The second half of `verify`: every row of a corpus back to its document, its capture, its record and its receipt.

The joins are DuckDB's, which spills to a temporary folder; records are read in the order of their bundles, so that
one receipt at a time is held.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from storage import bundles, ids, manifest, sql
from storage.errors import BadReceipt, BlobMissing, NotFound, ThresherError
from storage.findings import Findings, Progress
from storage.receipts import MAX_BYTES, Receipt, open_receipt
from storage.store import Snapshot, Store

_MEMORY: Final = "600MB"
_FETCH_ROWS: Final = 1024
_PUBLISH: Final = "run `thresher publish` again"
_RECAPTURE: Final = "import or crawl its URL again, then clean and publish"


class _Row(NamedTuple):
    """What leads a row of the corpus to its bytes, from its capture."""

    capture_id: bytes
    page_id: bytes
    bundle: bytes
    offset: int
    length: int
    node: bytes | None
    lease: str | None
    receipt: bytes | None


@dataclass(frozen=True, slots=True)
class _Opened:
    """A receipt and its payloads as a set."""

    receipt: Receipt
    payloads: frozenset[bytes]


def check_corpus(store: Store, log: str, findings: Findings, tell: Progress) -> None:
    """Check the newest snapshot of one corpus; notes problems, raises only OSError."""
    try:
        _check(store, log, findings, tell)
    except ThresherError as error:
        cure = "cure the blobs that are named above, then verify again"
        findings.problem(f"corpus {log}", f"its rows could not all be followed: {error}", cure)


def _check(store: Store, log: str, findings: Findings, tell: Progress) -> None:
    snapshot = store.snapshot(log)
    assert snapshot is not None, "the caller has seen it"
    documents = _documents(snapshot)
    captures = store.snapshot("captures")
    if captures is None:
        raise NotFound("follow", log, "there is no log of captures")
    with (
        tempfile.TemporaryDirectory(prefix="thresher-verify-") as folder,
        sql.scratch(Path(folder), memory_limit=_MEMORY) as con,
    ):
        con.execute("CREATE VIEW corpus AS " + sql.select(store, snapshot, "corpus"))
        con.execute("CREATE VIEW documents AS " + sql.select(store, documents, "documents"))
        con.execute("CREATE VIEW captures AS " + sql.select(store, captures, "captures"))
        tell(0, None, f"joining corpus {log}")
        for name, wrong in _broken_links(con):
            findings.problem(f"row {name} of corpus {log}", wrong, _PUBLISH)
        total = snapshot.tables["corpus"].rows
        findings.corpus_rows += total
        opened = lru_cache(maxsize=2)(partial(_opened, store))
        for done, row in enumerate(_rows(con)):
            if done % 100 == 0:
                tell(done, total, f"rows of corpus {log}")
            _check_row(store, row, opened, findings)


def _documents(snapshot: Snapshot) -> Snapshot:
    """The snapshot of documents that a corpus was made of: its root says which."""
    digest = snapshot.meta.get("documents")
    if not isinstance(digest, str):
        raise NotFound("follow", snapshot.log, "its meta does not name the snapshot of its documents")
    return manifest.read_root(digest, "documents", snapshot.read)


def _broken_links(con: Any) -> list[tuple[str, str]]:
    """Rows of the corpus whose document or capture is not there or says something else: (capture id, what)."""
    found = con.execute(
        """
        WITH linked AS (
            SELECT c.capture_id, CASE
                WHEN d.capture_id IS NULL THEN 'has no document'
                WHEN d.doc_id IS DISTINCT FROM c.doc_id OR d.page_id IS DISTINCT FROM c.page_id
                    THEN 'differs from its document in doc_id or page_id'
                WHEN a.capture_id IS NULL THEN 'has no capture'
                WHEN a.page_id IS DISTINCT FROM c.page_id OR a.bundle IS DISTINCT FROM c.bundle
                    OR a.node IS DISTINCT FROM c.node THEN 'differs from its capture in page_id, bundle or node'
                WHEN unhex(sha256(c.text)) IS DISTINCT FROM c.doc_id THEN 'its doc_id is not the SHA-256 of its text'
                END AS wrong
            FROM corpus c
            LEFT JOIN (SELECT capture_id, doc_id, page_id FROM documents) d ON d.capture_id = c.capture_id
            LEFT JOIN (SELECT capture_id, page_id, bundle, node FROM captures) a ON a.capture_id = c.capture_id)
        SELECT lower(hex(capture_id)), wrong FROM linked WHERE wrong IS NOT NULL
        UNION ALL
        SELECT lower(hex(capture_id)), 'is there ' || count(*) || ' times' FROM corpus GROUP BY ALL HAVING count(*) > 1
        UNION ALL
        SELECT lower(hex(capture_id)), 'has ' || count(*) || ' captures' FROM captures
        SEMI JOIN corpus USING (capture_id) GROUP BY capture_id HAVING count(*) > 1
        ORDER BY ALL
        """
    )
    return list(found.fetchall())


def _rows(con: Any) -> Any:
    """The captures of the corpus in the order of bundle and offset."""
    found = con.execute(
        """
        SELECT capture_id, page_id, bundle, "offset", length, node, lease, receipt FROM captures
        SEMI JOIN (SELECT capture_id FROM corpus) USING (capture_id) ORDER BY bundle, "offset"
        """
    )
    while batch := found.fetchmany(_FETCH_ROWS):
        yield from map(_Row._make, batch)


def _check_row(store: Store, row: _Row, opened: Callable[[bytes], _Opened], findings: Findings) -> None:
    name = f"capture {row.capture_id.hex()} ({row.bundle.hex()}.warc.gz at {row.offset})"
    if ids.capture_id(row.bundle, row.offset) != row.capture_id:
        findings.problem(name, "its id is not the hash of its bundle and offset", _RECAPTURE)
        return
    try:
        payload = bundles.payload(store, row.bundle, row.offset, row.length)
    except ThresherError as error:
        findings.problem(name, f"its record can not be read: {error.cause}", _RECAPTURE)
        return
    if hashlib.sha256(payload).digest() != row.page_id:
        findings.problem(name, "the payload in its record is not its page", _RECAPTURE)
        return
    wrong = _unsigned(row, opened)
    if wrong:
        findings.problem(name, wrong, _RECAPTURE)
    elif row.receipt is None:
        findings.unsigned += 1
    else:
        findings.signed += 1


def _unsigned(row: _Row, open_: Callable[[bytes], _Opened]) -> str | None:
    """Why the receipt of a row does not vouch for it; None when it does, or for an import, which has none."""
    if row.receipt is None:
        return None if row.node is None and row.lease is None else "names a node or a lease, but no receipt"
    try:
        opened = open_(row.receipt)
    except (BadReceipt, BlobMissing) as error:
        return f"its receipt {row.receipt.hex()}: {error.cause}"
    if opened.receipt.bundle != row.bundle:
        return f"its receipt {row.receipt.hex()} is for another bundle"
    if opened.receipt.node != row.node:
        return f"its receipt {row.receipt.hex()} is another node's"
    if row.lease not in {use.lease for use in opened.receipt.leases}:
        return f"its receipt {row.receipt.hex()} does not name lease {row.lease}"
    if row.page_id not in opened.payloads:
        return f"its receipt {row.receipt.hex()} does not list its page"
    return None


def _opened(store: Store, digest: bytes) -> _Opened:
    receipt = open_receipt(store.read_blob(digest.hex(), "json", 0, MAX_BYTES + 1))
    return _Opened(receipt, frozenset(receipt.payloads))
