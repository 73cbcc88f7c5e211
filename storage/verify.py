"""The whole store checked from its bytes: nothing is believed that can be computed again.

Every blob that any snapshot refers to is hashed, every sum is added up, every receipt's signature is tested, and
every row of a corpus is led back over document, capture and bundle record to a receipt. Nothing is changed.
Memory: a hundred bytes or so per blob, one record and one row group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from storage import manifest, shards
from storage.errors import BadReceipt, BlobMissing, ThresherError
from storage.findings import MAX_PROBLEMS, Findings, Progress
from storage.receipts import MAX_BYTES, open_receipt
from storage.rows_id import ZERO, add, lthash
from storage.store import Store
from storage.verify_logs import References, read_logs
from storage.verify_rows import check_corpus

_CHUNK: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of what was checked. `signed` + `unsigned` are the rows of the corpora that lead back to a receipt, or
    to an import that has none. Each problem names a blob or row, what is wrong, and a cure."""

    logs: int
    snapshots: int
    blobs: int
    bytes: int
    rows: int
    receipts: int
    corpus_rows: int
    signed: int
    unsigned: int
    problems: list[str]


def verify(store: Store, *, progress: Progress | None = None) -> Report:
    """Check a store. Damage is reported, never raised; OSError when the store can not be read at all."""
    findings = Findings()
    tell = progress or _silent
    tell(0, None, "reading the logs")
    references = read_logs(store, findings)
    bundles = _check_blobs(store, references, findings, tell)
    _check_receipts(store, bundles, findings)
    for log in references.corpora:
        check_corpus(store, log, findings, tell)
    problems = list(findings.problems)
    if findings.more:
        problems.append(f"and {findings.more:,} more, beyond the first {MAX_PROBLEMS:,}")
    return Report(
        logs=findings.logs,
        snapshots=findings.snapshots,
        blobs=findings.blobs,
        bytes=findings.bytes,
        rows=findings.rows,
        receipts=findings.receipts,
        corpus_rows=findings.corpus_rows,
        signed=findings.signed,
        unsigned=findings.unsigned,
        problems=problems,
    )


def _silent(done: int, total: int | None, what: str) -> None:
    """For callers who want no progress."""


def _check_blobs(
    store: Store, references: References, findings: Findings, tell: Progress
) -> dict[bytes, dict[bytes, int]]:
    """Hash shards and look into them, then hash what captures refer to; receipts by digest, with bundle and size."""
    bundles: set[bytes] = set()
    receipts: dict[bytes, set[bytes]] = {}
    for done, (digest, (table, entry)) in enumerate(references.shards.items()):
        tell(done, len(references.shards), "shards")
        if _whole(store, digest, "parquet", findings) is not None:
            captures = _check_shard(store, table, entry, findings)
            for bundle, receipt in captures:
                bundles.add(bundle)
                if receipt is not None:
                    receipts.setdefault(receipt, set()).add(bundle)
    sizes: dict[bytes, int] = {}
    for done, bundle in enumerate(sorted(bundles)):
        tell(done, len(bundles), "bundles")
        size = _whole(store, bundle.hex(), "warc.gz", findings)
        if size is not None:
            sizes[bundle] = size
    return {receipt: {bundle: sizes.get(bundle, -1) for bundle in named} for receipt, named in receipts.items()}


def _whole(store: Store, digest: str, suffix: str, findings: Findings) -> int | None:
    """The size of a blob whose bytes hash to its name; None when a problem was noted instead."""
    findings.blobs += 1
    seen = hashlib.sha256()
    size = 0
    try:
        for chunk in _chunks(store, digest, suffix):
            seen.update(chunk)
            size += len(chunk)
    except BlobMissing:
        findings.problem(f"blob {digest}.{suffix}", "is missing")
        return None
    findings.bytes += size
    if seen.hexdigest() != digest:
        findings.problem(f"blob {digest}.{suffix}", f"is damaged: its {size} bytes hash to {seen.hexdigest()}")
        return None
    return size


def _chunks(store: Store, digest: str, suffix: str) -> Iterator[bytes]:
    at = 0
    while chunk := store.read_blob(digest, suffix, at, _CHUNK):
        yield chunk
        at += len(chunk)


def _check_shard(
    store: Store, table: str, entry: manifest.Shard, findings: Findings
) -> set[tuple[bytes, bytes | None]]:
    """Compare a shard's rows with its entry; the (bundle, receipt) pairs when it is one of captures."""
    named: set[tuple[bytes, bytes | None]] = set()
    state, rows = ZERO, 0
    cure = "the committer has a bug, or the part was made by hand: commit the table again with `replace`"
    try:
        for batch in shards.scan(store.blob_location(entry.digest, "parquet"), table):
            rows += batch.num_rows
            state = add(state, lthash(pa.Table.from_batches([batch])))
            if table == "captures":
                named.update(zip(batch["bundle"].to_pylist(), batch["receipt"].to_pylist(), strict=True))
    except (ThresherError, pa.ArrowException) as error:
        findings.problem(f"shard {entry.digest} of {table}", f"can not be read: {error}", cure)
        return named
    findings.rows += rows
    if rows != entry.rows:
        findings.problem(f"shard {entry.digest} of {table}", f"has {rows} rows, its entry says {entry.rows}", cure)
    elif state != entry.lthash:
        findings.problem(f"shard {entry.digest} of {table}", "its rows do not give the lthash of its entry", cure)
    return named


def _check_receipts(store: Store, receipts: dict[bytes, dict[bytes, int]], findings: Findings) -> None:
    for digest, bundles in sorted(receipts.items()):
        findings.receipts += 1
        if _whole(store, digest.hex(), "json", findings) is None:
            continue
        name = f"receipt {digest.hex()}"
        cure = "the captures under it are worth nothing: import or crawl their URLs again"
        try:
            receipt = open_receipt(store.read_blob(digest.hex(), "json", 0, MAX_BYTES + 1))
        except BadReceipt as error:
            findings.problem(name, error.cause, cure)
            continue
        for bundle, size in bundles.items():
            if receipt.bundle != bundle:
                findings.problem(name, f"captures of bundle {bundle.hex()} name it, it is for another", cure)
            elif receipt.size != size >= 0:
                findings.problem(name, f"says {receipt.size} bytes, its bundle {bundle.hex()} has {size}", cure)
