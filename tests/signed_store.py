"""A small store with everything a check can follow: two bundles (one signed, one imported), documents, a corpus."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from crawlers.bundle import BundleWriter
from crawlers.exchange import Exchange
from storage import Store, bundles, receipts
from storage.ids import capture_id, digest
from storage.schema import TABLES

AT = datetime(2026, 11, 23, 4, 5, 6, 7, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
LEASE = "lease-1"


def table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows of a table; columns that a row does not name are null."""
    schema = TABLES[name]
    return pa.table(
        {field: pa.array([row.get(field) for row in rows], schema.field(field).type) for field in schema.names}
    )


def bundle(site: str, pages: int) -> bytes:
    """A WARC of so many pages of a site, the same bytes every time."""
    numbers = count(1)
    writer = BundleWriter("thresher-test/0.1", new_id=lambda: UUID(int=next(numbers)))
    for number in range(pages):
        writer.add(
            LEASE,
            Exchange(
                url=f"http://{site}/{number}",
                kind="page",
                started=AT.timestamp() + number,
                elapsed_ms=5,
                outcome="ok",
                request_headers=(("Host", site),),
                status=200,
                reason="OK",
                headers=(("Content-Type", "text/html"),),
                body=f"<p>Page {number} of {site}</p>".encode(),
            ),
        )
    return writer.seal().data


def receipt(data: bytes, **changes: Any) -> bytes:
    """The envelope of a bundle, signed by KEY; `changes` replace fields of the receipt."""
    found = [record for record in bundles.records(data) if record.type == "response"]
    fields: dict[str, Any] = {
        "public_key": PUBLIC_KEY,
        "bundle": digest(data),
        "size": len(data),
        "leases": (receipts.LeaseUse(LEASE, 1, True),),
        "payloads": tuple(digest(record.payload) for record in found),
        "sealed_at": AT,
        "agent": "thresher-test/0.1",
    }
    return receipts.encode(receipts.Receipt(**fields | changes), KEY.sign)


def captures(data: bytes, envelope: bytes | None) -> list[dict[str, Any]]:
    """Rows of captures for the responses of a bundle; imported when there is no receipt."""
    signed = {"node": receipts.node_id(PUBLIC_KEY), "lease": LEASE} if envelope else {}
    return [
        {
            "capture_id": capture_id(digest(data), record.offset),
            "url": record.target_uri,
            "site": str(record.target_uri).split("/")[2],
            "fetched_at": record.date,
            "outcome": "ok",
            "page_id": digest(record.payload),
            "bundle": digest(data),
            "offset": record.offset,
            "length": record.length,
            "receipt": digest(envelope) if envelope else None,
            **signed,
        }
        for record in bundles.records(data)
        if record.type == "response"
    ]


def fill(store: Store, **changes: Any) -> list[dict[str, Any]]:
    """Put two bundles of three pages into a store and publish all six; returns the rows of captures.

    `changes` replace fields of the receipt, so that it is signed but wrong.
    """
    rows: list[dict[str, Any]] = []
    for site, signed in (("a.test", True), ("b.test", False)):
        data = bundle(site, 3)
        store.put_blob(data, "warc.gz")
        envelope = receipt(data, **changes) if signed else None
        if envelope is not None:
            store.put_blob(envelope, "json")
        rows += captures(data, envelope)
        cover = f"{digest(data).hex()}:{LEASE if signed else 'import'}"
        shard = store.write_shard("captures", table("captures", rows[-3:]), covers=[cover])
        store.commit("captures", add={"captures": [shard]}, at=AT, by="test")
    publish(store, rows)
    return rows


def publish(store: Store, rows: list[dict[str, Any]]) -> None:
    """Documents and a corpus with all of these captures."""
    documents = []
    for row in rows:
        text = f"The text of {row['url']}, Grüße."
        documents.append({**row, "title": row["url"], "text": text, "doc_id": hashlib.sha256(text.encode()).digest()})
    shard = store.write_shard("documents", table("documents", documents))
    store.commit("documents-0123456789ab", replace={"documents": [shard]}, at=AT, by="test")
    made_of = store.snapshot("documents-0123456789ab")
    assert made_of is not None
    corpus = [{**document, "cluster_size": 1, "serves_train": True} for document in documents]
    shards = {
        name: [store.write_shard(name, table(name, found))]
        for name, found in (("corpus", corpus), ("removals", []), ("edges", []))
    }
    store.commit("corpus", replace=shards, meta={"documents": made_of.digest}, at=AT, by="test")
